"""What conversions are written as."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

from medibridge.errors import MalformedMessage, UsageError
from medibridge.formats import Conversion
from medibridge.formats.hl7v2_writing import Event, to_hl7v2
from medibridge.formats.splitting import SUPPORTING
from medibridge.record import canonical_json

__all__ = ["PARTS", "Shape", "lines_of"]

PARTS: Final = "parts"
"""Where, below the folder of the journal, jobs keep what is merged in the end."""


class Shape(enum.Enum):
    """A shape of output. Its value is what the command line calls it."""

    BUNDLE = "bundle"
    """Beside each other for each job: a FHIR transaction Bundle a line, for each message."""
    HL7V2 = "hl7v2"
    """For each job: HL7 v2 messages."""
    RESOURCES = "resources"
    """For all jobs together: a file for each resource type, a resource a line."""
    CSV = "csv"
    """For all jobs together: flat tables."""
    PARQUET = "parquet"
    """For all jobs together: flat tables."""

    @property
    def is_merged(self) -> bool:
        """Whether the output is made of all jobs in the end."""
        return self in (Shape.RESOURCES, Shape.CSV, Shape.PARQUET)

    @property
    def suffix(self) -> str:
        """What stands behind a job's name."""
        return ".hl7" if self is Shape.HL7V2 else ".ndjson"


def lines_of(conversion: Conversion, shape: Shape) -> Iterator[bytes]:
    """A conversion as it stands in its job's output. Raises `MalformedMessage` where it has no such shape."""
    if shape is Shape.BUNDLE:
        yield canonical_json(conversion.to_bundle()) + b"\n"
    elif shape is Shape.HL7V2:
        yield from _messages(conversion)
    else:
        for resource in conversion.resources:
            yield canonical_json(resource) + b"\n"


def _messages(conversion: Conversion) -> Iterator[bytes]:
    """Results as ORU^R01; visits, problems, allergies and coverage, or the patient alone, as ADT^A08."""
    kinds = {str(resource["resourceType"]) for resource in conversion.resources}
    events: list[Event] = []
    if not _RESULTS.isdisjoint(kinds):
        events.append("ORU^R01")
    if not _UPDATES.isdisjoint(kinds) or kinds <= _ABOUT_THE_PATIENT:
        events.append("ADT^A08")
    if not events:
        raise MalformedMessage("it holds nothing that ORU^R01 or ADT^A08 can say; choose another shape for it")
    for event in events:
        try:
            yield to_hl7v2(conversion.resources, event=event, time=conversion.origin.made_at).message
        except UsageError as exc:
            raise MalformedMessage(f"it cannot be written as HL7 v2: {exc}") from None


_RESULTS: Final = frozenset({"DiagnosticReport", "Observation"})
_ABOUT_THE_PATIENT: Final = SUPPORTING | {"Patient", "RelatedPerson", "Provenance", "MessageHeader"}
_UPDATES: Final = frozenset({"Encounter", "AllergyIntolerance", "Condition", "Coverage"})
