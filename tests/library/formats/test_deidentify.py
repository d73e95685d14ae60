"""deidentify: what passes is on the list; everything else does not, wherever it stands."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import UsageError
from medibridge.formats import deidentify, read
from medibridge.formats.deidentification.codes import is_ucum
from medibridge.formats.fhir import validate
from medibridge.ids import DataClass
from medibridge.record import Number, Record

TODAY = datetime.date(2025, 6, 1)


def is_sold(record):
    """Not all samples are: some records hold free text alone."""
    try:
        return bool(deidentify(record, today=TODAY))
    except UsageError:
        return False


NAMES = [name for name in samples.NAMES if not name.endswith(".csv")]  # tables need a profile
RECORDS = [record for name in NAMES for record in read(samples.read(name)).records if is_sold(record)]
LABORATORY = next(
    record
    for record in read(samples.read("oru-r01-laboratory.hl7")).records
    if record.data_class is DataClass.LABORATORY
)

PATIENT = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1950-02-03"}
LOINC = {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]}


def observation(own_id="o", **elements):
    return {
        "resourceType": "Observation",
        "id": own_id,
        "status": "final",
        "code": LOINC,
        "subject": {"reference": "Patient/p"},
        **elements,
    }


def twin_of(*resources, data_class=DataClass.LABORATORY, today=TODAY):
    return deidentify(Record(data_class, resources), today=today).resources


def strings(value):
    """Every string of a JSON value, keys apart."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for child in value.values():
            yield from strings(child)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from strings(child)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.data_class.label)
def test_deidentify_gives_a_valid_marked_twin_of_the_same_class(record):
    twin = deidentify(record, today=TODAY)
    assert (twin.data_class, twin.deidentified) == (record.data_class, True)
    assert validate(twin.to_bundle()) == ()
    assert Record.from_bytes(twin.to_bytes()) == twin
    assert deidentify(twin) is twin
    assert deidentify(record, today=TODAY) == twin


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.data_class.label)
def test_deidentify_lets_no_word_of_the_message_through(record):
    data = deidentify(record, today=TODAY).to_bytes().decode()
    for word in (
        "Fernhollow",
        "Iris",
        "4711",
        "Alder",
        "Wychbury",
        "555",
        "Lindqvist",
        "Okonkwo",
        "haemolysed",
        "Glucose",
        "Metformin",
        "1961-05",
        "2024-03",
        "T08",
        "MED3",
        "V-240309",
        "fasting",
        "urn:",
        "RX-5150",
        "Hives",
    ):
        assert word not in data
    for resource in record.resources:
        assert str(resource["id"]) not in data


def test_deidentify_keeps_codes_numbers_units_comparators_interpretations_and_years():
    resources = deidentify(LABORATORY, today=TODAY).resources
    assert resources[0] == {"resourceType": "Patient", "id": "1", "gender": "female", "birthDate": "1961"}
    by_code = {each["code"]["coding"][0]["code"]: each for each in resources if each["resourceType"] == "Observation"}
    glucose, crp = by_code["2345-7"], by_code["1988-5"]
    interpretations = [coding for each in glucose["interpretation"] for coding in each["coding"]]
    assert {coding["code"] for coding in interpretations} == {"N"}
    assert {name for coding in interpretations for name in coding} == {"system", "code"}
    assert {name: value for name, value in glucose.items() if name != "interpretation"} == {
        "resourceType": "Observation",
        "id": glucose["id"],
        "status": "final",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
        ],
        "code": LOINC,
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2024",
        "valueQuantity": {"value": Number("72.50"), "system": "http://unitsofmeasure.org", "code": "mg/dL"},
        "referenceRange": [
            {
                side: {"value": Number(number), "system": "http://unitsofmeasure.org", "code": "mg/dL"}
                for side, number in (("low", "70"), ("high", "99"))
            }
        ],
    }
    assert str(glucose["valueQuantity"]["value"]) == "72.50"
    assert crp["valueQuantity"]["comparator"] == "<"


def test_deidentify_rewrites_references_and_drops_those_that_lead_out():
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "code": LOINC,
        "result": [{"reference": "Observation/o"}, {"reference": "Observation/lost"}, {"display": "Canary"}],
    }
    twin = twin_of(PATIENT, report, observation(valueInteger=3))
    assert [resource["id"] for resource in twin] == ["1", "2", "3"]
    assert twin[1]["result"] == [{"reference": "Observation/3"}]


