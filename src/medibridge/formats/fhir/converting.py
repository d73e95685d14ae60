"""A resource of another version as a resource of R4, by the element tables of both and the map between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.fhir.coercion import can_coerce, coerce
from medibridge.formats.fhir.definitions import Definitions, Element, Version
from medibridge.formats.fhir.mapping import Rule, Step
from medibridge.formats.fhir.source import Node, Source, is_list
from medibridge.formats.fhir.target import Target
from medibridge.record import Json, JsonObject

__all__ = ["Converter"]

_ALIKE: Final = frozenset({("Contributor", "ContactDetail"), ("ExtendedContactDetail", "ContactDetail")})
"""Types of different names that share elements."""
_COMMON: Final = frozenset(
    {"id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension"}
)
_SUBJECTS: Final = frozenset({"patient", "subject"})
_RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"


@dataclass(frozen=True)
class _Fitted:
    """A value in the type of its R4 element; `whole` is false where a part of it found no place there."""

    value: Json
    beside: JsonObject | None = None
    whole: bool = True


@dataclass(frozen=True)
class Converter:
    """Converts the resources that `source` reads, and adds to its findings what became of each element that changed."""

    source: Source

    def resource(self, resource: JsonObject, place: str) -> JsonObject:
        """The resource in R4; as a Basic, with its elements as extensions, where R4 has no such type."""
        kind = str(resource.get("resourceType"))
        if kind not in self.source.definitions.resources:
            return resource
        name = self.source.map.type_of(kind)
        target = Target(name, name, out={"resourceType": name})
        if name != kind:
            version = self.source.version.value
            self.source.say(f"{place}.resourceType", Outcome.MAPPED, f"{kind} of {version} is {name} in R4", name)
        if name == "Basic" and kind != "Basic":
            target.out["code"] = {"coding": [{"system": _RESOURCE_TYPES, "code": kind}]}
        self._object(resource, kind, target, place)
        self._complete(target, place)
        return target.out

    def _object(self, source: JsonObject, kind: str, target: Target, place: str, *, inline: bool = False) -> None:
        """Send every element of an object to where its rules say. `inline` objects have no R4 object of their own."""
        last: list[tuple[Node, Rule, str]] = []
        for name, where, element in self.source.elements(source, kind, place):
            path = f"{kind}.{name}"
            if element is None:
                self._mixed_in(source, name, kind, target, where)
                continue
            if inline and name == "id":
                continue
            rules = self.source.map.rules_for(kind, name)
            if rules is None:
                rules = self._default(kind, name, element, target, inline=inline)
            nodes = self.source.nodes(source, kind, name, element, where)
            if rules and rules[0].join is not None:
                nodes = _joined(nodes, rules[0].join)
            rules = tuple(rule for rule in rules if all(source.get(key) == code for key, code in rule.when.items()))
            for node in nodes:
                late = [rule for rule in rules if rule.over or rule.late]
                last.extend((node, rule, path) for rule in late)
                done = [self._apply(node, rule, path, target) for rule in rules if rule not in late]
                if not late and not any(done):
                    self._keep(node, path, target)
        for node, rule, path in last:
            if not self._apply(node, rule, path, target):
                self._keep(node, path, target)

    def _default(self, kind: str, name: str, element: Element, target: Target, *, inline: bool) -> tuple[Rule, ...]:
        """Without a rule an element goes to R4's of the same name, where its type allows; else it is kept."""
        there = target.element(name)
        if target.kind == "Basic" and kind != "Basic" and kind in self.source.definitions.resources:
            if name in _SUBJECTS and element.kind == "Reference" and "subject" not in target.out:
                return (Rule((Step("subject"),)),)
            there = there if name in _COMMON else None
        if there is None or (inline and name not in ("extension", "modifierExtension")):
            return ()
        if can_coerce(element.kind, there.kind) or ("." in element.kind and "." in there.kind):
            return (Rule((Step(name),)),)
        return ()

    def _mixed_in(self, source: JsonObject, name: str, kind: str, target: Target, where: str) -> None:
        """What the version does not know is taken over where R4 knows it: systems mix versions."""
        if target.element(name) is None or name in target.out:
            self.source.unknown(where, kind)
            return
        target.out |= {key: source[key] for key in (name, f"_{name}") if key in source}

    def _complete(self, target: Target, place: str) -> None:
        for path in target.complete(self.source.map.required):
            self.source.say(place, Outcome.DEFAULT, f"R4 requires {path}", path)

    # --- rules ----------------------------------------------------------------------------------------------------

    def _apply(self, node: Node, rule: Rule, path: str, target: Target) -> bool:
        """Do what a rule says with one value; whether the value found a place."""
        if rule.by and isinstance(node.value, Mapping):
            case = rule.cases.get(str(node.value.get(rule.by)))
            if case is None:
                return False
            rest = {key: child for key, child in node.value.items() if key != rule.by}
            return self._apply(Node(rest, node.kind, node.place), case, path, target)
        if rule.ignored:
            self.source.say(node.place, Outcome.IGNORED, rule.ignored)
            return True
        if rule.inline and isinstance(node.value, Mapping):
            self._object(node.value, node.kind, target, node.place, inline=True)
            return True
        if rule.codes and isinstance(node.value, (str, bool, Decimal)):
            if node.text in rule.codes:
                node = Node(rule.codes[node.text], "code", node.place, node.beside)
            elif rule.unlisted == "drop":
                self.source.say(node.place, Outcome.USED, "it says nothing more in R4")
                return True
            elif rule.unlisted == "extend":
                return False
        if rule.extension:
            self._keep(node, path, target, rule.extension)
            return True
        if rule.to and self._send(node, rule, path, target):
            return True
        return rule.otherwise is not None and self._apply(node, rule.otherwise, path, target)

    def _send(self, node: Node, rule: Rule, path: str, target: Target) -> bool:
        """Put a value where a rule says, in the type that R4 has there."""
        steps, outer = rule.to, node
        while steps[0].name == "^" and target.above is not None:
            steps, target = steps[1:], target.above
        element = target.at_end_of(steps)
        if element is None:
            return False
        others: JsonObject = {}
        if rule.unwrap and isinstance(node.value, Mapping):
            inner = self.source.definitions.element(node.kind, rule.unwrap)
            value = node.value.get(rule.unwrap)
            others = {key: child for key, child in node.value.items() if key.lstrip("_") != rule.unwrap}
            if inner is None or is_list(value):
                return False
            place = node.place if value is None else f"{node.place}.{rule.unwrap}"
            node = Node({} if value is None else value, inner.kind, place)
        fitted = self._fit(node, element, rule, Target(element.kind, target.path_to(steps), target))
        if fitted is None:
            return False
        if others:
            within = fitted.value if isinstance(fitted.value, dict) else target.out
            beneath = Target(element.kind, target.path_to(steps), target, within) if within is fitted.value else target
            self._object(others, outer.kind, beneath, outer.place, inline=True)
        holder = target.holder(steps[:-1])
        if not holder.put(steps[-1].name, fitted.value, fitted.beside, over=rule.over):
            return False
        holder.set_beside(rule.fixed)
        if len(steps) > 1 or not path.endswith(f".{steps[0].name}") or node.kind != element.kind or rule.codes:
            reason = "it counts more than what else sets the element" if rule.over else ""
            self.source.say(node.place, Outcome.MAPPED, reason, target.path_to(steps))
        if not fitted.whole:
            self._keep(node, path, target)
        return True

    # --- values ---------------------------------------------------------------------------------------------------

    def _fit(self, node: Node, element: Element, rule: Rule, made: Target) -> _Fitted | None:
        """The value in R4's type; None where it does not fit. `made` is what an object becomes."""
        definitions = Definitions.of(Version.R4)
        primitive = definitions.is_primitive(element.kind)
        beside = self._beside(node)
        if node.value is None:
            return _Fitted(None, beside) if primitive else _Fitted(dict(beside or {}))
        if node.kind == "Resource" and isinstance(node.value, Mapping):
            return _Fitted(self.resource(node.value, node.place)) if element.kind == "Resource" else None
        alike = can_coerce(node.kind, element.kind)
        value: Json = node.value
        if isinstance(value, Mapping):
            if not alike and not self._shares_elements(node.kind, element.kind):
                return None
            made.kind = node.kind if alike and node.kind in definitions.types else element.kind
            self._object(value, node.kind, made, node.place)
            self._complete(made, node.place)
            if not alike:
                return _Fitted(made.out) if made.out else None
            value = made.out
        coerced = coerce(value, node.kind, element.kind, rule.system or definitions.system_of(element.binding))
        if coerced is None:
            return None
        value = coerced.value
        if element.kind == "code" and isinstance(value, str):
            code = self._code(rule.codes.get(value, value), element)
            return None if code is None else _Fitted(code, beside, coerced.whole)
        if beside is not None and not primitive and isinstance(value, Mapping):
            return _Fitted({**beside, **value}, None, coerced.whole)
        return _Fitted(value, beside, coerced.whole)

    def _shares_elements(self, kind: str, to: str) -> bool:
        """Whether an object of one type may become one of another, element by element."""
        definitions = Definitions.of(Version.R4)
        if definitions.is_primitive(to):
            return False
        return "." in kind + to or kind not in definitions.types or (kind, to) in _ALIKE

    def _code(self, code: str, element: Element) -> str | None:
        """A code that R4 has there; a resource type goes by its name in R4."""
        definitions = Definitions.of(Version.R4)
        if not element.binding or definitions.has_code(element.binding, code):
            return code
        renamed = self.source.map.types.get(code, "")
        return renamed if definitions.has_code(element.binding, renamed) else None

    def _beside(self, node: Node) -> JsonObject | None:
        """What is said of a primitive besides its value."""
        if node.beside is None:
            return None
        made = Target("Element", "Element")
        self._object(node.beside, "Element", made, node.place)
        return made.out or None

    # --- what R4 has no place for ---------------------------------------------------------------------------------

    def _keep(self, node: Node, path: str, target: Target, url: str = "") -> None:
        """Keep a value as an extension (R4, 2.1.0.17.1); else report it."""
        number = self.source.version.number
        url = url or f"http://hl7.org/fhir/{number}/StructureDefinition/extension-{path}"
        extension = self._extension(url, node) if target.element("extension") else None
        if extension is None:
            self.source.say(node.place, Outcome.UNMAPPED, f"R4 has no {path}")
            return
        target.extend(extension)
        reason = f"R4 has no {path}, or no place for it; it is an extension"
        self.source.say(node.place, Outcome.MAPPED, reason, f"{target.path}.extension")

    def _extension(self, url: str, node: Node) -> dict[str, Json] | None:
        """A value as an extension: of its type where R4's extensions have that, else of one for each element."""
        name = "value" + node.kind[0].upper() + node.kind[1:]
        slot = Definitions.of(Version.R4).element("Extension", name)
        if self.source.definitions.is_primitive(node.kind):
            name = name if slot else "valueString"
            value = node.value if slot else None if node.value is None else node.text
            found = {"url": url, name: value, f"_{name}": self._beside(node)}
            kept: dict[str, Json] = {key: part for key, part in found.items() if part is not None}
            return kept if len(kept) > 1 else None
        if node.kind == "Resource" or not isinstance(node.value, Mapping):
            return None
        if slot is None or node.kind == "Extension":
            return self._nested(url, node.value, node.kind, node.place)
        target = Target(slot.kind, "Extension.value")
        self._object(node.value, node.kind, target, node.place)
        self._complete(target, node.place)
        return {"url": url, name: target.out} if target.out else None

    def _nested(self, url: str, value: JsonObject, kind: str, place: str) -> dict[str, Json] | None:
        found = Target("Extension", "Extension", out={"url": url})
        for name, where, element in self.source.elements(value, kind, place):
            if element is None:
                self.source.unknown(where, kind)
                continue
            for node in self.source.nodes(value, kind, name, element, where):
                if name in ("id", "extension"):
                    self._apply(node, Rule((Step(name),)), f"Extension.{name}", found)
                elif name != "modifierExtension" and (part := self._extension(name, node)):
                    found.extend(part)
                else:
                    self.source.say(node.place, Outcome.UNMAPPED, f"R4 has no {kind}.{name}")
        return found.out if "extension" in found.out else None


def _joined(nodes: list[Node], between: str) -> list[Node]:
    """The texts of several values as one."""
    texts = [node.value for node in nodes if isinstance(node.value, str)]
    if len(nodes) < 2 or len(texts) < len(nodes):
        return nodes
    return [Node(between.join(texts), nodes[0].kind, nodes[0].place)]
