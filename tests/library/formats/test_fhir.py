"""FHIR R4 JSON: splitting into data classes, references, patients, validation."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import FormatError, MalformedMessage
from medibridge.formats import Conversion, Outcome, Settings, read, read_all
from medibridge.formats.fhir import validate
from medibridge.formats.naming import Names
from medibridge.formats.splitting import class_of, key_of
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


def clinical(conversion):
    """What was converted, without the Provenance, which names the bytes that it was made from."""
    return [resource for resource in conversion.resources if resource["resourceType"] != "Provenance"]


def conversions(data):
    return [found for found in read_all(data) if isinstance(found, Conversion)]


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
    assert kinds >= {"Patient", "Observation", "Practitioner"}
    vital_signs = {found["resourceType"] for found in records[DataClass.VITAL_SIGNS].resources}
    assert "Observation" in vital_signs
    assert "Practitioner" not in vital_signs
    laboratory = records[DataClass.LABORATORY].to_bytes()
    assert b"Encounter/0b6f2a52" in laboratory
    assert b"72.50" not in laboratory


def test_read_keeps_resources_as_they_are_but_for_references():
    weight = read(VISIT).records[3].resources[1]
    assert weight["subject"] == {"reference": "Patient/0b6f2a52-5d3e-4c58-9d4b-6f6a7c1d8e01"}
    assert str(weight["valueQuantity"]["value"]) == "72.50"
    again = read(b"\xef\xbb\xbf" + VISIT.replace(b"\n", b"\r\n"))
    assert clinical(again) == clinical(read(VISIT))


def test_read_takes_a_single_resource():
    conversion = read(json.dumps(condition()).encode())
    assert conversion.format.name == "FHIR R4 JSON resource"
    assert [record.data_class for record in conversion.records] == [DataClass.PROBLEMS]


def test_read_gives_an_id_that_stays_the_same_when_there_is_none():
    nameless = condition()
    del nameless["id"]
    first, second = (read(json.dumps(nameless).encode(), source="a") for _ in range(2))
    assert first.records == second.records
    assert "the resource.id" in first.report.places(Outcome.DEFAULT)
    assert clinical(read(json.dumps(nameless).encode(), source="b")) != clinical(first)


def test_read_names_a_patient_without_id_by_the_identifier():
    nameless = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.999", "value": "7"}]}
    (found,) = clinical(read(json.dumps(nameless).encode(), source="a"))
    assert found["id"] == Names("a").by_identifier("Patient", "urn:oid:2.999", "7")
    nameless["identifier"][0]["value"] = "8"
    assert clinical(read(json.dumps(nameless).encode(), source="a"))[0]["id"] != found["id"]


def test_read_reports_what_it_leaves_out():
    conversion = read(bundle(patient(), condition(), condition()))
    assert conversion.report.places(Outcome.IGNORED) == ("type", "entry[2].resource")
    assert [found["resourceType"] for found in clinical(conversion)] == ["Patient", "Condition"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bundle(), "entry is missing or empty"),
        (bundle(entry="Canary"), "entry is missing or empty"),
        (bundle(entry=["Canary"]), r"entry\[0\].resource is not a JSON object"),
        (bundle(entry=[{"fullUrl": "Canary"}]), r"entry\[0\].resource is not a JSON object"),
        (bundle({"id": "Canary"}), r"entry\[0\].resource.resourceType"),
        (bundle({"resourceType": "Canary person"}), r"entry\[0\].resource.resourceType"),
        (bundle(patient(), patient("q")), "holds 2 messages or patients"),
        (bundle(patient("q"), condition()), "holds 2 messages or patients"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_read_names_the_place_and_no_value_when_there_is_nothing_or_too_much(data, words):
    with pytest.raises(MalformedMessage, match=words) as refusal:
        read(data)
    assert "Canary" not in str(refusal.value)


SAME_URL = [{"fullUrl": "urn:x", "resource": patient()}, {"fullUrl": "urn:x", "resource": condition()}]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (bundle(patient(), "Canary"), "entry[1].resource"),
        (bundle(patient(), {"resourceType": "Canary person"}), "entry[1].resource.resourceType"),
        (bundle(patient("Canary person")), "entry[0].resource.id"),
        (bundle(patient(), condition(), condition(code={"text": "Canary"})), "entry[2].resource"),
        (bundle(entry=SAME_URL), "entry[1].fullUrl"),
    ],
)
def test_read_leaves_an_unsound_entry_out_and_refuses_it_when_strict(data, place):
    conversion = read(data)
    assert place in conversion.report.places(Outcome.INVALID)
    assert any(found["resourceType"] == "Patient" for found in conversion.resources)
    assert not any("Canary" in str(finding) for finding in conversion.report.findings)
    with pytest.raises(MalformedMessage, match=re.escape(place)) as refusal:
        read(data, settings=Settings(strict=True))
    assert "Canary" not in str(refusal.value)


def test_read_all_gives_a_conversion_for_each_patient_with_what_they_share():
    doctor = {"resourceType": "Practitioner", "id": "d", "name": [{"family": "Okonkwo"}]}
    nobody = {"resourceType": "Organization", "id": "o", "name": "St Mary"}
    seen = {"reference": "Practitioner/d"}
    resources = [
        patient(), patient("q"), doctor, nobody, condition(recorder=seen),
        condition("e", subject={"reference": "http://h/fhir/Patient/q"}, recorder=seen),
        {"resourceType": "Provenance", "id": "v", "target": [{"reference": "Condition/e"}], "agent": [{"who": seen}],
         "recorded": "2024-01-01T00:00:00Z"},
    ]  # fmt: skip
    entries = [{"fullUrl": f"http://h/fhir/{one['resourceType']}/{one['id']}", "resource": one} for one in resources]
    found = [{key_of(one) for one in conversion.resources[:-1]} for conversion in conversions(bundle(entry=entries))]
    assert found == [
        {"Patient/p", "Condition/c", "Practitioner/d"},
        {"Patient/q", "Condition/e", "Practitioner/d", "Provenance/v"},
        {"Organization/o"},
    ]


def test_read_makes_references_relative_wherever_they_are_to_an_entry():
    references = ["urn:uuid:1", "http://h/fhir/Patient/p", "Patient/p/_history/2", "Patient?identifier=urn:s|7"]
    whole = patient() | {"identifier": [{"system": "urn:s", "value": "7"}]}
    for reference in references:
        url = reference if ":" in reference and "?" not in reference else "urn:uuid:1"
        entries = [
            {"fullUrl": url, "resource": whole},
            {"fullUrl": "urn:uuid:2", "resource": condition(subject={"reference": reference})},
        ]
        _, found = clinical(read(bundle(entry=entries)))
        assert found["subject"]["reference"].removesuffix("/_history/2") == "Patient/p"


def test_read_tells_two_servers_apart_that_number_alike():
    other = condition(code={"text": "another"})
    entries = [
        {"fullUrl": "http://a/Patient/p", "resource": patient()},
        {"fullUrl": "http://a/Condition/c", "resource": condition()},
        {"fullUrl": "http://b/Condition/c", "resource": other},
    ]
    conversion = read(bundle(entry=entries))
    assert len({found["id"] for found in clinical(conversion)}) == 3
    assert "entry[2].resource.id" in conversion.report.places(Outcome.DEFAULT)


def test_read_keeps_the_newest_version_of_a_history_and_reports_deletions():
    entries = [
        {"resource": patient() | {"active": False}, "request": {"method": "PUT", "url": "Patient/p"}},
        {"resource": patient() | {"active": True}},
        {"request": {"method": "DELETE", "url": "Condition/c"}},
    ]
    conversion = read(bundle(entry=entries, type="history"))
    assert [found.get("active") for found in clinical(conversion)] == [False]
    reasons = {finding.place: finding.reason for finding in conversion.report.findings}
    assert "older version" in reasons["entry[1].resource"]
    assert "deletion" in reasons["entry[2].request"]


@pytest.mark.parametrize("kind", ["batch", "searchset", "collection", "transaction", "document", "message"])
def test_read_takes_every_kind_of_bundle_and_of_container(kind):
    expected = clinical(read(bundle(patient(), condition())))
    assert clinical(read(bundle(patient(), condition(), type=kind))) == expected
    assert clinical(read(json.dumps([patient(), condition()]).encode())) == expected
    inner = json.loads(bundle(patient(), condition()))
    assert clinical(read(bundle(inner))) == expected


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
