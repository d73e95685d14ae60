"""Structured reports (PS3.3, A.35 and C.17): the content tree as the lines of a DiagnosticReport.

The lines keep the order and the depth of the tree. It is not taken apart into Observations: what a measurement says
hangs on the items above and beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.dicom.codes import concepts
from medibridge.formats.dicom.dataset import Dataset
from medibridge.formats.dicom.mapping import DICOM_UID, Draft, sparse
from medibridge.record import Json, JsonObject

__all__ = ["SEQUENCES", "diagnostic_report"]

SEQUENCES: Final = (
    "ConceptCodeSequence",
    "ConceptNameCodeSequence",
    "ContentSequence",
    "MeasuredValueSequence",
    "MeasurementUnitsCodeSequence",
)
_TARGET: Final = "DiagnosticReport.conclusion"
_TEXTS: Final = ("TextValue", "DateTime", "Date", "Time", "PersonName", "UID")
"""Elements that hold the value of an item, by its value type; those of coded and measured values are sequences."""
_SECTION: Final[JsonObject] = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD", "display": "Radiology"}]
}
_ANY_REPORT: Final[JsonObject] = {
    "coding": [{"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}]
}


def diagnostic_report(
    dataset: Dataset, draft: Draft, uid: str, subject: JsonObject, study: JsonObject, media: JsonObject
) -> JsonObject | None:
    """The DiagnosticReport of a structured report; None for other files."""
    if not dataset.items("ContentSequence") or not uid:
        return None
    titles = concepts(dataset, "ConceptNameCodeSequence", "DiagnosticReport.code", draft)
    if not titles:
        dataset.ledger.default(dataset.place("ConceptNameCodeSequence"), "no title; any diagnostic imaging study")
    lines = list(_lines(dataset, draft, ""))
    when = dataset.date_time("ContentDate", "ContentTime", "DiagnosticReport.effectiveDateTime")
    identifiers: list[Json] = [{"system": DICOM_UID, "value": f"urn:oid:{uid}"}]
    return {
        "resourceType": "DiagnosticReport",
        "id": draft.names.by_identifier("DiagnosticReport", DICOM_UID, uid),
        "status": _status(dataset),
        "category": [_SECTION],
        "code": titles[0] if titles else _ANY_REPORT,
        "subject": subject,
        "imagingStudy": [study],
        "media": [{"link": media}],
        "identifier": identifiers,
        **sparse(effectiveDateTime=when, conclusion="\n".join(lines)),
    }


def _status(dataset: Dataset) -> str:
    """From the flags of the document (C.17.2): final where it was verified."""
    target = "DiagnosticReport.status"
    flags = [dataset.text(name, target) for name in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag")]
    if flags[0] == "PARTIAL":
        return "partial"
    if flags[2] == "PRELIMINARY" or flags[1] == "UNVERIFIED":
        return "preliminary"
    if flags[2] == "FINAL" or flags[1] == "VERIFIED":
        return "final"
    dataset.ledger.default(dataset.place("VerificationFlag"), "neither verified nor unverified; status unknown")
    return "unknown"


def _lines(dataset: Dataset, draft: Draft, indent: str) -> Iterator[str]:
    for item in dataset.items("ContentSequence"):
        name, value = _named(item, "ConceptNameCodeSequence", draft), _value(item, draft)
        for keyword in ("ValueType", "RelationshipType", "ContinuityOfContent"):
            item.settle(keyword, Outcome.USED, "the structure of the report")
        text = ": ".join(part for part in (name, value) if part)
        if text:
            yield indent + text
        yield from _lines(item, draft, indent + "  " if text else indent)


def _value(item: Dataset, draft: Draft) -> str:
    texts = [text for keyword in _TEXTS for text in item.texts(keyword, _TARGET)]
    if coded := _named(item, "ConceptCodeSequence", draft):
        texts.append(coded)
    for measured in item.items("MeasuredValueSequence"):
        number = measured.text("NumericValue", _TARGET)
        units = measured.items("MeasurementUnitsCodeSequence")
        unit = units[0].text("CodeValue", _TARGET) if units else ""
        for one in units:
            for keyword in ("CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"):
                one.settle(keyword, Outcome.USED, "the unit is written as its code")
        texts.append(f"{number} {unit}".strip() if unit != "1" else number)
    return ", ".join(text for text in texts if text)


def _named(item: Dataset, keyword: str, draft: Draft) -> str:
    """The meaning of a code, as people read it."""
    for concept in concepts(item, keyword, _TARGET, draft):
        codings = concept.get("coding")
        for coding in codings if isinstance(codings, list) else []:
            return str(coding.get("display") or coding.get("code") or "")
        return str(concept.get("text", ""))
    return ""
