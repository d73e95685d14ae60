"""FHIR XML (hl7.org/fhir/R4/xml.html) as FHIR JSON (hl7.org/fhir/R4/json.html), for any version.

The definitions of the versions say what repeats and which values are numbers or booleans in JSON. Nothing outside the
document is read: entities, document types and the network are refused or off.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from medibridge.errors import MalformedMessage, UnknownFormat
from medibridge.formats.conversion import Finding, Outcome
from medibridge.formats.fhir.definitions import Definitions, Element, Version
from medibridge.record import MAX_DEPTH, Json, JsonObject, Number

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["is_fhir", "to_json"]

_FHIR: Final = "http://hl7.org/fhir"
_XHTML: Final = "http://www.w3.org/1999/xhtml"
_ROOT: Final = re.compile(rb"<(?![?!])[^<>]*[\"']http://hl7\.org/fhir[\"']")
_ENCODING: Final = re.compile(rb"<\?xml[^>]*?encoding=[\"']([A-Za-z0-9._-]+)[\"']")
_ENCODINGS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "windows-1252"})
_MAX_TAGS: Final = 2_000_000
_MAX_ATTRIBUTES: Final = 100
"""Of one element; lxml looks for each of them from the first on."""
_NUMBERS: Final = frozenset({"integer", "positiveInt", "unsignedInt", "decimal"})


def is_fhir(start: bytes) -> bool:
    """Whether the first element of an XML document names the namespace of FHIR."""
    return _ROOT.search(start) is not None


def to_json(data: bytes) -> tuple[JsonObject, list[Finding]]:
    """A resource in XML as JSON, and what in the XML has no place there.

    Numbers keep their digits; a narrative is kept as text. The document is read by the version that it fits best.
    Raises `MalformedMessage`, naming the line and no value, for what is not well-formed, has a document type, or is
    nested deeper than `MAX_DEPTH`; `UnknownFormat` for XML that is not FHIR.
    """
    root = _parsed(_in_utf8(data))
    if _namespace(root) != _FHIR:
        raise UnknownFormat("the root element is not in the namespace http://hl7.org/fhir, so it is not FHIR")
    best = _Reading(Definitions.of(Version.R4))
    resource = best.resource(root)
    for version in (Version.STU3, Version.R5, Version.DSTU2) if best.findings else ():
        reading = _Reading(Definitions.of(version))
        read = reading.resource(root)
        if len(reading.findings) < len(best.findings):
            best, resource = reading, read
    return resource, best.findings


def _in_utf8(data: bytes) -> bytes:
    """The document in UTF-8, whatever it declares; so that nothing hides in an encoding."""
    declared = _ENCODING.match(data)
    encoding = declared[1].decode("ascii").lower() if declared else "utf-8"
    if encoding not in _ENCODINGS:
        raise MalformedMessage("the XML is in an encoding that is not read; save it in UTF-8")
    try:
        data = data.decode(encoding).encode("utf-8")
    except UnicodeError:
        raise MalformedMessage(f"the XML is not in {encoding}, as it says; save it in UTF-8") from None
    if data.count(b"<") > _MAX_TAGS or data.count(b"=") > _MAX_TAGS:
        raise MalformedMessage(f"the XML has more than {_MAX_TAGS} tags or attributes; send its resources one by one")
    if b"<!doctype" in data.lower():
        raise MalformedMessage("the XML has a document type; leave it out, FHIR needs none")
    return data


def _parsed(data: bytes) -> etree._Element:
    from lxml import etree  # noqa: PLC0415 - only for XML

    depth = 0
    events = etree.iterparse(
        io.BytesIO(data), events=("start", "end"), encoding="utf-8", resolve_entities=False, no_network=True,
        load_dtd=False, remove_comments=True, remove_pis=True, huge_tree=True,
    )  # fmt: skip
    try:
        for event, element in events:
            depth += 1 if event == "start" else -1
            if event == "start" and len(element.attrib) > _MAX_ATTRIBUTES:
                where = f"line {element.sourceline}"
                raise MalformedMessage(f"{where} has an element of over {_MAX_ATTRIBUTES} attributes; FHIR has two")
            if depth > MAX_DEPTH:
                where = f"line {element.sourceline}"
                raise MalformedMessage(f"{where} is nested deeper than {MAX_DEPTH} levels; send flat resources")
    except etree.XMLSyntaxError as problem:
        where = f"line {problem.lineno}" if problem.lineno else "its beginning"
        raise MalformedMessage(f"the XML breaks at {where}; it may be cut off, send it complete") from None
    root = events.root
    if root is None:
        raise MalformedMessage("the XML has no element; it may be cut off, send it complete")
    return root


@dataclass
class _Reading:
    """Reads the elements of one version, and counts what it does not know."""

    definitions: Definitions
    findings: list[Finding] = field(default_factory=list)

    def resource(self, element: etree._Element) -> dict[str, Json]:
        kind = _name(element)
        if kind not in self.definitions.resources:
            self._say(element, Outcome.UNKNOWN, f"no resource type of {self.definitions.version.value}")
        return {"resourceType": kind, **self._object(element, kind)}

    def _object(self, element: etree._Element, kind: str) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for name, value in element.attrib.items():
            if name in ("id", "url") and self.definitions.element(kind, str(name)):
                found[str(name)] = str(value)
            elif not str(name).startswith("{"):
                self._say(element, Outcome.INVALID, f"{kind} takes no attribute of that name")
        if (element.text or "").strip():
            self._say(element, Outcome.INVALID, "a text between the tags")
        for name, children in _grouped(element):
            self._add(found, kind, name, children)
        return found

    def _add(self, found: dict[str, Json], kind: str, name: str, children: list[etree._Element]) -> None:
        spec = self.definitions.element(kind, name)
        if spec is None:
            self._say(children[0], Outcome.UNKNOWN, f"no element of {kind} in {self.definitions.version.value}")
            spec = Element("string" if "value" in children[0].attrib else "Element", many=len(children) > 1)
        if len(children) > 1 and not spec.many:
            self._say(children[1], Outcome.INVALID, f"{kind}.{name} stands once only")
        values = [self._value(child, spec) for child in children]
        extras = [self._beside(child) if self._is_primitive(spec) else None for child in children]
        single = len(values) == 1 and not spec.many
        if any(value is not None for value in values):
            found[name] = values[0] if single else values
        if any(extra is not None for extra in extras):
            found[f"_{name}"] = extras[0] if single else extras

    def _is_primitive(self, spec: Element) -> bool:
        return self.definitions.is_primitive(spec.kind)

    def _value(self, element: etree._Element, spec: Element) -> Json:
        if spec.kind == "xhtml" or _namespace(element) == _XHTML:
            return _markup(element)
        if spec.kind == "Resource":
            inner = [child for child in element if _namespace(child) == _FHIR]
            if len(inner) != 1:
                self._say(element, Outcome.INVALID, "it does not hold exactly one resource")
            return self.resource(inner[0]) if inner else None
        if not self._is_primitive(spec):
            return self._object(element, spec.kind)
        value = element.get("value")
        if (element.text or "").strip():
            self._say(element, Outcome.INVALID, "a text between the tags, where an attribute 'value' belongs")
        return None if value is None else _typed(str(value), spec.kind)

    def _beside(self, element: etree._Element) -> JsonObject | None:
        """What is said of a primitive besides its value: an id, extensions."""
        found: dict[str, Json] = {}
        if (own := element.get("id")) is not None:
            found["id"] = str(own)
        if _namespace(element) == _XHTML:
            return None
        for name, children in _grouped(element):
            self._add(found, "Element", name, children)
        return found or None

    def _say(self, element: etree._Element, outcome: Outcome, reason: str) -> None:
        self.findings.append(Finding(f"line {element.sourceline}", outcome, reason))


def _grouped(element: etree._Element) -> Iterator[tuple[str, list[etree._Element]]]:
    found: dict[str, list[etree._Element]] = {}
    for child in element:
        found.setdefault(_name(child), []).append(child)
    yield from found.items()


def _typed(text: str, kind: str) -> Json:
    text = text if kind in ("string", "markdown") else text.strip()
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind in _NUMBERS:
        try:
            return Number(text)
        except MalformedMessage:
            return text
    return text


def _markup(element: etree._Element) -> str:
    from lxml import etree  # noqa: PLC0415

    alone = copy.deepcopy(element)
    alone.tail = None
    etree.cleanup_namespaces(alone)
    return str(etree.tostring(alone, encoding="unicode"))


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _namespace(element: etree._Element) -> str:
    return str(element.tag).partition("}")[0].removeprefix("{")
