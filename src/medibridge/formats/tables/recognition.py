"""Whether bytes are a table: a heading, and rows of as many cells."""

from __future__ import annotations

import io
import itertools
import re
from typing import Final

from medibridge.formats.conversion import Detected
from medibridge.formats.tables.layout import DELIMITERS
from medibridge.formats.tables.records import Record, heading_of, read_records, split

__all__ = ["delimiter_of", "encoding_of", "recognise"]

_OTHERS: Final = (b"{", b"[", b"<", b"MSH", b"FHS", b"BHS", b"\x0b", b"%PDF", b"PK\x03\x04")
_LOOK: Final = 50
_NAMES: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_VALUE: Final = re.compile(r"[<>]?[+-]?[0-9.,:/ -]+")


def recognise(start: bytes) -> Detected | None:
    """By a first line of two or more headings, and rows that have as many cells. Never raises."""
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_OTHERS) or b"\0" in start[:1024]:
        return None
    delimiter = delimiter_of(start)
    if delimiter is None:
        return None
    return Detected(
        "table", f"its first line is a heading of columns, apart by {_NAMES[delimiter]}, and its rows fit it"
    )


def encoding_of(start: bytes) -> str:
    """UTF-8 where the bytes can be that (but for a last character that is cut), else Windows-1252."""
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as problem:
        if problem.start < len(start) - 3:
            return "cp1252"
    return "utf-8"


def delimiter_of(start: bytes) -> str | None:
    """The delimiter that makes a table of the text with the most columns; None where none does."""
    encoding = encoding_of(start)
    heading = heading_of(io.BytesIO(start))
    best, most = None, 1
    for delimiter in DELIMITERS:
        headings = split(heading, encoding, delimiter)
        if headings and len(headings) > most and _fit(headings, start[len(heading) :], encoding, delimiter):
            best, most = delimiter, len(headings)
    return best


def _fit(headings: tuple[str, ...], rest: bytes, encoding: str, delimiter: str) -> bool:
    named = [heading for heading in headings if heading]
    if len(named) < 2 or len(set(named)) < len(named) or any(_VALUE.fullmatch(heading) for heading in named):
        return False
    records = _first_records(rest, encoding, delimiter)
    fitting = sum(len(record.cells) == len(headings) for record in records)
    return 2 * fitting > len(records) if records else not rest.strip() and len(named) > 2


def _first_records(rest: bytes, encoding: str, delimiter: str) -> list[Record]:
    """Those with cells; the last one only where it is whole."""
    found = [
        record
        for record in itertools.islice(read_records(io.BytesIO(rest), encoding, delimiter), _LOOK)
        if record.cells or record.problem
    ]
    if len(found) > 1 and not rest.endswith(b"\n"):
        del found[-1]
    return found
