"""FHIR R4 as flat tables, one row for a resource: what a data scientist reads.

The tables and their columns stand in ``flat.yaml``. A table is a view: it has one value where a resource may have
many (the first coding of the best known code system, the first dosage), and no free text. Every number keeps the digits
that it was reported with, every date its precision.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.resources import files
from typing import Final, Literal, TypeAlias, cast

import yaml

from medibridge.errors import MalformedMessage
from medibridge.formats.splitting import class_of
from medibridge.record import Json, JsonObject, Number

__all__ = ["TABLES", "Cell", "Column", "Row", "Table", "dictionary", "rows"]

Cell: TypeAlias = str | Number | None
Row: TypeAlias = dict[str, Cell]
Kind: TypeAlias = Literal["text", "code", "number", "date", "boolean"]

_WAITING: Final = 1_000
"""Resources that wait for the Medication that they refer to; what waits longer has none."""
_MEDICATIONS: Final = 10_000
"""Medications that are remembered."""


@dataclass(frozen=True)
class Column:
    """A column. `type` says how to read its cells, `source` which FHIR element they come from.

    A *number* is a `Number`, everything else text: a *date* is a FHIR date or dateTime (``1961``, ``1961-05``,
    ``2024-03-06T08:15:00+01:00``), a *boolean* ``true`` or ``false``, a *code* has its system in a column beside it
    or named in the description.
    """

    name: str
    type: Kind
    description: str
    source: str
    read: Callable[[JsonObject], Cell] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Table:
    """A table: the columns of its rows, in their order, and the resource types that have rows in it."""

    name: str
    description: str
    columns: tuple[Column, ...]
    resources: tuple[str, ...]
    takes: Callable[[JsonObject], bool] = field(repr=False, compare=False)
    parts: str = ""
    """The element that repeats and has rows of its own; empty where a resource has one row."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def rows(self, resource: JsonObject) -> Iterator[Row]:
        """The rows of a resource that the table takes."""
        for whole in self._wholes(resource):
            yield {column.name: column.read(whole) for column in self.columns}

    def _wholes(self, resource: JsonObject) -> Iterator[JsonObject]:
        """The resource, then each of its parts as if it were one; only the parts where they alone have values."""
        parts = [part for part in _list(resource.get(self.parts)) if isinstance(part, Mapping)] if self.parts else []
        if not parts or any(key.startswith("value") for key in resource):
            yield resource
        rest = {key: value for key, value in resource.items() if not key.startswith(_OWN_TO_PARTS)}
        for position, part in enumerate(parts, 1):
            yield {**rest, **part, _POSITION: Number(str(position))}


_POSITION: Final = "position"
_OWN_TO_PARTS: Final = ("value", "code", "interpretation", "referenceRange", "dataAbsentReason", "component")


# --- rows -----------------------------------------------------------------------------------------------------------


def rows(resources: Iterable[JsonObject]) -> Iterator[tuple[str, Row]]:
    """The name of the table and the row, for each resource that has one, in memory that does not grow with them.

    Every row has all columns of its table, None where there is no value. A resource that refers to a Medication takes
    its code from it, where that stands near it; it comes out when the Medication does.
    """
    medications = _Medications()
    by_type = _by_type()
    for resource in resources:
        for ready in medications.meet(resource):
            yield from _rows_of(ready, by_type)
    for ready in medications.rest():
        yield from _rows_of(ready, by_type)


def _rows_of(resource: JsonObject, by_type: Mapping[str, Sequence[Table]]) -> Iterator[tuple[str, Row]]:
    for table in by_type.get(str(resource.get("resourceType")), ()):
        if table.takes(resource):
            for row in table.rows(resource):
                yield table.name, row


@functools.cache
def _by_type() -> Mapping[str, Sequence[Table]]:
    found: dict[str, list[Table]] = {}
    for table in TABLES.values():
        for kind in table.resources:
            found.setdefault(kind, []).append(table)
    return found


