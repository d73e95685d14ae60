"""Names, addresses and telecommunication: PN, ON, AD, TEL as HumanName, string, Address and ContactPoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, DraftedObject, Ledger, Taken
from medibridge.formats.ccda.times import Clock
from medibridge.formats.conversion import Outcome

__all__ = ["People"]

_NAME_USES: Final = {"L": "official", "C": "official", "P": "nickname", "A": "anonymous", "ASGN": "usual",
                     "PHON": "", "SRCH": "", "SYL": "", "ABC": "", "IDE": "", "R": "", "I": ""}  # fmt: skip
_QUALIFIER: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-qualifier"
_QUALIFIERS: Final = frozenset({"LS", "AC", "NB", "PR", "HON", "BR", "AD", "SP", "MID", "CL", "IN", "VV"})
_ADDRESS_USES: Final = {"H": "home", "HP": "home", "HV": "home", "WP": "work", "DIR": "work", "PUB": "work",
                        "TMP": "temp", "BAD": "old", "OLD": "old", "PST": "", "PHYS": ""}  # fmt: skip
_TELECOM_USES: Final = {"H": "home", "HP": "home", "HV": "home", "WP": "work", "DIR": "work", "PUB": "work",
                        "AS": "home", "EC": "home", "TMP": "temp", "BAD": "old", "OLD": "old", "MC": "mobile",
                        "PG": ""}  # fmt: skip
_SYSTEMS: Final = {"tel": "phone", "fax": "fax", "x-text-fax": "fax", "x-text-tel": "phone", "mailto": "email",
                   "http": "url", "https": "url", "ftp": "url", "sms": "sms", "mllp": "other",
                   "file": "url", "nfs": "url", "telnet": "url"}  # fmt: skip
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+-]{1,14}):\s*(.*)", re.DOTALL)
_PARTS: Final = {
    "streetAddressLine": "line", "streetName": "line", "houseNumber": "line", "additionalLocator": "line",
    "unitID": "line", "unitType": "line", "deliveryAddressLine": "line", "postBox": "line", "careOf": "line",
    "direction": "line", "houseNumberNumeric": "line", "buildingNumberSuffix": "line", "streetNameBase": "line",
    "streetNameType": "line", "censusTract": "line", "precinct": "line", "delimiter": "line",
    "city": "city", "county": "district", "state": "state", "postalCode": "postalCode", "country": "country",
}  # fmt: skip
_STREET_PIECES: Final = frozenset({"houseNumber", "houseNumberNumeric", "streetName", "streetNameBase",
                                   "streetNameType", "direction", "buildingNumberSuffix"})  # fmt: skip


@dataclass(frozen=True)
class People:
    """Reads names, addresses and telecommunication."""

    ledger: Ledger
    clock: Clock

    def name(self, node: Node) -> DraftedObject | None:
        """PN as HumanName; a name without parts is its text."""
        found: dict[str, Drafted] = {}
        for name in ("family", "given", "prefix", "suffix"):
            parts = [part for part in node.named(name) if part.text]
            if not parts:
                continue
            values = [Taken(part.text, (Leaf(part, ""),)) for part in parts]
            qualifiers = [self._qualifier(part) for part in parts]
            if name == "family":
                joined = " ".join(part.text for part in parts)
                found[name] = Taken(joined, tuple(Leaf(part, "") for part in parts))
                known = [qualifier for qualifier in qualifiers if qualifier]
                if known:
                    found["_family"] = known[0]
                continue
            found[name] = values
            if any(qualifiers):
                found[f"_{name}"] = qualifiers
        own = Leaf(node, "")
        if own.value.strip(" ,."):
            found["text"] = Taken(own.value, (own,))
        elif own.value:
            self.ledger.settle(own, Outcome.IGNORED, "stands between the parts of the name")
        if found:
            found |= self._use(node, _NAME_USES) | self._period(node)
        return found or None

    def _qualifier(self, part: Node) -> DraftedObject | None:
        """The first qualifier of a part of a name, in HL7's extension for it."""
        leaf = Leaf(part, "qualifier")
        known = [code for code in leaf.value.split() if code in _QUALIFIERS]
        if not known:
            return None
        code = Taken(known[0], (leaf,), "" if len(leaf.value.split()) == 1 else "the other qualifiers have no place")
        return {"extension": [{"url": _QUALIFIER, "valueCode": code}]}

    def organization_name(self, node: Node) -> Taken | None:
        """ON as string."""
        text = node.all_text()
        return Taken(text, tuple(leaf for below in node.walk() if (leaf := Leaf(below, "")).value)) if text else None

    def address(self, node: Node) -> DraftedObject | None:
        """AD as Address; the pieces of a street make one line."""
        found: dict[str, Drafted] = {}
        lines: list[Drafted] = []
        street: list[Leaf] = []
        for part in node.children:
            leaf = Leaf(part, "")
            name = _PARTS.get(part.name)
            if not leaf.value or name is None:
                continue
            if part.name in _STREET_PIECES:
                street.append(leaf)
            elif name == "line":
                lines.append(Taken(leaf.value, (leaf,)))
            elif name not in found:
                found[name] = Taken(leaf.value, (leaf,))
        if street:
            lines.insert(0, Taken(" ".join(leaf.value for leaf in street), tuple(street)))
        if lines:
            found["line"] = lines
        own = Leaf(node, "")
        if own.value.strip(" ,."):
            found["text"] = Taken(own.value, (own,))
        elif own.value:
            self.ledger.settle(own, Outcome.IGNORED, "stands between the parts of the address")
        if found:
            found |= self._use(node, _ADDRESS_USES) | self._period(node)
        return found or None

    def telecom(self, node: Node) -> DraftedObject | None:
        """TEL as ContactPoint."""
        leaf = Leaf(node, "value")
        match = _SCHEME.fullmatch(leaf.value)
        scheme = match[1].lower() if match else ""
        system = _SYSTEMS.get(scheme, "")
        value = match[2].strip() if match and system not in ("", "url") else leaf.value
        if not system:
            system = (
                "email" if "@" in value and "/" not in value else "phone" if re.search(r"\d{3}", value) else "other"
            )
        if node["use"] == "PG" and system == "phone":
            system = "pager"
        if not value or (scheme and not match):
            return None
        found: dict[str, Drafted] = {"system": system, "value": Taken(value, (leaf,))}
        return found | self._use(node, _TELECOM_USES) | self._period(node)

    def _use(self, node: Node, table: dict[str, str]) -> dict[str, Drafted]:
        """The first of the uses that FHIR knows; `use` may name several."""
        leaf = Leaf(node, "use")
        named = [table.get(use) for use in leaf.value.split()]
        known = [use for use in named if use]
        if not known:
            if leaf.value:
                unknown = None in named
                outcome = Outcome.UNKNOWN if unknown else Outcome.UNMAPPED
                self.ledger.settle(leaf, outcome, "a use that FHIR does not have")
            return {}
        return {"use": Taken(known[0], (leaf,), "" if len(named) == 1 else "the other uses have no place")}

    def _period(self, node: Node) -> dict[str, Drafted]:
        useable = node.child("validTime") or node.child("useablePeriod")
        period = self.clock.period(useable) if useable is not None else None
        return {"period": period} if period else {}
