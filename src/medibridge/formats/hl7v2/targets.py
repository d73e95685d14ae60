"""Where a value goes: the path of an element in a FHIR R4 type, as it is written in a map.

::

    birthDate                               an element
    name.family                             an element of an element
    participant.individual                  a new participant for each value, as R4 allows many
    identifier[1].system                    of the first identifier, which is made where there is none
    extension(patient-religion)             value[x] of an extension; short names are listed in extensions.yaml
    extension(us-core-race).extension(text) an extension of an extension
    birthDate.extension(patient-birthTime)  an extension of a primitive
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from medibridge.formats.hl7v2.files import load
from medibridge.formats.r4 import elements_of

__all__ = ["MapError", "Target", "extension_url", "target_of"]

Elements: TypeAlias = "dict[str, Any]"

_MANY: Final = 30
"""Elements of a list that are compared; longer lists may repeat."""

_STEP = re.compile(r"(?:(_?[a-zA-Z0-9]+)(\[1\])?)(?:\(([^)]+)\))?")


class MapError(Exception):
    """A map file says what cannot be. Raised when the maps are compiled, which a test does for all of them."""


@dataclass(frozen=True)
class _Step:
    key: str
    many: bool
    first: bool
    url: str
    keys: tuple[str, ...] = ()
    """The names that the element may have: several for a choice of types."""


@dataclass(frozen=True)
class Target:
    """An element that a value can be put into.

    `name` is its path without positions, for the report; `kind` its FHIR type. `put` puts a value into an object of
    the type that the path begins at, with constants for the object that holds the value. `is_taken` says whether the
    element has a value and R4 allows no second; `is_present` whether it has any.
    """

    name: str
    kind: str
    put: Callable[[Elements, Any, Mapping[str, Any] | None], None]
    is_taken: Callable[[Elements], bool]
    is_present: Callable[[Elements], bool]


@functools.cache
def _extensions() -> Mapping[str, str]:
    short: dict[str, str] = load("extensions.yaml")
    return short


def extension_url(name: str) -> str:
    """The URL of an extension that is written short; a name that is not listed stays."""
    return _extensions().get(name, name)


@functools.lru_cache(None)
def target_of(kind: str, path: str, value_kind: str = "") -> Target:
    """The target of a path below a FHIR type. `value_kind` is the type of the value, for extensions.

    Raises `MapError` for a path that R4 does not have.
    """
    steps: list[_Step] = []
    at = kind
    names = [kind]
    for match in _split(path):
        key, first, url = match[1], bool(match[2]), match[3] or ""
        if key == "extension" and elements_of(at) is None and steps:
            steps[-1] = _Step("_" + steps[-1].key, many=False, first=False, url="", keys=steps[-1].keys)
            names[-1] = "_" + names[-1]
            at = "Element"
        elements = elements_of(at)
        element = (elements or {}).get(key)
        if key == "extension":
            url = extension_url(url)
            at = "Extension"
        elif element is None:
            raise MapError(f"{kind}.{path}: R4 has no element {key} in {at}")
        else:
            at = element.kind
        choice = element.choice if element else ""
        keys = tuple(name for name, one in (elements or {}).items() if one.choice == choice) if choice else (key,)
        steps.append(_Step(key, key == "extension" or bool(element and element.many), first, url, keys))
        names.append(key)
    last = steps[-1]
    name = ".".join(names)
    if last.url:
        value_key = "value" + value_kind[:1].upper() + value_kind[1:]
        if value_key not in (elements_of("Extension") or {}):
            raise MapError(f"{kind}.{path}: an extension has no {value_key}")
        put = functools.partial(_put_extension, tuple(steps[:-1]), last.url, value_key)
        present = functools.partial(_has, steps[0].keys) if len(steps) == 2 else _never
        return Target(f"{name}.{value_key}", value_kind, put, _never, present)
    present = functools.partial(_is_present, tuple(steps))
    if len(steps) == 1 and last.many:
        put_one = _join if last.first else _append
        return Target(name, at, functools.partial(put_one, last.key), _never, present)
    if len(steps) == 1:
        return Target(name, at, functools.partial(_set, last.key), functools.partial(_has, last.keys), present)
    put = functools.partial(_put, tuple(steps))
    if last.many and not last.first:
        return Target(name, at, put, _never, present)
    return Target(name, at, put, functools.partial(_is_taken, tuple(steps)), present)


def _never(_: Elements) -> bool:
    return False


def _is_present(steps: tuple[_Step, ...], holder: Elements) -> bool:
    for step in steps[:-1]:
        found = holder.get(step.key)
        if not found:
            return False
        holder = found[0] if isinstance(found, list) else found
    return _has(steps[-1].keys, holder)


def _split(path: str) -> list[re.Match[str]]:
    found = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or (match.end() < len(path) and path[match.end()] != "."):
            raise MapError(f"{path} is not the path of an element")
        found.append(match)
        at = match.end() + 1
    return found


def _append(key: str, holder: Elements, value: Any, extra: Mapping[str, Any] | None) -> None:
    _add(holder, key, {**extra, **value} if extra and isinstance(value, dict) else value)


def _add(holder: Elements, key: str, value: Any) -> None:
    """Append, but not what is there already: ORC-2 repeats OBR-2."""
    known = holder.setdefault(key, [])
    if len(known) > _MANY or value not in known:
        known.append(value)


def _join(key: str, holder: Elements, value: Any, extra: Mapping[str, Any] | None) -> None:
    """Into the first one, where it does not contradict what that says; else as another."""
    known = holder.setdefault(key, [])
    if known and not _contradicts(known[0], value):
        _merge(known[0], value)
    else:
        known.append({**extra, **value} if extra and isinstance(value, dict) else value)


def _contradicts(known: Any, value: Any) -> bool:
    if isinstance(known, dict) and isinstance(value, dict):
        return any(key in known and _contradicts(known[key], one) for key, one in value.items())
    return not (isinstance(known, list) and isinstance(value, list) and known is not value) and bool(known != value)


def _merge(known: Elements, value: Elements) -> None:
    for key, one in value.items():
        if isinstance(known.get(key), dict):
            _merge(known[key], one)
        elif isinstance(known.get(key), list):
            known[key].extend(one)
        else:
            known[key] = one


def _set(key: str, holder: Elements, value: Any, extra: Mapping[str, Any] | None) -> None:
    holder[key] = {**extra, **value} if extra and isinstance(value, dict) else value


def _has(keys: tuple[str, ...], holder: Elements) -> bool:
    for key in keys:  # noqa: SIM110 - asked for every value
        if key in holder:
            return True
    return False


def _below(steps: tuple[_Step, ...], holder: Elements) -> tuple[Elements, bool]:
    """The object that the steps lead to, made where it is missing, and whether the last was made for this value."""
    made = False
    for step in steps:
        if step.key == "extension":
            known = holder.setdefault("extension", [])
            found = next((one for one in known if one["url"] == step.url), None)
            if found is None:
                found = {"url": step.url}
                known.append(found)
            holder, made = found, False
        elif step.many:
            known = holder.setdefault(step.key, [])
            if step.first and known:
                holder, made = known[0], False
            else:
                holder, made = {}, True
                known.append(holder)
        else:
            holder, made = holder.setdefault(step.key, {}), False
    return holder, made


def _put(steps: tuple[_Step, ...], holder: Elements, value: Any, extra: Mapping[str, Any] | None) -> None:
    last = steps[-1]
    holder, made = _below(steps[:-1], holder)
    if extra and made:
        for key, constant in extra.items():
            holder.setdefault(key, constant)
    elif extra and isinstance(value, dict):
        value = {**extra, **value}
    if last.many:
        _add(holder, last.key, value)
    else:
        holder[last.key] = value


def _put_extension(
    steps: tuple[_Step, ...],
    url: str,
    key: str,
    holder: Elements,
    value: Any,
    extra: Mapping[str, Any] | None,  # noqa: ARG001 - an extension has no constants beside its value
) -> None:
    below, _ = _below(steps, holder)
    below.setdefault("extension", []).append({"url": url, key: value})


def _is_taken(steps: tuple[_Step, ...], holder: Elements) -> bool:
    for step in steps[:-1]:
        found = holder.get(step.key)
        if not found:
            return _has(step.keys, holder)
        if step.key == "extension":
            found = next((one for one in found if one["url"] == step.url), None)
            if found is None:
                return False
        elif step.many:
            if not step.first:
                return False
            found = found[0]
        holder = found
    return _has(steps[-1].keys, holder)
