"""HL7 v2 as it is written: delimiters, escape sequences, segments (HL7 v2.5.1, chapter 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

__all__ = ["Component", "Field", "Repetition", "segment"]

Component: TypeAlias = str | Sequence[str]
"""A text, or its subcomponents."""
Repetition: TypeAlias = Sequence[Component]
Field: TypeAlias = Sequence[Repetition]

_ESCAPES: Final = {"|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\", "\n": "\\.br\\"}
_SPECIAL: Final = re.compile(r"[|^&~\\\n]|[\x00-\x09\x0b-\x1f\x7f\u2028\u2029\x85]+")


def escaped(text: str) -> str:
    """Text without delimiters and control characters (2.7)."""
    return _SPECIAL.sub(lambda match: _ESCAPES.get(match[0]) or f"\\X{match[0].encode().hex().upper()}\\", text)


def segment(name: str, fields: Mapping[int, Field]) -> str:
    """A segment from its fields by number, without its line end."""
    texts = [_field(fields.get(number, ())) for number in range(1, max(fields, default=0) + 1)]
    return "|".join([name, *texts]).rstrip("|")


def _field(field: Field) -> str:
    return "~".join(text for repetition in field if (text := _repetition(repetition)))


def _repetition(repetition: Repetition) -> str:
    return "^".join(_component(component) for component in repetition).rstrip("^")


def _component(component: Component) -> str:
    if isinstance(component, str):
        return escaped(component)
    return "&".join(escaped(part) for part in component).rstrip("&")
