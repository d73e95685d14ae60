"""What reading foreign bytes gives: FHIR R4 resources, records, and a report of everything that was read."""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

from medibridge.errors import FormatError
from medibridge.formats.settings import Settings
from medibridge.formats.splitting import split
from medibridge.ids import DataClass
from medibridge.record import Attachment, Json, JsonObject, Record

__all__ = ["Conversion", "Detected", "Finding", "Format", "Origin", "Outcome", "Piece", "Refused", "Report"]


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


class Finding(NamedTuple):
    """What became of the value at one place (``OBX[3]-5.2``, ``entry[4].resource``). Never the value itself.

    `target` is the FHIR element that it went to, without positions: ``Observation.valueQuantity.value``; empty
    where it went nowhere, or where the reader takes whole resources over.
    """

    place: str
    outcome: Outcome
    reason: str = ""
    target: str = ""

    def __str__(self) -> str:
        to = f" to {self.target}" if self.target else ""
        return f"{self.place}: {self.outcome.value}{to}" + (f" ({self.reason})" if self.reason else "")


_SEVERITY = {
    Outcome.INVALID: ("warning", "invalid"),
    Outcome.UNKNOWN: ("warning", "not-supported"),
    Outcome.UNMAPPED: ("warning", "not-supported"),
    Outcome.PARTLY: ("information", "incomplete"),
    Outcome.DEFAULT: ("information", "incomplete"),
    Outcome.USED: ("information", "informational"),
    Outcome.IGNORED: ("information", "informational"),
}
_OUTCOME_SYSTEM = "https://medibridge.invalid/conversion-outcome"


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

    def to_operation_outcome(self) -> JsonObject:
        """The notable findings as a FHIR R4 OperationOutcome (hl7.org/fhir/R4/operationoutcome.html).

        `details.coding` holds the stable code, that of the `Outcome`; `expression` the place in the source.
        """
        issues: list[Json] = [_issue(finding) for finding in self.notable]
        if not issues:
            issues = [
                {
                    "severity": "information",
                    "code": "informational",
                    "diagnostics": "every value of the source is mapped",
                }
            ]
        return {"resourceType": "OperationOutcome", "issue": issues}


def _issue(finding: Finding) -> JsonObject:
    severity, code = _SEVERITY[finding.outcome]
    issue: dict[str, Json] = {
        "severity": severity,
        "code": code,
        "details": {"coding": [{"system": _OUTCOME_SYSTEM, "code": finding.outcome.value}]},
        "expression": [finding.place],
    }
    if finding.reason:
        issue["diagnostics"] = finding.reason
    return issue


@dataclass(frozen=True)
class Detected:
    """The format of the bytes (``HL7 v2.5.1 ORU^R01``) and why it was taken for that."""

    name: str
    reason: str


@dataclass(frozen=True)
class Origin:
    """What the source says of itself, for the Provenance: who sent it, its own number for it (MSH-10, the id of a
    document), and when it was made: an instant of FHIR, or empty where the source names no time with its zone.
    """

    sender: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    made_at: str = ""


@dataclass(frozen=True)
class Conversion:
    """What one message, document, study or patient's rows became.

    `resources` are FHIR R4, each with an id, and refer to each other by ``Type/id``. `about` are the data classes
    that the source is about (None: all that occur): a laboratory message names its patient, but is no new record of
    the patient's demographics. `attachments` are bytes that the resources refer to by their hash (RFC 6920).
    """

    format: Detected
    resources: tuple[JsonObject, ...] = field(repr=False)
    report: Report = field(repr=False)
    about: frozenset[DataClass] | None = None
    attachments: tuple[Attachment, ...] = ()
    origin: Origin = Origin()
    place: str = ""
    """Where in the input the piece stood (``message[3]``); empty where the input was one piece."""

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """One record for each data class. Raises `MalformedMessage` where there is more than one Patient."""
        about = self.about
        records, _ = split(self.resources, about.__contains__ if about is not None else lambda _: True)
        return records

    def to_bundle(self, kind: str = "transaction") -> JsonObject:
        """The resources as one FHIR R4 Bundle: a *transaction* that puts each by its id, or a *collection*."""
        entries: list[Json] = []
        for resource in self.resources:
            key = f"{resource['resourceType']}/{resource['id']}"
            entry: dict[str, Json] = {"fullUrl": f"https://medibridge.invalid/{key}", "resource": resource}
            if kind == "transaction":
                entry["request"] = {"method": "PUT", "url": key}
            entries.append(entry)
        return {"resourceType": "Bundle", "type": kind, "entry": entries}


@dataclass(frozen=True, repr=False)
class Piece:
    """The bytes of one message, document or block of rows, cut from an input.

    `place` says where it stood (``message[3]``, ``lines 1001 to 2000``), empty where the input is one piece.
    `start` is what the whole input begins with and the piece needs to be read (the heading of a table).
    `origin` is the file it was cut from, for what is too large to be cut (pixel data).
    """

    data: bytes
    place: str = ""
    start: bytes = b""
    origin: Path | None = None

    def __repr__(self) -> str:
        return f"<Piece {self.place or 'of all'}, {len(self.data)} bytes>"

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal; taken once, as a piece may be about thousands of patients."""
        return hashlib.sha256(self.start + self.data).hexdigest()


@dataclass(frozen=True)
class Refused:
    """A piece that could not be read, and why. The piece is kept, so that it can be put into quarantine."""

    piece: Piece
    error: FormatError


@dataclass(frozen=True)
class Format:
    """A reader.

    `recognise` says from the first `registry.LOOK` bytes whether they are of this format, and why; it never raises.
    `pieces` cuts a stream into pieces, in memory that does not grow with it. `read` takes a piece and gives the
    conversions of it, one a patient; it raises `UnknownFormat` or `MalformedMessage`. Both raise where a piece is
    larger than they take.
    """

    name: str
    accepts: str
    recognise: Callable[[bytes], Detected | None]
    pieces: Callable[[BinaryIO, Settings], Iterator[Piece]]
    read: Callable[[Piece, Settings], list[Conversion]]
