"""Code tables and coding systems, from the map files ``tables.yaml`` and ``systems.yaml``."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from medibridge.formats.hl7v2.files import load

__all__ = ["Code", "Table", "system_of", "system_of_table", "table", "tables"]

TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"


@dataclass(frozen=True)
class Code:
    """What a code of HL7 v2 is in FHIR."""

    system: str
    code: str
    display: str


@dataclass(frozen=True)
class Table:
    """An HL7 v2 table and its FHIR codes."""

    number: str
    """``0001``; empty where it is not a table of HL7."""
    codes: Mapping[str, Code]


@functools.cache
def tables() -> Mapping[str, Table]:
    """All of ``tables.yaml`` by name."""
    found = {}
    for name, entry in load("tables.yaml").items():
        system = expanded(entry.get("system", ""))
        codes = {}
        for source, target in (entry.get("codes") or {}).items():
            code, _, display = target.partition(" ")
            own, mark, bare = code.rpartition("#")
            codes[source] = Code(expanded(own) if mark else system, bare, display)
        for source in entry.get("same", "").split():
            codes.setdefault(source, Code(system, source, ""))
        found[name] = Table(entry.get("table", ""), codes)
    return found


def table(name: str) -> Table:
    """One table. Raises `KeyError` for a name that ``tables.yaml`` does not have."""
    return tables()[name]


def expanded(system: str) -> str:
    """The URI of a system that is written short: ``v3-ActCode`` is of terminology.hl7.org."""
    return system if not system or ":" in system else TERMINOLOGY + system


@functools.cache
def _systems() -> Mapping[str, str]:
    return {name.upper(): uri for name, uri in load("systems.yaml").items()}


@functools.lru_cache(4096)
def system_of(name: str) -> str | None:
    """The URI of a coding system of table 0396, of an ``HL7nnnn`` table, or of an OID; None for all others."""
    name = name.strip().upper()
    if found := _systems().get(name):
        return found
    if match := re.fullmatch(r"HL7-?([0-9]{4})", name):
        return system_of_table(match[1])
    if re.fullmatch(r"(URN:OID:)?[0-2](\.(0|[1-9][0-9]*)){3,}", name):
        return f"urn:oid:{name.removeprefix('URN:OID:')}"
    if re.match(r"HTTPS?://\S+$", name):
        return None
    return None


def system_of_table(number: str) -> str:
    """The URI of an HL7 v2 table: ``0203`` gives ``…/v2-0203``."""
    return f"{TERMINOLOGY}v2-{number}"
