"""content: a record and its attachments as one stream, and back."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge.content import Contents, content_of
from medibridge.errors import MalformedMessage
from medibridge.ids import DataClass
from medibridge.record import Attachment, Record

RECORD = Record(DataClass.IMAGING, ({"resourceType": "ImagingStudy", "id": "s", "description": "two\nlines"},))


def attached(data: bytes) -> Attachment:
    return Attachment.of(DataClass.IMAGING, "application/dicom", lambda: io.BytesIO(data))


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@given(bodies=st.lists(st.binary(max_size=60), max_size=4), size=st.integers(1, 50))
def test_contents_give_back_what_content_of_joined_however_it_is_cut(bodies, size):
    stream, length = content_of(RECORD, [attached(body) for body in bodies])
    data = stream.read()
    assert len(data) == length
    contents = Contents(in_pieces(data, size))
    assert contents.record() == RECORD
    found = [(digest, b"".join(pieces)) for digest, pieces in contents.attachments()]
    assert found == [(hashlib.sha256(body).digest(), body) for body in bodies]


def test_content_of_a_record_alone_is_its_canonical_bytes():
    stream, _ = content_of(RECORD)
    assert stream.read() == RECORD.to_bytes()


def test_the_record_is_read_without_its_attachments():
    def pieces() -> Iterator[bytes]:
        yield RECORD.to_bytes() + b"\n"
        raise AssertionError("an attachment was asked for")

    assert Contents(pieces()).record() == RECORD


@given(data=st.data())
def test_contents_name_what_is_wrong_when_an_attachment_is_cut_or_altered(data):
    whole = content_of(RECORD, [attached(b"pixels")])[0].read()
    start = len(RECORD.to_bytes()) + 1
    if data.draw(st.booleans()):
        spoiled = whole[: data.draw(st.integers(start + 1, len(whole) - 1))]
    else:
        at = data.draw(st.integers(start, len(whole) - 1))
        spoiled = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    contents = Contents(iter([spoiled]))
    assert contents.record() == RECORD
    with pytest.raises(MalformedMessage, match=r"(end too early|not what its hash)"):
        [list(pieces) for _, pieces in contents.attachments()]


def test_contents_refuse_a_record_without_end():
    def pieces() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 22)

    with pytest.raises(MalformedMessage, match="larger than 64 MiB"):
        Contents(pieces()).record()


def test_an_attachment_is_named_by_the_hash_of_its_content():
    image: Any = attached(b"pixels")
    assert (image.size, image.digest) == (6, hashlib.sha256(b"pixels").digest())
    assert image.uri == "ni:///sha-256;bsnCsOsUAQdGyLzok5MDs4I0SyliBmEuuKkHo3srLzc"
    assert "pixels" not in repr(image)


def test_end_refuses_whatever_follows_a_record():
    for follows in (b"", b"\n"):
        contents = Contents(iter([RECORD.to_bytes() + follows]))
        contents.record()
        contents.end()
    for pieces in ([RECORD.to_bytes() + b"\nx"], [RECORD.to_bytes() + b"\n", b"x"]):
        contents = Contents(iter(pieces))
        assert contents.record() == RECORD
        with pytest.raises(MalformedMessage, match="bytes follow"):
            contents.end()
