"""A record: FHIR R4 resources of one patient and one data class, and its canonical bytes.

The bytes are a FHIR R4 `Bundle` of type *collection* (hl7.org/fhir/R4/bundle.html) as JSON in
UTF-8: properties sorted by code point, no white space, text unescaped wherever JSON allows it,
numbers exactly as they were written. (Not RFC 8785: it normalises 72.50 to 72.5, and the digits
of a result say how precise it is.)
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from json.encoder import encode_basestring
from typing import BinaryIO, NoReturn, Self, TypeAlias

from medibridge.errors import MalformedMessage
from medibridge.ids import DataClass

__all__ = ["Attachment", "Json", "JsonObject", "Number", "Record", "canonical_json", "parse_json", "place_of"]

Json: TypeAlias = "bool | int | Decimal | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]

MAX_DEPTH = 100
"""JSON deeper than this is refused; clinical resources stay below 30."""

_BASE = "https://medibridge.invalid/"
_DATA_CLASS_SYSTEM = _BASE + "data-class"
_ANONYMIZED = {"code": "ANONYED", "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"}

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
_ELEMENT = re.compile(r"_?[a-z][A-Za-z]{0,39}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")


class Number(Decimal):
    """A JSON number that remembers how it was written: ``72.50`` stays ``72.50``, ``1e2`` stays ``1e2``."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Read a JSON number of at most 64 characters (RFC 8259, section 6). Raises `MalformedMessage`."""
        if len(text) > 64 or not _NUMBER.fullmatch(text):
            raise MalformedMessage("a number is not JSON's, or longer than 64 characters; write it in plain decimals")
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


class _Repeats(dict[str, Json]):
    """An object of the input that names a property twice."""


def place_of(path: Iterable[str | int]) -> str:
    """A JSON path as people write it: ``entry[3].resource.code``.

    A property that cannot be the name of a FHIR element is shown as ``?``: it may be data.
    """
    steps = [f"[{step}]" if isinstance(step, int) else "." + _element_name(step) for step in path]
    return "".join(steps).lstrip(".") or "the document"


def _element_name(key: str) -> str:
    return key if _ELEMENT.fullmatch(key) else "?"


