"""The data elements of a DICOM file, up to its pixel data (PS3.5, section 7; PS3.10, section 7).

One broken element breaks nothing but itself: what cannot be followed ends its item, and is said in the report. The
bytes are walked once; sequences that nobody asks for are counted, not kept.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from medibridge.errors import MalformedMessage, UsageError

__all__ = [
    "MAX_HEADER",
    "Broken",
    "Element",
    "Header",
    "Item",
    "keyword_of",
    "place_of",
    "plausible_start",
    "read_header",
    "tag_of",
]

MAX_HEADER: Final = 16 * 2**20
"""Bytes before the pixel data, deflated or not. Headers of files with a thousand frames have about one MiB."""

MAX_ELEMENTS: Final = 100_000
"""Elements that are kept; ordinary files have a few hundred."""

MAX_WALKED: Final = 1_000_000
"""Elements and items, with those that are passed over; a file with thousands of frames has some hundred thousand."""

MAX_DEPTH: Final = 32
"""Sequences within sequences; ordinary files have up to six."""

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_PIXELS: Final = frozenset({0x7FE00001, 0x7FE00008, 0x7FE00009, 0x7FE00010})
_DOCUMENT: Final = 0x00420011
_TRANSFER_SYNTAX: Final = 0x00020010
_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DEFLATED: Final = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95")

_SHORT: Final = frozenset("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())  # noqa: SIM905
_LONG: Final = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # noqa: SIM905 - as tables of PS3.5, 6.2
_NESTING: Final = ("SQ", "UN", "")
_TEXT: Final = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())  # noqa: SIM905
_VRS: Final = {vr.encode(): vr for vr in _SHORT | _LONG}


def _heads(order: str) -> Callable[[memoryview, int], tuple[int, int, bytes, int, int]]:
    """Group, number, VR and short length; and what stands in place of the last two, where there is no VR."""
    explicit, implicit = struct.Struct(f"{order}HH2sH").unpack_from, struct.Struct(f"{order}L").unpack_from
    return lambda view, at: (*explicit(view, at), *implicit(view, at + 4))


_LITTLE, _BIG = _heads("<"), _heads(">")
_LONG_LITTLE, _LONG_BIG = struct.Struct("<L").unpack_from, struct.Struct(">L").unpack_from


@dataclass(frozen=True, repr=False)
class Element:
    """One data element. `vr` is that of the file, else of the dictionary, else ``UN``.

    `items` are those of a sequence that was asked for; of others, `below` counts the elements.
    """

    tag: int
    vr: str
    place: str
    value: memoryview
    items: tuple[Item, ...] = ()
    below: int = 0

    def __repr__(self) -> str:
        return f"<Element {self.place} {self.vr}, {len(self.value)} bytes>"

    @property
    def is_empty(self) -> bool:
        """Whether there is no value: PS3.5 pads with blanks and NUL."""
        padding = b" \0" if self.vr in _TEXT else b""
        return not self.items and not self.below and not bytes(self.value[:4096]).strip(padding)


@dataclass(frozen=True, repr=False)
class Item:
    """The elements of a file, or of an item of a sequence, in the order of the file; each tag once."""

    elements: dict[int, Element]


@dataclass(frozen=True)
class Broken:
    """Where the bytes cannot be followed, and why."""

    place: str
    reason: str


@dataclass(frozen=True, repr=False)
class Header:
    """All before the pixel data.

    `pixels_place` names the element that holds these, empty where there is none; `pixels_end` is where they end in
    the file, where that is known. `stopped` says that the bytes ended before the file did.
    """

    item: Item
    transfer_syntax: str
    broken: tuple[Broken, ...]
    pixels_place: str = ""
    pixels_end: int | None = None
    stopped: bool = False


@functools.cache
def tag_of(keyword: str) -> int:
    """The tag of a keyword of PS3.6. Raises `UsageError` where there is none."""
    from pydicom.datadict import tag_for_keyword  # noqa: PLC0415 - slow to import

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise UsageError(f"{keyword} is not a keyword of DICOM; correct the table of elements")
    return int(tag)


@functools.lru_cache(maxsize=65_536)
def keyword_of(tag: int) -> str:
    """The keyword of a tag of PS3.6; empty where it has none."""
    from pydicom.datadict import keyword_for_tag  # noqa: PLC0415

    return str(keyword_for_tag(tag))


@functools.lru_cache(maxsize=65_536)
def _dictionary_vr(tag: int) -> str:
    from pydicom.datadict import dictionary_VR  # noqa: PLC0415

    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    if not tag & 0xFFFF:
        return "UL"
    try:
        return str(dictionary_VR(tag)).split(" ", maxsplit=1)[0]
    except KeyError:
        return "UN"


def place_of(tag: int) -> str:
    """``(0010,0030)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def plausible_start(data: bytes) -> bool:
    """Whether bytes without preamble begin with three elements in ascending order, from group 0002 or 0008."""
    for little in (True, False):
        order: Literal["little", "big"] = "little" if little else "big"
        if int.from_bytes(data[:2], order) not in (0x0002, 0x0008):
            continue
        at, before = 0, -1
        for _ in range(3):
            head = data[at : at + 12]
            tag = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)
            vr = _VRS.get(head[4:6], "")
            if len(head) < 12 or tag <= before or tag >> 16 > 0x0020:
                return False
            if vr in _LONG:
                length, at = int.from_bytes(head[8:12], order), at + 12
            elif vr:
                length, at = int.from_bytes(head[6:8], order), at + 8
            else:
                length, at = int.from_bytes(head[4:8], order), at + 8
            if length > 4096:
                return False
            at, before = at + length, tag
        return True
    return False


