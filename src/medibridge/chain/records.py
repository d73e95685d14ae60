"""Which sealed records exist, and who vouches for them."""

from __future__ import annotations

from collections.abc import Sequence

from eth_account.signers.local import LocalAccount

from medibridge.chain.contract import BoundContract, Past
from medibridge.chain.events import BatchDeposited
from medibridge.ids import Address, Digest, RecordDescription

__all__ = ["Records", "record_as_abi"]


class Records(BoundContract):
    """Batches of sealed records: one slot and one event each, whatever the count (protocol, section 4)."""

    NAME = "Records"

    def deposit(self, custodian: LocalAccount, root: bytes, count: int, batch_list: Digest) -> BatchDeposited:
        """Anchor a batch in the custodian's name: its 32-byte root, its number of records, its list's digest."""
        return self._write(custodian, BatchDeposited, "deposit", root, count, batch_list)

    def count_of(self, custodian: Address, root: bytes) -> int:
        """The number of records in the batch that the custodian deposited under this root; 0 if none."""
        return int(self._read("countOf", custodian, root))

    def is_deposited(self, record: RecordDescription, root: bytes, index: int, path: Sequence[bytes]) -> bool:
        """Whether the record's custodian has deposited it there (RFC 9162, section 2.1.3.2)."""
        return bool(self._read("isDeposited", record_as_abi(record), (root, index, list(path))))

    def deposits(self, custodian: Address | None = None) -> list[Past[BatchDeposited]]:
        """All deposits, oldest first; of one custodian only, where one is given."""
        return self._past(BatchDeposited, {} if custodian is None else {"custodian": custodian})


def record_as_abi(record: RecordDescription) -> tuple[object, ...]:
    """The struct in the order of the contract."""
    return (
        record.custodian,
        record.subject,
        int(record.data_class),
        record.epoch,
        record.deidentified,
        record.seal_id,
        record.manifest,
        record.salt,
    )
