"""The rules for values: what a code, a number, a date or a reference must be to pass, and what it becomes."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from medibridge.formats.deidentification.codes import is_public, is_ucum
from medibridge.formats.deidentification.dates import DateRule
from medibridge.record import Json, JsonObject

__all__ = ["NAMED", "Filter", "Rule", "Treatment", "each", "element_object", "filtered", "one_of"]


class Rule(enum.Enum):
    """Why a value is not as it was."""

    IDENTITY = "names, identifiers, addresses, contacts and other people: left out"
    TEXT = "free text, displays, narrative, notes and attachments: left out"
    EXTENSION = "extensions: left out"
    OTHER = "other elements that are on no list: left out"
    RESTATED = "codes that say a quasi-identifier, or an age, once more: left out with what they say it of"
    CODE = "codes of no public system, or not of its shape: left out"
    UNIT = "numbers whose unit is not UCUM: left out"
    AGE = "ages above 89, years that tell one, and ages at an event, which tell the year of birth: left out"
    DATE = "dates: reduced to the year, or shifted"
    BAD_DATE = "dates that are none: left out"
    REFERENCE = "references: renamed"
    DANGLING = "references to what is not there: left out"
    VALUE = "values that are not of their element's kind: left out"


@dataclass(frozen=True)
class Treatment:
    """What the rules need to know about the patient whose data they treat.

    Args:
        date: what becomes of a date.
        reference: the new ``Type/id`` of an old one; None where the reference must go.
        surrogate: a new name in place of one that says nothing but must be there.
        oldest: the greatest age that may be told; None where all may.
        hides: codes, as ``system|code``, that say once more what is hidden or made coarser.
        tally: counts how often each rule was applied.
    """

    date: DateRule
    reference: Callable[[str], str | None]
    surrogate: Callable[[str], str | None]
    oldest: int | None = 89
    hides: frozenset[str] = frozenset()
    tally: Counter[Rule] = field(default_factory=Counter, compare=False)


Filter = Callable[[Json, Treatment], Json]
"""From an element of the source to what stands in its place; None where nothing does."""

_REASONS: Final[Mapping[str, Rule]] = {
    name: rule
    for rule, names in {
        Rule.IDENTITY: "identifier name telecom address contact photo performer requester recorder asserter author "
        "practitioner participant serviceProvider location organization managingOrganization generalPractitioner "
        "device deviceName udiCarrier serialNumber lotNumber manufacturer link communication maritalStatus "
        "multipleBirthBoolean multipleBirthInteger insurance account fullUrl id versionId source subject patient "
        "encounter basedOn supportingInfo specimen",
        Rule.TEXT: "text display div note comment description patientInstruction additionalInstruction conclusion "
        "presentedForm content valueString valueAttachment title summary data url unit userSelected version "
        "implicitRules language",
        Rule.EXTENSION: "extension modifierExtension",
    }.items()
    for name in names.split()
}


def filtered(source: Json, filters: Mapping[str, Filter], treatment: Treatment) -> dict[str, Json]:
    """The elements of `source` that `filters` names, filtered; those of which nothing remains are left out."""
    if not isinstance(source, Mapping):
        treatment.tally[Rule.VALUE] += 1
        return {}
    kept: dict[str, Json] = {}
    for name, value in source.items():
        keep = filters.get(name)
        if keep is not None:
            found = keep(value, treatment)
            if found is not None:
                kept[name] = found
        elif name != "resourceType" and not (name in ("id", "subject", "patient") and "resourceType" in source):
            treatment.tally[_reason(name)] += 1
    return kept


def _reason(name: str) -> Rule:
    return Rule.EXTENSION if name.startswith("_") else _REASONS.get(name, Rule.OTHER)


def each(keep: Filter) -> Filter:
    """Each value of a list; the list goes where nothing of it remains."""

    def keep_each(value: Json, treatment: Treatment) -> Json:
        if not isinstance(value, Sequence) or isinstance(value, str):
            treatment.tally[Rule.VALUE] += 1
            return None
        return [found for item in value if (found := keep(item, treatment)) is not None] or None

    return keep_each


def element_object(filters: Mapping[str, Filter], must_keep: Sequence[str] = ()) -> Filter:
    """An object of elements; it goes where none of one of `must_keep` (``a``, or ``a|b``) remains."""
    needed = [choice.split("|") for choice in must_keep]

    def keep_object(value: Json, treatment: Treatment) -> Json:
        kept = filtered(value, filters, treatment)
        return kept if kept and all(any(name in kept for name in names) for names in needed) else None

    return keep_object


def one_of(codes: frozenset[str]) -> Filter:
    """A code from a fixed list."""

    def keep_code(value: Json, treatment: Treatment) -> Json:
        if isinstance(value, str) and value in codes:
            return value
        treatment.tally[Rule.CODE] += 1
        return None

    return keep_code


def _number(value: Json, treatment: Treatment) -> Json:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return value
    treatment.tally[Rule.VALUE] += 1
    return None


def _flag(value: Json, treatment: Treatment) -> Json:
    if isinstance(value, bool):
        return value
    treatment.tally[Rule.VALUE] += 1
    return None


def _date(value: Json, treatment: Treatment) -> Json:
    found = treatment.date(value) if isinstance(value, str) else None
    if found is not None:
        treatment.tally[Rule.DATE] += found != value
    else:
        treatment.tally[Rule.AGE if isinstance(value, str) and value[:2] in ("18", "19") else Rule.BAD_DATE] += 1
    return found


def _coding(value: Json, treatment: Treatment) -> Json:
    kept = filtered(value, _CODING, treatment)
    if len(kept) == 2 and is_public(kept["system"], kept["code"]):
        return kept
    treatment.tally[Rule.CODE] += 1
    return None


def _concept(value: Json, treatment: Treatment) -> Json:
    """Its codes that pass; nothing where one of them says what is hidden: the others say the same in other words."""
    codings = value.get("coding") if isinstance(value, Mapping) else None
    if treatment.hides and isinstance(codings, Sequence) and not isinstance(codings, str):
        told = (f"{each.get('system')}|{each.get('code')}" for each in codings if isinstance(each, Mapping))
        if not treatment.hides.isdisjoint(told):
            treatment.tally[Rule.RESTATED] += 1
            return None
    return _CODES(value, treatment)


def _as_it_is(value: Json, _: Treatment) -> Json:
    return value


_CODING: Final[Mapping[str, Filter]] = {"system": _as_it_is, "code": _as_it_is}
_CODES: Final = element_object({"coding": each(_coding)})
_UCUM_SYSTEM: Final = "http://unitsofmeasure.org"
_YEARS_IN: Final = {"a": 1, "mo": 12, "wk": 52, "d": 365}


def _quantity(value: Json, treatment: Treatment) -> Json:
    """Value, comparator and UCUM unit. A unit that is no UCUM takes the number with it; so does a great age."""
    if not isinstance(value, Mapping) or _number(value.get("value"), treatment) is None:
        return None
    if value.get("code") is not None and value.get("system") != _UCUM_SYSTEM:
        treatment.tally[Rule.UNIT] += 1
        return None
    unit = value.get("code") if value.get("system") == _UCUM_SYSTEM else value.get("unit")
    kept: dict[str, Json] = {"value": value["value"]}
    if value.get("comparator") in ("<", "<=", ">=", ">"):
        kept["comparator"] = value["comparator"]
    if unit is None:
        return kept
    if not is_ucum(unit):
        treatment.tally[Rule.UNIT] += 1
        return None
    if _is_great_age(value, str(unit), treatment.oldest):
        treatment.tally[Rule.AGE] += 1
        return None
    return {**kept, "system": _UCUM_SYSTEM, "code": unit}


def _is_great_age(quantity: JsonObject, unit: str, oldest: int | None) -> bool:
    value = quantity["value"]
    return (
        oldest is not None
        and unit in _YEARS_IN
        and isinstance(value, (int, Decimal))
        and value > oldest * _YEARS_IN[unit]
    )


def _age(value: Json, treatment: Treatment) -> Json:
    """The patient's age at an event. With the date of the event it is the year of birth, exactly and for all ages."""
    if treatment.oldest is None and not treatment.hides:
        return _quantity(value, treatment)
    treatment.tally[Rule.AGE] += 1
    return None


