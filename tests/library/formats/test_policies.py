"""Policies of de-identification: which there are, how a custodian changes one, and every type that passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge.errors import UsageError
from medibridge.formats import deidentify
from medibridge.formats.deidentification import POLICIES, Dates, Places, Policy
from medibridge.formats.deidentification.codes import is_public, is_ucum
from medibridge.formats.deidentification.dates import shifted, years
from medibridge.formats.deidentification.places import RESTRICTED, zip3, zip5
from medibridge.formats.fhir import validate
from medibridge.ids import DataClass
from medibridge.record import Number, Record

CENSUS_2000 = "036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893"
CENSUS_2010 = "036 059 102 202 203 204 205 369 556 692 753 772 821 823 878 879 884 893"


def test_built_in_policies_differ_where_the_law_does():
    found = {name: Policy.named(name) for name in POLICIES}
    assert found["safe-harbor"].dates is Dates.YEARS
    assert found["expert"].dates is found["limited"].dates is Dates.SHIFTED
    assert [found[name].places for name in POLICIES] == [Places.PREFIX, Places.WHOLE, Places.PREFIX]
    assert [found[name].k for name in POLICIES] == [11, 0, 11]
    assert found["limited"].oldest is None
    assert "not de-identified" in found["limited"].says
    assert "not Safe Harbor" in found["expert"].says
    with pytest.raises(UsageError, match="'none' is not a policy"):
        Policy.named("none")


def test_from_yaml_leaves_out_and_adds():
    own = Policy.from_yaml(
        "name: ours\nextends: expert\nleave-out: [Encounter, Observation.method]\n"
        "add:\n  Observation: {issued: date}\n  RiskAssessment: {patient-in: subject, status: one of final}\nk: 20"
    )
    assert (own.name, own.extends, own.k, own.dates) == ("ours", "expert", 20, Dates.SHIFTED)
    assert "Encounter" not in own.resources
    assert own.resources["RiskAssessment"].patient_in == "subject"
    assert own.changes == (
        "Encounter does not pass",
        "Observation.method does not pass",
        "Observation.issued passes",
        "RiskAssessment.status passes",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: safe-harbor\nextends: safe-harbor", "name of its own"),
        ("name: Safe Harbor\nextends: limited", "name of its own"),
        ("name: SAFE_HARBOUR 2026\nextends: expert", "name of its own"),
        ("name: Limited\nextends: safe-harbor", "name of its own"),
        ("name: ours\nextends: expert\nk: -5", "whole number"),
        ("name: ours\nextends: nothing", "is not a policy"),
        ("name: ours", "is not a policy"),
        ("name: ours\nextends: expert\nleave-out: [Basic]", "leave-out: Basic"),
        ("name: ours\nextends: expert\nleave-out: [Condition.note]", "does not pass anyway"),
        ("name: ours\nextends: expert\nadd: {Condition: {note: text}}", "Condition.note has no rule"),
        ("name: ours\nextends: expert\nadd: {Patient: {name: concept}}", "nothing can be added to Patient"),
        ("name: ours\nextends: expert\nk: many", "whole number"),
        ("name: ours\nextends: expert\ndates: whole", "the policy has dates"),
        ("- a", "does not name"),
        ("a: [", "not YAML"),
    ],
)
def test_from_yaml_refuses_what_is_no_policy(text, words):
    with pytest.raises(UsageError, match=words):
        Policy.from_yaml(text)


# --- values ---------------------------------------------------------------------------------------------------------


def test_zip_prefixes_of_both_censuses_are_not_told():
    sparse = {*CENSUS_2000.split(), *CENSUS_2010.split()}
    assert sparse <= RESTRICTED
    for prefix in sparse:
        assert zip3(prefix + "01") == zip3(prefix + "01-1234") == zip3(prefix) == "000"


@pytest.mark.parametrize(
    ("text", "prefix", "whole"),
    [
        ("02115", "021", "02115"),
        ("02115-1234", "021", "02115"),
        ("021151234", "021", "02115"),
        ("021", "021", None),
        ("1010", None, None),
        ("SW1A 1AA", None, None),
        ("02115 Canary", None, None),
        ("٠٢١١٥", None, None),
    ],
)
def test_zip_reads_zip_codes_only(text, prefix, whole):
    assert (zip3(text), zip5(text)) == (prefix, whole)


@given(st.dates(), st.dates(), st.integers(-50, 50).filter(bool))
def test_shifted_keeps_every_distance(one, other, days):
    shift = shifted(days, 0)
    moved = [shift(each.isoformat()) for each in (one, other)]
    if None not in moved:
        assert type(one).fromisoformat(moved[0]) - type(one).fromisoformat(moved[1]) == one - other
        assert moved[0] != one.isoformat()


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("2024-02-28", "2024-03-09"),
        ("2024-02-28T23:59:59.5+01:00", "2024-03-09T23:59:59.5Z"),
        ("2024-02", "2024"),
        ("2024", "2024"),
        ("2024-02-30", None),
        ("9999-12-31", None),
        ("1930-05-06", None),
        ("2024-02-28T23:59", None),
        ("2024-02-28T55:57:31Z", None),
        ("Canary", None),
        ("2024-02-28T23:59:59Z Canary", None),
    ],
)
def test_shifted_moves_days_and_invents_none(text, moved):
    assert shifted(10, 1936)(text) == moved
    assert years(1936)(text) in (text[:4], None)


@pytest.mark.parametrize(
    ("system", "code", "public"),
    [
        ("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "MTH", True),
        ("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "Canary", False),
        ("http://dicom.nema.org/resources/ontology/DCM", "CT", True),
        ("http://dicom.nema.org/resources/ontology/DCM", "113014", True),
        ("http://dicom.nema.org/resources/ontology/DCM", "Canary", False),
        ("http://www.cms.gov/Medicare/Coding/ICD10", "0DTJ4ZZ", True),
        (None, "MTH", False),
        ("http://loinc.org", 5, False),
    ],
)
def test_codes_pass_by_list_or_shape(system, code, public):
    assert is_public(system, code) is public


@pytest.mark.parametrize(
    ("unit", "passes"),
    [
        ("mL/min/{1.73_m2}", True),
        ("kg/m2", True),
        ("10*3/uL", True),
        ("{Canary}", False),
        ("mL/{Canary}", False),
        (5, False),
    ],
)
def test_units_pass_without_free_text_in_them(unit, passes):
    assert is_ucum(unit) is passes


# --- every type that passes -----------------------------------------------------------------------------------------

SNOMED = {"coding": [{"system": "http://snomed.info/sct", "code": "44054006", "display": "Canary"}], "text": "Canary"}
CT = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT", "display": "Canary"}
MOTHER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}]}
AMBULATORY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
YEARS = {"value": Number("50"), "system": "http://unitsofmeasure.org", "code": "a"}
WHO, NOTE = {"reference": "Patient/p", "display": "Canary"}, [{"text": "Canary"}]
DAY = "2024-03-04T05:06:07Z"

SAMPLES = {
    DataClass.IMAGING: [
        {
            "resourceType": "ImagingStudy",
            "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.canary"}],
            "status": "available",
            "subject": WHO,
            "modality": [CT],
            "started": DAY,
            "numberOfSeries": 1,
            "numberOfInstances": 40,
            "description": "Canary",
            "procedureCode": [SNOMED],
            "series": [
                {
                    "uid": "1.2.3.4.5.6789",
                    "number": 1,
                    "modality": CT,
                    "description": "Canary",
                    "numberOfInstances": 40,
                    "bodySite": SNOMED["coding"][0],
                    "started": DAY,
                    "instance": [{"uid": "1.2.3.4.5.6789.1", "sopClass": {"code": "Canary"}, "title": "Canary"}],
                }
            ],
        }
    ],
    DataClass.FAMILY_HISTORY: [
        {
            "resourceType": "FamilyMemberHistory",
            "status": "completed",
            "patient": WHO,
            "name": "Canary",
            "relationship": MOTHER,
            "ageAge": {**YEARS, "value": Number("95")},
            "condition": [{"code": SNOMED, "onsetAge": YEARS, "note": NOTE}],
        }
    ],
    DataClass.CARE_PLAN: [
        {
            "resourceType": "CarePlan",
            "status": "active",
            "intent": "plan",
            "subject": WHO,
            "title": "Canary",
            "category": [SNOMED],
            "period": {"start": DAY},
            "activity": [{"detail": {"status": "in-progress", "code": SNOMED, "description": "Canary"}}],
            "note": NOTE,
        }
    ],
    DataClass.GOALS: [
        {
            "resourceType": "Goal",
            "lifecycleStatus": "active",
            "subject": WHO,
            "description": SNOMED,
            "startDate": "2024-03-04",
            "target": [
                {"measure": SNOMED, "detailQuantity": {"value": Number("7.0"), "unit": "%"}},
                {"detailString": "Canary"},
            ],
        }
    ],
    DataClass.ORDERS: [
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "subject": WHO,
            "code": SNOMED,
            "authoredOn": DAY,
            "requester": {"display": "Canary"},
            "patientInstruction": "Canary",
        }
    ],
    DataClass.DEVICES: [
        {
            "resourceType": "Device",
            "patient": WHO,
            "status": "active",
            "type": SNOMED,
            "serialNumber": "Canary",
            "udiCarrier": [{"deviceIdentifier": "Canary"}],
        },
        {
            "resourceType": "DeviceUseStatement",
            "status": "active",
            "subject": WHO,
            "device": {"reference": "Device/0"},
            "timingDateTime": DAY,
        },
    ],
    DataClass.ALLERGIES: [
        {
            "resourceType": "AllergyIntolerance",
            "patient": WHO,
            "code": SNOMED,
            "reaction": [
                {"manifestation": [SNOMED, {"text": "Canary"}], "severity": "mild", "description": "Canary"},
                {"manifestation": [{"text": "Canary"}]},
            ],
        }
    ],
    DataClass.ENCOUNTERS: [
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": AMBULATORY,
            "subject": WHO,
            "period": {"start": DAY},
            "diagnosis": [{"condition": {"reference": "Condition/lost"}}],
            "location": [{"location": {"display": "Canary"}}],
        },
        {"resourceType": "EpisodeOfCare", "status": "active", "patient": WHO, "type": [SNOMED]},
    ],
}


@pytest.mark.parametrize("data_class", SAMPLES, ids=lambda member: member.label)
def test_deidentify_keeps_the_codes_of_every_type_and_nothing_that_names(data_class):
    resources = [{**resource, "id": str(number)} for number, resource in enumerate(SAMPLES[data_class])]
    record = Record(data_class, ({"resourceType": "Patient", "id": "p", "gender": "male"}, *resources))
    assert validate(record.to_bundle()) == ()
    twin = deidentify(record)
    assert validate(twin.to_bundle()) == ()
    told = twin.to_bytes().decode()
    assert len(twin.resources) == len(record.resources)
    for word in ("anary", "1.2.3", "2024-", "95", "lost"):
        assert word not in told
    assert "44054006" in told


def test_deidentify_leaves_out_what_cannot_be_without_what_was_left_out():
    device = {"resourceType": "Device", "id": "d", "type": {"text": "Canary"}}
    use = {**SAMPLES[DataClass.DEVICES][1], "id": "u", "device": {"reference": "Device/d"}}
    with pytest.raises(UsageError, match="nothing may be sold"):
        deidentify(Record(DataClass.DEVICES, (device, use)))
