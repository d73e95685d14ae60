"""A built dataset as one file: a tar (POSIX.1-1988, ustar) whose bytes depend on the content alone."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from medibridge.datasets.files import digest_of, files_of
from medibridge.errors import UsageError
from medibridge.ids import Address, DataClass, address

__all__ = ["BuiltDataset", "private_folder"]

DESCRIPTIONS: Final = ("datasheet.html", "datasheet.md", "release-report.html", "release-report.json")


def private_folder(dataset: Path) -> Path:
    """Where stands what must not be handed over with a dataset: beside it."""
    whole = dataset.resolve()
    return whole.with_name(whole.name + ".private")


@dataclass(frozen=True)
class BuiltDataset:
    """A dataset that `build` made, found unaltered."""

    path: Path
    report: Mapping[str, Any] = field(repr=False)

    @classmethod
    def at(cls, path: Path) -> BuiltDataset:
        """Read a dataset's report and check every file. Raises `UsageError` where it is none, or was altered."""
        try:
            report = json.loads((path / "release-report.json").read_bytes())
            digest = digest_of(tuple(files_of(path)))
        except (OSError, ValueError):
            raise UsageError(f"{path} is no dataset; make one with medibridge dataset build") from None
        if not isinstance(report, dict) or report.get("sha256") != digest:
            raise UsageError(f"{path} was altered after it was built; build it anew")
        return cls(path, report)

    @property
    def data_class(self) -> DataClass:
        """The class of most of its resources, demographics apart: the one class that a record can name."""
        classes: Mapping[str, int] = self.report["data_classes"]
        others = {label: number for label, number in classes.items() if label != DataClass.DEMOGRAPHICS.label}
        most = max(sorted(others), key=others.__getitem__, default=DataClass.DEMOGRAPHICS.label)
        return next(member for member in DataClass if member.label == most)

    def require_salable(self) -> None:
        """Raises `UsageError` for a limited data set: it is not de-identified, whatever was taken out."""
        if self.report["policy"]["extends"] == "limited":
            raise UsageError("a limited data set is not de-identified and is never sold; build it by another policy")

    def contributors(self) -> dict[Address, int]:
        """The account of each contributor, and how many patients of the dataset he is.

        Raises `UsageError` where it was built without contributors: then nobody may sell it.
        """
        path = private_folder(self.path) / "contributors.json"
        try:
            found = json.loads(path.read_bytes())
            patients = {address(account): len(ids) for account, ids in found["patients"].items()}
        except FileNotFoundError:
            raise UsageError(
                f"{self.path} was built without --contributors, so nobody has agreed to its sale; build it with them"
            ) from None
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            raise UsageError(f"{path} cannot be read; build the dataset anew") from None
        if found["sha256"] != self.report["sha256"]:
            raise UsageError(f"{path} is of another dataset; build this one anew, with --contributors")
        return patients

    def pack(self, target: BinaryIO) -> None:
        """Write the archive: files sorted by path, no times, no owners."""
        names = sorted((*(each.path for each in files_of(self.path)), *DESCRIPTIONS))
        with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name in names:
                path = self.path / name
                entry = tarfile.TarInfo(f"dataset/{name}")
                entry.size, entry.mode, entry.mtime = path.stat().st_size, 0o644, 0
                with path.open("rb") as file:
                    archive.addfile(entry, file)
