"""Who assigned an identifier (HD), and what it assigned (EI)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.hl7v2.message import Part
from medibridge.formats.hl7v2.primitives import Convert, is_code
from medibridge.formats.hl7v2.tables import TERMINOLOGY
from medibridge.record import Json

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["AUTHORITIES", "authority", "authority_uri", "identifier_of"]

_CDC: Final = "https://reportstream.cdc.gov/fhir/StructureDefinition/"


def authority_uri(name: str, universal: str, kind: str, draft: Draft) -> str | None:
    """The URI of an assigning authority (HD): what the profile says, else its OID, UUID or URI."""
    known = draft.profile.authorities
    if known and (found := known.get(name) or known.get(universal)):
        return found
    kind = kind.upper()
    if kind in ("ISO", "OID", "") and re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*)){2,}", universal):
        return f"urn:oid:{universal}"
    if kind in ("UUID", "GUID") and re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", universal):
        return f"urn:uuid:{universal.lower()}"
    if kind in ("URI", "URL") and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", universal):
        return universal
    return None


def authority(target: str, _: str) -> Convert:
    """HD as what an Identifier says of its authority: system, or assigner, and what is not of the one in the other."""
    holder = target

    def convert(part: Part, draft: Draft) -> Json:
        name, universal, kind = part[1], part[2], part[3]
        found: dict[str, Any] = {}
        if uri := authority_uri(name.text, universal.text, kind.text, draft):
            found["system"] = uri
            if universal.text:
                universal.mapped(f"{holder}.system")
                kind.mapped(f"{holder}.system")
        shown = name.text
        if shown:
            name.mapped(f"{holder}.assigner.display")
            found["assigner"] = {"display": shown}
        if universal.text and not uri:
            below = f"{holder}.extension.extension."
            kept = [{"url": f"{_CDC}universal-id", "valueString": universal.mapped(f"{below}valueString")}]
            if kind.text and is_code(kind.text):
                kept.append({"url": f"{_CDC}universal-id-type", "valueCode": kind.mapped(f"{below}valueCode")})
            found["extension"] = [{"url": f"{_CDC}assigning-authority", "extension": kept}]
        return found or None

    return convert


def identifier_of(target: str, _: str) -> Convert:
    """HD as one Identifier: the universal id and its kind where there is one, else the name."""

    def convert(part: Part, _draft: Draft) -> Json:
        name, universal, kind = part[1], part[2], part[3]
        if not universal.text:
            return {"value": name.mapped(f"{target}.value")} if name.text else None
        found: dict[str, Any] = {"value": universal.mapped(f"{target}.value")}
        if kind.text and is_code(kind.text):
            code = kind.mapped(f"{target}.type.coding.code")
            found["type"] = {"coding": [{"system": f"{TERMINOLOGY}v2-0301", "code": code}]}
        return found

    return convert


def _entity(target: str, kind: str) -> Convert:
    """EI as Identifier, of the type `kind` of table 0203; its authority stands in components 2 to 4."""
    assigned_by = authority(target, "")
    value_path = f"{target}.value"

    def convert(part: Part, draft: Draft) -> Json:
        if not part[1]:
            return None
        found: dict[str, Any] = {}
        if kind:
            found["type"] = {"coding": [{"system": f"{TERMINOLOGY}v2-0203", "code": kind}]}
        found["value"] = part[1].whole(value_path)
        if part.below is not None and len(part.below) > 1:
            by = assigned_by(Part("", [part[2], part[3], part[4]]), draft)
            if isinstance(by, dict):
                found |= by
        return found

    return convert


AUTHORITIES: Final = {
    "EI": ("Identifier", _entity),
    "HD[authority]": ("Identifier", authority),
    "HD[Identifier]": ("Identifier", identifier_of),
}
