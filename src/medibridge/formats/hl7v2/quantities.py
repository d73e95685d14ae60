"""Numbers with units (CQ, SN, NR, MO, CP) and repeat patterns (RPT, TQ) as FHIR R4 data types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.concepts import coded_unit
from medibridge.formats.hl7v2.message import Part
from medibridge.formats.hl7v2.primitives import Convert, comparator_of, compared, text_number
from medibridge.record import Json, Number

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["QUANTITIES", "quantity", "range_of", "structured_number"]

_RANGE = re.compile(r"(-?[0-9.]+)\s*-\s*(-?[0-9.]+)")


def quantity(value: Number | None, unit: dict[str, Any], comparator: str | None = None) -> dict[str, Any] | None:
    """A Quantity, or None without a value."""
    if value is None:
        return None
    return {"value": value, **({"comparator": comparator} if comparator else {}), **unit}


def range_of(text: str, unit: dict[str, Any]) -> dict[str, Any]:
    """A reference range (OBX-7, NR): low and high where it is ``4.0-10.5``, ``<5`` or ``>60``; nothing else."""
    if match := _RANGE.fullmatch(text):
        low, high = text_number(match[1]), text_number(match[2])
        if low is not None and high is not None and low <= high:
            return {"low": quantity(low, unit), "high": quantity(high, unit)}
    limit = compared(text)
    if limit is None or limit[0] is None:
        return {}
    return {"high" if limit[0] in ("<", "<=") else "low": quantity(limit[1], unit)}


def structured_number(part: Part, target: str, unit: dict[str, Any]) -> tuple[str, Any] | None:
    """SN (2.A.71): the ending of ``value[x]`` (Quantity, Range, Ratio; String where it is none of them) and value."""
    sign, first, separator, second = (part[at].text for at in (1, 2, 3, 4))
    low, high = text_number(first), text_number(second)
    found: tuple[str, Any] | None = None
    if low is not None and not separator and not second and (comparator_of(sign) or sign in ("", "=")):
        found = "Quantity", quantity(low, unit, comparator_of(sign))
    elif low is not None and high is not None and sign in ("", "=", '"'):
        if separator == "-" and low <= high:
            found = "Range", {"low": quantity(low, unit), "high": quantity(high, unit)}
        elif separator in (":", "/"):
            found = "Ratio", {"numerator": quantity(low, {}), "denominator": quantity(high, {})}
    elif low is not None and separator == "+" and not sign:
        found = "String", first + separator
    if found is None:
        text = " ".join(piece for piece in (sign, first, separator, second) if piece)
        found = ("String", text) if text else None
    if found:
        part.whole(target + found[0])
    return found


def _cq(target: str, _: str) -> Convert:
    """CQ as Quantity: a number, and the unit as a CWE in the second component."""

    def convert(part: Part, draft: Draft) -> Json:
        value = text_number(part[1].text)
        if value is None:
            part[1].settle(Outcome.INVALID, "not a number of HL7 v2; left out")
            return None
        part[1].mapped(f"{target}.value")
        unit = part[2]
        if unit.below is None and part.below is not None and len(part.below) > 2 and part[3]:
            unit = Part(unit.text, part.below[1:])  # a unit written with ^ where & belongs
        return quantity(value, coded_unit(unit, target, draft))

    return convert


def _unit(target: str, _: str) -> Convert:
    """CWE as the unit of the Quantity whose value is in another field."""
    return lambda part, draft: coded_unit(part, target, draft) or None


def _money(target: str, _: str) -> Convert:
    """MO or CP as Money: amount and currency."""

    def convert(part: Part, _draft: Draft) -> Json:
        amount = part[1]
        value = text_number(amount.text)
        if value is None:
            amount.settle(Outcome.INVALID, "not an amount; left out")
            return None
        amount.mapped(f"{target}.value")
        money: dict[str, Any] = {"value": value}
        currency = amount[2] if amount.below is not None else part[2]
        if re.fullmatch(r"[A-Z]{3}", currency.text):
            money["currency"] = currency.mapped(f"{target}.currency")
        return money

    return convert


_PATTERNS: Final = {"BID": (2, 1, "d"), "TID": (3, 1, "d"), "QID": (4, 1, "d"), "QD": (1, 1, "d"), "QOD": (1, 2, "d"),
                    "QAM": (1, 1, "d"), "QPM": (1, 1, "d"), "QHS": (1, 1, "d")}  # fmt: skip
_UNITS: Final = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk", "L": "mo"}


def repeat_of(pattern: str) -> dict[str, Any]:
    """A repeat pattern of table 0335 as ``Timing.repeat``: how often, in how many, of which unit; else nothing."""
    found = _PATTERNS.get(pattern.upper())
    if match := re.fullmatch(r"Q([1-9][0-9]?)([SMHDWL])", pattern.upper()):
        found = (1, int(match[1]), _UNITS[match[2]])
    return {"frequency": found[0], "period": found[1], "periodUnit": found[2]} if found else {}


def _timing(target: str, _: str) -> Convert:
    """RPT, or the interval of TQ, as Timing: its code, and what that means where it is known."""

    def convert(part: Part, _draft: Draft) -> Json:
        first = part[1]
        text = first.text
        repeat = repeat_of(text)
        found: dict[str, Any] = {"repeat": repeat} if repeat else {}
        if shown := part.whole(f"{target}.code.text"):
            found["code"] = {"text": shown}
        return found or None

    return convert


QUANTITIES: Final = {
    "CQ": ("Quantity", _cq),
    "UNIT": ("Quantity", _unit),
    "TIMING": ("Timing", _timing),
    "MO": ("Money", _money),
}
