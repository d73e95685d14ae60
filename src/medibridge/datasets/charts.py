"""Charts as SVG inside a page: bars, and bars to both sides. No script, nothing from elsewhere; colours by the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

__all__ = ["Bar", "bars", "columns", "pyramid"]

Bar = tuple[str, int]
"""A label and its number."""

_WIDTH: Final = 720
_ROW: Final = 26


def bars(title: str, rows: Sequence[tuple[str, int, int]], legend: tuple[str, str]) -> str:
    """For each label two numbers, the second a part of the first: lying bars, one upon the other."""
    most = max((first for _, first, _ in rows), default=0) or 1
    left, right = 190, 130
    room = _WIDTH - left - right
    parts = []
    for row, (label, first, second) in enumerate(rows):
        y = 30 + row * _ROW
        parts += [
            _text(left - 10, y + 13, label, "end"),
            _rect(left, y, first / most * room, 18, "soft", f"{label}: {first:,} {legend[0]}"),
            _rect(left, y, second / most * room, 18, "main", f"{label}: {second:,} {legend[1]}"),
            _text(left + first / most * room + 8, y + 13, f"{second:,} of {first:,}", "start", "quiet"),
        ]
    return _figure(title, 36 + len(rows) * _ROW, [*_legend(legend), *parts])


def columns(title: str, rows: Sequence[Bar], below: str) -> str:
    """Standing bars with their numbers, the labels under them; `below` says what the labels are."""
    most = max((number for _, number in rows), default=0) or 1
    height, width = 150, _WIDTH / max(len(rows), 6)
    parts = []
    for at, (label, number) in enumerate(rows):
        tall = number / most * height
        middle = at * width + width / 2
        parts += [
            _rect(at * width + width * 0.14, 26 + height - tall, width * 0.72, tall, "main", f"{label}: {number:,}"),
            _text(middle, 20 + height - tall, f"{number:,}", "middle", "quiet"),
            _text(middle, 44 + height, label, "middle"),
        ]
    axis = f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{26 + height}" y2="{26 + height}"/>'
    return _figure(title, 72 + height, [axis, *parts, _text(_WIDTH / 2, 66 + height, below, "middle", "quiet")])


def pyramid(title: str, rows: Sequence[tuple[str, int, int]], legend: tuple[str, str]) -> str:
    """For each label two numbers, one to each side: people by age and sex."""
    most = max((max(left, right) for _, left, right in rows), default=0) or 1
    middle, gap = _WIDTH / 2, 62
    room = middle - gap - 60
    parts = []
    for row, (label, first, second) in enumerate(rows):
        y = 30 + row * _ROW
        long, other = first / most * room, second / most * room
        parts += [
            _text(middle, y + 13, label, "middle"),
            _rect(middle - gap - long, y, long, 18, "main", f"{label}: {first:,} {legend[0]}"),
            _rect(middle + gap, y, other, 18, "other", f"{label}: {second:,} {legend[1]}"),
            _text(middle - gap - long - 6, y + 13, f"{first:,}", "end", "quiet"),
            _text(middle + gap + other + 6, y + 13, f"{second:,}", "start", "quiet"),
        ]
    heads = [
        _text(middle - gap, 16, legend[0], "end", "head"),
        _text(middle + gap, 16, legend[1], "start", "head"),
    ]
    return _figure(title, 36 + len(rows) * _ROW, [*heads, *parts])


def _figure(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg></figure>"
    )


def _legend(names: tuple[str, str]) -> list[str]:
    return [
        '<rect class="soft" x="190" y="4" width="12" height="12" rx="2"/>',
        _text(208, 14, names[0], "start", "quiet"),
        '<rect class="main" x="290" y="4" width="12" height="12" rx="2"/>',
        _text(308, 14, names[1], "start", "quiet"),
    ]


def _rect(x: float, y: float, width: float, height: float, kind: str, hint: str) -> str:
    size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {size} rx="2"><title>{escape(hint)}</title></rect>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