class _Medications:
    """Gives resources the code of the Medication that they refer to."""

    def __init__(self) -> None:
        self._codes: dict[str, Json] = {}
        self._waiting: dict[int, tuple[str, JsonObject]] = {}
        self._count = 0

    def meet(self, resource: JsonObject) -> Iterator[JsonObject]:
        """The resources that are complete now."""
        if resource.get("resourceType") == "Medication":
            yield from self._remember(str(resource.get("id")), resource.get("code"))
            return
        reference = resource.get("medicationReference")
        target = reference.get("reference") if isinstance(reference, Mapping) else None
        if not isinstance(target, str):
            yield resource
            return
        for inner in _list(resource.get("contained")):
            if isinstance(inner, Mapping) and target == f"#{inner.get('id')}":
                yield {**resource, "medicationCodeableConcept": inner.get("code")}
                return
        name = _tail(target)
        if name in self._codes:
            yield {**resource, "medicationCodeableConcept": self._codes[name]}
            return
        self._count += 1
        self._waiting[self._count] = (name, resource)
        if len(self._waiting) > _WAITING:
            yield self._waiting.pop(next(iter(self._waiting)))[1]

    def _remember(self, name: str, code: Json) -> Iterator[JsonObject]:
        self._codes[name] = code
        if len(self._codes) > _MEDICATIONS:
            del self._codes[next(iter(self._codes))]
        for number in [number for number, (wanted, _) in self._waiting.items() if wanted == name]:
            yield {**self._waiting.pop(number)[1], "medicationCodeableConcept": code}

    def rest(self) -> Iterator[JsonObject]:
        """The resources whose Medication never came."""
        yield from (resource for _, resource in self._waiting.values())


# --- cells ----------------------------------------------------------------------------------------------------------


def _list(value: Json) -> Sequence[Json]:
    if value is None:
        return ()
    return value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _tail(reference: str) -> str:
    """``Patient/4``, ``https://…/Patient/4/_history/1`` and ``urn:uuid:4`` give ``4``."""
    return reference.partition("/_history/")[0].rpartition("/")[2].rpartition(":")[2]


def _values(value: Json, path: Sequence[str]) -> Iterator[Json]:
    """The values at the end of a path, through lists, in their order."""
    for item in _list(value):
        if not path:
            yield item
        elif isinstance(item, Mapping):
            yield from _values(item.get(path[0]), path[1:])


def _text(value: Json) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, Decimal)):
        return str(value)
    if not isinstance(value, Mapping):
        return None
    if "coding" in value or "text" in value:
        return _display(value)
    for first, mark, second in (("numerator", ":", "denominator"), ("low", "-", "high"), ("start", "/", "end")):
        if first in value or second in value:
            return f"{_amount(value.get(first))}{mark}{_amount(value.get(second))}"
    return None


def _amount(value: Json) -> str:
    found = value.get("value") if isinstance(value, Mapping) else value
    return str(found) if isinstance(found, (str, int, Decimal)) else ""


def _number(value: Json) -> Cell:
    if isinstance(value, Number):
        return value
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        try:
            return Number(str(value))
        except MalformedMessage:
            return None
    return None


def _date(value: Json) -> Cell:
    return value if isinstance(value, str) else None


def _boolean(value: Json) -> Cell:
    return _text(value) if isinstance(value, bool) else None


def _year(value: Json) -> Cell:
    return value[:4] if isinstance(value, str) and value[:4].isdigit() else None


def _zip3(value: Json) -> Cell:
    return value[:3] if isinstance(value, str) and value[:3].isdigit() and len(value) >= 3 else None


def _reference(value: Json) -> Cell:
    target = value.get("reference") if isinstance(value, Mapping) else None
    return _tail(target) if isinstance(target, str) else None


def _coding(value: Json) -> JsonObject:
    """The coding of a CodeableConcept that is best known; a Coding or a code is one itself."""
    if isinstance(value, str):
        return {"code": value}
    if not isinstance(value, Mapping):
        return {}
    if "coding" not in value:
        return value if "code" in value else {"display": value.get("text", value.get("display"))}
    codings = [item for item in _list(value["coding"]) if isinstance(item, Mapping)]
    return min(codings, key=_rank, default={})


