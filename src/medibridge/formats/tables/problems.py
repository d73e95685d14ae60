"""Rows of conditions and symptoms as Condition, of allergies as AllergyIntolerance."""

from __future__ import annotations

from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.tables.elements import word
from medibridge.formats.tables.row import Row, concept_of, sparse
from medibridge.record import Json, JsonObject

__all__ = ["read_allergy", "read_condition"]

_HL7: Final = "http://terminology.hl7.org/CodeSystem/"
_SNOMED: Final = "http://snomed.info/sct"
_SYMPTOM: Final[JsonObject] = {
    "coding": [{"system": _SNOMED, "code": "418799008", "display": "Symptom"}],
    "text": "symptom",
}
_ENDED: Final = ("inactive", "remission", "resolved")


def read_condition(row: Row) -> dict[str, Json] | None:
    """A Condition without id and subject; None, reported, where nothing names it."""
    code = row.concept("code")
    if code is None:
        row.drop(Outcome.INVALID, "the row does not name the condition (code.text, code.icd10 …)")
        return None
    abatement = row.date_time("abatement")
    verification = row.word("verificationStatus", "verification-status")
    clinical = _clinical(row, abatement, verification)
    if abatement and clinical not in _ENDED:
        row.refuse("abatement", "an end, but the status says that it goes on (FHIR R4, con-4); left out")
        abatement = None
    site = row.concept("site")
    return {
        **sparse(
            clinicalStatus=concept_of(_HL7 + "condition-clinical", clinical) if clinical else None,
            verificationStatus=concept_of(_HL7 + "condition-ver-status", verification) if verification else None,
        ),
        "category": [_category(row)],
        "code": code,
        **sparse(
            identifier=row.identifiers(),
            severity=_severity(row),
            bodySite=[site] if site else [],
            onsetDateTime=row.date_time("onset"),
            abatementDateTime=abatement,
            recordedDate=row.date_time("recorded"),
            recorder=row.who("recorder"),
            encounter=row.encounter(),
            note=row.notes(),
        ),
    }


def _clinical(row: Row, abatement: str | None, verification: str | None) -> str | None:
    """The clinical status; R4 wants none of what was entered in error (con-5), one of what has ended (con-4)."""
    found = row.word("clinicalStatus", "clinical-status")
    if verification == "entered-in-error":
        if found:
            row.settle("clinicalStatus", Outcome.UNMAPPED, "what was entered in error has no status (FHIR R4, con-5)")
        return None
    if found is None and abatement:
        row.default("clinicalStatus", "no status, but an end; resolved")
        return "resolved"
    return found


def _category(row: Row) -> JsonObject:
    if row.reading.kind.name == "symptoms" and not row.peek("category"):
        return _SYMPTOM
    found = row.word("category", "category")
    if found is None:
        row.default("category", "no category; problem-list-item")
    return concept_of(_HL7 + "condition-category", found or "problem-list-item")


def _severity(row: Row) -> JsonObject | None:
    text = row.text("severity")
    if not text:
        return None
    code = word("severity", text)
    return concept_of(_SNOMED, code, text) if code else {"text": text}


def read_allergy(row: Row) -> dict[str, Json] | None:
    """An AllergyIntolerance without id and patient; None, reported, where nothing names it."""
    code = row.concept("code")
    if code is None:
        row.drop(Outcome.INVALID, "the row does not name what is not tolerated (code.text, code.rxnorm …)")
        return None
    verification = row.word("verificationStatus", "verification-status")
    if verification in ("provisional", "differential"):
        row.settle("verificationStatus", Outcome.PARTLY, "an allergy is unconfirmed, not provisional, in FHIR")
        verification = "unconfirmed"
    clinical = row.word("clinicalStatus", "clinical-status")
    if clinical in ("recurrence", "relapse", "remission"):
        row.refuse("clinicalStatus", "an allergy is active, inactive or resolved; left out")
        clinical = None
    if verification == "entered-in-error":
        if clinical:
            row.settle("clinicalStatus", Outcome.UNMAPPED, "what was entered in error has no status (FHIR R4, ait-2)")
        clinical = None
    elif clinical is None:
        row.default("clinicalStatus", "no status; active, since FHIR R4 asks for one (ait-1)")
        clinical = "active"
    category = row.word("category", "allergy-category")
    return {
        **sparse(
            clinicalStatus=concept_of(_HL7 + "allergyintolerance-clinical", clinical) if clinical else None,
            verificationStatus=concept_of(_HL7 + "allergyintolerance-verification", verification)
            if verification
            else None,
            type=row.word("type", "allergy-type"),
            category=[category] if category else [],
            criticality=row.word("criticality", "criticality"),
        ),
        "code": code,
        **sparse(
            identifier=row.identifiers(),
            onsetDateTime=row.date_time("onset"),
            recordedDate=row.date_time("recorded"),
            recorder=row.who("recorder"),
            encounter=row.encounter(),
            reaction=_reactions(row),
            note=row.notes(),
        ),
    }


def _reactions(row: Row) -> list[Json]:
    manifestation = row.concept("reaction")
    if manifestation is None:
        if row.peek("severity"):
            row.settle("severity", Outcome.UNMAPPED, "no reaction that it is the severity of")
        return []
    return [{"manifestation": [manifestation], **sparse(severity=row.word("severity", "reaction-severity"))}]
