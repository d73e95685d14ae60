"""Paths of the maps: a small part of XPath, each step one level, so that every path costs what its nodes do.

``entryRelationship[@typeCode=MFST]/observation/value`` · ``code@code`` an attribute · ``.`` the node itself ·
``..act`` the parent, if its name is that · ``*`` any name · ``a|b`` one of two names · predicates ``[@a=x|y]``,
``[@a!=x]``, ``[code@code=x]``, ``[name]``, ``[!name]``, ``[1]``, ``[2+]`` and ``[t=x|y]`` for a templateId.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from medibridge.formats.ccda.document import Leaf, Node

__all__ = ["Path"]

_STEP = re.compile(r"(\.\.[\w:|]*|\.|\*|[\w:|]+)?((?:\[[^\]]*\])*)(?:@([\w:]+))?")
_PREDICATE = re.compile(r"\[([^\]]*)\]")
_CONDITION = re.compile(r"(!)?([^=!]+)(?:(!?=)(.*))?")
_POSITION = re.compile(r"(\d+)(\+)?")


@dataclass(frozen=True)
class _Condition:
    """Whether a node passes: a path that leads somewhere, or to one of some values; or its position."""

    path: Path | None
    values: frozenset[str] = frozenset()
    compares: bool = False
    negates: bool = False

    def holds(self, node: Node) -> bool:
        if self.path is None:
            found = not self.values.isdisjoint(template["root"] for template in node.named("templateId"))
        elif self.compares:
            found = any(leaf.value in self.values for leaf in self.path.leaves(node))
        else:
            found = self.path.leads(node)
        return found is not self.negates


@dataclass(frozen=True)
class _Step:
    names: tuple[str, ...]
    up: bool
    conditions: tuple[_Condition, ...]
    first: int
    many: bool

    def follow(self, nodes: list[Node]) -> list[Node]:
        found: list[Node] = []
        for node in nodes:
            if self.up:
                reached = [node.parent] if node.parent is not None else []
            elif self.names:
                reached = [other for name in self.names for other in node.named(name)]
            else:
                reached = node.children
            node.work.spend(1 + len(reached))
            passed = [
                other
                for other in reached
                if (not self.up or not self.names or other.name in self.names)
                and all(condition.holds(other) for condition in self.conditions)
            ]
            if self.first:
                passed = passed[self.first - 1 :] if self.many else passed[self.first - 1 : self.first]
            found.extend(passed)
        return found


@dataclass(frozen=True)
class Path:
    """A path that was read; `attribute` is where it ends, if in one."""

    steps: tuple[_Step, ...]
    attribute: str = ""

    @classmethod
    @functools.cache
    def of(cls, text: str) -> Path:
        """Read a path. Raises `ValueError` for what is none."""
        steps: list[_Step] = []
        attribute = ""
        for part in re.split(r"/(?![^\[]*\])", text):
            match = _STEP.fullmatch(part)
            if not match:
                raise ValueError(f"{text!r} is not a path of the maps")
            name, predicates, attribute = match[1] or ".", match[2], match[3] or ""
            if name != "." or predicates:
                steps.append(_step(name, _PREDICATE.findall(predicates)))
        return cls(tuple(steps), attribute)

    def nodes(self, node: Node) -> list[Node]:
        """Where the path leads from a node, attributes aside, in the order of the document."""
        found = [node]
        for step in self.steps:
            found = step.follow(found)
            if not found:
                break
        return found

    def leaves(self, node: Node) -> Iterator[Leaf]:
        """The attributes, or texts, that the path leads to and that have a value."""
        for found in self.nodes(node):
            leaf = Leaf(found, self.attribute)
            if leaf.value:
                yield leaf

    def leads(self, node: Node) -> bool:
        """Whether the path leads anywhere from a node."""
        return any(self.leaves(node)) if self.attribute else bool(self.nodes(node))


def _step(name: str, predicates: list[str]) -> _Step:
    conditions: list[_Condition] = []
    first, many = 0, False
    for text in predicates:
        if position := _POSITION.fullmatch(text):
            first, many = int(position[1]), bool(position[2])
            continue
        match = _CONDITION.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not a condition of the maps")
        negates, path, operator, values = match.groups()
        conditions.append(
            _Condition(
                None if path == "t" else Path.of(path),
                frozenset((values or "").split("|")),
                operator is not None,
                bool(negates) is not (operator == "!="),
            )
        )
    up = name.startswith("..")
    names = name.removeprefix("..") if up else name
    return _Step(tuple(name for name in names.split("|") if name not in ("", "*")), up, tuple(conditions), first, many)
