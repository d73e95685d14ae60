"""FHIR R4 JSON: splitting into data classes, references, one patient, validation."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import FormatError, MalformedMessage
from medibridge.formats import Outcome, read
from medibridge.formats.fhir import validate
from medibridge.formats.splitting import class_of
from medibridge.ids import DataClass
from medibridge.record import parse_json

VISIT = samples.read("r4-bundle-visit.json")
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"


def bundle(*resources, **entries):
    return json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": found} for found in resources]}
        | entries
    ).encode()


def patient(own_id="p"):
    return {"resourceType": "Patient", "id": own_id}


def condition(own_id="c", **elements):
    return {"resourceType": "Condition", "id": own_id, "subject": {"reference": "Patient/p"}, **elements}


def test_read_makes_one_valid_record_for_each_data_class():
    conversion = read(VISIT)
    assert conversion.format.name == "FHIR R4 JSON Bundle"
    assert [record.data_class for record in conversion.records] == [
        DataClass.DEMOGRAPHICS,
        DataClass.LABORATORY,
        DataClass.PROBLEMS,
        DataClass.VITAL_SIGNS,
        DataClass.ENCOUNTERS,
    ]
    for record in conversion.records:
        assert validate(record.to_bundle()) == ()
        assert [resource["resourceType"] for resource in record.resources].count("Patient") == 1


def test_read_takes_supporting_resources_along_but_none_of_another_class():
    records = {record.data_class: record for record in read(VISIT).records}
    kinds = {found["resourceType"] for found in records[DataClass.LABORATORY].resources}
    assert kinds == {"Patient", "Observation", "Practitioner"}
    assert {found["resourceType"] for found in records[DataClass.VITAL_SIGNS].resources} == {"Patient", "Observation"}
    laboratory = records[DataClass.LABORATORY].to_bytes()
    assert b"Encounter/0b6f2a52" in laboratory
    assert b"72.50" not in laboratory


def test_read_keeps_resources_as_they_are_but_for_references():
    weight = read(VISIT).records[3].resources[1]
    assert weight["subject"] == {"reference": "Patient/0b6f2a52-5d3e-4c58-9d4b-6f6a7c1d8e01"}
    assert str(weight["valueQuantity"]["value"]) == "72.50"
    assert read(VISIT).records == read(b"\xef\xbb\xbf" + VISIT.replace(b"\n", b"\r\n")).records


def test_read_takes_a_single_resource():
    conversion = read(json.dumps(condition()).encode())
    assert conversion.format.name == "FHIR R4 JSON resource"
    assert [record.data_class for record in conversion.records] == [DataClass.PROBLEMS]


def test_read_gives_an_id_that_stays_the_same_when_there_is_none():
    nameless = {"resourceType": "Condition", "code": {"text": "x"}}
    first, second = (read(json.dumps(nameless).encode(), source="a") for _ in range(2))
    assert first.records == second.records
    assert "the resource.id" in first.report.places(Outcome.DEFAULT)
    assert read(json.dumps(nameless).encode(), source="b").records != first.records


def test_read_reports_what_it_leaves_out():
    other = {"resourceType": "SearchParameter", "id": "s"}
    alone = {"resourceType": "Organization", "id": "o"}
    conversion = read(bundle(patient(), other, alone, condition(), condition()))
    assert conversion.report.places(Outcome.UNMAPPED) == ("entry[1].resource", "entry[2].resource")
    assert conversion.report.places(Outcome.IGNORED) == ("type", "entry[4].resource")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bundle(), "entry is missing or empty"),
        (bundle(entry="Canary"), "entry is missing or empty"),
        (bundle(entry=["Canary"]), r"entry\[0\].resource is not a JSON object"),
        (bundle(entry=[{"fullUrl": "Canary"}]), r"entry\[0\].resource is not a JSON object"),
        (bundle({"id": "Canary"}), r"entry\[0\].resource.resourceType"),
        (bundle({"resourceType": "Canary person"}), r"entry\[0\].resource.resourceType"),
        (bundle(patient("Canary person")), r"entry\[0\].resource.id"),
        (bundle(patient(), patient("q")), r"entry\[1\].resource is about another patient"),
        (bundle(patient("q"), condition()), r"entry\[1\].resource.subject is about another patient"),
        (bundle(condition(), condition("d", subject={"reference": "urn:uuid:x"})), "another patient"),
        (bundle(condition(), condition("d", subject={"reference": "http://h/fhir/Patient/p"})), "another patient"),
        (
            bundle(condition(), condition(code={"text": "Canary"})),
            r"entry\[1\].resource has the type and id of entry\[0\]",
        ),
        (bundle({"resourceType": "SearchParameter", "id": "s"}), "belongs to no data class"),
        (
            bundle(entry=[{"fullUrl": "urn:x", "resource": patient()}, {"fullUrl": "urn:x", "resource": condition()}]),
            r"entry\[1\].resource has the fullUrl of another",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_read_names_the_place_and_no_value_when_a_bundle_is_unsound(data, words):
    with pytest.raises(MalformedMessage, match=words) as refusal:
        read(data)
    assert "Canary" not in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "codes", "expected"),
    [
        ("Observation", [(CATEGORY, "laboratory")], DataClass.LABORATORY),
        ("Observation", [(CATEGORY, "vital-signs")], DataClass.VITAL_SIGNS),
        ("Observation", [(CATEGORY, "social-history")], DataClass.HEALTH_STATUS),
        ("Observation", [(CATEGORY, "laboratory"), (SECTION, "GE")], DataClass.GENOMICS),
        ("Observation", [(CATEGORY, "laboratory"), (CATEGORY, "imaging")], DataClass.IMAGING),
        ("Observation", [("local", "laboratory")], DataClass.CLINICAL_TESTS),
        ("Observation", [], DataClass.CLINICAL_TESTS),
        ("DiagnosticReport", [(SECTION, "CH")], DataClass.LABORATORY),
        ("DiagnosticReport", [(SECTION, "RAD")], DataClass.IMAGING),
        ("DiagnosticReport", [], DataClass.NOTES),
        ("MedicationRequest", [], DataClass.MEDICATIONS),
        ("Practitioner", [], None),
        ("Unheard", [], None),
    ],
)
def test_class_of_decides_by_type_and_category(kind, codes, expected):
    category = [{"coding": [{"system": system, "code": code}]} for system, code in codes]
    assert class_of({"resourceType": kind, "category": category}) is expected


leaves = st.sampled_from(["x", "", None, True, 1, [], {}, {"reference": 3}, [[]], "Patient/9"])


@given(st.data())
def test_read_raises_format_errors_only_when_any_element_is_replaced(data):
    root = json.loads(VISIT)
    holders = []

    def walk(value):
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            holders.append((value, key))
            walk(child)

    walk(root)
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(holders))
        holder[key] = data.draw(leaves)
    try:
        conversion = read(json.dumps(root).encode())
    except FormatError as problem:
        assert "Fernhollow" not in str(problem)
    else:
        for record in conversion.records:
            assert type(record).from_bytes(record.to_bytes()) == record


def test_validate_names_places_and_no_values():
    wrong = parse_json(
        VISIT.replace(b'"female"', b'"Canary"').replace(b'"final"', b'"Canary"', 1).replace(b"72.50", b'"Canary"')
    )
    findings = validate(wrong)
    assert {finding.place for finding in findings} == {
        "entry[0].resource.gender",
        "entry[3].resource.status",
        "entry[3].resource.valueQuantity.value",
    }
    assert all(finding.outcome is Outcome.INVALID and "Canary" not in str(finding) for finding in findings)


def test_validate_says_so_when_it_is_no_fhir_resource():
    assert [finding.place for finding in validate({"resourceType": "Canary"})] == ["resourceType"]
    assert [finding.place for finding in validate({})] == ["resourceType"]
