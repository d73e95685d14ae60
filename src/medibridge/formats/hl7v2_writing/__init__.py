"""FHIR R4 as HL7 v2.5.1: what systems that speak no FHIR are told. The reader of HL7 v2 is `formats.hl7v2`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from medibridge.errors import MalformedMessage, UsageError
from medibridge.formats.conversion import Report
from medibridge.formats.hl7v2_writing.datatypes import date_time
from medibridge.formats.hl7v2_writing.draft import Draft
from medibridge.formats.hl7v2_writing.results import write_observations, write_results
from medibridge.formats.hl7v2_writing.segments import segment
from medibridge.formats.hl7v2_writing.visits import (
    write_allergies,
    write_coverages,
    write_diagnoses,
    write_patient,
    write_visit,
)
from medibridge.record import JsonObject

__all__ = ["Event", "Parties", "Written", "to_hl7v2"]

Event = Literal["ORU^R01", "ADT^A08"]

_STRUCTURES: Final = {"ORU^R01": "ORU_R01", "ADT^A08": "ADT_A01"}
_TIMES: Final = ("DiagnosticReport.issued", "Observation.issued", "DiagnosticReport.effectiveDateTime",
                 "Observation.effectiveDateTime", "Encounter.period.end", "Encounter.period.start",
                 "Condition.recordedDate", "AllergyIntolerance.recordedDate", "Patient.meta.lastUpdated")  # fmt: skip


@dataclass(frozen=True)
class Parties:
    """Who sends and who receives: MSH-3 to MSH-6."""

    application: str = "MEDIBRIDGE"
    facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""


@dataclass(frozen=True)
class Written:
    """A message, in UTF-8, each segment ended by CR; and what became of every value of the resources."""

    message: bytes = field(repr=False)
    report: Report = field(repr=False)


def to_hl7v2(resources: Sequence[JsonObject], *, event: Event, parties: Parties = Parties(), time: str = "") -> Written:
    """Write resources about one patient as a message of HL7 v2.5.1: results (ORU^R01) or an update (ADT^A08).

    `time` is that of the message (MSH-7), as a FHIR dateTime; without it, the latest that the resources name. The
    same resources give the same bytes, and the control id (MSH-10) is a hash of them.

    Raises `MalformedMessage` where there is not one Patient, or no result for an ORU^R01, and `UsageError` where
    there is no time.
    """
    if event not in _STRUCTURES:
        raise UsageError(f"{event!r} is not written; written are {', '.join(_STRUCTURES)}")
    draft = Draft.of(resources)
    moment = date_time(time) if time else _latest(draft)
    if not moment:
        raise UsageError("the resources name no time; give that of the message, as a FHIR dateTime")
    if event == "ADT^A08":
        draft.add("EVN", {1: [["A08"]], 2: [[moment]]})
    write_patient(draft)
    write_visit(draft, required=event == "ADT^A08")
    if event == "ADT^A08":
        write_observations(draft)
        write_allergies(draft)
        write_diagnoses(draft)
        write_coverages(draft)
    elif not write_results(draft):
        raise MalformedMessage("there is neither a DiagnosticReport nor an Observation; an ORU^R01 needs one")
    body = "".join(line + "\r" for line in draft.lines)
    names = (parties.application, parties.facility, parties.receiving_application, parties.receiving_facility)
    digest = hashlib.sha256("\0".join([event, moment, *names, body]).encode()).digest()
    kind, _, trigger = event.partition("^")
    header = segment(
        "MSH",
        {
            **{number: [[name]] for number, name in enumerate(names, 3)},
            7: [[moment]],
            9: [[kind, trigger, _STRUCTURES[event]]],
            10: [[base64.b32encode(digest).decode()[:20]]],
            11: [["P"]],
            12: [["2.5.1"]],
            18: [["UNICODE UTF-8"]],
        },
    )
    return Written((header.replace("MSH||", "MSH|^~\\&", 1) + "\r" + body).encode("utf-8"), draft.ledger.report())


def _latest(draft: Draft) -> str:
    """The latest time of the first kind that the resources have: the order of `_TIMES` is that of preference."""
    for path in _TIMES:
        kind, _, below = path.partition(".")
        found = [node.peek for resource in draft.of_type(kind) for node in resource.along(below)]
        if times := [time for text in found if (time := date_time(text))]:
            return max(times)
    return ""
