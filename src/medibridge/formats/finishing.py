"""What every conversion goes through last: a check that all of it is valid FHIR R4, and its Provenance."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Conversion, Finding, Outcome, Piece, Report
from medibridge.formats.naming import Names
from medibridge.formats.r4 import RESOURCE_TYPES, mend
from medibridge.formats.settings import Settings
from medibridge.formats.splitting import key_of, references_in
from medibridge.record import Json, JsonObject

__all__ = ["MAPS_VERSION", "finish"]

MAPS_VERSION: Final = "1"
"""Raised whenever the same input may give other resources; stands in every Provenance."""

_ROUNDS: Final = 8


def finish(piece: Piece, conversion: Conversion, settings: Settings) -> Conversion:
    """The conversion with valid resources only, and a Provenance that says what they were made from.

    What R4 does not allow is left out and reported as invalid, at a place in the output (``output.Patient[1].…``); a
    reference to a resource that was left out goes with it. With `settings.strict`, raises `MalformedMessage` instead,
    also for what the reader found invalid.
    """
    findings = list(conversion.report.findings)
    resources = _mended(conversion.resources, findings)
    if settings.strict:
        for finding in findings:
            if finding.outcome is Outcome.INVALID:
                raise MalformedMessage(
                    f"{finding.place} is invalid ({finding.reason}); correct it, or read it leniently"
                )
    finished = dataclasses.replace(
        conversion, resources=resources, report=Report(tuple(findings)), place=conversion.place or piece.place
    )
    if not resources:
        return finished
    return dataclasses.replace(finished, resources=(*resources, _provenance(piece, finished, settings)))


def _mended(resources: Sequence[JsonObject], findings: list[Finding]) -> tuple[JsonObject, ...]:
    """Leaving a resource out may leave another without what it must refer to, so it goes on until nothing changes."""
    counted = Counter[str]()
    places = []
    for resource in resources:
        kind = str(resource.get("resourceType"))
        kind = kind if kind in RESOURCE_TYPES else "?"  # it may be data
        counted[kind] += 1
        places.append(f"output.{kind}[{counted[kind]}]")
    kept: list[JsonObject | None] = list(resources)
    gone: set[str] = set()
    changed = list(range(len(kept)))
    for _ in range(_ROUNDS):
        lost = set()
        for index in changed:
            before = kept[index]
            if before is None:
                continue
            after, problems = mend(_without(before, gone) if gone else before)
            kept[index] = after
            findings.extend(
                Finding(_below(places[index], problem.place), Outcome.INVALID, problem.reason) for problem in problems
            )
            if after is None:
                lost.add(key_of(before))
        if not lost:
            break
        gone |= lost
        changed = [
            index for index, one in enumerate(kept) if one is not None and not lost.isdisjoint(references_in(one))
        ]
    return tuple(one for one in kept if one is not None)


def _below(place: str, inner: str) -> str:
    return place if inner == "the document" else f"{place}.{inner}"


def _without(value: JsonObject, gone: Iterable[str]) -> JsonObject:
    """A copy in which no Reference names one of `gone`; empty objects are left to `mend`."""
    kept: dict[str, Json] = {}
    for key, child in value.items():
        if key == "reference" and isinstance(child, str) and child in gone:
            continue
        found = _pruned(child, gone)
        if found is not None:
            kept[key] = found
    return kept


def _pruned(value: Json, gone: Iterable[str]) -> Json:
    if isinstance(value, Mapping):
        return _without(value, gone) or None
    if isinstance(value, Sequence) and not isinstance(value, str):
        found = [pruned for item in value if (pruned := _pruned(item, gone)) is not None or item is None]
        return found or None
    return value


def _provenance(piece: Piece, conversion: Conversion, settings: Settings) -> JsonObject:
    """Where the resources come from: sender, its number of the message, hash of the input, version of the maps.

    The time is the one that the source names, not of a clock here: the same input gives the same bytes (FHIR R4,
    Provenance; a time that is not known carries data-absent-reason).
    """
    origin = conversion.origin
    digest = piece.digest
    agents: list[Json] = [
        {
            "type": {"coding": [{"system": _AGENT_TYPE, "code": "assembler"}]},
            "who": {"identifier": {"system": _SOFTWARE, "value": f"medibridge-maps-{MAPS_VERSION}"}},
        }
    ]
    if sender := origin.sender or settings.source:
        agents.append({"type": {"coding": [{"system": _AGENT_TYPE, "code": "author"}]}, "who": {"display": sender}})
    sources: list[Json] = [
        {
            "role": "source",
            "what": {
                "identifier": {"system": "urn:ietf:rfc:6920", "value": f"sha-256;{digest}"},
                "display": conversion.format.name,
            },
        }
    ]
    if origin.number:
        sources.append({"role": "source", "what": {"identifier": {"value": origin.number}}})
    targets = [key_of(resource) for resource in conversion.resources]
    when: dict[str, Json] = {"recorded": origin.made_at} if origin.made_at else {"_recorded": _UNKNOWN}
    return {
        "resourceType": "Provenance",
        "id": Names(settings.source).of("Provenance", digest, conversion.place, *targets),
        "target": [{"reference": target} for target in targets],
        **when,
        "agent": agents,
        "entity": sources,
    }


_AGENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_SOFTWARE: Final = "https://medibridge.invalid/software"
_UNKNOWN: Final[JsonObject] = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
}
