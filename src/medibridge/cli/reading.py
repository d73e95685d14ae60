"""The options of all commands that read foreign bytes, and what they are turned into."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from medibridge.bulk import Crew, Inline, Processes
from medibridge.cli.files import read_file
from medibridge.errors import UsageError
from medibridge.formats import Profile, Settings

__all__ = [
    "AsJson",
    "Inputs",
    "ProfileOption",
    "Scheduler",
    "SourceOption",
    "Strict",
    "Workers",
    "crew_of",
    "settings_of",
    "stoppable",
]

_HOW, _WHO = "How to read", "Who works"

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
Inputs = Annotated[list[Path], typer.Argument(metavar="IN...", help="Files, and folders with files.")]
SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="NAME",
        rich_help_panel=_HOW,
        help="The system that sent them, such as st-mary/lab; keeps equal ids of two apart.",
    ),
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        rich_help_panel=_HOW,
        help="What only the site knows: time zone, authorities, local codes; in YAML.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict/--lenient",
        rich_help_panel=_HOW,
        help="Refuse a message that holds something invalid, or leave that out and report it.",
    ),
]
Workers = Annotated[
    int,
    typer.Option("--workers", metavar="N", rich_help_panel=_WHO, help="So many processes; 1 is this one alone."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="URL",
        rich_help_panel=_WHO,
        help="A Dask scheduler, tcp://host:8786, whose workers see the same files; or 'local'.",
    ),
]


def settings_of(source: str = "", profile: Path | None = None, *, strict: bool = False) -> Settings:
    """How to read. Raises `UsageError` for a profile that is none."""
    if profile is None:
        return Settings(source, strict)
    try:
        text = read_file(profile, "the profile", limit=4 * 2**20).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the profile is not UTF-8; save it so") from None
    return Settings(source, strict, Profile.from_yaml(text))


@contextmanager
def crew_of(workers: int, scheduler: str | None) -> Iterator[Crew]:
    """Who works. Raises `UsageError`."""
    if not 1 <= workers <= 1024:
        raise UsageError("--workers takes a number from 1 to 1024")
    if scheduler is not None:
        from medibridge.bulk.cluster import cluster_at  # noqa: PLC0415 - only where it is asked for

        with cluster_at(scheduler, workers) as cluster:
            yield cluster
    else:
        yield Inline() if workers == 1 else Processes(workers)


@contextmanager
def stoppable() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C: an end that keeps what is done."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
