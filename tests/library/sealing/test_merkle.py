"""Trees in the shape of RFC 9162."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge.errors import UsageError
from medibridge.sealing import merkle

ENTRIES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (  # the test vectors that all implementations of Certificate Transparency share
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = [merkle.leaf(bytes.fromhex(entry)) for entry in ENTRIES]
PATH_OF_0_IN_8 = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)


def leaves_of(size):
    return [merkle.leaf(number.to_bytes(4, "big")) for number in range(size)]


def obvious_root(leaves):
    """MTH as RFC 9162, section 2.1.1 has it."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + obvious_root(leaves[:k]) + obvious_root(leaves[k:])).digest()


trees = st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


def test_root_is_the_published_one():
    assert [merkle.root(LEAVES[:size]).hex() for size in range(1, 9)] == list(ROOTS)


def test_path_is_the_published_one():
    assert [step.hex() for step in merkle.path(LEAVES, 0)] == list(PATH_OF_0_IN_8)


@given(st.integers(1, 300))
def test_root_is_that_of_the_recursive_definition(size):
    assert merkle.root(leaves_of(size)) == obvious_root(leaves_of(size))


@given(trees)
def test_verify_accepts_every_path(tree):
    size, index = tree
    leaves = leaves_of(size)
    assert merkle.verify(merkle.root(leaves), size, index, leaves[index], merkle.path(leaves, index))


@given(trees, st.integers(0, 70))
def test_verify_refuses_another_index(tree, other):
    size, index = tree
    leaves = leaves_of(size)
    accepted = merkle.verify(merkle.root(leaves), size, other, leaves[index], merkle.path(leaves, index))
    assert accepted == (other == index)


@given(trees, st.data())
def test_verify_refuses_a_path_that_is_altered_cut_or_longer(tree, data):
    size, index = tree
    leaves = leaves_of(size)
    root, path = merkle.root(leaves), merkle.path(leaves, index)
    assert not merkle.verify(root, size, index, leaves[index], [*path, bytes(32)])
    assert not merkle.verify(root, size, index, leaves[index], [bytes(32), *path])
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        assert not merkle.verify(root, size, index, leaves[index], path[:place] + path[place + 1 :])
        path[place] = bytes(a ^ 1 for a in path[place])
        assert not merkle.verify(root, size, index, leaves[index], path)


def test_verify_refuses_an_inner_node_as_leaf():
    node = sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()
    path = merkle.path(LEAVES[:4], 0)[1:]
    assert not merkle.verify(merkle.root(LEAVES[:4]), 4, 0, node, path)


def test_verify_refuses_steps_and_leaves_of_another_length():
    root = merkle.root(LEAVES[:2])
    longer = LEAVES[1] + b"\0"
    root_over_it = sha256(b"\x01" + LEAVES[0] + longer).digest()
    assert not merkle.verify(root_over_it, 2, 0, LEAVES[0], [longer])
    assert not merkle.verify(root, 2, 0, LEAVES[0][:31], [LEAVES[1]])
    assert not merkle.verify(root, 0, 0, LEAVES[0], [])
    assert not merkle.verify(root, 2, -1, LEAVES[1], [LEAVES[0]])


@pytest.mark.parametrize("leaves", [[], [b"short"], [bytes(32), bytes(33)]])
def test_root_refuses_no_leaves_and_unhashed_entries(leaves):
    with pytest.raises(UsageError, match="at least one leaf, and leaves are 32 bytes"):
        merkle.root(leaves)


@pytest.mark.parametrize("index", [-1, 8])
def test_path_refuses_an_index_outside_the_tree(index):
    with pytest.raises(UsageError, match=f"tree of 8 leaves has none at {index}"):
        merkle.path(LEAVES, index)
