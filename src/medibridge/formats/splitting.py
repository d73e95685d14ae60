"""Which data class a FHIR R4 resource belongs to, and how the resources of a patient become records.

Consent is given by data class, so this decides who may read what. A record holds the resources
of one class, the Patient, and those *supporting* resources (practitioners, organisations,
specimens …) that they refer to, directly or not. It never holds resources of another class: a
reference to one stays in place, for readers who may also read that class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from medibridge.formats.naming import Names
from medibridge.ids import DataClass
from medibridge.record import Json, JsonObject, Record

__all__ = ["SUPPORTING", "class_of", "key_of", "references_in", "split"]

SUPPORTING: Final = frozenset(
    {"Practitioner", "PractitionerRole", "Organization", "Location", "Medication", "Specimen", "Substance",
     "HealthcareService", "BodyStructure", "Endpoint"}
)  # fmt: skip
"""Resource types that belong to no class, and go wherever they are referred to."""

_BY_TYPE: Final[Mapping[str, DataClass]] = {
    kind: data_class
    for data_class, kinds in {
        DataClass.DEMOGRAPHICS: "Patient RelatedPerson Person",
        DataClass.MEDICATIONS: "MedicationRequest MedicationStatement MedicationAdministration MedicationDispense",
        DataClass.PROBLEMS: "Condition",
        DataClass.ALLERGIES: "AllergyIntolerance AdverseEvent",
        DataClass.IMMUNIZATIONS: "Immunization ImmunizationEvaluation ImmunizationRecommendation",
        DataClass.PROCEDURES: "Procedure",
        DataClass.IMAGING: "ImagingStudy Media",
        DataClass.NOTES: "DocumentReference Composition ClinicalImpression Communication",
        DataClass.ENCOUNTERS: "Encounter EpisodeOfCare Appointment AppointmentResponse",
        DataClass.CARE_PLAN: "CarePlan",
        DataClass.CARE_TEAM: "CareTeam",
        DataClass.GOALS: "Goal",
        DataClass.HEALTH_STATUS: "QuestionnaireResponse RiskAssessment",
        DataClass.DEVICES: "Device DeviceUseStatement DeviceMetric",
        DataClass.INSURANCE: "Coverage ExplanationOfBenefit Claim ClaimResponse Account ChargeItem",
        DataClass.ORDERS: "ServiceRequest DeviceRequest SupplyRequest NutritionOrder VisionPrescription",
        DataClass.FAMILY_HISTORY: "FamilyMemberHistory",
        DataClass.GENOMICS: "MolecularSequence",
    }.items()
    for kind in kinds.split()
}

_OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"

# The order decides where a resource has several categories: the class that fewer may read comes first.
_BY_CATEGORY: Final[tuple[tuple[DataClass, str, frozenset[str]], ...]] = (
    (DataClass.GENOMICS, _DIAGNOSTIC_SERVICE, frozenset({"GE", "CG"})),
    (DataClass.IMAGING, _OBSERVATION_CATEGORY, frozenset({"imaging"})),
    (
        DataClass.IMAGING,
        _DIAGNOSTIC_SERVICE,
        frozenset({"CT", "CUS", "NMR", "NMS", "OUS", "RAD", "RUS", "RX", "VUS", "XRC"}),
    ),
    (DataClass.IMAGING, "http://loinc.org", frozenset({"LP29684-5", "18748-4"})),
    (DataClass.LABORATORY, _OBSERVATION_CATEGORY, frozenset({"laboratory"})),
    (
        DataClass.LABORATORY,
        _DIAGNOSTIC_SERVICE,
        frozenset("BG BLB CH CP HM IMM LAB MB MCB MYC OSL PAT SP SR TX URN VR".split()),  # noqa: SIM905 - as a table
    ),
    (DataClass.LABORATORY, "http://loinc.org", frozenset({"LP7839-6", "26436-6"})),
    (DataClass.VITAL_SIGNS, _OBSERVATION_CATEGORY, frozenset({"vital-signs"})),
    (DataClass.HEALTH_STATUS, _OBSERVATION_CATEGORY, frozenset({"social-history", "survey", "activity"})),
    (DataClass.CLINICAL_TESTS, _OBSERVATION_CATEGORY, frozenset({"exam", "procedure", "therapy"})),
    (DataClass.CLINICAL_TESTS, _DIAGNOSTIC_SERVICE, frozenset({"EC", "EN", "PF", "RT", "AU", "CTH"})),
)


def class_of(resource: JsonObject) -> DataClass | None:
    """The data class of a resource, by its type and its category; None for supporting and unplaced types.

    An Observation without a category that is known here is a clinical test; a DiagnosticReport without
    one is a clinical test where it refers to results, else a note.
    """
    kind = resource.get("resourceType")
    if kind in ("Observation", "DiagnosticReport"):
        codings = list(_codings(resource.get("category")))
        for data_class, system, codes in _BY_CATEGORY:
            if any(coding.get("system") == system and str(coding.get("code")) in codes for coding in codings):
                return data_class
        is_text = kind == "DiagnosticReport" and not resource.get("result")
        return DataClass.NOTES if is_text else DataClass.CLINICAL_TESTS
    return _BY_TYPE.get(kind) if isinstance(kind, str) else None


def _codings(concepts: Json) -> Iterator[JsonObject]:
    for concept in _objects(concepts):
        yield from _objects(concept.get("coding"))


def _objects(value: Json) -> Iterator[JsonObject]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from (item for item in value if isinstance(item, Mapping))


def key_of(resource: JsonObject) -> str:
    """``Type/id``: what a relative reference to the resource says."""
    return f"{resource['resourceType']}/{resource['id']}"


def references_in(value: Json) -> Iterator[str]:
    """Every literal reference inside a JSON value (FHIR R4, References)."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key == "reference" and isinstance(child, str):
                yield child
            else:
                yield from references_in(child)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for child in value:
            yield from references_in(child)


