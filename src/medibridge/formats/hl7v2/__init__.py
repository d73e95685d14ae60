"""HL7 v2.1 to v2.9.

ORU^R01 (laboratory), RDE^O11 and RAS^O17 (medications), ADT^A01, A04 and A08 (demographics, encounters, problems,
allergies).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from medibridge.errors import MalformedMessage, UnknownFormat
from medibridge.formats.conversion import Conversion, Detected, Finding, Format, Outcome, Piece
from medibridge.formats.hl7v2.draft import Draft
from medibridge.formats.hl7v2.medications import read_administrations, read_orders
from medibridge.formats.hl7v2.message import Message, parse
from medibridge.formats.hl7v2.patient import read_patient
from medibridge.formats.hl7v2.results import read_results
from medibridge.formats.hl7v2.visit import read_visit
from medibridge.formats.settings import Settings
from medibridge.ids import DataClass

__all__ = ["FORMAT"]


@dataclass(frozen=True)
class _Reader:
    """How a message is read, and the data classes that it is about."""

    build: Callable[[Draft], None]
    classes: frozenset[DataClass]


_RESULTS = _Reader(read_results, frozenset({DataClass.LABORATORY}))
_ORDERS = _Reader(read_orders, frozenset({DataClass.MEDICATIONS}))
_ADMINISTRATIONS = _Reader(read_administrations, frozenset({DataClass.MEDICATIONS}))
_VISIT = _Reader(
    read_visit,
    frozenset({DataClass.DEMOGRAPHICS, DataClass.ENCOUNTERS, DataClass.PROBLEMS, DataClass.ALLERGIES}),
)

_READERS: Final = {
    "ORU^R01": _RESULTS,
    "RDE^O11": _ORDERS,
    "RAS^O17": _ADMINISTRATIONS,
    "ADT^A01": _VISIT,
    "ADT^A04": _VISIT,
    "ADT^A08": _VISIT,
}
_ACCEPTS: Final = f"HL7 v2.1 to v2.9 {', '.join(_READERS)}"
_VERSION = re.compile(r"2\.[1-9](\.[12])?")


def recognise(start: bytes) -> Detected | None:
    """By the first three letters, after a byte-order mark, blank lines and MLLP framing."""
    start = start[:64].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x0b").removeprefix(b"\xef\xbb\xbf")
    if start[:3] in (b"MSH", b"FHS", b"BHS"):
        return Detected("HL7 v2", "it begins with MSH, FHS or BHS")
    return None


def read(piece: Piece, settings: Settings) -> list[Conversion]:
    """Read one message. Raises `UnknownFormat` for other messages and versions, `MalformedMessage` for broken ones."""
    message = parse(piece.data)
    kind, version = _kind_of(message)
    reader = _READERS[kind]
    draft = Draft(message, settings.source)
    read_patient(draft)
    reader.build(draft)
    _settle_header(message)
    detected = Detected(f"HL7 v{version} {kind}", f"it begins with MSH, MSH-9 says {kind} and MSH-12 {version}")
    return [Conversion(detected, tuple(draft.resources.values()), message.report(), reader.classes)]


def _kind_of(message: Message) -> tuple[str, str]:
    header = message.header
    version = header.require(12, "the HL7 version")[1].peek()
    if not _VERSION.fullmatch(version):
        raise UnknownFormat(f"MSH[1]-12 names no version of HL7 that is read; accepted is {_ACCEPTS}")
    kind = header.require(9, "the message type")
    named = f"{kind[1].peek()}^{kind[2].peek()}"
    if named not in _READERS:
        shown = f" {named}" if re.fullmatch(r"[A-Z]{3}\^[A-Z][0-9]{2}", named) else ""
        raise UnknownFormat(f"MSH[1]-9 names a message{shown} that is not read; accepted is {_ACCEPTS}")
    if len(message.segments) == 1:
        raise MalformedMessage("the message ends after MSH[1]; it is cut off, send it again")
    return named, version


def _settle_header(message: Message) -> None:
    """The header steers the reading: delimiters, sender and control id (for ids), offset, type, version, charset."""
    header = message.header
    for at in (1, 2, 3, 4, 7, 9, 10, 12, 18):
        header[at].settle_all(Outcome.USED, "steers the reading; in no record")
    for segment in message.all("EVN"):
        segment[1].settle(Outcome.USED, "repeats MSH-9")
    for segment in message.all("NTE"):
        segment[1].settle(Outcome.IGNORED, "a set id")
    if message.unterminated:
        reason = "the last segment has no line end; taken as complete"
        message.defaults.append(Finding(message.last_place, Outcome.DEFAULT, reason))


def pieces(stream: BinaryIO, settings: Settings) -> Iterator[Piece]:  # noqa: ARG001 - settings change nothing here
    """The whole input is one piece."""
    yield Piece(stream.read())


FORMAT: Final = Format("hl7v2", _ACCEPTS, recognise, pieces, read)
