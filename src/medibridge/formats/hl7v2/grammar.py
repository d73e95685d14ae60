"""The delimiters, character set and escape sequences of one HL7 v2 message (HL7 v2.9, chapter 2, 2.5.4 and 2.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from medibridge.errors import MalformedMessage

__all__ = ["Grammar", "grammar_of"]

_CHARSETS: Final[Mapping[str, str]] = {
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "ISO IR6": "ascii",
    "ISO IR14": "iso2022_jp_2",
    "ISO IR87": "iso2022_jp_2",
    "ISO IR159": "iso2022_jp_2",
    "JIS X 0202": "iso2022_jp_2",
    **{
        f"{prefix}8859{mark}{part}": f"iso8859_{part}"
        for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)
        for prefix in ("", "ISO ", "ISO-", "ISO")
        for mark in ("/", "-")
    },
}
"""HL7 table 0211 and usual spellings of it, and the Python codec for each."""


@dataclass(frozen=True)
class Grammar:
    """Delimiters and character set of one message."""

    marks: str
    """Field, component and repetition separator, escape character, subcomponent separator, truncation mark."""
    codec: str
    sequence: re.Pattern[str]

    @classmethod
    def of(cls, marks: str, codec: str) -> Grammar:
        """Delimiters in the order of MSH-1 and MSH-2, and the name of a Python codec."""
        escape = re.escape(marks[3])
        # Adjacent bytes may be one character, so a run of them is one match.
        return cls(marks, codec, re.compile(f"((?:{escape}X[0-9A-Fa-f]+{escape})+)|{escape}([^{escape}]*){escape}"))

    def unescape(self, text: str) -> str:
        """Resolve escape sequences; one that is unknown, or does not decode, stays as it is written."""
        return self.sequence.sub(self._resolve, text)

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


_known: dict[bytes, Grammar] = {}


def grammar_of(body: bytes) -> Grammar:
    """What the first line of a message says. Raises `MalformedMessage` where MSH-2 or MSH-18 is not understood."""
    header = re.split(rb"[\r\n]", body[:65536], maxsplit=1)[0]
    encoding = header[3:].split(header[3:4], 2)[1] if header[3:4] else b""
    marks = header[3:4] + encoding
    fields = header.split(marks[:1]) if marks else []
    charset = fields[17] if len(fields) > 17 else b""
    key = marks + b"\r" + charset
    found = _known.get(key)
    if found is None or len(fields) < 4:
        sound = re.fullmatch(rb"[!-/:-@\[-`{-~]{4,6}", marks) and len(set(marks)) == len(marks)
        if not sound or len(fields) < 4:
            raise MalformedMessage(
                "MSH[1]-2 does not hold four or five encoding characters (^~\\&); the message may be cut off"
            )
        found = Grammar.of(marks.decode("ascii").ljust(5, "\0"), _codec(charset.split(marks[2:3])))
        if len(_known) < 100:
            _known[key] = found
    return found


def _codec(named: list[bytes]) -> str:
    """Of the character sets of MSH-18 the first that is more than ASCII; UTF-8, which contains ASCII, where none is."""
    names = [name.strip().decode("ascii", "replace").upper() for name in named]
    known = [_CHARSETS[name] for name in names if name in _CHARSETS]
    if not known and any(names):
        accepted = "ASCII, UNICODE UTF-8, 8859/1 to 8859/16, GB 18030-2000, KS X 1001, BIG-5, ISO IR87, ISO IR159"
        raise MalformedMessage(f"MSH[1]-18 names a character set that is not read; accepted are: {accepted}")
    richer = [codec for codec in known if codec != "ascii"]
    if richer:
        return richer[0]
    return "ascii" if known else "utf-8"
