"""Units of measure: what a site writes, as a code of UCUM (ucum.org)."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, cast

import yaml

from medibridge.formats.settings import Profile

__all__ = ["UCUM", "ucum"]

UCUM: Final = "http://unitsofmeasure.org"

_MAX_LENGTH: Final = 64
_SYMBOL: Final = re.compile(r"\{[!-z|~]*\}|(?:\[[^\[\]{}\s]{1,20}\]|[A-Za-z%'_]|10[*^])+|[1-9][0-9]*|[./()]")
_LITRE: Final = re.compile(r"(?<![A-Za-z\[{])([dcmunpf]?)l(?![A-Za-z\]}])")
_EXPONENT: Final = re.compile(r"[+-]?[0-9]{1,2}")


def ucum(text: str, profile: Profile | None = None) -> str | None:
    """The UCUM code for a unit as it is written (``K/uL`` is ``10*3/uL``), or None where it is not known.

    First by the site's profile, then as a common way to write a unit, then as a UCUM code itself; regardless of case
    only where one unit alone can be meant.
    """
    if profile is not None and text in profile.units:
        return profile.units[text]
    return _ucum(text) if len(text) <= _MAX_LENGTH else None


@functools.lru_cache(4096)
def _ucum(text: str) -> str | None:
    written = "".join(unicodedata.normalize("NFKC", text).replace("×", "x").replace("μ", "u").split())
    units = _units()
    with_litre = _LITRE.sub(r"\1L", written)
    found = units.exact.get(written) or units.exact.get(with_litre)
    if found is None and units.is_code(with_litre):
        return with_litre
    return found or units.folded.get(written.casefold())


@dataclass(frozen=True)
class _Units:
    exact: Mapping[str, str]
    folded: Mapping[str, str]
    atoms: frozenset[str]

    def is_code(self, text: str) -> bool:
        """Whether the text is put together as UCUM's grammar says (section 2.2), from the units that are known here."""
        position, depth, wants_term = 0, 0, True
        while position < len(text):
            match = _SYMBOL.match(text, position)
            if match is None:
                return False
            symbol, position = match[0], match.end()
            if symbol in "./":
                if wants_term and not (symbol == "/" and match.start() == 0):
                    return False
                wants_term = True
            elif symbol == "(":
                if not wants_term:
                    return False
                depth += 1
            elif symbol == ")":
                depth -= 1
                if wants_term or depth < 0:
                    return False
            elif symbol.startswith("{"):
                wants_term = False  # an annotation follows a unit, or stands for one
            else:
                if not wants_term or not (symbol.isdecimal() or symbol in self.atoms):
                    return False
                wants_term = False
                if not symbol.isdecimal() and (exponent := _EXPONENT.match(text, position)):
                    position = exponent.end()
        return bool(text) and not wants_term and depth == 0


@functools.cache
def _units() -> _Units:
    text = files("medibridge.formats").joinpath("units.yaml").read_text("utf-8")
    values = cast("dict[str, list[str]]", yaml.load(text, yaml.BaseLoader))  # noqa: S506 - every scalar is text
    aliases = cast("dict[str, list[str]]", values["units"])
    exact: dict[str, str] = {}
    folded: dict[str, set[str]] = {}
    for code, others in aliases.items():
        for written in (code, *others):
            key = "".join(unicodedata.normalize("NFKC", written).replace("×", "x").replace("μ", "u").split())
            exact[key] = code
            folded.setdefault(key.casefold(), set()).add(code)
    metric = values["metric"]
    atoms = {*values["atoms"], *metric, *(prefix + atom for prefix in values["prefixes"] for atom in metric)}
    clear = {key: next(iter(codes)) for key, codes in folded.items() if len(codes) == 1}
    return _Units(exact, clear, frozenset(atoms))
