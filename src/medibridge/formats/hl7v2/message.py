"""An HL7 v2 message as a tree of places, each of which remembers what became of its value.

Delimiters, segments, repetitions, components and escape sequences as in HL7 v2.9 chapter 2
(2.5.4 delimiters, 2.7 escape sequences, 2.5.3 null and empty fields).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import hl7

from medibridge.errors import MalformedMessage, UnknownFormat
from medibridge.formats.conversion import Finding, Outcome, Report

__all__ = ["Message", "Part", "Place", "Segment", "parse"]

MAX_PARTS: Final = 500_000
"""Delimiters in one message; ordinary messages have a few thousand."""

DELETE: Final = '""'
"""The null of HL7 v2: the sender asks to delete what the receiver holds (2.5.3)."""

_BOM = b"\xef\xbb\xbf"
_MLLP_START, _MLLP_END = b"\x0b", b"\x1c"

_CHARSETS: Final = {
    "": "utf-8",  # the standard says ASCII; UTF-8 contains it
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    **{f"8859/{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
"""HL7 table 0211, and the Python codec for each. Character sets that switch within the text are not read."""

_SEGMENTS: Final = frozenset(
    """ABS ACC ADD ADJ AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BHS BLC BLG BPO BPX BTS BTX BUI CDM CDO CER CM0 CM1
    CM2 CNS CON CSP CSR CSS CTD CTI CTR DB1 DEV DG1 DMI DON DPS DRG DSC DSP DST ECD ECR EDU EQL EQP EQU ERQ ERR EVN
    FAC FHS FT1 FTS GOL GP1 GP2 GT1 IAM IAR IIM ILT IN1 IN2 IN3 INV IPC IPR ISD ITM IVC IVT LAN LCC LCH LDP LOC LRL
    MCP MFA MFE MFI MRG MSA MSH NCK NDS NK1 NPU NSC NST NTE OBR OBX ODS ODT OH1 OH2 OH3 OH4 OM1 OM2 OM3 OM4 OM5 OM6
    OM7 OMC ORC ORG OVR PAC PCE PCR PD1 PDA PDC PEO PES PID PKG PM1 PMT PR1 PRA PRB PRC PRD PRT PSG PSH PSL PSS PTH
    PV1 PV2 PYE QAK QID QPD QRD QRF QRI RCP RDF RDT REL RF1 RFI RGS RMI ROL RQ1 RQD RXA RXC RXD RXE RXG RXO RXR RXV
    SAC SCD SCH SCP SDD SFT SGH SGT SHP SID SLT SPM SPR STF STZ TCC TCD TQ1 TQ2 TXA UAC UB1 UB2 URD URS VAR VND
    VTQ""".split()  # noqa: SIM905 - as a table
)
"""The segments of HL7 v2.1 to v2.9. Other names must begin with Z."""

_WRAPPERS = frozenset({"FHS", "BHS", "BTS", "FTS"})
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")


class Place(NamedTuple):
    """Where a value stands; all numbers count from 1. Prints as ``OBX[3]-5.2``, repetitions as ``PID[1]-3[2].1``."""

    segment: str
    number: int
    field: int
    repetition: int = 1
    component: int = 1
    subcomponent: int = 1

    def __str__(self) -> str:
        repetition = f"[{self.repetition}]" if self.repetition > 1 else ""
        subcomponent = f".{self.subcomponent}" if self.subcomponent > 1 else ""
        component = f".{self.component}" if self.component > 1 or subcomponent else ""
        return f"{self.segment}[{self.number}]-{self.field}{repetition}{component}{subcomponent}"


@dataclass(frozen=True)
class _Grammar:
    """Delimiters and character set of one message."""

    marks: str
    """Field, component and repetition separator, escape character, subcomponent separator, truncation mark."""
    codec: str
    sequence: re.Pattern[str]

    @classmethod
    def of(cls, marks: str, codec: str) -> _Grammar:
        escape = re.escape(marks[3])
        # Adjacent bytes may be one character, so a run of them is one match.
        return cls(marks, codec, re.compile(f"((?:{escape}X[0-9A-Fa-f]+{escape})+)|{escape}([^{escape}]*){escape}"))

    def unescape(self, text: str) -> str:
        """Resolve escape sequences; one that is unknown, or does not decode, stays as it is written."""
        return self.sequence.sub(self._resolve, text) if self.marks[3] in text else text

    def _resolve(self, match: re.Match[str]) -> str:
        whole, code = match[0], match[2]
        if match[1] is not None:
            try:
                return bytes.fromhex("".join(part[1:] for part in whole.split(self.marks[3]))).decode(self.codec)
            except ValueError:
                return whole
        if code in ("F", "S", "R", "E", "T") or (code == "P" and len(self.marks) > 5):
            return self.marks["FSRETP".index(code)]
        if code in ("H", "N", ".fi", ".nf"):  # highlighting and filling say nothing
            return ""
        command = re.fullmatch(r"(\.br|\.sp|\.ce|\.in|\.ti|\.sk)\s?[+-]?([0-9]{0,2})", code)
        if command is None:
            return whole
        return "\n" * (int(command[2] or 1) or 1) if command[1] in (".br", ".sp", ".ce") else " "


@dataclass(repr=False)
class Message:
    """One HL7 v2 message. Private data: prints no value."""

    segments: tuple[Segment, ...]
    grammar: _Grammar
    unterminated: bool
    """Whether the last segment lacks its line end: then it may be cut."""
    outcomes: dict[Place, Finding] = field(default_factory=dict)
    defaults: list[Finding] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Message of {len(self.segments)} segments>"

    def all(self, name: str) -> tuple[Segment, ...]:
        """The segments of that name, in order."""
        return tuple(segment for segment in self.segments if segment.name == name)

    def only(self, name: str) -> Segment:
        """The one segment of that name. Raises `MalformedMessage` where there is none, or a second."""
        found = self.all(name)
        if not found:
            raise self.missing(name)
        if len(found) > 1:
            raise MalformedMessage(f"{name}[2] is a second {name} segment; send one message for each patient and visit")
        return found[0]

    def missing(self, name: str) -> MalformedMessage:
        """What to raise where the message needs a segment that it does not have."""
        return MalformedMessage(
            f"the message lacks {name}, which it needs; it may be cut off after {self.last_place}, send it again"
        )

    @property
    def header(self) -> Segment:
        """MSH, which is always the first segment."""
        return self.segments[0]

    @property
    def last_place(self) -> str:
        """The last segment: ``OBX[3]``."""
        return str(self.segments[-1])

    def report(self) -> Report:
        """A finding for every value; what nobody asked for is *unmapped*, or *unknown* in a Z-segment."""
        findings = []
        for segment in self.segments:
            for place, _ in segment.values():
                findings.append(self.outcomes.get(place) or _unread(place))
        return Report((*findings, *self.defaults))


def _unread(place: Place) -> Finding:
    if place.segment.startswith("Z"):
        return Finding(str(place), Outcome.UNKNOWN, "a segment of the site's own; nothing of it is read")
    return Finding(str(place), Outcome.UNMAPPED, "this version has no place for it")


@dataclass(frozen=True, eq=False, repr=False)
class Segment:
    """One segment: its name, its number among those of that name, and its fields as raw text by place."""

    name: str
    number: int
    leaves: dict[Place, str]
    """The raw text of every place that has one, in order."""
    below: dict[tuple[int, ...], list[Place]]
    """The places below each field, repetition and component."""
    message: Message

    def __str__(self) -> str:
        return f"{self.name}[{self.number}]"

    __repr__ = __str__

    def __getitem__(self, number: int) -> Part:
        return Part(self, (number,))

    def values(self) -> Iterator[tuple[Place, str]]:
        """Every place that has a value, with its raw text."""
        return iter(self.leaves.items())

    def require(self, number: int, what: str) -> Part:
        """The field `number`, which HL7 requires. Raises `MalformedMessage` where it is empty."""
        part = self[number]
        if not part:
            cut = "; the message may be cut off" if self.message.segments[-1] is self else ""
            raise MalformedMessage(f"{self}-{number} ({what}) is empty, but HL7 v2 requires it{cut}; send it complete")
        return part


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """A field, repetition, component or subcomponent, seen from above.

    `part[2]` is its second component (of a field: of the first repetition), `part[2][1]` that one's first
    subcomponent. Missing parts are empty.
    """

    segment: Segment
    path: tuple[int, ...]

    def __getitem__(self, number: int) -> Part:
        path = (*self.path, 1) if len(self.path) == 1 else self.path
        return Part(self.segment, (*path, number))

    def __bool__(self) -> bool:
        """Whether there is a value here or below; the null ``""`` is none."""
        return any(self.segment.leaves[place] != DELETE for place in self._places())

    @property
    def place(self) -> Place:
        """The first place of this part."""
        return Place(self.segment.name, self.segment.number, *self.path)

    def repetitions(self) -> tuple[Part, ...]:
        """The repetitions of a field that have a value, in order."""
        numbers = dict.fromkeys(place.repetition for place in self.segment.below.get(self.path[:1], ()))
        return tuple(part for number in numbers if (part := Part(self.segment, (self.path[0], number))))

    def peek(self) -> str:
        """The text of the first place, without escapes and outer blanks; empty where there is none or it is null."""
        raw = self.segment.leaves.get(self.place, "")
        return "" if raw == DELETE else self.segment.message.grammar.unescape(raw).strip()

    def text(self) -> str:
        """As `peek`, and the value is mapped."""
        self.settle(Outcome.MAPPED)
        return self.peek()

    def settle(self, outcome: Outcome, reason: str = "") -> None:
        """Say what became of the value at the first place; nothing where there is none."""
        raw = self.segment.leaves.get(self.place, "")
        if raw == DELETE:
            outcome, reason = Outcome.IGNORED, "asks for a deletion; the element is left out"
        if raw:
            self.segment.message.outcomes[self.place] = Finding(str(self.place), outcome, reason)

    def settle_all(self, outcome: Outcome, reason: str = "") -> None:
        """Say what became of every value here and below."""
        for place in self._places():
            Part(self.segment, place[2:]).settle(outcome, reason)

    def default(self, reason: str) -> None:
        """Say that there was no value here, and what was chosen for it."""
        self.segment.message.defaults.append(Finding(str(self.place), Outcome.DEFAULT, reason))

    def whole(self) -> str:
        """Every component and subcomponent, joined by blanks, all mapped: for values without structure."""
        texts = [Part(self.segment, place[2:]).text() for place in self._places()]
        return " ".join(text for text in texts if text)

    def _places(self) -> Sequence[Place]:
        """The places here and below that have a value."""
        return self.segment.below.get(self.path, ())


def parse(data: bytes) -> Message:
    """Read one message: byte-order mark, MLLP framing and any line end are taken off, the text decoded by MSH-18.

    Raises `UnknownFormat` for batches, `MalformedMessage` for what is broken.
    """
    body = _unframe(data)
    marks, codec = _header(body)
    if sum(body.count(mark.encode()) for mark in marks[:5]) > MAX_PARTS:
        raise MalformedMessage(f"the message has more than {MAX_PARTS} fields and components; split it")
    try:
        text = body.decode(codec)
    except UnicodeDecodeError as problem:
        line = body[: problem.start].replace(b"\r\n", b"\r").replace(b"\n", b"\r").count(b"\r") + 1
        raise MalformedMessage(
            f"line {line} holds bytes outside the character set of MSH-18 (UTF-8 where it is empty); name the right one"
        ) from None
    text = text.replace("\r\n", "\r").replace("\n", "\r")
    unterminated = not text.endswith("\r")
    lines = [line.strip(" \t\0") for line in text.split("\r")]
    _check_lines(lines, marks[0])
    parsed = hl7.parse("\r".join(line for line in lines if line))
    message = Message((), _Grammar.of(marks, codec), unterminated)
    numbers: dict[str, int] = {}
    segments = []
    for fields in parsed:
        name = str(fields[0])
        numbers[name] = number = numbers.get(name, 0) + 1
        leaves = {place: raw for place, raw in _leaves(name, number, fields) if raw}
        below: dict[tuple[int, ...], list[Place]] = {}
        for place in leaves:
            path = (place.field, place.repetition, place.component, place.subcomponent)
            for depth in range(1, 5):
                below.setdefault(path[:depth], []).append(place)
        segments.append(Segment(name, number, leaves, below, message))
    message.segments = tuple(segments)
    return message


def _unframe(data: bytes) -> bytes:
    body = data.removeprefix(_BOM).lstrip(b" \t\r\n")
    if body.startswith(_MLLP_START):
        body, end, rest = body[1:].partition(_MLLP_END)
        if not end:
            raise MalformedMessage("the MLLP frame has no end (byte 1C); the message is cut off, send it again")
        if rest.strip():
            raise UnknownFormat("the input holds several MLLP frames; read the messages one by one")
    return re.sub(rb"\x1c[\r\n]*\Z", b"", body).removeprefix(_BOM)


def _header(body: bytes) -> tuple[str, str]:
    """The five or six marks of MSH-1 and MSH-2, and the codec that MSH-18 names."""
    header = re.split(rb"[\r\n]", body, maxsplit=1)[0]
    if header[:3] in (b"FHS", b"BHS"):
        raise UnknownFormat(
            "the input is a batch of HL7 messages (FHS, BHS); split it and read the messages one by one"
        )
    encoding = header[3:].split(header[3:4], 2)[1] if header[3:4] else b""
    marks = header[3:4] + encoding
    sound = re.fullmatch(rb"[!-/:-@\[-`{-~]{5,6}", marks) and len(set(marks)) == len(marks)
    if not sound or header.count(marks[:1]) < 3:
        raise MalformedMessage(
            "MSH[1]-2 does not hold four or five encoding characters (^~\\&); the message may be cut off"
        )
    fields = header.split(marks[:1])
    named = fields[17].split(marks[2:3])[0].strip().decode("ascii", "replace").upper() if len(fields) > 17 else ""
    if named not in _CHARSETS:
        accepted = ", ".join(name for name in _CHARSETS if name)
        raise MalformedMessage(f"MSH[1]-18 names a character set that is not read; accepted are: {accepted}")
    return marks.decode("ascii"), _CHARSETS[named]


def _check_lines(lines: list[str], separator: str) -> None:
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        name = line[:3]
        known = bool(_NAME.fullmatch(name)) and (name in _SEGMENTS or name.startswith("Z"))
        if not known or line[3:4] not in ("", separator):
            raise MalformedMessage(
                f"line {number} does not begin with the name of a segment; the line before it is broken in two, "
                "or the message is cut off"
            )
        if name in _WRAPPERS or (name == "MSH" and number > 1 and any(lines[: number - 1])):
            raise UnknownFormat(f"line {number} begins another message or ends a batch; read the messages one by one")


def _leaves(name: str, number: int, fields: hl7.Segment) -> Iterator[tuple[Place, str]]:
    for at_field, repetitions in enumerate(fields):
        if at_field == 0:
            continue
        for at_repetition, components in enumerate(repetitions, 1):
            for at_component, subcomponents in enumerate(_list(components), 1):
                for at_subcomponent, raw in enumerate(_list(subcomponents), 1):
                    place = Place(name, number, at_field, at_repetition, at_component, at_subcomponent)
                    yield place, str(raw).strip()


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]
