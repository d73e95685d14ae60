"""What was begun, so that a repeated command completes it instead of doing it twice."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Protocol

from medibridge.errors import UsageError
from medibridge.storage.shelf import Shelf

__all__ = ["DirectoryJournal", "Journal", "MemoryJournal"]


class Journal(Protocol):
    """A small map from keys (lower-case hexadecimal digits) to bytes that outlives a crash.

    Both methods raise `UsageError` for any other key, and `StoreUnreachable` where the disk fails.
    """

    def get(self, key: str) -> bytes | None:
        """The value last put under a key, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Put a value in place of the one before. Whole or not at all; durable when this returns."""


class MemoryJournal(Journal):
    """A `Journal` that is gone with the process."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """See `Journal.get`."""
        return self._values.get(_name(key))

    def put(self, key: str, value: bytes) -> None:
        """See `Journal.put`."""
        self._values[_name(key)] = bytes(value)


class DirectoryJournal(Journal):
    """A `Journal` in a directory, which the first put creates. File names are hashes of the keys."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._shelf = Shelf(path)

    def get(self, key: str) -> bytes | None:
        """See `Journal.get`."""
        return self._shelf.read(_name(key))

    def put(self, key: str, value: bytes) -> None:
        """See `Journal.put`."""
        self._shelf.write(_name(key), value)


def _name(key: str) -> bytes:
    if not re.fullmatch("[0-9a-f]+", key):
        raise UsageError("a journal's key consists of lower-case hexadecimal digits; encode it with bytes.hex()")
    return hashlib.sha256(key.encode()).digest()
