"""What there is to convert: one job for each file, and one for all DICOM files of a study."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medibridge.errors import MediBridgeError, UsageError
from medibridge.formats import dicom

__all__ = ["Job", "Plan"]

_OWN_SUFFIXES: Final = (".report", ".ndjson", ".hl7")
"""A file ``a`` makes ``a.ndjson`` and ``a.report.ndjson``: where a neighbour is called so, one must be renamed."""

_LONGEST_NAME: Final = 180
"""Bytes of a file's name. File systems take 255; the names of what is made of the file are longer than its own."""


@dataclass(frozen=True, repr=False, slots=True)
class Job:
    """What is converted by one worker in one go.

    `name` is what its outputs are called, relative to the output folder; it does not show in `repr`, as it may tell
    whose record it is. `is_study` tells that the files are all DICOM files of one study, `problem` why the job
    cannot be done.
    """

    name: str
    paths: tuple[str, ...]
    is_study: bool = False
    problem: str = ""

    @property
    def key(self) -> str:
        """The job in the journal: hexadecimal digits that do not show the name."""
        return hashlib.sha256(os.fsencode(self.name)).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"<Job {self.key[:8]}, {len(self.paths)} files>"


@dataclass
class Plan:
    """The jobs of some inputs, found while they are asked for.

    Args:
        inputs: files and folders. A folder's files are named by their path below it; where there are several
            inputs, the folder's own name comes before.
        without: folders that are not looked into, such as the one that is written to.

    Files come by name, depth first; then DICOM studies. Symbolic links, hidden files and what is no file are left
    out of folders, and counted in `skipped`. Raises `UsageError` for an input that is not there, or where two inputs
    have one name.
    """

    inputs: Sequence[Path]
    without: Sequence[Path] = ()
    skipped: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[Job]:
        self.skipped = 0
        closed = {key for path in self.without if (key := _identity(path))}
        studies: dict[str, list[tuple[str, str]]] = {}
        for name, root in self._roots():
            for relative, path, problem in self._files(str(root), name, closed):
                if not problem and (study := _study_of(Path(path))):
                    studies.setdefault(study, []).append((relative, path))
                else:
                    yield Job(relative, (path,), problem=problem)
        yield from (_study_job(study, studies[study]) for study in sorted(studies))

    def check(self) -> None:
        """Raises `UsageError` where the inputs cannot be planned."""
        for _ in self._roots():
            pass

    def size(self) -> tuple[int, int]:
        """How many files there are, and how many bytes in them. Reads no file."""
        closed = {key for path in self.without if (key := _identity(path))}
        files = size = 0
        for name, root in self._roots():
            for _, path, _ in self._files(str(root), name, closed):
                files += 1
                size += _size(path)
        return files, size

    def _roots(self) -> Iterator[tuple[str, Path]]:
        """Each input, and what stands before the names of its files."""
        if not self.inputs:
            raise UsageError("there is nothing to convert; name files or folders")
        seen: set[str] = set()
        for index, given in enumerate(self.inputs):
            if not given.exists():
                raise UsageError(f"input {index + 1} of {len(self.inputs)} is not there; check its path")
            if given.is_dir() and any(_identity(given) == _identity(path) for path in self.without):
                raise UsageError("an input is the folder that is written to; write into another one")
            name = "" if given.is_dir() and len(self.inputs) == 1 else given.resolve().name
            if name in seen:
                raise UsageError(f"input {index + 1} has the name of an earlier one; give the folder above both")
            seen.add(name)
            yield name, given

    def _files(self, root: str, name: str, closed: set[tuple[int, int]]) -> Iterator[tuple[str, str, str]]:
        """Name, path and problem of each file below a folder, in the order of names; or of the file `root`."""
        if not Path(root).is_dir():
            yield name, root, _problem(name, frozenset())
            return
        pending: list[tuple[str, str, bool, str]] = [(name, root, True, "")]
        while pending:
            relative, path, is_folder, problem = pending.pop()
            if not is_folder or problem:
                yield relative, path, problem
            elif _identity(Path(path)) not in closed:
                pending.extend(reversed(list(self._children(relative, path))))

    def _children(self, name: str, path: str) -> Iterator[tuple[str, str, bool, str]]:
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        except OSError:
            yield name, path, True, "the folder cannot be read; check who may read it"
            return
        files = frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith(".") or not (is_folder or entry.name in files):
                self.skipped += 1
            else:
                relative = f"{name}/{entry.name}" if name else entry.name
                yield relative, entry.path, is_folder, _problem(entry.name, files)


def _problem(name: str, files: frozenset[str]) -> str:
    """Why nothing can be written by this name, beside what is written for `files`; empty where it can."""
    if len(os.fsencode(name)) > _LONGEST_NAME:
        return f"its name is longer than {_LONGEST_NAME} bytes; give it a shorter one"
    if any(name.endswith(suffix) and name.removesuffix(suffix) in files for suffix in _OWN_SUFFIXES):
        return "its outputs would have the names of another file's; rename it"
    return ""


def _study_of(path: Path) -> str | None:
    """The study that a DICOM file (PS3.10, section 7.1) belongs to; None for other files, and those that say none."""
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return None
        return dicom.study_of(path)
    except (OSError, MediBridgeError):
        return None  # reading it will tell why


def _study_job(study: str, files: list[tuple[str, str]]) -> Job:
    """Named by a hash of the study's UID, which identifies a patient; the same, wherever its files come to lie."""
    name = f"study-{hashlib.sha256(study.encode()).hexdigest()[:16]}"
    return Job(name, tuple(path for _, path in sorted(files)), is_study=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
