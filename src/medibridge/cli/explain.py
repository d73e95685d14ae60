"""``medibridge explain``: which field of the source made an element, and what became of each field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from medibridge.cli.door import EXIT_CODES
from medibridge.cli.files import reading
from medibridge.cli.reading import AsJson, ProfileOption, SourceOption, settings_of
from medibridge.cli.screen import Document, Screen, table
from medibridge.errors import FormatError
from medibridge.formats import Conversion, Finding, Refused, read_all
from medibridge.record import Json

__all__ = ["explain"]

_RULE = "by rule"
_TAKEN_OVER = "as it was"


def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Which file.")],
    element: Annotated[
        str, typer.Option("--element", metavar="PATH", help="Only this element, such as Patient.name, and below.")
    ] = "",
    source: SourceOption = "",
    profile: ProfileOption = None,
    as_json: AsJson = False,
) -> None:
    """Tell which fields of the source made each element, and what became of every field. No value is shown.

    For example:

        medibridge explain result.hl7
        medibridge explain result.hl7 --element Patient.name
    """
    screen = Screen(as_json=as_json)
    settings = settings_of(source, profile)
    documents: list[Document] = []
    refused = 0
    with reading(file) as stream:
        for found in read_all(stream, settings=settings):
            if isinstance(found, Refused):
                refused += 1
                screen.say(f"{found.piece.place or 'the input'} is refused: {found.error}")
                continue
            elements, findings = _elements(found, element), _findings(found, element)
            documents.append(_document(found, elements, findings))
            if not screen.as_json:
                where = f" of {found.place}" if found.place else ""
                screen.show(
                    None,
                    table(f"Elements{where}", ("element", "made of"), elements),
                    table(f"Fields{where}, {found.format.name}", ("field", "became", "element", "reason"), findings),
                )
    if screen.as_json:
        screen.show(documents)
    if refused:
        raise typer.Exit(EXIT_CODES[FormatError])


def _elements(conversion: Conversion, wanted: str) -> list[tuple[str, str]]:
    """Each element of the output that holds a value, in the order of the output, with the places it was made of."""
    by_target: dict[str, list[str]] = {}
    for finding in conversion.report.findings:
        if finding.target:
            by_target.setdefault(finding.target, []).append(finding.place)
    otherwise = _RULE if by_target else _TAKEN_OVER
    paths = dict.fromkeys(path for resource in conversion.resources for path in _paths(resource))
    rows = []
    for path in paths:
        if _is_within(path, wanted):
            places = [place for target, found in by_target.items() if _is_within(path, target) for place in found]
            rows.append((path, ", ".join(dict.fromkeys(places)) or otherwise))
    return rows


def _findings(conversion: Conversion, wanted: str) -> list[tuple[str, str, str, str]]:
    return [
        (finding.place, finding.outcome.value, finding.target, finding.reason)
        for finding in conversion.report.findings
        if not wanted or _concerns(finding, wanted)
    ]


def _concerns(finding: Finding, wanted: str) -> bool:
    return bool(finding.target) and (_is_within(finding.target, wanted) or _is_within(wanted, finding.target))


def _paths(resource: Mapping[str, Json]) -> Iterator[str]:
    """The elements of a resource that hold a primitive value, without positions."""
    kind = str(resource.get("resourceType"))
    pending: list[tuple[str, Json]] = [
        (f"{kind}.{name}", value) for name, value in reversed(list(resource.items())) if name != "resourceType"
    ]
    while pending:
        path, value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend((f"{path}.{name}", child) for name, child in reversed(list(value.items())))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            pending.extend((path, child) for child in reversed(value))
        else:
            yield path


def _is_within(path: str, wanted: str) -> bool:
    """Whether an element is the wanted one, or below it. ``Observation.value`` is any of ``value[x]``."""
    rest = path.removeprefix(wanted)
    return not wanted or (rest != path and (not rest or rest[0] == "." or rest[0].isupper()))


def _document(
    conversion: Conversion, elements: Iterable[tuple[str, str]], findings: Iterable[tuple[str, str, str, str]]
) -> Document:
    return {
        "place": conversion.place,
        "format": conversion.format.name,
        "elements": [{"element": path, "made_of": made.split(", ")} for path, made in elements],
        "fields": [
            {"field": place, "became": outcome, "element": target, "reason": reason}
            for place, outcome, target, reason in findings
        ],
    }
