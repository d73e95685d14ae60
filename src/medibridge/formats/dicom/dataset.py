"""The elements of a file as values, and what became of each: nothing is read without being accounted for."""

from __future__ import annotations

import datetime
import re
import struct
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Finding, Outcome
from medibridge.formats.dicom.elements import Element, Header, Item, place_of, tag_of
from medibridge.formats.settings import Settings
from medibridge.record import Number

__all__ = ["Dataset", "Ledger"]

_CHARSET: Final = 0x00080005
_ZONE: Final = 0x00080201
_MULTIPLE: Final = frozenset("AE AS CS DA DS DT IS LO PN SH TM UC UI".split())  # noqa: SIM905 - as a table
_PAST_ASCII: Final = frozenset("LO LT PN SH ST UC UT".split())  # noqa: SIM905
_BINARY: Final = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ESCAPED: Final = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_MAX_TEXT: Final = 2**20

_DATE: Final = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)", re.ASCII)
_TIME: Final = re.compile(r"(\d\d):?(?:(\d\d):?(?:(\d\d)(\.\d{1,6})?)?)?", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_OFFSET: Final = re.compile(r"[+-](0\d|1[0-4])[0-5]\d", re.ASCII)
_DECIMAL: Final = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)
_UID: Final = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)


@dataclass
class Ledger:
    """What became of each value. `strict` refuses the file at the first invalid one."""

    strict: bool
    outcomes: dict[str, Finding] = field(default_factory=dict)
    more: list[Finding] = field(default_factory=list)
    """What has no value of its own: defaults, and where the file is broken."""

    def settle(self, place: str, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of the value at a place. What was left out as invalid stays so."""
        known = self.outcomes.get(place)
        if known is None or known.outcome is not Outcome.INVALID:
            self.outcomes[place] = Finding(place, outcome, reason, target)

    def invalid(self, place: str, reason: str) -> None:
        """Say that a value is left out as invalid. Raises `MalformedMessage` in strict mode."""
        if self.strict:
            raise MalformedMessage(f"{place} is {reason}; correct it, or read it without strict")
        self.outcomes[place] = Finding(place, Outcome.INVALID, f"{reason}; left out")

    def default(self, place: str, reason: str) -> None:
        """Say that there was no value, and what was chosen."""
        self.more.append(Finding(place, Outcome.DEFAULT, reason))

    def broken(self, place: str, reason: str) -> None:
        """Say that the file cannot be followed there. Raises `MalformedMessage` in strict mode."""
        if self.strict:
            raise MalformedMessage(f"{place} {reason}; send the file again, or read it without strict")
        self.more.append(Finding(place, Outcome.INVALID, reason))


class Dataset:
    """The elements of a file, or of an item of a sequence, by keyword.

    What is asked for is settled as mapped to `target`, or as invalid; it is then None or missing.
    """

    def __init__(self, header: Header, ledger: Ledger, settings: Settings) -> None:
        self._item = header.item
        self._little = header.transfer_syntax != "1.2.840.10008.1.2.2"
        self._above = ""
        self.ledger = ledger
        self._zone = settings.profile.zone
        self._charset: tuple[str, ...] = ("ascii",)
        self._offset = ""
        self._read_charset()
        self._read_offset()

    def below(self, item: Item) -> Dataset:
        """The dataset of an item of a sequence; character set and offset hold on."""
        found = object.__new__(Dataset)
        found.__dict__.update(self.__dict__)
        found._item = item
        found._read_charset()
        return found

    # --- elements

    def element(self, keyword: str) -> Element | None:
        """The element, where it has a value."""
        found = self._item.elements.get(tag_of(keyword))
        return None if found is None or found.is_empty else found

    def elements(self) -> Iterator[Element]:
        """All elements, in the order of the file."""
        return iter(self._item.elements.values())

    def place(self, keyword: str) -> str:
        """The place of an element, whether it is there or not."""
        found = self._item.elements.get(tag_of(keyword))
        return found.place if found else place_of(tag_of(keyword))

    def items(self, keyword: str) -> tuple[Dataset, ...]:
        """The items of a sequence."""
        found = self.element(keyword)
        return tuple(self.below(item) for item in found.items) if found else ()

    def settle(self, keyword: str, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of an element."""
        if found := self.element(keyword):
            self.ledger.settle(found.place, outcome, reason, target)

    def invalid(self, keyword: str, reason: str) -> None:
        """Say that an element is left out as invalid."""
        self.ledger.invalid(self.place(keyword), reason)

    # --- text

    def peek(self, keyword: str) -> str:
        """The first text of an element, without saying what became of it."""
        found = self.element(keyword)
        return self._decoded(found)[0] if found and self._decoded(found) else ""

    def text(self, keyword: str, target: str) -> str:
        """The one text of an element; further ones are reported."""
        texts = self.texts(keyword, target)
        if len(texts) > 1:
            self.settle(keyword, Outcome.PARTLY, "several values; the first is kept", target)
        return texts[0] if texts else ""

    def texts(self, keyword: str, target: str) -> list[str]:
        """Every text of an element."""
        found = self.element(keyword)
        if found is None:
            return []
        texts = self._decoded(found)
        if texts:
            self.ledger.settle(found.place, Outcome.MAPPED, target=target)
        else:
            self.ledger.invalid(found.place, "not text in the character set of (0008,0005)")
        return texts

    def _decoded(self, element: Element) -> list[str]:
        """The texts; none where the bytes are no text."""
        raw = bytes(element.value)
        if element.vr in _BINARY:
            return self._numbers(element, raw)
        if element.vr in ("SQ", "OB", "OW", "OF", "OD", "OL", "OV", "AT") or len(raw) > _MAX_TEXT:
            return []
        charset = self._charset if element.vr in _PAST_ASCII or element.vr == "UN" else ("ascii",)
        text = _decode(raw, charset)
        if text is None or _CONTROL.search(text := text.strip(" \0\r\n\t")):
            return []
        several = element.vr in _MULTIPLE
        return [part.strip(" \0") for part in (text.split("\\") if several else [text]) if part.strip(" \0")]

    def _numbers(self, element: Element, raw: bytes) -> list[str]:
        code = ("<" if self._little else ">") + _BINARY[element.vr]
        if len(raw) % struct.calcsize(code) or len(raw) > 4096:
            return []
        return [str(value[0]) for value in struct.iter_unpack(code, raw)]

    def _read_charset(self) -> None:
        """Specific Character Set (PS3.3, C.12.1.1.2). An unknown one is reported; UTF-8 is tried for it."""
        from pydicom.charset import python_encoding  # noqa: PLC0415 - optional

        found = self._item.elements.get(_CHARSET)
        if found is None:
            return
        named = bytes(found.value[:256]).decode("ascii", "replace").rstrip(" \0").split("\\")
        terms = [re.sub(r"^ISO[ _]IR[ _]?", "ISO_IR ", term.strip()) for term in named]
        known = [python_encoding[term] for term in terms if term in python_encoding]
        self._charset = tuple("ascii" if codec == "iso8859" else codec for codec in known) or ("ascii",)
        if len(known) == len(terms):
            self.ledger.settle(found.place, Outcome.USED, "the character set")
        else:
            self.ledger.invalid(found.place, "not a character set of DICOM")

    # --- values

    def uid(self, keyword: str, target: str) -> str:
        """A UID (PS3.5, section 9); empty where it is none."""
        value = self.text(keyword, target)
        if value and not (_UID.fullmatch(value) and len(value) <= 64):
            self.invalid(keyword, "not a UID")
            return ""
        return value

    def number(self, keyword: str, target: str) -> Number | None:
        """DS, IS or a binary number, its digits as they are written."""
        value = self.text(keyword, target)
        if not value:
            return None
        match = _DECIMAL.fullmatch(value)
        if match is None or not (match[2] or match[3]) or len(value) > 40:
            self.invalid(keyword, "not a number")
            return None
        sign = "-" if match[1] == "-" else ""
        fraction = "." + match[3] if match[3] else ""
        exponent = "e" + match[4] if match[4] else ""
        return Number(sign + (match[2].lstrip("0") or "0") + fraction + exponent)

    def integer(self, keyword: str, target: str, *, least: int = 0) -> int | None:
        """A whole number from `least` to 2^31-1."""
        found = self.number(keyword, target)
        if found is None:
            return None
        if abs(found) >= 2**31 or found != int(found) or found < least:
            self.invalid(keyword, f"not a whole number from {least} on that FHIR can hold")
            return None
        return int(found)

    def code(self, keyword: str, table: Mapping[str, str], target: str) -> str:
        """What a table gives for a coded string; reported where it gives nothing."""
        value = self.text(keyword, target)
        if not value or value.upper() in table:
            return table.get(value.upper(), "")
        self.settle(keyword, Outcome.UNMAPPED, "a code that has no FHIR counterpart here")
        return ""

    # --- dates

    def date(self, keyword: str, target: str) -> str:
        """DA as FHIR date."""
        value = self.text(keyword, target)
        match = _DATE.fullmatch(value)
        if value and (match is None or not _is_date(match[1], match[2], match[3])):
            self.invalid(keyword, "not a date of DICOM (YYYYMMDD)")
            return ""
        return f"{match[1]}-{match[2]}-{match[3]}" if match else ""

    def date_time(self, keyword: str, time: str, target: str) -> str:
        """DA, and TM beside it, as FHIR dateTime; DT where `time` is empty.

        A time without an offset (0008,0201) is in the zone of the profile; without that, the date alone is kept.
        """
        if not time:
            return self._whole(keyword, target)
        day = self.date(keyword, target)
        clock = self.text(time, target)
        match = _TIME.fullmatch(clock)
        if clock and (match is None or not _is_clock(match[1], match[2], match[3])):
            self.invalid(time, "not a time of DICOM (HHMMSS)")
            return day
        if not day or match is None:
            if clock and not self.element(keyword):
                self.settle(time, Outcome.UNMAPPED, "a time without its date")
            return day
        return self._joined(time, day, (match[1], match[2], match[3], match[4]), "", target)

    def _whole(self, keyword: str, target: str) -> str:
        value = self.text(keyword, target)
        match = _DATE_TIME.fullmatch(value)
        if match is None or not _is_date(match[1], match[2] or "01", match[3] or "01"):
            if value:
                self.invalid(keyword, "not a date and time of DICOM")
            return ""
        day = "-".join(part for part in (match[1], match[2], match[3]) if part)
        offset = match[8] or ""
        if not _is_clock(match[4] or "00", match[5], match[6]) or (offset and not _OFFSET.fullmatch(offset)):
            self.invalid(keyword, "not a date and time of DICOM")
            return ""
        return self._joined(keyword, day, (match[4], match[5], match[6], match[7]), offset, target) if match[4] else day

    def _joined(self, keyword: str, day: str, clock: tuple[str | None, ...], offset: str, target: str) -> str:
        hour, minute, second, fraction = clock
        if minute is None:
            self.settle(keyword, Outcome.PARTLY, "the time lacks minutes; only the date is kept", target)
            return day
        time = f"{hour}:{minute}:{min(second or '00', '59')}"
        if second == "60":
            self.settle(keyword, Outcome.PARTLY, "a leap second, which FHIR writes as second 59", target)
        offset = offset or self._offset or self._of_zone(f"{day}T{time}")
        if not offset:
            self.settle(
                keyword, Outcome.PARTLY, "no offset in (0008,0201), no zone in the profile; the date is kept", target
            )
            return day
        return f"{day}T{time}{fraction or ''}{offset[:3]}:{offset[-2:]}"

    def _of_zone(self, local: str) -> str:
        if not self._zone:
            return ""
        when = datetime.datetime.fromisoformat(local).replace(tzinfo=zoneinfo.ZoneInfo(self._zone))
        offset = when.strftime("%z")
        return offset if len(offset) == 5 else ""  # whole minutes only, as FHIR has it

    def _read_offset(self) -> None:
        value = self.peek("TimezoneOffsetFromUTC")
        if value and _OFFSET.fullmatch(value):
            self._offset = value
            self.settle("TimezoneOffsetFromUTC", Outcome.USED, "the offset of the times")
        elif value:
            self.invalid("TimezoneOffsetFromUTC", "not an offset from UTC")


def _decode(raw: bytes, charset: tuple[str, ...]) -> str | None:
    """Text with code extensions (PS3.5, 6.1.2); UTF-8 is tried where there is no character set but ASCII."""
    from pydicom.charset import CODES_TO_ENCODINGS  # noqa: PLC0415 - optional

    first = "utf-8" if charset[0] == "ascii" else charset[0]
    try:
        if b"\x1b" not in raw:
            return raw.decode(first)
        text = ""
        for part in _ESCAPED.findall(raw):
            length = 4 if part[:3] in (b"\x1b$(", b"\x1b$)") else 3
            codec = CODES_TO_ENCODINGS.get(part[:length], "") if part[:1] == b"\x1b" else first
            if codec in ("iso2022_jp", "iso2022_jp_2", "iso_ir_58"):
                text += _gb(part) if codec == "iso_ir_58" else part.decode(codec)
            elif codec:
                body = part[length:] if part[:1] == b"\x1b" else part
                mark = re.search(rb"[\\^=\r\n\t\f]", body)
                at = mark.start() if mark else len(body)
                text += body[:at].decode(codec) + body[at:].decode(first)
            else:
                return None
    except (UnicodeError, LookupError):
        return None
    return text


def _gb(part: bytes) -> str:
    """ISO-IR 58 (GB 2312), which Python knows with its high bits set; single bytes stay as they are."""
    body = part[4:]
    return (
        body.decode("gb2312") if max(body, default=0) > 0x7F else bytes(byte | 0x80 for byte in body).decode("gb2312")
    )


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _is_clock(hour: str, minute: str | None, second: str | None) -> bool:
    return int(hour) < 24 and int(minute or 0) < 60 and int(second or 0) <= 60