def _relatives_age(value: Json, treatment: Treatment) -> Json:
    """The age of a relative. It needs its unit: without one, nobody can tell whether it is above 89 years."""
    kept = _quantity(value, treatment)
    if not isinstance(kept, Mapping) or kept.get("code") in _YEARS_IN:
        return kept
    treatment.tally[Rule.UNIT] += 1
    return None


def _reference(value: Json, treatment: Treatment) -> Json:
    old = value.get("reference") if isinstance(value, Mapping) else None
    new = treatment.reference(old) if isinstance(old, str) else None
    treatment.tally[Rule.REFERENCE if new else Rule.DANGLING] += 1
    return {"reference": new} if new else None


def _surrogate(value: Json, treatment: Treatment) -> Json:
    return treatment.surrogate(value) if isinstance(value, str) else None


NAMED: Final[Mapping[str, Filter]] = {
    "number": _number,
    "flag": _flag,
    "date": _date,
    "coding": _coding,
    "concept": _concept,
    "period": element_object({"start": _date, "end": _date}),
    "quantity": _quantity,
    "age": _age,
    "relatives-age": _relatives_age,
    "range": element_object({"low": _quantity, "high": _quantity}),
    "ratio": element_object({"numerator": _quantity, "denominator": _quantity}, ("numerator", "denominator")),
    "reference": _reference,
    "surrogate": _surrogate,
}
"""The rules that a list of elements may name."""
