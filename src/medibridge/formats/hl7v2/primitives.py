"""HL7 v2 data types of one value as FHIR R4 primitives (HL7 v2.9, chapter 2A).

A conversion is made for one FHIR element, `target`, by which the report names where a value went. It takes a part of
the message, says what became of it, and gives the value; None where there is none, or none that FHIR allows.
"""

from __future__ import annotations

import base64
import datetime
import functools
import re
import zoneinfo
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.message import Part
from medibridge.formats.hl7v2.tables import table
from medibridge.record import Json, Number

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["PRIMITIVES", "Convert", "compared", "is_code", "text_number"]

Convert: TypeAlias = "Callable[[Part, Draft], Json]"
Factory: TypeAlias = "Callable[[str, str], Convert]"

_DTM = re.compile(
    r"(?P<year>\d{4})(?:-?(?P<month>\d\d)(?:-?(?P<day>\d\d)(?:[T ]?(?P<hour>\d\d)(?::?(?P<minute>\d\d)"
    r"(?::?(?P<second>\d\d)(?P<fraction>\.\d{0,9})?)?)?)?)?)?\s*(?P<offset>Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_OFFSET = re.compile(r"[+-](?:0\d|1[0-3]):?[0-5]\d|[+-]14:?00|Z", re.ASCII)
_NM = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?", re.ASCII)
_CODE = re.compile(r"\S+( \S+)*")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_COMPARATORS: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=<": "<=", "=>": ">=", "≤": "<=", "≥": ">="}
_COMPARED = re.compile(r"(<=|>=|=<|=>|<|>|≤|≥)\s*(.+)", re.DOTALL)


def is_code(text: str) -> bool:
    """Whether FHIR allows the text as a code: no blanks at its ends, single ones within."""
    return _CODE.fullmatch(text) is not None


# --- text -----------------------------------------------------------------------------------------------------------


def _text(target: str, _: str) -> Convert:
    return lambda part, _draft: part.mapped(target) or None


def _whole(target: str, _: str) -> Convert:
    return lambda part, _draft: part.whole(target) or None


def _token(target: str, _: str) -> Convert:
    def convert(part: Part, _draft: Draft) -> Json:
        if is_code(part.text):
            return part.mapped(target)
        part.settle(Outcome.INVALID, "not a code; left out")
        return None

    return convert


def _id(target: str, _: str) -> Convert:
    """An id of FHIR: letters, digits, hyphens and points."""

    def convert(part: Part, _draft: Draft) -> Json:
        if re.fullmatch(r"[A-Za-z0-9.-]{1,64}", part.text):
            return part.mapped(target)
        part.settle(Outcome.UNMAPPED, "not an id that FHIR allows here")
        return None

    return convert


def _coded(target: str, named: str) -> Convert:
    """A code by a table; what the table does not have is reported."""
    codes = table(named).codes

    def convert(part: Part, _draft: Draft) -> Json:
        value = part.text
        found = codes.get(value) or codes.get(value.upper())
        if found is not None:
            part.mapped(target)
            return found.code
        part.settle(Outcome.UNMAPPED, "a code that has no FHIR counterpart here")
        return None

    return convert


def _boolean(target: str, _: str) -> Convert:
    def convert(part: Part, _draft: Draft) -> Json:
        value = {"Y": True, "N": False, "YES": True, "NO": False, "T": True, "F": False, "1": True, "0": False}.get(
            part.text.upper()
        )
        if value is None:
            part.settle(Outcome.INVALID, "neither Y nor N; left out")
        else:
            part.mapped(target)
        return value

    return convert


def _uri(target: str, _: str) -> Convert:
    def convert(part: Part, _draft: Draft) -> Json:
        if _URI.fullmatch(part.text):
            return part.mapped(target)
        part.settle(Outcome.INVALID, "not a URI; left out")
        return None

    return convert


def _base64(target: str, _: str) -> Convert:
    """Text as base64Binary."""
    return lambda part, _draft: base64.b64encode(part.whole(target).encode()).decode("ascii")


# --- dates ----------------------------------------------------------------------------------------------------------


def _dated(precision: str) -> Factory:
    def factory(target: str, _: str) -> Convert:
        def convert(part: Part, draft: Draft) -> Json:
            return _date_time(part, draft, target, precision)

        return convert

    return factory


def _date_time(part: Part, draft: Draft, target: str, precision: str) -> str | None:
    """DTM, TS or DT (2.A.22). Partial dates stay partial, and no time is made up.

    A time needs an offset: its own, that of the site's zone, or that of MSH-7, which holds for the message; without
    one, or without minutes, only the date is kept, and the report says so.
    """
    value = part.text
    if not value:
        return None
    match = _DTM.fullmatch(value)
    if match is None or not _is_calendar(match) or not _is_clock(match):
        part.settle(Outcome.INVALID, "not a date of HL7 v2 (YYYYMMDDHHMMSS and offset); left out")
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    date = year if month is None else f"{year}-{month}" if day is None else f"{year}-{month}-{day}"
    if precision == "date":
        if hour is None or (offset is None and match.end(4) == len(value) and hour == "00"):
            part.mapped(target)
        else:
            part.settle(Outcome.PARTLY, "FHIR has a date here; the time is left out", target)
        return date
    seconds = (second or "00") + (fraction if fraction and len(fraction) > 1 else "")
    clock = f"{hour}:{minute}:{seconds}" if minute is not None else ""
    zone = (offset or draft.offset_at(date, hour, minute)) if clock else None
    if zone is None:
        if precision == "instant":
            part.settle(Outcome.INVALID, "FHIR asks for a time with offset here; left out")
            return None
        if hour is None and offset is None:
            part.mapped(target)
        else:
            missing = "minutes" if not clock else "an offset from UTC, here, in MSH-7 and in the profile"
            reason = "an offset without a time" if hour is None else f"the time lacks {missing}"
            part.settle(Outcome.PARTLY, f"{reason}; only the date is kept", target)
        return date
    part.mapped(target)
    return f"{date}T{clock}{zone if zone == 'Z' or ':' in zone else f'{zone[:3]}:{zone[3:]}'}"


def _is_calendar(match: re.Match[str]) -> bool:
    try:
        datetime.date(int(match["year"]), int(match["month"] or 1), int(match["day"] or 1))
    except ValueError:
        return False
    return True


def _is_clock(match: re.Match[str]) -> bool:
    in_day = int(match["hour"] or 0) < 24 and int(match["minute"] or 0) < 60 and int(match["second"] or 0) < 60
    offset = match["offset"]
    return in_day and (offset is None or _OFFSET.fullmatch(offset) is not None)


@functools.lru_cache(4096)
def offset_in(zone: str, date: str, hour: str, minute: str) -> str | None:
    """The offset from UTC that a zone had at a local time; None where the clock was turned back over it."""
    year, month, day = (int(piece) for piece in date.split("-"))
    local = datetime.datetime(year, month, day, int(hour), int(minute), tzinfo=zoneinfo.ZoneInfo(zone))
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        return None
    seconds = (local.utcoffset() or datetime.timedelta()).total_seconds()
    minutes = int(abs(seconds) // 60)
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}{minutes % 60:02}"


def offset_of(value: str) -> str | None:
    """The offset that a DTM carries itself."""
    match = _DTM.fullmatch(value)
    offset = match["offset"] if match else None
    return offset if offset and _OFFSET.fullmatch(offset) else None


def _time(target: str, _: str) -> Convert:
    """TM (2.A.75) as time; FHIR's time has no offset."""

    def convert(part: Part, _draft: Draft) -> Json:
        match = re.fullmatch(r"(\d\d):?(\d\d)(?::?(\d\d)(\.\d{1,9})?)?([+-]\d{4})?", part.text, re.ASCII)
        if match is None or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3] or 0) > 59:
            part.settle(Outcome.INVALID, "not a time of HL7 v2 (HHMMSS); left out")
            return None
        if match[5]:
            part.settle(Outcome.PARTLY, "FHIR's time has no offset; left out", target)
        else:
            part.mapped(target)
        return f"{match[1]}:{match[2]}:{match[3] or '00'}{match[4] or ''}"

    return convert


