"""The resources of one document while they are being made, and their ids."""

from __future__ import annotations

import hashlib
from typing import Final

from medibridge.formats.ccda.document import Node
from medibridge.formats.ccda.ledger import DraftedObject, Ledger
from medibridge.formats.naming import Names
from medibridge.formats.splitting import key_of
from medibridge.record import Json, JsonObject, canonical_json

__all__ = ["Draft"]

_NAMED_BY_CONTENT: Final = frozenset({"Practitioner", "Organization", "Location", "Device", "Medication",
                                      "PractitionerRole", "Substance"})  # fmt: skip
"""Resources that a document repeats wherever it needs them: without an identifier, the same content is the same one."""

_GROWS: Final = frozenset({"Practitioner", "Organization", "Location", "RelatedPerson"})
"""Resources of which a document says more at one place than at another."""


class Draft:
    """Collects resources. `document` is what names the document."""

    def __init__(self, ledger: Ledger, names: Names, document: str) -> None:
        self.resources: dict[str, JsonObject] = {}
        self._ledger = ledger
        self._names = names
        self._document = document

    def add(self, resource: DraftedObject, node: Node, name: tuple[str, str] | None) -> JsonObject:
        """Take in a resource and answer a Reference to it.

        Its id is that of `name` (system and value), else of its place; two of one name with other contents that
        do not go together get ids of their own.
        """
        settled = dict(self._ledger.settled(resource))
        kind = str(settled["resourceType"])
        if name:
            own_id = self._names.by_identifier(kind, *name)
        elif kind in _NAMED_BY_CONTENT:
            own_id = self._names.of(kind, "content", _digest(settled))
        else:
            own_id = self._names.by_place(kind, self._document, node.place)
        settled = {"resourceType": kind, "id": own_id, **settled}
        known = self.resources.get(key_of(settled))
        if known is not None and known != settled:
            grown = _union(known, settled) if kind in _GROWS else None
            if grown is None:
                settled["id"] = self._names.of(kind, "variant", own_id, _digest(settled))
            else:
                settled = grown
        key = key_of(settled)
        self.resources[key] = settled
        return {"reference": key}


def _digest(resource: JsonObject) -> str:
    return hashlib.sha256(canonical_json(resource)).hexdigest()


def _union(first: JsonObject, second: JsonObject) -> dict[str, Json] | None:
    """Both in one, where they do not contradict each other."""
    found: dict[str, Json] = dict(first)
    for key, value in second.items():
        known = found.setdefault(key, value)
        if known == value:
            continue
        if not isinstance(known, list) or not isinstance(value, list):
            return None
        found[key] = [*known, *(item for item in value if item not in known)]
    return found
