"""When an appointment is: by TQ1, which took the place of SCH-11 in HL7 v2.5 (chapter 10, 10.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medibridge.formats.hl7v2.message import Part, Segment
from medibridge.formats.hl7v2.primitives import PRIMITIVES

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft
    from medibridge.formats.hl7v2.groups import Group

__all__ = ["add_time"]


def add_time(segment: Segment, elements: dict[str, Any], draft: Draft, group: Group) -> None:  # noqa: ARG001
    """`Appointment.start` and `end`, which FHIR wants both or neither; what is not one of them was asked for."""
    asked = [(segment[11][4], segment[11][5])]
    asked = [(timing[7], timing[8]) for timing in draft.message.all("TQ1")[:1] if timing[7] or timing[8]] + asked
    asked = [(start, end) for start, end in asked if start or end]
    if asked and all(asked[0]):
        found = [_instant(part, name, draft) for part, name in zip(asked[0], ("start", "end"), strict=True)]
        if all(found):
            elements["start"], elements["end"] = found
            asked = asked[1:]
    for start, end in asked:
        period = {name: when for part, name in ((start, "start"), (end, "end")) if (when := _date(part, name, draft))}
        if period:
            elements.setdefault("requestedPeriod", []).append(period)


def _instant(part: Part, name: str, draft: Draft) -> Any:
    return PRIMITIVES["instant"][1](f"Appointment.{name}", "")(part, draft)


def _date(part: Part, name: str, draft: Draft) -> Any:
    return PRIMITIVES["dateTime"][1](f"Appointment.requestedPeriod.{name}", "")(part, draft) if part.text else None
