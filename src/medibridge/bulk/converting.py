"""One job, from its files to its outputs: what a worker does, in whatever process it stands."""

from __future__ import annotations

import hashlib
import os
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medibridge.bulk.jobs import Job
from medibridge.bulk.journal import Entry, state_folder
from medibridge.bulk.publishing import Draft
from medibridge.bulk.quarantine import Quarantine
from medibridge.bulk.reports import Reports, line_of, line_of_refusal, reason_of
from medibridge.bulk.shapes import PARTS, Shape, lines_of
from medibridge.errors import FormatError, MediBridgeError, UsageError
from medibridge.formats import Conversion, Refused, Settings, dicom, read_all
from medibridge.formats.conversion import Piece
from medibridge.formats.finishing import finish

__all__ = [
    "Done",
    "Order",
    "Superseded",
    "Unchanged",
    "contents_of",
    "conversions",
    "convert",
    "outputs_of",
    "stamp_of",
]

_LOOK_UP: Final = 1.0  # seconds between two looks whether this run still goes on
_REASONS: Final = 20  # kinds of refusals that are told apart for each job


@dataclass(frozen=True, repr=False)
class Order:
    """A job, and all that is needed to do it elsewhere on the same file system.

    `known` is the digest of its files when it was last done in the same way, empty where it was not; `untidy` tells
    that pieces of it are in quarantine from then.
    """

    job: Job
    out: Path
    settings: Settings
    shape: Shape
    reports: Reports
    quarantine: Path | None
    run: str
    known: str
    untidy: bool

    def __repr__(self) -> str:
        return f"<Order for {self.job!r}>"


@dataclass(frozen=True)
class Done:
    """What came of a job. `final` tells that doing it again would come to the same."""

    entry: Entry
    final: bool = True


@dataclass(frozen=True)
class Unchanged:
    """The files were touched, but hold what they held when the job was last done."""

    stamp: str


class Superseded(UsageError):
    """The run that ordered this is stopped."""


@dataclass
class _Tally:
    """What is counted while a job is done."""

    messages: int = 0
    refused: int = 0
    attachments: int = 0
    final: bool = True
    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, conversion: Conversion) -> None:
        self.messages += 1
        self.kinds[conversion.format.name] += 1
        for finding in conversion.report.findings:
            self.outcomes[finding.outcome.value] += 1
        self.attachments += sum(attachment.size for attachment in conversion.attachments)

    def refuse(self, error: MediBridgeError) -> None:
        self.refused += 1
        self.final = self.final and not isinstance(error, (Unreadable, Faulty))
        reason = reason_of(error)
        self.reasons[reason if reason in self.reasons or len(self.reasons) < _REASONS else "other"] += 1


def convert(order: Order) -> Done | Unchanged:
    """Do a job: nothing of it is to be seen until all of it is.

    What cannot be read is refused and counted, and does not stop the rest. Raises `UsageError` where the disk does
    not take the outputs, and `Superseded` where the run was stopped.
    """
    watch = _Watch(order.out, order.run)
    stamp = digest = ""
    size = 0
    with suppress(OSError):  # reading it tells why
        stamp, size = stamp_of(order.job.paths)
        digest = _digest_of(order.job, watch)
    if digest and digest == order.known:
        return Unchanged(stamp)
    tally = _Tally()
    output, report = outputs_of(order.out, order.job, order.shape)
    quarantine = Quarantine(order.quarantine, order.job.name) if order.quarantine else None
    if quarantine and order.untidy:
        quarantine.clear()
    with Draft(output) as outputs, Draft(report) as reports:
        for one, lines in _shaped(contents_of(order.job, order.settings), order.shape):
            watch.look()
            if isinstance(one, Refused):
                tally.refuse(one.error)
                reports.write(line_of_refusal(one.piece.place, one.error, order.reports))
                if quarantine and not isinstance(one.error, Unreadable):
                    with suppress(FileNotFoundError):  # it was there a moment ago
                        quarantine.take(one.piece, one.error, tally.refused)
            else:
                tally.add(one)
                reports.write(line_of(one, order.reports))
                for line in lines:
                    outputs.write(line)
        with suppress(OSError):
            tally.final = tally.final and stamp_of(order.job.paths)[0] == stamp  # else it was written to meanwhile
        watch.look(now=True)
        outputs.publish(empty=False)
        reports.publish()
    return Done(
        Entry(
            job=order.job.key,
            how="",
            stamp=stamp,
            digest=digest,
            outputs={"output": outputs.size, "report": reports.size},
            messages=tally.messages,
            refused=tally.refused,
            outcomes=tally.outcomes,
            kinds=tally.kinds,
            reasons=tally.reasons,
            attachments=tally.attachments,
            size=size,
        ),
        tally.final,
    )


