"""Which segment belongs to which: the groups of a message (HL7 v2.9, chapter 2, 2.5.2), by the map of its structure.

The reading is tolerant: a segment that stands where the standard does not expect it goes to the nearest group that
may hold it, and one that the map does not name at all to where segments of its kind usually belong.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from medibridge.formats.hl7v2.draft import Item
from medibridge.formats.hl7v2.files import load, names
from medibridge.formats.hl7v2.message import Segment
from medibridge.formats.hl7v2.targets import MapError
from medibridge.formats.hl7v2.views import View, usual_views, view_of
from medibridge.ids import DataClass

__all__ = ["ATTACHED", "Group", "MessageMap", "message_map", "message_types", "place_segments"]

ATTACHED: Final = frozenset({"NTE", "ROL", "PRT"})
"""Segments that are about the one above them."""


@dataclass(eq=False)
class Template:
    """A kind of group: the segments that it holds, with their views, and the groups inside it."""

    name: str
    opens: tuple[str, ...] = ()
    holds: dict[str, tuple[View, ...]] = field(default_factory=dict)
    groups: list[Template] = field(default_factory=list)
    inside: dict[str, list[Template]] = field(default_factory=dict)
    """The groups through which a segment is reached, the likeliest first."""

    @property
    def all(self) -> frozenset[str]:
        """Every segment here and below."""
        return frozenset(self.holds).union(*(group.all for group in self.groups))

    def settle(self) -> None:
        """Work out `inside`, here and below."""
        for group in self.groups:
            group.settle()
        for group in self.groups:
            for name in group.opens:
                self.inside.setdefault(name, []).append(group)
        for group in self.groups:
            for name in sorted(group.all):
                if group not in self.inside.setdefault(name, []):
                    self.inside[name].append(group)


@dataclass(frozen=True)
class MessageMap:
    """How one kind of message is read."""

    name: str
    about: frozenset[DataClass] | None
    requires: tuple[str, ...]
    root: Template


@functools.cache
def message_types() -> dict[str, str]:
    """The messages that have a map, as ``ADT^A01``, and the name of it; ``ORU^*`` stands for all others of ORU."""
    found: dict[str, str] = {}
    for name in names("messages"):
        for line in load(f"messages/{name}.yaml")["messages"]:
            kind, _, events = line.partition("^")
            for event in events.split():
                found[f"{kind}^{event}"] = name
    return found


@functools.cache
def message_map(kind: str, event: str) -> MessageMap:
    """The map of a message type; the general one where it has none of its own."""
    known = message_types()
    return _message_map(known.get(f"{kind}^{event}") or known.get(f"{kind}^*") or "general")


@functools.cache
def _message_map(name: str) -> MessageMap:
    spec = load(f"messages/{name}.yaml")
    root = _template(name, {"holds": spec["structure"]})
    if name != "general":
        general = _message_map("general").root
        missing = frozenset(general.all) - root.all
        for segment, views in general.holds.items():
            if segment in missing:
                root.holds[segment] = views
        root.groups.extend(group for group in general.groups if missing.intersection(group.opens))
    root.inside.clear()
    root.settle()
    about = spec.get("about")
    classes = frozenset(DataClass[word.upper().replace("-", "_")] for word in about.split()) if about else None
    return MessageMap(name, classes, tuple(spec.get("requires", "").split()), root)


def _template(name: str, spec: dict[str, Any]) -> Template:
    made = Template(name)
    for entry in spec["holds"]:
        if isinstance(entry, str):
            segment, named = entry, None
        else:
            ((segment, named),) = entry.items()
        if isinstance(named, dict) or (isinstance(named, list) and named and not _is_views(named)):
            made.groups.append(_template(segment, named if isinstance(named, dict) else {"holds": named}))
            continue
        repeats = segment.endswith("+")
        segment = segment.removesuffix("+")
        chosen = usual_views(segment) if named is None else tuple(named if isinstance(named, list) else [named])
        views = tuple(view_of(segment, view) for view in chosen)
        if repeats:
            made.groups.append(Template(segment, (segment,), {segment: views}))
        else:
            made.holds[segment] = views
    opens = spec.get("opens")
    made.opens = tuple(opens) if opens else tuple(made.holds)[:1]
    for opener in made.opens:
        if opener not in made.holds:
            raise MapError(f"{name} opens with {opener}, which it does not hold")
    return made


def _is_views(named: list[Any]) -> bool:
    """Whether a list names views (``ServiceRequest``) and not segments (``OBX``) or groups."""
    return all(isinstance(one, str) and one[1:2].islower() for one in named)


@dataclass(eq=False)
class Group:
    """A group of segments in a message, and the resources that they make."""

    template: Template
    parent: Group | None
    segments: dict[str, Segment] = field(default_factory=dict)
    items: dict[str, list[Item]] = field(default_factory=dict)
    below: dict[str, list[Item]] = field(default_factory=dict)
    """The resources here and in the groups inside, by view."""
    groups: list[Group] = field(default_factory=list)

    def segment(self, name: str) -> Segment | None:
        """The segment of that name here or around."""
        group: Group | None = self
        while group is not None:
            if name in group.segments:
                return group.segments[name]
            group = group.parent
        return None

    def nearest(self, view: str) -> Item | None:
        """The last resource of a view here or around."""
        group: Group | None = self
        while group is not None:
            if view in group.items:
                return group.items[view][-1]
            group = group.parent
        return None

    def add(self, view: str, item: Item) -> None:
        """Take in a resource."""
        self.items.setdefault(view, []).append(item)
        group: Group | None = self
        while group is not None:
            group.below.setdefault(view, []).append(item)
            group = group.parent

    def sole(self, view: str) -> Item | None:
        """The nearest resource of a view here, below or around, where there is but one at that distance."""
        group: Group | None = self
        while group is not None:
            if found := group.below.get(view):
                return found[0] if len(found) == 1 else None
            group = group.parent
        return None


def place_segments(segments: list[Segment], root: Group) -> Iterator[tuple[Segment, Group, tuple[View, ...]]]:
    """Each segment with its group and the views that apply. What is unknown belongs to the root, with no view."""
    current = root
    above: tuple[Segment, Group, tuple[View, ...]] | None = None
    for at, segment in enumerate(segments):
        name = segment.name
        if name in ATTACHED and above is not None:
            yield segment, above[1], _attached(name, above[2])
            continue
        found = _find(current, name, segments, at)
        if found is None:
            yield segment, root, ()
            if name[0] != "Z":
                above = (segment, root, ())
            continue
        current = found
        current.segments.setdefault(name, segment)
        above = (segment, current, current.template.holds[name])
        yield above


def _attached(name: str, views: tuple[View, ...]) -> tuple[View, ...]:
    """How a note may be seen that stands below a segment seen as `views`; the first that is there takes it."""
    known = load(f"segments/{name}.yaml") if name in names("segments") else {}
    return tuple(view_of(name, view.name) for view in views if view.name in known)


def _find(current: Group, name: str, segments: list[Segment], at: int) -> Group | None:
    group: Group | None = current
    while group is not None:
        template = group.template
        if name in template.holds and (group.parent is None or _joins(group, name)):
            return group
        if name in template.inside:
            inside = _chosen(template.inside[name], name, segments, at)
            made = Group(inside, group)
            group.groups.append(made)
            while name not in made.template.holds:
                deeper = Group(_chosen(made.template.inside[name], name, segments, at), made)
                made.groups.append(deeper)
                made = deeper
            return made
        group = group.parent
    return None


def _joins(group: Group, name: str) -> bool:
    """Whether a segment goes on with a group, or begins another: one that opens a group can only be at its start."""
    opens = group.template.opens
    if name not in opens:
        return True
    if name in group.segments or group.groups:
        return False
    before = opens[: opens.index(name)]
    return all(seen in before or seen not in opens for seen in group.segments) and any(
        seen in before for seen in group.segments
    )


def _chosen(groups: list[Template], name: str, segments: list[Segment], at: int) -> Template:
    """Of the groups that a segment may open, the one that holds what follows."""
    openers = [group for group in groups if name in group.opens]
    if len(openers) < 2:
        return (openers or groups)[0]
    for following in segments[at + 1 : at + 20]:
        if following.name == name:
            break
        holding = [group for group in openers if following.name in group.holds]
        openers = holding or openers
        if len(openers) == 1:
            break
    return openers[0]
