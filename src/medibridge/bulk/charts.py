"""Coverage as a page to look at: bars for each type of message and each field. HTML without scripts, from one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from medibridge.bulk.coverage import Coverage, kept, lost
from medibridge.formats import Outcome

__all__ = ["page"]

_MOST: Final = 100  # fields that are shown
_COLOURS: Final = {
    Outcome.MAPPED: "#2f855a",
    Outcome.PARTLY: "#9ac47c",
    Outcome.USED: "#b8c4d4",
    Outcome.IGNORED: "#d9dfe7",
    Outcome.UNMAPPED: "#e0a030",
    Outcome.UNKNOWN: "#d9663a",
    Outcome.INVALID: "#b3261e",
}
_STYLE: Final = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .2rem .6rem .2rem 0; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
td.bar { width: 40% } svg { display: block; width: 100%; height: .9rem }
i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .9rem; vertical-align: -1px }
"""


def page(coverage: Coverage) -> str:
    """The page. It holds names of formats and fields, and counts; no value of a patient."""
    return "\n".join(_page(coverage)) + "\n"


def _page(coverage: Coverage) -> Iterator[str]:
    whole = coverage.outcomes()
    yield "<!doctype html><html lang=en><meta charset=utf-8><title>Coverage</title>"
    yield '<meta name=viewport content="width=device-width">'
    yield f"<style>{_STYLE}</style>"
    yield f"<h1>Coverage</h1><p>{coverage.messages.total():,} messages, {coverage.refused:,} refused; "
    yield f"{whole.total():,} values, of which {_share(kept(whole), whole.total())} are in the output and "
    yield f"{_share(lost(whole), whole.total())} are lost. Each is in a report.</p>"
    yield "<p>" + "".join(f'<i style="background:{colour}"></i>{outcome.value}' for outcome, colour in _COLOURS.items())
    yield "</p><h2>By type of message</h2>"
    yield from _table(
        ("type", "messages", "values", "lost"),
        ((kind, count, coverage.outcomes(kind)) for kind, count in sorted(coverage.messages.items())),
    )
    losses = [(name, outcomes) for name, outcomes in coverage.by_loss() if lost(outcomes)]
    yield f"<h2>Fields of which most is lost</h2><p>{min(len(losses), _MOST)} of {len(losses)}</p>"
    yield from _table(
        ("field", "seen", "values", "lost"),
        ((f"{name.place} · {name.kind}", outcomes.total(), outcomes) for name, outcomes in losses[:_MOST]),
    )


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, int, Counter[Outcome]]]) -> Iterator[str]:
    heads = "".join(f"<th{' class=number' if column != columns[0] else ''}>{column}</th>" for column in columns)
    yield f"<table><tr>{heads}<th></th></tr>"
    for name, count, outcomes in rows:
        yield (
            f"<tr><td>{escape(name)}</td><td class=number>{count:,}</td><td class=number>{outcomes.total():,}</td>"
            f"<td class=number>{_share(lost(outcomes), outcomes.total())}</td><td class=bar>{_bar(outcomes)}</td></tr>"
        )
    yield "</table>"


def _bar(outcomes: Counter[Outcome]) -> str:
    total, at, parts = max(outcomes.total(), 1), 0.0, []
    for outcome, colour in _COLOURS.items():
        if width := 100 * outcomes[outcome] / total:
            parts.append(f'<rect x="{at:.2f}%" width="{width:.2f}%" height="100%" fill="{colour}"/>')
            at += width
    told = ", ".join(f"{outcome.value} {outcomes[outcome]:,}" for outcome in _COLOURS if outcomes[outcome])
    return f'<svg role="img"><title>{told}</title>{"".join(parts)}</svg>'


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
