"""Whom the resources of a Bundle are about: one group for each patient."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from medibridge.formats.splitting import SUPPORTING, references_in
from medibridge.record import Json, JsonObject

__all__ = ["Member", "by_patient"]

_ABOUT: Final = ("subject", "patient", "beneficiary", "for", "individual", "candidate")
_PATIENT: Final = re.compile(r"(?:.*/)?(Patient/[^/]+)(?:/_history/[^/]+)?")
_SAYS_PATIENT: Final = frozenset({"subject", "patient", "beneficiary"})
_SHARED: Final = 20
"""How often a resource may be shared, on average; keeps a Bundle made for it from growing with the square."""
_CROWD: Final = 100
"""A resource that names more patients than this (a meeting, a list) is kept once, with those about nobody."""
_ROUNDS: Final = 4
"""How far a resource that does not say whom it is about may stand from one that does."""


@dataclass(frozen=True)
class Member:
    """A resource and what it is called (``Type/id``)."""

    key: str
    resource: JsonObject


def by_patient(members: Sequence[Member]) -> list[list[Member]]:
    """The members about each patient, in their order; then those about nobody.

    A resource says whom it is about in `subject`, `patient` and the like; one that does not (a Provenance) is about
    those whose resources it refers to. Practitioners, organisations and the like go with every patient whose resources
    refer to them. With one patient, or none, all are one group.
    """
    keys = {member.key for member in members}
    names = _by_identifier(members)
    owners = {member.key: found if len(found := _owners(member, names)) <= _CROWD else [] for member in members}
    patients = list(dict.fromkeys(owner for found in owners.values() for owner in found))
    if len(patients) < 2:
        return [list(members)] if members else []
    links = {member.key: [key for key in references_in(member.resource) if key in keys] for member in members}
    _inherit(members, owners, links)
    groups: dict[str, set[str]] = {patient: set() for patient in patients}
    for key, found in owners.items():
        for patient in found:
            groups[patient].add(key)
    budget = _SHARED * len(members)
    for group in groups.values():
        budget -= _take_along(group, owners, links, budget)
    nobody = keys.difference(*groups.values())
    at = {member.key: position for position, member in enumerate(members)}
    ordered = [sorted(at[key] for key in group) for group in (*groups.values(), nobody)]
    return [[members[position] for position in group] for group in ordered if group]


def _owners(member: Member, names: Mapping[tuple[str, str], str]) -> list[str]:
    if member.key.startswith("Patient/"):
        return [member.key]
    found: dict[str, None] = {}
    for name in _ABOUT:
        for reference in _objects(member.resource.get(name)):
            owner = _patient(reference, names)
            if owner and (name in _SAYS_PATIENT or not owner.startswith("urn:")):
                found[owner] = None
    for participant in _objects(member.resource.get("participant")):
        for reference in _objects(participant.get("actor")):
            owner = _patient(reference, names)
            if owner and not owner.startswith("urn:"):
                found[owner] = None
    return list(found)


def _patient(reference: JsonObject, names: Mapping[tuple[str, str], str]) -> str:
    text, identifier = reference.get("reference"), reference.get("identifier")
    if isinstance(text, str):
        if match := _PATIENT.fullmatch(text):
            return text.partition("/_history/")[0] if "://" in text else match[1]
        return text if text.startswith("urn:") else ""
    if isinstance(identifier, Mapping):
        return names.get((str(identifier.get("system")), str(identifier.get("value"))), "")
    return ""


def _by_identifier(members: Iterable[Member]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for member in members:
        if member.key.startswith("Patient/"):
            for one in _objects(member.resource.get("identifier")):
                found.setdefault((str(one.get("system")), str(one.get("value"))), member.key)
    return found


def _objects(value: Json) -> Iterator[JsonObject]:
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    yield from (item for item in items if isinstance(item, Mapping))


def _inherit(members: Sequence[Member], owners: dict[str, list[str]], links: Mapping[str, list[str]]) -> None:
    """A resource that does not say whom it is about is about those of what it refers to."""
    budget = _SHARED * len(members)
    for _ in range(_ROUNDS):
        changed = False
        for member in members:
            if owners[member.key] or member.key.partition("/")[0] in SUPPORTING:
                continue
            found = list(islice((owner for key in links[member.key] for owner in owners[key]), budget))
            budget -= len(found)
            if 0 < len(distinct := dict.fromkeys(found)) <= _CROWD:
                owners[member.key] = list(distinct)
                changed = True
        if not changed:
            return


def _take_along(group: set[str], owners: Mapping[str, list[str]], links: Mapping[str, list[str]], most: int) -> int:
    """Add what the group refers to, directly or not, and is nobody's; how many, at most `most`."""
    pending, added = list(group), 0
    while pending and added < most:
        for key in links[pending.pop()]:
            if key not in group and not owners[key]:
                group.add(key)
                pending.append(key)
                added += 1
    return added
