"""The FHIR resources that one message gives, while they are being made, and their stable ids."""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

from medibridge.formats.hl7v2 import datatypes as dt
from medibridge.formats.hl7v2.message import Message, Part, Segment
from medibridge.formats.splitting import key_of
from medibridge.record import JsonObject, canonical_json

__all__ = ["Draft"]

_NAMESPACE: Final = uuid.UUID("6f1c1a1e-7d0b-5d43-9f5a-3c1f0a6be2d7")


class Draft:
    """Collects resources.

    An id is a UUID of version 5 (RFC 9562) over the source and what names the thing there: assigning authority,
    type and value of an identifier; where it has none, its place in the message, and the message by sending
    application, facility and control id (MSH-3, MSH-4, MSH-10).
    """

    def __init__(self, message: Message, source: str) -> None:
        header = message.header
        self.message = message
        self.resources: dict[str, JsonObject] = {}
        self.patient: JsonObject = {}
        self._source = source
        self._sender = (header[3].peek(), header[4].peek())
        self._control_id = header[10].peek()

    def add(self, resource: JsonObject) -> JsonObject:
        """Take in a resource and answer a Reference to it.

        A second one of the same id and other content gets an id of its own.
        """
        key = key_of(resource)
        if self.resources.setdefault(key, resource) != resource:
            digest = hashlib.sha256(canonical_json(resource)).hexdigest()
            resource = {**resource, "id": self.name("variant", key, digest)}
            key = key_of(resource)
            self.resources[key] = resource
        return {"reference": key}

    def name(self, *parts: str) -> str:
        """An id for what `parts` name within the source."""
        return str(uuid.uuid5(_NAMESPACE, canonical_json([self._source, *parts]).decode()))

    def name_by_place(self, kind: str, segment: Segment) -> str:
        """An id for what nothing names but its place."""
        return self.name(kind, *self._sender, self._control_id, str(segment))

    def name_by_identifier(self, kind: str, identifier: JsonObject) -> str:
        """An id for what an Identifier names. Without a system, the authority's name stands in, else the sender."""
        authority = identifier.get("system") or identifier.get("assigner") or list(self._sender)
        return self.name(kind, canonical_json([authority, identifier.get("type"), identifier["value"]]).decode())

    @property
    def subject(self) -> JsonObject:
        """A Reference to the patient."""
        return {"reference": key_of(self.patient)}

    def practitioner(self, part: Part) -> JsonObject | None:
        """XCN as a Reference to a Practitioner."""
        identifier = dt.sparse(value=part[1].text())
        if identifier:
            system = dt.system_uri(part[9], 2, 3)
            identifier |= dt.sparse(
                system=system, assigner=dt.sparse(display=part[9][1].text()), type=dt.identifier_type(part[13].text())
            )
        given = [text for at in (3, 4) if (text := part[at].text())]
        suffix = [text for at in (5, 7) if (text := part[at].text())]
        prefix = [text] if (text := part[6].text()) else []
        name = dt.sparse(family=part[2].text(), given=given, prefix=prefix, suffix=suffix)
        if not identifier and not name:
            return None
        if identifier:
            own_id = self.name_by_identifier("Practitioner", identifier)
        else:
            own_id = self.name("Practitioner", *self._sender, canonical_json(name).decode())
        return self.add(
            {
                "resourceType": "Practitioner",
                "id": own_id,
                **dt.sparse(identifier=[identifier] if identifier else [], name=[name] if name else []),
            }
        )

    def practitioners(self, field: Part) -> list[JsonObject]:
        """Every repetition of an XCN field."""
        return [reference for part in field.repetitions() if (reference := self.practitioner(part))]

    def organization(self, part: Part) -> JsonObject | None:
        """XON as a Reference to an Organization."""
        name = part[1].text()
        value = part[10].text() or part[3].text()
        identifier = dt.sparse(value=value)
        if value:
            system = dt.system_uri(part[6], 2, 3)
            identifier |= dt.sparse(
                system=system, assigner=dt.sparse(display=part[6][1].text()), type=dt.identifier_type(part[7].text())
            )
        if not name and not value:
            return None
        own_id = (
            self.name_by_identifier("Organization", identifier)
            if identifier
            else self.name("Organization", *self._sender, name)
        )
        elements = dt.sparse(identifier=[identifier] if identifier else [], name=name)
        return self.add({"resourceType": "Organization", "id": own_id, **elements})

    def notes(self, segments: list[Segment]) -> list[JsonObject]:
        """NTE segments as Annotations."""
        notes: list[JsonObject] = []
        for segment in segments:
            text = dt.annotation_text(segment[3])
            if text:
                notes.append({"text": text, **dt.sparse(time=dt.date_time(segment[6]))})
        return notes
