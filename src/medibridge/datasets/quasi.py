"""Quasi-identifiers: what others may know of a patient too, and how each of them is made coarser.

Those that are chosen come out, as coarse as k-anonymity asks; those that are not chosen do not come out at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from medibridge.errors import UsageError
from medibridge.formats.deidentification.places import NO_AREA
from medibridge.record import Json

__all__ = [
    "ALIVE",
    "ALL",
    "DEAD",
    "DEFAULT",
    "HIDDEN",
    "OLD",
    "QUASI",
    "UNKNOWN",
    "Quasi",
    "chosen",
    "elements_of",
]

UNKNOWN: Final = "unknown"
"""The source does not tell."""
HIDDEN: Final = "*"
"""The dataset does not tell."""
OLD: Final = "90+"
"""Born so long ago that the age is above 89."""
ALIVE, DEAD = "not known to be dead", "dead"

BIRTH_YEARS: Final = "https://medibridge.invalid/StructureDefinition/birth-years"
DEATH_YEARS: Final = "https://medibridge.invalid/StructureDefinition/death-years"

_YEAR = re.compile(r"\d{4}", re.ASCII)
_YEARS = re.compile(r"(\d{4})-(\d{4})", re.ASCII)


@dataclass(frozen=True)
class Quasi:
    """A quasi-identifier: its name and title, what makes it coarser, step by step, and what it is worth to research.

    The last step tells nothing.
    """

    name: str
    title: str
    weight: int
    levels: tuple[tuple[str, Callable[[str], str]], ...]

    def at(self, level: int, value: str) -> str:
        """A value at a level; 0 is as the policy leaves it."""
        return self.levels[level][1](value)

    def loss(self, level: int) -> Fraction:
        """What is lost at a level, from 0 to the weight."""
        return Fraction(self.weight * level, self.highest)

    @property
    def highest(self) -> int:
        """The level that tells nothing."""
        return len(self.levels) - 1


def _same(value: str) -> str:
    return value


def _nothing(_: str) -> str:
    return HIDDEN


def _band(size: int) -> Callable[[str], str]:
    def band(value: str) -> str:
        if not _YEAR.fullmatch(value):
            return value
        first = int(value) // size * size
        return f"{first:04}-{first + size - 1:04}"

    return band


def _first_digit(value: str) -> str:
    return value if value in (UNKNOWN, NO_AREA) else value[:1]


def _dead_or_not(value: str) -> str:
    return value if value in (ALIVE, UNKNOWN) else DEAD


QUASI: Final[Mapping[str, Quasi]] = {
    quasi.name: quasi
    for quasi in (
        Quasi("sex", "Sex", 2, (("as it is", _same), ("not told", _nothing))),
        Quasi(
            "birth",
            "Year of birth",
            3,
            (("year", _same), *((f"{size} years", _band(size)) for size in (5, 10, 20, 40)), ("not told", _nothing)),
        ),
        Quasi("zip", "ZIP code", 1, (("3 digits", _same), ("1 digit", _first_digit), ("not told", _nothing))),
        Quasi(
            "death",
            "Year of death",
            1,
            (("year", _same), ("5 years", _band(5)), ("dead or not", _dead_or_not), ("not told", _nothing)),
        ),
    )
}
"""Every quasi-identifier that is known, by name."""

ALL: Final = tuple(QUASI)
DEFAULT: Final = ("sex", "birth", "zip", "death")


def chosen(names: str) -> tuple[str, ...]:
    """Quasi-identifiers, with commas between them: ``sex,birth``. Raises `UsageError`."""
    found = {part.strip() for part in names.split(",") if part.strip()}
    if unknown := sorted(found - set(ALL)):
        raise UsageError(f"{unknown[0]!r} is no quasi-identifier; there are {', '.join(ALL)}")
    if not found:
        raise UsageError(f"name at least one quasi-identifier of {', '.join(ALL)}")
    return tuple(name for name in ALL if name in found)


def elements_of(values: Mapping[str, str], last_old_year: int) -> dict[str, Json]:
    """The elements of a FHIR R4 Patient that tell these values, and no more.

    A span of years has no element of FHIR's; it is told by an extension with a Period of years.
    """
    found: dict[str, Json] = {}
    extensions: list[Json] = []
    if (sex := values.get("sex", HIDDEN)) not in (HIDDEN, UNKNOWN):
        found["gender"] = sex
    birth = values.get("birth", HIDDEN)
    if _YEAR.fullmatch(birth):
        found["birthDate"] = birth
    elif birth == OLD:
        extensions.append({"url": BIRTH_YEARS, "valuePeriod": {"end": f"{last_old_year:04}"}})
    elif years := _YEARS.fullmatch(birth):
        extensions.append({"url": BIRTH_YEARS, "valuePeriod": {"start": years[1], "end": years[2]}})
    death = values.get("death", HIDDEN)
    if _YEAR.fullmatch(death):
        found["deceasedDateTime"] = death
    elif death == DEAD:
        found["deceasedBoolean"] = True
    elif years := _YEARS.fullmatch(death):
        found["deceasedBoolean"] = True
        extensions.append({"url": DEATH_YEARS, "valuePeriod": {"start": years[1], "end": years[2]}})
    if (area := values.get("zip", HIDDEN)) not in (HIDDEN, UNKNOWN):
        found["address"] = [{"postalCode": area}]
    if extensions:
        found["extension"] = extensions
    return found
