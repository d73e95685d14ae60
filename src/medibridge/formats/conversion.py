"""What reading foreign bytes gives: records, and a report of everything that was read."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from medibridge.record import Record

__all__ = ["Conversion", "Detected", "Finding", "Format", "Outcome", "Report"]


class Outcome(enum.Enum):
    """What became of a value of the source."""

    MAPPED = "mapped"
    """It is in a record."""
    PARTLY = "partly"
    """A part of it is in a record; the reason says which part is not."""
    USED = "used"
    """It steered the reading (message type, character set), and is in no record."""
    IGNORED = "ignored"
    """It says nothing about the patient (a set id), or asks for a deletion; left out on purpose."""
    UNMAPPED = "unmapped"
    """The standard knows it; this version has no place for it."""
    UNKNOWN = "unknown"
    """The standard does not know it (Z-segments, fields beyond the standard)."""
    INVALID = "invalid"
    """It is not what the standard asks for at this place; left out."""
    DEFAULT = "default"
    """There was no value; the reason names the one that was chosen."""


@dataclass(frozen=True)
class Finding:
    """What became of the value at one place (``OBX[3]-5.2``, ``entry[4].resource``). Never the value itself."""

    place: str
    outcome: Outcome
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.outcome.value}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True)
class Report:
    """One finding for each value of the source, in the order of the source; then the defaults that were chosen."""

    findings: tuple[Finding, ...]

    @property
    def notable(self) -> tuple[Finding, ...]:
        """All but what was mapped whole: what a person should look through."""
        return tuple(finding for finding in self.findings if finding.outcome is not Outcome.MAPPED)

    def places(self, *outcomes: Outcome) -> tuple[str, ...]:
        """The places that met one of `outcomes`."""
        return tuple(finding.place for finding in self.findings if finding.outcome in outcomes)

    def counts(self) -> dict[Outcome, int]:
        """How many places met each outcome."""
        return dict(Counter(finding.outcome for finding in self.findings))


@dataclass(frozen=True)
class Detected:
    """The format of the bytes (``HL7 v2.5.1 ORU^R01``) and why it was taken for that."""

    name: str
    reason: str


@dataclass(frozen=True)
class Conversion:
    """Records of one patient, one for each data class, and the report of how they came about."""

    format: Detected
    records: tuple[Record, ...]
    report: Report


@dataclass(frozen=True)
class Format:
    """A reader.

    `recognise` says from the first bytes whether they are of this format, and never raises. `read` takes the
    bytes and the name of their source, and raises `UnknownFormat` or `MalformedMessage`.
    """

    name: str
    accepts: str
    recognise: Callable[[bytes], bool]
    read: Callable[[bytes, str], Conversion]
