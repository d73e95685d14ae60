"""What becomes of a date: its year, or the same moment of another day.

*Years* are all that Safe Harbor lets through (45 CFR 164.514(b)(2)(i)(C)). *Shifted* dates move by a number of days
that is one for a patient, drawn from the custodian's key, from 1 to 50 back or forth, never none: what lies between
two dates of a patient stays as it was. Shifted dates are not Safe Harbor.

The time of the day stays, but not its offset from UTC: with summer time it changes on a day of the calendar that
everybody knows, and so would tell the shift; it also tells where in the world the patient lives. FHIR wants an offset,
so ``Z`` stands for all: times are those of the clock where they were taken.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

__all__ = ["MOST_DAYS", "DateRule", "days_for", "shifted", "year_of", "years"]

DateRule = Callable[[str], str | None]
"""From a FHIR date, dateTime or instant to what stands in its place; None where nothing does."""

MOST_DAYS: Final = 50

_YEAR = re.compile(r"(\d{4})(-\d\d(-\d\d(T.*)?)?)?", re.ASCII | re.DOTALL)
_DATE = re.compile(
    r"(\d{4})(-\d\d(?:(-\d\d)(?:(T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?)"
    r"(?:Z|[+-]\d\d:\d\d))?)?)?",
    re.ASCII,
)  # hl7.org/fhir/R4/datatypes.html#dateTime


def year_of(text: str) -> int | None:
    """The year of a FHIR date; None where it is none."""
    match = _YEAR.fullmatch(text)
    return int(match[1]) if match else None


def years(last_dropped: int) -> DateRule:
    """Dates to their year. Years up to `last_dropped` are left out: whoever lived then may be older than 89."""

    def keep_year(text: str) -> str | None:
        year = year_of(text)
        return f"{year:04}" if year is not None and year > last_dropped else None

    return keep_year


def shifted(days: int, last_dropped: int) -> DateRule:
    """Dates moved by `days`; the time of the day stays, as if it were UTC. A date without a day becomes its year.

    Years up to `last_dropped` are left out.
    """
    by = datetime.timedelta(days=days)

    def shift(text: str) -> str | None:
        match = _DATE.fullmatch(text)
        if match is None or int(match[1]) <= last_dropped:
            return None
        if match[3] is None:
            return match[1]
        try:
            moved = datetime.date.fromisoformat(text[:10]) + by
        except (ValueError, OverflowError):
            return None
        return moved.isoformat() + (f"{match[4]}Z" if match[4] else "") if moved.year > last_dropped else None

    return shift


def days_for(patient: str, key: bytes) -> int:
    """The days by which a patient's dates move: -50 to 50, never 0, from the HMAC-SHA256 of the patient's id."""
    drawn = int.from_bytes(hmac.digest(key, b"days\0" + patient.encode(), hashlib.sha256), "big") % (2 * MOST_DAYS)
    return drawn - MOST_DAYS if drawn < MOST_DAYS else drawn - MOST_DAYS + 1
