"""Stable ids: the same thing of the same source has the same id, whenever and in whatever format it comes.

An id is a UUID of version 5 (RFC 9562, section 5.5) over the source and what names the thing there: the system and
value of an identifier; where it has none, its place in the message or document that holds it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Final

__all__ = ["Names"]

_NAMESPACE: Final = uuid.UUID("6f1c1a1e-7d0b-5d43-9f5a-3c1f0a6be2d7")


@dataclass(frozen=True)
class Names:
    """Gives ids within one source (`Settings.source`)."""

    source: str

    def of(self, kind: str, *parts: str) -> str:
        """An id for what `parts` name, of the resource type `kind`."""
        named = json.dumps([self.source, kind, *parts], ensure_ascii=False, separators=(",", ":"))
        return str(uuid.uuid5(_NAMESPACE, named))

    def by_identifier(self, kind: str, system: str, value: str) -> str:
        """An id for what an Identifier names. `system` is its URI, else the name of the authority, else of the sender.

        An HL7 v2 message, a C-CDA document and a table that name one patient by one system and value give one id.
        """
        return self.of(kind, "identifier", system, value)

    def by_place(self, kind: str, document: str, place: str) -> str:
        """An id for what nothing names but its place in a document, message or row that has a name itself."""
        return self.of(kind, "place", document, place)
