"""A patient of the source by the quasi-identifiers, as the policy leaves them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from medibridge.datasets.quasi import ALIVE, DEAD, OLD, UNKNOWN
from medibridge.formats.deidentification import Dates, Policy, Treatment
from medibridge.formats.deidentification.dates import year_of
from medibridge.formats.deidentification.places import zip3, zip5
from medibridge.record import Json, JsonObject

__all__ = ["addresses_of", "identifiers_of", "values_of"]

_UNITED_STATES: Final = ("US", "USA", "United States", "United States of America")
_CITY = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .'-]){1,40}")
_SEXES: Final = ("male", "female", "other", "unknown")
_STATES: Final = frozenset(
    """AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR
    PA RI SC SD TN TX UT VT VA WA WV WI WY AS GU MP PR VI""".split()  # noqa: SIM905 - as a table
)


def values_of(patient: JsonObject, policy: Policy, treatment: Treatment, last_old_year: int) -> dict[str, str]:
    """Sex, year of birth, ZIP code and year of death, each a text."""
    sex = patient.get("gender")
    return {
        "sex": sex if isinstance(sex, str) and sex in _SEXES else UNKNOWN,
        "birth": _birth(patient.get("birthDate"), policy, treatment, last_old_year),
        "zip": next((area for address in _addresses(patient) if (area := _zip(address, zip3))), UNKNOWN),
        "death": _death(patient, treatment),
    }


def _birth(born: Json, policy: Policy, treatment: Treatment, last_old_year: int) -> str:
    year = year_of(born) if isinstance(born, str) else None
    if year is None:
        return UNKNOWN
    if policy.oldest is not None and year <= last_old_year:
        return OLD
    kept = treatment.date(str(born))
    if kept is None:
        return OLD if policy.dates is Dates.SHIFTED and policy.oldest is not None else UNKNOWN
    return kept[:4]


def _death(patient: JsonObject, treatment: Treatment) -> str:
    died = patient.get("deceasedDateTime")
    if isinstance(died, str):
        kept = treatment.date(died)
        return kept[:4] if kept else DEAD
    return DEAD if patient.get("deceasedBoolean") is True else ALIVE


def _zip(address: JsonObject, read: Callable[[str], str | None]) -> str | None:
    code = address.get("postalCode")
    return read(code) if isinstance(code, str) and address.get("country", "US") in _UNITED_STATES else None


def addresses_of(patient: JsonObject) -> list[Json]:
    """City, state and ZIP code, which a limited data set may tell (45 CFR 164.514(e)(2)(ii))."""
    kept: list[Json] = []
    for address in _addresses(patient):
        place: dict[str, Json] = {}
        city, state = address.get("city"), address.get("state")
        if isinstance(city, str) and _CITY.fullmatch(city):
            place["city"] = city
        if isinstance(state, str) and state in _STATES:
            place["state"] = state
        if (area := _zip(address, zip5)) is not None:
            place["postalCode"] = area
        if place:
            kept.append(place)
    return kept


def identifiers_of(patient: JsonObject) -> Iterator[tuple[str, str]]:
    """System and value of each identifier."""
    for identifier in _objects(patient.get("identifier")):
        system, value = identifier.get("system"), identifier.get("value")
        if isinstance(value, str):
            yield (system if isinstance(system, str) else ""), value


def _addresses(patient: JsonObject) -> Iterator[JsonObject]:
    yield from _objects(patient.get("address"))


def _objects(value: Json) -> Iterator[JsonObject]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from (item for item in value if isinstance(item, Mapping))
