"""What the report beside an output says: one line of JSON for each message, in their order."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from medibridge.errors import MediBridgeError
from medibridge.formats import Conversion, Finding
from medibridge.record import Json, JsonObject, canonical_json

__all__ = ["Reports", "line_of", "line_of_refusal", "reason_of"]

_NUMBERS = re.compile(r"\[[0-9]+\]|(?<=\s)[0-9]+\b")


class Reports(enum.Enum):
    """How reports are written."""

    FINDINGS = "findings"
    """Place, format, how many values met each outcome, and what did not go over whole."""
    OPERATION_OUTCOME = "operation-outcome"
    """A FHIR R4 OperationOutcome for each message."""


def line_of(conversion: Conversion, how: Reports) -> bytes:
    """What became of the values of one message. Holds no value."""
    report = conversion.report
    if how is Reports.OPERATION_OUTCOME:
        return _line(report.to_operation_outcome())
    outcomes = {outcome.value: count for outcome, count in report.counts().items()}
    findings: list[Json] = [_finding(each) for each in report.notable]
    return _line(
        {"place": conversion.place, "format": conversion.format.name, "outcomes": outcomes, "findings": findings}
    )


def _finding(finding: Finding) -> Mapping[str, Json]:
    told = {
        "place": finding.place,
        "outcome": finding.outcome.value,
        "reason": finding.reason,
        "target": finding.target,
    }
    return {name: text for name, text in told.items() if text}


def line_of_refusal(place: str, error: MediBridgeError, how: Reports) -> bytes:
    """Why a piece was not converted."""
    if how is Reports.FINDINGS:
        return _line({"place": place, "refused": type(error).__name__, "reason": str(error)})
    issue: dict[str, Json] = {"severity": "error", "code": "structure", "diagnostics": str(error)}
    if place:
        issue["expression"] = [place]
    return _line({"resourceType": "OperationOutcome", "issue": [issue]})


def reason_of(error: MediBridgeError) -> str:
    """Why, without the numbers of places: the same for all pieces that are broken alike."""
    return f"{type(error).__name__}: {_NUMBERS.sub('', str(error).partition('; accepted')[0])}"


def _line(value: JsonObject) -> bytes:
    return canonical_json(value) + b"\n"