def split(
    resources: Iterable[JsonObject], accept: Callable[[DataClass], bool] = lambda _: True
) -> tuple[tuple[Record, ...], frozenset[str]]:
    """Make one record for each data class that `accept` lets through, in the order of `DataClass`.

    `resources` are of one patient, each with an id, and refer to each other by ``Type/id``.
    A Provenance goes with what it is about, once into each record, where it names the resources of that record only.
    Returns the records, and the keys of the resources that are in none.
    """
    by_key = {key_of(resource): resource for resource in resources}
    patients = [key for key in by_key if key.startswith("Patient/")]
    members: dict[DataClass, list[str]] = {}
    for key, resource in by_key.items():
        data_class = class_of(resource)
        if data_class is not None and accept(data_class):
            members.setdefault(data_class, []).append(key)
    records = []
    placed: set[str] = set()
    for data_class in sorted(members):
        keys = dict.fromkeys([*patients, *members[data_class]])
        pending = list(keys)
        while pending:
            for reference in references_in(by_key[pending.pop()]):
                if reference in by_key and reference not in keys and reference.partition("/")[0] in SUPPORTING:
                    keys[reference] = None
                    pending.append(reference)
        placed.update(keys)
        origins = [_of_these(by_key[key], keys, data_class) for key in by_key if key.startswith("Provenance/")]
        kept = [by_key[key] for key in keys]
        records.append(Record(data_class, (*kept, *(origin for origin in origins if origin is not None))))
    return tuple(records), frozenset(by_key) - placed


def _of_these(provenance: JsonObject, keys: Iterable[str], data_class: DataClass) -> JsonObject | None:
    """The Provenance of those of its targets that are in one record; None where there are none."""
    targets = provenance.get("target")
    here = frozenset(keys)
    found = [
        target
        for target in (targets if isinstance(targets, Sequence) and not isinstance(targets, str) else ())
        if isinstance(target, Mapping) and target.get("reference") in here
    ]
    if not found:
        return None
    return {**provenance, "id": Names("").of("Provenance", str(provenance["id"]), data_class.label), "target": found}
