"""read: detection, and what it says to bytes that are no health data."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import FormatError, MalformedMessage, UnknownFormat
from medibridge.formats import FORMATS, read

ACCEPTED = r"accepted are: HL7 v2\.1 to v2\.9 .*; DICOM .*; C-CDA .*; FHIR DSTU2, STU3, R4 or R5 .*; tables"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG"),
        (b"\xff\xd8\xff\xe0", "a JPEG"),
        (b"PK\x03\x04", "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b'<?xml version="1.0"?><ClinicalDocument/>', "XML, but neither"),
        ("MSH|^~\\&|".encode("utf-16"), "UTF-16"),
        (b"MS", "no format that is known"),
        (bytes(range(256)), "no format that is known"),
        (b"[1, 2]", "no format that is known"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_read_says_what_the_input_is_and_what_is_accepted_when_no_reader_knows_it(data, words):
    with pytest.raises(UnknownFormat, match=f"{words}.*{ACCEPTED}") as refusal:
        read(data)
    assert "Canary" not in str(refusal.value)


def test_read_says_how_to_get_a_map_when_a_table_has_none():
    with pytest.raises(MalformedMessage, match="medibridge convert --suggest") as refusal:
        read(b"name,born\nCanary,1950\n")
    assert "Canary" not in str(refusal.value)


def test_read_refuses_what_is_too_large():
    with pytest.raises(UnknownFormat, match="128 MiB; split it"):
        read(b"{" + bytes(128 * 2**20))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"{", MalformedMessage, "line 1, column 2"),
        (b'{"resourceType": "Bundle", "entry": [{"resource"', MalformedMessage, "cut off"),
        (b'{"patient": {"name": "Canary"}}', UnknownFormat, "no resourceType, so it is not FHIR"),
        (b'{"resourceType": 7}', UnknownFormat, "no resourceType"),
        (b'{"a":' * 50_000, MalformedMessage, "nested deeper"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, MalformedMessage, "nested deeper"),
        (b'{"resourceType": "\xff"}', MalformedMessage, "not UTF-8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_read_says_where_json_is_broken(data, error, words):
    with pytest.raises(error, match=words) as refusal:
        read(data)
    assert "Canary" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("name", samples.NAMES)
def test_exactly_one_format_recognises_each_sample(name):
    assert sum(format_.recognise(samples.read(name)) is not None for format_ in FORMATS) == 1


@given(st.binary(max_size=300))
def test_read_raises_format_errors_only_when_bytes_are_random(data):
    with pytest.raises(FormatError) as refusal:
        read(data)
    assert re.fullmatch(r"[^\r\n]+", str(refusal.value))


@given(st.sampled_from(samples.NAMES), st.data())
def test_read_raises_format_errors_only_when_a_sample_is_cut_or_doubled(name, data):
    whole = samples.read(name)
    start, end = sorted((data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))))
    for altered in (whole[start:end], whole[:end] + whole[start:]):
        try:
            read(altered)
        except FormatError as problem:
            assert "Fernhollow" not in str(problem)


def test_read_stays_in_proportion_when_one_field_repeats_many_times():
    message = samples.read("oru-r01-laboratory.hl7").replace(b"|P-99-2042", b"|" + b"1~" * 5_000)
    tracemalloc.start()
    try:
        read(message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20
