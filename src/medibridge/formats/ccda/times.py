"""Points and spans of time: TS and IVL_TS as dateTime, date, instant and Period (CDA R2 datatypes; FHIR R4, 2.24).

Partial dates stay partial. A time without an offset gets that of the site's zone, else only its date is kept.
"""

from __future__ import annotations

import calendar
import datetime
import re
import zoneinfo

from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, DraftedObject, Ledger, Taken

__all__ = ["Clock"]

_TS = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(\.\d{1,9})?)?)?)?)?)?([+-]\d{2}:?\d{2}|[+-]\d{2}|Z)?"
)
_ISO = re.compile(
    r"(\d{4})-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?)?)?([+-]\d{2}:?\d{2}|[+-]\d{2}|Z)?"
)
_TO_THE_SECOND = re.compile(r"\d{14}|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")
_NO_ZONE = "a time without an offset, and the profile names no zone: only its date is kept"
_NO_MINUTES = "a time without minutes: only its date is kept"


class Clock:
    """Reads times. `zone` is the IANA name of the zone of times without an offset, or empty."""

    def __init__(self, ledger: Ledger, zone: str) -> None:
        self._ledger = ledger
        self._zone = zoneinfo.ZoneInfo(zone) if zone else None

    def date_time(self, node: Node) -> Taken | None:
        """TS as dateTime."""
        return self._read(node, "dateTime")

    def date(self, node: Node) -> Taken | None:
        """TS as date."""
        return self._read(node, "date")

    def instant(self, node: Node) -> Taken | None:
        """TS as instant; None where it is not exact to the second, or has no offset."""
        found = self._read(node, "dateTime", quiet=True)
        return found if found and "T" in str(found.value) and _TO_THE_SECOND.match(node["value"]) else None

    def _read(self, node: Node, kind: str, quiet: bool = False) -> Taken | None:
        leaf = Leaf(node, "value")
        if not leaf.value:
            return None
        match = _ISO.fullmatch(leaf.value) or _TS.fullmatch(leaf.value)  # 2012-08 is a month, no offset
        found = self._of(match, kind) if match else None
        if found is None:
            if not quiet:
                self._ledger.refuse(leaf, "not a time")
            return None
        return Taken(found[0], (leaf,), found[1])

    def _of(self, match: re.Match[str], kind: str) -> tuple[str, str] | None:
        """A FHIR time, and what it lacks."""
        year, month, day, hour, minute, second, fraction, offset = match.groups()
        if not self._is_day(year, month, day):
            return None
        date = "-".join(part for part in (year, month, day) if part)
        if hour is None:
            return date, ""
        if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
            return None
        if kind == "date":
            return date, "only its date is kept"
        if minute is None:
            return date, _NO_MINUTES
        zone = self._offset(match) if offset is None else _offset(offset)
        if zone is None:
            return (date, _NO_ZONE) if offset is None else None
        return f"{date}T{hour}:{minute}:{second or '00'}{fraction or ''}{zone}", ""

    @staticmethod
    def _is_day(year: str, month: str | None, day: str | None) -> bool:
        if int(year) == 0 or (month and not 1 <= int(month) <= 12):
            return False
        return not (month and day) or 1 <= int(day) <= calendar.monthrange(int(year), int(month))[1]

    def _offset(self, match: re.Match[str]) -> str | None:
        if self._zone is None:
            return None
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        try:
            shift = datetime.datetime(year, month, day, hour, minute, second, tzinfo=self._zone).utcoffset()
        except (ValueError, OverflowError):
            return None
        minutes = int(shift.total_seconds() // 60) if shift is not None else 0
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"

    def period(self, node: Node) -> DraftedObject | None:
        """IVL_TS as Period. A single `value` is both its beginning and its end only in `moment`; here, its start."""
        low, high = node.child("low"), node.child("high")
        start = self.date_time(low) if low else self.date_time(node)
        end = self.date_time(high) if high else None
        if start and end and _is_after(str(start.value), str(end.value)) and end.leaves:
            self._ledger.refuse(end.leaves[0], "before the beginning")
            end = None
        found: dict[str, Drafted] = {}
        if start:
            found["start"] = start
        if end:
            found["end"] = end
        return found or None

    def moment(self, node: Node) -> tuple[str, Drafted] | None:
        """TS or IVL_TS as one of dateTime and Period, with the name of the type."""
        if node["value"] and (found := self.date_time(node)):
            return "DateTime", found
        if (center := node.child("center")) is not None and (found := self.date_time(center)):
            return "DateTime", found
        period = self.period(node)
        return ("Period", period) if period else None

    def start(self, node: Node) -> Taken | None:
        """The beginning of an IVL_TS, or the TS."""
        low = node.child("low") or node.child("center")
        return self.date_time(low) if low else self.date_time(node)

    def end(self, node: Node) -> Taken | None:
        """The end of an IVL_TS; None where it ends before it begins."""
        high = node.child("high")
        found = self.date_time(high) if high else None
        start = self._read(node.child("low") or node, "dateTime", quiet=True)
        if found and start and _is_after(str(start.value), str(found.value)):
            self._ledger.refuse(found.leaves[0], "before the beginning")
            return None
        return found


def _offset(text: str) -> str | None:
    if text == "Z":
        return "Z"
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    return f"{text[0]}{hours:02}:{minutes:02}" if (hours < 14 and minutes < 60) or (hours, minutes) == (14, 0) else None


def _is_after(first: str, second: str) -> bool:
    """Whether a time is surely after another: of times with different offsets, by the days only."""
    if len(first) > 10 and len(second) > 10:
        return datetime.datetime.fromisoformat(first[:19] + _zone_of(first)) > datetime.datetime.fromisoformat(
            second[:19] + _zone_of(second)
        )
    width = min(len(first), len(second), 10)
    return first[:width] > second[:width]


def _zone_of(text: str) -> str:
    return "+00:00" if text.endswith("Z") else text[-6:]
