"""What became of each leaf of a document. Values carry their leaves until they stand in a resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from medibridge.errors import MalformedMessage
from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.conversion import Finding, Outcome, Report
from medibridge.record import Json, JsonObject

__all__ = ["Drafted", "DraftedObject", "Ledger", "Taken"]


@dataclass(frozen=True)
class Taken:
    """A value of FHIR with the leaves that it was made from. They count as mapped once it stands in a resource."""

    value: Json = field(repr=False)
    leaves: tuple[Leaf, ...]
    lost: str = ""
    """What of the leaves is not in the value; empty where all is."""


Drafted: TypeAlias = "Taken | Json | Sequence[Drafted] | Mapping[str, Drafted]"
"""JSON in which some values still carry their leaves."""

DraftedObject: TypeAlias = Mapping[str, Drafted]

_RANK = {Outcome.MAPPED: 3, Outcome.PARTLY: 2, Outcome.INVALID: 1}


class Ledger:
    """Keeps what became of each leaf; the best that happened to it counts."""

    def __init__(self, root: Node, strict: bool) -> None:
        self._root = root
        self.strict = strict
        self._found: dict[tuple[int, str], tuple[Outcome, str, str]] = {}
        self._whole: set[int] = set()
        self._defaults: list[Finding] = []

    def settle(self, leaf: Leaf, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of a leaf."""
        key = (id(leaf.node), leaf.attribute)
        known = self._found.get(key)
        if known is None or _RANK.get(outcome, 0) > _RANK.get(known[0], 0):
            self._found[key] = (outcome, reason, target)

    def settle_below(self, node: Node, outcome: Outcome, reason: str) -> None:
        """Say what became of all leaves of a node and below it of which nothing is said yet."""
        for below in node.walk():
            for leaf in below.leaves():
                if (id(below), leaf.attribute) not in self._found:
                    self.settle(leaf, outcome, reason)

    def settle_whole(self, node: Node, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of a node with all in it, as one leaf: a block of narrative."""
        self._found[id(node), ""] = (outcome, reason, target)
        self._whole.add(id(node))

    def is_settled(self, leaf: Leaf) -> bool:
        """Whether something is said of the leaf."""
        return (id(leaf.node), leaf.attribute) in self._found

    def refuse(self, leaf: Leaf, reason: str) -> None:
        """The leaf is not what the standard asks for. Raises `MalformedMessage` in strict reading."""
        if self.strict:
            raise MalformedMessage(f"{leaf.place} is {reason}; correct it, or read leniently")
        self.settle(leaf, Outcome.INVALID, f"{reason}; left out")

    def default(self, node: Node, reason: str, target: str = "") -> None:
        """There was no value; `reason` names the one that was chosen."""
        self._defaults.append(Finding(node.place, Outcome.DEFAULT, reason, target))

    def settled(self, resource: DraftedObject) -> JsonObject:
        """The resource without the leaves, which count as mapped to where they stand in it."""
        return {key: self._plain(value, f"{resource['resourceType']}.{key}") for key, value in resource.items()}

    def _plain(self, value: Drafted, target: str) -> Json:
        if isinstance(value, Taken):
            outcome = Outcome.PARTLY if value.lost else Outcome.MAPPED
            for leaf in value.leaves:
                self.settle(leaf, outcome, value.lost, target)
            return value.value
        if isinstance(value, Mapping):
            return {key: self._plain(item, f"{target}.{key}") for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self._plain(item, target) for item in value]
        return value

    def report(self, unsettled: Iterable[tuple[Leaf, Outcome, str]]) -> Report:
        """One finding for each leaf in the order of the document; `unsettled` says what the rest are."""
        for leaf, outcome, reason in unsettled:
            self.settle(leaf, outcome, reason)
        findings = []
        for leaf in self.leaves():
            outcome, reason, target = self._found[id(leaf.node), leaf.attribute]
            findings.append(Finding(leaf.place, outcome, reason, target))
        return Report((*findings, *self._defaults))

    def leaves(self) -> Iterable[Leaf]:
        """All leaves of the document; a node that was settled whole is one."""
        pending = [self._root]
        while pending:
            node = pending.pop()
            if id(node) in self._whole:
                yield Leaf(node, "")
                continue
            yield from node.leaves()
            pending.extend(reversed(node.children))
