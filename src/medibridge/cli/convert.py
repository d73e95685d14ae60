"""``medibridge convert``: foreign bytes to FHIR R4, one file or whole folders."""

from __future__ import annotations

import enum
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, TypeVar

import typer
from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from medibridge.bulk import Plan, Reports, Shape, Summary, convert_folder
from medibridge.bulk.shapes import lines_of
from medibridge.cli.door import EXIT_CODES
from medibridge.cli.files import reading
from medibridge.cli.reading import (
    AsJson,
    Inputs,
    ProfileOption,
    Scheduler,
    SourceOption,
    Strict,
    Workers,
    crew_of,
    settings_of,
    stoppable,
)
from medibridge.cli.screen import Document, Screen, table
from medibridge.errors import FormatError, UsageError
from medibridge.formats import Refused, Settings, read_all

__all__ = ["convert"]

E = TypeVar("E", bound=enum.Enum)

_REFUSED = EXIT_CODES[FormatError]


def convert(
    inputs: Inputs,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write there; without it, one file goes to stdout."),
    ] = None,
    to: Annotated[
        str, typer.Option("--to", metavar="SHAPE", help="bundle, resources, csv, parquet or hl7v2.")
    ] = Shape.BUNDLE.value,
    reports: Annotated[
        str, typer.Option("--reports", metavar="KIND", help="findings, or operation-outcome.")
    ] = Reports.FINDINGS.value,
    quarantine: Annotated[
        Path | None,
        typer.Option("--quarantine", metavar="DIR", help="Keep there what could not be read, and why."),
    ] = None,
    source: SourceOption = "",
    profile: ProfileOption = None,
    strict: Strict = False,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Print a profile for a CSV file to begin with, and convert nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert messages, documents, images and tables to FHIR R4, with a report of every value.

    A file becomes NDJSON, a transaction Bundle for each message, with a report beside it: `a/b.hl7` gives
    `DIR/a/b.hl7.ndjson` and `DIR/a/b.hl7.report.ndjson`. DICOM files of one study become one Bundle; their
    images are not copied, the Bundle names them by SHA-256. With `--to resources` there is one file for each resource
    type, with `csv` and `parquet` one for each table.

    Repeat a command that was stopped, or after files were added: what is done and unchanged is not done again. What
    cannot be read stops nothing; it is counted, the names are in `DIR/.medibridge/refused.txt`, and the exit code
    is 3.

    For example:

        medibridge convert result.hl7
        medibridge convert inbox -o outbox --source st-mary/lab --quarantine refused --workers 4
        medibridge convert patients.csv --suggest
    """
    screen = Screen(as_json=as_json)
    settings = settings_of(source, profile, strict=strict)
    shape, kind = _member(Shape, to, "--to"), _member(Reports, reports, "--reports")
    if suggest:
        _suggest(screen, inputs)
    elif out is None:
        _to_stdout(screen, inputs, settings, shape)
    else:
        bar = _Bar(screen, inputs, [folder for folder in (out, quarantine) if folder])
        with stoppable(), bar, crew_of(workers, scheduler) as crew:
            summary = convert_folder(
                inputs, out, settings, shape=shape, reports=kind, quarantine=quarantine, crew=crew, progress=bar.show
            )
        screen.show(_document(summary), *_views(summary, out))
        if summary.refused:
            raise typer.Exit(_REFUSED)


def _member(kind: type[E], text: str, option: str) -> E:
    with suppress(ValueError):
        return kind(text)
    raise UsageError(f"{option} takes {', '.join(member.value for member in kind)}; {text!r} is none of them")


def _only(inputs: list[Path]) -> Path:
    if len(inputs) != 1 or not inputs[0].is_file():
        raise UsageError("one file goes to stdout; for several, or a folder, say where to write: -o DIR")
    return inputs[0]


def _to_stdout(screen: Screen, inputs: list[Path], settings: Settings, shape: Shape) -> None:
    """The lines of one file as they are made; what is to be said of them goes to stderr."""
    path = _only(inputs)
    if shape in (Shape.CSV, Shape.PARQUET):
        raise UsageError("tables are several files; say where to write them: -o DIR")
    messages, outcomes, refused = 0, Counter[str](), 0
    with reading(path) as stream:
        for found in read_all(stream, settings=settings):
            if isinstance(found, Refused):
                refused += 1
                screen.say(f"{found.piece.place or 'the input'} is refused: {found.error}")
                continue
            messages += 1
            outcomes.update(finding.outcome.value for finding in found.report.findings)
            for line in lines_of(found, shape):
                screen.show_line(line)
    screen.say(f"{messages:,} messages, {refused:,} refused; values: {_counted(outcomes)}")
    if refused:
        raise typer.Exit(_REFUSED)


def _suggest(screen: Screen, inputs: list[Path]) -> None:
    from medibridge.formats.tables import suggest  # noqa: PLC0415 - only where it is asked for

    with reading(_only(inputs)) as stream:
        screen.show_line(suggest(stream).encode())


@dataclass
class _Bar:
    """A bar on stderr, where that is a terminal: bytes done of all, rate, time to go."""

    screen: Screen
    inputs: list[Path]
    out: list[Path]

    def __enter__(self) -> Self:
        self._progress = self.screen.progress(
            TextColumn("converting"),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._progress.start()
        if not self._progress.disable:
            _, size = Plan(self.inputs, self.out).size()
            self._task = self._progress.add_task("", total=size, rate="")
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, summary: Summary) -> None:
        """Show how far it is."""
        if not self._progress.disable:
            rate = f"{summary.messages / max(summary.seconds, 0.001):,.0f} messages/s"
            self._progress.update(self._task, completed=summary.size, rate=rate)


def _document(summary: Summary) -> Document:
    return {
        "files": summary.jobs,
        "unchanged": summary.unchanged,
        "bytes": summary.size,
        "messages": summary.messages,
        "refused": summary.refused,
        "reasons": dict(summary.reasons.most_common()),
        "formats": dict(summary.kinds.most_common()),
        "values": dict(summary.outcomes.most_common()),
        "skipped": summary.skipped,
        "attachment_bytes": summary.attachments,
        "milliseconds": round(summary.seconds * 1000),
    }


def _views(summary: Summary, out: Path) -> list[RenderableType]:
    seconds = max(summary.seconds, 0.001)
    done = summary.jobs - summary.unchanged
    views: list[RenderableType] = [
        f"{summary.jobs:,} files ({summary.unchanged:,} unchanged since before), {summary.messages:,} messages, "
        f"{summary.refused:,} refused, {summary.size / 1e6:,.1f} MB in {seconds:,.1f} s"
        + (f" ({done / seconds:,.0f} files/s)" if done else ""),
        f"values: {_counted(summary.outcomes)}",
        table("Formats", ("format", "messages"), _rows(summary.kinds), right=("messages",)),
    ]
    if summary.refused:
        views += [
            table("Refused", ("reason", "pieces"), _rows(summary.reasons), right=("pieces",)),
            f"their names are in {out}/.medibridge/refused.txt, their places in the reports",
        ]
    if summary.skipped:
        views.append(f"{summary.skipped:,} hidden or special entries of folders were skipped")
    if summary.attachments:
        views.append(
            f"{summary.attachments / 1e6:,.1f} MB of images stay where they are; the output names them by SHA-256"
        )
    return views


def _rows(counts: Counter[str]) -> list[tuple[str, str]]:
    return [(name, f"{count:,}") for name, count in counts.most_common()]


def _counted(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in outcomes.most_common()) or "none"
