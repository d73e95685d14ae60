"""An HL7 v2 message as a tree of places, each of which remembers what became of its value.

Segments, repetitions, components and empty or null fields as in HL7 v2.9 chapter 2 (2.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from medibridge.errors import MalformedMessage, UnknownFormat
from medibridge.formats.conversion import Finding, Outcome, Report
from medibridge.formats.hl7v2.grammar import Grammar, grammar_of

__all__ = ["EMPTY", "MAX_SIZE", "Message", "Part", "Segment", "parse"]

MAX_SIZE: Final = 16 * 2**20
"""Bytes of one message; ordinary messages have a few thousand, with a document inside a few million."""

MAX_PARTS: Final = 500_000
"""Delimiters in one message; ordinary messages have a few thousand."""

MAX_SEGMENTS: Final = 20_000
"""Segments in one message; large ones have a few hundred."""

_BOM = b"\xef\xbb\xbf"
_MLLP_START, _MLLP_END = b"\x0b", b"\x1c"
_WRAPPERS = frozenset({"FHS", "BHS", "BTS", "FTS"})
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")

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


class Part:
    """A repetition of a field, a component or a subcomponent; what is missing is `EMPTY`.

    `text` is the value without escapes and outer blanks, of the first place below where there are several.
    `below` are the parts that it is made of, None where it is one value.
    """

    __slots__ = ("below", "outcome", "reason", "target", "text")

    def __init__(self, text: str, below: list[Part] | None = None) -> None:
        self.text = text
        self.below = below
        self.outcome: Outcome | None = None
        self.reason = ""
        self.target = ""

    def __repr__(self) -> str:
        return "<Part>"

    def __getitem__(self, number: int) -> Part:
        """The component or subcomponent `number`, from 1. The first of what is one value is itself."""
        below = self.below
        if below is None:
            return self if number == 1 else EMPTY
        return below[number - 1] if number <= len(below) else EMPTY

    def __bool__(self) -> bool:
        """Whether there is a value here or below; the null ``""`` is none."""
        return bool(self.text) or (self.below is not None and any(self.below))

    @property
    def is_mapped(self) -> bool:
        """Whether the value (the first one below) is in a resource."""
        part = self
        while part.below is not None:
            part = part.below[0]
        return part.outcome is Outcome.MAPPED

    def mapped(self, target: str) -> str:
        """Say that the value (the first one below) is in the FHIR element `target`; gives the value."""
        part = self
        while part.below is not None:
            part = part.below[0]
        if part.outcome is not Outcome.MAPPED and part.text:
            part.outcome, part.target, part.reason = Outcome.MAPPED, target, ""
        return part.text

    def settle(self, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of the value (the first one below). What was mapped once stays mapped."""
        part = self
        while part.below is not None:
            part = part.below[0]
        if part.text and part.outcome is not Outcome.MAPPED:
            part.outcome, part.reason, part.target = outcome, reason, target

    def settle_all(self, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of every value here and below that nothing was said about yet."""
        for leaf in self.leaves():
            if leaf.outcome is None:
                leaf.outcome, leaf.reason, leaf.target = outcome, reason, target

    def revoke(self, reason: str) -> None:
        """Say that what was mapped here and below is in no resource after all."""
        for leaf in self.leaves():
            if leaf.outcome is Outcome.MAPPED:
                leaf.outcome, leaf.reason, leaf.target = Outcome.UNMAPPED, reason, ""

    def leaves(self) -> Iterator[Part]:
        """The values here and below."""
        if self.below is None:
            if self.text:
                yield self
        else:
            for part in self.below:
                yield from part.leaves()

    def words(self) -> list[str]:
        """The texts here and below, whatever becomes of them."""
        return [leaf.text for leaf in self.leaves()]

    def unread(self, place: str, found: list[tuple[str, Part]]) -> None:
        """Add the values here and below that are in no resource yet to `found`, with their places (``PV1.3.6``)."""
        if self.below is None:
            if self.text and (self.outcome is None or self.outcome is Outcome.UNMAPPED):
                found.append((place, self))
            return
        for number, part in enumerate(self.below, 1):
            if part is not EMPTY:
                part.unread(f"{place}.{number}", found)

    def whole(self, target: str) -> str:
        """Every value here and below, joined by blanks and mapped: for what has no structure in FHIR."""
        if self.below is None:
            return self.mapped(target)
        return " ".join([leaf.mapped(target) for leaf in self.leaves()])


EMPTY: Final = Part("")
"""What is not there."""


class Segment:
    """One segment: its name, its number among those of that name, and its fields by number, each with repetitions."""

    __slots__ = ("fields", "name", "number", "width")

    def __init__(self, name: str, number: int, fields: dict[int, list[Part]], width: int) -> None:
        self.name = name
        self.number = number
        self.fields = fields
        self.width = width
        """How many fields were sent, empty ones too."""

    def __str__(self) -> str:
        return f"{self.name}[{self.number}]"

    __repr__ = __str__

    def __getitem__(self, number: int) -> Part:
        """The first repetition of a field."""
        repetitions = self.fields.get(number)
        return repetitions[0] if repetitions else EMPTY

    def findings(self) -> Iterator[Finding]:
        """One for every value, in order."""
        start = f"{self.name}[{self.number}]-"
        ours = self.name[0] == "Z"
        for number, repetitions in self.fields.items():
            place = f"{start}{number}"
            for at, part in enumerate(repetitions, 1):
                here = place if at == 1 else f"{place}[{at}]"
                if part.below is None:
                    if part.text or part.outcome is not None:
                        yield _finding(part, here, ours)
                    continue
                for c, component in enumerate(part.below, 1):
                    if component.below is None:
                        if component.text or component.outcome is not None:
                            yield _finding(component, here if c == 1 else f"{here}.{c}", ours)
                        continue
                    for s, leaf in enumerate(component.below, 1):
                        if leaf.text or leaf.outcome is not None:
                            deeper = here if c == s == 1 else f"{here}.{c}" if s == 1 else f"{here}.{c}.{s}"
                            yield _finding(leaf, deeper, ours)


_UNKNOWN = "a segment of the site's own; the profile does not say what it is"
_UNMAPPED = "this version has no place for it"


def _finding(leaf: Part, place: str, ours: bool) -> Finding:
    if leaf.outcome is None:
        return Finding(place, Outcome.UNKNOWN, _UNKNOWN) if ours else Finding(place, Outcome.UNMAPPED, _UNMAPPED)
    return Finding(place, leaf.outcome, leaf.reason, leaf.target)


class Message:
    """One HL7 v2 message. Private data: prints no value."""

    __slots__ = ("_by_name", "defaults", "grammar", "segments", "unterminated")

    def __init__(self, segments: list[Segment], grammar: Grammar, *, unterminated: bool) -> None:
        self.segments = segments
        self.grammar = grammar
        self.unterminated = unterminated
        """Whether the last segment lacks its line end: then it may be cut."""
        self.defaults: list[Finding] = []
        self._by_name: dict[str, list[Segment]] = {}
        for segment in segments:
            self._by_name.setdefault(segment.name, []).append(segment)

    def __repr__(self) -> str:
        return f"<Message of {len(self.segments)} segments>"

    def all(self, name: str) -> list[Segment]:
        """The segments of that name, in order."""
        return self._by_name.get(name, [])

    @property
    def header(self) -> Segment:
        """MSH, which is always the first segment."""
        return self.segments[0]

    def default(self, place: str, reason: str) -> None:
        """Say that there was no value at a place, and what was chosen for it."""
        self.defaults.append(Finding(place, Outcome.DEFAULT, reason))

    def report(self) -> Report:
        """A finding for every value; what nobody asked for is *unmapped*, or *unknown* in a Z-segment."""
        findings = [finding for segment in self.segments for finding in segment.findings()]
        return Report((*findings, *self.defaults))


def parse(data: bytes) -> Message:
    """Read one message: byte-order mark, MLLP framing and any line end are taken off, the text decoded by MSH-18.

    Raises `UnknownFormat` for several messages, `MalformedMessage` for what is broken.
    """
    if len(data) > MAX_SIZE:
        raise MalformedMessage(f"the message is larger than {MAX_SIZE // 2**20} MiB; split it")
    body = _unframe(data)
    if body[:3] in (b"FHS", b"BHS", b"BTS", b"FTS"):
        raise UnknownFormat("the input is a batch of HL7 messages (FHS, BHS); read it with read_all")
    grammar = grammar_of(body)
    if sum(body.count(mark.encode()) for mark in (*grammar.marks[:5], "\r", "\n")) > MAX_PARTS:
        raise MalformedMessage(f"the message has more than {MAX_PARTS} fields and components; split it")
    try:
        text = body.decode(grammar.codec)
    except UnicodeDecodeError as problem:
        line = body[: problem.start].replace(b"\r\n", b"\r").replace(b"\n", b"\r").count(b"\r") + 1
        raise MalformedMessage(
            f"line {line} holds bytes outside the character set of MSH-18 (UTF-8 where it is empty); name the right one"
        ) from None
    if "\n" in text:
        text = text.replace("\r\n", "\r").replace("\n", "\r")
    return Message(_segments(text, grammar), grammar, unterminated=not text.endswith("\r"))


def _unframe(data: bytes) -> bytes:
    body = data.removeprefix(_BOM).lstrip(b" \t\r\n").removeprefix(_BOM)
    if body.startswith(_MLLP_START):
        body, end, rest = body[1:].partition(_MLLP_END)
        if not end:
            raise MalformedMessage("the MLLP frame has no end (byte 1C); the message is cut off, send it again")
        if rest.strip(b" \t\r\n\x1c"):
            raise UnknownFormat("the input holds several MLLP frames; read it with read_all")
        if not body.endswith((b"\r", b"\n")):
            body += b"\r"  # the frame is complete, so the last segment is
        return body.lstrip(b" \t\r\n").removeprefix(_BOM)
    if data.rstrip(b"\r\n\x1c") != data.rstrip(b"\r\n"):
        return body.rstrip(b"\r\n\x1c") + b"\r"
    return body


def _segments(text: str, grammar: Grammar) -> list[Segment]:
    read = _Reading(grammar)
    mark = grammar.marks[0]
    segments: list[Segment] = []
    numbers: dict[str, int] = {}
    for at, raw in enumerate(text.split("\r"), 1):
        line = raw.strip(" \t\0")
        if not line:
            continue
        name = line[:3]
        known = name in _SEGMENTS or (name[0] == "Z" and _NAME.fullmatch(name) is not None)
        if not known or line[3:4] not in ("", mark):
            raise MalformedMessage(
                f"line {at} does not begin with the name of a segment; the line before it is broken in two, "
                "or the message is cut off"
            )
        if name in _WRAPPERS or (name == "MSH") is bool(segments):
            raise UnknownFormat(f"line {at} begins another message or ends a batch; read the messages with read_all")
        if len(segments) == MAX_SEGMENTS:
            raise MalformedMessage(f"the message has more than {MAX_SEGMENTS} segments; split it")
        number = numbers[name] = numbers.get(name, 0) + 1
        values = line.split(mark)
        if name == "MSH":
            values[0:2] = ["MSH", mark, values[1]]
        fields = {n: read.field(value) for n, value in enumerate(values) if n and value}
        if name == "MSH":
            fields[1], fields[2] = [Part(mark)], [Part(values[2])]
        segments.append(Segment(name, number, fields, len(values) - 1))
    return segments


class _Reading:
    """Makes the tree of a field. Plain code in the order of the levels, as most of the time of a parse is here."""

    def __init__(self, grammar: Grammar) -> None:
        marks = grammar.marks
        self.component_mark, self.repetition_mark, self.escape, self.sub_mark = marks[1], marks[2], marks[3], marks[4]
        self.unescape = grammar.unescape

    def field(self, raw: str) -> list[Part]:
        if self.repetition_mark in raw:
            return [self.repetition(piece) for piece in raw.split(self.repetition_mark)]
        return [self.repetition(raw)]

    def repetition(self, raw: str) -> Part:
        if self.component_mark in raw:
            below = [self.component(piece) if piece else EMPTY for piece in raw.split(self.component_mark)]
            return Part(below[0].text, below)
        if self.sub_mark in raw:
            component = self.component(raw)
            return Part(component.text, [component])
        return self.leaf(raw)

    def component(self, raw: str) -> Part:
        if self.sub_mark in raw:
            below = [self.leaf(piece) if piece else EMPTY for piece in raw.split(self.sub_mark)]
            return Part(below[0].text, below)
        return self.leaf(raw)

    def leaf(self, raw: str) -> Part:
        raw = raw.strip()
        if raw == '""':
            part = Part("")
            part.outcome, part.reason = Outcome.IGNORED, "asks for a deletion; the element is left out"
            return part
        if self.escape in raw:
            text = self.unescape(raw).strip()
            part = Part(text)
            if raw and not text:
                part.outcome, part.reason = Outcome.IGNORED, "an escape sequence that stands for nothing"
            return part
        return Part(raw) if raw else EMPTY