def _rank(coding: JsonObject) -> int:
    return _preferred().get(str(coding.get("system")), len(_preferred())) + (0 if coding.get("code") else 1000)


def _system(value: Json) -> Cell:
    return _date(_coding(value).get("system"))


def _code(value: Json) -> Cell:
    return _date(_coding(value).get("code"))


def _display(value: Json) -> Cell:
    text = value.get("text") if isinstance(value, Mapping) else None
    return _date(_coding(value).get("display")) or _date(text)


_TAKES: Final[Mapping[str, tuple[Kind, Callable[[Json], Cell]]]] = {
    "text": ("text", _text),
    "number": ("number", _number),
    "date": ("date", _date),
    "boolean": ("boolean", _boolean),
    "year": ("date", _year),
    "zip3": ("code", _zip3),
    "reference": ("code", _reference),
    "system": ("code", _system),
    "code": ("code", _code),
    "display": ("text", _display),
    "position": ("number", _number),
}


# --- definitions ----------------------------------------------------------------------------------------------------


class _Tables(Mapping[str, Table]):
    """Reads ``flat.yaml`` when it is first asked."""

    def __getitem__(self, name: str) -> Table:
        return _tables()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_tables())

    def __len__(self) -> int:
        return len(_tables())


TABLES: Final[Mapping[str, Table]] = _Tables()
"""Every table by its name, in the order in which they are documented."""


def dictionary() -> list[dict[str, str]]:
    """The data dictionary: a row for each column of each table."""
    return [
        {
            "table": table.name,
            "column": column.name,
            "type": column.type,
            "description": column.description,
            "source": column.source,
        }
        for table in TABLES.values()
        for column in table.columns
    ]


@functools.cache
def _definitions() -> dict[str, object]:
    text = files("medibridge.formats.tables").joinpath("flat.yaml").read_text("utf-8")
    return cast("dict[str, object]", yaml.load(text, yaml.BaseLoader))  # noqa: S506 - every scalar is text


@functools.cache
def _preferred() -> Mapping[str, int]:
    return {system: rank for rank, system in enumerate(cast("list[str]", _definitions()["prefer"]))}


@functools.cache
def _tables() -> Mapping[str, Table]:
    defined = cast("dict[str, dict[str, object]]", _definitions()["tables"])
    return {name: _table(name, values, defined) for name, values in defined.items()}


def _table(name: str, values: Mapping[str, object], defined: Mapping[str, Mapping[str, object]]) -> Table:
    resources = tuple(cast("list[str]", values["resources"]))
    like = defined[str(values["like"])] if "like" in values else {}
    lines = {
        **cast("dict[str, dict[str, object]]", like.get("columns", {})),
        **cast("dict[str, dict[str, object]]", values["columns"]),
    }
    return Table(
        name=name,
        description=str(values["about"]),
        columns=tuple(_column(column, line, resources) for column, line in lines.items()),
        resources=resources,
        takes=_takes(
            cast("Sequence[str]", values.get("classes", ())), cast("Sequence[str]", values.get("not classes", ()))
        ),
        parts=str(values.get("rows", "")),
    )


def _takes(classes: Sequence[str], others: Sequence[str]) -> Callable[[JsonObject], bool]:
    def takes(resource: JsonObject) -> bool:
        if not classes and not others:
            return True
        data_class = class_of(resource)
        label = data_class.label if data_class else ""
        return label in classes if classes else label not in others

    return takes


def _column(name: str, line: Mapping[str, object], resources: Sequence[str]) -> Column:
    how = str(line.get("take", "text"))
    kind, take = _TAKES[how]
    paths = cast("list[str]", line.get("from", [_POSITION]))
    source = "; ".join(f"{resource}.{path}" for resource in resources for path in paths)
    if how == "position":
        source = "position in the resource"
    split = [path.split(".") for path in paths]

    def read(resource: JsonObject) -> Cell:
        for path in split:
            for value in _values(resource, path):
                cell = take(value)
                if cell not in (None, ""):
                    return cell
        return None

    return Column(name, kind, str(line["about"]), source, read)
