"""The layout of a table: which mapping reads it, and where its columns stand. Cuts a table into blocks of rows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Final

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Piece
from medibridge.formats.settings import Settings
from medibridge.formats.tables.elements import IGNORE
from medibridge.formats.tables.mapping import TableMap
from medibridge.formats.tables.records import Record, heading_of, read_records, split

__all__ = ["DELIMITERS", "MAX_COLUMNS", "Layout", "NumberedRow", "pieces", "rows_of"]

DELIMITERS: Final = (",", ";", "\t", "|")
MAX_COLUMNS: Final = 4096
_MAX_ROWS: Final = 1_000
_MAX_BLOCK: Final = 8 * 2**20

_PLACE: Final = re.compile(r"(?P<part>part of )?rows? (?P<first>[0-9]+)(?: to [0-9]+)?, from line (?P<line>[0-9]+)")


@dataclass(frozen=True)
class NumberedRow:
    """A row and its number: the heading is row 1, as a spreadsheet counts."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A mapping, and the table that it reads. `columns` is where the heading of each mapped element stands."""

    map: TableMap
    headings: tuple[str, ...]
    delimiter: str
    encoding: str
    patient: int
    """The position of patient.identifier, or -1 where the mapping gives it for all rows."""
    _last: ClassVar[tuple[bytes, Settings, Layout] | None] = None

    @classmethod
    def of(cls, start: bytes, settings: Settings) -> Layout:
        """The layout of a table that begins so. Raises `MalformedMessage` where no mapping fits, or more than one;
        `UsageError` where a mapping is none.

        The last one is kept: every piece of a table begins so, and a heading may be far longer than a row.
        """
        known = cls._last
        if known is not None and known[1] is settings and known[0] == start:
            return known[2]
        layout = cls._found(start, settings)
        cls._last = (start, settings, layout)
        return layout

    @classmethod
    def _found(cls, start: bytes, settings: Settings) -> Layout:
        found: list[Layout] = []
        has_mark = start.startswith(b"\xef\xbb\xbf")
        maps = [TableMap.of(values, number) for number, values in enumerate(settings.profile.tables, 1)]
        for one in maps:
            encoding = "utf-8" if has_mark else one.encoding
            for delimiter in [one.delimiter] if one.delimiter else DELIMITERS:
                headings = split(start, encoding, delimiter)
                if headings and one.columns.keys() <= set(headings):
                    found.append(cls._fit(one, headings, delimiter, encoding))
                    break
        if not found:
            what = "none of the mappings of the profile has all its columns" if maps else "the profile has no mapping"
            raise MalformedMessage(
                f"{what} for this table; propose one with 'medibridge convert --suggest FILE > map.yaml', correct it, "
                "and put it below 'tables:' of the profile"
            )
        if len(found) > 1:
            names = " and ".join(repr(layout.map.name) for layout in found)
            raise MalformedMessage(
                f"the mappings {names} both read this table; remove one, or name more of its columns"
            )
        return found[0]

    @classmethod
    def _fit(cls, one: TableMap, headings: tuple[str, ...], delimiter: str, encoding: str) -> Layout:
        if len(headings) > MAX_COLUMNS:
            raise MalformedMessage(f"the table has more than {MAX_COLUMNS} columns; leave out what is not read")
        for heading in one.columns:
            if headings.count(heading) > 1:
                raise MalformedMessage(f"two columns are headed {heading!r}, which the mapping names; rename one")
        patient = [heading for heading, column in one.columns.items() if column.element == "patient.identifier"]
        return cls(one, headings, delimiter, encoding, headings.index(patient[0]) if patient else -1)

    def problem_of(self, record: Record) -> str:
        """Why a row cannot be read at all; empty where it can, and for a row without values."""
        if record.problem:
            return record.problem
        cells = record.cells
        if not any(cells):
            return ""
        if len(cells) != len(self.headings):
            return (
                f"has {len(cells)} cells, but the heading has {len(self.headings)}; a delimiter or a quote is missing"
            )
        if self.patient >= 0 and cells[self.patient].strip() in self.map.absent:
            return f"names no patient (column {self.patient + 1} is empty); fill it in"
        return ""

    @property
    def ignored(self) -> frozenset[int]:
        """The positions of the columns that the mapping leaves out on purpose."""
        return frozenset(
            self.headings.index(heading) for heading, column in self.map.columns.items() if column.element == IGNORE
        )


def pieces(stream: BinaryIO, settings: Settings) -> Iterator[Piece]:
    """Blocks of up to 1 000 rows; a row that cannot be read is a piece of its own, so that it alone is refused.

    Raises `MalformedMessage` where no mapping of the profile fits the table.
    """
    start = heading_of(stream)
    if not start:
        raise MalformedMessage(f"the heading is longer than that of a table of {MAX_COLUMNS} columns; send a table")
    layout = Layout.of(start, settings)
    block = _Block(start)
    number = 1
    part_of = 0
    for record in read_records(stream, layout.encoding, layout.delimiter, start.count(b"\n") + 1):
        if not record.is_part or part_of != record.line:
            number += 1
        part_of = record.line if record.is_part else 0
        is_bad = bool(layout.problem_of(record))
        if is_bad or block.is_full:
            yield from block.cut()
        block.add(number, record)
        if is_bad:
            yield from block.cut("part of " if record.is_part else "")
    yield from block.cut()


class _Block:
    """Rows that will be one piece."""

    def __init__(self, start: bytes) -> None:
        self._start = start
        self._data = bytearray()
        self._first = self._last = self._line = 0
        self._has_values = False

    @property
    def is_full(self) -> bool:
        return self._last - self._first + 1 >= _MAX_ROWS or len(self._data) >= _MAX_BLOCK

    def add(self, number: int, record: Record) -> None:
        if not self._data:
            self._first, self._line = number, record.line
        self._last = number
        self._data += record.data
        self._has_values = self._has_values or bool(record.problem) or any(record.cells)

    def cut(self, prefix: str = "") -> Iterator[Piece]:
        """The piece, and an empty block; nothing where no row has a value."""
        if self._has_values:
            rows = f"row {self._first}" if self._first == self._last else f"rows {self._first} to {self._last}"
            yield Piece(bytes(self._data), f"{prefix}{rows}, from line {self._line}", self._start)
        self._data.clear()
        self._has_values = False


def rows_of(piece: Piece, layout: Layout) -> Iterator[NumberedRow]:
    """The rows of a piece that have values. Raises `MalformedMessage`, naming row and line, for one that is broken."""
    match = _PLACE.fullmatch(piece.place)
    first, line = (int(match["first"]), int(match["line"])) if match else (2, piece.start.count(b"\n") + 1)
    is_part = bool(match and match["part"])
    records = read_records(io.BytesIO(piece.data), layout.encoding, layout.delimiter, line)
    for number, record in enumerate(records, first):
        problem = "is longer than a row may be; a quote may not be closed" if is_part else layout.problem_of(record)
        if problem:
            raise MalformedMessage(f"row {number} (line {record.line}) {problem}")
        if any(record.cells):
            yield NumberedRow(number, record.cells)
