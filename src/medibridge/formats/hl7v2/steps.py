"""The lines of a map, compiled: each becomes one function, once. Also the data types of ``datatypes.yaml``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2 import diagnoses, observations, people, scheduling, visits
from medibridge.formats.hl7v2.attachments import ATTACHMENTS
from medibridge.formats.hl7v2.authorities import AUTHORITIES
from medibridge.formats.hl7v2.concepts import CONCEPTS
from medibridge.formats.hl7v2.files import load
from medibridge.formats.hl7v2.header import HEADERS
from medibridge.formats.hl7v2.message import EMPTY, Part, Segment
from medibridge.formats.hl7v2.places import PLACES
from medibridge.formats.hl7v2.primitives import PRIMITIVES, Convert
from medibridge.formats.hl7v2.quantities import QUANTITIES
from medibridge.formats.hl7v2.rules import Rule, condition_of, constant_of, fresh, rules_of
from medibridge.formats.hl7v2.targets import Elements, MapError, Target, target_of
from medibridge.formats.hl7v2.telecom import TELECOM

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft
    from medibridge.formats.hl7v2.groups import Group

__all__ = ["Step", "constant_line", "conversion_of", "run_on_segment", "steps_of"]


class Step(NamedTuple):
    """One line, compiled. `fields` are those that it reads; without any of them it has nothing to do (none: always)."""

    fields: tuple[int, ...]
    run: Callable[[Any, Elements, Draft, Group], None]


def run_on_segment(steps: tuple[Step, ...], segment: Segment, elements: Elements, draft: Draft, group: Group) -> None:
    """Let the steps of a view read a segment."""
    sent = segment.fields
    for fields, run in steps:
        if not fields:
            run(segment, elements, draft, group)
            continue
        for field in fields:
            if field in sent:
                run(segment, elements, draft, group)
                break


def _run_on_part(steps: tuple[Step, ...], part: Part, elements: Elements, draft: Draft, group: Group) -> None:
    """Let the steps of a data type read a part."""
    below = part.below
    if below is None:
        for fields, run in steps:
            if not fields or 1 in fields:
                run(part, elements, draft, group)
        return
    width = len(below)
    for fields, run in steps:
        if not fields:
            run(part, elements, draft, group)
            continue
        for field in fields:
            if field <= width and below[field - 1] is not EMPTY:
                run(part, elements, draft, group)
                break


_BY_HAND: Final[Mapping[str, Callable[[Segment, Elements, Draft, Group], None]]] = {
    "observation value": observations.add_value,
    "observation category": observations.add_category,
    "document content": observations.add_content,
    "race and ethnicity": people.add_race_and_ethnicity,
    "diagnosis": diagnoses.add_diagnosis,
    "encounter status": visits.add_status,
    "appointment time": scheduling.add_time,
}
"""What no line of a map can say."""


def steps_of(spec: dict[str, Any], kind: str, prefix: str) -> list[Step]:
    """The steps of a mapping with `set`, `fields`, `objects` and `by hand`, in that order."""
    steps = [_constant_step(line, kind) for line in spec.pop("set", [])]
    steps.extend(_step(rule, kind, prefix) for rule in rules_of(spec.pop("fields", {})))
    steps.extend(_object_step(dict(part), kind, prefix) for part in spec.pop("objects", []))
    steps.extend(Step((), _BY_HAND[name]) for name in _names(spec.pop("by hand", [])))
    return steps


def _names(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def constant_line(line: Any) -> tuple[str, Any, str]:
    """``finished -> status when 45 valued``, or the same with keys (to, value, when): element, constant, condition."""
    if not isinstance(line, str):
        return line["to"], constant_of(line["value"]), line.get("when", "")
    text, _, when = line.partition(" when ")
    constant, arrow, path = text.rpartition(" -> ")
    if not arrow:
        raise MapError(f"{line!r} is not 'constant -> element'")
    return path.strip(), constant_of(constant.strip()), when


def _constant_step(line: Any, kind: str) -> Step:
    """A line of `set`."""
    path, value, when = constant_line(line)
    target = target_of(kind, path)
    condition = condition_of(when)

    def step(holder: Segment | Part, elements: Elements, draft: Draft, group: Group) -> None:  # noqa: ARG001
        if (condition is None or condition(holder, group)) and not target.is_taken(elements):
            target.put(elements, fresh(value), None)

    return Step((), step)


def _object_step(spec: dict[str, Any], kind: str, prefix: str) -> Step:
    """An element that several fields make together: ``to``, ``fields``, ``with``, ``when``; with ``makes`` a resource
    that the element refers to; without one of ``needs`` there is no element.
    """
    path, when, makes = spec.pop("to"), condition_of(spec.pop("when", "")), spec.pop("makes", "")
    constants = {key: constant_of(value) for key, value in spec.pop("with", {}).items()}
    target = target_of(kind, path, "Reference" if makes else "")
    needs = _names(spec.pop("needs", []))
    if makes:
        steps = tuple(steps_of(spec, makes, makes))
    else:
        steps = tuple(steps_of(spec, target.kind, prefix + target.name[len(kind) :]))
    if spec:
        raise MapError(f"{path}: {', '.join(spec)} means nothing in an object")

    fields = tuple(dict.fromkeys(field for inner in steps for field in inner.fields))

    def step(holder: Segment | Part, elements: Elements, draft: Draft, group: Group) -> None:
        if (when is None or when(holder, group)) and not target.is_taken(elements):
            made: Elements = {}
            if isinstance(holder, Segment):
                run_on_segment(steps, holder, made, draft, group)
            else:
                _run_on_part(steps, holder, made, draft, group)
            if any(name not in made for name in needs):
                for field in fields:
                    for part in _parts(holder, field):
                        part.revoke("it says too little to be an element of FHIR")
            elif made:
                made = {**fresh(constants), **made}
                target.put(elements, draft.refer(makes, made) if makes else made, None)

    return Step(fields if all(inner.fields for inner in steps) else (), step)


def _step(rule: Rule, kind: str, prefix: str) -> Step:
    path, field, when = rule.path, rule.field, rule.when
    target: Target | None = None
    if rule.outcome is not None:
        return _said(rule)
    if rule.target == "*":
        _, convert = conversion_of(rule.conversion, rule.argument, prefix)
    else:
        found_kind, _ = conversion_of(rule.conversion, rule.argument, "")
        target = target_of(kind, rule.target, found_kind)
        _check(found_kind, target, f"{field}")
        _, convert = conversion_of(rule.conversion, rule.argument, prefix + target.name[len(kind) :])
    put = _merge(convert) if target is None else _putting(convert, target, rule)
    if target is not None and rule.joined:
        put = _putting_lines(convert, target, rule)

    def step(holder: Any, elements: Elements, draft: Draft, group: Group) -> None:
        parts = _parts(holder, field)
        if parts and (when is None or when(holder, group)):
            put([_below(part, path) for part in parts] if path else parts, elements, draft)

    return Step((field,), step)


def _parts(holder: Segment | Part, field: int) -> Sequence[Part]:
    """The repetitions of a field, or one component."""
    if isinstance(holder, Segment):
        return holder.fields.get(field, ())
    return (holder[field],)


def _below(part: Part, path: tuple[int, ...]) -> Part:
    for number in path:
        part = part[number]
    return part


_Put: TypeAlias = "Callable[[Sequence[Part], Elements, Draft], None]"


def _merge(convert: Convert) -> _Put:
    """The elements that the conversion gives become elements of the object itself, of the first repetition of all."""

    def put(parts: Sequence[Part], elements: Elements, draft: Draft) -> None:
        for at, part in enumerate(parts):
            if at:
                part.settle_all(Outcome.UNMAPPED, "FHIR has one here, and it is taken")
                continue
            found = convert(part, draft) if part else None
            if isinstance(found, dict):
                for key, value in found.items():
                    if key == "extension":
                        elements.setdefault(key, []).extend(value)
                    else:
                        elements.setdefault(key, value)

    return put


def _putting(convert: Convert, target: Target, rule: Rule) -> _Put:
    """Each part becomes a value of the element, as many as R4 allows."""
    constants, otherwise = rule.constants or None, rule.otherwise
    is_taken, put_value = target.is_taken, target.put

    def put(parts: Sequence[Part], elements: Elements, draft: Draft) -> None:
        for part in parts:
            if (not part.text and not part) or (otherwise and part.is_mapped):
                continue
            if is_taken(elements):
                part.settle_all(Outcome.UNMAPPED, "FHIR has one here, and it is taken")
            elif (value := convert(part, draft)) is not None:
                put_value(elements, value, fresh(constants))

    return put


def _putting_lines(convert: Convert, target: Target, rule: Rule) -> _Put:
    """The repetitions are lines of one text."""

    def put(parts: Sequence[Part], elements: Elements, draft: Draft) -> None:
        if target.is_taken(elements):
            for part in parts:
                part.settle_all(Outcome.UNMAPPED, "FHIR has one here, and it is taken")
            return
        lines = [str(text) for part in parts if (text := convert(part, draft))]
        if lines:
            target.put(elements, "\n".join(lines), fresh(rule.constants) or None)

    return put


def _said(rule: Rule) -> Step:
    outcome, reason, path, field, when = rule.outcome, rule.reason, rule.path, rule.field, rule.when
    assert outcome is not None  # noqa: S101 - the caller looked

    def step(holder: Any, elements: Elements, draft: Draft, group: Group) -> None:  # noqa: ARG001
        parts = _parts(holder, field)
        if parts and (when is None or when(holder, group)):
            for part in parts:
                _below(part, path).settle_all(outcome, reason)

    return Step((field,), step)


_FITS: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"string", "markdown", "id"}),
    "code": frozenset({"code", "string"}),
    "dateTime": frozenset({"dateTime", "string"}),
    "instant": frozenset({"instant"}),
    "uri": frozenset({"uri", "url", "canonical"}),
    "url": frozenset({"uri", "url"}),
    "integer": frozenset({"integer", "unsignedInt", "decimal"}),
    "positiveInt": frozenset({"positiveInt", "integer", "decimal", "unsignedInt"}),
    "unsignedInt": frozenset({"unsignedInt", "integer", "decimal"}),
    "Quantity": frozenset({"Quantity", "SimpleQuantity", "Duration", "Age", "Count", "Distance"}),
}


def _check(found: str, target: Target, field: str) -> None:
    """Whether a conversion gives what the element takes."""
    if target.name.rpartition(".")[2].startswith("value") and ".extension." in f"{target.name}.":
        return
    if target.kind != found and target.kind not in _FITS.get(found, ()):
        raise MapError(f"{field}: {target.name} takes {target.kind}, the conversion gives {found}")


# --- data types -----------------------------------------------------------------------------------------------------

_LIBRARY: Final = {
    **PRIMITIVES,
    **CONCEPTS,
    **QUANTITIES,
    **AUTHORITIES,
    **TELECOM,
    **PLACES,
    **ATTACHMENTS,
    **HEADERS,
}


@functools.lru_cache(None)
def conversion_of(name: str, argument: str, target: str) -> tuple[str, Convert]:
    """The FHIR type that a conversion gives, and the conversion for an element. Raises `MapError` for unknown ones."""
    if name in _LIBRARY:
        kind, factory = _LIBRARY[name]
        try:
            return kind, factory(target, argument)
        except KeyError:
            raise MapError(f"tables.yaml has no table {argument}") from None
    spec = load("datatypes.yaml").get(name)
    if spec is None:
        raise MapError(f"there is no conversion {name}")
    spec = dict(spec)
    when = condition_of(spec.pop("when", ""))
    makes = spec.pop("makes", "")
    kind = makes or spec.pop("is")
    try:
        steps = tuple(steps_of(spec, kind, kind if makes else target or kind))
    except MapError as problem:
        raise MapError(f"datatypes.yaml, {name}: {problem}") from None
    if spec:
        raise MapError(f"datatypes.yaml, {name}: {', '.join(spec)} means nothing there")

    def convert(part: Part, draft: Draft) -> Any:
        if when is not None and not when(part, _NO_GROUP):
            return None
        elements: Elements = {}
        _run_on_part(steps, part, elements, draft, _NO_GROUP)
        if not elements:
            return None
        return draft.refer(makes, elements) if makes else elements

    return ("Reference" if makes else kind), convert


class _NoGroup:
    """The scope of a data type, in which there are no segments."""

    def segment(self, _: str) -> None:
        return None


_NO_GROUP: Final[Any] = _NoGroup()
