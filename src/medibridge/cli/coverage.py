"""``medibridge coverage``: what of an input goes where, by field."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from medibridge.bulk.charts import page
from medibridge.bulk.coverage import Coverage, cover, kept, lost
from medibridge.cli.door import EXIT_CODES
from medibridge.cli.files import write_file
from medibridge.cli.reading import AsJson, Inputs, ProfileOption, Scheduler, SourceOption, Workers, crew_of, settings_of
from medibridge.cli.screen import Document, Screen, table
from medibridge.errors import FormatError
from medibridge.formats import Outcome

__all__ = ["coverage"]

_SHOWN = 40  # rows, where a person looks
_COLUMNS = ("type", "field", *(outcome.value for outcome in Outcome if outcome is not Outcome.DEFAULT))


def coverage(
    inputs: Inputs,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all fields as CSV.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts, in one file.")
    ] = None,
    source: SourceOption = "",
    profile: ProfileOption = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
) -> None:
    """Count what becomes of each field of each type of message, those first of which most is lost.

    Lost is what is unmapped, unknown or invalid; each such value is in a report. Use it to decide what the site's
    profile should say.

    For example:

        medibridge coverage inbox
        medibridge coverage inbox --csv
        medibridge coverage inbox --html coverage.html --workers 4
    """
    screen = Screen(as_json=as_json)
    settings = settings_of(source, profile)
    with screen.counting("messages read") as count, crew_of(workers, scheduler) as crew:
        found = cover(inputs, settings, crew=crew, progress=lambda sofar: count(sofar.messages.total()))
    if html is not None:
        write_file(html, page(found).encode(), "the page")
    if as_csv and not screen.as_json:
        screen.show_line(_csv(found).encode())
    else:
        _show(screen, found)
    if found.refused:
        raise typer.Exit(EXIT_CODES[FormatError])


def _show(screen: Screen, found: Coverage) -> None:
    whole = found.outcomes()
    fields = found.by_loss()
    rows = [
        (
            name.kind,
            name.place,
            f"{outcomes.total():,}",
            f"{kept(outcomes):,}",
            f"{outcomes[Outcome.USED] + outcomes[Outcome.IGNORED]:,}",
            f"{outcomes[Outcome.UNMAPPED]:,}",
            f"{outcomes[Outcome.UNKNOWN]:,}",
            f"{outcomes[Outcome.INVALID]:,}",
        )
        for name, outcomes in fields
        if lost(outcomes)
    ]
    columns = ("type", "field", "seen", "in the output", "used or ignored", "unmapped", "unknown", "invalid")
    title = f"Fields of which something is lost: the first {min(len(rows), _SHOWN)} of {len(rows)}; all with --csv"
    types = [
        (kind, f"{count:,}", _share(kept(outcomes), outcomes.total()), _share(lost(outcomes), outcomes.total()))
        for kind, count in found.messages.most_common()
        for outcomes in [found.outcomes(kind)]
    ]
    screen.show(
        _document(found),
        table("Types of messages", ("type", "messages", "in the output", "lost"), types, right=("messages",)),
        table(title, columns, rows[:_SHOWN], right=columns[2:]),
        f"{found.messages.total():,} messages, {found.refused:,} refused; {whole.total():,} values: "
        f"{_share(kept(whole), whole.total())} in the output, {_share(lost(whole), whole.total())} lost, the rest used "
        "or ignored on purpose; 100 % reported",
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _csv(found: Coverage) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for name, outcomes in found.by_loss():
        rows.writerow([name.kind, name.place, *_counts(outcomes).values()])
    return text.getvalue()


def _counts(outcomes: Counter[Outcome]) -> dict[str, int]:
    return {outcome.value: outcomes[outcome] for outcome in Outcome if outcome is not Outcome.DEFAULT}


def _document(found: Coverage) -> Document:
    return {
        "messages": dict(found.messages.most_common()),
        "refused": found.refused,
        "values": _counts(found.outcomes()),
        "fields": [{"type": name.kind, "field": name.place, **_counts(outcomes)} for name, outcomes in found.by_loss()],
    }
