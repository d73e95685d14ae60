"""Where an encounter stands: by its end, else by the event of the message, else by the class of the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medibridge.formats.hl7v2.message import Segment
from medibridge.formats.hl7v2.tables import table

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft
    from medibridge.formats.hl7v2.groups import Group

__all__ = ["add_status"]


def add_status(segment: Segment, elements: dict[str, Any], draft: Draft, group: Group) -> None:  # noqa: ARG001
    """`Encounter.status`. An update (A08) without a discharge does not say where the encounter stands."""
    if "status" in elements:
        return
    kind, event = (draft.message.header[9][at].text for at in (1, 2))
    by_event = table("EventEncounterStatus").codes.get(event) if kind == "ADT" else None
    by_class = table("EncounterStatus").codes.get(segment[2].text) if kind != "ADT" or event != "A08" else None
    if by_event and not (by_class and by_class.code == "planned" and by_event.code == "in-progress"):
        elements["status"] = by_event.code
    elif by_class and by_class.code != "unknown":
        elements["status"] = by_class.code
    else:
        elements["status"] = "unknown"
        draft.message.default(f"{segment}-45", "neither an end nor an event that says so; status unknown")
