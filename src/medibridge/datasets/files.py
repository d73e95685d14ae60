"""The files of a dataset, and the one digest over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["DatasetFile", "digest_of", "files_of"]

_COVERED: Final = ("dictionary.csv", "ndjson", "tables")
"""What the digest covers: these files, and all files in these folders. The reports state it, so they are not in it."""


@dataclass(frozen=True)
class DatasetFile:
    """A file of the dataset: its path there, its size in bytes, and its SHA-256."""

    path: str
    size: int
    sha256: str


def files_of(dataset: Path) -> Iterator[DatasetFile]:
    """The files that the digest covers, sorted by path."""
    paths = [path for name in _COVERED for path in (dataset / name, *(dataset / name).rglob("*"))]
    for path in sorted(path for path in paths if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield DatasetFile(path.relative_to(dataset).as_posix(), path.stat().st_size, digest)


def digest_of(files: Sequence[DatasetFile]) -> str:
    """SHA-256, in hexadecimal, over the lines that ``sha256sum`` writes for these files, sorted by path."""
    lines = "".join(f"{each.sha256}  {each.path}\n" for each in sorted(files, key=lambda each: each.path))
    return hashlib.sha256(lines.encode()).hexdigest()
