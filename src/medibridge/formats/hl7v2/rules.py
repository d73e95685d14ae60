"""The lines of a map: what is done with a field, and when.

::

    CX -> identifier                              field or component, its conversion and where it goes
    code(AdministrativeSex) -> gender             a conversion with a table of tables.yaml
    CWE(0007) -> type                             … or the HL7 table that holds where no system is given
    dateTime -> effectiveDateTime when 8 empty    a condition
    else token -> extension(XPN.7)                what nothing before it has mapped
    ignore (a set id)                             left out on purpose
    use (the type of OBX-5)                       steers the reading

and, where that is not enough, the same with more keys::

    {map: XTN -> telecom, with: {use: home}, when: 13.2 empty}

Conditions: ``8 empty``, ``8 valued``, ``2 is NM, SN``, ``2 not NM``, ``MSH-9.2 is A08``, joined by ``and`` or ``or``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.message import EMPTY, Part
from medibridge.formats.hl7v2.tables import expanded
from medibridge.formats.hl7v2.targets import MapError

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.message import Segment

__all__ = ["Condition", "Rule", "Scope", "Source", "condition_of", "constant_of", "fresh", "rules_of", "source_of"]

_LINE = re.compile(
    r"(?P<otherwise>else )?\s*(?P<conversion>[A-Za-z]\w*(?:\[\w[\w.-]*\])?)\s*"
    r"(?:\((?P<argument>[^)]*)\))?\s*->\s*(?P<target>\S+)"
    r"(?:\s+when\s+(?P<when>.+))?"
)
_SAID = re.compile(r"(?P<verb>ignore|use|leave)\s*\((?P<reason>.+)\)(?:\s+when\s+(?P<when>.+))?", re.DOTALL)
_VERBS: Final = {"ignore": Outcome.IGNORED, "use": Outcome.USED, "leave": Outcome.UNMAPPED}
_SOURCE = re.compile(r"(?:(?P<segment>[A-Z][A-Z0-9]{2})-)?(?P<path>\d+(?:\.\d+){0,2})")
_TEST = re.compile(r"(?P<source>\S+)\s+(?P<verb>empty|valued|is|not)(?:\s+(?P<values>.+))?")


class Scope(Protocol):
    """Where a condition finds other segments: the group of the segment that is read, and those around it."""

    def segment(self, name: str) -> Segment | None:
        """The segment of that name in the group, or around it."""


Source: TypeAlias = "Callable[[Segment | Part, Scope], Part]"
Condition: TypeAlias = "Callable[[Segment | Part, Scope], bool]"


@dataclass(frozen=True)
class Rule:
    """One line of a map. `field` is the number of a field or component, `path` what lies below it."""

    field: int
    path: tuple[int, ...]
    conversion: str
    argument: str
    target: str
    when: Condition | None
    constants: dict[str, Any]
    outcome: Outcome | None = None
    """For what is only said to be ignored, used or left."""
    reason: str = ""
    joined: bool = False
    """Whether the repetitions are lines of one text."""
    otherwise: bool = False
    """Whether only what nothing has mapped yet is read."""


def rules_of(fields: dict[str, Any]) -> list[Rule]:
    """The rules of a mapping of fields to lines. Raises `MapError` for a line that is not understood."""
    found = []
    for place, lines in fields.items():
        for line in lines if isinstance(lines, list) else [lines]:
            found.append(_rule(place, line))  # noqa: PERF401 - two levels
    return found


def _rule(place: str, line: Any) -> Rule:
    more: dict[str, Any] = {} if isinstance(line, str) else dict(line)
    text = " ".join((line if isinstance(line, str) else more.pop("map", "")).split())
    field, *path = (int(piece) for piece in place.split("."))
    when = more.pop("when", "")
    if match := _SAID.fullmatch(text):
        condition = condition_of(match["when"] or when)
        return Rule(field, tuple(path), "", "", "", condition, {}, _VERBS[match["verb"]], match["reason"])
    match = _LINE.fullmatch(text)
    if match is None:
        raise MapError(f"{place}: {text!r} is not 'conversion -> element'")
    constants = {key: constant_of(value) for key, value in more.pop("with", {}).items()}
    joined = more.pop("repetitions", "") == "lines"
    if more:
        raise MapError(f"{place}: {', '.join(more)} means nothing in a rule")
    return Rule(
        field,
        tuple(path),
        match["conversion"],
        match["argument"] or "",
        match["target"],
        condition_of(match["when"] or when),
        constants,
        joined=joined,
        otherwise=bool(match["otherwise"]),
    )


_CONSTANT = re.compile(r"(concept|coding)\((\S+),\s*(\S+?)(?:,\s*(.+?))?\)")


def constant_of(value: Any) -> Any:
    """A constant: text, ``true``, ``false``, ``coding(system, code, display)``, ``concept(…)``, or made of these."""
    if isinstance(value, dict):
        return {key: constant_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [constant_of(item) for item in value]
    if value in ("true", "false"):
        return value == "true"
    if match := _CONSTANT.fullmatch(value):
        coding = {"system": expanded(match[2]), "code": match[3]}
        if match[4]:
            coding["display"] = match[4]
        return coding if match[1] == "coding" else {"coding": [coding]}
    return value


def fresh(constant: Any) -> Any:
    """A copy of a constant: what one message adds to it must not show in the next."""
    if isinstance(constant, dict):
        return {key: fresh(value) for key, value in constant.items()}
    if isinstance(constant, list):
        return [fresh(value) for value in constant]
    return constant


def source_of(text: str) -> Source:
    """``3``, ``3.1``, ``MSH-9.2``: what gives that part."""
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise MapError(f"{text!r} is no field: write 3, 3.1 or MSH-9.2")
    first, *rest = (int(piece) for piece in match["path"].split("."))
    named = match["segment"]

    def source(holder: Segment | Part, scope: Scope) -> Part:
        if named:
            segment = scope.segment(named)
            if segment is None:
                return EMPTY
            holder = segment
        part = holder[first]
        for number in rest:
            part = part[number]
        return part

    return source


def condition_of(text: str) -> Condition | None:
    """What a condition of a map asks; None for none. Raises `MapError` for one that is not understood."""
    if not text:
        return None
    alternatives = [[_test(test.strip()) for test in alternative.split(" and ")] for alternative in text.split(" or ")]
    if len(alternatives) == 1 and len(alternatives[0]) == 1:
        return alternatives[0][0]
    return lambda holder, scope: any(all(test(holder, scope) for test in tests) for tests in alternatives)


def _test(text: str) -> Condition:
    match = _TEST.fullmatch(text)
    if match is None:
        raise MapError(f"{text!r} is no condition: write '8 empty', '8 valued', '2 is NM, SN' or '2 not NM'")
    source = source_of(match["source"])
    verb = match["verb"]
    values = frozenset(value.strip() for value in (match["values"] or "").split(","))
    if verb == "empty":
        return lambda holder, scope: not source(holder, scope)
    if verb == "valued":
        return lambda holder, scope: bool(source(holder, scope))
    if verb == "is":
        return lambda holder, scope: source(holder, scope).text in values
    return lambda holder, scope: source(holder, scope).text not in values
