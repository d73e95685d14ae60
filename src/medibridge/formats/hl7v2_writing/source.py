"""FHIR resources, read so that what nobody wrote is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from medibridge.formats.conversion import Finding, Outcome, Report
from medibridge.record import Json, JsonObject, place_of

__all__ = ["Ledger", "Node"]

Path = tuple[str | int, ...]


@dataclass
class Ledger:
    """What became of every value of the resources."""

    resources: Sequence[JsonObject]
    outcomes: dict[Path, Finding] = field(default_factory=dict)
    defaults: list[Finding] = field(default_factory=list)

    def node(self, index: int) -> Node:
        """A resource, by its index."""
        return Node(self, ("resource", index), self.resources[index])

    def settle(self, path: Path, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of the value at a path. What is known to be lost in part stays so."""
        known = self.outcomes.get(path)
        if known is None or known.outcome is Outcome.MAPPED:
            self.outcomes[path] = Finding(place_of(path), outcome, reason, target)

    def report(self) -> Report:
        """A finding for every value, in the order of the resources; then the defaults."""
        findings = [
            self.outcomes.get(path) or Finding(place_of(path), Outcome.UNMAPPED, "not in this message")
            for index, resource in enumerate(self.resources)
            for path in _leaves(("resource", index), resource)
        ]
        return Report((*findings, *self.defaults))


def _leaves(path: Path, value: Json) -> Iterator[Path]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _leaves((*path, key), child)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            yield from _leaves((*path, index), child)
    elif value is not None:
        yield path


@dataclass(frozen=True, repr=False)
class Node:
    """A value of a resource and where it stands. Missing values are nodes too, and false."""

    ledger: Ledger
    path: Path
    value: Json

    def __bool__(self) -> bool:
        return self.value not in (None, "", [], {})

    def __getitem__(self, key: str) -> Node:
        """An element of an object; of a list, that of its first item."""
        if isinstance(self.value, Mapping):
            return Node(self.ledger, (*self.path, key), self.value.get(key))
        first = next(iter(self.items()), None)
        return first[key] if first is not None and first is not self else Node(self.ledger, (*self.path, key), None)

    def items(self) -> list[Node]:
        """The items of a list; of one value, that; of none, nothing."""
        if isinstance(self.value, Sequence) and not isinstance(self.value, str):
            return [Node(self.ledger, (*self.path, index), item) for index, item in enumerate(self.value)]
        return [self] if self else []

    def along(self, path: str) -> list[Node]:
        """The values that a dotted path leads to, through every list."""
        found = self.items()
        for name in path.split("."):
            found = [item for node in found for item in node[name].items()]
        return found

    @property
    def peek(self) -> str:
        """The text of a primitive, without saying that it was written."""
        if self.value is True:
            return "true"
        if self.value is False:
            return "false"
        return "" if isinstance(self.value, (Mapping, Sequence)) and not isinstance(self.value, str) else self._text()

    def _text(self) -> str:
        return "" if self.value is None else str(self.value)

    def text(self, target: str) -> str:
        """The text of a primitive, which is written to `target`."""
        found = self.peek
        if found:
            self.settle(Outcome.MAPPED, target=target)
        return found

    def settle(self, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of this value, and of all below it."""
        for path in _leaves(self.path, self.value):
            self.ledger.settle(path, outcome, reason, target)
