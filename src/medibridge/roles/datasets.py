"""A custodian prepares a dataset of many patients for the market: shares, seal, proofs, deposit."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from medibridge.chain.events import BatchDeposited
from medibridge.errors import SealingError
from medibridge.ids import Address, DataClass, Digest, RecordDescription
from medibridge.roles.bridge import Party
from medibridge.sealing import documents
from medibridge.sealing.batches import make_batch
from medibridge.sealing.contributors import ShareTree, equal_shares, verify_share
from medibridge.sealing.records import check_ciphertext, find_fault, seal, wrap_key
from medibridge.storage import BlobStore

__all__ = ["DatasetCustodian", "SealedDataset"]


@dataclass(frozen=True)
class SealedDataset:
    """A dataset that is sealed and stored, and whose record can be deposited.

    `size` is that of the ciphertext's plaintext with its padding, in bytes.
    """

    description: RecordDescription = field(repr=False)
    shares: ShareTree
    size: int


class DatasetCustodian(Party):
    """A verified institution that sells what many patients let it sell.

    The market of this version lists records of one patient. A dataset's record can be deposited already; its listing
    waits for the market that pays many.
    """

    def seal(
        self,
        archive: BinaryIO,
        size: int,
        contributors: Mapping[Address, Address],
        data_class: DataClass,
        progress: Callable[[int], None] | None = None,
    ) -> SealedDataset:
        """Seal an archive of `size` bytes, store it, and check all of it, as a buyer could and as a contract would.

        `contributors` names the account to be paid for each patient's account; each gets an equal share.

        Raises `SealingError`, `StorageError`, and `UsageError` where there are no contributors.
        """
        store = self._bridge.store
        tree = ShareTree(equal_shares(contributors))
        if not all(verify_share(tree.subject, tree.root, tree.proof(share.patient)) for share in tree.shares):
            raise SealingError("the contributors' shares do not prove; nothing was sealed, please report it")
        sealed = seal(archive, size, lambda block: _keep(store, block), progress=progress)
        seal_id = sealed.seal.seal_id
        manifest = sealed.manifest([wrap_key(sealed.key, seal_id, self._identity.registered.public_key)])
        digest, pages = documents.split(manifest.encode())
        store.put_many(pages)
        stored = self._bridge.sealed(digest, seal_id)
        check_ciphertext(stored, self._bridge.fetch)
        if find_fault(stored, sealed.key, self._bridge.fetch) is not None:
            raise SealingError("what was sealed does not open; nothing is offered, seal it again")
        description = RecordDescription(
            custodian=self.address,
            subject=tree.subject,
            data_class=data_class,
            epoch=0,
            deidentified=True,
            seal_id=seal_id,
            manifest=Digest(digest),
            salt=secrets.token_bytes(32),
        )
        return SealedDataset(description, tree, sealed.seal.size)

    def deposit(self, dataset: SealedDataset) -> tuple[bytes, BatchDeposited]:
        """Vouch for a sealed dataset on the chain: a batch of one, whose root is returned with the event.

        Raises `NotInGoodStanding`, `StorageError`.
        """
        batch = make_batch([(dataset.description, self._identity.feed_key(self.address))])
        listed = self._bridge.publish(batch.document)
        event = self._bridge.system.records.deposit(self._account, batch.root, batch.count, listed)
        return batch.root, event


def _keep(store: BlobStore, block: bytes) -> None:
    store.put(block)