def read_header(data: bytes, wanted: frozenset[int], last: int | None = None) -> Header:
    """Read the elements before the pixel data. `wanted` are the sequences to keep; reading ends after the tag `last`.

    `data` is the file, or its beginning. Raises `MalformedMessage` where there are more than `MAX_ELEMENTS`, and for
    deflated data that does not inflate.
    """
    tag_of("PatientID")  # says so where pydicom is not installed
    view = memoryview(data)
    start = 132 if data[128:132] == b"DICM" else 0
    walk = _Walk(view, little=True, implicit=False, wanted=wanted, last=last)
    found = walk.elements(start, len(view), group=0x0002)
    end = walk.at
    held = found.get(_TRANSFER_SYNTAX)
    syntax = bytes(held.value).rstrip(b"\0 ").decode("ascii", "replace") if held else ""
    if syntax in _DEFLATED:
        view = memoryview(_inflated(data[end:]))
        end = 0
    implicit, little = _encoding(view, end, syntax)
    body = _Walk(view, little=little, implicit=implicit, wanted=wanted, last=last, kept=walk.kept)
    found = {**found, **body.elements(end, len(view))}
    deflated = view.obj is not data
    return Header(
        Item(found),
        syntax,
        (*walk.broken, *body.broken),
        body.pixels_place,
        None if deflated else body.pixels_end,
        stopped=body.at >= len(view) and not body.pixels_place,
    )


