"""Which resource an entry of a Bundle is, and what the references between entries resolve to (R4, Bundle, 2.36.4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from medibridge.formats.conversion import Finding, Outcome
from medibridge.formats.fhir.definitions import Version
from medibridge.formats.fhir.mapping import VersionMap
from medibridge.formats.naming import Names
from medibridge.record import Json, JsonObject, canonical_json

__all__ = ["Entry", "identify", "key_in", "resolved"]

_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_VERSIONED: Final = re.compile(r"(.*)(/_history/[A-Za-z0-9.-]{1,64})")
_NAMED: Final = frozenset({"Patient", "Practitioner", "Organization", "Person", "RelatedPerson", "Location"})
"""Types whose identifier names the same thing in whatever message or format it comes."""


@dataclass
class Entry:
    """A resource with its place, on its way from the source to R4."""

    place: str
    full_url: str
    resource: JsonObject = field(repr=False)
    key: str = ""
    """``Type/id`` in R4."""
    left: bool = False
    """It goes nowhere: it is the same as another, an older version of it, or broken."""
    findings: list[Finding] = field(default_factory=list)

    def leave(self, outcome: Outcome, reason: str) -> None:
        """Leave the entry out."""
        self.left = True
        self.say(self.place, outcome, reason)

    def say(self, place: str, outcome: Outcome, reason: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(place, outcome, reason))


def key_in(resource: JsonObject, full_url: str, version: Version, source: str) -> str:
    """What a resource is in R4: ``Type/id``, with an id that stays the same where it has none."""
    kind = str(resource.get("resourceType"))
    r4_kind = kind if version is Version.R4 else VersionMap.of(version).type_of(kind)
    own = resource.get("id")
    if isinstance(own, str) and _ID.fullmatch(own):
        return f"{r4_kind}/{own}"
    return f"{r4_kind}/{_made_id(resource, r4_kind, full_url, source)}"


def _made_id(resource: JsonObject, kind: str, full_url: str, source: str) -> str:
    names = Names(source)
    if kind in _NAMED:
        for system, value in _identifiers(resource):
            return names.by_identifier(kind, system, value)
    if full_url:
        return names.of(kind, "fullUrl", full_url)
    return names.of(kind, "content", canonical_json(resource).decode())


def _identifiers(resource: JsonObject) -> Iterable[tuple[str, str]]:
    found = resource.get("identifier")
    for one in found if isinstance(found, Sequence) and not isinstance(found, str) else [found]:
        if isinstance(one, Mapping):
            system, value = one.get("system"), one.get("value")
            if isinstance(system, str) and isinstance(value, str) and value:
                yield system, value


def identify(entries: Iterable[Entry], version: Version, source: str, *, history: bool = False) -> None:
    """Give each entry its key, and leave out all but the first of those that are the same.

    Adds to their findings what was made up, and what is left out. In a `history` the newest version comes first.
    """
    first: dict[str, Entry] = {}
    by_url: dict[str, Entry] = {}
    for entry in entries:
        own = entry.resource.get("id")
        entry.key = key_in(entry.resource, entry.full_url, version, source)
        if own is None:
            entry.say(f"{entry.place}.id", Outcome.DEFAULT, "no id; one was made from identifier, fullUrl or content")
        elif not (isinstance(own, str) and _ID.fullmatch(own)):
            reason = "not a FHIR id (1 to 64 letters, digits, '-' and '.'); one was made"
            entry.say(f"{entry.place}.id", Outcome.INVALID, reason)
        if (other := first.get(entry.key)) is not None:
            _apart(entry, other, source, history=history)
        if entry.left:
            continue
        first[entry.key] = entry
        if entry.full_url and by_url.setdefault(entry.full_url, entry) is not entry:
            place = f"{entry.place.removesuffix('.resource')}.fullUrl"
            entry.say(place, Outcome.INVALID, f"{by_url[entry.full_url].place} has it; references resolve to that")


def _apart(entry: Entry, other: Entry, source: str, *, history: bool) -> None:
    """Tell an entry from one before it that has its type and id."""
    if history:
        entry.leave(Outcome.IGNORED, f"an older version of {other.place}")
    elif canonical_json(other.resource) == canonical_json(entry.resource):
        entry.leave(Outcome.IGNORED, f"the same as {other.place}")
    elif _is_another(other, entry):
        kind, _, own = entry.key.partition("/")
        was = entry.full_url or str(entry.resource.get("resourceType"))
        entry.key = f"{kind}/{Names(source).of(kind, 'another', was, own)}"
        entry.say(f"{entry.place}.id", Outcome.DEFAULT, f"{other.place} has its id in R4; another was made")
    else:
        entry.leave(Outcome.INVALID, f"it has the type and id of {other.place}, but differs; keep one of them")


def _is_another(first: Entry, second: Entry) -> bool:
    """Two servers, or two types of the version that are one in R4, number alike."""
    if first.resource.get("resourceType") != second.resource.get("resourceType"):
        return True
    return bool(first.full_url and second.full_url and first.full_url != second.full_url)


def resolved(entries: Sequence[Entry], known: Mapping[str, str]) -> list[JsonObject]:
    """The resources, with relative references wherever they are to one of the entries, or to what is `known`."""
    targets = dict(known)
    for entry in entries:
        kind, own = str(entry.resource.get("resourceType")), entry.resource.get("id")
        if isinstance(own, str):
            targets.setdefault(f"{kind}/{own}", entry.key)
        for system, value in _identifiers(entry.resource):
            targets.setdefault(f"{kind}?identifier={system}|{value}", entry.key)
    for entry in reversed(entries):
        if entry.full_url:
            targets[entry.full_url] = entry.key
    found: list[JsonObject] = []
    for entry in entries:
        relative = {name: _rewritten(name, child, targets) for name, child in entry.resource.items()}
        found.append(relative | {"id": entry.key.partition("/")[2]})
    return found


def _rewritten(name: str, value: Json, targets: Mapping[str, str]) -> Json:
    if isinstance(value, str):
        return _target(value, targets) if name == "reference" else value
    if isinstance(value, Mapping):
        return {key: _rewritten(key, child, targets) for key, child in value.items()}
    if isinstance(value, Sequence):
        return [_rewritten("", child, targets) for child in value]
    return value


def _target(reference: str, targets: Mapping[str, str]) -> str:
    if reference in targets:
        return targets[reference]
    if (versioned := _VERSIONED.fullmatch(reference)) and versioned[1] in targets:
        return targets[versioned[1]] + versioned[2]
    return reference
