"""Documents: one encoding each, and blocks that are hashed before use."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge.errors import BlockMissing, MalformedDocument, RecordAltered, UsageError
from medibridge.ids import cid_of
from medibridge.sealing.documents import (
    BLOCK_LIMIT,
    MAX_DEPTH,
    MAX_DOCUMENT,
    MOST_SMALL_ITEMS,
    PAGE_SIZE,
    decode,
    digest_of,
    encode,
    fetch_block,
    join,
    split,
)

plain = st.one_of(
    st.integers(-(2**64), 2**64 - 1), st.binary(max_size=40), st.text(max_size=20), st.booleans(), st.none()
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.integers(0, 2**32), inner, max_size=4),
        st.dictionaries(st.text(max_size=30), inner, max_size=4),
    ),
    max_leaves=12,
)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def stored(document):
    digest, blocks = split(document)
    return digest, {digest_of(block): block for block in blocks}


@given(values)
def test_decode_gives_back_what_encode_took(value):
    assert decode(encode(value)) == value


def test_encode_follows_the_examples_of_rfc_8949():
    assert encode([1, [2, 3]]).hex() == "8201820203"
    assert encode({"b": 2, "a": 1}).hex() == "a2616101616202"
    assert encode({23: None, 24: True, 5: b"\1"}).hex() == "a305410117f61818f5"


@given(st.binary(max_size=60))
def test_decode_takes_only_what_encode_writes(data):
    try:
        value = decode(data)
    except MalformedDocument:
        return
    assert encode(value) == data


@given(values, st.data())
def test_decode_refuses_a_document_that_is_cut(value, data):
    document = encode(value)
    with pytest.raises(MalformedDocument):
        decode(document[: data.draw(st.integers(0, len(document) - 1))])


@given(values, st.binary(min_size=1, max_size=5))
def test_decode_refuses_a_document_that_something_follows(value, more):
    with pytest.raises(MalformedDocument, match="should have"):
        decode(encode(value) + more)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("1801", "deterministic"),  # 1 in two bytes
        ("a201000000", "deterministic"),  # keys in the wrong order
        ("a200000001", "deterministic"),  # the same key twice
        ("9f01ff", "unknown length"),
        ("5f4101ff", "unknown length"),
        ("c24101", "tag or a float"),  # big number
        ("d81c81d81d00", "tag or a float"),  # a list that holds itself
        ("d8238161", "tag or a float"),  # regular expression
        ("f90000", "tag or a float"),
        ("f7", "tag or a float"),  # undefined
        ("e5", "tag or a float"),  # an unassigned simple value
        ("62ffff", "not valid CBOR"),  # text that is not UTF-8
        ("5b7fffffffffffffff", "should have"),  # a string of 8 EiB
        ("9b7fffffffffffffff", "ends too early"),  # a list of as many items
        ("bbffffffffffffffff", "ends too early"),
    ],
)
def test_decode_refuses_what_is_not_the_deterministic_form(data, reason):
    with pytest.raises(MalformedDocument, match=reason):
        decode(bytes.fromhex(data))


def test_decode_refuses_what_nests_too_deep():
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(MalformedDocument, match=f"deeper than the {MAX_DEPTH}"):
        decode(cbor2.dumps(nested(MAX_DEPTH + 1)))
    with pytest.raises(MalformedDocument, match="deeper"):
        decode(b"\x81" * 100_000 + b"\x01")


def test_decode_refuses_what_is_too_long():
    with pytest.raises(MalformedDocument, match=f"longer than the {MAX_DOCUMENT}"):
        decode(bytes(MAX_DOCUMENT + 1))


def test_decode_refuses_a_document_of_many_tiny_items_before_it_builds_them() -> None:
    """A hundred bytes of memory for each byte that a stranger published."""
    assert len(decode(cbor2.dumps([0] * MOST_SMALL_ITEMS))) == MOST_SMALL_ITEMS
    with pytest.raises(MalformedDocument, match="holds too many items"):
        decode(cbor2.dumps([0] * (MOST_SMALL_ITEMS + MOST_SMALL_ITEMS // 8)))
    assert len(decode(cbor2.dumps([bytes(32)] * 100_000))) == 100_000


@pytest.mark.parametrize("value", [1.5, {1, 2}, 2**64, -(2**64) - 1, object(), nested(MAX_DEPTH + 1), "\ud800"])
def test_encode_refuses_what_a_document_cannot_hold(value):
    with pytest.raises(MalformedDocument):
        encode(value)


def test_encode_keeps_the_value_out_of_the_message():
    with pytest.raises(MalformedDocument) as caught:
        encode({0: {"name": "Eve Everywoman", "value": object()}})
    assert "Eve" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("size", [0, 1, PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE, 2 * PAGE_SIZE + 7])
def test_join_gives_back_what_split_cut(size):
    document = (bytes(range(256)) * (size // 256 + 1))[:size]
    digest, blocks = split(document)
    assert digest == digest_of(blocks[-1])
    assert all(len(block) <= BLOCK_LIMIT for block in blocks)
    assert len(blocks) == (1 if size <= PAGE_SIZE else -(-size // PAGE_SIZE) + 1)
    assert join(digest, {digest_of(block): block for block in blocks}.__getitem__) == document


def test_split_refuses_a_document_that_is_too_long():
    with pytest.raises(UsageError, match=f"longer than {MAX_DOCUMENT}"):
        split(bytes(MAX_DOCUMENT + 1))


@given(st.data())
def test_join_names_the_block_that_is_altered(data):
    digest, blocks = stored(b"keyring" * 300_000)
    victim = data.draw(st.sampled_from(sorted(blocks)))
    block = bytearray(blocks[victim])
    block[data.draw(st.integers(0, len(block) - 1))] ^= data.draw(st.integers(1, 255))
    blocks[victim] = bytes(block)
    with pytest.raises(RecordAltered, match=cid_of(victim)):
        join(digest, blocks.__getitem__)


def test_join_names_a_block_that_is_swapped_for_another():
    digest, blocks = stored(b"keyring" * 300_000)
    with pytest.raises(RecordAltered, match=r"page 0 of a document \(bafkrei"):
        join(digest, lambda wanted: blocks[digest] if wanted != digest else blocks[wanted])


def test_join_lets_the_errors_of_the_store_through():
    def fetch(digest):
        raise BlockMissing("no store has it")

    with pytest.raises(BlockMissing, match="no store has it"):
        join(digest_of(b""), fetch)


PAGES = [b"a" * PAGE_SIZE, b"b" * PAGE_SIZE, b"c"]


@pytest.mark.parametrize(
    "head",
    [
        b"no CBOR",
        encode([1, b"document"]),
        encode({0: 2, 1: b"document"}),
        encode({0: True, 1: b"document"}),
        encode({0: 1, 1: b"document", 3: 0}),
        encode({0: 1, 1: "document"}),
        encode({0: 1, 1: bytes(PAGE_SIZE + 1)}),
        encode({0: 1, 2: []}),
        encode({0: 1, 2: [b"short"]}),
        encode({0: 1, 2: [1]}),
        encode({0: 1, 2: [bytes(32)] * 257}),
        encode({0: 1, 2: [digest_of(PAGES[2])]}),  # would fit into the head
        encode({0: 1, 2: [digest_of(PAGES[2]), digest_of(PAGES[0])]}),  # the short page first
        encode({0: 1, 2: [digest_of(page) for page in PAGES], 3: b""}),
    ],
)
def test_join_refuses_a_head_that_split_would_not_write(head):
    blocks = {digest_of(block): block for block in (*PAGES, head)}
    with pytest.raises(MalformedDocument, match=cid_of(digest_of(head))):
        join(digest_of(head), blocks.__getitem__)


def test_fetch_block_refuses_a_block_above_the_limit():
    block = bytes(BLOCK_LIMIT + 1)
    with pytest.raises(RecordAltered, match=r"the list \(bafkrei"):
        fetch_block(digest_of(block), lambda digest: block, "the list")
