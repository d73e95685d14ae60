"""Fields of a site's own segments (Z…), which its profile says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.message import Segment
from medibridge.formats.hl7v2.steps import conversion_of
from medibridge.formats.hl7v2.targets import MapError, target_of

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["add_site_segment"]

_CONVERSIONS: Final = {
    "string": "whole", "markdown": "whole", "code": "token", "id": "token", "uri": "uri", "url": "uri", "date": "date",
    "dateTime": "dateTime", "instant": "instant", "time": "time", "decimal": "decimal", "boolean": "boolean",
    "integer": "integer", "positiveInt": "positiveInt", "unsignedInt": "unsignedInt", "CodeableConcept": "CWE",
    "Coding": "CWE[Coding]", "Identifier": "CX", "HumanName": "XPN", "Address": "XAD", "ContactPoint": "XTN",
    "Quantity": "CQ", "Money": "MO", "Period": "DR", "Attachment": "ED",
}  # fmt: skip
"""The conversion for each type of FHIR that a field may be said to be."""


def add_site_segment(segment: Segment, draft: Draft, fields: Mapping[int, str]) -> None:
    """Put the fields of a Z-segment where the profile says: into the last resource of that type above it."""
    for number, path in fields.items():
        kind, _, below = path.partition(".")
        item = next((item for item in reversed(draft.items) if item.kind == kind), None)
        for part in segment.fields.get(number, ()):
            if item is None:
                part.settle_all(Outcome.UNMAPPED, "the message has no resource of the type that the profile names")
                continue
            try:
                target = target_of(kind, below, "string")
                _, convert = conversion_of(_CONVERSIONS[target.kind], "", target.name)
            except (MapError, KeyError):
                part.settle_all(Outcome.UNKNOWN, "the profile names an element that R4 does not have, or no value")
                continue
            if target.is_taken(item.elements):
                part.settle_all(Outcome.UNMAPPED, "FHIR has one here, and it is taken")
            elif (value := convert(part, draft)) is not None:
                target.put(item.elements, value, None)
