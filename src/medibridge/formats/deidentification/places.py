"""ZIP codes: the first three digits, and of which areas not even these (45 CFR 164.514(b)(2)(i)(B)).

The law asks for 000 where all ZIP codes with the same three first digits together hold 20 000 people or fewer,
"according to the current publicly available data from the Bureau of the Census". The guidance of the Department of
Health and Human Services lists the 17 prefixes of the census of 2000; by that of 2010 six came and five went. Which
census a reader holds against a dataset is not ours to say, and a prefix may be used for fewer people than it was. So
what either lists is 000, and with it military mail, of which no census tells. More prefixes as 000 are never against
the law; fewer may be.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NO_AREA", "RESTRICTED", "zip3", "zip5"]

_CENSUS_2000 = (
    "036",
    "059",
    "063",
    "102",
    "203",
    "556",
    "692",
    "790",
    "821",
    "823",
    "830",
    "831",
    "878",
    "879",
    "884",
    "890",
    "893",
)
_CENSUS_2010 = (
    "036",
    "059",
    "102",
    "202",
    "203",
    "204",
    "205",
    "369",
    "556",
    "692",
    "753",
    "772",
    "821",
    "823",
    "878",
    "879",
    "884",
    "893",
)
_MILITARY = [*(f"{prefix:03}" for prefix in range(90, 100)), "340", *(str(prefix) for prefix in range(962, 967))]

RESTRICTED: Final = frozenset((*_CENSUS_2000, *_CENSUS_2010, *_MILITARY))
"""Prefixes of areas with 20 000 people or fewer in one of the two censuses; military mail, of which no census tells."""

NO_AREA: Final = "000"

_ZIP = re.compile(r"(\d{3})(\d\d)?(-?\d{4})?", re.ASCII)


def zip3(text: str) -> str | None:
    """The first three digits of a ZIP code, 000 for a restricted area; None where it is no ZIP code."""
    match = _ZIP.fullmatch(text)
    if match is None:
        return None
    return NO_AREA if match[1] in RESTRICTED else match[1]


def zip5(text: str) -> str | None:
    """The ZIP code without the digits that name a street; None where it is no ZIP code."""
    match = _ZIP.fullmatch(text)
    return match[1] + match[2] if match and match[2] else None
