"""Rows of prescriptions as MedicationRequest."""

from __future__ import annotations

import re
from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.tables.elements import word
from medibridge.formats.tables.row import Row, concept_of, sparse
from medibridge.formats.units import UCUM
from medibridge.record import Json, JsonObject

__all__ = ["read_prescription", "route_of"]

_SNOMED: Final = "http://snomed.info/sct"
_HOURS: Final = re.compile(r"(?:q|every|alle|cada) ?([1-9][0-9]?) ?(?:h|hr|hrs|hours?|std\.?|stunden|horas?)")
_TIMES: Final = re.compile(
    r"([1-9]) ?(?:x|times|mal|veces)(?: ?/ ?| a | per | al | )(?:d|day|daily|tag|täglich|tgl\.?|día|dia)"
)
_DAY_PARTS: Final = re.compile(r"([0-9])-([0-9])-([0-9])(?:-([0-9]))?")
_AS_NEEDED: Final = re.compile(r"(?:^|[ ,])(?:prn|p\.r\.n\.|as needed|bei bedarf|b\.b\.|si precisa)$")


def read_prescription(row: Row) -> dict[str, Json] | None:
    """A MedicationRequest without id and subject; None, reported, where nothing names the medication."""
    drug = row.concept("code")
    if drug is None:
        row.drop(Outcome.INVALID, "the row does not name the medication (code.text, code.rxnorm …)")
        return None
    status, intent = row.word("status", "request-status"), row.word("intent", "request-intent")
    if status is None:
        row.default("status", "no status; unknown ('always: {status: active}' in the mapping gives one)")
    if intent is None:
        row.default("intent", "no intent; order")
    dosage = _dosage(row)
    reason = row.concept("reason")
    return {
        "status": status or "unknown",
        "intent": intent or "order",
        "medicationCodeableConcept": drug,
        **sparse(
            identifier=row.identifiers(),
            priority=row.word("priority", "request-priority"),
            authoredOn=row.date_time("authored"),
            requester=row.who("requester"),
            reasonCode=[reason] if reason else [],
            dosageInstruction=[dosage] if dosage else [],
            dispenseRequest=_dispense(row),
            encounter=row.encounter(),
            note=row.notes(),
        ),
    }


def _dosage(row: Row) -> dict[str, Json]:
    dose = row.amount("dose", "dose.unit")
    timing, if_needed = _timing(row)
    as_needed = row.boolean("asNeeded")
    return sparse(
        text=row.text("dosage"),
        timing=timing,
        asNeededBoolean=if_needed if as_needed is None else as_needed,
        route=route_of(row),
        doseAndRate=[{"doseQuantity": dose}] if dose else [],
    )


def route_of(row: Row) -> JsonObject | None:
    """The way into the body: SNOMED CT where the word is known, always as it is written."""
    text = row.text("route")
    if not text:
        return None
    code = word("route", text)
    return concept_of(_SNOMED, code, text) if code else {"text": text}


def _timing(row: Row) -> tuple[JsonObject | None, bool | None]:
    """A frequency as Timing: as it is written, and as numbers where it is known what they are; whether as needed."""
    text = row.text("frequency")
    if not text:
        return None, None
    plain = " ".join(text.casefold().split())
    regular = _AS_NEEDED.sub("", plain).strip(" ,")
    repeat = _repeat(regular)
    return {**sparse(repeat=repeat), "code": {"text": text}}, True if regular != plain else None


def _repeat(text: str) -> dict[str, Json]:
    found = word("frequency", text)
    if found:
        frequency, period, unit = found.split()
        return {"frequency": int(frequency), "period": int(period), "periodUnit": unit}
    if match := _HOURS.fullmatch(text):
        return {"frequency": 1, "period": int(match[1]), "periodUnit": "h"}
    if match := _TIMES.fullmatch(text):
        return {"frequency": int(match[1]), "period": 1, "periodUnit": "d"}
    if match := _DAY_PARTS.fullmatch(text):
        taken = [part for part in match.groups() if part not in (None, "0")]
        if len(set(taken)) == 1:
            return {"frequency": len(taken), "period": 1, "periodUnit": "d"}
    return {}


def _dispense(row: Row) -> dict[str, Json]:
    days = row.decimal("daysSupply")
    if days is not None and days <= 0:
        row.refuse("daysSupply", "not a number of days; left out")
        days = None
    start, end = row.date_time("start"), row.date_time("end")
    if start and end and end[:10] < start[: len(end[:10])]:
        row.refuse("end", "before the beginning; left out")
        end = None
    return sparse(
        validityPeriod=sparse(start=start, end=end),
        numberOfRepeatsAllowed=row.count("repeats"),
        quantity=row.amount("quantity", "quantity.unit"),
        expectedSupplyDuration=None if days is None else {"value": days, "unit": "d", "system": UCUM, "code": "d"},
    )
