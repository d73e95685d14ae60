"""Numbers and units: PQ, INT, REAL, MO as Quantity; IVL_PQ as Range; RTO as Ratio. No digit changes."""

from __future__ import annotations

import functools
import importlib.resources
import re
from dataclasses import dataclass
from typing import Final

import yaml

from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, DraftedObject, Ledger, Taken
from medibridge.formats.settings import Profile
from medibridge.record import Number

__all__ = ["UCUM", "Quantities", "number_of", "ucum_of"]

UCUM: Final = "http://unitsofmeasure.org"

_DECIMAL = re.compile(r"([+-]?)0*(\d*)(\.\d+)?([eE][+-]?\d{1,2})?")
_COMPARED = re.compile(r"(<=|>=|<|>|≤|≥)\s*(\d{1,18}(?:\.\d{1,18})?)\s*([^\s\d][^\s]{0,29})?")
_COMPARATORS: Final = {"≤": "<=", "≥": ">="}
_ANNOTATION = re.compile(r"\{[!-z|~]*\}")
_EXPONENT = re.compile(r"([+-]?\d{1,3})?")


@functools.cache
def _units() -> tuple[frozenset[str], dict[str, str]]:
    text = importlib.resources.files(__package__).joinpath("maps/units.yaml").read_text("utf-8")
    table = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - reads texts only
    prefixed = {prefix + unit for prefix in ("", *table["prefixes"]) for unit in table["prefixed"]}
    return frozenset(prefixed | set(table["atoms"])), dict(table["aliases"])


def ucum_of(unit: str) -> str | None:
    """The UCUM code for a unit as people write it; None where it is not known."""
    atoms, aliases = _units()
    if len(unit) > 40:
        return None
    if " " not in unit and all(_is_term(term, atoms) for term in re.split(r"[./]", unit.removeprefix("/"))):
        return unit
    return aliases.get(unit.lower())


def _is_term(term: str, atoms: frozenset[str]) -> bool:
    bare = _ANNOTATION.sub("", term)
    if bare != term and not bare:
        return True
    if bare.isascii() and bare.isdigit():
        return True
    if bare.startswith(("10*", "10^")):
        return _EXPONENT.fullmatch(bare[3:]) is not None
    return bare in atoms or re.sub(r"[+-]?\d$", "", bare) in atoms


def number_of(text: str) -> Number | None:
    """A decimal as JSON writes it, with all its digits; None for what is none."""
    match = _DECIMAL.fullmatch(text) if len(text) <= 60 else None
    if not match or not (match[2] or match[3] or "0" in text):
        return None
    sign, whole, fraction, exponent = match.groups()
    return Number(f"{'-' if sign == '-' else ''}{whole or '0'}{fraction or ''}{exponent or ''}")


@dataclass(frozen=True)
class Quantities:
    """Reads quantities."""

    ledger: Ledger
    profile: Profile

    def number(self, node: Node) -> Taken | None:
        """The number of `value`, or of the text where there is none."""
        leaf = Leaf(node, "value")
        leaf = leaf if leaf.value else Leaf(node, "")
        if not leaf.value:
            return None
        number = number_of(leaf.value)
        if number is None:
            self.ledger.refuse(leaf, "not a number")
            return None
        return Taken(number, (leaf,))

    def integer(self, node: Node) -> Taken | None:
        """A whole number that is not negative, and fits into 32 bits."""
        leaf = Leaf(node, "value") if node["value"] else Leaf(node, "")
        if leaf.value.isascii() and leaf.value.isdigit() and len(leaf.value) < 10:
            return Taken(Number(leaf.value.lstrip("0") or "0"), (leaf,))
        if leaf.value:
            self.ledger.refuse(leaf, "not a whole number")
        return None

    def quantity(self, node: Node) -> DraftedObject | None:
        """PQ, INT, REAL or MO as Quantity."""
        value = self.number(node)
        if value is None:
            return None
        return {"value": value, **self.unit(node)}

    def unit(self, node: Node) -> DraftedObject:
        """The unit of a PQ, with its UCUM code where it is known; the currency of a MO."""
        leaf = Leaf(node, "unit")
        if node["currency"]:
            leaf = Leaf(node, "currency")
            return {"unit": Taken(leaf.value, (leaf,)), "system": "urn:iso:std:iso:4217", "code": leaf.value}
        if leaf.value in ("", "1"):
            translated = node.child("translation")
            original = translated.child("originalText") if translated else None
            text = Leaf(original, "") if original else None
            if leaf.value == "1":
                return {"system": UCUM, "code": Taken("1", (leaf,))}
            return {"unit": Taken(text.value, (text,))} if text and text.value else {}
        code = self.profile.units.get(leaf.value) or ucum_of(leaf.value)
        found: dict[str, Drafted] = {"unit": Taken(leaf.value, (leaf,))}
        return {**found, "system": UCUM, "code": code} if code else found

    def interval(self, node: Node) -> tuple[str, Drafted] | None:
        """IVL_PQ as Range; with one bound only as Quantity with a comparator. With the name of the type."""
        if node["value"]:
            found = self.quantity(node)
            return ("Quantity", found) if found else None
        low, high, center = node.child("low"), node.child("high"), node.child("center")
        lower, upper = (self.quantity(bound) if bound else None for bound in (low, high))
        if lower and upper:
            return "Range", {"low": lower, "high": upper}
        for bound, found, comparator in ((low, lower, ">"), (high, upper, "<")):
            if bound and found:
                inclusive = Leaf(bound, "inclusive")
                sign = comparator if inclusive.value == "false" else comparator + "="
                shown: Drafted = Taken(sign, (inclusive,)) if inclusive.value else sign
                return "Quantity", {**found, "comparator": shown}
        middle = self.quantity(center) if center else None
        return ("Quantity", middle) if middle else None

    def range(self, node: Node) -> DraftedObject | None:
        """IVL_PQ as Range, with one or two bounds."""
        found: dict[str, Drafted] = {}
        for name in ("low", "high"):
            bound = node.child(name)
            if bound is not None and (quantity := self.quantity(bound)):
                found[name] = quantity
                if bound["inclusive"]:
                    found[name] = {**quantity}
        return found or None

    def ratio(self, node: Node) -> DraftedObject | None:
        """RTO as Ratio."""
        parts = {name: part for name in ("numerator", "denominator") if (part := node.child(name)) is not None}
        found: dict[str, Drafted] = {name: value for name, part in parts.items() if (value := self.quantity(part))}
        return found if len(found) == 2 else None

    def compared(self, text: Taken) -> DraftedObject | None:
        """``<5`` or ``>= 1.5 mg`` as Quantity with a comparator; None for other texts."""
        match = _COMPARED.fullmatch(str(text.value))
        number = number_of(match[2]) if match else None
        if not match or number is None:
            return None
        found: dict[str, Drafted] = {
            "comparator": _COMPARATORS.get(match[1], match[1]),
            "value": Taken(number, text.leaves),
        }
        if unit := match[3]:
            code = self.profile.units.get(unit) or ucum_of(unit)
            found |= {"unit": unit, **({"system": UCUM, "code": code} if code else {})}
        return found
