"""Dates as a table writes them, as FHIR writes them: never with more precision than the cell has."""

from __future__ import annotations

import datetime
import functools
import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from medibridge.errors import UsageError

__all__ = ["DateFormat", "Moment", "local_time", "offset_of", "read_date"]

_DIRECTIVES: Final = {
    "Y": r"(?P<year>[0-9]{4})",
    "y": r"(?P<short>[0-9]{2})",
    "m": r"(?P<month>[0-9]{1,2})",
    "b": r"(?P<name>[^\W\d_]{3,10})\.?",
    "B": r"(?P<name>[^\W\d_]{3,10})\.?",
    "d": r"(?P<day>[0-9]{1,2})",
    "H": r"(?P<hour>[0-9]{1,2})",
    "I": r"(?P<hour>[0-9]{1,2})",
    "M": r"(?P<minute>[0-9]{2})",
    "S": r"(?P<second>[0-9]{2})",
    "f": r"(?P<fraction>[0-9]{1,9})",
    "p": r"(?P<half>[AaPp])\.?[Mm]\.?",
    "z": r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})",
    "%": "%",
}
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ("jan ene", "feb", "mar mär mrz", "apr abr", "may mai", "jun", "jul", "aug ago", "sep", "oct okt", "nov",
         "dec dez dic"), 1)
    for name in names.split()
}  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """A date, and its time where the cell has one: ``2024``, ``2024-03``, ``2024-03-06``, with ``08:15:00`` and the
    offset ``+01:00``, each empty where it is not known.
    """

    day: str
    time: str = ""
    offset: str = ""

    @property
    def is_midnight(self) -> bool:
        """Whether the time is 00:00, which many systems write for no time."""
        return self.time.startswith("00:00:00") and not self.time.strip("0:.")


@dataclass(frozen=True)
class DateFormat:
    """How dates are written, in the directives of strptime: ``%d.%m.%Y %H:%M``."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, text: str, place: str = "the format") -> DateFormat:
        """Raises `UsageError` for a directive that is not known, or no year."""
        return cls(_compiled(text, place))

    def read(self, text: str) -> Moment | None:
        """The moment that the text names; None where it is written otherwise, or no date of the calendar."""
        match = self.pattern.fullmatch(text)
        return _moment(match.groupdict()) if match else None


@functools.lru_cache(256)
def _compiled(text: str, place: str) -> re.Pattern[str]:
    parts, named = [], set()
    for piece in re.findall(r"%.?|[^%]+", text):
        if not piece.startswith("%"):
            parts.append(re.sub(r"(\\ )+", r"\\s+", re.escape(piece)))
            continue
        pattern = _DIRECTIVES.get(piece[1:])
        if pattern is None or pattern in named:
            raise UsageError(
                f"{place} has {piece} in a format, which is not known or stands twice; "
                f"known are {' '.join('%' + name for name in _DIRECTIVES)}"
            )
        named.add(pattern)
        parts.append(pattern)
    try:
        compiled = re.compile("".join(parts), re.DOTALL)
    except re.error:  # one group by two directives: %m with %b
        raise UsageError(f"{place} has a format that names one thing twice; write each part of the date once") from None
    groups = compiled.groupindex
    if not {"year", "short"} & groups.keys() or ("day" in groups and not {"month", "name"} & groups.keys()):
        raise UsageError(f"{place} has a format without a year, or a day without a month; write one such as %d.%m.%Y")
    return compiled


_ISO: Final = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r" ?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?"
)
_BASIC: Final = re.compile(
    r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
    r"(?:T?(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})(?P<second>[0-9]{2})?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def read_date(text: str, formats: Sequence[DateFormat] = ()) -> Moment | None:
    """The moment that a cell names: by the formats of its column, without any by ISO 8601; None where it is none."""
    if len(text) > 64:
        return None
    if formats:
        return next((found for one in formats if (found := one.read(text))), None)
    match = _ISO.fullmatch(text) or _BASIC.fullmatch(text)
    return _moment(match.groupdict()) if match else None


_TIME: Final = re.compile(
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: Uhr)?|(?P<hour_>[0-9]{2})(?P<minute_>[0-9]{2})"
)


def local_time(text: str) -> str | None:
    """A time of day in a column of its own (``8:15``, ``08:15:30``, ``0815``, ``8:15 PM``); None for others."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    parts["hour"] = parts["hour"] or parts.pop("hour_")
    parts["minute"] = parts["minute"] or parts.pop("minute_")
    return _clock(parts)


def _moment(parts: dict[str, str | None]) -> Moment | None:
    year = parts.get("year")
    if year is None:
        short = int(parts.get("short") or 0)
        year = str(1900 + short if short >= 69 else 2000 + short)  # as POSIX reads %y
    month = parts.get("month")
    if name := parts.get("name"):
        number = _MONTHS.get(name[:3].casefold())
        if number is None:
            return None
        month = str(number)
    day = parts.get("day")
    try:
        datetime.date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None
    written = "-".join(piece.zfill(2) for piece in (year, month, day) if piece)
    if not parts.get("hour"):
        return Moment(written)
    time = _clock(parts)
    offset = _offset(parts.get("zone"))
    if time is None or offset is None:
        return None
    return Moment(written, time if parts.get("minute") else "", offset)


def _clock(parts: dict[str, str | None]) -> str | None:
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "Pp" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    fraction = parts.get("fraction")
    return f"{hour:02}:{minute:02}:{second:02}" + (f".{fraction}" if fraction else "")


def _offset(text: str | None) -> str | None:
    if not text or text == "Z":
        return "Z" if text else ""
    hours, minutes = text[1:3], text[-2:]
    return f"{text[:3]}:{minutes}" if int(hours) <= 14 and int(minutes) < 60 and hours + minutes <= "1400" else None


def offset_of(moment: Moment, zone: str) -> str:
    """The offset from UTC of a local time in an IANA zone; empty where the time occurs twice there, or never."""
    local = datetime.datetime.fromisoformat(f"{moment.day}T{moment.time[:8]}")
    where = _zone(zone)
    first, second = (local.replace(tzinfo=where, fold=fold).utcoffset() for fold in (0, 1))
    if first is None or first != second:
        return ""
    minutes = round(first.total_seconds()) // 60
    if first.total_seconds() % 60:
        return ""  # local mean time, before zones
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@functools.lru_cache(64)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)
