"""Whether a resource is valid FHIR R4, quickly: the same rules as `checking`, without saying what is wrong.

Nearly all resources are valid, and to find out must not cost more than to make them. Each type is compiled once into
nested functions. A doubt counts as a no: `checking.mend` has the last word (a test compares the two).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from medibridge.formats.r4.definitions import Element, elements_of, primitive_pattern, required_of, resource_types

__all__ = ["is_sound"]

_Check: TypeAlias = Callable[[Any, int], bool]

MAX_DEPTH: Final = 60
"""Objects within objects; clinical resources stay below 20."""

_NOT_BLANK: Final = re.compile(r"\S").search
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*").fullmatch
_RANGES: Final = {"integer": -(2**31), "unsignedInt": 0, "positiveInt": 1}


def is_sound(resource: Any) -> bool:
    """Whether a resource of plain dictionaries and lists is certainly valid."""
    return _resource(resource, 0)


def _resource(value: Any, depth: int) -> bool:
    kind = value.get("resourceType") if type(value) is dict else None
    return type(kind) is str and kind in resource_types() and _object_check(kind)(value, depth)


@functools.cache
def _object_check(kind: str) -> _Check:
    """A check of objects of a complex type."""
    members = {name: _member(element) for name, element in (elements_of(kind) or {}).items()}
    extensions = {f"_{name}" for name, (_, many, _, primitive) in members.items() if primitive and not many}
    required = tuple(names | {f"_{name}" for name in names} & extensions for names in required_of(kind))
    always = frozenset(name for names in required if len(names) == 1 for name in names)
    one_of = tuple(names for names in required if len(names) > 1)
    is_resource = kind in resource_types()

    def check(value: Any, depth: int) -> bool:
        if type(value) is not dict or len(value) <= is_resource or depth > MAX_DEPTH:
            return False
        chosen: str = ""
        for key, child in value.items():
            found = members.get(key)
            if found is None:
                if key == "resourceType" and is_resource:
                    continue
                if key in extensions and _object_check("Element")(child, depth + 1):
                    continue
                return False
            one, many, choice, _ = found
            if choice:
                if chosen == choice:
                    return False
                chosen = choice
            if not many:
                if not one(child, depth + 1):
                    return False
            elif type(child) is not list or not child or not _all(one, child, depth + 2):
                return False
        return always <= value.keys() and not any(names.isdisjoint(value) for names in one_of)

    return check


def _all(check: _Check, values: list[Any], depth: int) -> bool:
    for value in values:  # noqa: SIM110 - a generator takes twice the time
        if not check(value, depth):
            return False
    return True


def _member(element: Element) -> tuple[_Check, bool, str, bool]:
    """A check of one value, whether there may be many, the choice it is one of, and whether it is a primitive."""
    pattern = primitive_pattern(element.kind)
    if element.kind == "Resource":
        return _resource, element.many, element.choice, False
    if pattern is None:
        return _complex(element), element.many, element.choice, False
    return _primitive(element, pattern), element.many, element.choice, True


def _complex(element: Element) -> _Check:
    kind, codes = element.kind, element.codes
    if codes is None:
        return _later(kind)

    check = _later(kind)

    def bound(value: Any, depth: int) -> bool:
        if not check(value, depth):
            return False
        codings = value.get("coding", ()) if kind == "CodeableConcept" else (value,)
        return any(coding.get("code") in codes.get(coding.get("system"), ()) for coding in codings)

    return bound


def _later(kind: str) -> _Check:
    """The check of a type, compiled when it is first needed: types hold themselves."""
    compiled: _Check | None = None

    def check(value: Any, depth: int) -> bool:
        nonlocal compiled
        if compiled is None:
            compiled = _object_check(kind)
        return compiled(value, depth)

    return check


def _primitive(element: Element, pattern: re.Pattern[str]) -> _Check:
    kind, codes, matches = element.kind, element.any_code, pattern.fullmatch
    if kind == "boolean":
        return lambda value, _: value is True or value is False
    if kind == "decimal":
        return lambda value, _: isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    if kind in _RANGES:
        low = _RANGES[kind]
        return lambda value, _: (
            isinstance(value, (int, Decimal))
            and not isinstance(value, bool)
            and low <= value < 2**31
            and value % 1 == 0
        )
    if element.codes is not None:
        return lambda value, _: type(value) is str and value in codes
    if kind == "base64Binary":
        return lambda value, _: type(value) is str and _BASE64(value) is not None
    if kind in ("string", "markdown", "xhtml"):
        return lambda value, _: type(value) is str and _NOT_BLANK(value) is not None
    if kind in ("date", "dateTime", "instant"):  # the last days of a month are looked up by `checking`
        return lambda value, _: type(value) is str and matches(value) is not None and value[8:10] <= "28"
    return lambda value, _: type(value) is str and value != "" and matches(value) is not None
