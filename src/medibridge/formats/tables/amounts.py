"""Numbers as a table writes them: the digits stay, a decimal comma becomes a point."""

from __future__ import annotations

import re
from typing import Final

from medibridge.record import Number

__all__ = ["compared", "number", "number_and_unit", "range_of"]

_FORMS: Final = {
    ".": re.compile(r"([+-]?)([0-9]{1,30}|[0-9]{1,3}(?:,[0-9]{3}){1,9})?(?:\.([0-9]{0,30}))?", re.ASCII),
    ",": re.compile(r"([+-]?)([0-9]{1,30}|[0-9]{1,3}(?:\.[0-9]{3}){1,9})?(?:,([0-9]{0,30}))?", re.ASCII),
    "": re.compile(r"([+-]?)([0-9]{1,30})?(?:\.([0-9]{0,30}))?", re.ASCII),
}
"""By the decimal mark. Where the mapping does not say which it is, a comma is none: ``1,234`` may be either."""

_COMPARED: Final = re.compile(r"(<=|>=|=<|=>|<|>|≤|≥)\s{0,8}(\S+)")
_COMPARATORS: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=<": "<=", "=>": ">=", "≤": "<=", "≥": ">="}
_RANGE: Final = re.compile(r"(-?[0-9.,]{1,60})\s{0,8}(?:-|–|—|bis|to|\.\.\.?)\s{0,8}(-?[0-9.,]{1,60})")
_WITH_UNIT: Final = re.compile(r"((?:[<>≤≥]=?\s{0,8})?[+-]?[0-9][0-9.,]{0,60})\s{0,8}([^\s0-9<>=.,].{0,63})")


def number(text: str, decimal: str) -> Number | None:
    """A number with that decimal mark: ``+5`` is 5, ``.5`` is 0.5, ``007`` is 7; None for others."""
    match = _FORMS[decimal].fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    whole = re.sub("[.,]", "", match[2] or "").lstrip("0") or "0"
    return Number(("-" if match[1] == "-" else "") + whole + (f".{match[3]}" if match[3] else ""))


def compared(text: str, decimal: str) -> tuple[str, Number] | None:
    """``<5``, ``>= 200`` or a plain number: comparator (empty for equal) and value."""
    match = _COMPARED.fullmatch(text)
    found = number(match[2] if match else text, decimal)
    return None if found is None else (_COMPARATORS[match[1]] if match else "", found)


def number_and_unit(text: str, decimal: str) -> tuple[str, Number, str] | None:
    """``500 mg`` or ``<5 mg/dL``: comparator, value and unit."""
    match = _WITH_UNIT.fullmatch(text)
    found = compared(match[1], decimal) if match else None
    return (*found, match[2].strip()) if match and found else None


def range_of(text: str, decimal: str) -> tuple[Number | None, Number | None]:
    """Low and high of a reference range: ``4.0-10.5``, ``<5``, ``>60``; neither for others."""
    if match := _RANGE.fullmatch(text):
        low, high = number(match[1], decimal), number(match[2], decimal)
        return (low, high) if low is not None and high is not None and low <= high else (None, None)
    limit = compared(text, decimal)
    if limit is None or not limit[0]:
        return None, None
    return (None, limit[1]) if limit[0] in ("<", "<=") else (limit[1], None)
