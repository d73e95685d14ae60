"""Blocks in memory: for tests, and for a demonstration without a daemon."""

from __future__ import annotations

from collections.abc import Iterable

from medibridge.errors import BlockMissing
from medibridge.ids import Cid, digest_of_cid
from medibridge.storage.blobs import BlobStore, name_of, verified

__all__ = ["MemoryStore"]


class MemoryStore(BlobStore):
    """A `BlobStore` that is gone with the process.

    `blocks` is where the blocks are kept, so that stores can share them.
    """

    def __init__(self, blocks: dict[Cid, bytes] | None = None) -> None:
        self._blocks = {} if blocks is None else blocks

    def put(self, block: bytes) -> Cid:
        """See `BlobStore.put`."""
        cid = name_of(block)
        self._blocks[cid] = bytes(block)
        return cid

    def put_many(self, blocks: Iterable[bytes]) -> list[Cid]:
        """See `BlobStore.put_many`."""
        return [self.put(block) for block in blocks]

    def get(self, cid: Cid) -> bytes:
        """See `BlobStore.get`."""
        digest_of_cid(cid)
        if cid not in self._blocks:
            raise BlockMissing(f"the memory store has no block {cid}; put it again from its source")
        return verified(cid, self._blocks[cid], place="the memory store", remedy="put it again from its source")

    def has(self, cid: Cid) -> bool:
        """See `BlobStore.has`."""
        digest_of_cid(cid)
        return cid in self._blocks

    def delete(self, cid: Cid) -> None:
        """See `BlobStore.delete`."""
        digest_of_cid(cid)
        self._blocks.pop(cid, None)
