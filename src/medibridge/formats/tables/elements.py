"""What the columns of a table can be: kinds of tables, their elements, code systems, and words for codes."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, cast

import yaml

from medibridge.ids import DataClass

__all__ = ["IGNORE", "CodeSystem", "Element", "Kind", "definition", "kinds", "system_named", "systems", "word"]

IGNORE: Final = "ignore"
"""What a mapping says of a column that is left out on purpose."""


@dataclass(frozen=True)
class Element:
    """What a column can be. A *state* may change later and does not name the row; a *date* takes a format."""

    name: str
    target: str
    about: str
    is_date: bool = False
    is_state: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of table: what each row becomes, and the elements that its columns can be."""

    name: str
    resource: str
    data_class: DataClass
    about: str
    elements: Mapping[str, Element]


@dataclass(frozen=True)
class CodeSystem:
    """A code system, and what its codes look like."""

    name: str
    uri: str
    shape: re.Pattern[str]
    check: str
    names: tuple[str, ...]

    def holds(self, code: str) -> bool:
        """Whether the text has the shape, and the check digit, of a code of the system."""
        if not self.shape.fullmatch(code):
            return False
        digits = code.replace("-", "")
        return _CHECKS[self.check](digits) if self.check else True


def definition(name: str) -> object:
    """A YAML file of this package; every scalar is text."""
    text = files("medibridge.formats.tables").joinpath(f"{name}.yaml").read_text("utf-8")
    return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - every scalar is text


@functools.cache
def systems() -> Mapping[str, CodeSystem]:
    """Every code system by its short name."""
    defined = cast("dict[str, dict[str, object]]", definition("systems"))
    return {
        name: CodeSystem(
            name,
            str(line["uri"]),
            re.compile(str(line["shape"]), re.ASCII),
            str(line.get("check", "")),
            tuple(cast("list[str]", line["names"])),
        )
        for name, line in defined.items()
    }


@functools.cache
def _by_name() -> Mapping[str, CodeSystem]:
    return {
        written.casefold(): system
        for system in systems().values()
        for written in (system.name, system.uri, *system.names)
    }


def system_named(text: str) -> CodeSystem | None:
    """The code system that a site calls so: by its URI or one of its names."""
    return _by_name().get(text.casefold())


@functools.cache
def kinds() -> Mapping[str, Kind]:
    """Every kind of table by its name."""
    defined = cast("dict[str, dict[str, object]]", definition("elements"))
    patient = cast("dict[str, dict[str, str]]", defined["patient"])
    lines = cast("dict[str, dict[str, object]]", defined["kinds"])
    return {name: _kind(name, line, lines, patient) for name, line in lines.items()}


def _kind(
    name: str,
    line: Mapping[str, object],
    lines: Mapping[str, Mapping[str, object]],
    patient: Mapping[str, Mapping[str, str]],
) -> Kind:
    like = lines[str(line["like"])] if "like" in line else {}
    own = cast("dict[str, dict[str, str]]", {**cast("dict[str, object]", like.get("elements", {}))})
    own |= cast("dict[str, dict[str, str]]", line["elements"])
    elements: dict[str, Element] = {}
    for element, values in {**patient, **own}.items():
        for found in _elements(element, values):
            elements[found.name] = found
    return Kind(name, str(line["resource"]), DataClass[str(line["class"])], str(line["about"]), elements)


def _elements(name: str, values: Mapping[str, str]) -> list[Element]:
    """One element, or those of a group of codes."""
    what, target, about = values.get("is", ""), values["to"], values["about"]
    if what != "codes":
        return [Element(name, target, about, what == "date", values.get("state") == "true")]
    return [
        Element(f"{name}.text", f"{target}.text", f"{about}, in words"),
        Element(f"{name}.local", f"{target}.coding.code", f"{about}, as a code of the site"),
        Element(f"{name}.code", f"{target}.coding.code", f"{about}, as a code of the system in {name}.system"),
        Element(f"{name}.system", f"{target}.coding.system", "name of the code system"),
        *(
            Element(f"{name}.{system.name}", f"{target}.coding.code", f"{about}, as a code of {system.names[0]}")
            for system in systems().values()
        ),
    ]


@functools.cache
def _words(table: str) -> Mapping[str, str]:
    tables = cast("dict[str, dict[str, list[str]]]", _values())
    return {written: code for code, texts in tables[table].items() for written in (*texts, code)}


@functools.cache
def _values() -> object:
    return definition("values")


def word(table: str, text: str) -> str | None:
    """The code that a cell means, by a table of ``values.yaml``; None where it stands in none."""
    words = _words(table)
    return words.get(text) or words.get(" ".join(text.casefold().split()))


def _luhn(digits: str) -> bool:
    """Mod 10, as LOINC's check digit (LOINC Users' Guide, appendix)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


_DIHEDRAL: Final = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED: Final = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def _verhoeff(digits: str) -> bool:
    """Verhoeff's check digit, as SNOMED CT's identifiers have it (SNOMED CT Release File Specification, 6.3)."""
    check = 0
    for position, digit in enumerate(reversed(digits)):
        check = int(_DIHEDRAL[check][int(_PERMUTED[position % 8][int(digit)])])
    return check == 0


_CHECKS: Final = {"loinc": _luhn, "snomed": _verhoeff}