def outputs_of(out: Path, job: Job, shape: Shape) -> tuple[Path, Path]:
    """Where a job's output and its report go."""
    report = out / f"{job.name}.report.ndjson"
    if shape.is_merged:
        return state_folder(out) / PARTS / job.key[:2] / job.key, report
    return out / f"{job.name}{shape.suffix}", report


def conversions(job: Job, settings: Settings) -> Iterator[Conversion | Refused]:
    """Read a job's files. Raises what `read_all` raises, and OSError where a file cannot be read."""
    if job.is_study:
        yield _study(job, settings)
    else:
        with Path(job.paths[0]).open("rb") as stream:
            yield from read_all(stream, settings=settings)


def contents_of(job: Job, settings: Settings) -> Iterator[Conversion | Refused]:
    """What a job's files hold. What ends the reading before its time refuses what is left, not what was read before.

    Raises nothing but what ends the run.
    """
    try:
        yield from conversions(job, settings)
    except FormatError as error:
        yield _rest(job, error)
    except OSError as exc:
        yield _rest(job, Unreadable(f"the file cannot be read ({exc.strerror}); check who may read it"))
    except MediBridgeError:
        raise
    except Exception as exc:  # noqa: BLE001 - a fault of a reader must not stop the other files
        where = traceback.extract_tb(exc.__traceback__)[-1]
        told = f"a fault of MediBridge itself ({type(exc).__name__} in {where.name}, line {where.lineno}); report it"
        yield _rest(job, Faulty(told))


class Unreadable(FormatError):
    """The disk does not give the file. The next run tries again."""


class Faulty(FormatError):
    """A reader failed as it never should. The next run tries again."""


def _shaped(found: Iterator[Conversion | Refused], shape: Shape) -> Iterator[tuple[Conversion | Refused, list[bytes]]]:
    """Each with the lines of the output that it makes; what has no such shape is refused."""
    for one in found:
        if isinstance(one, Refused):
            yield one, []
            continue
        try:
            yield one, list(lines_of(one, shape))
        except FormatError as error:
            yield Refused(Piece(b"", one.place), error), []


def _rest(job: Job, error: FormatError) -> Refused:
    """A refusal of what was not read; all of the first file goes to quarantine."""
    return Refused(Piece(b"", origin=Path(job.paths[0])), error)


def _study(job: Job, settings: Settings) -> Conversion:
    """The files of a study as one conversion; its provenance names the hash of all of their hashes."""
    conversion = dicom.read_study([Path(path) for path in job.paths], settings)
    hashes = sorted(attachment.digest for attachment in conversion.attachments)
    return finish(Piece(b"".join(hashes)), conversion, settings)


class _Watch:
    """Looks now and then whether the run that ordered the work still goes on."""

    def __init__(self, out: Path, run: str) -> None:
        self._path = state_folder(out) / "run"
        self._run = run
        self._looked = time.monotonic()

    def look(self, *, now: bool = False) -> None:
        """Raises `Superseded` where it does not."""
        if not now and time.monotonic() - self._looked < _LOOK_UP:
            return
        self._looked = time.monotonic()
        try:
            current = self._path.read_text("ascii")
        except OSError:
            current = ""
        if current != self._run:
            raise Superseded("the run was stopped; repeat the command")


def stamp_of(paths: tuple[str, ...]) -> tuple[str, int]:
    """What tells quickly that files are the same as before: a digest of their sizes and times; and their size."""
    digest, size = hashlib.sha256(), 0
    for path in paths:
        found = Path(path).stat()
        size += found.st_size
        digest.update(f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}\n".encode())
    return digest.hexdigest()[:32], size


def _digest_of(job: Job, watch: _Watch) -> str:
    """Of the content of the files, in their order; of several, each with its name."""
    digest = hashlib.sha256()
    for path in job.paths:
        content = hashlib.sha256()
        with Path(path).open("rb") as stream:
            while block := stream.read(1 << 20):
                content.update(block)
                watch.look()
        if len(job.paths) == 1:
            return content.hexdigest()
        digest.update(content.digest() + os.fsencode(Path(path).name) + b"\0")
    return digest.hexdigest()
