"""The judge of a delivered key, against records that Python sealed. It writes nothing: these are questions."""

from __future__ import annotations

import pytest
from refusals import reverts
from sales import digest
from sealed import content_of, sealed

from medibridge.sealing import merkle
from medibridge.sealing.chunks import chunk_key, key_hash
from medibridge.sealing.records import Seal

GOODS = sealed(content_of(34_816))
K = GOODS.key.expose()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_is_wrong_key_says_no_to_the_promised_key_and_yes_to_any_other(fair_exchange, index):
    flipped = bytes([K[0] ^ 1]) + K[1:]

    assert fair_exchange.isWrongKey(GOODS.seal_id, GOODS.proof(index), K) is False
    for other in (flipped, bytes(32), digest("other"), GOODS.chunks[index].key):
        assert fair_exchange.isWrongKey(GOODS.seal_id, GOODS.proof(index), other) is True


@pytest.mark.parametrize("chunks", [1, 2, 4, 5, 7])
def test_is_wrong_key_takes_a_record_of_any_shape(fair_exchange, chunks):
    goods = sealed(content_of(chunks * 16_384))

    for index in range(chunks):
        assert fair_exchange.isWrongKey(goods.seal_id, goods.proof(index), K) is False


def test_is_wrong_key_sees_a_chunk_key_that_derives_from_another_place(fair_exchange):
    """[attack] Two chunks under one key: the second's key is that of the first."""
    goods = sealed(content_of(34_816), key_of=lambda key, index: chunk_key(key, 0))

    assert fair_exchange.isWrongKey(goods.seal_id, goods.proof(0), K) is False
    assert fair_exchange.isWrongKey(goods.seal_id, goods.proof(1), K) is True


@pytest.mark.parametrize(
    "changes",
    [{"tree_root": bytes(32)}, {"chunks": 4}, {"chunks": 2}, {"chunks": 0}, {"size": 34_815}, {"size": 2**64 - 1}],
    ids=str,
)
def test_is_wrong_key_is_refused_when_the_seal_is_another(fair_exchange, changes):
    proof = GOODS.proof(0)._replace(**changes)

    with reverts("SealIsNot", GOODS.seal_id, Seal(proof.tree_root, proof.chunks, proof.size).seal_id):
        fair_exchange.isWrongKey(GOODS.seal_id, proof, K)


NEXT = GOODS.proof(1)
FIRST = GOODS.proof(0)


@pytest.mark.parametrize(
    "proof",
    [
        FIRST._replace(key_hash=key_hash(digest("other"))),
        FIRST._replace(cipher_hash=bytes(32)),
        FIRST._replace(plain_hash=bytes(32)),
        FIRST._replace(index=1),
        FIRST._replace(index=3),
        FIRST._replace(index=2**64 - 1),
        FIRST._replace(path=NEXT.path),
        FIRST._replace(path=FIRST.path[:1]),
        FIRST._replace(path=[*FIRST.path, bytes(32)]),
        FIRST._replace(path=[]),
        FIRST._replace(key_hash=NEXT.key_hash, cipher_hash=NEXT.cipher_hash, plain_hash=NEXT.plain_hash),
    ],
)
def test_is_wrong_key_is_refused_when_the_chunk_does_not_stand_there(fair_exchange, proof):
    with reverts("ChunkNotInSeal", GOODS.seal_id, proof.index):
        fair_exchange.isWrongKey(GOODS.seal_id, proof, K)


def test_is_wrong_key_is_refused_when_an_inner_node_is_shown_as_a_chunk(fair_exchange):
    """[attack] A second preimage: 64 bytes of hashes are no 96, and nodes have another tag."""
    left, right, last = GOODS.leaves
    node = merkle.root([left, right])
    for index, path in ((0, [last]), (2, [node]), (0, [right, last])):
        proof = FIRST._replace(key_hash=left, cipher_hash=right, plain_hash=node, index=index, path=path)
        with reverts("ChunkNotInSeal", GOODS.seal_id, index):
            fair_exchange.isWrongKey(GOODS.seal_id, proof, K)
