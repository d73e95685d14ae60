"""The message as MessageHeader: what kind it is, where it comes from and goes to (v2-to-FHIR, MSG and HD)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.hl7v2.authorities import authority_uri
from medibridge.formats.hl7v2.message import Part
from medibridge.formats.hl7v2.primitives import Convert
from medibridge.formats.hl7v2.tables import system_of_table
from medibridge.record import Json

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["HEADERS"]

_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_CDC: Final = "https://reportstream.cdc.gov/fhir/StructureDefinition/"


def _event(target: str, _: str) -> Convert:
    """MSG as Coding: the event, and the whole of MSH-9 as its display."""

    def convert(part: Part, _draft: Draft) -> Json:
        code, display = f"{target}.code", f"{target}.display"
        whole = "^".join(part[at].text for at in (1, 2, 3)).rstrip("^")
        for at in (1, 3):
            part[at].mapped(display)
        part[2].mapped(code)
        return {"system": system_of_table("0003"), "code": part[2].text or part[1].text, "display": whole}

    return convert


def _endpoint(target: str, _: str) -> Convert:
    """HD as a source or destination of a message: its name, and its address where the universal id is one."""

    def convert(part: Part, draft: Draft) -> Json:
        name, universal, kind = part[1], part[2], part[3]
        found: dict[str, Any] = {}
        if name.text:
            found["name"] = name.mapped(f"{target}.name")
        uri = authority_uri(name.text, universal.text, kind.text, draft)
        if uri:
            universal.mapped(f"{target}.endpoint")
            kind.mapped(f"{target}.endpoint")
            found["endpoint"] = uri
        else:
            found["_endpoint"] = {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}
            extension = [
                {"url": _CDC + named, "valueString": found_part.mapped(f"{target}.extension.valueString")}
                for found_part, named in ((universal, "universal-id"), (kind, "universal-id-type"))
                if found_part.text
            ]
            if extension:
                found["extension"] = extension
        return found

    return convert


HEADERS: Final = {
    "MSG": ("Coding", _event),
    "HD[source]": ("MessageHeader.source", _endpoint),
    "HD[destination]": ("MessageHeader.destination", _endpoint),
}
