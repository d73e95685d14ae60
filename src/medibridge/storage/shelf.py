"""Small files under one directory, each written whole or not at all.

A file is written under `incoming/`, flushed to the disk, and only then moved to its place
(as Maildir does). Whatever ends the process in between leaves a file in `incoming/` that
nothing reads; the first write of a later process sweeps it away once it is an hour old.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medibridge.errors import StoreUnreachable

__all__ = ["Shelf"]

_LEFTOVER_AFTER = 3600.0  # seconds; no write takes as long


class Shelf:
    """Files named by 32 bytes, in two levels of 256 directories below `path`.

    Needs a POSIX file system. All methods raise `StoreUnreachable` where the disk fails.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._swept = False

    def __str__(self) -> str:
        return f"the directory {self._path}"

    def read(self, name: bytes, limit: int = -1) -> bytes | None:
        """Content of a file, at most `limit` bytes of it; None if there is no such file."""
        with self._disk("read"):
            try:
                with self._place(name).open("rb") as file:
                    return file.read(limit)
            except FileNotFoundError:
                return None

    def holds(self, name: bytes) -> bool:
        """Whether there is such a file."""
        with self._disk("read"):
            return self._place(name).is_file()

    def write(self, name: bytes, content: bytes) -> None:
        """Write a file, replacing the one that is there. It is on the disk when this returns."""
        with self._disk("written"):
            place, incoming = self._place(name), self._path / "incoming"
            _make_directory(incoming)
            _make_directory(place.parent)
            self._sweep(incoming)
            descriptor, path = tempfile.mkstemp(dir=incoming)
            temporary = Path(path)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(place)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync(place.parent)

    def remove(self, name: bytes) -> None:
        """Remove a file, if it is there."""
        with self._disk("written"):
            place = self._place(name)
            try:
                place.unlink()
            except FileNotFoundError:
                return
            _sync(place.parent)

    def _place(self, name: bytes) -> Path:
        digits = name.hex()
        return self._path / digits[:2] / digits[2:4] / digits

    def _sweep(self, incoming: Path) -> None:
        if self._swept:
            return
        self._swept = True
        for leftover in incoming.iterdir():
            try:
                if time.time() - leftover.stat().st_mtime > _LEFTOVER_AFTER:
                    leftover.unlink()
            except FileNotFoundError:
                continue  # another process finished or swept it

    @contextmanager
    def _disk(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StoreUnreachable(
                f"{self} cannot be {done} ({exc.strerror}); check that it is mounted, has room and belongs to you"
            ) from exc


def _make_directory(path: Path) -> None:
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    """Flush the names in a directory to the disk: a rename is durable only after this."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
