"""An R4 object in the making."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from medibridge.formats.fhir.definitions import Definitions, Element, Version
from medibridge.formats.fhir.mapping import Step
from medibridge.record import Json, JsonObject

__all__ = ["Target"]

_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


@dataclass(slots=True)
class Target:
    """An object of the R4 type `kind`, as far as it is made.

    `path` is what findings call it: the element, without positions. `above` is the object that it will stand in.
    """

    kind: str
    path: str
    above: Target | None = None
    out: dict[str, Json] = field(default_factory=dict)
    _shared: dict[Step, Target] = field(default_factory=dict)
    """What several rules fill in together."""
    _made: list[Target] = field(default_factory=list)
    """What rules have made beneath."""

    def element(self, name: str) -> Element | None:
        """R4's definition of an element of this object."""
        return Definitions.of(Version.R4).element(self.kind, name)

    def at_end_of(self, steps: tuple[Step, ...]) -> Element | None:
        """What stands at the end of `steps`; None where R4 has no such element, as this object is of another type."""
        kind, element = self.kind, None
        for step in steps:
            element = Definitions.of(Version.R4).element(kind, step.name)
            if element is None:
                return None
            kind = element.kind
        return element

    def path_to(self, steps: tuple[Step, ...]) -> str:
        """The path of the element at the end of `steps`."""
        return ".".join([self.path, *(step.name for step in steps)])

    def holder(self, steps: tuple[Step, ...]) -> Target:
        """The object at the end of `steps`, which R4 has; made where it is missing.

        An item of a list is made anew each time, unless the step names it.
        """
        found = self
        for step in steps:
            found = found._below(step)
        return found

    def _below(self, step: Step) -> Target:
        element = self.element(step.name)
        many = element is not None and element.many
        known = self._shared.get(step) if step.item or not many else None
        if known is not None:
            return known
        there = self.out.get(step.name)
        made: dict[str, Json] = dict(there) if isinstance(there, Mapping) else {}
        if many:
            self._list(step.name).append(made)
        else:
            self.out[step.name] = made
        target = Target(element.kind if element else "", f"{self.path}.{step.name}", self, made)
        self._shared[step] = target
        self._made.append(target)
        return target

    def put(self, name: str, value: Json, beside: JsonObject | None = None, *, over: bool = False) -> bool:
        """Set an element, or add to it where it repeats; whether there was a place for it.

        `beside` is what is said of a primitive besides its value. `over` replaces what is there.
        """
        element = self.element(name)
        if element is None or self._has_another_of(element, name):
            return False
        if element.many:
            self._add(name, value, beside)
            return True
        there = self.out.get(name)
        if (there is None and f"_{name}" not in self.out) or over:
            self.out.pop(f"_{name}", None)
            if value is not None:
                self.out[name] = value
            if beside is not None:
                self.out[f"_{name}"] = beside
            return True
        if isinstance(there, dict) and isinstance(value, Mapping) and not there.keys() & value.keys():
            there.update(value)
            return True
        return there == value and beside is None

    def _has_another_of(self, element: Element, name: str) -> bool:
        """Whether another type of a choice is there already."""
        if not element.group:
            return False
        others = Definitions.of(Version.R4).types[self.kind].items()
        return any(key != name and key in self.out and one.group == element.group for key, one in others)

    def _add(self, name: str, value: Json, beside: JsonObject | None) -> None:
        items = self._list(name)
        items.append(value)
        if beside is not None or f"_{name}" in self.out:
            extras = self._list(f"_{name}")
            extras.extend([None] * (len(items) - 1 - len(extras)))
            extras.append(beside)

    def _list(self, name: str) -> list[Json]:
        found = self.out.setdefault(name, [])
        if not isinstance(found, list):
            found = self.out[name] = [found]
        return found

    def set_beside(self, fixed: Mapping[str, Json]) -> None:
        """Set what a rule says stands beside a value, where nothing stands there."""
        for name, value in fixed.items():
            self.out.setdefault(name, copy.deepcopy(value))

    def extend(self, extension: Json) -> None:
        """Add an extension."""
        self._list("extension").append(extension)

    def complete(self, required: Mapping[str, Mapping[str, Json]]) -> list[str]:
        """Set every element that R4 requires, here and in what rules have made beneath; gives their paths.

        By `required` (type, element, value); else a code becomes *unknown* where its value set has that; else the
        element says that it is absent (extension data-absent-reason, R4).
        """
        filled = [path for made in self._made for path in made.complete(required)]
        if not self.out or self.kind == "Extension":
            return filled
        groups: dict[str, list[str]] = {}
        for name, element in Definitions.of(Version.R4).types.get(self.kind, {}).items():
            if element.least:
                groups.setdefault(element.group or name, []).append(name)
        known = required.get(self.kind, {})
        for names in groups.values():
            if not any(name in self.out or f"_{name}" in self.out for name in names):
                name = next((one for one in names if one in known), names[0])
                self._fill(name, known.get(name), required)
                filled.append(f"{self.path}.{name}")
        return filled

    def _fill(self, name: str, known: Json, required: Mapping[str, Mapping[str, Json]]) -> None:
        definitions, element = Definitions.of(Version.R4), self.element(name)
        if element is None:
            return
        value = copy.deepcopy(known)
        if value is None and element.kind == "code" and definitions.has_code(element.binding, "unknown"):
            value = "unknown"
        absent: dict[str, Json] = {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}
        if value is None and definitions.is_primitive(element.kind):
            self.out[f"_{name}"] = [absent] if element.many else absent
            return
        if value is None:
            Target(element.kind, f"{self.path}.{name}", self, absent).complete(required)
            value = absent
        self.out[name] = [value] if element.many else value
