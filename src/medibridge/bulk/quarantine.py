"""Where pieces go that could not be read: as they came, each with a note that says why."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medibridge.bulk.publishing import Draft, remove
from medibridge.errors import MediBridgeError
from medibridge.formats.conversion import Piece
from medibridge.record import canonical_json

__all__ = ["Quarantine"]

_SUFFIX: Final = ".quarantine"
_ODD = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class Quarantine:
    """The quarantined pieces of one job. Files are readable by their owner alone.

    `name` is that of the job, relative to `folder`.
    """

    folder: Path
    name: str
    _taken: set[str] = field(default_factory=set, init=False)

    def clear(self) -> None:
        """Remove what an earlier run put there for this job."""
        stem = self.folder / self.name
        if stem.parent.is_dir():
            for path in stem.parent.iterdir():
                rest = path.name.removeprefix(stem.name)
                if rest != path.name and re.fullmatch(r"(\.[A-Za-z0-9-]+)?\.quarantine(\.json)?", rest):
                    remove(path)

    def take(self, piece: Piece, error: MediBridgeError, number: int) -> None:
        """Put a piece there, below the heading of its table; `number` is that of the refusal in the job.

        A piece whose content stands in a file is copied from there. Raises `UsageError` where the disk refuses.
        """
        place = _ODD.sub("-", piece.place).strip("-")[:40]
        stem = f"{self.name}.{place or number}" if piece.place or number > 1 else self.name
        if stem in self._taken:
            stem = f"{stem}-{number}"
        self._taken.add(stem)
        target = self.folder / f"{stem}{_SUFFIX}"
        with Draft(target) as draft:
            if piece.data:
                heading = piece.start if piece.start.endswith((b"\n", b"\r")) else b""
                draft.write(heading + piece.data)
            elif piece.origin is not None:
                with piece.origin.open("rb") as content:
                    shutil.copyfileobj(content, draft)
            draft.publish()
        with Draft(target.with_name(f"{target.name}.json")) as draft:
            draft.write(
                canonical_json({"place": piece.place, "error": type(error).__name__, "reason": str(error)}) + b"\n"
            )
            draft.publish()
