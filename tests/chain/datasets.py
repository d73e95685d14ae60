"""The contributors of a dataset, as the contracts take their shares and proofs, and a record about all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from eth_utils.address import to_checksum_address
from sales import Batch, digest, record_of

from medibridge.ids import Address
from medibridge.sealing import contributors
from medibridge.sealing.contributors import ShareTree


class Share(NamedTuple):
    """What one contributor gets of every sale, field by field."""

    payout: str
    share: int
    hidden: bytes


class ShareProof(NamedTuple):
    """Where a share stands in the tree, field by field."""

    index: int
    size: int
    total: int
    sums: list[int]
    hashes: list[bytes]


def account(name: object) -> Address:
    """An account that nobody has the key of."""
    return Address(to_checksum_address(digest(f"account {name}")[:20]))


def contributor(patient: Any, share: int = 1) -> contributors.Share:
    """A patient (an account, or an address), paid at a fresh account."""
    who = Address(getattr(patient, "address", patient))
    return contributors.Share(who, account(f"payout of {who}"), share, digest(f"salt of {who}"))


def claim_of(tree: ShareTree, patient: Any) -> tuple[Share, ShareProof]:
    """What is shown for a patient's share: the share and the proof of its place."""
    proof = tree.proof(Address(getattr(patient, "address", patient)))
    sums, hashes = ([step[part] for step in proof.path] for part in (0, 1))
    share = Share(proof.payout, proof.share, proof.hidden)
    return share, ShareProof(proof.index, proof.size, proof.total, sums, hashes)


def dataset_of(custodian: Any, subject: bytes, name: object = "dataset") -> Batch:
    """A batch of one record, about all who are committed to by `subject`."""
    return Batch((replace(record_of(custodian, custodian, name), subject=subject),))
