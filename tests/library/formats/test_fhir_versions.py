"""FHIR DSTU2, STU3 and R5: recognised, and made R4 without a silent loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import FormatError, MalformedMessage
from medibridge.formats import Outcome, Settings, read
from medibridge.formats.fhir import Version, convert, validate
from medibridge.formats.fhir.definitions import Definitions
from medibridge.formats.fhir.mapping import Rule, VersionMap
from medibridge.record import canonical_json, parse_json

OTHERS = (Version.DSTU2, Version.STU3, Version.R5)
SUBJECT = {"subject": {"reference": "Patient/p"}}
SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "microsoft-fhir-converter" / "stu3"


def resource(kind, **elements):
    return {"resourceType": kind, "id": "x", **elements}


def in_r4(found, version):
    """The resource in R4, which must be valid."""
    made, findings = convert(parse_json(json.dumps(found).encode()), version)
    assert validate(made) == ()
    return json.loads(canonical_json(made)), findings


def concept(system, code):
    return {"coding": [{"code": code, "system": system}]}


CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
OLD_CATEGORY = "http://hl7.org/fhir/observation-category"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@pytest.mark.parametrize(
    ("found", "version"),
    [
        (resource("Condition", clinicalStatus="active", **SUBJECT), "STU3"),
        (resource("EligibilityRequest"), "STU3"),
        (resource("Sequence", coordinateSystem=0), "STU3"),
        (resource("MedicationOrder", patient={"reference": "Patient/p"}), "DSTU2"),
        (resource("DiagnosticOrder", **SUBJECT), "DSTU2"),
        (resource("Patient", careProvider=[{"display": "x"}]), "DSTU2"),
        (resource("Encounter", status="completed", actualPeriod={"start": "2024"}), "R5"),
        (resource("MedicationRequest", medication={"concept": {"text": "x"}}, **SUBJECT), "R5"),
        (resource("Patient", meta={"profile": ["http://x.org/fhir/STU3/StructureDefinition/y"]}), "STU3"),
        (resource("Patient", meta={"profile": ["http://fhir.org/guides/argonaut/StructureDefinition/y"]}), "DSTU2"),
        (resource("CapabilityStatement", fhirVersion="3.0.1"), "STU3"),
        (resource("Observation", status="final", category=[concept(OLD_CATEGORY, "exam")]), "STU3"),
        (resource("Claim", use="complete", status="active"), "STU3"),
        (resource("Patient", active=True), "R4"),
        (resource("Patient", canary=True), "R4"),
        (resource("Condition", clinicalStatus=concept(CLINICAL, "active"), **SUBJECT), "R4"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["resourceType"],
)  # fmt: skip
def test_read_tells_the_version_and_why(found, version):
    conversion = read(json.dumps(found).encode())
    assert conversion.format.name == f"FHIR {version} JSON resource"
    assert len(conversion.format.reason) > 40


def test_read_lets_the_entries_of_a_bundle_vote():
    observation = resource("Observation", status="final", comment="x", **SUBJECT)
    alike = resource("Patient", active=True) | {"id": "p"}
    data = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": alike}, {"resource": observation}]}
    conversion = read(json.dumps(data).encode())
    assert conversion.format.name == "FHIR STU3 JSON Bundle"
    assert conversion.format.reason.endswith("Observation has an element that R4 does not have there")


@pytest.mark.parametrize(
    ("version", "found", "expected"),
    [
        (
            Version.STU3,
            resource("Condition", clinicalStatus="active", assertedDate="2024-03", **SUBJECT),
            {"clinicalStatus": concept(CLINICAL, "active"), "recordedDate": "2024-03"},
        ),
        (
            Version.STU3,
            resource("Observation", status="final", code={"text": "x"}, comment="y",
                     context={"reference": "Encounter/e"}, interpretation={"text": "high"}),
            {"note": [{"text": "y"}], "encounter": {"reference": "Encounter/e"}, "interpretation": [{"text": "high"}]},
        ),
        (
            Version.STU3,
            resource("Observation", status="final", code={"text": "x"},
                     category=[concept("http://hl7.org/fhir/observation-category", "exam")],
                     related=[{"type": "has-member", "target": {"reference": "ProcedureRequest/1"}}]),
            {
                "category": [{"coding": [{"code": "exam", "system": CATEGORY},
                                         {"code": "exam", "system": "http://hl7.org/fhir/observation-category"}]}],
                "hasMember": [{"reference": "ServiceRequest/1"}],
            },
        ),
        (
            Version.STU3,
            resource("Immunization", status="completed", notGiven=True, date="2024", primarySource=True,
                     vaccineCode={"text": "x"}, patient={"reference": "Patient/p"},
                     explanation={"reasonNotGiven": [{"text": "ill"}]},
                     vaccinationProtocol=[{"doseSequence": 2, "targetDisease": [{"text": "y"}]}]),
            {
                "status": "not-done",
                "occurrenceDateTime": "2024",
                "statusReason": {"text": "ill"},
                "protocolApplied": [{"doseNumberPositiveInt": 2, "targetDisease": [{"text": "y"}]}],
            },
        ),
        (
            Version.STU3,
            resource("DiagnosticReport", status="final", code={"text": "x"}, codedDiagnosis=[{"text": "y"}],
                     performer=[{"role": {"text": "z"}, "actor": {"display": "Okonkwo"}}]),
            {
                "conclusionCode": [{"text": "y"}],
                "performer": [{
                    "display": "Okonkwo",
                    "extension": [{
                        "url": "http://hl7.org/fhir/3.0/StructureDefinition/extension-DiagnosticReport.performer.role",
                        "valueCodeableConcept": {"text": "z"},
                    }],
                }],
            },
        ),
        (
            Version.STU3,
            resource("Goal", status="ahead-of-target", description={"text": "x"}, target={"dueDate": "2024"},
                     **SUBJECT),
            {
                "lifecycleStatus": "active",
                "achievementStatus": concept("http://terminology.hl7.org/CodeSystem/goal-achievement", "improving"),
                "target": [{"dueDate": "2024"}],
            },
        ),
        (
            Version.STU3,
            resource("Coverage", status="active", beneficiary={"reference": "Patient/p"}, payor=[{"display": "x"}],
                     grouping={"group": "7", "groupDisplay": "Seven"}),
            {"class": [{"type": concept("http://terminology.hl7.org/CodeSystem/coverage-class", "group"), "value": "7",
                        "name": "Seven"}]},
        ),
        (
            Version.STU3,
            resource("CarePlan", status="suspended", intent="plan", author=[{"display": "a"}, {"display": "b"}],
                     **SUBJECT),
            {"status": "on-hold", "author": {"display": "a"}, "contributor": [{"display": "b"}]},
        ),
        (
            Version.STU3,
            resource("ImagingStudy", uid="urn:oid:1.2.3", availability="ONLINE", patient={"reference": "Patient/p"},
                     series=[{"uid": "urn:oid:1.2.4", "modality": {"code": "CT"}, "performer": [{"display": "x"}]}]),
            {
                "status": "available",
                "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
                "series": [{"uid": "1.2.4", "modality": {"code": "CT"}, "performer": [{"actor": {"display": "x"}}]}],
            },
        ),
        (
            Version.DSTU2,
            resource("AllergyIntolerance", status="unconfirmed", criticality="CRITH", substance={"text": "nuts"},
                     patient={"reference": "Patient/p"}, note={"text": "x"}),
            {
                "code": {"text": "nuts"},
                "criticality": "high",
                "verificationStatus": concept(
                    "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "unconfirmed"
                ),
                "note": [{"text": "x"}],
            },
        ),
        (
            Version.DSTU2,
            resource("MedicationOrder", status="active", dateWritten="2015-01", patient={"reference": "Patient/p"},
                     medicationCodeableConcept={"text": "x"}, note="y",
                     dosageInstruction=[{"text": "z", "doseQuantity": {"value": 1}}]),
            {
                "resourceType": "MedicationRequest",
                "intent": "order",
                "authoredOn": "2015-01",
                "note": [{"text": "y"}],
                "dosageInstruction": [{"text": "z", "doseAndRate": [{"doseQuantity": {"value": 1}}]}],
            },
        ),
        (
            Version.DSTU2,
            resource("DiagnosticOrder", status="requested", orderer={"display": "x"},
                     item=[{"code": {"text": "a"}}, {"code": {"text": "b"}}], **SUBJECT),
            {"resourceType": "ServiceRequest", "status": "active", "code": {"text": "a"},
             "orderDetail": [{"text": "b"}], "requester": {"display": "x"}},
        ),
        (
            Version.DSTU2,
            resource("Encounter", status="finished", **{"class": "inpatient"}, patient={"reference": "Patient/p"}),
            {"class": {"code": "IMP", "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode"},
             "subject": {"reference": "Patient/p"}},
        ),
        (
            Version.DSTU2,
            resource("Patient", name=[{"family": ["von", "Fernhollow"]}], careProvider=[{"display": "x"}]),
            {"name": [{"family": "von Fernhollow"}], "generalPractitioner": [{"display": "x"}]},
        ),
        (
            Version.DSTU2,
            resource("QuestionnaireResponse", status="completed",
                     group={"linkId": "g", "question": [{"linkId": "q", "answer": [{"valueInteger": 3}]}]}),
            {"item": [{"linkId": "g", "item": [{"linkId": "q", "answer": [{"valueInteger": 3}]}]}]},
        ),
        (
            Version.R5,
            resource("MedicationRequest", status="ended", intent="order", medication={"concept": {"text": "x"}},
                     reason=[{"concept": {"text": "a"}}, {"reference": {"reference": "Condition/c"}}], **SUBJECT),
            {
                "status": "completed",
                "medicationCodeableConcept": {"text": "x"},
                "reasonCode": [{"text": "a"}],
                "reasonReference": [{"reference": "Condition/c"}],
            },
        ),
        (
            Version.R5,
            resource("Encounter", status="discharged", **{"class": [concept("urn:s", "AMB")]},
                     actualPeriod={"start": "2024"}, admission={"reAdmission": {"text": "x"}},
                     participant=[{"actor": {"display": "y"}}], reason=[{"value": [{"concept": {"text": "z"}}]}]),
            {
                "status": "finished",
                "class": {"code": "AMB", "system": "urn:s"},
                "period": {"start": "2024"},
                "hospitalization": {"reAdmission": {"text": "x"}},
                "participant": [{"individual": {"display": "y"}}],
                "reasonCode": [{"text": "z"}],
            },
        ),
        (
            Version.R5,
            resource("DocumentReference", status="current", content=[{"attachment": {"size": "1700"}}],
                     context=[{"reference": "Encounter/e"}], docStatus="corrected"),
            {"content": [{"attachment": {"size": 1700}}], "context": {"encounter": [{"reference": "Encounter/e"}]},
             "docStatus": "amended"},
        ),
        (
            Version.R5,
            resource("DeviceUsage", status="active", patient={"reference": "Patient/p"},
                     device={"reference": {"reference": "Device/d"}}),
            {"resourceType": "DeviceUseStatement", "subject": {"reference": "Patient/p"},
             "device": {"reference": "Device/d"}},
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Version) else value.get("resourceType", ""),
)  # fmt: skip
def test_convert_moves_what_has_another_place_in_r4(version, found, expected):
    made, _ = in_r4(found, version)
    assert {name: made.get(name) for name in expected} == expected


def test_convert_reports_each_change_with_place_and_target():
    found = resource("Condition", clinicalStatus="active", abatementBoolean=True, assertedDate="2024", **SUBJECT)
    _, findings = in_r4(found, Version.STU3)
    assert [(finding.place, finding.outcome, finding.target) for finding in findings] == [
        ("the resource.clinicalStatus", Outcome.MAPPED, "Condition.clinicalStatus"),
        ("the resource.abatementBoolean", Outcome.MAPPED, "Condition.extension"),
        ("the resource.assertedDate", Outcome.MAPPED, "Condition.recordedDate"),
    ]


def test_convert_keeps_what_r4_has_no_place_for_as_extensions():
    found = resource("ClaimResponse", unallocDeductable={"value": 2.50, "code": "EUR"}, status="active")
    made, _ = in_r4(found, Version.STU3)
    start = "http://hl7.org/fhir/3.0/StructureDefinition/extension-"
    (kept,) = made["extension"]
    assert kept == {
        "url": f"{start}ClaimResponse.unallocDeductable",
        "valueMoney": {"value": 2.50, "currency": "EUR"},
    }
    made, _ = in_r4(resource("DataElement", status="active", mapping=[{"identity": "m", "name": "n"}]), Version.STU3)
    assert made["resourceType"] == "Basic"
    assert made["code"] == concept("http://hl7.org/fhir/resource-types", "DataElement")
    assert made["extension"][1] == {
        "url": f"{start}DataElement.mapping",
        "extension": [{"url": "identity", "valueId": "m"}, {"url": "name", "valueString": "n"}],
    }


def test_convert_keeps_numbers_and_extensions_of_primitives():
    data = b"""{"resourceType":"Observation","id":"x","status":"final","code":{"text":"x"},"comment":"y",
        "_comment":{"extension":[{"url":"urn:e","valueCode":"z"}]},"valueQuantity":{"value":72.50}}"""
    made, _ = convert(parse_json(data), Version.STU3)
    assert b'"value":72.50' in canonical_json(made)
    assert json.loads(canonical_json(made))["note"] == [
        {"text": "y", "extension": [{"url": "urn:e", "valueCode": "z"}]}
    ]


def test_convert_fills_what_r4_requires_and_says_so():
    made, findings = in_r4(resource("Claim", use="complete", item=[{"sequence": 1}]), Version.STU3)
    assert made["use"] == "claim"
    assert made["provider"]["extension"][0]["url"].endswith("data-absent-reason")
    defaults = [finding.target for finding in findings if finding.outcome is Outcome.DEFAULT]
    assert "Claim.provider" in defaults
    assert "Claim.item.productOrService" in defaults


def test_read_refuses_what_the_version_does_not_know_when_strict():
    found = resource("Observation", status="final", code={"text": "x"}, comment="y", canary="Canary", **SUBJECT)
    conversion = read(json.dumps(found).encode())
    assert "the resource.canary" in conversion.report.places(Outcome.UNKNOWN)
    with pytest.raises(MalformedMessage, match=r"the resource\.canary is no element of Observation") as refusal:
        read(json.dumps(found).encode(), settings=Settings(strict=True))
    assert "Canary" not in str(refusal.value)


def test_read_tells_requests_apart_that_are_of_one_type_in_r4():
    entries = [
        {"resource": resource("ProcedureRequest", status="active", intent="order", code={"text": "a"}, **SUBJECT)},
        {"resource": resource("ReferralRequest", status="active", intent="order", **SUBJECT)},
        {
            "resource": resource(
                "Procedure", status="completed", basedOn=[{"reference": "ReferralRequest/x"}], **SUBJECT
            )
        },
    ]
    data = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()
    first, second, third, _ = read(data).resources
    assert first["id"] == "x" != second["id"]
    assert third["basedOn"] == [{"reference": f"ServiceRequest/{second['id']}"}]


def every_rule(rules):
    for rule in rules:
        yield rule
        yield from every_rule(rule.cases.values())
        if rule.otherwise is not None:
            yield from every_rule([rule.otherwise])


@pytest.mark.parametrize("version", OTHERS)
def test_every_rule_of_a_map_leads_to_an_element_of_r4_and_to_codes_that_it_has(version):
    r4, found = Definitions.of(Version.R4), VersionMap.of(version)
    assert set(found.types.values()) <= r4.resources
    assert found.types.keys() <= Definitions.of(version).resources - r4.resources
    for kind, elements in found.rules.items():
        for name, rules in elements.items():
            for rule in every_rule(rules):
                own = end_of(found.types.get(kind, kind), rule)
                ends = [own] if own else [end for start in r4.types if (end := end_of(start, rule))]
                assert ends or not rule.to, f"{kind}.{name}"
                codes = {code for code in rule.codes.values() if code not in ("true", "false")}
                fits = [all(r4.has_code(end.binding, code) for code in codes) for end in ends if end.binding]
                assert any(fits) or not fits, f"{kind}.{name}"
    for kind, elements in found.required.items():
        assert elements.keys() <= r4.types[kind].keys()


def end_of(kind, rule: Rule):
    element = None
    for step in (step for step in rule.to if step.name != "^"):
        element = Definitions.of(Version.R4).element(kind, step.name)
        if element is None:
            return None
        kind = element.kind
    return element


@pytest.mark.parametrize("version", OTHERS)
def test_every_resource_type_of_a_version_becomes_valid_r4_or_is_reported(version):
    for kind in sorted(Definitions.of(version).resources):
        made, _ = convert({"resourceType": kind, "id": "x"}, version)
        assert made["resourceType"] in Definitions.of(Version.R4).resources


values = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.50, "", "x", "2024", "final", "Patient/1", "urn:oid:1.2"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "code", "coding", "reference", "extension", "url", "_value"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(OTHERS), st.data())
def test_convert_gives_json_and_no_traceback_whatever_stands_in_the_elements(version, data):
    tables = Definitions.of(version)
    kind = data.draw(st.sampled_from(sorted(tables.resources)))
    names = data.draw(st.lists(st.sampled_from(sorted(tables.types[kind])), max_size=4))
    found = {"resourceType": kind} | {name: data.draw(values) for name in names}
    parsed = parse_json(json.dumps(found).encode())
    made, findings = convert(parsed, version)
    assert canonical_json(convert(parsed, version)[0]) == canonical_json(made)
    assert all(finding.place for finding in findings if finding.outcome is not Outcome.DEFAULT)


@given(st.sampled_from(["r4-bundle-visit.json", "stu3-bundle.xml"]), st.data())
def test_read_raises_format_errors_only_when_bytes_are_changed(name, data):
    sample = samples.read(name)
    start = data.draw(st.integers(0, len(sample)))
    sample = sample[:start] + data.draw(st.binary(max_size=4)) + sample[start + data.draw(st.integers(0, 40)) :]
    try:
        read(sample)
    except FormatError as problem:
        assert "Fernhollow" not in str(problem)


def leaves(value, path=""):
    if isinstance(value, dict):
        for name, child in value.items():
            if path or name not in ("id", "meta", "text"):
                yield from leaves(child, f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from leaves(child, path)
    else:
        yield path, str(value)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the samples of others are not beside the repository")
def test_read_gives_what_another_converter_expects_of_stu3():
    expected_leaves = found_leaves = 0
    for path in sorted(SHARED.glob("*.json")):
        data = path.read_bytes()
        made, _ = convert(parse_json(data.removeprefix(b"\xef\xbb\xbf")), Version.STU3)
        assert validate(made) == (), path.name
        for conversion in [read(data)]:
            assert all(validate(found) == () for found in conversion.resources), path.name
        other = SHARED / "expected" / path.name
        if other.exists():
            there = list(leaves(json.loads(other.read_text("utf-8-sig"))))
            own = list(leaves(json.loads(canonical_json(made))))
            expected_leaves += len(there)
            found_leaves += sum(leaf in own for leaf in there)
    assert found_leaves >= 0.93 * expected_leaves  # the rest: their URLs of extensions, and times moved to UTC+8
