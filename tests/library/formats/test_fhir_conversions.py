"""What changes its type between the versions of FHIR: made to fit where nothing is lost, else kept and reported."""

from __future__ import annotations

import json

import pytest

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Outcome
from medibridge.formats.fhir import Version, convert, validate
from medibridge.formats.fhir.coercion import Coerced, can_coerce, coerce
from medibridge.formats.fhir.definitions import Definitions
from medibridge.formats.fhir.mapping import Step
from medibridge.formats.fhir.target import Target
from medibridge.formats.fhir.xml import to_json
from medibridge.record import Number, canonical_json, parse_json

DSTU2, STU3, R5 = Version.DSTU2, Version.STU3, Version.R5
PATIENT = {"reference": "Patient/p"}
SUBJECT = {"subject": PATIENT}
TEXT = {"text": "x"}
WORD = {"coding": [{"code": "G"}]}
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


def kept(version, path, **value):
    """The extension that an element without a place becomes."""
    return {"url": f"http://hl7.org/fhir/{version.number}/StructureDefinition/extension-{path}", **value}


def in_r4(version, kind, elements, *, valid=True):
    """The elements in R4, and the findings as short texts: place, outcome, target."""
    source = parse_json(json.dumps({"resourceType": kind, "id": "x", **elements}).encode())
    made, findings = convert(source, version)
    if valid:
        assert validate(made) == ()
    found = json.loads(canonical_json(made))
    assert found.pop("id") == "x"
    said = [f"{one.place.removeprefix('the resource.')} {one.outcome.value} {one.target}".strip() for one in findings]
    return found.pop("resourceType"), found, said


