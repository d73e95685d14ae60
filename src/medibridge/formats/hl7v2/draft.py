"""The FHIR resources of one message, while they are being made: their ids, and the references between them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from medibridge.formats.hl7v2.message import Message, Segment
from medibridge.formats.hl7v2.primitives import offset_in, offset_of
from medibridge.formats.naming import Names
from medibridge.formats.settings import Settings
from medibridge.formats.splitting import references_in
from medibridge.record import JsonObject

__all__ = ["Draft", "Item", "named_by"]

Elements: TypeAlias = "dict[str, Any]"


def named_by(value: Any) -> str:
    """One text for one value: what an id is made of."""
    return json.dumps(value, sort_keys=True, default=str)


@dataclass(eq=False)
class Item:
    """A resource that a segment makes. `owner` is the group that it belongs to; its id is known last."""

    kind: str
    elements: Elements
    segment: Segment
    id: str = ""

    @property
    def key(self) -> str:
        """``Type/id``."""
        return f"{self.kind}/{self.id}"


@dataclass
class Draft:
    """Collects resources and gives them ids that survive a re-send and an update."""

    message: Message
    settings: Settings
    items: list[Item] = field(default_factory=list)
    shared: dict[str, Elements] = field(default_factory=dict)
    """Practitioners, organisations and places, made from the data types that name them; by ``Type/id``."""

    def __post_init__(self) -> None:
        header = self.message.header
        self.names = Names(self.settings.source)
        self.profile = self.settings.profile
        self.sender = f"{header[3].text}^{header[4].text}"
        self._document = ""
        self._offset = offset_of(header[7].text)
        self._seen: Counter[str] = Counter()
        self._texts: dict[int, tuple[Elements, list[str]]] = {}

    @property
    def document(self) -> str:
        """What names the message: sender and control id (MSH-10); where that is empty, what it says."""
        if not self._document:
            control = self.message.header[10].text
            if not control:
                digest = hashlib.sha256()
                for segment in self.message.segments:
                    for repetitions in segment.fields.values():
                        for part in repetitions:
                            digest.update(b"|" + "^".join(leaf.text for leaf in part.leaves()).encode())
                control = digest.hexdigest()
            self._document = f"{self.sender}^{control}"
        return self._document

    def offset_at(self, date: str, hour: str, minute: str) -> str | None:
        """The offset from UTC of a time that carries none: by the site's zone, else that of MSH-7."""
        if self.profile.zone:
            return offset_in(self.profile.zone, date, hour, minute)
        return self._offset

    def add_text(self, content: list[Elements], text: str) -> None:
        """Add lines to the one text among the contents of a document."""
        known = self._texts.get(id(content))
        if known is None:
            attachment: Elements = {"contentType": "text/plain"}
            content.append({"attachment": attachment})
            known = self._texts[id(content)] = (attachment, [])
        known[1].append(text)

    def item(self, kind: str, segment: Segment) -> Item:
        """A new resource."""
        made = Item(kind, {}, segment)
        self.items.append(made)
        return made

    def refer(self, kind: str, elements: Elements) -> JsonObject:
        """A Reference to a shared resource; the same one where something else named it by the same identifier."""
        identifiers = elements.get("identifier")
        own_id = self.id_by(kind, identifiers[0]) if identifiers else ""
        if not own_id:
            own_id = self.names.of(kind, self.sender, named_by(elements))
        return self._share(kind, own_id, elements)

    def refer_by_path(self, kind: str, elements: Elements, path: list[str]) -> JsonObject:
        """As `refer`, for what is named by the names of all that it is a part of: a bed in a room."""
        return self._share(kind, self.names.of(kind, self.sender, *path), elements)

    def _share(self, kind: str, own_id: str, elements: Elements) -> JsonObject:
        key = f"{kind}/{own_id}"
        known = self.shared.get(key)
        if known is None:
            self.shared[key] = elements
        elif known != elements:
            if any(known.get(name, value) != value for name, value in elements.items()):
                own_id = self.names.of(kind, "variant", own_id, named_by(elements))
                key = f"{kind}/{own_id}"
                self.shared.setdefault(key, elements)
            else:
                known.update(elements)
        return {"reference": key}

    def id_by(self, kind: str, identifier: JsonObject) -> str:
        """The id for what an Identifier names, empty where it has no value."""
        value = identifier.get("value")
        if not isinstance(value, str):
            return ""
        system = identifier.get("system")
        if not isinstance(system, str):
            assigner = identifier.get("assigner")
            named = assigner.get("display") if isinstance(assigner, dict) else None
            system = named if isinstance(named, str) else self.sender
        return self.names.by_identifier(kind, system, value)

    def name(self, item: Item, own_id: str) -> None:
        """Give a resource its id; a second one of the same id gets one of its own."""
        self._seen[f"{item.kind}/{own_id}"] += 1
        count = self._seen[f"{item.kind}/{own_id}"]
        item.id = own_id if count == 1 else self.names.of(item.kind, "again", own_id, str(count))

    def place_id(self, item: Item) -> str:
        """The id for what nothing names but its place."""
        return self.names.by_place(item.kind, self.document, str(item.segment))

    def finish(self) -> tuple[JsonObject, ...]:
        """The resources that say something, or that something refers to."""
        for attachment, lines in self._texts.values():
            attachment["data"] = base64.b64encode("\n".join(lines).encode()).decode("ascii")
        made: dict[str, JsonObject] = {}
        for item in self.items:
            made[item.key] = {"resourceType": item.kind, "id": item.id, **item.elements}
        for key, elements in self.shared.items():
            kind, _, own_id = key.partition("/")
            made.setdefault(key, {"resourceType": kind, "id": own_id, **elements})
        bare = [key for key, resource in made.items() if len(resource) < 3]
        if bare:
            wanted = {reference for resource in made.values() for reference in references_in(resource)}
            for key in bare:
                if key not in wanted:
                    del made[key]
        return tuple(made.values())
