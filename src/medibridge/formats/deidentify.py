"""The de-identified twin of a record: what may be offered for sale.

Safe Harbor, 45 CFR 164.514(b)(2), by an allow-list: what is not named here is left out. Kept are codes
of public code systems, numbers with their units, comparators, interpretations, statuses, gender, and
the year of dates. No text, display, narrative, note, identifier, name, address, extension or
attachment passes, whatever element it stands in; nor does a code that does not have the shape of
its code system. Ids are replaced by numbers. Years that make the patient older than 89 are left
out, as are ages above 89.

What no filter sees: a rare code may itself point to a person, a sender may have put an identifier where a
number or a code belongs, and several records of one patient sold together say more than each.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from medibridge.errors import UsageError
from medibridge.formats.bindings import REQUIRED
from medibridge.formats.splitting import key_of
from medibridge.ids import DataClass
from medibridge.record import Json, JsonObject, Record

__all__ = ["deidentify"]


@dataclass(frozen=True)
class _Twin:
    """What the filters need to know: the new name of each kept resource, and the last year that is not told."""

    names: Mapping[str, str]
    last_dropped_year: int


_Filter = Callable[[Json, _Twin], Json]
"""From an element of the source to what stands in the twin; None where nothing does."""


def deidentify(record: Record, *, today: datetime.date | None = None) -> Record:
    """Make the twin of `record`: same data class, marked de-identified, nothing that names the patient.

    `today` decides who is older than 89; by default the clock does. Resources of which nothing may be
    kept are left out. Raises `UsageError` where that leaves nothing: notes, for one, are free text.
    """
    if record.deidentified:
        return record
    year = (today or datetime.datetime.now(datetime.UTC).date()).year
    # The first pass finds out which resources remain, the second one writes references between them only.
    kept = [resource for resource in record.resources if _keep(resource, _Twin({}, year - 90)) is not None]
    patients = [resource for resource in kept if resource["resourceType"] == "Patient"]
    if len(kept) == len(patients) and record.data_class is not DataClass.DEMOGRAPHICS:
        raise UsageError(
            f"of {record!r} nothing may be sold: it holds no codes or numbers that Safe Harbor lets through"
        )
    others = [resource for resource in kept if resource not in patients]
    ordered = [*(patients or [{"resourceType": "Patient", "id": _NO_PATIENT}]), *others]
    names = {key_of(resource): f"{resource['resourceType']}/{number}" for number, resource in enumerate(ordered, 1)}
    twin = _Twin(names, year - 90)
    resources = tuple(found for resource in ordered if (found := _keep(resource, twin)) is not None)
    return Record(record.data_class, resources, deidentified=True)


_NO_PATIENT: Final = "-"


def _keep(resource: JsonObject, twin: _Twin) -> JsonObject | None:
    """The resource with what is on its list; None where its type has none, or where a required element is lost."""
    kind = resource["resourceType"]
    elements = _RESOURCES.get(kind) if isinstance(kind, str) else None
    if elements is None:
        return None
    kept = _filtered(resource, elements.filters, twin)
    name = twin.names.get(key_of(resource), "")
    subject = elements.subject
    if subject:
        kept[subject] = {"reference": "Patient/1"}
    if not all(any(name in kept for name in choice.split("|")) for choice in elements.required):
        return None
    if kind == "Observation" and _lost_value(resource, kept):
        kept["dataAbsentReason"] = _MASKED
    return {"resourceType": kind, "id": name.partition("/")[2], **kept}


def _lost_value(source: JsonObject, kept: JsonObject) -> bool:
    return any(name.startswith("value") for name in source) and not any(
        name.startswith("value") or name == "dataAbsentReason" for name in kept
    )


_MASKED: Final[JsonObject] = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "masked"}]
}


def _filtered(source: Json, filters: Mapping[str, _Filter], twin: _Twin) -> dict[str, Json]:
    """The elements of `source` that `filters` names, filtered; those of which nothing remains are left out."""
    if not isinstance(source, Mapping):
        return {}
    found = {name: keep(source.get(name), twin) for name, keep in filters.items() if name in source}
    return {name: value for name, value in found.items() if value is not None}


# --- filters for values ---------------------------------------------------------------------------------------------

_STANDARD_CODES: Final[Mapping[str, re.Pattern[str]]] = {
    "http://loinc.org": re.compile(r"\d{1,7}-\d|L[APG]\d{1,7}-\d"),
    "http://snomed.info/sct": re.compile(r"[1-9]\d{5,17}"),
    "http://www.nlm.nih.gov/research/umls/rxnorm": re.compile(r"[1-9]\d{0,7}"),
    "http://hl7.org/fhir/sid/ndc": re.compile(r"\d{4,5}-\d{3,4}-\d{1,2}|\d{10,11}"),
    "http://hl7.org/fhir/sid/cvx": re.compile(r"\d{1,3}"),
    "http://hl7.org/fhir/sid/icd-9-cm": re.compile(r"(\d{3}|V\d\d|E\d{3})(\.\d{1,2})?"),
    "http://hl7.org/fhir/sid/icd-10": re.compile(r"[A-Z]\d\d(\.\d{1,2})?"),
    "http://hl7.org/fhir/sid/icd-10-cm": re.compile(r"[A-Z]\d[0-9AB](\.[0-9A-Z]{1,4})?"),
    "http://www.whocc.no/atc": re.compile(r"[A-Z](\d\d([A-Z]([A-Z](\d\d)?)?)?)?"),
    "http://www.ama-assn.org/go/cpt": re.compile(r"\d{4}[0-9FTU]"),
    "http://fdasis.nlm.nih.gov": re.compile(r"[0-9A-Z]{10}"),
}
"""Code systems whose codes are recognised by their shape."""

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_SMALL_SYSTEMS: Final[Mapping[str, frozenset[str]]] = {
    _TERMINOLOGY + name: frozenset(codes.split())
    for name, codes in {
        "v3-ObservationInterpretation": "< > A AA B CAR D DET E EX EXP H HH HU HX I IE IND L LL LU LX MS N NCL ND NEG "
        "NR NS POS R RR S SDD SYN-R SYN-S TOX U UNE VS W WR",
        "v3-ActCode": "AMB EMER FLD HH IMP ACUTE NONAC OBSENC PRENC SS VR",
        "v3-NullFlavor": "UNK OTH NI NA NASK ASKU NAV",
        "observation-category": "social-history vital-signs imaging laboratory procedure survey exam therapy activity",
        "condition-category": "problem-list-item encounter-diagnosis",
        "condition-clinical": "active recurrence relapse inactive remission resolved",
        "condition-ver-status": "unconfirmed provisional differential confirmed refuted entered-in-error",
        "allergyintolerance-clinical": "active inactive resolved",
        "allergyintolerance-verification": "unconfirmed confirmed refuted entered-in-error",
        "data-absent-reason": "unknown asked-unknown temp-unknown not-asked asked-declined masked not-applicable "
        "unsupported as-text error not-a-number negative-infinity positive-infinity not-performed not-permitted",
        "medicationrequest-category": "inpatient outpatient community discharge",
        "v2-0004": "E I O P R B C N U",
        "v2-0007": "A C E L N R U",
        "v2-0074": "AU BG BLB CG CH CP CT CTH CUS EC EN GE HM ICU IMM LAB MB MCB MYC NMR NMS NRS OSL OT OTH OUS PAR "
        "PAT PF PHR PHY PT RAD RC RT RUS RX SP SR TX URN VR VUS XRC",
        "v2-0078": "< > A AA B D H HH HM HX I IND L LL MS N NEG NR ND POS R RR S SDD TOX U VS W WR",
        "v2-0112": "01 02 03 04 05 06 07 08 09 20 30 40 41 42",
        "v2-0162": "AP B DT EP ET GTT GU IA IB IC ICV ID IH IHA IM IMR IN IO IP IS IT IU IV MTH MM NB NG NP NT OP OT "
        "OTH PF PO PR RM SC SD SL SOAK TD TL TP TRA UR VA VM WND",
    }.items()
}
"""Code systems that are small enough to list."""

# UCUM (ucum.org): units joined by '.' and '/', each with prefix and exponent. Annotations in braces are free text, so
# only well-known ones pass.
_ATOM = (
    r"(?:10[*^]-?\d{1,2}|%|\[(?:iU|IU|arb'U|pH|degF|in_i|ft_i|lb_av|oz_av|HPF|LPF|drp|tbs_us|tsp_us|CFU|ppm|ppb)\]"
    r"|m\[(?:H2O|Hg)\]|mm\[(?:H2O|Hg)\]|cm\[H2O\]|k?\[(?:iU|IU)\]|[mu]\[(?:iU|IU)\]"
    r"|(?:da|[YZEPTGMkhdcmunpf])?(?:g|L|l|mol|osm|eq|m|s|Hz|Pa|J|W|V|A|K|N|cd|kat|cal|bar|Bq|Gy|Sv|lm|lx|T|F|U|rad|Ohm)"
    r"|Cel|min|h|d|wk|mo|a|deg|\{(?:score|ratio|INR|cells|count|copies|RBC|WBC|beats|breaths|pH|index|tablet|capsule|puff|dose)\})"
)
_TERM = rf"(?:{_ATOM}(?:[+-]?\d)?(?:\{{(?:creat|protein|total|RBCs|WBCs|beats|breaths)\}})?|1)"
_UCUM = re.compile(rf"/?{_TERM}(?:[./]{_TERM}){{0,3}}|1")
_UCUM_SYSTEM: Final = "http://unitsofmeasure.org"
_YEARS_IN: Final = {"a": 1, "mo": 12, "wk": 52, "d": 365}
_OLDEST: Final = 89

_DATE = re.compile(r"(\d{4})(-\d\d(-\d\d(T.*)?)?)?", re.ASCII | re.DOTALL)


def _number(value: Json, _: _Twin) -> Json:
    return value if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None


def _flag(value: Json, _: _Twin) -> Json:
    return value if isinstance(value, bool) else None


def _year(value: Json, twin: _Twin) -> Json:
    """The year of a date, if somebody alive then may still be 89: an older one would tell an age above."""
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match and int(match[1]) > twin.last_dropped_year else None


def _one_of(path: str) -> _Filter:
    """A code that must come from the required value set of `path`."""
    return lambda value, _: value if isinstance(value, str) and value in REQUIRED[path] else None


def _each(keep: _Filter) -> _Filter:
    def keep_each(value: Json, twin: _Twin) -> Json:
        if not isinstance(value, Sequence) or isinstance(value, str):
            return None
        return [found for item in value if (found := keep(item, twin)) is not None] or None

    return keep_each


def _object(**filters: _Filter) -> _Filter:
    named = {name.rstrip("_"): keep for name, keep in filters.items()}
    return lambda value, twin: _filtered(value, named, twin) or None


def _coding(value: Json, _: _Twin) -> Json:
    if not isinstance(value, Mapping):
        return None
    system, code = value.get("system"), value.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        return None
    shape = _STANDARD_CODES.get(system)
    if (shape is not None and shape.fullmatch(code)) or code in _SMALL_SYSTEMS.get(system, ()):
        return {"system": system, "code": code}
    return None


_concept = _object(coding=_each(_coding))
_period = _object(start=_year, end=_year)


def _quantity(value: Json, _: _Twin) -> Json:
    """Value, comparator and UCUM unit. A unit that is no UCUM takes the number with it; so does an age above 89."""
    if not isinstance(value, Mapping) or _number(value.get("value"), _) is None:
        return None
    unit = value.get("code") if value.get("system") == _UCUM_SYSTEM else value.get("unit")
    if value.get("code") is not None and value.get("system") != _UCUM_SYSTEM:
        return None
    kept: dict[str, Json] = {"value": value["value"]}
    if value.get("comparator") in ("<", "<=", ">=", ">"):
        kept["comparator"] = value["comparator"]
    if unit is None:
        return kept
    if not isinstance(unit, str) or not _UCUM.fullmatch(unit) or _is_great_age(value["value"], unit):
        return None
    return {**kept, "system": _UCUM_SYSTEM, "code": unit}


def _is_great_age(value: Json, unit: str) -> bool:
    return unit in _YEARS_IN and isinstance(value, (int, Decimal)) and value > _OLDEST * _YEARS_IN[unit]


_range = _object(low=_quantity, high=_quantity)
_ratio = _object(numerator=_quantity, denominator=_quantity)


def _reference(value: Json, twin: _Twin) -> Json:
    old = value.get("reference") if isinstance(value, Mapping) else None
    new = twin.names.get(old) if isinstance(old, str) else None
    return {"reference": new} if new else None


# --- what is kept of each resource ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Elements:
    """The filters by element; the element that refers to the patient; those that must remain (one of ``a|b``)."""

    filters: Mapping[str, _Filter]
    subject: str = "subject"
    required: tuple[str, ...] = ()


_VALUE: Final[Mapping[str, _Filter]] = {
    "valueQuantity": _quantity,
    "valueCodeableConcept": _concept,
    "valueBoolean": _flag,
    "valueInteger": _number,
    "valueRange": _range,
    "valueRatio": _ratio,
    "valueDateTime": _year,
    "valuePeriod": _period,
    "dataAbsentReason": _concept,
    "interpretation": _each(_concept),
    "referenceRange": _each(_range),
}

_DOSAGE: Final = _object(
    sequence=_number,
    timing=_object(repeat=_object(frequency=_number, period=_number,
                                  periodUnit=_one_of("MedicationRequest.dosageInstruction.timing.repeat.periodUnit"))),
    asNeededBoolean=_flag,
    site=_concept,
    route=_concept,
    method=_concept,
    doseAndRate=_each(_object(doseQuantity=_quantity, doseRange=_range, rateQuantity=_quantity, rateRatio=_ratio)),
)  # fmt: skip


def _component(value: Json, twin: _Twin) -> Json:
    kept = _filtered(value, {"code": _concept, **_VALUE}, twin)
    return kept if "code" in kept else None


_RESOURCES: Final[Mapping[str, _Elements]] = {
    "Patient": _Elements(
        {
            "gender": _one_of("Patient.gender"),
            "birthDate": _year,
            "deceasedBoolean": _flag,
            "deceasedDateTime": _year,
        },
        subject="",
    ),
    "Observation": _Elements(
        {
            "status": _one_of("Observation.status"),
            "category": _each(_concept),
            "code": _concept,
            "effectiveDateTime": _year,
            "effectivePeriod": _period,
            "bodySite": _concept,
            "method": _concept,
            "hasMember": _each(_reference),
            "derivedFrom": _each(_reference),
            "component": _each(_component),
            **_VALUE,
        },
        required=("status", "code"),
    ),
    "DiagnosticReport": _Elements(
        {
            "status": _one_of("DiagnosticReport.status"),
            "category": _each(_concept),
            "code": _concept,
            "effectiveDateTime": _year,
            "effectivePeriod": _period,
            "result": _each(_reference),
            "conclusionCode": _each(_concept),
        },
        required=("status", "code"),
    ),
    "MedicationRequest": _Elements(
        {
            "status": _one_of("MedicationRequest.status"),
            "intent": _one_of("MedicationRequest.intent"),
            "category": _each(_concept),
            "priority": _one_of("MedicationRequest.priority"),
            "medicationCodeableConcept": _concept,
            "authoredOn": _year,
            "reasonCode": _each(_concept),
            "dosageInstruction": _each(_DOSAGE),
            "dispenseRequest": _object(numberOfRepeatsAllowed=_number, quantity=_quantity),
        },
        required=("status", "intent", "medicationCodeableConcept"),
    ),
    "MedicationStatement": _Elements(
        {
            "status": _one_of("MedicationStatement.status"),
            "medicationCodeableConcept": _concept,
            "effectiveDateTime": _year,
            "effectivePeriod": _period,
            "reasonCode": _each(_concept),
            "dosage": _each(_DOSAGE),
        },
        required=("status", "medicationCodeableConcept"),
    ),
    "MedicationAdministration": _Elements(
        {
            "status": _one_of("MedicationAdministration.status"),
            "statusReason": _each(_concept),
            "medicationCodeableConcept": _concept,
            "effectiveDateTime": _year,
            "effectivePeriod": _period,
            "reasonCode": _each(_concept),
        },
        required=("status", "medicationCodeableConcept", "effectiveDateTime|effectivePeriod"),
    ),
    "MedicationDispense": _Elements(
        {
            "status": _one_of("MedicationDispense.status"),
            "medicationCodeableConcept": _concept,
            "quantity": _quantity,
            "daysSupply": _quantity,
            "dosageInstruction": _each(_DOSAGE),
        },
        required=("status", "medicationCodeableConcept"),
    ),
    "Condition": _Elements(
        {
            "clinicalStatus": _concept,
            "verificationStatus": _concept,
            "category": _each(_concept),
            "severity": _concept,
            "code": _concept,
            "bodySite": _each(_concept),
            "onsetDateTime": _year,
            "abatementDateTime": _year,
            "recordedDate": _year,
        },
        required=("code",),
    ),
    "AllergyIntolerance": _Elements(
        {
            "clinicalStatus": _concept,
            "verificationStatus": _concept,
            "type": _one_of("AllergyIntolerance.type"),
            "category": _each(_one_of("AllergyIntolerance.category")),
            "criticality": _one_of("AllergyIntolerance.criticality"),
            "code": _concept,
            "onsetDateTime": _year,
            "recordedDate": _year,
        },
        subject="patient",
        required=("code",),
    ),
    "Immunization": _Elements(
        {
            "status": _one_of("Immunization.status"),
            "statusReason": _concept,
            "vaccineCode": _concept,
            "occurrenceDateTime": _year,
            "primarySource": _flag,
            "site": _concept,
            "route": _concept,
            "doseQuantity": _quantity,
        },
        subject="patient",
        required=("status", "vaccineCode", "occurrenceDateTime"),
    ),
    "Procedure": _Elements(
        {
            "status": _one_of("Procedure.status"),
            "category": _concept,
            "code": _concept,
            "performedDateTime": _year,
            "performedPeriod": _period,
            "reasonCode": _each(_concept),
            "bodySite": _each(_concept),
            "outcome": _concept,
        },
        required=("status", "code"),
    ),
    "Encounter": _Elements(
        {
            "status": _one_of("Encounter.status"),
            "class": _coding,
            "type": _each(_concept),
            "serviceType": _concept,
            "priority": _concept,
            "period": _period,
            "reasonCode": _each(_concept),
            "hospitalization": _object(admitSource=_concept, dischargeDisposition=_concept),
        },
        required=("status", "class"),
    ),
}
