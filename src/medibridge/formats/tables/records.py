"""Delimiter-separated text (RFC 4180) as records, in bounded memory."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

__all__ = ["MAX_FIELD", "MAX_RECORD", "Record", "heading_of", "read_records", "split"]

MAX_RECORD: Final = 4 * 2**20
"""Bytes of a record. A quote that never closes makes one that is longer."""

MAX_FIELD: Final = 2**20
"""Characters of a cell."""

_UNDECODED: Final = re.compile("[\udc80-\udcff]")
_UNDECODED_PROBLEM: Final = "is not in the encoding of the table; say in the mapping which one it has"
_MAX_HEADING: Final = 256 * 2**10


@dataclass(frozen=True, repr=False)
class Record:
    """One record: where it begins, its bytes, its cells, or why it has none."""

    line: int
    data: bytes
    cells: tuple[str, ...] = ()
    problem: str = ""
    is_part: bool = False
    """Of a record that is too long for one piece."""


class _TooLongError(Exception):
    """A record is longer than `MAX_RECORD`."""


class _Lines:
    """The lines of a stream as text, for the csv module; keeps the bytes of the record that it reads."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self.stream = stream
        self.encoding = encoding
        self.record = bytearray()
        self.count = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.stream.readline(MAX_RECORD + 1 - len(self.record))
        if not line:
            raise StopIteration
        self.record += line
        self.count += 1
        if len(self.record) > MAX_RECORD:
            raise _TooLongError
        return line.decode(self.encoding, "surrogateescape")

    def take(self) -> bytes:
        """The bytes of the record that has ended."""
        data = bytes(self.record)
        self.record.clear()
        return data


def read_records(stream: BinaryIO, encoding: str, delimiter: str, first_line: int = 1) -> Iterator[Record]:
    """The records of a stream. A blank line is a record without cells.

    A record that is broken is told with its problem, and reading goes on after it; one that is longer than
    `MAX_RECORD` comes in several parts.
    """
    _allow_large_fields()
    lines = _Lines(stream, encoding)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = first_line + lines.count
        try:
            cells = tuple(next(reader))
        except StopIteration:
            return
        except _TooLongError:
            yield from _parts(lines, start)
            continue
        except csv.Error as error:
            data = lines.take()
            if not data:
                return
            yield Record(start, data, (), _problem(error))
            continue
        data = lines.take()
        problem = "" if data.isascii() or not _UNDECODED.search("".join(cells)) else _UNDECODED_PROBLEM
        yield Record(start, data, cells, problem)


def _parts(lines: _Lines, start: int) -> Iterator[Record]:
    """What stands in memory of a record that is too long, then the rest of its last line."""
    problem = f"is longer than {MAX_RECORD // 2**20} MiB; a quote may not be closed"
    data = lines.take()
    while True:
        yield Record(start, data, (), problem, is_part=True)
        if data.endswith(b"\n"):
            return
        data = lines.stream.readline(MAX_RECORD)
        if not data:
            return


def _problem(error: csv.Error) -> str:
    text = str(error)
    if "field larger" in text:
        return f"has a cell of more than {MAX_FIELD} characters; split it"
    if "unexpected end" in text:
        return "opens a quote that is never closed; close it"
    if "new-line" in text:
        return "has a carriage return outside quotes; end lines with a line feed"
    return "has text after a closing quote; double the quotes inside a cell"


def _allow_large_fields() -> None:
    """The limit is one for the process: it is only ever raised."""
    if csv.field_size_limit() < MAX_FIELD:
        csv.field_size_limit(MAX_FIELD)


def heading_of(stream: BinaryIO) -> bytes:
    """The bytes of a table up to the end of its heading: byte-order mark, Excel's ``sep=`` line, blank lines, heading.

    Empty where it is longer than a heading is.
    """
    heading = bytearray()
    while line := stream.readline(_MAX_HEADING + 1 - len(heading)):
        heading += line
        if len(heading) > _MAX_HEADING:
            return b""
        content = line.removeprefix(b"\xef\xbb\xbf").strip()
        if content and not is_separator(content) and heading.count(b'"') % 2 == 0:
            break
    return bytes(heading)


def is_separator(line: bytes) -> bool:
    """Excel's ``sep=;``."""
    return len(line) == 5 and line[:4].lower() == b"sep="


def split(heading: bytes, encoding: str, delimiter: str) -> tuple[str, ...] | None:
    """The cells of a heading, without spaces around them; None where it cannot be read so."""
    try:
        text = heading.decode(encoding)
    except UnicodeDecodeError:
        return None
    lines = [line for line in text.removeprefix("\ufeff").splitlines(keepends=True) if line.strip()]
    if lines and is_separator(lines[0].strip().encode(errors="replace")):
        lines = lines[1:]
    try:
        cells = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None
    return tuple(cell.strip() for cell in cells)