# --- numbers --------------------------------------------------------------------------------------------------------


def text_number(text: str) -> Number | None:
    """NM (2.A.47) as a FHIR decimal: the digits stay, ``+5`` is 5, ``.5`` is 0.5, ``007`` is 7; None for others."""
    match = _NM.fullmatch(text)
    if match is None or not (match[2] or match[3]) or len(text) > 60:
        return None
    sign = "-" if match[1] == "-" else ""
    fraction = "." + match[3] if match[3] else ""
    return Number(sign + (match[2].lstrip("0") or "0") + fraction)


def compared(text: str) -> tuple[str | None, Number] | None:
    """``<5``, ``>= 200`` or a plain number: comparator and value."""
    match = _COMPARED.fullmatch(text)
    found = text_number(match[2] if match else text)
    if found is None:
        return None
    return (_COMPARATORS[match[1]] if match else None), found


def comparator_of(sign: str) -> str | None:
    """The comparator that a sign stands for; None for others, ``=`` and no sign."""
    return _COMPARATORS.get(sign)


def _decimal(target: str, _: str) -> Convert:
    def convert(part: Part, _draft: Draft) -> Json:
        found = text_number(part.text)
        if found is None:
            part.settle(Outcome.INVALID, "not a number of HL7 v2; left out")
        else:
            part.mapped(target)
        return found

    return convert


def _integer(minimum: int) -> Factory:
    def factory(target: str, _: str) -> Convert:
        def convert(part: Part, _draft: Draft) -> Json:
            found = text_number(part.text)
            if found is None or found != int(found) or not minimum <= found < 2**31:
                part.settle(Outcome.INVALID, f"not a whole number from {minimum}; left out")
                return None
            part.mapped(target)
            return int(found)

        return convert

    return factory


PRIMITIVES: Final[dict[str, tuple[str, Factory]]] = {
    "text": ("string", _text),
    "whole": ("string", _whole),
    "token": ("code", _token),
    "id": ("id", _id),
    "code": ("code", _coded),
    "boolean": ("boolean", _boolean),
    "uri": ("uri", _uri),
    "base64": ("base64Binary", _base64),
    "date": ("date", _dated("date")),
    "dateTime": ("dateTime", _dated("dateTime")),
    "instant": ("instant", _dated("instant")),
    "time": ("time", _time),
    "decimal": ("decimal", _decimal),
    "integer": ("integer", _integer(0)),
    "positiveInt": ("positiveInt", _integer(1)),
    "unsignedInt": ("unsignedInt", _integer(0)),
}
"""The name of a conversion in the maps: the FHIR type that it gives, and what makes it."""