def test_deidentify_says_that_a_text_was_masked():
    (_, twin) = twin_of(PATIENT, observation(valueString="Canary"))
    assert twin["dataAbsentReason"]["coding"][0]["code"] == "masked"
    assert "valueString" not in twin


@pytest.mark.parametrize(
    ("born", "kept"),
    [
        ("1935-12-31", None),
        ("1936-01-01", "1936"),
        ("1900", None),
        ("2025-05-30", "2025"),
        ("Canary", None),
        ("19360101", None),
    ],
)
def test_deidentify_drops_the_year_of_birth_when_it_tells_an_age_above_89(born, kept):
    (twin,) = twin_of({**PATIENT, "birthDate": born}, data_class=DataClass.DEMOGRAPHICS)
    assert twin.get("birthDate") == kept


def test_deidentify_drops_ages_at_an_event_for_its_year_tells_who_is_above_89():
    age = {"value": Number("85"), "system": "http://unitsofmeasure.org", "code": "a"}
    condition = {
        "resourceType": "Condition",
        "id": "c",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
        "onsetAge": age,
        "recordedDate": "2010-04-05",
    }
    said = observation(
        "a",
        code={"coding": [{"system": "http://loinc.org", "code": "30525-0"}]},
        effectiveDateTime="2010-04-05",
        valueInteger=95,
    )
    twin = twin_of(PATIENT, condition, said, observation("b"))
    assert [each["resourceType"] for each in twin] == ["Patient", "Condition", "Observation"]
    assert "onsetAge" not in twin[1]
    assert twin[1]["recordedDate"] == "2010"


def test_deidentify_keeps_the_age_of_a_relative_only_with_its_unit():
    years = {"system": "http://unitsofmeasure.org", "code": "a"}
    relative = {
        "resourceType": "FamilyMemberHistory",
        "id": "f",
        "status": "completed",
        "patient": {"reference": "Patient/p"},
        "relationship": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}]},
    }
    ages = ({"ageAge": {"value": Number("95")}}, {"ageAge": {"value": Number("95"), **years}}, {"ageRange": {}})
    kept = {"deceasedAge": {"value": Number("88"), **years}}
    twin = twin_of(PATIENT, *({**relative, "id": f"f{at}", **age} for at, age in enumerate((*ages, kept))))
    assert ["Age" in str(each) or "ageRange" in each for each in twin[1:]] == [False, False, False, True]


def test_deidentify_drops_other_years_and_ages_that_tell_an_age_above_89():
    age = {"system": "http://unitsofmeasure.org", "code": "a"}
    twin = twin_of(
        PATIENT,
        observation("a", effectiveDateTime="1931", valueQuantity={"value": Number("90"), **age}),
        observation("b", valueQuantity={"value": Number("89"), **age}),
        observation("c", valueQuantity={"value": Number("1080"), **age, "code": "mo"}),
    )
    assert "effectiveDateTime" not in twin[1]
    assert "valueQuantity" not in twin[1]
    assert twin[2]["valueQuantity"]["value"] == Number("89")
    assert "valueQuantity" not in twin[3]


