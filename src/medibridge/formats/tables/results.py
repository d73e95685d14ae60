"""Rows of laboratory results and vital signs as Observation."""

from __future__ import annotations

from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.tables.amounts import compared, number_and_unit, range_of
from medibridge.formats.tables.elements import word
from medibridge.formats.tables.row import Row, concept_of, sparse
from medibridge.formats.units import ucum
from medibridge.record import Json, JsonObject

__all__ = ["read_result"]

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_INTERPRETATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_COMPARATORS: Final = ("<", "<=", ">=", ">")


def read_result(row: Row) -> dict[str, Json] | None:
    """An Observation without id and subject; None, reported, where nothing says what was measured."""
    code = row.concept("code")
    if code is None:
        row.drop(Outcome.INVALID, "the row does not say what was measured (code.text, code.loinc …)")
        return None
    status = row.word("status", "observation-status")
    if status is None:
        row.default("status", "no status; unknown ('always: {status: final}' in the mapping gives one)")
    value, unit = _value(row)
    if not value:
        value = {"dataAbsentReason": concept_of(_ABSENT, "unknown")}
        row.default("value", "no value; dataAbsentReason is unknown")
    method = row.text("method")
    return {
        "status": status or "unknown",
        "category": [concept_of(_CATEGORY, row.reading.kind.name)],
        "code": code,
        **value,
        **sparse(
            identifier=row.identifiers(),
            effectiveDateTime=row.date_time("effective"),
            issued=row.instant("issued"),
            interpretation=_interpretation(row),
            referenceRange=_ranges(row, unit),
            method={"text": method} if method else None,
            specimen=row.who("specimen"),
            performer=[who] if (who := row.who("performer")) else [],
            encounter=row.encounter(),
            note=row.notes(),
        ),
    }


def _value(row: Row) -> tuple[dict[str, Json], JsonObject]:
    """The value and its unit: a number as Quantity, other text as it is."""
    text, decimal = row.peek("value"), row.reading.map.decimal
    found = compared(text, decimal)
    unit: JsonObject = {}
    if found:
        unit = row.unit("unit")
    elif not row.peek("unit") and (both := number_and_unit(text, decimal)) and ucum(both[2], row.reading.profile):
        found, unit = both[:2], row.unit_of(both[2])
    if found is None:
        return _not_a_number(row, text), {}
    comparator, value = found
    if sign := row.peek("comparator"):
        if sign == "=":
            row.settle("comparator", Outcome.IGNORED, "equal, as is said by no sign")
        elif sign in _COMPARATORS and comparator in ("", sign):
            comparator = sign
            row.settle("comparator", Outcome.MAPPED)
        else:
            row.refuse("comparator", "none of < <= >= >, or another than in the value; left out")
    row.settle("value", Outcome.MAPPED, "", "Observation.valueQuantity.value")
    return {"valueQuantity": sparse(value=value, comparator=comparator, **unit)}, unit


def _not_a_number(row: Row, text: str) -> dict[str, Json]:
    for element in ("unit", "comparator"):
        if row.peek(element):
            row.settle(element, Outcome.UNMAPPED, "no number that it belongs to")
    if not text:
        return {}
    row.settle("value", Outcome.MAPPED, "", "Observation.valueString")
    if text.strip("0123456789.,+-") == "" and any(character.isdigit() for character in text):
        row.settle(
            "value",
            Outcome.PARTLY,
            "not a number as the mapping's 'decimal' says; kept as text",
            "Observation.valueString",
        )
    return {"valueString": text}


def _interpretation(row: Row) -> list[Json]:
    text = row.text("interpretation")
    if not text:
        return []
    code = word("interpretation", text)
    return [concept_of(_INTERPRETATION, code, "" if code == text else text) if code else {"text": text}]


def _ranges(row: Row, unit: JsonObject) -> list[Json]:
    text = row.text("range")
    ends = dict(zip(("low", "high"), range_of(text, row.reading.map.decimal), strict=True))
    found: dict[str, Json] = {}
    for end, written in ends.items():
        value = row.decimal(f"range.{end}") if row.peek(f"range.{end}") else written
        if value is not None:
            found[end] = {"value": value, **unit}
    if text:
        found["text"] = text
    return [found] if found else []
