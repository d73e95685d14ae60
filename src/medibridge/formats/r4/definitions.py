"""The elements of each type of FHIR R4, read from ``definitions.json`` as they are asked for."""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Element", "elements_of", "primitive_pattern", "required_of", "resource_types"]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type.

    `kind` is the name of its type (a backbone element's is its path: ``Patient.contact``); `choice` names the element
    of several types that this is one of (``value[x]``), else it is empty. `codes` are those of a required binding, by
    code system, or None.
    """

    name: str
    kind: str
    required: bool
    many: bool
    choice: str
    codes: Mapping[str, frozenset[str]] | None
    any_code: frozenset[str]
    """The codes of all systems of the binding."""


@functools.cache
def _definitions() -> dict[str, Any]:
    text = importlib.resources.files("medibridge.formats.r4").joinpath("definitions.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@functools.cache
def resource_types() -> frozenset[str]:
    """The names of all resources of R4."""
    return frozenset(_definitions()["resources"])


@functools.cache
def elements_of(kind: str) -> Mapping[str, Element] | None:
    """The elements of a type by name, each choice under its full name; None for primitives and unknown types."""
    definitions = _definitions()
    specs = definitions["types"].get(kind)
    if specs is None:
        return None
    found = {}
    for name, (of, minimum, many, *more) in specs.items():
        bound = definitions["bindings"].get(more[0]) if more and more[0] else None
        codes = None if bound is None else {system: frozenset(members) for system, members in bound.items()}
        found[name] = Element(
            name=name,
            kind=of,
            required=bool(minimum),
            many=bool(many),
            choice=more[1] if len(more) > 1 else "",
            codes=codes,
            any_code=frozenset().union(*(codes or {}).values()),
        )
    return found


@functools.cache
def required_of(kind: str) -> tuple[frozenset[str], ...]:
    """For each element that a type must have, the names that it can have (several for a choice)."""
    groups: dict[str, set[str]] = {}
    for name, element in (elements_of(kind) or {}).items():
        if element.required:
            groups.setdefault(element.choice or name, set()).add(name)
    return tuple(frozenset(names) for names in groups.values())


@functools.cache
def primitive_pattern(kind: str) -> re.Pattern[str] | None:
    """The regular expression of a primitive type; None for others."""
    pattern = _definitions()["primitives"].get(kind)
    return None if pattern is None else re.compile(pattern or r"(?s).+", re.ASCII if kind in _ASCII else 0)


_ASCII: Final = frozenset({"date", "dateTime", "instant", "time", "id", "oid", "uuid", "base64Binary"})
