"""Policies of de-identification, by name: which elements pass, and what becomes of dates, ages and places."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Final, Self

import yaml

from medibridge.errors import UsageError
from medibridge.formats.deidentification.values import NAMED, Filter, each, element_object, one_of

__all__ = ["POLICIES", "Dates", "Elements", "Places", "Policy"]

POLICIES: Final = ("safe-harbor", "limited", "expert")
"""The names of the policies that are built in; a custodian's own policy must have another."""

_MAX_FILE: Final = 2**20
_ONE_OF: Final = "one of "
_PATIENT_IN, _MUST_KEEP = "patient-in", "must-keep"


class Dates(enum.Enum):
    """What remains of a date."""

    YEARS = "years"
    SHIFTED = "shifted"


class Places(enum.Enum):
    """What remains of a patient's address."""

    PREFIX = "prefix"
    """The first three digits of the ZIP code."""
    WHOLE = "whole"
    """City, state and ZIP code: limited data sets only."""


@dataclass(frozen=True)
class Elements:
    """What passes of one resource type: the element that refers to the patient (or none), and the filter."""

    patient_in: str
    keep: Filter = field(repr=False)


@dataclass(frozen=True)
class Policy:
    """What passes, and how.

    A custodian's own policy is YAML; `extends` names the built-in one that it starts from::

        name: our-hospital-2026           # not the name of a built-in one
        extends: safe-harbor
        leave-out: [Encounter, Observation.method]
        add:                              # as in elements.yaml, which explains the rules
          Observation: {device: reference}
        k: 20

    Args:
        name: as the output and the reports state it.
        basis: the rule of law that it follows.
        says: what it does, for people.
        dates: years or shifted. Only years are Safe Harbor.
        places: what remains of an address.
        oldest: the greatest age that is told; None where all are.
        k: patients that must be alike in the quasi-identifiers, where nothing else is asked; 0 where none need be.
        k_needed: whether a release without k-anonymity is refused.
        rare: code systems whose codes are left out where fewer than k patients have them.
        resources: the elements that pass, by resource type.
        extends: the built-in policy that it starts from; its own name for a built-in one.
        changes: what a custodian's policy changes, for people.
    """

    name: str
    basis: str
    says: str
    dates: Dates
    places: Places
    oldest: int | None
    k: int
    k_needed: bool
    rare: frozenset[str]
    resources: Mapping[str, Elements] = field(repr=False)
    extends: str
    changes: tuple[str, ...] = ()

    @classmethod
    def named(cls, name: str) -> Self:
        """A built-in policy. Raises `UsageError` where there is none of that name."""
        if name not in POLICIES:
            raise UsageError(f"{name!r} is not a policy; there are {', '.join(POLICIES)}, or a file of your own")
        text = resources.files(__package__).joinpath("policies", f"{name}.yaml").read_text("utf-8")
        found = yaml.safe_load(text)
        return cls(
            name=name,
            basis=found["basis"],
            says=found["says"],
            dates=Dates(found["dates"]),
            places=Places(found["places"]),
            oldest=found["oldest"],
            k=found["k"],
            k_needed=found.get("k-needed", False),
            rare=frozenset(found.get("rare", ())),
            resources=_compiled(_listed()),
            extends=name,
        )

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """A custodian's own policy. Raises `UsageError`, naming the place, for what is not one."""
        if len(text) > _MAX_FILE:
            raise UsageError("the policy is longer than a policy is; check which file it is")
        try:
            found = _mapping(yaml.safe_load(text), "the policy")
        except (yaml.YAMLError, RecursionError):
            raise UsageError("the policy is not YAML; check its indentation") from None
        basis = cls.named(str(found.get("extends")))
        allowed = {"name", "extends", "leave-out", "add", "k", "says"}
        if unknown := sorted(str(key) for key in found if key not in allowed):
            raise UsageError(f"the policy has {', '.join(unknown)}; it may have {', '.join(sorted(allowed))}")
        name = found.get("name")
        if not isinstance(name, str) or not name.strip() or _sounds_built_in(name):
            raise UsageError(f"the policy needs a name of its own, not like {', '.join(POLICIES)}")
        k = found.get("k", basis.k)
        if not isinstance(k, int) or isinstance(k, bool) or k < 0:
            raise UsageError("the policy's k is a whole number of patients")
        tree, changes = _changed(_listed(), found)
        return replace(
            basis,
            name=name,
            k=k,
            says=str(found.get("says", basis.says)),
            resources=_compiled(tree),
            changes=tuple(changes),
        )


def _sounds_built_in(name: str) -> bool:
    """Whether somebody could take it for the name of a built-in policy, as ``Safe Harbor`` or ``safe-harbour 2``."""
    letters = "".join(letter for letter in name.casefold() if letter.isalnum()).replace("harbour", "harbor")
    return "safeharbor" in letters or letters in POLICIES


@cache
def _listed() -> Mapping[str, object]:
    text = resources.files(__package__).joinpath("elements.yaml").read_text("utf-8")
    return _mapping(_mapping(yaml.safe_load(text), "elements.yaml")["resources"], "resources")


def _changed(tree: Mapping[str, object], wanted: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """The list of elements with a custodian's changes, and these in words."""
    changed, changes = dict(tree), []
    leave_out = wanted.get("leave-out", [])
    if not isinstance(leave_out, list):
        raise UsageError("the policy: leave-out is a list of resource types and Type.element")
    for path in leave_out:
        kind, _, element = str(path).partition(".")
        elements = _mapping(changed.get(kind), f"leave-out: {path}")
        if element and element not in elements:
            raise UsageError(f"the policy: leave-out names {path}, which does not pass anyway; check its spelling")
        if element:
            changed[kind] = {name: rule for name, rule in elements.items() if name != element}
        else:
            del changed[kind]
        changes.append(f"{path} does not pass")
    for kind, added in _mapping(wanted.get("add", {}), "add").items():
        elements = _mapping(added, f"add: {kind}")
        if kind == "Patient":
            raise UsageError("the policy: nothing can be added to Patient; choose its quasi-identifiers instead")
        changed[kind] = {**_mapping(changed.get(kind, {}), kind), **elements}
        changes += [f"{kind}.{name} passes" for name in elements if name not in (_PATIENT_IN, _MUST_KEEP)]
    return changed, changes


def _compiled(tree: Mapping[str, object]) -> Mapping[str, Elements]:
    found = {}
    for kind, value in tree.items():
        elements = _mapping(value, kind)
        patient_in = elements.get(_PATIENT_IN, "")
        filters = {name: rule for name, rule in elements.items() if name != _PATIENT_IN}
        found[kind] = Elements(str(patient_in), _filter(filters, kind))
    return found


def _filter(rule: object, place: str) -> Filter:
    if isinstance(rule, str):
        if rule.startswith(_ONE_OF):
            return one_of(frozenset(rule.removeprefix(_ONE_OF).split()))
        if rule in NAMED:
            return NAMED[rule]
    elif isinstance(rule, list) and len(rule) == 1:
        return each(_filter(rule[0], place))
    elif isinstance(rule, dict):
        must_keep = rule.get(_MUST_KEEP, [])
        names = [name for name in rule if name != _MUST_KEEP]
        if isinstance(must_keep, Sequence) and not isinstance(must_keep, str) and names:
            filters = {str(name): _filter(rule[name], f"{place}.{name}") for name in names}
            return element_object(filters, [str(choice) for choice in must_keep])
    raise UsageError(f"the policy: {place} has no rule that is known; there are {', '.join(NAMED)} and 'one of …'")


def _mapping(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"the policy: {place} does not name elements that pass, as 'element: rule'; correct it")
    return value
