"""Pages for people: HTML in one file, light or dark as the reader's system is, with no script and no font of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["definitions", "note", "page", "paragraphs", "section", "table", "tiles"]

_STYLE = """
:root { color-scheme: light dark; --ink: #17242b; --quiet: #5b6b73; --paper: #fbfcfc; --card: #fff; --line: #d8e0e3;
  --main: #0b7285; --soft: #c3dfe4; --other: #b5651d; --warn: #8a4b00; --warnbg: #fff4e0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eef1; --quiet: #9fb0b7; --paper: #10181c; --card: #172227;
  --line: #2b3a41; --main: #4fb3c6; --soft: #24474f; --other: #dd9a5c; --warn: #ffd08a; --warnbg: #33260f; } }
* { box-sizing: border-box } body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif }
main { max-width: 860px; margin: 0 auto; padding: 40px 24px 80px }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 6px } h2 { font-size: 1.2rem; margin: 44px 0 10px }
p { margin: 0 0 12px } .quiet { color: var(--quiet) } code { font-size: .86em; overflow-wrap: anywhere }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 22px 0 }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px }
.tile b { display: block; font-size: 1.55rem; line-height: 1.2 } .tile span { color: var(--quiet); font-size: .86rem }
.note { background: var(--warnbg); color: var(--warn); border-radius: 8px; padding: 12px 16px; margin: 14px 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .92rem }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--quiet); font-weight: 500 } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
dt { color: var(--quiet); font-size: .9rem; margin-top: 10px } dd { margin: 0 }
figure { margin: 12px 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px }
figcaption { color: var(--quiet); font-size: .9rem; margin-bottom: 8px }
svg { width: 100%; height: auto; display: block; font-size: 13px } svg text { fill: var(--ink) }
svg text.quiet { fill: var(--quiet); font-size: 12px } svg text.head { font-weight: 600 }
svg .main { fill: var(--main) } svg .soft { fill: var(--soft) } svg .other { fill: var(--other) }
svg .axis { stroke: var(--line) }
@media print { main { padding: 0 } figure, .tile { break-inside: avoid } }
"""


def page(title: str, subtitle: str, parts: Iterable[str]) -> str:
    """A whole page."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="quiet">{escape(subtitle)}</p>\n'
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what is under it."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraphs(text: str) -> str:
    """Text, a paragraph for each block of lines."""
    return "\n".join(f"<p>{escape(block.strip())}</p>" for block in text.split("\n\n") if block.strip())


def note(text: str) -> str:
    """What somebody must not overlook."""
    return f'<p class="note">{escape(text)}</p>'


def tiles(facts: Iterable[tuple[str, str]]) -> str:
    """The most important numbers."""
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{escape(number)}</b><span>{escape(what)}</span></div>' for number, what in facts
        )
        + "</div>"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """A table; the columns in `right` hold numbers."""
    kinds = [' class="n"' if column in right else "" for column in columns]
    heading = "".join(f"<th{kind}>{escape(column)}</th>" for kind, column in zip(kinds, columns, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Words and what they mean here."""
    return "<dl>" + "".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in pairs) + "</dl>"
