"""Which version of FHIR a resource is of: the one whose definitions it fits with the fewest misfits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from medibridge.formats.fhir.definitions import Definitions, Element, Version
from medibridge.formats.fhir.mapping import VersionMap
from medibridge.record import Json, JsonObject

__all__ = ["Verdict", "version_of"]

_IN_PROFILE: Final = (
    (re.compile(r"/(?:fhir/)?(?:3\.[05](?:\.[0-9])?|STU3|stu3)/"), Version.STU3),
    (re.compile(r"/(?:fhir/)?(?:1\.0(?:\.[0-9])?|DSTU2|dstu2)/|fhir\.org/guides/argonaut/"), Version.DSTU2),
    (re.compile(r"/(?:fhir/)?(?:5\.0(?:\.[0-9])?|R5|r5)/"), Version.R5),
    (re.compile(r"/(?:fhir/)?(?:4\.[0-3](?:\.[0-9])?|R4B?|r4b?)/"), Version.R4),
)
_BY_NUMBER: Final = {"1.0": Version.DSTU2, "3.0": Version.STU3, "4.0": Version.R4, "4.1": Version.R4, "4.3": Version.R4,
                     "5.0": Version.R5}  # fmt: skip
_OTHERS: Final = (Version.STU3, Version.R5, Version.DSTU2)
_TYPE_WEIGHT: Final = 8
"""A resource type that a version does not have weighs more than an element."""


@dataclass(frozen=True)
class Verdict:
    """The version, and why."""

    version: Version
    reason: str


def version_of(resources: Iterable[JsonObject]) -> Verdict:
    """The version that the resources, taken together, are of; R4 where nothing speaks for another.

    What they say of it themselves (`meta.profile`, `fhirVersion`) counts first. Else each resource is held against the
    definitions of the versions: types and elements that a version does not have, or has in another shape.
    """
    found = list(resources)
    said = Counter(version for resource in found for version in _said(resource))
    if said:
        version = max(Version, key=lambda one: said[one])
        return Verdict(version, f"its profiles or fhirVersion name FHIR {version.value}")
    telling = [(resource, misfits) for resource in found if (misfits := list(_misfits(resource, Version.R4)))]
    if not telling and _names_old_systems(found):
        return Verdict(Version.STU3, "its code systems are named as they were before R4")
    if not telling:
        return Verdict(Version.R4, "nothing in it speaks for another version than R4")
    score = Counter({Version.R4: sum(weight for _, misfits in telling for weight, _ in misfits)})
    for version in _OTHERS:
        score[version] = sum(weight for resource in found for weight, _ in _misfits(resource, version))
    best = min(Version, key=lambda one: score[one])
    if best is Version.R4:
        return Verdict(best, "it fits R4 better than another version")
    return Verdict(best, telling[0][1][0][1])


def _names_old_systems(resources: list[JsonObject]) -> bool:
    """Whether code systems of HL7 go by their names of STU3 only, and nothing else in it is newer."""
    systems = set(_systems(resources))
    if any(system.startswith("http://terminology.hl7.org/") for system in systems):
        return False
    if not any(system.startswith("http://hl7.org/fhir/") for system in systems):
        return False
    if systems.isdisjoint(VersionMap.of(Version.STU3).systems):
        return False
    return not any(misfit for resource in resources for misfit in _misfits(resource, Version.STU3))


def _systems(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            if name == "system" and isinstance(child, str):
                yield child
            else:
                yield from _systems(child)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for child in value:
            yield from _systems(child)


def _said(resource: JsonObject) -> Iterator[Version]:
    meta = resource.get("meta")
    profiles = meta.get("profile") if isinstance(meta, Mapping) else None
    for profile in _items(profiles):
        for pattern, version in _IN_PROFILE:
            if isinstance(profile, str) and pattern.search(profile):
                yield version
                break
    for number in _items(resource.get("fhirVersion")):
        named = _BY_NUMBER.get(number[:3]) if isinstance(number, str) else None
        if named is not None and resource.get("resourceType") in Definitions.of(named).resources:
            yield named


def _items(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _misfits(resource: JsonObject, version: Version) -> Iterator[tuple[int, str]]:
    """Weight and description of what keeps a resource from being of `version`."""
    definitions = Definitions.of(version)
    kind = str(resource.get("resourceType"))
    if kind not in definitions.resources:
        known = any(kind in Definitions.of(one).resources for one in Version)
        yield _TYPE_WEIGHT, f"{kind if known else 'its type'} is no resource type of R4"
        return
    yield from _in_object(resource, kind, definitions)


def _in_object(value: JsonObject, kind: str, definitions: Definitions) -> Iterator[tuple[int, str]]:
    for name, child in value.items():
        plain = name.removeprefix("_")
        if name in ("resourceType", "fhir_comments"):
            continue
        element = definitions.element(kind, plain)
        if element is None:
            yield 1, f"{kind} has an element that R4 does not have there"
        elif plain == name:
            yield from _in_element(child, f"{kind}.{name}", element, definitions)
    if definitions.version is Version.R4:
        yield from _missing(value, kind, definitions)


def _missing(value: JsonObject, kind: str, definitions: Definitions) -> Iterator[tuple[int, str]]:
    """What R4 requires and STU3 does not know."""
    before = Definitions.of(Version.STU3).types.get(kind)
    for name, element in definitions.types.get(kind, {}).items():
        if not element.least or element.group or name in value or f"_{name}" in value:
            continue
        if before is not None and name not in before:
            yield 1, f"{kind}.{name} is missing, which R4 requires and STU3 does not know"


def _in_element(value: Json, path: str, element: Element, definitions: Definitions) -> Iterator[tuple[int, str]]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if is_list is not element.many:
        yield 1, f"{path} is a single value or a list, other than in R4"
    primitive = definitions.is_primitive(element.kind)
    for item in _items(value):
        if isinstance(item, Mapping) is primitive and item is not None:
            yield 1, f"{path} is of another type than in R4"
        elif isinstance(item, Mapping) and element.kind == "Resource":
            yield from _misfits(item, definitions.version)
        elif isinstance(item, Mapping):
            yield from _in_object(item, element.kind, definitions)
        elif element.binding and isinstance(item, str) and not definitions.has_code(element.binding, item):
            yield from _of_another_version(path, item)


def _of_another_version(path: str, code: str) -> Iterator[tuple[int, str]]:
    """A code that R4 does not have counts only where a map says that another version has it."""
    kind, _, name = path.rpartition(".")
    for version in _OTHERS:
        for rule in VersionMap.of(version).rules_for(kind, name) or ():
            if code in rule.codes:
                yield 1, f"{path} has a code of {version.value}"
                return
