"""Documents: deterministic CBOR, and blocks small enough for every store.

Manifests, keyrings, key cards and batch lists are documents. A document is *encoded*
(RFC 8949, section 4.2.1, Core Deterministic Encoding), then *split* into blocks that are
named by their SHA-256. The last block is the head; its digest is the document's digest.

A head block is itself a deterministic CBOR map::

    {0: 1, 1: document}                 the document fits into the head
    {0: 1, 2: [digest, digest, ...]}    pages of PAGE_SIZE bytes, the last one shorter or equal
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import cbor2

from medibridge.errors import MalformedDocument, RecordAltered, UsageError
from medibridge.ids import Digest, cid_of

__all__ = [
    "BLOCK_LIMIT",
    "MAX_DEPTH",
    "MAX_DOCUMENT",
    "MOST_SMALL_ITEMS",
    "PAGE_SIZE",
    "decode",
    "digest_of",
    "encode",
    "fetch_block",
    "join",
    "split",
]

BLOCK_LIMIT: Final = 1 << 20
"""No block is larger than this many bytes."""

PAGE_SIZE: Final = 984_000
"""Bytes of a page: as large as a record's block, so below the request limit of every IPFS daemon."""

MAX_PAGES: Final = 256
MAX_DOCUMENT: Final = MAX_PAGES * PAGE_SIZE
"""No document is larger than this many bytes (252 million)."""

MOST_SMALL_ITEMS: Final = 1 << 16
"""A document holds no more items than these, and one for every 16 bytes: an item of a byte takes a hundred to read."""

MAX_DEPTH: Final = 16
"""Arrays and maps nest at most this deep."""

_HEAD_VERSION = 1
_FALSE, _TRUE, _NULL = 0xF4, 0xF5, 0xF6


def encode(value: object) -> bytes:
    """The one deterministic encoding of a value (RFC 8949, section 4.2.1).

    A value is made of integers of at most 64 bits, bytes, text, booleans, ``None``, and lists,
    tuples and mappings of these. The keys of one mapping are all of one kind: integers, text or
    bytes (among these, both orders that RFC 8949 knows for keys agree).

    Raises `MalformedDocument` for any other value, deeper than `MAX_DEPTH`, longer than `MAX_DOCUMENT`, or of more
    items than `MOST_SMALL_ITEMS` allows.
    """
    try:
        data = cbor2.dumps(value, canonical=True)
    except (cbor2.CBOREncodeError, ValueError):
        raise MalformedDocument("only numbers, bytes, text, lists and maps can be put into a document") from None
    _check_shape(data)
    return data


def decode(data: bytes) -> Any:
    """The value of a document; arrays come back as lists.

    Raises `MalformedDocument` for bytes that `encode` would not have written: cut or followed by
    others, not in the deterministic form, too deep, too long, or holding tags or floats.
    """
    _check_shape(data)
    try:
        value = cbor2.loads(data)
        again = cbor2.dumps(value, canonical=True)
    except (cbor2.CBORDecodeError, cbor2.CBOREncodeError, TypeError):
        raise MalformedDocument("a document is not valid CBOR; fetch it again or ask its author for it") from None
    if again != data:
        raise MalformedDocument("a document is not in the deterministic form of CBOR; ask its author for it")
    return value


def _check_shape(data: bytes) -> None:
    """Walk over the item heads before any object is made of them, so that nothing costly is ever built.

    Tags are refused: a CBOR library turns them into dates, fractions, patterns or cycles.
    """
    if len(data) > MAX_DOCUMENT:
        raise MalformedDocument(f"a document of {len(data)} bytes is longer than the {MAX_DOCUMENT} allowed")
    position, end = 0, len(data)
    expected = [1]  # items still to come, for each array or map that is open
    spare = MOST_SMALL_ITEMS + end // 16
    while expected:
        if expected[-1] == 0:
            expected.pop()
            continue
        expected[-1] -= 1
        spare -= 1
        if spare < 0:
            raise MalformedDocument(f"a document of {end} bytes holds too many items; ask its author for another")
        if position >= end:
            raise MalformedDocument(f"a document ends too early, after {end} bytes; fetch it again")
        head = data[position]
        major, argument = head >> 5, head & 0x1F
        position += 1
        if 24 <= argument < 28:
            width = 1 << argument - 24
            argument = int.from_bytes(data[position : position + width], "big")
            position += width
        elif argument >= 28:
            raise MalformedDocument(f"byte {position - 1} of a document opens an item of unknown length; not allowed")
        if major in (2, 3):
            position += argument
        elif major in (4, 5):
            if len(expected) > MAX_DEPTH:
                raise MalformedDocument(f"a document nests deeper than the {MAX_DEPTH} levels allowed")
            expected.append(argument * (major - 3))
        elif major == 6 or (major == 7 and head not in (_FALSE, _TRUE, _NULL)):
            raise MalformedDocument(f"byte {position - 1} of a document is a tag or a float; neither is allowed")
    if position != end:
        raise MalformedDocument(f"a document of {end} bytes should have {position}; fetch it again")


def digest_of(block: bytes) -> Digest:
    """The SHA-256 of a block: its name in every store, and inside its CID."""
    return Digest(hashlib.sha256(block).digest())


def fetch_block(digest: Digest, fetch: Callable[[Digest], bytes], what: str = "a block") -> bytes:
    """Fetch one block and hash it before anybody uses it.

    `what` names the block in the message. Raises `RecordAltered`, naming the CID; what `fetch`
    raises passes through.
    """
    block = fetch(digest)
    if len(block) > BLOCK_LIMIT or digest_of(block) != digest:
        raise RecordAltered(f"{what} ({cid_of(digest)}) is not what its name promises; fetch it from another store")
    return block


def split(document: bytes) -> tuple[Digest, list[bytes]]:
    """Cut a document into blocks of at most `BLOCK_LIMIT` bytes, in the order in which to store them.

    Returns the document's digest and the blocks; the head, whose digest that is, comes last.
    Raises `UsageError` above `MAX_DOCUMENT` bytes.
    """
    if len(document) > MAX_DOCUMENT:
        raise UsageError(f"a document of {len(document)} bytes is longer than {MAX_DOCUMENT}; make several of it")
    if len(document) <= PAGE_SIZE:
        head = encode({0: _HEAD_VERSION, 1: document})
        return digest_of(head), [head]
    pages = [document[at : at + PAGE_SIZE] for at in range(0, len(document), PAGE_SIZE)]
    head = encode({0: _HEAD_VERSION, 2: [digest_of(page) for page in pages]})
    return digest_of(head), [*pages, head]


def join(head_digest: Digest, fetch: Callable[[Digest], bytes]) -> bytes:
    """Fetch a document by its digest; the inverse of `split`.

    Every block is hashed before use. Raises `RecordAltered`, naming the CID of the block that is
    not what its name promises, and `MalformedDocument` where `split` would have cut otherwise.
    """
    malformed = MalformedDocument(f"{cid_of(head_digest)} is not the head of a document; ask its author for another")
    head = fetch_block(head_digest, fetch, "the head of a document")
    try:
        content = decode(head)
    except MalformedDocument:
        raise malformed from None
    match content:
        case {0: 1, 1: bytes(document)}:
            pass
        case {0: 1, 2: list(digests)} if len(digests) <= MAX_PAGES and all(map(_is_digest, digests)):
            pages = [fetch_block(page, fetch, f"page {number} of a document") for number, page in enumerate(digests)]
            document = b"".join(pages)
        case _:
            raise malformed
    if len(document) > MAX_DOCUMENT or split(document)[0] != head_digest:
        raise malformed
    return document


def _is_digest(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32
