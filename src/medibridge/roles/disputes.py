"""The proof that a delivered key, or what it opens, is not what was sold (protocol, section 6, steps 6 and 7)."""

from __future__ import annotations

from dataclasses import dataclass, field

from medibridge.chain import ChunkProof
from medibridge.sealing.chunks import CHUNK_SIZE, chunk_key, key_hash
from medibridge.sealing.records import Fetch, Manifest, RecordKey, WrongChunk, WrongKey, read_chunk

__all__ = ["Fault", "chunk_evidence", "chunk_proof", "shown_by"]

Fault = WrongKey | WrongChunk
"""What a seller did wrong, as a contract can see it."""


@dataclass(frozen=True)
class ChunkEvidence:
    """A chunk with the key that it was promised under: what the contract decrypts itself."""

    chunk_key: bytes = field(repr=False)
    chunk: bytes = field(repr=False)


def chunk_proof(manifest: Manifest, index: int) -> ChunkProof:
    """One chunk's hashes, and the proof that they stand in the seal."""
    seal = manifest.seal
    return ChunkProof(
        tree_root=seal.tree_root,
        chunks=seal.chunks,
        size=seal.size,
        index=index,
        hashes=manifest.chunk_hashes(index),
        path=tuple(manifest.path(index)),
    )


def chunk_evidence(manifest: Manifest, key: RecordKey, index: int, fetch: Fetch) -> ChunkEvidence:
    """What proves a wrong chunk. Raises `RecordAltered`, and what `fetch` raises."""
    return ChunkEvidence(chunk_key(key.expose(), index), read_chunk(manifest, index, fetch))


def shown_by(fault: Fault, manifest: Manifest, key: RecordKey) -> str:
    """What becomes public when a fault is proved, as a sentence."""
    if isinstance(fault, WrongChunk):
        size = min(CHUNK_SIZE, manifest.size - fault.index * CHUNK_SIZE)
        return (
            f"chunk {fault.index + 1} of {manifest.seal.chunks} and its key become public: {size} of the record's "
            f"{manifest.size} bytes, as the seller sealed them"
        )
    opened = sum(
        key_hash(chunk_key(key.expose(), index)) == manifest.chunk_hashes(index)[:32]
        for index in range(manifest.seal.chunks)
    )
    told = "the delivered key becomes public, and your secret of this purchase, which is good for nothing else"
    if opened:
        return f"{told}; whoever has the ciphertext can then read the {opened} chunks that this key does open"
    return f"{told}; it opens nothing of this record"
