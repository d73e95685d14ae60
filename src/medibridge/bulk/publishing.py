"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from medibridge.errors import UsageError

__all__ = ["Draft", "keep", "make_folder", "remove", "sweep", "writing"]

_PREFIX: Final = ".medibridge-"
_SUFFIX: Final = ".part"


class Draft:
    """A file on its way: written under a name that says nothing, then given its own.

    Left without `publish`, nothing is there. Readable by its owner alone. Everything raises `UsageError` where the
    disk does not take it.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.size = 0
        with writing():
            make_folder(target.parent)
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=_PREFIX, suffix=_SUFFIX)
        self.path = Path(name)
        self._file: BinaryIO = os.fdopen(descriptor, "wb")

    def write(self, data: bytes) -> None:
        """Add to it."""
        with writing():
            self._file.write(data)
        self.size += len(data)

    def publish(self, *, empty: bool = True) -> None:
        """Keep it, in place of what bore its name. Where it is empty and not `empty`, no file bears the name."""
        with writing():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if self.size or empty:
                self.path.replace(self.target)
            else:
                self.target.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk was told of before
            self._file.close()
        self.path.unlink(missing_ok=True)


def keep(written: Path, target: Path) -> None:
    """Give a file that others wrote beside it its name, as a draft is published. Raises `UsageError`."""
    with writing():
        written.chmod(0o600)
        with written.open("rb") as file:
            os.fsync(file.fileno())
        written.replace(target)


def make_folder(path: Path) -> None:
    """The folder, made for its owner alone where it is not there, with those above it. Raises `UsageError`."""
    with writing():
        for each in (*reversed(path.parents), path):
            if not each.is_dir():
                each.mkdir(mode=0o700, exist_ok=True)


def remove(path: Path) -> None:
    """Take a file away, if it is there. Raises `UsageError`."""
    with writing():
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> int:
    """Remove the drafts that a killed run left below a folder; how many there were."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                remove(Path(place, name))
                found += 1
    return found


@contextmanager
def writing() -> Iterator[None]:
    """Translate what the disk says."""
    try:
        yield
    except OSError as exc:
        raise UsageError(
            f"the output cannot be written ({exc.strerror}); what is done is kept: make room, or check who may write "
            "there, and repeat the command"
        ) from None
