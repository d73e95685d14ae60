"""All jobs together as one set of files: resources by type, or flat tables."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from medibridge.bulk.publishing import Draft, keep, remove, writing
from medibridge.bulk.shapes import Shape
from medibridge.record import JsonObject, parse_json

__all__ = ["merge"]

_KEY: Final = re.compile(rb'"resourceType":"([A-Za-z]{1,64})"')
_MADE = re.compile(r"[A-Za-z_]+\.(ndjson|csv|parquet)")


def merge(parts: Iterable[Path], out: Path, shape: Shape, state: Path) -> None:
    """Write what the `parts` hold, in their order, into `out`.

    Of a resource that comes several times, the last one is kept, as a server would that is sent one after the other.
    Files of an earlier merge that have no successor are removed. `state` is where to note which those are. Memory
    stays flat. Raises `UsageError` where the disk does not take it.
    """
    notes = state / "merged"
    before = notes.read_text("ascii").split() if notes.is_file() else []
    paths = list(parts)
    with (
        writing(),
        tempfile.NamedTemporaryFile(dir=state, prefix=".medibridge-", suffix=".part") as scratch,
        closing(sqlite3.connect(scratch.name, isolation_level=None)) as last,
    ):
        resources = _last_of_each(paths, last)
        made = _write_by_type(resources, out) if shape is Shape.RESOURCES else _write_tables(resources, out, shape)
    for name in before:
        if name not in made and _MADE.fullmatch(name):
            remove(out / name)
    with Draft(notes) as draft:
        draft.write("".join(f"{name}\n" for name in made).encode("ascii"))
        draft.publish()


def _last_of_each(paths: list[Path], last: sqlite3.Connection) -> Iterator[bytes]:
    """The lines of the parts, without those of which the same resource comes again."""
    last.execute("PRAGMA journal_mode = OFF")
    last.execute("PRAGMA synchronous = OFF")
    last.execute("CREATE TABLE last (key BLOB PRIMARY KEY, at INTEGER) WITHOUT ROWID")
    last.execute("BEGIN")
    last.executemany(
        "INSERT INTO last VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET at = excluded.at",
        ((_key(line), at) for at, line in enumerate(_lines(paths))),
    )
    last.execute("COMMIT")
    for at, line in enumerate(_lines(paths)):
        if last.execute("SELECT at FROM last WHERE key = ?", (_key(line),)).fetchone()[0] == at:
            yield line


def _lines(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        if path.is_file():
            with path.open("rb") as lines:
                yield from lines


def _key(line: bytes) -> bytes:
    resource = _resource(line)
    return hashlib.blake2b(f"{resource['resourceType']}/{resource['id']}".encode(), digest_size=16).digest()


def _resource(line: bytes) -> JsonObject:
    resource = parse_json(line)
    assert isinstance(resource, dict)  # noqa: S101 - a job wrote it
    return resource


def _write_by_type(lines: Iterator[bytes], out: Path) -> list[str]:
    with ExitStack() as open_files:
        drafts: dict[str, Draft] = {}
        for line in lines:
            kind = str(_resource(line)["resourceType"])
            if kind not in drafts:
                drafts[kind] = open_files.enter_context(Draft(out / f"{kind}.ndjson"))
            drafts[kind].write(line)
        for draft in drafts.values():
            draft.publish()
        return [f"{kind}.ndjson" for kind in sorted(drafts)]


def _write_tables(lines: Iterator[bytes], out: Path, shape: Shape) -> list[str]:
    from medibridge.formats.tables import files  # noqa: PLC0415 - only where tables are asked for

    write = files.write_csv if shape is Shape.CSV else files.write_parquet
    with tempfile.TemporaryDirectory(dir=out, prefix=".medibridge-") as folder:
        write(Path(folder), (_resource(line) for line in lines))
        names = sorted(path.name for path in Path(folder).iterdir())
        for name in names:
            keep(Path(folder, name), out / name)
    return names
