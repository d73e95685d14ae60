"""The judge of what a key opens, against records that Python sealed. It writes nothing: these are questions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from isolation import given, on_the_chain
from refusals import reverts
from sales import digest
from sealed import CHUNK_SIZE, Sealed, content_of, sealed

from medibridge.errors import MalformedDocument
from medibridge.sealing.chunks import cipher_hash, key_hash, padded_size
from medibridge.sealing.records import RecordKey, WrongChunk, find_fault

GOODS = sealed(content_of(34_816))
"""Two full chunks and one of 2 048 bytes."""


def judged(fair_exchange: Any, goods: Sealed, index: int) -> bool:
    """Whether this chunk of the goods is wrong."""
    chunk = goods.chunks[index]
    return bool(fair_exchange.isWrongChunk(goods.seal_id, goods.proof(index), chunk.key, chunk.ciphertext))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_is_wrong_chunk_says_no_to_what_was_promised(fair_exchange, index):
    assert judged(fair_exchange, GOODS, index) is False
    assert judged(fair_exchange, GOODS.with_spoiled_tag(index), index) is False


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("at", [0, 63, 64, -1])
def test_is_wrong_chunk_says_yes_when_one_byte_differs(fair_exchange, index, at):
    promised = bytearray(GOODS.chunks[index].promised)
    promised[at] ^= 1

    assert judged(fair_exchange, GOODS.promising(index, bytes(promised)), index) is True


@pytest.mark.parametrize("size", [0, 1, 16, 17, CHUNK_SIZE - 1, CHUNK_SIZE + 1, CHUNK_SIZE + 64])
def test_is_wrong_chunk_says_yes_when_the_length_is_not_that_of_the_seal(fair_exchange, size):
    """Though all three hashes match, and the tag too."""
    assert judged(fair_exchange, GOODS.resized(0, bytes(size)), 0) is True


@pytest.mark.parametrize("length", [0, 1, 15])
def test_is_wrong_chunk_says_yes_when_there_is_not_even_a_tag(fair_exchange, length):
    assert judged(fair_exchange, GOODS.altered(2, ciphertext=bytes(length)), 2) is True


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE, 34_815, 34_817, 3 * CHUNK_SIZE + 1, 2**64 - 1])
def test_is_wrong_chunk_says_yes_of_the_last_chunk_when_the_seal_lies_about_its_size(fair_exchange, size):
    """Whoever bought it unread by a client of ours is paid back all the same; ours refuses the manifest."""
    lying = replace(GOODS, size=size)

    assert judged(fair_exchange, lying, 2) is True
    with pytest.raises(MalformedDocument):
        _ = lying.manifest


def test_is_wrong_chunk_says_yes_when_the_seal_lies_about_its_count(fair_exchange):
    """Of four chunks, the last of which is nowhere: the first two still stand in such a tree."""
    lying = replace(GOODS, count=4)

    assert judged(fair_exchange, lying, 0) is True


def test_is_wrong_chunk_is_refused_when_the_key_is_not_the_promised_one(fair_exchange):
    chunk, other = GOODS.chunks[2], digest("other")
    with reverts("ChunkKeyIsNot", 2, key_hash(chunk.key), key_hash(other)):
        fair_exchange.isWrongChunk(GOODS.seal_id, GOODS.proof(2), other, chunk.ciphertext)


def test_is_wrong_chunk_is_refused_when_the_bytes_are_not_the_promised_ones(fair_exchange):
    chunk = GOODS.chunks[2]
    for other in (b"", chunk.ciphertext[:-1], chunk.ciphertext + b"\0", GOODS.chunks[1].ciphertext):
        with reverts("CiphertextIsNot", 2, cipher_hash(chunk.ciphertext), cipher_hash(other)):
            fair_exchange.isWrongChunk(GOODS.seal_id, GOODS.proof(2), chunk.key, other)


def test_is_wrong_chunk_is_refused_when_seal_or_place_are_others(fair_exchange):
    chunk = GOODS.chunks[2]
    for seal_id, proof, error in (
        (digest("seal"), GOODS.proof(2), ("SealIsNot", digest("seal"), GOODS.seal_id)),
        (GOODS.seal_id, GOODS.proof(2)._replace(index=1), ("ChunkNotInSeal", GOODS.seal_id, 1)),
    ):
        with reverts(*error):
            fair_exchange.isWrongChunk(seal_id, proof, chunk.key, chunk.ciphertext)


@given(
    size=st.integers(1, 300) | st.integers(CHUNK_SIZE - 20, CHUNK_SIZE + 2_000),
    key=st.binary(min_size=32, max_size=32),
    seed=st.integers(0, 255),
    fault=st.sampled_from(["none", "tag", "plaintext"]),
    where=st.integers(0, 2**16),
)
@on_the_chain(24)
def test_is_wrong_chunk_judges_as_the_client_does(
    fair_exchange: Any, size: int, key: bytes, seed: int, fault: str, where: int
) -> None:
    """The two halves of the project, Python and Solidity, say the same of any record, key and place."""
    goods = sealed(bytes((seed + at) % 256 for at in range(size)), RecordKey.from_bytes(key))
    assert goods.size == padded_size(size)
    index = where % goods.count
    if fault == "tag":
        goods = goods.with_spoiled_tag(index)
    elif fault == "plaintext":
        promised = bytearray(goods.chunks[index].promised)
        promised[where % len(promised)] ^= 1 + seed % 255
        goods = goods.promising(index, bytes(promised))

    found = find_fault(goods.manifest, goods.key, goods.fetch)

    assert found == (WrongChunk(index) if fault == "plaintext" else None)
    for at in range(goods.count):
        assert judged(fair_exchange, goods, at) is (found == WrongChunk(at))
