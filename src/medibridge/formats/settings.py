"""How a site wants its data read: a `Profile` in YAML, without code, and the `Settings` of one call."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import yaml

from medibridge.errors import UsageError

__all__ = ["Coding", "Profile", "Settings", "SitesFile"]

_MAX_SIZE: Final = 4 * 2**20
_MAX_DEPTH: Final = 20


@dataclass(frozen=True)
class Coding:
    """A code of a code system: what a local code of the site means."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True)
class Profile:
    """What only the site knows.

    Written in YAML (every part may be left out)::

        zone: Europe/Vienna                 # IANA name; of times that carry no offset from UTC
        authorities:                        # assigning authority, as the messages name it: its system URI
          ADT1: urn:oid:1.2.40.0.34.1
        codes:                              # local code system: code: what it means
          99LAB:
            GLU: {system: "http://loinc.org", code: 2345-7, display: Glucose}
        units:                              # unit as the site writes it: UCUM
          "K/uL": 10*3/uL
        segments:                           # fields of HL7 v2 Z-segments: the FHIR element that they are
          ZPI:
            3: Patient.generalPractitioner.display
        tables:                             # CSV: one for each kind of table; see formats.tables
          - columns: {…}
    """

    zone: str = ""
    authorities: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, Coding]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    tables: tuple[Mapping[str, object], ...] = ()
    """As they stand in the file; `formats.tables` reads them."""

    @classmethod
    def from_yaml(cls, text: str) -> Profile:
        """Read a profile. Raises `UsageError`, naming the place, for what is not one."""
        return _Reading("the profile").profile(_load(text))


@dataclass(frozen=True)
class Settings:
    """How to read.

    Args:
        source: names the system that sent the data, for instance ``st-mary/lab``; it keeps apart the ids of systems
            that number their patients alike.
        strict: refuse a message of which a value is invalid, instead of leaving the value out and reporting it.
        profile: what only the site knows.
    """

    source: str = ""
    strict: bool = False
    profile: Profile = field(default_factory=Profile)


def _load(text: str) -> object:
    if len(text) > _MAX_SIZE:
        raise UsageError(f"the profile is longer than {_MAX_SIZE // 2**20} MiB; keep only what the site needs")
    try:
        _check_shape(text)
        return yaml.load(text, _TextLoader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "its beginning"
        raise UsageError(f"the profile is not YAML at {where}; correct it there") from None
    except (yaml.YAMLError, RecursionError):
        raise UsageError("the profile is not YAML; write it in UTF-8, without control characters") from None


def _check_shape(text: str) -> None:
    """No aliases, which can make a small file large, and no depth that a profile does not have."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UsageError("the profile uses YAML aliases (*name); write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise UsageError(f"the profile is nested deeper than {_MAX_DEPTH} levels; it is not one")


class _TextLoader(yaml.SafeLoader):
    """Reads every scalar as the text that is written: ``2345-7``, ``no`` and ``007`` are codes here."""


_TextLoader.yaml_implicit_resolvers = {}


@dataclass(frozen=True)
class SitesFile:
    """A place in a file that a site writes, and what may stand there. Raises `UsageError` that names the place."""

    place: str

    def below(self, key: object) -> Self:
        """The place of a part."""
        return type(self)(f"{self.place}, {key}")

    def mapping(self, value: object) -> dict[str, object]:
        """Lines of ``name: value``; none are none."""
        if value is None or value == "":
            return {}
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise UsageError(f"{self.place} is not a list of 'name: value' lines; write it so")
        return value

    def items(self, value: object) -> list[object]:
        """Lines that begin with ``-``; none are none."""
        if value is None:
            return []
        if not isinstance(value, list):
            raise UsageError(f"{self.place} is not a list; begin each item with '- '")
        return value

    def text(self, value: object) -> str:
        """One value, which must be there."""
        if not isinstance(value, str) or not value:
            raise UsageError(f"{self.place} is not a text; write one")
        return value

    def texts(self, value: object) -> dict[str, str]:
        """Lines of ``name: value``, all of them texts."""
        return {key: self.below(key).text(item) for key, item in self.mapping(value).items()}


class _Reading(SitesFile):
    """Reads a profile."""

    def profile(self, value: object) -> Profile:
        parts = self.mapping(value or {})
        known = ("zone", "authorities", "codes", "units", "segments", "tables")
        for name in parts:
            if name not in known:
                raise UsageError(f"{self.place} has a part {name!r} that is not known; known are {', '.join(known)}")
        return Profile(
            zone=self.below("zone").zone(parts.get("zone") or ""),
            authorities=self.below("authorities").texts(parts.get("authorities") or {}),
            codes={
                system: {
                    code: self.below("codes").below(system).below(code).coding(meaning)
                    for code, meaning in self.below("codes").below(system).mapping(codes).items()
                }
                for system, codes in self.below("codes").mapping(parts.get("codes") or {}).items()
            },
            units=self.below("units").texts(parts.get("units") or {}),
            segments={
                name: self.below("segments").below(name).fields(fields)
                for name, fields in self.below("segments").mapping(parts.get("segments") or {}).items()
            },
            tables=tuple(
                self.below("tables").mapping(table) for table in self.below("tables").items(parts.get("tables"))
            ),
        )

    def zone(self, value: object) -> str:
        if not value:
            return ""
        name = self.text(value)
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(f"{self.place} is no IANA time zone; write one such as Europe/Vienna") from None
        return name

    def coding(self, value: object) -> Coding:
        parts = self.texts(value)
        if not {"system", "code"} <= parts.keys() <= {"system", "code", "display"}:
            raise UsageError(f"{self.place} needs a system and a code, and may have a display; write these")
        return Coding(**parts)

    def fields(self, value: object) -> dict[int, str]:
        found = {}
        for key, item in self.mapping(value).items():
            if not key.isascii() or not key.isdigit() or not 1 <= int(key) <= 999:
                raise UsageError(
                    f"{self.place} has a field that is no number from 1 to 999; count fields as HL7 v2 does"
                )
            found[int(key)] = self.below(key).text(item)
        return found
