"""Real sealed records, honest ones and spoiled ones, and what a dispute shows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from medibridge.ids import Digest, SealId
from medibridge.sealing import merkle
from medibridge.sealing.chunks import (
    CHUNK_SIZE,
    HASHES_SIZE,
    TAG_SIZE,
    chunk_key,
    cipher_hash,
    key_hash,
    padded_size,
    plain_hash,
    seal_chunk,
)
from medibridge.sealing.documents import digest_of
from medibridge.sealing.records import BLOCK_CHUNKS, Manifest, RecordKey, Seal

__all__ = ["CHUNK_SIZE", "TAG_SIZE", "Chunk", "ChunkProof", "Sealed", "content_of", "sealed"]


class ChunkProof(NamedTuple):
    """`IFairExchange.ChunkProof`, field by field."""

    tree_root: bytes
    chunks: int
    size: int
    index: int
    key_hash: bytes
    cipher_hash: bytes
    plain_hash: bytes
    path: list[bytes]


@dataclass(frozen=True)
class Chunk:
    """One chunk as a sealer made it: its key, its ciphertext with tag, and the plaintext that its hash promises."""

    key: bytes
    ciphertext: bytes
    promised: bytes

    @property
    def hashes(self) -> bytes:
        return key_hash(self.key) + cipher_hash(self.ciphertext) + plain_hash(self.key, self.promised)


@dataclass(frozen=True)
class Sealed:
    """A sealed record with all that its sealer knows. `count` and `size` are what its seal says of itself."""

    key: RecordKey
    chunks: tuple[Chunk, ...]
    count: int
    size: int

    @cached_property
    def leaves(self) -> list[bytes]:
        return [merkle.leaf(chunk.hashes) for chunk in self.chunks]

    @cached_property
    def seal(self) -> Seal:
        return Seal(merkle.root(self.leaves), self.count, self.size)

    @property
    def seal_id(self) -> SealId:
        return self.seal.seal_id

    @cached_property
    def blocks(self) -> dict[Digest, bytes]:
        """What lies in storage, by its digest."""
        each = [chunk.ciphertext for chunk in self.chunks]
        blocks = (b"".join(each[at : at + BLOCK_CHUNKS]) for at in range(0, len(each), BLOCK_CHUNKS))
        return {digest_of(block): block for block in blocks}

    @cached_property
    def manifest(self) -> Manifest:
        """What the buyer fetches and checks. Raises `MalformedDocument` for sizes that do not fit each other."""
        return Manifest(self.size, b"".join(chunk.hashes for chunk in self.chunks), tuple(self.blocks), ())

    def fetch(self, digest: Digest) -> bytes:
        """The block of a digest."""
        return self.blocks[digest]

    def proof(self, index: int) -> ChunkProof:
        """What a dispute over this chunk shows."""
        hashes = self.chunks[index].hashes
        three = (hashes[at : at + 32] for at in range(0, HASHES_SIZE, 32))
        path = merkle.path(self.leaves, index)
        return ChunkProof(self.seal.tree_root, self.count, self.size, index, *three, path)

    def promising(self, index: int, plaintext: bytes) -> Sealed:
        """The same record, but for one plaintext hash: a promise that the chunk does not keep."""
        return self.altered(index, promised=plaintext)

    def with_spoiled_tag(self, index: int) -> Sealed:
        """The same record, but for a bit of one Poly1305 tag: a promise that is kept all the same."""
        ciphertext = bytearray(self.chunks[index].ciphertext)
        ciphertext[-1] ^= 1
        return self.altered(index, ciphertext=bytes(ciphertext))

    def resized(self, index: int, plaintext: bytes) -> Sealed:
        """The same record with one chunk of this plaintext: of another size than the seal's."""
        own = self.chunks[index].key
        return self.altered(index, ciphertext=encrypted(own, index, self.count, plaintext), promised=plaintext)

    def altered(self, index: int, **changes: Any) -> Sealed:
        """The same record with one chunk made otherwise."""
        chunks = list(self.chunks)
        chunks[index] = replace(chunks[index], **changes)
        return replace(self, chunks=tuple(chunks))


def content_of(padded: int) -> bytes:
    """Content that is sealed as this many padded bytes."""
    assert padded_size(padded - 8) == padded
    return bytes(at % 251 for at in range(padded - 8))


def sealed(content: bytes, key: RecordKey | None = None, key_of: Callable[[bytes, int], bytes] = chunk_key) -> Sealed:
    """The content as `medibridge.sealing.records.seal` would seal it; chunk keys from elsewhere, if asked."""
    key = key or RecordKey.from_bytes(digest_of(b"record key"))
    size = padded_size(len(content))
    plain = (len(content).to_bytes(8, "big") + content).ljust(size, b"\0")
    count = -(-size // CHUNK_SIZE)
    chunks = []
    for index in range(count):
        each = plain[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE]
        own = key_of(key.expose(), index)
        chunks.append(Chunk(own, encrypted(own, index, count, each), each))
    return Sealed(key, tuple(chunks), count, size)


def encrypted(own_key: bytes, index: int, count: int, plaintext: bytes) -> bytes:
    """The ciphertext of one chunk, tag included."""
    ciphertext = bytearray(len(plaintext) + TAG_SIZE)
    seal_chunk(own_key, index, count, plaintext, ciphertext)
    return bytes(ciphertext)
