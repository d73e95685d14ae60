"""Record: what it accepts, and the bytes it becomes."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge.errors import MalformedMessage
from medibridge.ids import DataClass
from medibridge.record import MAX_DEPTH, Number, Record, canonical_json, parse_json

PATIENT = {"resourceType": "Patient", "id": "p-1", "name": [{"family": "Canary"}]}
WEIGHT = {
    "resourceType": "Observation",
    "id": "o-1",
    "subject": {"reference": "Patient/p-1"},
    "valueQuantity": {"value": Number("72.50"), "unit": "kg"},
}

numbers = st.one_of(
    st.builds(
        lambda sign, whole, fraction, exponent: Number(f"{sign}{whole}{fraction}{exponent}"),
        st.sampled_from(["", "-"]),
        st.integers(0, 10**15),
        st.sampled_from(["", ".0", ".50", ".000000001"]),
        st.sampled_from(["", "e2", "E+05", "e-12"]),
    ),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
)
texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), texts, numbers, st.integers(-(10**9), 10**9)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def record(*resources, data_class=DataClass.LABORATORY, deidentified=False):
    return Record(data_class, tuple(resources), deidentified)


def test_to_bytes_keeps_numbers_as_they_were_written():
    source = b'{"entry":[{"fullUrl":"https://medibridge.invalid/Observation/o","resource":{"big":1E+5,"id":"o",'
    source += b'"resourceType":"Observation","small":-0.0,"weight":72.50}}],"meta":{"tag":[{"code":"laboratory",'
    source += b'"system":"https://medibridge.invalid/data-class"}]},"resourceType":"Bundle","type":"collection"}'
    assert Record.from_bytes(source).to_bytes() == source


def test_to_bytes_is_a_collection_bundle_in_sorted_json_without_white_space():
    data = record(PATIENT, WEIGHT).to_bytes()
    bundle = json.loads(data)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == ["p-1", "o-1"]
    assert json.dumps(bundle, sort_keys=True, separators=(",", ":")).replace("72.5", "72.50").encode() == data


@settings(max_examples=50)
@given(
    st.dictionaries(texts, values, max_size=4),
    st.sampled_from(DataClass),
    st.booleans(),
    st.permutations(["a", "b", "c"]),
)
def test_from_bytes_gives_back_the_record_whatever_it_holds(content, data_class, deidentified, order):
    elements = {**content, "resourceType": "Basic", "id": "1"}
    shuffled = dict(sorted(elements.items(), key=lambda item: (order, hash(item[0]))))
    one = record(elements, data_class=data_class, deidentified=deidentified)
    other = record(shuffled, data_class=data_class, deidentified=deidentified)
    assert one.to_bytes() == other.to_bytes()
    back = Record.from_bytes(one.to_bytes())
    assert (back, back.data_class, back.deidentified) == (one, data_class, deidentified)
    assert hash(back) == hash(one)
    assert back.to_bytes() == one.to_bytes()


@settings(max_examples=50)
@given(values)
def test_parse_json_reads_what_canonical_json_writes(value):
    data = canonical_json(value)
    assert canonical_json(parse_json(data)) == data


@given(st.binary(max_size=200))
def test_from_bytes_raises_malformed_message_only_when_given_random_bytes(data):
    with pytest.raises(MalformedMessage):
        Record.from_bytes(data)


@given(st.data())
def test_from_bytes_refuses_every_other_byte_string_when_one_is_flipped(data):
    sound = record(PATIENT, WEIGHT).to_bytes()
    at = data.draw(st.integers(0, len(sound) - 1))
    altered = bytearray(sound)
    altered[at] ^= data.draw(st.integers(1, 255))
    try:
        back = Record.from_bytes(bytes(altered))
    except MalformedMessage as problem:
        assert "Canary" not in str(problem)
    else:
        assert back.to_bytes() == bytes(altered)


@given(st.integers(0, 300))
def test_from_bytes_refuses_when_cut(length):
    sound = record(PATIENT, WEIGHT).to_bytes()
    with pytest.raises(MalformedMessage):
        Record.from_bytes(sound[: min(length, len(sound) - 1)])


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ([], "at least one resource"),
        ([{"id": "1"}], r"entry\[0\].resource.resourceType"),
        ([{"resourceType": "Canary person", "id": "1"}], r"entry\[0\].resource.resourceType"),
        ([PATIENT, {"resourceType": "Basic"}], r"entry\[1\].resource.id"),
        ([PATIENT, {"resourceType": "Basic", "id": "Canary person"}], r"entry\[1\].resource.id"),
        ([WEIGHT, WEIGHT], r"entry\[1\].resource has the type and id of an earlier"),
        ([PATIENT, {**PATIENT, "id": "p-2"}], "second Patient"),
    ],
)
def test_record_refuses_with_the_place_when_resources_are_unsound(resources, words):
    with pytest.raises(MalformedMessage, match=words) as refusal:
        record(*resources)
    assert "Canary" not in str(refusal.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1, column 1"),
        (b'{"a":', "line 1, column 6"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"[]", "the document is not a JSON object"),
        (b'{"resourceType":"Patient"}', "resourceType is not Bundle"),
        (b'{"resourceType":"Bundle","type":"batch"}', "type is not collection"),
        (b'{"resourceType":"Bundle","type":"collection"}', "entry is not a list"),
        (b'{"resourceType":"Bundle","type":"collection","entry":[{}]}', r"entry\[0\].resource"),
        (b'{"a":{"Canary person":{"b":1,"b":2}}}', r"a\.\? names one property twice"),
        (b'{"a":["\\ud800 Canary"]}', r"a\[0\] holds half a surrogate pair"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":' + b"1" * 5000 + b"}", "64 characters"),
        (b"[" * 100_000, "deeper"),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), "deeper"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_from_bytes_names_the_place_and_no_value_when_the_document_is_broken(data, words):
    with pytest.raises(MalformedMessage, match=words) as refusal:
        Record.from_bytes(data)
    assert "Canary" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_from_bytes_refuses_the_same_content_when_not_in_canonical_form():
    loose = json.dumps(json.loads(record(PATIENT).to_bytes())).encode()
    with pytest.raises(MalformedMessage, match="canonical form"):
        Record.from_bytes(loose)


def test_repr_shows_class_and_number_of_resources_only():
    assert repr(record(PATIENT, WEIGHT)) == "<Record laboratory, 2 resources>"
    assert "de-identified" in repr(record(PATIENT, deidentified=True))


def test_number_is_a_decimal_that_prints_as_it_was_written():
    assert Number("1.50e2") == Decimal(150)
    assert str(Number("1.50e2")) == "1.50e2"
    for text in ("+1", ".5", "1.", "01", "1e9999", "NaN", "١", ""):
        with pytest.raises(MalformedMessage, match="number"):
            Number(text)


def test_canonical_json_refuses_floats():
    with pytest.raises(TypeError, match="decimal"):
        canonical_json({"a": 1.5})