# --- one value of one type as one of another ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "to", "expected", "whole"),
    [
        ("a", "string", "markdown", "a", True),
        ("urn:oid:1.2.3", "oid", "id", "1.2.3", True),
        ("urn:oid:1.2.3", "uri", "oid", "urn:oid:1.2.3", True),
        ({"value": 1}, "Age", "Quantity", {"value": 1}, True),
        ([1], "Weird", "Weird", [1], True),
        (Number("7"), "integer", "decimal", Number("7"), True),
        (Number("0"), "integer", "unsignedInt", Number("0"), True),
        ("900", "integer64", "positiveInt", Number("900"), True),
        ("2024-03-04T10:00:00Z", "dateTime", "date", "2024-03-04", False),
        ("2024-03", "dateTime", "date", "2024-03", True),
        ("2024-03-04T10:00:00Z", "dateTime", "instant", "2024-03-04T10:00:00Z", True),
        ("2024-03-04", "date", "dateTime", "2024-03-04", True),
        ("a", "code", "Coding", {"code": "a"}, True),
        ("a", "code", "CodeableConcept", {"coding": [{"code": "a"}]}, True),
        ("a", "string", "CodeableConcept", {"text": "a"}, True),
        ("urn:a", "uri", "CodeableConcept", {"coding": [{"code": "urn:a"}]}, True),
        ({"code": "a"}, "Coding", "CodeableConcept", {"coding": [{"code": "a"}]}, True),
        (WORD, "CodeableConcept", "Coding", {"code": "G"}, True),
        ({**WORD, "text": "b"}, "CodeableConcept", "Coding", {"code": "G"}, False),
        (WORD, "CodeableConcept", "code", "G", True),
        ({"coding": [{"code": "G", "version": "1"}]}, "CodeableConcept", "code", "G", False),
        (TEXT, "CodeableConcept", "string", "x", True),
        ({**WORD, **TEXT}, "CodeableConcept", "string", "x", False),
        ({"system": "s", "code": "a", "display": "A"}, "Coding", "code", "a", True),
        ({"code": "a", "version": "1"}, "Coding", "uri", "a", False),
        ({"text": "a", "time": "2024"}, "Annotation", "markdown", "a", False),
        ("a", "markdown", "Annotation", {"text": "a"}, True),
        ("a", "string", "HumanName", {"text": "a"}, True),
        ({"text": "Iris"}, "HumanName", "string", "Iris", True),
        ({"reference": "Library/l", "display": "L"}, "Reference", "canonical", "Library/l", True),
        ({"identifier": {"value": "1"}}, "Reference", "Identifier", {"value": "1"}, True),
        ({"value": "1"}, "Identifier", "Reference", {"identifier": {"value": "1"}}, True),
        ({"value": "1", "system": "s"}, "Identifier", "string", "1", True),
        ({"value": "1", "use": "usual"}, "Identifier", "id", "1", False),
        ({"display": "ward", "reference": "Location/l"}, "Reference", "string", "ward", False),
        ({"concept": TEXT}, "CodeableReference", "CodeableConcept", TEXT, True),
        ({"concept": TEXT, "reference": PATIENT}, "CodeableReference", "Reference", PATIENT, False),
        ("urn:a", "uri", "Reference", {"reference": "urn:a"}, True),
        ("a", "string", "Reference", {"display": "a"}, True),
        ("urn:uuid:1", "uri", "Identifier", {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:1"}, True),
        ("plain", "uri", "Identifier", {"value": "plain"}, True),
        ("true", "code", "boolean", True, True),
        ("false", "code", "boolean", False, True),
        (Number("3"), "positiveInt", "string", "3", True),
        ("2024", "date", "Period", {"start": "2024"}, True),
        ({"start": "2024", "end": "2025"}, "Period", "dateTime", "2024", False),
        ("2024", "dateTime", "Timing", {"event": ["2024"]}, True),
        (Number("7.50"), "decimal", "Quantity", {"value": Number("7.50")}, True),
        ({"value": Number("7.50")}, "Quantity", "decimal", Number("7.50"), True),
        ({"value": 2, "code": "EUR", "system": "u"}, "Quantity", "Money", {"value": 2, "currency": "EUR"}, True),
        ({"value": 2, "comparator": "<"}, "Quantity", "Money", {"value": 2}, False),
        ({"value": 2}, "Quantity", "Ratio", {"numerator": {"value": 2}}, True),
        ({"expression": "1 = 1", "language": "text/cql"}, "Expression", "string", "1 = 1", True),
        ({"url": "http://x.org", "data": "AA=="}, "Attachment", "uri", "http://x.org", False),
        ({"value": "1", "system": "phone"}, "ContactPoint", "string", "1", True),
    ],
)
def test_coerce_gives_the_value_in_its_new_type_and_whether_all_of_it_is_there(value, kind, to, expected, whole):
    assert can_coerce(kind, to)
    assert coerce(value, kind, to) == Coerced(expected, whole)


@pytest.mark.parametrize(
    ("value", "kind", "to"),
    [
        ("a b", "string", "id"),
        ("a" * 65, "string", "id"),
        ("1.2", "string", "oid"),
        (Number("7.5"), "decimal", "integer"),
        (Number("1e3"), "decimal", "integer"),
        ("9000000000", "integer64", "integer"),
        (Number("0"), "integer", "positiveInt"),
        (Number("-1"), "integer", "unsignedInt"),
        (7, "date", "dateTime"),
        ("2024", "dateTime", "instant"),
        ("2024-03-04T10:00:00", "dateTime", "instant"),
        ("maybe", "code", "boolean"),
        (TEXT, "CodeableConcept", "Coding"),
        ({"coding": []}, "CodeableConcept", "Coding"),
        ({"coding": "G"}, "CodeableConcept", "code"),
        ({"coding": [{"display": "g"}]}, "CodeableConcept", "code"),
        ("G", "CodeableConcept", "code"),
        (WORD, "CodeableConcept", "string"),
        ("x", "Annotation", "string"),
        ({"unit": "EUR"}, "Quantity", "Money"),
        ("2", "Quantity", "Money"),
        ({"text": "a"}, "Annotation", "Period"),
    ],
)
def test_coerce_gives_none_where_a_value_does_not_fit(value, kind, to):
    assert coerce(value, kind, to) is None


def test_coerce_takes_the_code_system_that_the_map_names():
    assert coerce("a", "string", "Coding", "urn:s") == Coerced({"system": "urn:s", "code": "a"})
    assert coerce("a", "code", "CodeableConcept", "urn:s") == Coerced({"coding": [{"system": "urn:s", "code": "a"}]})
    assert not can_coerce("Period", "Money")


# --- whole resources ------------------------------------------------------------------------------------------------

RETYPED = [
    (
        STU3, "Media", {"type": "photo", "content": {"title": "t"}, "duration": 12, **SUBJECT},
        {
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/media-type", "code": "image"}]},
            "content": {"title": "t"}, "duration": 12, "status": "unknown", **SUBJECT,
        },
        ["type mapped Media.type", "duration mapped Media.duration", "the resource default Media.status"],
    ),
    (
        STU3, "ImagingStudy",
        {"uid": "urn:oid:1.2", "patient": PATIENT, "series": [
            {"uid": "urn:oid:1.2.3", "modality": {"code": "CT"},
             "instance": [{"uid": "urn:oid:1.2.4", "sopClass": "urn:oid:1.2.840"}]}]},
        {
            "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2"}], "status": "unknown", **SUBJECT,
            "series": [{"uid": "1.2.3", "modality": {"code": "CT"}, "instance": [
                {"uid": "1.2.4", "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840"}}]}],
        },
        [
            "uid mapped ImagingStudy.identifier.value",
            "patient mapped ImagingStudy.subject",
            "series[0].uid mapped ImagingStudy.series.uid",
            "series[0].instance[0].uid mapped ImagingStudy.series.instance.uid",
            "series[0].instance[0].sopClass mapped ImagingStudy.series.instance.sopClass",
            "the resource default ImagingStudy.status",
        ],
    ),
    (
        STU3, "MeasureReport",
        {"status": "complete", "type": "summary", "measure": {"reference": "Measure/m"}, "period": {"start": "2024"},
         "group": [{"measureScore": 7}]},
        {"status": "complete", "type": "summary", "measure": "Measure/m", "period": {"start": "2024"},
         "group": [{"measureScore": {"value": 7}}]},
        [
            "type mapped MeasureReport.type",
            "measure mapped MeasureReport.measure",
            "group[0].measureScore mapped MeasureReport.group.measureScore",
        ],
    ),
    (
        STU3, "Provenance",
        {"target": [PATIENT], "recorded": "2024-01-01T00:00:00Z", "activity": {"system": "urn:s", "code": "a"},
         "agent": [{"whoUri": "http://x.org/me", "role": [TEXT]}]},
        {"target": [PATIENT], "recorded": "2024-01-01T00:00:00Z",
         "activity": {"coding": [{"system": "urn:s", "code": "a"}]},
         "agent": [{"who": {"reference": "http://x.org/me"}, "role": [TEXT]}]},
        ["activity mapped Provenance.activity", "agent[0].whoUri mapped Provenance.agent.who"],
    ),
    (
        STU3, "Consent", {"status": "active", "patient": PATIENT, "policyRule": "http://x.org/r", "category": [TEXT]},
        {
            "status": "active", "patient": PATIENT, "category": [TEXT],
            "policyRule": {"coding": [{"system": "urn:ietf:rfc:3986", "code": "http://x.org/r"}]},
            "scope": {"coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        },
        ["policyRule mapped Consent.policyRule", "the resource default Consent.scope"],
    ),
    (
        STU3, "BodySite", {"patient": PATIENT, "code": TEXT},
        {"patient": PATIENT, "location": TEXT},
        ["resourceType mapped BodyStructure", "code mapped BodyStructure.location"],
    ),
    (
        STU3, "Patient",
        {"name": [{"given": ["A", None, "B"], "_given": [None, {"id": "g"}, None]}], "_active": {"id": "a"},
         "fhir_comments": ["x"]},
        {"name": [{"given": ["A", None, "B"], "_given": [None, {"id": "g"}, None]}], "_active": {"id": "a"}},
        ["? ignored"],
    ),
    (
        DSTU2, "Encounter", {"status": "finished", "class": "inpatient", "length": {"value": 3, "unit": "h"}},
        {
            "status": "finished", "length": {"value": 3, "unit": "h"},
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        },
        ["class mapped Encounter.class", "length mapped Encounter.length"],
    ),
    (
        DSTU2, "MedicationStatement", {"status": "active", "note": "n", "medicationCodeableConcept": TEXT,
                                       "patient": PATIENT},
        {"status": "active", "note": [TEXT | {"text": "n"}], "medicationCodeableConcept": TEXT, **SUBJECT},
        ["note mapped MedicationStatement.note", "patient mapped MedicationStatement.subject"],
    ),
    (
        DSTU2, "Coverage", {"dependent": 1, "subscriberId": {"value": "9"}},
        {"dependent": "1", "subscriberId": "9", "_status": ABSENT, "beneficiary": ABSENT, "payor": [ABSENT]},
        [
            "dependent mapped Coverage.dependent",
            "subscriberId mapped Coverage.subscriberId",
            "the resource default Coverage.status",
            "the resource default Coverage.beneficiary",
            "the resource default Coverage.payor",
        ],
    ),
    (
        DSTU2, "Goal", {"status": "achieved", "description": "walk", "statusReason": TEXT, **SUBJECT},
        {
            "lifecycleStatus": "completed", "description": {"text": "walk"}, "statusReason": "x", **SUBJECT,
            "achievementStatus": {"coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/goal-achievement", "code": "achieved"}]},
        },
        [
            "status mapped Goal.lifecycleStatus",
            "status mapped Goal.achievementStatus",
            "description mapped Goal.description",
            "statusReason mapped Goal.statusReason",
        ],
    ),
    (
        DSTU2, "QuestionnaireResponse", {"status": "completed", "questionnaire": {"reference": "Questionnaire/q"}},
        {"status": "completed", "questionnaire": "Questionnaire/q"},
        ["questionnaire mapped QuestionnaireResponse.questionnaire"],
    ),
    (
        DSTU2, "Patient", {"name": [{"family": ["van", "Beek"]}]},
        {"name": [{"family": "van Beek"}]},
        [],
    ),
    (
        DSTU2, "Procedure", {"status": "completed", "notPerformed": False, **SUBJECT},
        {"status": "completed", **SUBJECT},
        ["status mapped Procedure.status", "notPerformed used"],
    ),
    (
        DSTU2, "Procedure", {"status": "completed", "notPerformed": True, **SUBJECT},
        {"status": "not-done", **SUBJECT},
        ["status mapped Procedure.status", "notPerformed mapped Procedure.status"],
    ),
    (
        R5, "AllergyIntolerance", {"type": {"coding": [{"system": "urn:s", "code": "allergy", "display": "A"}]},
                                   "patient": PATIENT},
        {"type": "allergy", "patient": PATIENT},
        ["type mapped AllergyIntolerance.type"],
    ),
    (
        R5, "Basic", {"code": TEXT, "created": "2024-03"},
        {"code": TEXT, "created": "2024-03"},
        ["created mapped Basic.created"],
    ),
    (
        R5, "DocumentReference", {"status": "current", "content": [{"attachment": {"title": "t", "size": "900"}}]},
        {"status": "current", "content": [{"attachment": {"title": "t", "size": 900}}]},
        ["content[0].attachment.size mapped DocumentReference.content.attachment.size"],
    ),
    (
        R5, "Subscription",
        {"status": "active", "topic": "http://x.org/t", "channelType": {"code": "rest-hook"}, "reason": "r"},
        {"status": "active", "criteria": "http://x.org/t", "channel": {"type": "rest-hook"}, "reason": "r"},
        ["topic mapped Subscription.criteria", "channelType mapped Subscription.channel.type"],
    ),
    (
        R5, "Group", {"type": "person", "membership": "enumerated"},
        {"type": "person", "actual": True},
        ["membership mapped Group.actual"],
    ),
    (
        R5, "Invoice", {"status": "issued", "creation": "2024-03-04T10:00:00+01:00"},
        {"status": "issued", "date": "2024-03-04T10:00:00+01:00"},
        ["creation mapped Invoice.date"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("version", "kind", "elements", "expected", "said"), RETYPED)
def test_convert_makes_what_has_another_type_fit(version, kind, elements, expected, said):
    _, found, findings = in_r4(version, kind, elements)
    assert found == expected
    assert findings == said


KEPT = [
    (
        DSTU2, "Encounter", {"status": "finished", "class": "ward"},
        {"status": "finished", "class": ABSENT,
         "extension": [kept(DSTU2, "Encounter.class", valueString="ward")]},
        ["class mapped Encounter.extension", "the resource default Encounter.class"],
    ),
    (
        DSTU2, "CarePlan",
        {"status": "proposed", "author": [{"display": "a"}, {"display": "b"}], **SUBJECT,
         "relatedPlan": [{"code": "replaces", "plan": {"reference": "CarePlan/1"}},
                         {"code": "includes", "plan": {"reference": "CarePlan/2"}}],
         "participant": [{"role": TEXT, "member": PATIENT}]},
        {
            "status": "draft", "intent": "plan", "author": {"display": "a"}, **SUBJECT,
            "replaces": [{"reference": "CarePlan/1"}],
            "contributor": [
                {"display": "b"},
                {**PATIENT, "extension": [kept(DSTU2, "CarePlan.participant.role", valueCodeableConcept=TEXT)]},
            ],
            "extension": [kept(DSTU2, "CarePlan.relatedPlan", extension=[
                {"url": "code", "valueCode": "includes"},
                {"url": "plan", "valueReference": {"reference": "CarePlan/2"}}])],
        },
        [
            "status mapped CarePlan.status",
            "author[1] mapped CarePlan.contributor",
            "relatedPlan[0].plan mapped CarePlan.replaces",
            "relatedPlan[1] mapped CarePlan.extension",
            "participant[0].role mapped CarePlan.contributor.extension",
            "participant[0].member mapped CarePlan.contributor",
            "the resource default CarePlan.intent",
        ],
    ),
    (
        DSTU2, "Goal", {"status": "achieved", "description": "walk", "targetDate": "2024-05",
                        "targetQuantity": {"value": 3}, **SUBJECT},
        {
            "lifecycleStatus": "completed", "description": {"text": "walk"}, "target": [{"dueDate": "2024-05"}],
            "achievementStatus": {"coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/goal-achievement", "code": "achieved"}]},
            "extension": [kept(DSTU2, "Goal.targetQuantity", valueQuantity={"value": 3})], **SUBJECT,
        },
        [
            "status mapped Goal.lifecycleStatus",
            "status mapped Goal.achievementStatus",
            "description mapped Goal.description",
            "targetDate mapped Goal.target.dueDate",
            "targetQuantity mapped Goal.extension",
        ],
    ),
    (
        DSTU2, "OperationDefinition",
        {"name": "n", "status": "draft", "kind": "operation", "code": "c", "system": False, "type": ["Patient"],
         "instance": True},
        {"name": "n", "status": "draft", "kind": "operation", "code": "c", "system": False, "instance": True,
         "_type": ABSENT, "extension": [kept(DSTU2, "OperationDefinition.type", valueCode="Patient")]},
        ["type[0] mapped OperationDefinition.extension", "the resource default OperationDefinition.type"],
    ),
    (
        STU3, "MeasureReport",
        {"status": "complete", "type": "summary", "measure": {"identifier": {"value": "m"}},
         "period": {"start": "2024"}},
        {"status": "complete", "type": "summary", "_measure": ABSENT, "period": {"start": "2024"}, "extension": [
            kept(STU3, "MeasureReport.measure", valueReference={"identifier": {"value": "m"}})]},
        [
            "type mapped MeasureReport.type",
            "measure mapped MeasureReport.extension",
            "the resource default MeasureReport.measure",
        ],
    ),
    (
        STU3, "Patient", {"animal": {"species": TEXT}, "name": [{"family": ["A", "B"]}], "birthDate": {"a": 1},
                          "contact": "x", "_contact": {"id": "c"}},
        {
            "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-animal",
                           "extension": [{"url": "species", "valueCodeableConcept": TEXT}]}],
            "name": [{"family": "A", "extension": [kept(STU3, "HumanName.family", valueString="B")]}],
        },
        [
            "animal mapped Patient.extension",
            "name[0].family[1] mapped Patient.name.extension",
            "birthDate invalid",
            "contact invalid",
            "contact invalid",
        ],
    ),
    (
        R5, "Encounter", {"status": "completed", "class": [{"coding": [{"code": "AMB"}, {"code": "IMP"}]}]},
        {"status": "finished", "class": {"code": "AMB"}, "extension": [
            kept(R5, "Encounter.class", valueCodeableConcept={"coding": [{"code": "AMB"}, {"code": "IMP"}]})]},
        ["status mapped Encounter.status", "class[0] mapped Encounter.class", "class[0] mapped Encounter.extension"],
    ),
    (
        R5, "AllergyIntolerance",
        {"type": TEXT, "patient": PATIENT, "reaction": [
            {"manifestation": [{"concept": TEXT}, {"reference": {"reference": "Observation/o"}}]}]},
        {
            "patient": PATIENT, "extension": [kept(R5, "AllergyIntolerance.type", valueCodeableConcept=TEXT)],
            "reaction": [{"manifestation": [TEXT], "extension": [kept(
                R5, "AllergyIntolerance.reaction.manifestation", valueReference={"reference": "Observation/o"})]}],
        },
        [
            "type mapped AllergyIntolerance.extension",
            "reaction[0].manifestation[1].reference mapped AllergyIntolerance.reaction.extension",
        ],
    ),
    (
        R5, "ChargeItem", {"status": "billable", "code": TEXT, "overrideReason": {**TEXT, **WORD}, **SUBJECT},
        {"status": "billable", "code": TEXT, "overrideReason": "x", **SUBJECT, "extension": [
            kept(R5, "ChargeItem.overrideReason", valueCodeableConcept={**TEXT, **WORD})]},
        ["overrideReason mapped ChargeItem.overrideReason", "overrideReason mapped ChargeItem.extension"],
    ),
    (
        R5, "Basic", {"code": TEXT, "created": "2024-03-04T10:00:00Z"},
        {"code": TEXT, "created": "2024-03-04",
         "extension": [kept(R5, "Basic.created", valueDateTime="2024-03-04T10:00:00Z")]},
        ["created mapped Basic.created", "created mapped Basic.extension"],
    ),
    (
        R5, "DocumentReference",
        {"status": "current", "content": [{"attachment": {"size": "9000000000", "pages": 3, "title": "t"}}]},
        {"status": "current", "content": [{"attachment": {"title": "t", "extension": [
            kept(R5, "Attachment.size", valueString="9000000000"),
            kept(R5, "Attachment.pages", valuePositiveInt=3)]}}]},
        [
            "content[0].attachment.size mapped DocumentReference.content.attachment.extension",
            "content[0].attachment.pages mapped DocumentReference.content.attachment.extension",
        ],
    ),
    (
        R5, "MedicationRequest",
        {"status": "ended", "intent": "order", **SUBJECT,
         "medication": {"id": "m", "concept": TEXT, "reference": {"reference": "Medication/1"}}},
        {"status": "completed", "intent": "order", **SUBJECT, "medicationCodeableConcept": {"id": "m", **TEXT},
         "extension": [kept(R5, "MedicationRequest.medication", valueReference={"reference": "Medication/1"})]},
        [
            "status mapped MedicationRequest.status",
            "medication.concept.id mapped MedicationRequest.medicationCodeableConcept.id",
            "medication.concept mapped MedicationRequest.medicationCodeableConcept",
            "medication.reference mapped MedicationRequest.extension",
        ],
    ),
    (
        R5, "Patient", {"deceasedBoolean": False, "deceasedDateTime": "2024"},
        {"deceasedBoolean": False, "extension": [kept(R5, "Patient.deceasedDateTime", valueDateTime="2024")]},
        ["deceasedDateTime mapped Patient.extension"],
    ),
    (
        R5, "Observation", {"status": "final", "code": TEXT, "valueAttachment": {"url": "http://x.org/v"},
                            "triggeredBy": [{"observation": {"reference": "Observation/1"}, "type": "reflex"}],
                            "value": TEXT},
        {"status": "final", "code": TEXT, "extension": [
            kept(R5, "Observation.valueAttachment", valueAttachment={"url": "http://x.org/v"}),
            kept(R5, "Observation.triggeredBy", extension=[
                {"url": "observation", "valueReference": {"reference": "Observation/1"}},
                {"url": "type", "valueCode": "reflex"}])]},
        [
            "valueAttachment mapped Observation.extension",
            "triggeredBy[0] mapped Observation.extension",
            "value unknown",
        ],
    ),
    (
        R5, "Group", {"type": "specimen", "membership": "conceptual"},
        {"_type": ABSENT, "actual": True, "extension": [
            kept(R5, "Group.type", valueCode="specimen"), kept(R5, "Group.membership", valueCode="conceptual")]},
        [
            "type mapped Group.extension",
            "membership mapped Group.extension",
            "the resource default Group.type",
            "the resource default Group.actual",
        ],
    ),
    (
        R5, "InventoryItem",
        {"status": "active", "netContent": {"value": 1},
         "name": [{"id": "n", "nameType": {"code": "a"}, "language": "en", "name": "n", "canary": 1}]},
        {
            "code": {"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "InventoryItem"}]},
            "extension": [
                kept(R5, "InventoryItem.status", valueCode="active"),
                kept(R5, "InventoryItem.netContent", valueQuantity={"value": 1}),
                kept(R5, "InventoryItem.name", id="n", extension=[
                    {"url": "nameType", "valueCoding": {"code": "a"}},
                    {"url": "language", "valueCode": "en"},
                    {"url": "name", "valueString": "n"}]),
            ],
        },
        [
            "resourceType mapped Basic",
            "status mapped Basic.extension",
            "netContent mapped Basic.extension",
            "name[0].canary unknown",
            "name[0] mapped Basic.extension",
        ],
    ),
    (
        R5, "BiologicallyDerivedProductDispense", {"status": "completed", "patient": PATIENT},
        {
            "code": {"coding": [{"system": "http://hl7.org/fhir/resource-types",
                                 "code": "BiologicallyDerivedProductDispense"}]},
            "subject": PATIENT,
            "extension": [kept(R5, "BiologicallyDerivedProductDispense.status", valueCode="completed")],
        },
        ["resourceType mapped Basic", "status mapped Basic.extension", "patient mapped Basic.subject"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("version", "kind", "elements", "expected", "said"), KEPT)
def test_convert_keeps_what_does_not_fit_as_an_extension(version, kind, elements, expected, said):
    _, found, findings = in_r4(version, kind, elements)
    assert found == expected
    assert findings == said


def test_convert_names_the_renamed_types_and_those_that_r4_has_not():
    assert in_r4(STU3, "BodySite", {"patient": PATIENT})[0] == "BodyStructure"
    assert in_r4(R5, "InventoryItem", {"status": "active"})[0] == "Basic"


def test_convert_makes_money_of_a_quantity_with_a_currency_and_fills_the_rest_of_the_claim():
    amount = {"value": 2, "code": "EUR", "system": "urn:iso:std:iso:4217"}
    _, found, said = in_r4(DSTU2, "Claim", {"type": "oral", "item": [{"sequence": 1, "net": amount}]}, valid=False)
    (item,) = found["item"]
    assert item == {"sequence": 1, "net": {"value": 2, "currency": "EUR"}, "productOrService": ABSENT}
    assert "item[0].net mapped Claim.item.net" in said
    assert "item[0] default Claim.item.productOrService" in said
    assert found["insurance"][0]["_sequence"] == ABSENT


def test_convert_leaves_a_resource_of_no_type_of_the_version_as_it_is():
    found = parse_json(b'{"resourceType": "Nonsense", "id": "x", "a": 1}')
    assert convert(found, STU3)[0] == found


def test_convert_takes_over_what_only_r4_knows_where_systems_mix_versions():
    mixed = {"status": "final", "code": TEXT, "hasMember": [{"reference": "Observation/1"}]}
    _, found, said = in_r4(STU3, "Observation", mixed)
    assert found == mixed
    assert said == []


# --- an object in the making ----------------------------------------------------------------------------------------


def test_target_puts_values_once_in_lists_and_beside_each_other():
    target = Target("Patient", "Patient", out={"resourceType": "Patient"})
    assert target.put("gender", "female")
    assert target.put("gender", "female"), "the same value twice is no conflict"
    assert not target.put("gender", "male")
    assert target.put("gender", "male", {"id": "g"}, over=True)
    assert target.put("deceasedBoolean", False)
    assert not target.put("deceasedDateTime", "2024"), "another type of the choice is there"
    assert not target.put("canary", "x")
    assert target.put("maritalStatus", {"text": "x"})
    assert target.put("maritalStatus", {"coding": [{"code": "M"}]}), "parts that do not overlap come together"
    assert not target.put("maritalStatus", {"text": "y"})
    assert target.out == {
        "resourceType": "Patient", "gender": "male", "_gender": {"id": "g"}, "deceasedBoolean": False,
        "maritalStatus": {"text": "x", "coding": [{"code": "M"}]},
    }  # fmt: skip


def test_target_pads_what_stands_beside_the_values_of_a_list():
    name = Target("HumanName", "Patient.name")
    name.put("given", "A")
    name.put("given", "B", {"id": "b"})
    name.put("given", "C")
    assert name.out == {"given": ["A", "B", "C"], "_given": [None, {"id": "b"}, None]}


def test_target_makes_what_stands_above_and_shares_the_items_that_steps_name():
    target = Target("Goal", "Goal", out={"resourceType": "Goal"})
    one, other = Step("target", "one"), Step("target", "other")
    target.holder((one,)).put("dueDate", "2024")
    target.holder((one,)).put("measure", TEXT)
    target.holder((other,)).put("dueDate", "2025")
    assert target.out["target"] == [{"dueDate": "2024", "measure": TEXT}, {"dueDate": "2025"}]
    assert target.at_end_of((Step("target"), Step("canary"))) is None
    assert target.path_to((Step("target"), Step("dueDate"))) == "Goal.target.dueDate"
    assert Target("Goal", "Goal").complete({}) == []


def test_target_fills_an_element_that_r4_requires_by_the_map_or_says_that_it_is_absent():
    target = Target("Observation", "Observation", out={"resourceType": "Observation"})
    assert target.complete({"Observation": {"code": TEXT}}) == ["Observation.status", "Observation.code"]
    assert target.out == {"resourceType": "Observation", "status": "unknown", "code": TEXT}


def test_definitions_know_the_system_of_a_value_set_that_has_one():
    r4 = Definitions.of(Version.R4)
    gender = r4.types["Patient"]["gender"].binding
    assert r4.has_code(gender, "female")
    assert r4.system_of(gender) == "http://hl7.org/fhir/administrative-gender"
    assert r4.system_of("none") == ""


# --- XML that is not as FHIR has it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "expected", "outcome", "reason"),
    [
        ('<gender value="female"/><gender value="male"/>', {"gender": ["female", "male"]}, "INVALID", "once only"),
        ('<name canary="1"><family value="A"/></name>', {"name": [{"family": "A"}]}, "INVALID", "no attribute"),
        ("<name>Canary</name>", {"name": [{}]}, "INVALID", "a text between the tags"),
        ("<contained/>", {}, "INVALID", "exactly one resource"),
        ("<contained><Nonsense/></contained>", {"contained": [{"resourceType": "Nonsense"}]}, "UNKNOWN", "type of"),
        ('<canary value="1"/>', {"canary": "1"}, "UNKNOWN", "no element of Patient"),
        ("<canary><a/></canary>", {"canary": {"a": {}}}, "UNKNOWN", "no element of Patient"),
        ('<multipleBirthInteger value="many"/><gender>x</gender>', {"multipleBirthInteger": "many"}, "INVALID", "text"),
        ('<active value="perhaps"/><gender>x</gender>', {"active": "perhaps"}, "INVALID", "an attribute 'value'"),
    ],
)
def test_to_json_reports_what_is_not_fhir_and_keeps_the_rest(inside, expected, outcome, reason):
    resource, findings = to_json(f'<Patient xmlns="http://hl7.org/fhir">{inside}</Patient>'.encode())
    assert json.loads(canonical_json(resource)) == {"resourceType": "Patient", **expected}
    assert any(one.outcome is Outcome[outcome] and reason in one.reason for one in findings)
    assert not any("anary" in one.reason or "perhaps" in one.reason for one in findings)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'<?xml version="1.0" encoding="utf-7"?><Patient xmlns="http://hl7.org/fhir"/>', "encoding that is not read"),
        (b'<?xml version="1.0" encoding="us-ascii"?><Patient xmlns="http://hl7.org/fhir" a="\xff"/>', "us-ascii"),
        (b'<Patient xmlns="http://hl7.org/fhir" ' + b" ".join(b'a%d="1"' % n for n in range(101)) + b"/>", "over 100"),
        (b"", "breaks at"),
    ],
)
def test_to_json_refuses_what_is_no_xml_that_it_reads(data, reason):
    with pytest.raises(MalformedMessage, match=reason):
        to_json(data)


def test_validate_names_a_bundle_with_a_resource_that_r4_does_not_know():
    entry = {"resource": {"resourceType": "Nonsense", "id": "x"}}
    (finding,) = validate({"resourceType": "Bundle", "type": "collection", "entry": [entry]})
    assert (finding.place, finding.reason) == ("Bundle", "holds a resource that is not of FHIR R4")
