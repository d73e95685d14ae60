"""Rows of vaccinations as Immunization, of procedures as Procedure."""

from __future__ import annotations

from medibridge.formats.conversion import Outcome
from medibridge.formats.tables.prescriptions import route_of
from medibridge.formats.tables.row import Row, sparse
from medibridge.record import Json

__all__ = ["read_immunization", "read_procedure"]


def read_immunization(row: Row) -> dict[str, Json] | None:
    """An Immunization without id and patient; None, reported, where the vaccine or the date is missing."""
    vaccine, when = row.concept("code"), row.date_time("occurrence")
    if vaccine is None or when is None:
        row.drop(Outcome.INVALID, "the row lacks the vaccine or the date that it was given")
        return None
    status = row.word("status", "event-status")
    if status not in ("completed", "not-done", "entered-in-error"):
        if status:
            row.refuse("status", "a vaccination is completed or not-done; left out")
        row.default("status", "no status; completed")
        status = "completed"
    performer = row.who("performer")
    return {
        "status": status,
        "vaccineCode": vaccine,
        "occurrenceDateTime": when,
        **sparse(
            identifier=row.identifiers(),
            lotNumber=row.text("lot"),
            doseQuantity=row.amount("dose", "dose.unit"),
            route=route_of(row),
            site=row.concept("site"),
            performer=[{"actor": performer}] if performer else [],
            encounter=row.encounter(),
            note=row.notes(),
        ),
    }


def read_procedure(row: Row) -> dict[str, Json] | None:
    """A Procedure without id and subject; None, reported, where nothing says what was done."""
    code = row.concept("code")
    if code is None:
        row.drop(Outcome.INVALID, "the row does not say what was done (code.text, code.snomed …)")
        return None
    status = row.word("status", "event-status")
    if status is None:
        row.default("status", "no status; unknown ('always: {status: completed}' in the mapping gives one)")
    site, reason, performer = row.concept("site"), row.concept("reason"), row.who("performer")
    return {
        "status": status or "unknown",
        "code": code,
        **_performed(row),
        **sparse(
            identifier=row.identifiers(),
            bodySite=[site] if site else [],
            reasonCode=[reason] if reason else [],
            performer=[{"actor": performer}] if performer else [],
            encounter=row.encounter(),
            note=row.notes(),
        ),
    }


def _performed(row: Row) -> dict[str, Json]:
    start, end = row.date_time("performed"), row.date_time("end")
    if start and end and end[:10] < start[: len(end[:10])]:
        row.refuse("end", "before the beginning; left out")
        end = None
    if end:
        return {"performedPeriod": sparse(start=start, end=end)}
    return sparse(performedDateTime=start)