def _inflated(data: bytes) -> bytes:
    """The first `MAX_HEADER` bytes of deflated data (RFC 1951), whatever it may grow to."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_HEADER)
    except zlib.error:
        raise MalformedMessage("the deflated part of the DICOM file does not inflate; send the file again") from None


def _encoding(view: memoryview, at: int, syntax: str) -> tuple[bool, bool]:
    """Implicit VR? Little endian? As the first element looks, where that is not what the transfer syntax says."""
    head = bytes(view[at : at + 6])
    if len(head) < 6:
        return syntax == _IMPLICIT, syntax != _BIG_ENDIAN
    # The first group is low: read the wrong way round it is beyond all groups.
    little = int.from_bytes(head[:2], "little") <= int.from_bytes(head[:2], "big")
    return head[4:6] not in _VRS, little


@dataclass
class _Walk:
    view: memoryview
    little: bool
    implicit: bool
    wanted: frozenset[int]
    last: int | None = None
    kept: int = 0
    walked: int = 0
    at: int = 0
    broken: list[Broken] = field(default_factory=list)
    pixels_place: str = ""
    pixels_end: int | None = None
    _unkept: int = 0

    def elements(self, start: int, end: int, *, group: int | None = None) -> dict[int, Element]:
        """Those of the file itself; of one group, where it is given."""
        return self._elements(start, end, "", 0, group)

    def _elements(
        self, start: int, end: int, above: str, depth: int, group: int | None = None, *, keep: bool = True
    ) -> dict[int, Element]:
        found: dict[int, Element] = {}
        self.at = start
        while self.at + 8 <= end:
            begin = self.at
            tag, vr, length = self._head(end)
            if group is not None and tag >> 16 != group:
                self.at = begin
                return found
            if tag in (_ITEM_END, _SEQUENCE_END) or (not depth and self._is_last(tag, begin, length)):
                return found
            if not keep and self.at + length <= end and vr not in _NESTING:
                self.at += length
                self._unkept += 1
                continue
            element = self._element(tag, vr, length, end, above, depth, keep=keep)
            if element is None:
                return found
            if keep:
                self._keep(element, found)
            else:
                self._unkept += 1 + element.below
        if self.at < end:
            if any(self.view[self.at : end]):
                self._break(above + "the end", "holds bytes that are no element")
            self.at = end
        return found

    def _element(
        self, tag: int, vr: str, length: int, end: int, above: str, depth: int, *, keep: bool
    ) -> Element | None:
        """The element whose value begins here; None where what follows it cannot be found."""
        if length == _UNDEFINED:
            return self._undefined(tag, vr, end, above, depth, keep=keep)
        if self.at + length > end:
            self._break(above + place_of(tag), "is longer than what holds it; the file is cut off, or broken here")
            self.at = end
            return None
        return self._defined(tag, vr, length, above, depth, keep=keep)

    def _keep(self, element: Element, found: dict[int, Element]) -> None:
        self._count(element.place)
        if element.tag in found:
            self._break(element.place, "comes twice; the first holds")
        else:
            found[element.tag] = element

    def _count(self, place: str) -> None:
        self.kept += 1
        if self.kept > MAX_ELEMENTS:
            raise MalformedMessage(f"{place} is beyond {MAX_ELEMENTS} elements, which is the most; split it")

    def _is_last(self, tag: int, begin: int, length: int) -> bool:
        """Whether the header ends here: with the pixel data, a long document, or after what was asked for."""
        if tag in _PIXELS or (tag == _DOCUMENT and length < _UNDEFINED and self.at + length > MAX_HEADER):
            self.pixels_place = place_of(tag)
            self.pixels_end = None if length == _UNDEFINED else self.at + length
            return True
        if self.last is not None and self.last < tag < _ITEM:
            self.at = begin
            self.pixels_place = place_of(self.last)
            return True
        return False

    def _head(self, end: int) -> tuple[int, str, int]:
        """Tag, VR and length. A VR that is none means that this element has none (some writers switch)."""
        self.walked += 1
        if self.walked > MAX_WALKED:
            raise MalformedMessage(
                f"the DICOM file has more than {MAX_WALKED} elements before its pixel data; split it"
            )
        group, number, code, short, long = (_LITTLE if self.little else _BIG)(self.view, self.at)
        tag = group << 16 | number
        if group == 0xFFFE:
            self.at += 8
            return tag, "", long
        vr = _VRS.get(code, "")
        if self.implicit or not (vr or (code.isalpha() and code.isupper())):
            self.at += 8
            return tag, _dictionary_vr(tag), long
        if vr in _SHORT or (not vr and short):
            self.at += 8
            return tag, vr or "UN", short
        if self.at + 12 > end:
            self.at = end
            return tag, vr, 1
        self.at += 12
        return tag, vr or "UN", (_LONG_LITTLE if self.little else _LONG_BIG)(self.view, self.at - 4)[0]

    def _defined(self, tag: int, vr: str, length: int, above: str, depth: int, *, keep: bool) -> Element | None:
        start, end = self.at, self.at + length
        known = _dictionary_vr(tag) if vr == "UN" else vr
        if known == "SQ":
            found = self._sequence(tag, end, above, depth, keep=keep, implicit=self.implicit or vr == "UN")
            self.at = end
            return found
        self.at = end
        return Element(tag, known, above + place_of(tag), self.view[start:end])

    def _undefined(self, tag: int, vr: str, end: int, above: str, depth: int, *, keep: bool) -> Element | None:
        """A sequence up to its delimiter; or the fragments of encapsulated data. UN is implicit VR (PS3.5, 6.2.2)."""
        if vr in ("SQ", "UN", ""):
            return self._sequence(
                tag, end, above, depth, keep=keep, implicit=self.implicit or vr == "UN", delimited=True
            )
        for _ in self._items(end, above + place_of(tag)):
            pass
        return Element(tag, vr, above + place_of(tag), self.view[0:0], below=1)

    def _sequence(
        self, tag: int, end: int, above: str, depth: int, *, keep: bool, implicit: bool, delimited: bool = False
    ) -> Element | None:
        place = above + place_of(tag)
        if depth >= MAX_DEPTH:
            self._break(place, f"is nested deeper than {MAX_DEPTH} sequences")
            if delimited:
                self.at = end
                return None
            return Element(tag, "SQ", place, self.view[0:0], below=1)
        keep = keep and tag in self.wanted
        name = above + (keyword_of(tag) or place_of(tag))
        before, self._unkept = self._unkept, 0
        was, self.implicit = self.implicit, implicit
        items = []
        for number, (start, stop) in enumerate(self._items(end, place), 1):
            elements = self._elements(start, stop, f"{name}[{number}].", depth + 1, keep=keep)
            if keep:
                self._count(place)
                items.append(Item(elements))
        self.implicit = was
        below, self._unkept = self._unkept, before
        return Element(tag, "SQ", place, self.view[0:0], tuple(items), below)

    def _items(self, end: int, place: str) -> Iterator[tuple[int, int]]:
        """Start and end of each item. Whoever takes one leaves `at` where it stopped reading."""
        while self.at + 8 <= end:
            tag, _, length = self._head(end)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                self._break(place, "does not hold items where it should; the rest of it is left out")
                self.at = end
                return
            start = self.at
            if length == _UNDEFINED:
                yield start, end
                continue
            stop = start + length
            if stop > end:
                self._break(place, "is longer than what holds it; the file is cut off, or broken here")
                stop = end
            yield start, stop
            self.at = stop

    def _break(self, place: str, reason: str) -> None:
        if len(self.broken) < 1000:
            self.broken.append(Broken(place, reason))
