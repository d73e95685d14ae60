"""The table of elements (``elements.yaml``), and the resources that are made by it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, TypeAlias

import yaml

from medibridge.formats.dicom.dataset import Dataset
from medibridge.formats.dicom.elements import tag_of
from medibridge.formats.naming import Names
from medibridge.formats.settings import Settings
from medibridge.formats.splitting import key_of
from medibridge.record import Json, JsonObject, canonical_json

__all__ = ["DICOM_UID", "Draft", "Reader", "Row", "rows", "sparse", "table", "union", "wanted"]

DICOM_UID: Final = "urn:dicom:uid"
"""The system of identifiers that are UIDs."""

_READ_SEQUENCES: Final = (
    "CodingSchemeIdentificationSequence",
    "InstitutionCodeSequence",
    "IssuerOfPatientIDQualifiersSequence",
    "OrderFillerIdentifierSequence",
    "OrderPlacerIdentifierSequence",
    "PersonIdentificationCodeSequence",
)
"""Sequences that readers ask for beside those of the table."""


def sparse(**elements: Json) -> dict[str, Json]:
    """A FHIR object without its empty elements."""
    return {name: value for name, value in elements.items() if value not in (None, "", [], {})}


def union(held: Json, more: Json) -> list[Json]:
    """The items of both lists, each once."""
    items = [item for items in (held, more) if isinstance(items, list) for item in items]
    return list({canonical_json(item): item for item in items}.values())


@dataclass(frozen=True)
class Row:
    """One row of the table: an element, where it goes, and how it is read."""

    keyword: str
    target: str
    reader: str
    beside: str
    """A second element that the reader needs."""
    options: Mapping[str, str]

    @property
    def path(self) -> str:
        """The target without the marks of repetition: what the report names."""
        return self.target.replace("[]", "")


@functools.cache
def table() -> dict[str, Any]:
    """``elements.yaml``."""
    loaded: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("elements.yaml").read_text("utf-8"))
    return loaded


@functools.cache
def rows(part: str) -> tuple[Row, ...]:
    """The rows of a part of the table: patient, study, series, instance or media."""
    found = []
    for keyword, given in table()[part].items():
        options = dict(given)
        found.append(Row(keyword, options.pop("to"), options.pop("as"), options.pop("with", ""), options))
    return tuple(found)


@functools.cache
def wanted(*more: str) -> frozenset[int]:
    """The tags of the sequences that are read: those of the table, of its readers, and `more`."""
    keywords = {keyword for part in _PARTS for row in rows(part) for keyword in (row.keyword, row.beside) if keyword}
    return frozenset(
        tag_of(keyword) for keyword in (*keywords, *_READ_SEQUENCES, *more) if keyword.endswith("Sequence")
    )


_PARTS: Final = ("patient", "study", "series", "instance", "media")


@dataclass
class Draft:
    """The resources that a file refers to, while they are being made."""

    settings: Settings
    resources: dict[str, JsonObject] = field(default_factory=dict)
    schemes: dict[str, str] = field(default_factory=dict)
    """Coding scheme designators that the file itself explains (0008,0110)."""

    @property
    def names(self) -> Names:
        """The ids of the source."""
        return Names(self.settings.source)

    def add(self, resource: JsonObject) -> JsonObject:
        """Take in a resource and answer a Reference to it."""
        self.resources.setdefault(key_of(resource), resource)
        return {"reference": key_of(resource)}


Reader: TypeAlias = Callable[[Dataset, Row, Draft], Json]
"""Reads the element of a row. None, or an empty value, where it gives nothing."""
