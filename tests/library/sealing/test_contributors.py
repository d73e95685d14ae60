"""Shares in a sale: sums are exact, every leaf proves, nobody stands there twice."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge.errors import UsageError
from medibridge.ids import address
from medibridge.sealing.contributors import MAX_TOTAL, Share, ShareTree, equal_shares, proved_subject, verify_share


def account(number):
    return address(f"0x{number:040x}")


def share(number, part=1):
    return Share(account(number), account(10_000 + number), part, sha256(str(number).encode()).digest())


SHARES = st.lists(
    st.tuples(st.integers(1, 999), st.integers(1, 2**100)), min_size=1, max_size=40, unique_by=lambda s: s[0]
)


def node(left, right):
    parts = left[0].to_bytes(16, "big") + left[1] + right[0].to_bytes(16, "big") + right[1]
    return left[0] + right[0], sha256(b"\x0b" + parts).digest()


def plain_root(nodes):
    """RFC 9162, section 2.1.1, with sums: split at the greatest power of two below the size."""
    if len(nodes) == 1:
        return nodes[0]
    half = 1 << (len(nodes) - 1).bit_length() - 1
    return node(plain_root(nodes[:half]), plain_root(nodes[half:]))


@settings(max_examples=60)
@given(SHARES)
def test_every_share_proves_and_the_sums_are_exact(rows):
    tree = ShareTree([share(*row) for row in rows])
    assert tree.total == sum(part for _, part in rows)
    assert (tree.total, tree.root) == plain_root([(each.share, each.leaf) for each in tree.shares])
    numbers = tree.size.to_bytes(8, "big") + tree.total.to_bytes(16, "big")
    assert tree.subject == sha256(b"\x0d" + tree.root + numbers).digest()
    for number, part in rows:
        proof = tree.proof(account(number))
        assert proof.share == part
        assert verify_share(tree.subject, tree.root, proof)
        assert proved_subject(proof) == tree.subject
        assert account(number) not in repr(proof)


@settings(max_examples=60)
@given(SHARES, st.data())
def test_no_altered_proof_verifies(rows, data):
    tree = ShareTree([share(*row) for row in rows])
    proof = tree.proof(account(data.draw(st.sampled_from(rows))[0]))
    altered = [
        replace(proof, share=proof.share + 1),
        replace(proof, payout=account(77_777)),
        replace(proof, hidden=bytes(32)),
        replace(proof, index=proof.index + 1),
        replace(proof, index=-1),
        replace(proof, size=proof.size + 1),
        replace(proof, total=proof.total + 1),
        replace(proof, path=(*proof.path, (1, bytes(32)))),
    ]
    altered += [
        replace(proof, path=(*proof.path[:at], (number + 1, step), *proof.path[at + 1 :]))
        for at, (number, step) in enumerate(proof.path)
    ]
    altered += [replace(proof, path=proof.path[:-1])] if proof.path else []
    assert not any(verify_share(tree.subject, tree.root, each) for each in altered)
    assert tree.subject not in {proved_subject(each) for each in altered}
    assert not verify_share(bytes(32), tree.root, proof)


def test_the_leaf_is_that_of_the_protocol():
    one = Share(account(1), account(2), 3, b"s" * 32)
    hidden = sha256(b"\x0e" + b"s" * 32 + bytes(19) + b"\x01").digest()
    assert one.hidden == hidden
    assert one.leaf == sha256(b"\x0c" + bytes(19) + b"\x02" + (3).to_bytes(16, "big") + hidden).digest()


def test_equal_shares_give_one_part_and_a_salt_of_its_own_to_each():
    shares = equal_shares({account(number): account(number) for number in range(1, 20)})
    assert {each.share for each in shares} == {1}
    assert len({each.salt for each in shares}) == 19


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ([], "at least one contributor"),
        ([share(1), replace(share(1), salt=b"t" * 32)], "stands twice"),
        ([share(1, 0)], "above zero"),
        ([share(1), replace(share(2), salt=share(1).salt)], "salt"),
        ([replace(share(1), salt=b"short")], "salt"),
        ([share(1, MAX_TOTAL), share(2, 1)], "128 bits"),
    ],
)
def test_share_tree_refuses_what_is_not_fair(shares, words):
    with pytest.raises(UsageError, match=words):
        ShareTree(shares)


def test_proof_refuses_a_stranger():
    with pytest.raises(UsageError, match="no contributor"):
        ShareTree([share(1)]).proof(account(2))
