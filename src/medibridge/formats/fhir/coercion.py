"""A value of one FHIR type as a value of another: a code as a CodeableConcept, a Reference as a canonical."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from medibridge.record import Json, JsonObject, Number

__all__ = ["Coerced", "can_coerce", "coerce"]


@dataclass(frozen=True, slots=True)
class Coerced:
    """The value in its new type; `whole` is false where a part of it found no place there."""

    value: Json
    whole: bool = True


_TEXTS: Final = frozenset("string markdown uri url canonical code id oid uuid xhtml".split())  # noqa: SIM905
_NUMBERS: Final = frozenset({"integer", "positiveInt", "unsignedInt", "decimal", "integer64"})
_TIMES: Final = frozenset({"date", "dateTime", "instant"})
_QUANTITIES: Final = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity"})
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_FULL_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,}(Z|[+-][0-9]{2}:[0-9]{2})")
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_OID: Final = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+")
_URI_SYSTEM: Final = "urn:ietf:rfc:3986"


def can_coerce(kind: str, to: str) -> bool:
    """Whether values of `kind` can become values of `to`; a single value may still not fit."""
    if kind == to or (kind in _QUANTITIES and to in _QUANTITIES):
        return True
    if any(kind in family and to in family for family in (_TEXTS, _NUMBERS, _TIMES)):
        return True
    return (kind, to) in _MADE or _general(kind) + to in _GENERAL


def coerce(value: Json, kind: str, to: str, system: str = "") -> Coerced | None:
    """`value` of the type `kind` as one of the type `to`; None where it does not fit.

    `system` is the code system of a code that becomes a Coding. Objects of one type, or of types with the same
    elements, stay as they are.
    """
    if kind == to or (kind in _QUANTITIES and to in _QUANTITIES):
        return Coerced(value)
    if kind in _TEXTS and to in _TEXTS:
        return _text(value, to)
    if kind in _NUMBERS and to in _NUMBERS:
        return _number(value, to)
    if kind in _TIMES and to in _TIMES:
        return _time(value, to)
    if (kind == "code" or (system and kind in _TEXTS)) and to in ("CodeableConcept", "Coding"):
        coding: JsonObject = {"system": system, "code": value} if system else {"code": value}
        return Coerced({"coding": [coding]} if to == "CodeableConcept" else coding)
    make = _MADE.get((kind, to)) or _GENERAL.get(_general(kind) + to)
    return make(value) if make else None


def _general(kind: str) -> str:
    return "text>" if kind in _TEXTS else "quantity>" if kind in _QUANTITIES else "-"


def _text(value: Json, to: str) -> Coerced | None:
    if to == "id" and isinstance(value, str):
        value = value.removeprefix("urn:oid:")
        return Coerced(value) if _ID.fullmatch(value) else None
    if to == "oid" and not (isinstance(value, str) and _OID.fullmatch(value)):
        return None
    return Coerced(value)


def _number(value: Json, to: str) -> Coerced | None:
    text = str(value)
    if to == "decimal":
        return Coerced(Number(text)) if _INTEGER.fullmatch(text) else None
    if not _INTEGER.fullmatch(text) or not -(2**31) <= int(text) < 2**31:
        return None
    if int(text) < {"positiveInt": 1, "unsignedInt": 0}.get(to, -(2**31)):
        return None
    return Coerced(Number(text))


def _time(value: Json, to: str) -> Coerced | None:
    if not isinstance(value, str):
        return None
    if to == "date":
        return Coerced(value[:10], whole=len(value) <= 10)
    if to == "instant" and not _FULL_TIME.fullmatch(value):
        return None
    return Coerced(value)


def _boolean(value: Json) -> Coerced | None:
    return Coerced(value == "true") if value in ("true", "false") else None


def _plain(value: Json) -> Coerced:
    return Coerced(str(value))


def _member(value: Json, name: str) -> Json:
    return value.get(name) if isinstance(value, Mapping) else None


def _part(name: str, *silent: str) -> Callable[[Json], Coerced | None]:
    """One element of an object stands for it; `silent` are those that say nothing more."""

    def take(value: Json) -> Coerced | None:
        part = _member(value, name)
        if part is None or not isinstance(value, Mapping):
            return None
        return Coerced(part, whole=value.keys() <= {name, *silent})

    return take


def _wrapped(*path: str) -> Callable[[Json], Coerced | None]:
    def wrap(value: Json) -> Coerced | None:
        for name in reversed(path):
            value = [value] if name == "*" else {name: value}
        return Coerced(value)

    return wrap


def _first_coding(value: Json) -> Coerced | None:
    codings = _member(value, "coding")
    if not isinstance(codings, Sequence) or isinstance(codings, str) or not codings or not isinstance(value, Mapping):
        return None
    return Coerced(codings[0], whole=len(codings) == 1 and value.keys() == {"coding"})


def _code_of_concept(value: Json) -> Coerced | None:
    coding = _first_coding(value)
    code = _member(coding.value, "code") if coding else None
    if coding is None or code is None or not isinstance(coding.value, Mapping):
        return None
    return Coerced(code, whole=coding.whole and coding.value.keys() <= {"system", "code", "display"})


def _uri_identifier(value: Json) -> Coerced:
    text = str(value)
    return Coerced({"system": _URI_SYSTEM, "value": text} if ":" in text else {"value": text})


def _money(value: Json) -> Coerced | None:
    if not isinstance(value, Mapping) or "value" not in value:
        return None
    money = {"value": value["value"]} | ({"currency": value["code"]} if "code" in value else {})
    return Coerced(money, whole=value.keys() <= {"value", "code", "system", "unit"})


_MADE: Final[Mapping[tuple[str, str], Callable[[Json], Coerced | None]]] = {
    ("code", "CodeableConcept"): _wrapped("coding", "*", "code"),
    ("code", "Coding"): _wrapped("code"),
    ("Coding", "CodeableConcept"): _wrapped("coding", "*"),
    ("CodeableConcept", "Coding"): _first_coding,
    ("CodeableConcept", "code"): _code_of_concept,
    ("CodeableConcept", "string"): _part("text"),
    ("Coding", "code"): _part("code", "system", "display"),
    ("Coding", "uri"): _part("code", "display"),
    ("string", "CodeableConcept"): _wrapped("text"),
    ("markdown", "CodeableConcept"): _wrapped("text"),
    ("Annotation", "string"): _part("text"),
    ("Annotation", "markdown"): _part("text"),
    ("Reference", "canonical"): _part("reference", "display", "type"),
    ("Reference", "uri"): _part("reference", "display", "type"),
    ("Reference", "Identifier"): _part("identifier", "type"),
    ("Identifier", "Reference"): _wrapped("identifier"),
    ("Identifier", "string"): _part("value", "system"),
    ("Identifier", "id"): _part("value", "system"),
    ("Reference", "string"): _part("display"),
    ("code", "boolean"): _boolean,
    ("positiveInt", "string"): _plain,
    ("integer", "string"): _plain,
    ("Identifier", "CodeableConcept"): _part("type"),
    ("CodeableReference", "Reference"): _part("reference"),
    ("CodeableReference", "CodeableConcept"): _part("concept"),
    ("uri", "Reference"): _wrapped("reference"),
    ("canonical", "Reference"): _wrapped("reference"),
    ("oid", "Coding"): _wrapped("code"),
    ("uri", "CodeableConcept"): _wrapped("coding", "*", "code"),
    ("string", "Reference"): _wrapped("display"),
    ("string", "Identifier"): _wrapped("value"),
    ("id", "Identifier"): _wrapped("value"),
    ("dateTime", "Period"): _wrapped("start"),
    ("date", "Period"): _wrapped("start"),
    ("Period", "dateTime"): _part("start"),
    ("Period", "date"): _part("start"),
    ("dateTime", "Timing"): _wrapped("event", "*"),
    ("decimal", "Quantity"): _wrapped("value"),
    ("integer", "Quantity"): _wrapped("value"),
    ("Quantity", "decimal"): _part("value"),
    ("Quantity", "Money"): _money,
    ("Quantity", "Ratio"): _wrapped("numerator"),
    ("Expression", "string"): _part("expression", "language"),
    ("Attachment", "uri"): _part("url", "title", "contentType"),
    ("uri", "Attachment"): _wrapped("url"),
    ("ContactPoint", "string"): _part("value", "system"),
    ("HumanName", "string"): _part("text"),
}
_GENERAL: Final[Mapping[str, Callable[[Json], Coerced | None]]] = {
    "text>Annotation": _wrapped("text"),
    "text>HumanName": _wrapped("text"),
    "text>Identifier": _uri_identifier,
}
