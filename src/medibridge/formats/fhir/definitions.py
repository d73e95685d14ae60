"""The element tables of the FHIR versions: which elements a type has, of what type, and which repeat.

They are made from HL7's StructureDefinitions by ``scripts/make_fhir_versions.py`` and
``scripts/make_r4_definitions.py``.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["Definitions", "Element", "Version"]


class Version(enum.Enum):
    """A published version of FHIR, in the order of preference where a resource fits several."""

    R4 = "R4"
    STU3 = "STU3"
    R5 = "R5"
    DSTU2 = "DSTU2"

    @property
    def number(self) -> str:
        """Major and minor, as URLs between versions name it (hl7.org/fhir/R4/versions.html#extensions)."""
        return {"R4": "4.0", "STU3": "3.0", "R5": "5.0", "DSTU2": "1.0"}[self.value]


@dataclass(frozen=True, slots=True)
class Element:
    """What a version says of one element.

    `kind` is its type: a primitive, a data type, ``Resource``, or the path of a backbone element
    (``Claim.item.detail``). `binding` names its required value set, `group` the choice it is one of (``value[x]``);
    both are known for R4 only.
    """

    kind: str
    many: bool
    least: int = 0
    binding: str = ""
    group: str = ""


@dataclass(frozen=True)
class Definitions:
    """The tables of one version."""

    version: Version
    resources: frozenset[str]
    primitives: frozenset[str]
    types: Mapping[str, Mapping[str, Element]]
    bindings: Mapping[str, Mapping[str, frozenset[str]]]
    """R4 only: the codes of each required value set, by code system."""

    @staticmethod
    @cache
    def of(version: Version) -> Definitions:
        """The tables of `version`; read once."""
        if version is Version.R4:
            return _r4(json.loads(files("medibridge.formats.r4").joinpath("definitions.json").read_bytes()))
        name = f"{version.value.lower()}.json"
        tables = json.loads(files("medibridge.formats.fhir").joinpath("versions", name).read_bytes())
        return Definitions(
            version,
            frozenset(tables["resources"]),
            frozenset(tables["primitives"]),
            {
                kind: {key: Element(spec.rstrip("*"), spec.endswith("*")) for key, spec in elements.items()}
                for kind, elements in tables["types"].items()
            },
            {},
        )

    def element(self, kind: str, name: str) -> Element | None:
        """The element `name` of the type `kind`; None where there is none."""
        return self.types.get(kind, _NONE).get(name)

    def is_primitive(self, kind: str) -> bool:
        """Whether a value of this type is a text, number or boolean in JSON."""
        return kind in self.primitives

    def system_of(self, binding: str) -> str:
        """The code system of a required value set that has exactly one; else empty."""
        systems = self.bindings.get(binding, {})
        return next(iter(systems)) if len(systems) == 1 else ""

    def has_code(self, binding: str, code: str) -> bool:
        """Whether a required value set holds `code`, whatever its system."""
        return any(code in codes for codes in self.bindings.get(binding, {}).values())


_NONE: Final[Mapping[str, Element]] = {}


def _r4(tables: dict[str, dict[str, dict[str, list[str | int]]]]) -> Definitions:
    types = {}
    for kind, elements in tables["types"].items():
        types[kind] = {key: _r4_element(spec) for key, spec in elements.items()}
    bindings: dict[str, Mapping[str, frozenset[str]]] = {
        name: {system: frozenset(str(code) for code in codes) for system, codes in systems.items()}
        for name, systems in tables["bindings"].items()
    }
    primitives = frozenset(tables["primitives"]) | {"xhtml"}
    return Definitions(Version.R4, frozenset(tables["resources"]), primitives, types, bindings)


def _r4_element(spec: list[str | int]) -> Element:
    kind, least, many, *rest = spec
    binding, group = (*(str(part) for part in rest), "", "")[:2]
    return Element(str(kind), bool(many), int(least), binding, group)
