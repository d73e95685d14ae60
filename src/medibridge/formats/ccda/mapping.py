"""Applies the maps: each element of the document that one is for becomes a resource, once."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from medibridge.formats.ccda.concepts import ABSENT_REASON, Concepts
from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.draft import Draft
from medibridge.formats.ccda.ledger import Drafted, DraftedObject, Ledger, Taken
from medibridge.formats.ccda.maps import Map, Maps, Rule, Source, Table
from medibridge.formats.ccda.people import People
from medibridge.formats.ccda.quantities import Quantities
from medibridge.formats.ccda.times import Clock
from medibridge.formats.conversion import Outcome
from medibridge.record import JsonObject

__all__ = ["STATEMENTS", "Datatypes", "Mapper", "Typed", "section_of"]

STATEMENTS: Final = frozenset(
    {"act", "observation", "procedure", "substanceAdministration", "supply", "encounter", "organizer",
     "observationMedia", "regionOfInterest"}
)  # fmt: skip
"""Clinical statements (CDA R2, 4.3.6)."""

_SUBJECTS: Final = {
    **dict.fromkeys(("AllergyIntolerance", "Immunization", "FamilyMemberHistory", "Device", "RelatedPerson",
                     "ImmunizationRecommendation"), "patient"),
    **dict.fromkeys(("Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "Medication",
                     "Provenance"), ""),
    "Consent": "patient", "Coverage": "beneficiary",
}  # fmt: skip
"""The element that says whom a resource is about, where it is not `subject`."""

_PARTICIPATIONS: Final = {"author": "author", "performer": "performer", "informant": "informant"}
"""Participations of a statement, and their codes as agents of a Provenance."""

_SAYING: Final = frozenset({"value", "extension", "root", "code", ""})

_ENTRY_REFERENCE: Final = "2.16.840.1.113883.10.20.22.4.122"


@dataclass(frozen=True)
class Typed:
    """A value of an element with a choice of types, and the name of its type."""

    kind: str
    value: Drafted


@dataclass(frozen=True)
class Datatypes:
    """What the maps name after ``as``: by name alone, and with a word that makes it more exact."""

    plain: Mapping[str, Callable[[Mapper, Node], Drafted | Typed]]
    qualified: Mapping[str, Callable[[Mapper, Node, str], Drafted | Typed]]


@dataclass(frozen=True)
class Mapper:
    """Makes resources of nodes. One for each document."""

    maps: Maps
    ledger: Ledger
    draft: Draft
    clock: Clock
    concepts: Concepts
    quantities: Quantities
    people: People
    datatypes: Datatypes
    by_id: Mapping[tuple[str, str], Node]
    """Statements by root and extension of their ids, for entries that only refer to them."""
    _made: dict[tuple[str, int], JsonObject | None]
    _claimed: set[int]
    subject: dict[str, JsonObject]
    """Under ``Patient``: the reference to the patient, once it is made."""
    root: Node

    # --- statements -------------------------------------------------------------------------------------------------

    def statement(self, node: Node, owner: JsonObject | None = None) -> list[JsonObject]:
        """A clinical statement, and those in it that are no part of its resource. Answers references to them.

        `owner` is the resource that the statement around it became.
        """
        if id(node) in self._claimed and ("", id(node)) not in self._made:
            self._participations(node, [owner] if owner else [])
            return list(self._nested(node, owner))
        found = self.refer(node)
        nested = list(self._nested(node, found or owner))
        self._participations(node, [found] if found else nested)
        return [found, *nested] if found else nested

    def _nested(self, node: Node, owner: JsonObject | None) -> Iterator[JsonObject]:
        """Statements right below a node; comments last, as what they are about may take them."""
        below = [other for link in node.children for other in link.children if other.name in STATEMENTS]
        below += [other for other in node.children if other.name in STATEMENTS]
        for other in sorted(below, key=lambda other: other.name == "act"):
            yield from self.statement(other, owner)

    def refer(self, node: Node) -> JsonObject | None:
        """A reference to the resource of a statement, which is made where it was not yet."""
        if self._is_reference(node):
            return self._referred(node)
        key = ("", id(node))
        if key not in self._made:
            self._made[key] = None
            self._claimed.add(id(node))
            found = self.maps.map_for(node, section_of(node))
            self._made[key] = self.make(found, node) if found and found.resource else None
        return self._made[key]

    @staticmethod
    def _is_reference(node: Node) -> bool:
        if node.name != "act":
            return False
        code = node.child("code")
        return any(template["root"] == _ENTRY_REFERENCE for template in node.named("templateId")) or (
            code is not None and code["nullFlavor"] == "NP"
        )

    def _referred(self, node: Node) -> JsonObject | None:
        self._claimed.add(id(node))
        self._made[("", id(node))] = None
        for name in node.named("id"):
            target = self.by_id.get((name["root"], name["extension"]))
            if target is not None and target is not node:
                self.ledger.settle_below(node, Outcome.USED, "refers to another entry of the document")
                return self.refer(target)
        return None

    def _participations(self, node: Node, targets: list[JsonObject]) -> None:
        """Who took part in a statement, where its resource has no place for them or their time: Provenance."""
        for part in node.children:
            if part.name not in _PARTICIPATIONS or not targets:
                continue
            if not any(
                not self.ledger.is_settled(leaf)
                for below in part.walk()
                for leaf in below.leaves()
                if leaf.attribute in _SAYING
            ):
                continue
            self.make_provenance(part, targets)

    def make_provenance(self, part: Node, targets: list[JsonObject]) -> None:
        """The Provenance of resources by one participation."""
        who = self.datatypes.plain["agent"](self, part)
        if not who or isinstance(who, Typed):
            return
        time = part.child("time")
        when = self.clock.moment(time) if time is not None else None
        exact = self.clock.instant(time) if time is not None else None
        stated = self.root.child("effectiveTime")
        recorded = exact or (self.clock.instant(stated) if stated is not None else None)
        system = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
        role: DraftedObject = {"coding": [{"system": system, "code": _PARTICIPATIONS[part.name]}]}
        found: dict[str, Drafted] = {
            "resourceType": "Provenance",
            "target": list(targets),
            "agent": [{"type": role, "who": who}],
        }
        if when:
            found[f"occurred{when[0]}"] = when[1]
        if recorded:
            found["recorded"] = recorded
        else:
            found["_recorded"] = {"extension": [{"url": ABSENT_REASON, "valueCode": "unknown"}]}
        self.draft.add(found, part, None)

    # --- resources --------------------------------------------------------------------------------------------------

    def make_named(self, name: str, node: Node) -> JsonObject | None:
        """A reference to the resource that the map of that name makes of a node."""
        return self.once(name, node, lambda: self.make(self.maps.by_name[name], node))

    def once(self, name: str, node: Node, make: Callable[[], JsonObject | None]) -> JsonObject | None:
        """What `make` gives for a node, made once; None while it is being made."""
        key = (name, id(node))
        if key not in self._made:
            self._made[key] = None
            self._made[key] = make()
        return self._made[key]

    def make(self, map_: Map, node: Node) -> JsonObject | None:
        """A reference to the resource that a map makes of a node; None where what it requires is not there.

        The text of a statement becomes the narrative of the resource.
        """
        elements = self.elements(map_.rules, node, map_.resource)
        if not elements or not all(_has(elements, name) for name in map_.requires):
            return None
        resource: dict[str, Drafted] = {"resourceType": map_.resource, **elements}
        subject = _SUBJECTS.get(map_.resource, "subject")
        if subject and subject not in resource and "Patient" in self.subject:
            resource[subject] = self.subject["Patient"]
        text = node.child("text") if node.name in STATEMENTS else None
        shown = self.concepts.text(text) if text is not None else None
        if shown:
            words = html.escape(str(shown.value), quote=False)
            block = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{words}</p></div>'
            resource["text"] = {"status": "additional", "div": Taken(block, shown.leaves)}
        return self.draft.add(resource, node, self._name_of(node, map_.resource))

    def _name_of(self, node: Node, kind: str) -> tuple[str, str] | None:
        names = [(name, leaf["extension"]) for leaf in _ids(node) if (name := self.concepts.name_of(leaf)) and name[1]]
        if kind in ("Patient", "Practitioner", "RelatedPerson"):
            names.sort(key=lambda found: (not found[1], found[0][0].endswith("us-ssn")))
        return names[0][0] if names else None

    def elements(self, rules: tuple[Rule, ...], node: Node, kind: str) -> dict[str, Drafted]:
        """The elements that the rules make of a node, within an element of FHIR (`kind`)."""
        found: dict[str, Drafted] = {}
        for rule in rules:
            if rule.when is not None and not rule.when.leads(node):
                continue
            if not rule.many and not rule.typed and _get(found, rule.target) is not None:
                continue
            self._apply(rule, node, found, kind)
        return found

    def _apply(self, rule: Rule, node: Node, found: dict[str, Drafted], kind: str) -> None:
        if rule.fixed is not None:
            values: list[Drafted | Typed] = [rule.fixed]
        elif rule.each is not None:
            values = list(self._groups(rule, node, kind))
        else:
            values = list(self._values(rule, node))
        if not values and rule.default is not None:
            self.ledger.default(node, f"no value that says it; {rule.default} was chosen", f"{kind}.{rule.target}")
            values = [_coded(rule.table, str(rule.default)) if rule.table and rule.table.system else rule.default]
        for value in values:
            if isinstance(value, Typed):
                if not any(key.startswith(rule.target) for key in found):
                    found[f"{rule.target}{value.kind}"] = value.value
            else:
                _put(found, rule.target, value, rule.many)

    def _groups(self, rule: Rule, node: Node, kind: str) -> Iterator[Drafted]:
        assert rule.each is not None  # noqa: S101 - the caller looked
        for other in rule.each.nodes(node):
            group = self.elements(rule.elements, other, f"{kind}.{rule.target}")
            if group and all(_has(group, name) for name in rule.requires):
                self._claim(other, node)
                yield group
                if not rule.many:
                    return

    def _values(self, rule: Rule, node: Node) -> Iterator[Drafted | Typed]:
        given = False
        for source in rule.sources:
            if given and source.last_resort:
                continue
            for other in source.path.nodes(node):
                value = self._value(rule, source, other)
                if value is None or (isinstance(value, Sequence | Mapping) and not value):
                    continue
                if not source.borrows:
                    self._claim(other, node)
                given = True
                yield value
                if not rule.many:
                    return

    def _value(self, rule: Rule, source: Source, node: Node) -> Drafted | Typed:
        if source.path.attribute:
            leaf = Leaf(node, source.path.attribute)
            return self._code(rule, source, leaf) if leaf.value else None
        if source.kind == "reference" and id(node) in self._claimed and ("", id(node)) not in self._made:
            return None
        if source.argument:
            return self.datatypes.qualified[source.kind](self, node, source.argument)
        return self.datatypes.plain[source.kind](self, node)

    def _code(self, rule: Rule, source: Source, leaf: Leaf) -> Drafted:
        if source.kind == "boolean":
            known = {"true": True, "false": False, "1": True, "0": False}.get(leaf.value.lower())
            if known is None:
                self.ledger.refuse(leaf, "neither true nor false")
                return None
            return Taken(known, (leaf,))
        table = self.maps.tables[source.argument] if source.argument else rule.table
        if table is None:
            return Taken(leaf.value, (leaf,))
        code = table.codes.get(leaf.value) or table.codes.get(leaf.value.lower())
        if code is None:
            if leaf.attribute != "negationInd":
                self.ledger.settle(leaf, Outcome.UNKNOWN, f"not a code of the table {table.name}")
            return None
        if leaf.attribute == "code":
            for beside in ("displayName", "codeSystem"):
                self.ledger.settle(Leaf(leaf.node, beside), Outcome.USED, "says what the code says, which is mapped")
        if source.kind == "code":
            return Taken(code, (leaf,))
        coding: DraftedObject = {"system": table.system, "code": Taken(code, (leaf,))}
        return coding if source.kind == "coding-of" else {"coding": [coding]}

    def is_part(self, node: Node) -> bool:
        """Whether a statement is part of another's resource, or only wraps others."""
        return id(node) in self._claimed and not self._made.get(("", id(node)))

    def claim(self, node: Node) -> None:
        """A statement is part of another's resource, so it makes none itself."""
        self._claimed.add(id(node))

    def _claim(self, node: Node, top: Node) -> None:
        """What lies between a value and the statement that took it is part of that statement's resource."""
        for other in (node, *node.ancestors()):
            if other is top:
                return
            if other.name in STATEMENTS:
                if any(other is above for above in top.ancestors()):
                    return
                self._claimed.add(id(other))


def section_of(node: Node) -> str:
    """The LOINC code of the section that a node stands in."""
    for other in node.ancestors():
        if other.name == "section":
            code = other.child("code")
            return code["code"] if code else ""
    return ""


def _has(elements: Mapping[str, object], name: str) -> bool:
    """Whether an element is there; of one with a choice of types, ``value[x]``, any."""
    stem = name.removesuffix("[x]")
    return stem in elements if stem == name else any(key.startswith(stem) for key in elements)


def _ids(node: Node) -> list[Node]:
    return node.named("id")


def _coded(table: Table, code: str) -> Drafted:
    return {"coding": [{"system": table.system, "code": code}]}


def _get(found: Mapping[str, Drafted], target: str) -> Drafted:
    value: Drafted = found
    for step in target.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _put(found: dict[str, Drafted], target: str, value: Drafted, many: bool) -> None:
    """Set an element, or add to it where it is a list. ``a.b`` is the element b in a."""
    *above, last = target.split(".")
    for step in above:
        inner = found.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        found = inner
    if not many:
        found.setdefault(last, value)
        return
    items = found.setdefault(last, [])
    if isinstance(items, list):
        items.extend(value) if isinstance(value, list) else items.append(value)
