"""A map from another version of FHIR to R4, read from ``maps/<version>-to-r4.yaml``.

A map names only what changed. An element that R4 has under the same name is carried over, and made to fit R4's type
where that loses nothing (``coercion``); what R4 has no place for is kept as an extension (``keeping``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from medibridge.formats.fhir.definitions import Definitions, Version
from medibridge.record import Json

__all__ = ["Rule", "Step", "VersionMap"]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PARTS: Final = frozenset(
    "to unwrap codes unlisted system fixed by cases over late when join else extension ignored".split()  # noqa: SIM905
)
_STEP = re.compile(r"(\^|[A-Za-z0-9]+)(?:\[([a-z0-9-]+)\])?")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way to a target: an element, and which of its items (rules that name one item share it)."""

    name: str
    item: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of one element.

    `to` is where it goes, from the object that the parent became; empty where it is kept as an extension. `inline`
    spreads the children of an object over what the parent became. `unwrap` takes one child of an object as its value.
    `codes` changes codes; other codes are kept, dropped, or make an extension (`unlisted`). `fixed` is set beside the
    value. `cases` chooses another rule by the code in the child `by`. `over` and `late` come after all other elements;
    `over` replaces what they have set. `when` asks for codes of other elements of the object. `join` makes one text
    of all values. `otherwise` is done where the place is taken. `extension` is the URL of HL7's
    own extension for the element. `ignored` is the reason why nothing is kept.
    """

    to: tuple[Step, ...] = ()
    inline: bool = False
    unwrap: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)
    unlisted: str = "keep"
    system: str = ""
    fixed: Mapping[str, Json] = field(default_factory=dict)
    by: str = ""
    cases: Mapping[str, Rule] = field(default_factory=dict)
    over: bool = False
    late: bool = False
    when: Mapping[str, str] = field(default_factory=dict)
    join: str | None = None
    otherwise: Rule | None = None
    extension: str = ""
    ignored: str = ""


@dataclass(frozen=True)
class VersionMap:
    """All that changed from `version` to R4.

    `types` are the resource types of another name. `rules` are by type (or path of a backbone element), then by
    element. `required` are the elements that R4 requires, with what they become where the source has none. `systems`
    are the code systems of another URI.
    """

    version: Version
    types: Mapping[str, str]
    rules: Mapping[str, Mapping[str, tuple[Rule, ...]]]
    required: Mapping[str, Mapping[str, Json]]
    systems: Mapping[str, str]

    @staticmethod
    @cache
    def of(version: Version) -> VersionMap:
        """The map from `version`; read once."""
        name = f"{version.value.lower()}-to-r4.yaml"
        text = files("medibridge.formats.fhir.maps").joinpath(name).read_text("utf-8")
        return _map(version, yaml.load(text, _LOADER))  # noqa: S506 - a safe loader

    def type_of(self, kind: str) -> str:
        """The R4 name of a resource type; ``Basic`` where R4 has no such type (R4, 2.1.0.17.1)."""
        renamed = self.types.get(kind, kind)
        return renamed if renamed in Definitions.of(Version.R4).resources else "Basic"

    def rules_for(self, kind: str, name: str) -> tuple[Rule, ...] | None:
        """The rules for an element; None where the map does not name it."""
        return self.rules.get(kind, {}).get(name)


def _map(version: Version, data: dict[str, Any]) -> VersionMap:
    source = Definitions.of(version)
    in_r4 = {name for elements in Definitions.of(Version.R4).types.values() for name in elements}
    rules: dict[str, dict[str, tuple[Rule, ...]]] = {}
    for kinds, elements in data["elements"].items():
        for kind in kinds.split(", "):
            if kind not in source.types:
                raise ValueError(f"{kind} is no type of {version.value}")
            for name, written in elements.items():
                items = written if isinstance(written, list) else [written]
                for one, to in _choices(source, kind, str(name)):
                    made = tuple(_rule(item, one, to) for item in items)
                    if not to or all(rule.to and rule.to[-1].name in in_r4 for rule in made):
                        rules.setdefault(kind, {})[one] = made
    written = data.get("systems", {})
    if isinstance(written, str):
        systems = dict(VersionMap.of(Version(written)).systems)
        written = {}
    else:
        systems = {}
    for old, new in written.items():
        names = new.get("names", "").split() if isinstance(new, dict) else ()
        systems |= {old.replace("*", name): new["to"].replace("*", name) for name in names}
        if isinstance(new, str):
            systems[old] = new
    return VersionMap(version, data.get("types", {}), rules, data.get("required", {}), systems)


def _choices(source: Definitions, kind: str, name: str) -> list[tuple[str, str]]:
    """``name[x]`` stands for each element of the choice; with what the ``[x]`` is."""
    elements = source.types[kind]
    if name.endswith("[x]"):
        start = name.removesuffix("[x]")
        found = [(one, one.removeprefix(start)) for one in elements if one.startswith(start)]
        return [(one, end) for one, end in found if end and end.lower() == elements[one].kind.lower()]
    if name not in elements:
        raise ValueError(f"{kind} has no element {name} in {source.version.value}")
    return [(name, "")]


def _rule(written: Any, name: str, choice: str) -> Rule:
    if written is None:
        return Rule()
    if isinstance(written, str):
        return Rule(inline=True) if written == "." else Rule(_steps(written, choice))
    if unknown := written.keys() - _PARTS:
        raise ValueError(f"{name}: {', '.join(sorted(unknown))} is not known in a rule")
    return Rule(
        to=_steps(written.get("to", ""), choice),
        unwrap=written.get("unwrap", ""),
        codes={str(old): str(new) for old, new in written.get("codes", {}).items()},
        unlisted=written.get("unlisted", "keep"),
        system=written.get("system", ""),
        fixed=written.get("fixed", {}),
        by=written.get("by", ""),
        cases={str(code): _rule(case, name, choice) for code, case in written.get("cases", {}).items()},
        over=bool(written.get("over", False)),
        late=bool(written.get("late", False)),
        when=written.get("when", {}),
        join=written.get("join"),
        otherwise=_rule(written["else"], name, choice) if "else" in written else None,
        extension=written.get("extension", ""),
        ignored=written.get("ignored", ""),
    )


def _steps(path: str, choice: str) -> tuple[Step, ...]:
    found = []
    for part in path.replace("[x]", choice).split(".") if path else ():
        match = _STEP.fullmatch(part)
        if not match:
            raise ValueError(f"{path} is not a path")
        found.append(Step(match[1], match[2] or ""))
    return tuple(found)
