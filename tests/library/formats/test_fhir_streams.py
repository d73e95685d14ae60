"""Streams of FHIR: NDJSON, large Bundles and arrays, in memory that stays flat."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge.errors import MalformedMessage
from medibridge.formats import Conversion, Refused, conversion, read_all
from medibridge.formats.fhir import FORMAT
from medibridge.formats.fhir.cutting import MAX_WHOLE, entries_of
from medibridge.formats.settings import Settings

PATIENT = {"resourceType": "Patient", "id": "p", "active": True}


def pieces(data):
    return list(FORMAT.pieces(io.BytesIO(data), Settings()))


def ids(found):
    return [resource["id"] for one in found if isinstance(one, Conversion) for resource in one.resources[:-1]]


def test_read_all_reads_each_line_and_goes_on_after_a_bad_one():
    good, other = (json.dumps(PATIENT | {"id": name}) for name in "ab")
    data = f"\ufeff{good}\r\n\n   \n{{broken\n{other}".encode()
    first, bad, last = read_all(data)
    assert isinstance(bad, Refused)
    assert bad.piece.place == "line 4"
    assert ids([first, last]) == ["a", "b"]
    assert first.format.name == "FHIR R4 NDJSON resource"
    assert first.place == "line 1"


def test_pieces_refuses_a_line_that_is_too_long_and_takes_the_next():
    line = json.dumps(PATIENT).encode()
    long = b'{"resourceType":"Patient","id":"' + b"x" * MAX_WHOLE + b'"}'
    first, bad, last = read_all(line + b"\n" + long + b"\n" + line.replace(b'"p"', b'"q"'))
    assert isinstance(bad, Refused)
    assert "line 2 is longer than 16 MiB" in str(bad.error)
    assert ids([first, last]) == ["p", "q"]


def test_pieces_skips_empty_lines_in_linear_time():
    line = json.dumps(PATIENT).encode()
    assert len(pieces(line + b"\n" * 200_000 + line)) == 2


def test_pieces_does_not_take_json_over_several_lines_for_ndjson():
    for data in (
        json.dumps([PATIENT], indent=1),
        json.dumps(PATIENT, indent=1),
        '{"resourceType":"Bundle","entry":[\n]}',
    ):
        assert len(pieces(data.encode())) == 1
    assert len(pieces(json.dumps([PATIENT]).encode() + b"\n")) == 1


def large(entries, kind="Bundle"):
    """More than is read whole."""
    text = "x" * 100_000
    for number in range(entries):
        resource = {
            "resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": text},
            "subject": {"reference": "urn:uuid:p"},
        }  # fmt: skip
        entry = {"fullUrl": f"urn:uuid:o{number}", "resource": resource} if kind == "Bundle" else resource
        yield json.dumps(entry, indent=1).encode()


PERSON = json.dumps({"fullUrl": "urn:uuid:p", "resource": PATIENT}).encode()


def test_read_all_reads_a_large_bundle_in_pieces_whose_references_resolve():
    entries = [PERSON, *large(180)]
    data = b'{"type":"collection","resourceType":"Bundle","link":[{}],"entry" : [' + b",\n".join(entries) + b"]}"
    assert len(data) > MAX_WHOLE
    stream = io.BytesIO(data)
    tracemalloc.start()
    found = list(FORMAT.pieces(stream, Settings()))
    del found
    stream.seek(0)
    conversions = []
    for one in read_all(stream):
        assert isinstance(one, Conversion)
        conversions.append((one.place, [(found["id"], found.get("subject")) for found in one.resources[:-1]]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(data)
    assert conversions[0][0] == "entries 0 to 41"
    together = dict(item for _, items in conversions for item in items)
    assert together == {"p": None} | {f"o{number}": {"reference": "Patient/p"} for number in range(180)}


def test_read_all_reads_a_large_array():
    data = b"[" + b",".join(large(180, "array")) + b"]"
    assert ids(read_all(data)) == [f"o{number}" for number in range(180)]


def test_read_all_reads_what_stands_before_a_cut_and_says_that_it_is_cut():
    data = b'{"resourceType":"Bundle","entry":[' + b",".join([PERSON, *large(180)])
    *found, last = read_all(data)
    assert len(ids(found)) == 181
    assert isinstance(last, Refused)
    assert "breaks off" in str(last.error)


def test_read_all_leaves_a_broken_or_endless_entry_out_of_a_large_bundle():
    endless = b'{"resource":{"resourceType":"Patient","id":"' + b'\\"' * MAX_WHOLE + b'"}}'
    data = b'{"resourceType":"Bundle","entry":[' + b",".join([endless, b"{broken}", PERSON]) + b"]}"
    (found,) = read_all(data)
    assert ids([found]) == ["p"]
    places = {finding.place: finding.reason for finding in found.report.findings}
    assert places["entry[0].resource"] == places["entry[1].resource"] == "not a JSON object"


texts = st.text(alphabet='"\\{}[]: ,aé\n', max_size=6)
items = st.dictionaries(texts, st.one_of(texts, st.lists(texts, max_size=2), st.integers()), max_size=3)


@given(st.lists(items, max_size=5), items, st.booleans())
def test_entries_of_gives_the_items_whatever_the_texts_hold(entries, before, in_array):
    root = entries if in_array else {f"a{key}": value for key, value in before.items()} | {"entry": entries, "z": [{}]}
    data = json.dumps(root, ensure_ascii=False).encode()
    assert [json.loads(entry) for entry in entries_of(io.BytesIO(data))] == entries


@given(st.binary(max_size=60))
def test_entries_of_raises_format_errors_only(data):
    with contextlib.suppress(MalformedMessage):
        list(entries_of(io.BytesIO(b'{"entry":[' + data)))


def test_pieces_refuses_xml_that_is_too_large():
    with pytest.raises(MalformedMessage, match="larger than 32 MiB"):
        pieces(b"<Patient>" + b" " * (32 * 2**20))


PADDING = [{"resource": {"resourceType": "Basic", "id": f"x{number}", "x": "x" * 2**20}} for number in range(17)]


def oversized(*entries: str) -> bytes:
    """A Bundle that is too large for one piece, and begins with `entries`."""
    held = ",".join([*entries, *(json.dumps(one) for one in PADDING)])
    return f'{{"resourceType": "Bundle", "type": "collection", "entry": [{held}]}}'.encode()


@pytest.mark.parametrize(
    "entry",
    [
        r'{"fullUrl": "\ud800", "resource": {"resourceType": "Patient"}}',
        r'{"fullUrl": "urn:1", "resource": {"resourceType": "Pati\ud800", "id": "a"}}',
        r'{"fullUrl": "urn:1", "resource": {"resourceType": "Patient", "identifier": [{"system": "\ud800", "value": "1"}]}}',  # noqa: E501
        r'{"fullUrl": "urn:1\ud800", "resource": {"resourceType": "Patient", "id": "a"}}',
        '{"resource": ' + '{"resourceType": "Patient", "contained": [' * 400 + "{}" + "]}" * 400 + "}",
    ],
)  # fmt: skip
def test_read_all_goes_on_after_an_entry_of_a_large_bundle_that_is_no_text_or_too_deep(entry):
    patient = '{"fullUrl": "urn:p", "resource": {"resourceType": "Patient", "id": "p"}}'
    flag = r'{"resource": {"resourceType": "List", "id": "l", "source": {"reference": "urn:1\ud800"}}}'
    assert "p" in ids(read_all(oversized(entry, flag, patient)))


def test_read_all_refuses_json_of_too_many_values():
    many = b'{"resourceType": "Basic", "x": [' + b"0," * 2_000_000 + b"0]}"
    (found,) = read_all(many)
    assert isinstance(found, Refused)
    assert "2000000 values" in str(found.error)
    good, bad = read_all(json.dumps(PATIENT).encode() + b"\n" + many)
    assert isinstance(good, Conversion)
    assert isinstance(bad, Refused)


def test_read_all_hashes_a_piece_once_however_many_patients_it_is_about(monkeypatch):
    hashed = []
    real = hashlib.sha256
    monkeypatch.setattr(conversion.hashlib, "sha256", lambda data: hashed.append(len(data)) or real(data))
    data = json.dumps([{"resourceType": "Patient", "id": str(number)} for number in range(50)]).encode()
    assert len(list(read_all(data))) == 50
    assert hashed == [len(data)]


def test_read_all_keeps_a_resource_about_a_crowd_once():
    crowd = [{"status": "accepted", "actor": {"reference": f"Patient/{number}"}} for number in range(200)]
    meeting = {"resourceType": "Appointment", "id": "m", "status": "booked", "participant": crowd}
    people = [{"resourceType": "Patient", "id": str(number)} for number in range(200)]
    found = list(read_all(json.dumps([meeting, *people]).encode()))
    assert len(found) == 201
    assert ids(found).count("m") == 1
