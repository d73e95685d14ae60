"""A check of a resource against the structure of FHIR R4, which leaves out what is wrong and says where it was.

Checked are the names, types and number of elements, the syntax of primitive values, dates against the calendar, and
required bindings (hl7.org/fhir/R4: datatypes, json, terminologies). Invariants in FHIRPath are not.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from medibridge.formats.r4.definitions import (
    Element,
    elements_of,
    primitive_pattern,
    required_of,
    resource_types,
)
from medibridge.formats.r4.soundness import MAX_DEPTH, is_sound
from medibridge.record import Json, JsonObject, place_of

__all__ = ["RESOURCE_TYPES", "Problem", "mend"]

RESOURCE_TYPES: Final = resource_types()

_NOT_BLANK: Final = re.compile(r"\S")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_DAY: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_INTEGERS: Final[Mapping[str, tuple[int, int]]] = {
    "integer": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
}

_Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """What was left out, by its place in the resource, and why. Never the value itself."""

    place: str
    reason: str

    @property
    def is_unbound(self) -> bool:
        """Whether it is a code outside a required value set (R4, terminologies, required bindings)."""
        return self.reason in (_UNBOUND_CODE, _UNBOUND_CONCEPT)


_UNBOUND_CODE: Final = "a code outside the required value set"
_UNBOUND_CONCEPT: Final = "no code of the required value set"


def mend(resource: JsonObject) -> tuple[JsonObject | None, tuple[Problem, ...]]:
    """The resource without what R4 does not allow, and what that was; None where nothing valid remains.

    A valid resource is given back as it is. An element that lacks what it must have is left out whole, up to the
    resource itself.
    """
    if is_sound(resource):
        return resource, ()
    problems: list[Problem] = []
    mended = _resource(resource, (), problems)
    return (resource if mended is not None and not problems else mended), tuple(problems)


def _tell(problems: list[Problem], path: _Path, reason: str) -> None:
    problems.append(Problem(place_of(path), reason))


def _resource(value: Json, path: _Path, problems: list[Problem]) -> JsonObject | None:
    kind = value.get("resourceType") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(kind, str) or kind not in RESOURCE_TYPES:
        _tell(problems, path, "not a resource of FHIR R4")
        return None
    return _object(value, kind, path, problems)


def _object(value: JsonObject, kind: str, path: _Path, problems: list[Problem]) -> JsonObject | None:
    """An object of a complex type; None where nothing of it remains, or it lacks what it must have."""
    elements = elements_of(kind)
    if elements is None or len(path) > MAX_DEPTH:
        _tell(problems, path, "of no type of FHIR R4" if elements is None else "nested too deep")
        return None
    kept: dict[str, Json] = {}
    choices: dict[str, str] = {}
    for key, child in value.items():
        if key == "resourceType" and kind in RESOURCE_TYPES:
            kept[key] = child
            continue
        name = key.removeprefix("_")
        element = elements.get(name)
        if element is None or (name != key and primitive_pattern(element.kind) is None):
            _tell(problems, (*path, key), f"{kind} has no such element in R4")
            continue
        if element.choice and choices.setdefault(element.choice, name) != name:
            _tell(problems, (*path, key), f"{element.choice} is there already")
            continue
        found = _member(child, element, (*path, key), problems, extension=name != key)
        if found is not None:
            kept[key] = found
    for names in required_of(kind):
        if not any(name in kept or "_" + name in kept for name in names):
            _tell(problems, path, f"{kind} needs {' or '.join(sorted(names)[:3])}")
            return None
    _pair_up(kept)
    if not kept or (len(kept) == 1 and "resourceType" in kept):
        _tell(problems, path, "empty")
        return None
    return kept


def _pair_up(kept: dict[str, Json]) -> None:
    """Values and extensions of a repeating primitive stand in two lists of one length (R4, JSON, primitive types)."""
    for key in [name for name in kept if name.startswith("_")]:
        values, extensions = kept.get(key[1:]), kept[key]
        if isinstance(values, list) and isinstance(extensions, list) and len(values) != len(extensions):
            length = max(len(values), len(extensions))
            kept[key[1:]] = values + [None] * (length - len(values))
            kept[key] = extensions + [None] * (length - len(extensions))


def _member(value: Json, element: Element, path: _Path, problems: list[Problem], *, extension: bool) -> Json:
    """The value of an element, one or many; None where nothing of it remains."""
    if not element.many:
        if isinstance(value, Sequence) and not isinstance(value, str):
            if len(value) != 1:
                _tell(problems, path, "only one is allowed here")
                return None
            _tell(problems, path, "a list where one is allowed; its one member is kept")
            return _one(value[0], element, path, problems, extension=extension)
        return _one(value, element, path, problems, extension=extension)
    if not isinstance(value, Sequence) or isinstance(value, str):
        _tell(problems, path, "not a list; kept as a list of one")
        value = [value]
    paired = primitive_pattern(element.kind) is not None
    kept: list[Json] = []
    for index, item in enumerate(value):
        if item is None and paired:
            kept.append(None)
            continue
        found = _one(item, element, (*path, index), problems, extension=extension)
        if found is not None or paired:
            kept.append(found)
    if all(item is None for item in kept):
        if not value:
            _tell(problems, path, "empty")
        return None
    return kept


def _one(value: Json, element: Element, path: _Path, problems: list[Problem], *, extension: bool) -> Json:
    if extension:
        return _complex(value, "Element", path, problems)
    if element.kind == "Resource":
        return _resource(value, path, problems)
    pattern = primitive_pattern(element.kind)
    if pattern is None:
        found = _complex(value, element.kind, path, problems)
        return _bound(found, element, path, problems) if found is not None and element.codes else found
    problem = _primitive_problem(value, element.kind, pattern)
    if not problem and element.codes is not None and value not in element.any_code:
        problem = _UNBOUND_CODE
    if problem:
        _tell(problems, path, problem)
        return None
    return value


def _complex(value: Json, kind: str, path: _Path, problems: list[Problem]) -> JsonObject | None:
    if not isinstance(value, Mapping):
        _tell(problems, path, f"not a {kind.rpartition('.')[2]}, which is an object")
        return None
    return _object(value, kind, path, problems)


def _bound(value: JsonObject, element: Element, path: _Path, problems: list[Problem]) -> JsonObject | None:
    """A Coding, or a CodeableConcept of which one Coding must be, of the required value set."""
    codings = value.get("coding") if element.kind == "CodeableConcept" else [value]
    for coding in codings if isinstance(codings, Sequence) and not isinstance(codings, str) else ():
        if isinstance(coding, Mapping) and element.codes is not None:
            system, code = coding.get("system"), coding.get("code")
            if isinstance(system, str) and code in element.codes.get(system, ()):
                return value
    _tell(problems, path, _UNBOUND_CONCEPT)
    return None


def _primitive_problem(value: Json, kind: str, pattern: re.Pattern[str]) -> str:
    """Why a value is not of a primitive type; empty where it is."""
    if kind == "boolean":
        return "" if isinstance(value, bool) else "not true or false"
    if kind in _INTEGERS or kind == "decimal":
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            return "not a number"
        if kind == "decimal":
            return ""
        low, high = _INTEGERS[kind]
        return "" if low <= value <= high and value == int(value) else f"not a {kind}"
    if not isinstance(value, str):
        return "not a text"
    if kind == "base64Binary":  # HL7's expression backtracks
        return "" if _BASE64.fullmatch(value) else "not base64"
    if kind in ("string", "markdown", "xhtml"):
        return "" if _NOT_BLANK.search(value) else "an empty text"
    if not pattern.fullmatch(value):
        return f"not a {kind} of FHIR"
    if kind in ("date", "dateTime", "instant"):
        return _calendar_problem(value)
    return "" if value else "an empty text"


def _calendar_problem(value: str) -> str:
    match = _DAY.match(value)
    if match:
        try:
            datetime.date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError:
            return "a day that is not in the calendar"
    return ""
