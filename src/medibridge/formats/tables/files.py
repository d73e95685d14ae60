"""Flat tables as files: CSV for people and spreadsheets, Parquet for machines."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from medibridge.errors import UsageError
from medibridge.formats.tables.flat import TABLES, Cell, Row, rows
from medibridge.record import JsonObject, Number

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["write_csv", "write_parquet"]

_ROW_GROUP: Final = 10_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_csv(folder: Path, resources: Iterable[JsonObject]) -> dict[str, int]:
    """Write ``labs.csv`` and so on, for the tables that have rows; gives how many rows each has.

    UTF-8, commas, quotes as RFC 4180 has them. A text that a spreadsheet would run as a formula (it begins with
    ``= + - @``, a tab or a line break) gets an apostrophe before it (OWASP, CSV Injection); numbers stay as they are.
    Raises `UsageError` where the folder cannot be written.
    """
    counts: dict[str, int] = {}
    with _translated(folder), contextlib.ExitStack() as open_files:
        folder.mkdir(parents=True, exist_ok=True)
        writers: dict[str, Any] = {}
        for name, row in rows(resources):
            if name not in writers:
                path = folder / f"{name}.csv"
                file = open_files.enter_context(path.open("w", encoding="utf-8", newline=""))
                writers[name] = csv.writer(file, lineterminator="\n")
                writers[name].writerow(TABLES[name].names)
            writers[name].writerow([_guarded(cell) for cell in row.values()])
            counts[name] = counts.get(name, 0) + 1
    return counts


def _guarded(cell: Cell) -> str:
    if cell is None:
        return ""
    text = str(cell)
    return f"'{text}" if not isinstance(cell, Number) and text.startswith(_FORMULA) else text


def write_parquet(folder: Path, resources: Iterable[JsonObject]) -> dict[str, int]:
    """Write ``labs.parquet`` and so on, in row groups, in memory that does not grow; gives how many rows each has.

    Every column is text, numbers too: so ``72.50`` keeps its digits (``CAST(value AS DECIMAL(18, 4))`` where it is
    reckoned with). The metadata of a column name its type and description. Raises `UsageError` where pyarrow is
    missing or the folder cannot be written.
    """
    pyarrow, parquet = _pyarrow()
    counts: dict[str, int] = {}
    with _translated(folder), contextlib.ExitStack() as open_files:
        folder.mkdir(parents=True, exist_ok=True)
        schemas: dict[str, Any] = {}
        writers: dict[str, Any] = {}
        waiting: dict[str, list[Row]] = {}
        for name, row in rows(resources):
            if name not in writers:
                schemas[name] = _schema(pyarrow, name)
                writer = parquet.ParquetWriter(folder / f"{name}.parquet", schemas[name], compression="zstd")
                writers[name] = open_files.enter_context(writer)
            waiting.setdefault(name, []).append(row)
            counts[name] = counts.get(name, 0) + 1
            if len(waiting[name]) == _ROW_GROUP:
                writers[name].write_table(_group(pyarrow, schemas[name], waiting.pop(name)))
        for name, group in waiting.items():
            writers[name].write_table(_group(pyarrow, schemas[name], group))
    return counts


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow  # noqa: PLC0415 - optional, and slow to import
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as problem:
        raise UsageError("Parquet needs an extra package; install medibridge[datasets]") from problem
    return pyarrow, pyarrow.parquet


def _schema(pyarrow: Any, name: str) -> Any:
    return pyarrow.schema(
        [
            pyarrow.field(
                column.name,
                pyarrow.string(),
                metadata={"type": column.type, "description": column.description, "source": column.source},
            )
            for column in TABLES[name].columns
        ]
    )


def _group(pyarrow: Any, schema: Any, group: list[Row]) -> Any:
    columns = [
        pyarrow.array([None if row[name] is None else str(row[name]) for row in group], pyarrow.string())
        for name in schema.names
    ]
    return pyarrow.Table.from_arrays(columns, schema=schema)


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise UsageError(f"{folder} cannot be written ({problem.strerror}); name a folder that can") from None
