"""The maps from C-CDA to FHIR, as they stand in ``maps/*.yaml``.

A file holds maps by name. A map says which elements of the document it is for, and how each element of the resource
is read::

    problem:
      resource: Condition                          # none: the element only wraps others
      for: observation                             # name of the element
      templates: [2.16.840.1.113883.10.20.22.4.4]  # templateId; without: any
      sections: [11450-4]                          # LOINC code of the section; holds also where templates are missing
      moods: [EVN]                                 # moodCode
      where: "value"                               # a path that has to lead somewhere
      requires: [code]                             # without these there is no resource
      include: [identified, recorded]              # maps whose elements are taken over
      elements:
        code: value as concept                     # path (see `paths`) and datatype (see `datatypes`)
        onset[x]: effectiveTime as moment          # the datatype names the type
        note[]: ["text as annotation", "…"]        # a list: all that each of the paths finds
        author[]: [author as agent, "?informant as agent"]  # ?: only where no path before it gave a value
        issued: ~observation/time as instant       # ~: what lies on the path is a resource of its own all the same
        status: {read: statusCode@code as code event-status, default: unknown}  # by a table of `tables.yaml`
        reaction[]: {each: entryRelationship/observation, elements: {…}}
        intent: {fixed: order}

Without ``[]`` the first of the paths that gives a value counts. ``table`` is that of all paths that name none.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from medibridge.formats.ccda.document import Node
from medibridge.formats.ccda.paths import Path
from medibridge.record import Json

__all__ = ["Map", "Maps", "Rule", "Source", "Table", "load"]

_FILES: Final = ("header", "people", "problems", "medications", "results", "procedures", "history", "plans", "generic")


@dataclass(frozen=True)
class Table:
    """Codes of CDA and the codes of FHIR that they are; `system` where these are of a code system."""

    name: str
    codes: Mapping[str, str]
    system: str = ""


@dataclass(frozen=True)
class Source:
    """Where a value stands, and how it is read."""

    path: Path
    kind: str
    argument: str = ""
    borrows: bool = False
    """Whether what lies on the path stays a resource of its own."""
    last_resort: bool = False
    """Whether it counts only where no path before it gave a value."""


@dataclass(frozen=True)
class Rule:
    """How one element of a resource is made."""

    target: str
    many: bool = False
    typed: bool = False
    sources: tuple[Source, ...] = ()
    table: Table | None = None
    default: Json = None
    fixed: Json = None
    when: Path | None = None
    each: Path | None = None
    elements: tuple[Rule, ...] = ()
    requires: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Map:
    """How an element of the document becomes a resource."""

    name: str
    resource: str
    element: str
    templates: frozenset[str]
    sections: frozenset[str]
    moods: frozenset[str]
    where: Path | None
    requires: frozenset[str]
    rules: tuple[Rule, ...]
    by_template_only: bool
    alone: bool

    def fits(self, node: Node) -> bool:
        """Whether the map is for a node, templates and section aside."""
        return (
            self.element in ("", node.name)
            and (not self.moods or node["moodCode"] in self.moods)
            and (self.where is None or self.where.leads(node))
        )


@dataclass(frozen=True)
class Maps:
    """All maps, in the order in which they are asked."""

    by_name: Mapping[str, Map]
    by_template: Mapping[str, tuple[Map, ...]]
    by_element: tuple[Map, ...]
    tables: Mapping[str, Table]

    def map_for(self, node: Node, section: str) -> Map | None:
        """The map for a statement: by its templates, from the last (the most special) on, else by what it is."""
        for template in reversed(node.named("templateId")):
            for found in self.by_template.get(template["root"], ()):
                if found.fits(node):
                    return found
        for found in self.by_element:
            if (not found.sections or section in found.sections) and found.fits(node):
                return found
        return None


@functools.cache
def load() -> Maps:
    """Read the maps of this package."""
    tables = {
        name: Table(name, _codes(table["codes"]), str(table.get("system", "")))
        for name, table in _read("tables").items()
    }
    by_name: dict[str, Map] = {}
    written: dict[str, dict[str, object]] = {}
    for file in _FILES:
        written |= _read(file)
    for name, text in written.items():
        by_name[name] = _Reader(tables, written).map(name, text)
    by_template: dict[str, list[Map]] = {}
    for found in by_name.values():
        for template in found.templates:
            by_template.setdefault(template, []).append(found)
    return Maps(
        by_name,
        {template: tuple(found) for template, found in by_template.items()},
        tuple(found for found in by_name.values() if found.element and not found.by_template_only),
        tables,
    )


def _read(name: str) -> dict[str, dict[str, object]]:
    text = importlib.resources.files(__package__).joinpath(f"maps/{name}.yaml").read_text("utf-8")
    found: dict[str, dict[str, object]] = yaml.load(text, yaml.BaseLoader) or {}  # noqa: S506 - reads texts only
    return found


def _codes(value: object) -> dict[str, str]:
    return {str(code): str(target) for code, target in value.items()} if isinstance(value, Mapping) else {}


@dataclass(frozen=True)
class _Reader:
    """Reads maps; what is wrong in them is a bug of this package, so it raises `ValueError` or `KeyError`."""

    tables: Mapping[str, Table]
    written: Mapping[str, Mapping[str, object]]

    def map(self, name: str, text: Mapping[str, object]) -> Map:
        known = {"resource", "for", "templates", "sections", "moods", "where", "requires", "include", "elements",
                 "alone"}  # fmt: skip
        if unknown := text.keys() - known:
            raise ValueError(f"map {name!r} has unknown parts {sorted(unknown)}")
        templates = frozenset(_texts(text.get("templates")))
        sections = frozenset(_texts(text.get("sections")))
        where = text.get("where")
        return Map(
            name,
            str(text.get("resource", "")),
            str(text.get("for", "")),
            templates,
            sections,
            frozenset(_texts(text.get("moods"))),
            Path.of(str(where)) if where else None,
            frozenset(_texts(text.get("requires"))),
            self.all_rules(text),
            bool(templates) and not sections,
            bool(text.get("alone")),
        )

    def all_rules(self, text: Mapping[str, object]) -> tuple[Rule, ...]:
        """Those of the map, then those of the maps that it includes and that it does not have itself."""
        elements = text.get("elements") or {}
        own = self.rules(elements) if isinstance(elements, Mapping) else ()
        targets = {rule.target for rule in own}
        for other in _texts(text.get("include")):
            own += tuple(rule for rule in self.all_rules(self.written[other]) if rule.target not in targets)
        return own

    def rules(self, elements: Mapping[str, object]) -> tuple[Rule, ...]:
        return tuple(self.rule(target, value) for target, value in elements.items() if value != "none")

    def rule(self, target: str, value: object) -> Rule:
        many, typed = target.endswith("[]"), target.endswith("[x]")
        target = target.removesuffix("[]").removesuffix("[x]")
        if not isinstance(value, Mapping):
            return Rule(target, many, typed, self.sources(value))
        known = {"read", "table", "default", "fixed", "when", "each", "elements", "requires"}
        if unknown := value.keys() - known:
            raise ValueError(f"{target!r} has unknown parts {sorted(unknown)}")
        elements = value.get("elements")
        return Rule(
            target,
            many,
            typed,
            self.sources(value.get("read")),
            self.tables[str(value["table"])] if "table" in value else None,
            value.get("default"),
            _constant(value.get("fixed")),
            Path.of(str(value["when"])) if "when" in value else None,
            Path.of(str(value["each"])) if "each" in value else None,
            self.rules(elements) if isinstance(elements, Mapping) else (),
            frozenset(_texts(value.get("requires"))),
        )

    def sources(self, value: object) -> tuple[Source, ...]:
        return tuple(self.source(text) for text in _texts(value))

    @staticmethod
    def source(text: str) -> Source:
        path, _, kind = text.rpartition(" as ")
        name, _, argument = kind.partition(" ")
        if not path:
            raise ValueError(f"{text!r} does not say as what it is read")
        marks = path[: len(path) - len(path.lstrip("~?"))]
        return Source(Path.of(path.lstrip("~?")), name, argument, "~" in marks, "?" in marks)


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _constant(value: object) -> Json:
    """A constant of a map, in which `true` and `false` are what they say."""
    if isinstance(value, Mapping):
        return {str(key): _constant(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_constant(item) for item in value]
    return {"true": True, "false": False}.get(str(value), str(value)) if value is not None else None
