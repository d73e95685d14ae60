"""The elements of a resource of another version, one value after the other, each with its type and place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Finding, Outcome
from medibridge.formats.fhir.definitions import Definitions, Element, Version
from medibridge.formats.fhir.mapping import VersionMap
from medibridge.record import Json, JsonObject, place_of

__all__ = ["Node", "Source", "is_list"]

_REFERENCE: Final = re.compile(r"(.*/|)([A-Z][A-Za-z]+)(/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?)")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of an element: what it is, its type, where it stands, and what is said beside it (``_name``)."""

    value: Json
    kind: str
    place: str
    beside: JsonObject | None = None

    @property
    def text(self) -> str:
        """A primitive as text, as FHIR writes it."""
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)


@dataclass(frozen=True)
class Source:
    """Reads resources of one version, and reports what is not as the version has it.

    In strict mode that raises `MalformedMessage`, naming the place.
    """

    version: Version
    findings: list[Finding]
    strict: bool = False

    @property
    def definitions(self) -> Definitions:
        """The tables of the version."""
        return Definitions.of(self.version)

    @property
    def map(self) -> VersionMap:
        """What changed from the version to R4."""
        return VersionMap.of(self.version)

    def say(self, place: str, outcome: Outcome, reason: str, to: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(place, outcome, reason, to))

    def unknown(self, place: str, kind: str) -> None:
        """Report an element that the version does not know."""
        reason = f"no element of {kind} in FHIR {self.version.value}"
        if self.strict:
            raise MalformedMessage(f"{place} is {reason}; leave it out")
        self.say(place, Outcome.UNKNOWN, reason)

    def elements(self, source: JsonObject, kind: str, place: str) -> Iterator[tuple[str, str, Element | None]]:
        """Name, place and definition of each element of an object; also of one that has only a ``_name``."""
        for name in source:
            if name == "fhir_comments":
                self.say(_below(place, name), Outcome.IGNORED, "a comment on the text of the file")
                continue
            plain = name.removeprefix("_")
            if name != "resourceType" and (plain == name or plain not in source):
                yield plain, _below(place, plain), self.definitions.element(kind, plain)

    def nodes(self, source: JsonObject, owner: str, name: str, element: Element, place: str) -> list[Node]:
        """The values of the element `name` of an object of the type `owner`, one by one, in a list or not."""
        value, beside = source.get(name), source.get(f"_{name}")
        values: Sequence[Json] = value if is_list(value) else [value]
        extras: Sequence[Json] = beside if is_list(beside) else [beside]
        found = []
        for index in range(max(len(values), len(extras))):
            one = values[index] if index < len(values) else None
            extra = extras[index] if index < len(extras) else None
            where = f"{place}[{index}]" if is_list(value) or is_list(beside) else place
            if (node := self._node(one, extra, element.kind, where)) is not None:
                found.append(self._renamed(node, owner, name))
            elif value is None and beside is None:
                self._invalid(where, "null")
        return [typed for node in found for typed in self._typed(node, owner)]

    def _node(self, value: Json, beside: Json, kind: str, place: str) -> Node | None:
        primitive = self.definitions.is_primitive(kind)
        if beside is not None and not (isinstance(beside, Mapping) and primitive):
            self._invalid(place, "not about a primitive, but its name begins with '_'")
            beside = None
        if value is not None and (isinstance(value, Mapping) is primitive or is_list(value)):
            self._invalid(place, "not an object" if "." in kind else f"not a {kind}")
            value = None
        if value is None and beside is None:
            return None
        return Node(value, kind, place, beside if isinstance(beside, Mapping) else None)

    def _renamed(self, node: Node, owner: str, name: str) -> Node:
        """A reference to a type that has another name in R4, with that."""
        if (owner, name) != ("Reference", "reference") or not isinstance(node.value, str):
            return node
        match = _REFERENCE.fullmatch(node.value)
        if match is None or match[2] not in self.definitions.resources:
            return node
        return Node(f"{match[1]}{self.map.type_of(match[2])}{match[3]}", node.kind, node.place, node.beside)

    def _typed(self, node: Node, owner: str) -> Iterable[Node]:
        """A CodeableReference (R5) is a CodeableConcept, a Reference, or both. A Coding of a system that has another
        URI in R4 gets that; in a CodeableConcept it stands also as it was.
        """
        if not isinstance(node.value, Mapping):
            return (node,)
        if node.kind == "CodeableReference":
            return list(_parts(node, node.value))
        system = node.value.get("system") if node.kind == "Coding" else None
        if not isinstance(system, str) or system not in self.map.systems:
            return (node,)
        self.say(f"{node.place}.system", Outcome.MAPPED, "the code system has another URI in R4", "Coding.system")
        renamed = Node({**node.value, "system": self.map.systems[system]}, "Coding", node.place)
        return (renamed, node) if owner == "CodeableConcept" else (renamed,)

    def _invalid(self, place: str, reason: str) -> None:
        if self.strict:
            raise MalformedMessage(f"{place} is {reason}; leave it out or correct it")
        self.say(place, Outcome.INVALID, reason)


def _parts(node: Node, value: JsonObject) -> Iterator[Node]:
    rest = {name: child for name, child in value.items() if name in ("id", "extension")}
    for name, kind in (("concept", "CodeableConcept"), ("reference", "Reference")):
        part = value.get(name)
        if isinstance(part, Mapping):
            yield Node({**rest, **part}, kind, f"{node.place}.{name}")
            rest = {}


def _below(place: str, name: str) -> str:
    return f"{place}.{place_of([name])}".removeprefix(".")


def is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    """Whether a JSON value is an array."""
    return isinstance(value, Sequence) and not isinstance(value, str)
