"""The maps of segments, compiled.

A *view* is what one segment says about one resource: OBR is seen as ServiceRequest and as DiagnosticReport. How the
map files ``segments/*.yaml`` are written stands at the top of ``PID.yaml``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medibridge.formats.hl7v2.files import load, names
from medibridge.formats.hl7v2.rules import Condition, condition_of, constant_of
from medibridge.formats.hl7v2.steps import Step, constant_line, steps_of
from medibridge.formats.hl7v2.targets import MapError, Target, extension_url, target_of
from medibridge.formats.r4 import RESOURCE_TYPES

__all__ = ["Default", "Identity", "Link", "View", "usual_views", "view_of"]


@dataclass(frozen=True)
class Link:
    """A reference from one resource to another: to the nearest of the view `to`, to each below, to the sole one, or
    to the nearest where the element is empty (`else`).
    """

    target: Target
    to: str
    mode: str
    required: bool
    constants: Mapping[str, Any] | None


@dataclass(frozen=True)
class Identity:
    """How a resource gets its id: by an identifier of a type (any, where it is empty), or within another resource."""

    identifier: str = ""
    within: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Default:
    """A constant for an element that got no value, and the field that should have given one."""

    field: int
    target: Target
    constant: Any
    when: Condition | None


@dataclass(frozen=True)
class View:
    """What one segment says about one resource."""

    name: str
    kind: str
    when: Condition | None
    required: tuple[tuple[int, str], ...]
    steps: tuple[Step, ...]
    defaults: tuple[Default, ...]
    links: tuple[Link, ...]
    identities: tuple[Identity, ...]
    joins: bool
    """Whether it goes on with the nearest resource of that view, and says nothing where there is none."""
    rest: str
    """The extension that keeps what nothing else has mapped; empty where that is only reported."""


@functools.cache
def usual_views(segment: str) -> tuple[str, ...]:
    """The views of a segment that are taken where a message map names none."""
    if segment not in names("segments"):
        return ()
    loaded = load(f"segments/{segment}.yaml")
    usual = loaded.get("usual")
    if usual is not None:
        return tuple(usual)
    return tuple(name for name in loaded if name != "usual")[:1]


@functools.cache
def view_of(segment: str, name: str) -> View:
    """One view. Raises `MapError` where the map has none of that name, or says what R4 does not have."""
    try:
        loaded = load(f"segments/{segment}.yaml")
        spec = dict(loaded[name])
    except (FileNotFoundError, KeyError):
        raise MapError(f"segments/{segment}.yaml has no view {name}") from None
    kind = name.partition("-")[0]
    if kind not in RESOURCE_TYPES:
        raise MapError(f"segments/{segment}.yaml: {kind} is no resource of R4")
    try:
        view = View(
            name,
            kind,
            condition_of(spec.pop("when", "")),
            tuple((int(field), what) for field, what in spec.pop("require", {}).items()),
            tuple(steps_of(spec, kind, kind)),
            tuple(_default(field, line, kind) for field, line in _lines(spec.pop("default", {}))),
            tuple(_link(path, to, kind) for path, to in spec.pop("links", {}).items()),
            tuple(_identity(line) for line in _listed(spec.pop("id", []))),
            spec.pop("joins", "") == "yes",
            extension_url(spec.pop("rest", "")),
        )
    except MapError as problem:
        raise MapError(f"segments/{segment}.yaml, {name}: {problem}") from None
    if spec:
        raise MapError(f"segments/{segment}.yaml, {name}: {', '.join(spec)} means nothing there")
    return view


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _lines(lines: dict[str, Any]) -> list[tuple[int, Any]]:
    return [(int(field), line) for field, found in lines.items() for line in _listed(found)]


def _default(field: int, line: Any, kind: str) -> Default:
    path, constant, when = constant_line(line)
    return Default(field, target_of(kind, path, "code"), constant, condition_of(when))


def _link(path: str, to: Any, kind: str) -> Link:
    constants = None
    if isinstance(to, dict):
        constants = {key: constant_of(value) for key, value in to.get("with", {}).items()}
        to = to["to"]
    mode, _, name = to.rpartition(" ")
    if mode not in ("", "each", "sole", "else"):
        raise MapError(f"{to!r} is not a view, 'each', 'sole' or 'else' view")
    return Link(target_of(kind, path), name.removesuffix("!"), mode, name.endswith("!"), constants)


def _identity(line: str) -> Identity:
    words = line.split()
    if words[0] == "identifier":
        return Identity(identifier=words[1] if len(words) > 1 else "any")
    if words[0] == "within":
        within, _, by = line.removeprefix("within ").partition(" by ")
        return Identity(within=tuple(within.split(" or ")), by=tuple(name.strip() for name in by.split(",")))
    raise MapError(f"id: {line!r} is not 'identifier', 'identifier MR' or 'within Patient by code'")