def parse_json(data: bytes) -> Json:
    """Read JSON (RFC 8259) in UTF-8 without losing a digit.

    Raises `MalformedMessage`, with the place but no value, for what is not JSON, is nested deeper
    than `MAX_DEPTH`, repeats a property, or holds half a surrogate pair.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise MalformedMessage(f"byte {problem.start} is not UTF-8; send the JSON in UTF-8") from None
    try:
        value: Json = json.loads(
            text, parse_float=Number, parse_int=Number, parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except RecursionError:
        raise MalformedMessage(f"the JSON is nested deeper than {MAX_DEPTH} levels; send flat resources") from None
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise MalformedMessage(f"the JSON breaks at {where}; it may be cut off, send it complete") from None
    _check_tree(value)
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise MalformedMessage("NaN or Infinity is not a JSON number; leave the value out")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Repeats(value)


def _check_tree(root: Json) -> None:
    pending: list[tuple[tuple[str | int, ...], Json]] = [((), root)]
    while pending:
        path, value = pending.pop()
        if len(path) > MAX_DEPTH:
            place = place_of(path[:3])
            raise MalformedMessage(f"{place} is nested deeper than {MAX_DEPTH} levels; send flat resources")
        if isinstance(value, _Repeats):
            raise MalformedMessage(f"{place_of(path)} names one property twice; keep one of the two")
        if isinstance(value, str):
            if _SURROGATE.search(value):
                raise MalformedMessage(f"{place_of(path)} holds half a surrogate pair; send the text in UTF-8")
        elif isinstance(value, Mapping):
            for key, child in value.items():
                if _SURROGATE.search(key):
                    raise MalformedMessage(f"{place_of(path)} has a property name that is not Unicode; correct it")
                pending.append(((*path, key), child))
        elif isinstance(value, Sequence):
            pending.extend(((*path, index), child) for index, child in enumerate(value))


def canonical_json(value: Json) -> bytes:
    """The one way to write a JSON value: sorted properties, no white space, numbers as they were written."""
    out: list[str] = []
    _write(value, out)
    return "".join(out).encode("utf-8")


def _write(value: Json, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(encode_basestring(value))
    elif value is None or isinstance(value, bool):
        out.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, (int, Decimal)):
        out.append(str(value))
    elif isinstance(value, Mapping):
        out.append("{")
        for position, key in enumerate(sorted(value)):
            out.append(("," if position else "") + encode_basestring(key) + ":")
            _write(value[key], out)
        out.append("}")
    elif isinstance(value, Sequence):
        out.append("[")
        for position, item in enumerate(value):
            out.append("," if position else "")
            _write(item, out)
        out.append("]")
    else:
        raise TypeError(f"{type(value).__name__} is not a JSON value; decimals are decimal.Decimal")


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """FHIR R4 resources of one patient and one data class.

    `resources` are JSON objects with `resourceType` and `id`, each pair once, among them at most
    one Patient: the patient, the resources of `data_class`, and what these refer to. References
    between them are relative (``Patient/…``). They must not be changed once they are in a record.
    Raises `MalformedMessage` where that does not hold.

    Two records are equal when their bytes are. No value shows in `repr`.
    """

    data_class: DataClass
    resources: tuple[JsonObject, ...]
    deidentified: bool = False

    def __post_init__(self) -> None:
        seen: set[tuple[Json, Json]] = set()
        for index, resource in enumerate(self.resources):
            place = f"entry[{index}].resource"
            kind, name = resource.get("resourceType"), resource.get("id")
            if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
                raise MalformedMessage(f"{place}.resourceType is not the name of a FHIR resource; name one")
            if not isinstance(name, str) or not _ID.fullmatch(name):
                raise MalformedMessage(f"{place}.id is not a FHIR id; use 1 to 64 letters, digits, '-' and '.'")
            if (kind, name) in seen:
                raise MalformedMessage(f"{place} has the type and id of an earlier resource; give it an id of its own")
            if kind == "Patient" and any(seen_kind == kind for seen_kind, _ in seen):
                raise MalformedMessage(f"{place} is a second Patient; make one record for each patient")
            seen.add((kind, name))
        if not self.resources:
            raise MalformedMessage("a record needs at least one resource; entry is empty")

    def to_bytes(self) -> bytes:
        """The canonical bytes. The same record gives the same bytes, always."""
        return canonical_json(self.to_bundle())

    def to_bundle(self) -> JsonObject:
        """The record as a FHIR R4 Bundle of type collection; the data class and the mark *anonymized* are in `meta`."""
        meta: dict[str, Json] = {"tag": [{"code": self.data_class.label, "system": _DATA_CLASS_SYSTEM}]}
        if self.deidentified:
            meta["security"] = [_ANONYMIZED]
        entries: list[Json] = [{"fullUrl": _full_url(resource), "resource": resource} for resource in self.resources]
        return {"resourceType": "Bundle", "type": "collection", "meta": meta, "entry": entries}

    @classmethod
    def from_bytes(cls, data: bytes) -> Record:
        """Read what `to_bytes` wrote, and only that. Raises `MalformedMessage` naming the JSON path.

        Bundles of others are read with `medibridge.formats.read`.
        """
        bundle = _require_object(parse_json(data), "the document")
        for name, expected in (("resourceType", "Bundle"), ("type", "collection")):
            if bundle.get(name) != expected:
                raise MalformedMessage(f"{name} is not {expected}; read bundles of others with medibridge.formats")
        entries = bundle.get("entry")
        if not isinstance(entries, list):
            raise MalformedMessage("entry is not a list of resources; the record is not one of MediBridge")
        resources = []
        for index, item in enumerate(entries):
            entry = _require_object(item, f"entry[{index}]")
            resources.append(_require_object(entry.get("resource"), f"entry[{index}].resource"))
        meta = _require_object(bundle.get("meta"), "meta")
        record = cls(_class_of(meta), tuple(resources), meta.get("security") == [_ANONYMIZED])
        if record.to_bytes() != data:
            raise MalformedMessage(
                "the document is not in canonical form; read others' bundles with medibridge.formats"
            )
        return record

    def __eq__(self, other: object) -> bool:
        return self.to_bytes() == other.to_bytes() if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        mark = ", de-identified" if self.deidentified else ""
        return f"<Record {self.data_class.label}, {len(self.resources)} resources{mark}>"


@dataclass(frozen=True)
class Attachment:
    """Bytes that belong to a record and are no FHIR: the pixel data of an image, say.

    `digest` is the SHA-256 of the content, by which a resource refers to it; `size` is in bytes; `open` gives the
    content from its beginning, as often as it is asked.
    """

    data_class: DataClass
    media_type: str
    size: int
    digest: bytes = field(repr=False)
    open: Callable[[], BinaryIO] = field(repr=False, compare=False)

    @property
    def uri(self) -> str:
        """What stands in `Attachment.url` of a resource: ``ni:///sha-256;…`` (RFC 6920, section 3)."""
        return "ni:///sha-256;" + base64.urlsafe_b64encode(self.digest).decode().rstrip("=")

    @classmethod
    def of(cls, data_class: DataClass, media_type: str, open_: Callable[[], BinaryIO]) -> Attachment:
        """Measure and hash the content, in memory that does not grow with it."""
        digest, size = hashlib.sha256(), 0
        with open_() as content:
            while block := content.read(1 << 20):
                digest.update(block)
                size += len(block)
        return cls(data_class, media_type, size, digest.digest(), open_)


def _full_url(resource: JsonObject) -> str:
    return f"{_BASE}{resource['resourceType']}/{resource['id']}"


def _require_object(value: Json, place: str) -> JsonObject:
    if not isinstance(value, Mapping):
        raise MalformedMessage(f"{place} is not a JSON object; the record is not one of MediBridge")
    return value


def _class_of(meta: JsonObject) -> DataClass:
    for data_class in DataClass:
        if meta.get("tag") == [{"code": data_class.label, "system": _DATA_CLASS_SYSTEM}]:
            return data_class
    raise MalformedMessage("meta.tag does not name a data class; the record is not one of MediBridge")