@pytest.mark.parametrize(
    ("quantity", "kept"),
    [
        ({"value": Number("1.50"), "unit": "mg/dL"}, "mg/dL"),
        ({"value": Number("1"), "unit": "Canary person"}, None),
        ({"value": Number("1"), "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}, "mm[Hg]"),
        ({"value": Number("1"), "system": "http://unitsofmeasure.org", "code": "10*3/uL"}, "10*3/uL"),
        ({"value": Number("1"), "system": "http://unitsofmeasure.org", "code": "mL/min/1.73.m2"}, None),
        ({"value": Number("1"), "system": "http://unitsofmeasure.org", "code": "{Canary}"}, None),
        ({"value": Number("1"), "system": "urn:x", "code": "mg"}, None),
        ({"value": "Canary"}, None),
        ({"unit": "mg"}, None),
    ],
)
def test_deidentify_keeps_a_number_only_with_a_unit_of_ucum(quantity, kept):
    twin = twin_of(PATIENT, observation(valueQuantity=quantity))[1]
    assert twin.get("valueQuantity", {}).get("code") == kept


@pytest.mark.parametrize(
    ("system", "code", "passes"),
    [
        ("http://loinc.org", "2345-7", True),
        ("http://loinc.org", "Canary", False),
        ("http://loinc.org", "2345-7 Canary", False),
        ("http://snomed.info/sct", "44054006", True),
        ("http://snomed.info/sct", "Canary", False),
        ("http://snomed.info/sct", "19850412", False),  # a date: its check digit is not right
        ("http://snomed.info/sct", "5557317731", False),  # a telephone number
        ("http://loinc.org", "2345-8", False),
        ("http://loinc.org", "LA6576-8", True),
        ("http://hl7.org/fhir/sid/ndc", "5557317731", False),
        ("http://hl7.org/fhir/sid/ndc", "0777-3105-02", True),
        ("urn:oid:2.999.1", "2345-7", False),
        (None, "2345-7", False),
        ("http://terminology.hl7.org/CodeSystem/v2-0203", "MR", False),
    ],
)
def test_deidentify_keeps_codes_of_public_systems_only(system, code, passes):
    resource = observation(
        "x", valueInteger=1, code={"coding": [{"system": system, "code": code, "display": "Canary"}]}
    )
    twin = twin_of(PATIENT, observation(valueInteger=2), resource)
    assert (len(twin) == 3) is passes
    assert "Canary" not in str(twin)


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "DocumentReference", "id": "n", "status": "current", "description": "Canary"},
        {"resourceType": "Condition", "id": "n", "code": {"text": "Canary"}},
        {"resourceType": "Basic", "id": "n", "code": LOINC},
    ],
    ids=lambda resource: resource["resourceType"],
)
def test_deidentify_refuses_when_nothing_may_be_sold(resource):
    with pytest.raises(UsageError, match="nothing may be sold") as refusal:
        twin_of(PATIENT, resource, data_class=DataClass.NOTES)
    assert "Canary" not in str(refusal.value)


def test_deidentify_makes_a_bare_patient_when_the_record_has_none():
    twin = twin_of(observation(valueInteger=1))
    assert twin[0] == {"resourceType": "Patient", "id": "1"}
    assert twin[1]["subject"] == {"reference": "Patient/1"}


# --- properties -----------------------------------------------------------------------------------------------------


def canaried(value, draw, inside=()):
    """A copy of `value` with canaries for some strings, and canaries planted beside every element."""
    if isinstance(value, str):
        return "Qcanary7" if inside[-1:] != ("resourceType",) and draw(st.booleans()) else value
    if isinstance(value, dict):
        planted = {key: canaried(child, draw, (*inside, key)) for key, child in value.items()}
        if draw(st.booleans()):
            place = draw(
                st.sampled_from(["text", "display", "note", "extension", "_gender", "valueString", "unit", "Qcanary7"])
            )
            planted[place] = draw(st.sampled_from(["Qcanary7", [{"text": "Qcanary7"}], {"div": "Qcanary7"}]))
        return planted
    if isinstance(value, list):
        return [canaried(child, draw, inside) for child in value]
    return value


@settings(max_examples=80)
@given(st.sampled_from(RECORDS), st.data())
def test_deidentify_lets_no_canary_through_wherever_it_stands(record, data):
    resources = []
    for number, resource in enumerate(record.resources):
        altered = canaried(json.loads(json.dumps(resource, default=str)), data.draw)
        resources.append({**altered, "id": f"Qcanary7-{number}", "resourceType": resource["resourceType"]})
    try:
        twin = deidentify(Record(record.data_class, tuple(resources)), today=TODAY)
    except UsageError as refusal:
        assert "Qcanary7" not in str(refusal)
        return
    assert b"canary" not in twin.to_bytes().lower()
    assert validate(twin.to_bundle()) == ()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.data_class.label)
def test_every_string_of_a_twin_is_a_code_a_year_or_a_number(record):
    free = {"display", "text", "unit", "family", "given", "value", "city", "line"}

    def texts(value, key=""):
        if isinstance(value, str) and key in free:
            yield value
        for name, child in value.items() if isinstance(value, dict) else ():
            yield from texts(child, name)
        for child in value if isinstance(value, list) else ():
            yield from texts(child, key)

    twin = set(strings(list(deidentify(record, today=TODAY).resources)))
    for resource in record.resources:
        assert not {text for text in texts(resource) if not is_ucum(text)} & twin
