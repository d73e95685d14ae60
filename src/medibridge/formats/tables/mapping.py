"""A mapping: what the columns of a site's table are. The package says how one is written."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from medibridge.errors import UsageError
from medibridge.formats.settings import SitesFile
from medibridge.formats.tables.dates import DateFormat
from medibridge.formats.tables.elements import IGNORE, Kind, kinds

__all__ = ["ColumnMap", "TableMap"]

_PARTS: Final = (
    "name", "kind", "columns", "systems", "values", "always", "absent", "zone", "decimal", "delimiter", "encoding",
)  # fmt: skip
_COLUMN_PARTS: Final = ("is", "format", "zone", "values")
_DELIMITERS: Final = {
    ",": ",",
    "comma": ",",
    ";": ";",
    "semicolon": ";",
    "\t": "\t",
    "tab": "\t",
    "|": "|",
    "pipe": "|",
}
_ENCODINGS: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "cp1252": "cp1252", "windows-1252": "cp1252", "latin-1": "latin-1",
    "iso-8859-1": "latin-1", "iso-8859-15": "iso-8859-15",
}  # fmt: skip
_ABSENT: Final = frozenset({"", "NULL", "null", "N/A", "n/a", "NaN"})


@dataclass(frozen=True)
class ColumnMap:
    """What one column is: its element, and how its dates and words are written."""

    element: str
    formats: tuple[DateFormat, ...] = ()
    zone: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TableMap:
    """A mapping that has been checked."""

    name: str
    kind: Kind
    columns: Mapping[str, ColumnMap]
    systems: Mapping[str, str]
    always: Mapping[str, str]
    absent: frozenset[str]
    zone: str
    decimal: str
    delimiter: str
    encoding: str

    @classmethod
    def of(cls, values: Mapping[str, object], number: int = 1) -> TableMap:
        """Check a mapping as it stands in a profile. Raises `UsageError`, naming the place, for what is none."""
        name = values.get("name", "")
        reading = _Reading(f"mapping {name or number!r} of the profile's tables")
        return reading.table(values, str(name) or f"number {number}")


class _Reading(SitesFile):
    """Reads a mapping."""

    def table(self, values: Mapping[str, object], name: str) -> TableMap:
        for part in values:
            if part not in _PARTS:
                raise UsageError(f"{self.place} has a part {part!r} that is not known; known are {', '.join(_PARTS)}")
        all_kinds = kinds()
        kind = all_kinds.get(self.below("kind").text(values.get("kind")))
        if kind is None:
            raise UsageError(f"{self.place} names no kind that is known; write one of {', '.join(all_kinds)}")
        zone = self.zone(values.get("zone"))
        words = self.below("values")
        listed = {
            heading: words.below(heading).texts(table) for heading, table in words.mapping(values.get("values")).items()
        }
        lines = self.below("columns").mapping(values.get("columns"))
        columns = {
            heading.strip(): self.below("columns").below(heading).column(line, kind, zone, listed.pop(heading, {}))
            for heading, line in lines.items()
        }
        for heading in listed:
            raise UsageError(f"{words.place} names {heading!r}, which is none of the columns; write its heading")
        always = self.below("always").texts(values.get("always"))
        for element in always:
            self.below("always").element(element, kind)
        self._check_elements([column.element for column in columns.values()] + list(always))
        return TableMap(
            name=name,
            kind=kind,
            columns=columns,
            systems=self.below("systems").texts(values.get("systems")),
            always=always,
            absent=_ABSENT | frozenset(self.below("absent").words(values.get("absent"))),
            zone=zone,
            decimal=self.below("decimal").one_of(values.get("decimal"), {".": ".", ",": ","}),
            delimiter=self.below("delimiter").one_of(values.get("delimiter"), _DELIMITERS),
            encoding=self.below("encoding").one_of(values.get("encoding"), _ENCODINGS) or "utf-8",
        )

    def _check_elements(self, named: Sequence[str]) -> None:
        for element in named:
            if element != IGNORE and named.count(element) > 1:
                raise UsageError(f"{self.place} gives {element} twice; name one column, and ignore the other")
        if "patient.identifier" not in named:
            raise UsageError(f"{self.place} has no column that is patient.identifier; without it, rows are nobody's")

    def column(self, line: object, kind: Kind, zone: str, words: Mapping[str, str]) -> ColumnMap:
        parts = self.mapping({"is": line} if isinstance(line, str) else line)
        for part in parts:
            if part not in _COLUMN_PARTS:
                raise UsageError(f"{self.place} has a part {part!r}; known are {', '.join(_COLUMN_PARTS)}")
        element = self.below("is").text(parts.get("is"))
        if element == IGNORE:
            return ColumnMap(IGNORE)
        is_date = self.element(element, kind)
        if not is_date and parts.get("format"):
            raise UsageError(f"{self.place} has a format, but {element} is no date; leave it out")
        return ColumnMap(
            element,
            tuple(DateFormat.of(text, self.place) for text in self.below("format").words(parts.get("format"))),
            self.zone(parts.get("zone")) or zone,
            {**words, **self.below("values").texts(parts.get("values"))},
        )

    def element(self, name: str, kind: Kind) -> bool:
        """Whether it is a date."""
        if name not in kind.elements:
            group = name.partition(".")[0]
            near = [known for known in kind.elements if known.partition(".")[0] == group] or [
                known for known in kind.elements if "." not in known
            ]
            raise UsageError(f"{self.place}: {kind.name} has no {name!r}; write one of {', '.join(near)}, or {IGNORE}")
        return kind.elements[name].is_date

    def words(self, value: object) -> list[str]:
        if value is None:
            return []
        found = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
        if not found or (isinstance(value, list) and len(found) < len(value)):
            raise UsageError(f"{self.place} is not a text or a list of texts; write it so")
        return found

    def zone(self, value: object) -> str:
        if not value:
            return ""
        name = self.below("zone").text(value)
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(f"{self.place}, zone is no IANA time zone; write one such as Europe/Vienna") from None
        return name

    def one_of(self, value: object, known: Mapping[str, str]) -> str:
        if not value:
            return ""
        found = known.get(self.text(value).lower())
        if found is None:
            raise UsageError(f"{self.place} is not one of {', '.join(repr(name) for name in known)}; write one of them")
        return found
