"""How often: the effectiveTimes of a substance administration or supply as Timing (IVL_TS, PIVL_TS, EIVL_TS)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, DraftedObject, Ledger, Taken
from medibridge.formats.ccda.quantities import number_of
from medibridge.formats.ccda.times import Clock
from medibridge.formats.conversion import Outcome
from medibridge.record import Number

__all__ = ["Timings"]

_UNITS: Final = {"s": "s", "sec": "s", "min": "min", "h": "h", "hr": "h", "d": "d", "day": "d", "wk": "wk", "w": "wk",
                 "mo": "mo", "month": "mo", "a": "a", "y": "a", "yr": "a", "hour": "h", "hours": "h", "days": "d",
                 "week": "wk", "weeks": "wk", "months": "mo", "year": "a", "years": "a"}  # fmt: skip
_EVENTS: Final = {code: code for code in ("HS WAKE C CM CD CV AC ACM ACD ACV PC PCM PCD PCV".split())}  # noqa: SIM905
_MINUTES: Final = {"min": 1, "h": 60, "d": 1440}
_CODES: Final = {"BID", "TID", "QID", "AM", "PM", "QD", "QOD", "Q1H", "Q2H", "Q3H", "Q4H", "Q6H", "Q8H", "BED", "WK",
                 "MO"}  # fmt: skip
_WHOLE = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class Timings:
    """Reads timings."""

    ledger: Ledger
    clock: Clock

    def timing(self, statement: Node) -> DraftedObject | None:
        """All effectiveTimes of a statement together: from when to when, and how often."""
        repeat: dict[str, Drafted] = {}
        events: list[Drafted] = []
        found: dict[str, Drafted] = {}
        for node in self._parts(statement):
            kind = node["xsi:type"].rpartition(":")[2]
            if node.child("event") is not None or kind == "EIVL_TS":
                self._event(node, repeat)
            elif node.child("period") is not None or kind == "PIVL_TS":
                self._period(node, repeat)
            elif node["value"]:
                if moment := self.clock.date_time(node):
                    events.append(moment)
            elif "boundsPeriod" not in repeat and (bounds := self.clock.period(node)):
                repeat["boundsPeriod"] = bounds
            code = node.child("code")
            if code is not None and code["code"] in _CODES:
                system = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"
                coding: DraftedObject = {"system": system, "code": Taken(code["code"], (Leaf(code, "code"),))}
                found["code"] = {"coding": [coding]}
        if events:
            found["event"] = events
        if repeat:
            found["repeat"] = repeat
        return found or None

    @staticmethod
    def _parts(statement: Node) -> list[Node]:
        """The effectiveTimes, and the components of those that are sets (SXPR_TS)."""
        found = []
        for node in statement.named("effectiveTime"):
            found += [node, *node.named("comp")]
        return found

    def _period(self, node: Node, repeat: dict[str, Drafted]) -> None:
        """PIVL_TS: once in each period, for the length of its phase."""
        period = node.child("period")
        flexible = Leaf(node, "institutionSpecified")
        if period is None or "period" in repeat:
            return
        bounds = [(period, "period")]
        low, high = period.child("low"), period.child("high")
        if low is not None and high is not None and not period["value"]:
            bounds = [(low, "period"), (high, "periodMax")]
        read: dict[str, Drafted] = {}
        for bound, name in bounds:
            number, unit = self._span(bound)
            if number is None or unit is None:
                return
            read[name] = number
            read["periodUnit"] = unit
        if flexible.value == "true" and (often := self._often(read)):
            read = often
            self.ledger.settle(flexible, Outcome.USED, "the times of day are left to the institution")
        else:
            if flexible.value:
                self.ledger.settle(flexible, Outcome.USED, "the times of day are fixed, or count exactly")
            read = {"frequency": Number("1"), **read}
        repeat |= read
        phase = node.child("phase")
        bounds_of_phase = self.clock.period(phase) if phase is not None else None
        if bounds_of_phase and "boundsPeriod" not in repeat:
            repeat["boundsPeriod"] = bounds_of_phase

    def _span(self, node: Node) -> tuple[Taken | None, Taken | None]:
        value, unit = Leaf(node, "value"), Leaf(node, "unit")
        number = number_of(value.value)
        code = _UNITS.get(unit.value.lower()) or _UNITS.get(unit.value)
        if value.value and (number is None or number <= 0):
            self.ledger.refuse(value, "not a length of time")
        elif value.value and code is None and unit.value:
            self.ledger.refuse(unit, "not a unit of time")
        if number is None or number <= 0 or code is None:
            return None, None
        return Taken(number, (value,)), Taken(code, (unit,))

    @staticmethod
    def _often(read: dict[str, Drafted]) -> dict[str, Drafted] | None:
        """Every 12 hours, with the times left open, is twice a day."""
        period, unit = read.get("period"), read.get("periodUnit")
        if not isinstance(period, Taken) or not isinstance(unit, Taken) or unit.value != "h" or "periodMax" in read:
            return None
        if not isinstance(period.value, Number) or not _WHOLE.fullmatch(str(period.value)) or 24 % int(period.value):
            return None
        frequency = Number(str(24 // int(period.value)))
        return {
            "frequency": Taken(frequency, period.leaves),
            "period": Number("1"),
            "periodUnit": Taken("d", unit.leaves),
        }

    def _event(self, node: Node, repeat: dict[str, Drafted]) -> None:
        """EIVL_TS: at an event of the day, with an offset in minutes."""
        event, offset = node.child("event"), node.child("offset")
        if event is None or "when" in repeat:
            return
        leaf = Leaf(event, "code")
        if leaf.value not in _EVENTS:
            if leaf.value:
                self.ledger.settle(leaf, Outcome.UNMAPPED, "an event of the day that Timing does not have")
            return
        repeat["when"] = [Taken(leaf.value, (leaf,))]
        low = (offset.child("low") or offset) if offset is not None else None
        if low is not None and leaf.value not in ("C", "CM", "CD", "CV"):
            value, unit = Leaf(low, "value"), Leaf(low, "unit")
            number = number_of(value.value)
            factor = _MINUTES.get(unit.value)
            if number is not None and factor and number >= 0 and number == int(number) and number < 10_000:
                repeat["offset"] = Taken(Number(str(int(number) * factor)), (value, unit))
