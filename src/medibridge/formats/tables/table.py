"""What holds for every row of a table: its mapping, its columns, and what the profile says of systems and zones."""

from __future__ import annotations

import re
from typing import Final

from medibridge.formats.settings import Settings
from medibridge.formats.tables.elements import IGNORE, CodeSystem, system_named, systems
from medibridge.formats.tables.layout import Layout

__all__ = ["Reading"]

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")


class Reading:
    """What holds for every row of a piece."""

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self.map = layout.map
        self.kind = layout.map.kind
        self.profile = settings.profile
        self.ignored = layout.ignored
        positions = {heading: position for position, heading in enumerate(layout.headings)}
        named = {heading: column for heading, column in self.map.columns.items() if column.element != IGNORE}
        self.columns = {column.element: positions[heading] for heading, column in named.items()}
        self.column_maps = {column.element: column for column in named.values()}
        self.elements = {position: element for element, position in self.columns.items()}
        self.naming = [
            element
            for element in sorted({*self.columns, *self.map.always})
            if not element.startswith("patient.") and not self.kind.elements[element].is_state
        ]
        """The elements that name a row."""
        self.about_patient = [at for element, at in self.columns.items() if element.startswith("patient.")]
        self._codes: dict[str, list[tuple[str, CodeSystem]]] = {}

    def codes(self, element: str) -> list[tuple[str, CodeSystem]]:
        """The elements of a group of codes that the table has, with their code systems."""
        if element not in self._codes:
            group = ((f"{element}.{system.name}", system) for system in systems().values())
            self._codes[element] = [
                (name, system) for name, system in group if name in self.columns or name in self.map.always
            ]
        return self._codes[element]

    def authority(self, element: str) -> str:
        """The system of an identifier: a URI, or the name that stands for one; empty where the mapping has none."""
        name = self.map.systems.get(element, "")
        name = self.profile.authorities.get(name, name)
        return f"urn:oid:{name}" if _OID.fullmatch(name) else name

    def uri(self, name: str) -> str:
        """The URI of a code system: its own, that of a known name or of an authority of the profile; else empty."""
        known = system_named(name)
        if known:
            return known.uri
        name = self.profile.authorities.get(name, name)
        return f"urn:oid:{name}" if _OID.fullmatch(name) else name if _URI.fullmatch(name) else ""

    def moment_zone(self, element: str) -> str:
        """The zone of the times of a column: its own, that of the mapping, that of the profile."""
        column = self.column_maps.get(element)
        return (column.zone if column else "") or self.map.zone or self.profile.zone
