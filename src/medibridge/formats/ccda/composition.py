"""The document as Composition: what its header says of it, and its sections with narrative and entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from medibridge.formats.ccda import narrative
from medibridge.formats.ccda.concepts import ABSENT_REASON
from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, DraftedObject
from medibridge.formats.ccda.mapping import Mapper
from medibridge.formats.conversion import Outcome
from medibridge.record import JsonObject

__all__ = ["add_composition"]

_EMPTY_REASON: Final = "http://terminology.hl7.org/CodeSystem/list-empty-reason"


def add_composition(mapper: Mapper, root: Node) -> JsonObject:
    """Make the Composition, and all that stands in the sections. Answers a reference to it."""
    map_ = mapper.maps.by_name["composition"]
    resource: dict[str, Drafted] = {"resourceType": "Composition", **mapper.elements(map_.rules, root, "Composition")}
    sections = [section for node in _sections(root) if (section := _Sections(mapper).read(node))]
    if sections:
        resource["section"] = sections
    absent: DraftedObject = {"extension": [{"url": ABSENT_REASON, "valueCode": "unknown"}]}
    for name, value in (("type", absent), ("author", [absent])):
        resource.setdefault(name, value)
    if "date" not in resource:
        resource["_date"] = absent
    if "Patient" in mapper.subject:
        resource["subject"] = mapper.subject["Patient"]
    names = [found for name in root.named("id") if (found := mapper.concepts.name_of(name))]
    return mapper.draft.add(resource, root, names[0] if names else None)


def _sections(root: Node) -> list[Node]:
    body = [body for component in root.named("component") for body in component.named("structuredBody")]
    return [section for one in body for component in one.named("component") for section in component.named("section")]


@dataclass(frozen=True)
class _Sections:
    mapper: Mapper

    def read(self, node: Node) -> DraftedObject | None:
        """A section, with those in it."""
        mapper = self.mapper
        found = mapper.elements(mapper.maps.by_name["section"].rules, node, "Composition.section")
        text = node.child("text")
        if text is not None and (shown := narrative.div(text)):
            found["text"] = {"status": "generated", "div": shown}
            mapper.ledger.settle_whole(text, Outcome.MAPPED, "", "Composition.section.text.div")
        references: dict[str, JsonObject] = {}
        for entry in node.named("entry"):
            for child in entry.children:
                for reference in mapper.statement(child):
                    references.setdefault(str(reference["reference"]), reference)
        below = [
            section
            for component in node.named("component")
            for child in component.named("section")
            if (section := self.read(child))
        ]
        if references:
            found["entry"] = list(references.values())
        if below:
            found["section"] = below
        if not found.keys() & {"text", "entry", "section"}:
            found["emptyReason"] = self._why_empty(node)
        return found

    def _why_empty(self, node: Node) -> DraftedObject:
        leaf = Leaf(node, "nullFlavor")
        known = {"NASK": "notasked", "NAV": "unavailable", "MSK": "withheld"}.get(leaf.value, "unavailable")
        if leaf.value:
            mapper = self.mapper
            mapper.ledger.settle(leaf, Outcome.MAPPED, "", "Composition.section.emptyReason.coding.code")
        return {"coding": [{"system": _EMPTY_REASON, "code": known}]}
