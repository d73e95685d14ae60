"""Blocks in memory."""

import pytest
from store_behaviour import StoreBehaviour

from medibridge.errors import BlockAltered
from medibridge.storage import MemoryStore


class TestMemoryStore(StoreBehaviour):
    @pytest.fixture
    def store(self):
        return MemoryStore()


def test_get_says_altered_when_the_bytes_are_others():
    blocks = {}
    cid = MemoryStore(blocks).put(b"one block")
    blocks[cid] = b"another block"
    with pytest.raises(BlockAltered, match=f"other bytes than block {cid}; put it again"):
        MemoryStore(blocks).get(cid)


def test_put_heals_when_the_block_was_altered():
    blocks = {}
    cid = MemoryStore(blocks).put(b"one block")
    blocks[cid] = b"another block"
    MemoryStore(blocks).put(b"one block")
    assert MemoryStore(blocks).get(cid) == b"one block"
