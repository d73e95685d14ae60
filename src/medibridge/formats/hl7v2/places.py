"""Where a patient is (PL, 2.A.53) as Locations, each part of the next larger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.hl7v2.authorities import authority, identifier_of
from medibridge.formats.hl7v2.message import Part
from medibridge.formats.hl7v2.primitives import Convert
from medibridge.formats.hl7v2.tables import TERMINOLOGY
from medibridge.record import Json

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["PLACES"]

_LEVELS: Final = ((4, "si", "Site"), (7, "bu", "Building"), (8, "lvl", "Level"), (1, "", "point of care"),
                  (2, "ro", "Room"), (3, "bd", "Bed"))  # fmt: skip
"""PL (2.A.53): where each level of a place stands, from the largest, and its physical type."""


def _place(target: str, _: str) -> Convert:  # noqa: ARG001 - a Location has its own paths
    """PL as a Reference to the smallest place that it names, each part of the next larger."""
    name_path, value_path = "Location.name", "Location.identifier.value"
    identify = identifier_of("Location.identifier", "")
    status = {"C": "suspended", "H": "suspended", "I": "suspended", "K": "suspended", "O": "active", "U": "active",
              "ACTIVE": "active", "SUSPENDED": "suspended", "INACTIVE": "inactive"}  # fmt: skip

    def convert(part: Part, draft: Draft) -> Json:
        levels = [(part[at], code, shown) for at, code, shown in _LEVELS if part[at]]
        reference: Any = None
        path: list[str] = []
        for number, (level, code, shown) in enumerate(levels, 1):
            place: dict[str, Any] = {}
            identifier = identify(level, draft)
            name = level[1].text
            if name:
                level[1].mapped(name_path)
                place["name"] = name
                place["identifier"] = [{"value": name}]
            if identifier and level[2].text:
                place.setdefault("identifier", []).append(identifier)
            place["mode"] = "instance"
            kind = {"system": f"{TERMINOLOGY}location-physical-type", "code": code, "display": shown}
            place["physicalType"] = {"coding": [kind]} if code else {"text": shown}
            if reference:
                place["partOf"] = reference
            if number == len(levels):
                add_rest(place, part, draft)
            path.append(_named(identifier) or name)
            reference = draft.refer_by_path("Location", place, path)
        return reference  # type: ignore[no-any-return] # a Reference, or None

    def add_rest(place: dict[str, Any], part: Part, draft: Draft) -> None:
        """What PL says of the smallest place: status, kind, description, identifier and who assigned that."""
        if known := status.get(part[5].text.upper()):
            part[5].mapped("Location.status")
            place["status"] = known
        if part[9].text:
            place["description"] = part[9].mapped("Location.description")
        if part[6].text:
            place["type"] = [{"text": part[6].mapped("Location.type.text")}]
        if part[10][1].text:
            own = {"value": part[10][1].mapped(value_path)}
            if part[10].below is not None:
                own |= _authority_of(part[10], 2, draft)
            place.setdefault("identifier", []).append(own)
        by = assigner(part[11], draft) if part[11] else None
        if isinstance(by, dict):
            for one in place.get("identifier", ()):
                for key, value in by.items():
                    one.setdefault(key, value)

    assigner = authority("Location.identifier", "")
    return convert


def _named(identifier: Any) -> str:
    """What tells one identifier from another."""
    return f"{identifier.get('system', '')}|{identifier['value']}" if identifier else ""


def _authority_of(part: Part, first: int, draft: Draft) -> dict[str, Any]:
    """The authority of an EI whose namespace stands at `first`."""
    found = authority("Location.identifier", "")(Part("", [part[first], part[first + 1], part[first + 2]]), draft)
    return found if isinstance(found, dict) else {}


PLACES: Final = {"PL": ("Reference", _place)}
