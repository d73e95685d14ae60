"""What a Bundle, an array or a single resource holds: its entries, and what is said about the whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from medibridge.errors import FormatError, UnknownFormat
from medibridge.formats.conversion import Finding, Origin, Outcome
from medibridge.formats.fhir.cutting import check_values
from medibridge.formats.fhir.identity import Entry
from medibridge.record import Json, JsonObject, parse_json, place_of

__all__ = ["Contents", "contents_of", "contents_of_lines"]

_TYPE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
)
_EMPTY: Final = "entry is missing or empty; a Bundle without resources holds nothing to keep"


@dataclass
class Contents:
    """The entries of a piece, in their order, and the findings that are not about one of them."""

    kind: str
    entries: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_history: bool = False
    origin: Origin = field(default_factory=Origin)

    @property
    def why_empty(self) -> str:
        """Why there is nothing to keep; names the first entry that is broken."""
        for finding in self.findings:
            if finding.outcome is Outcome.INVALID:
                return f"{finding.place} is {finding.reason}; correct it"
        return _EMPTY

    def add(self, resource: Json, full_url: Json, place: str) -> None:
        """Add a resource, or the resources of a Bundle that is an entry itself."""
        if not isinstance(resource, Mapping):
            self._say(place, Outcome.INVALID, "not a JSON object")
            return
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
            self._say(f"{place}.resourceType", Outcome.INVALID, "not the name of a FHIR resource")
        elif kind == "Bundle":
            self.add_bundle(resource, f"{place}.")
        else:
            self.entries.append(Entry(place, full_url if isinstance(full_url, str) else "", resource))

    def add_bundle(self, bundle: JsonObject, start: str = "") -> None:
        """Add the entries of a Bundle; `start` is its place, with a dot."""
        if not start:
            self.origin = _origin(bundle)
        for name in bundle:
            if name in ("timestamp", "identifier") and not start:
                self._say(name, Outcome.USED, "it is in the Provenance, where it can be")
            elif name not in ("resourceType", "entry"):
                self._say(start + place_of([name]), Outcome.IGNORED, "about the Bundle, not about the patient")
        self.is_history = self.is_history or bundle.get("type") == "history"
        items = bundle.get("entry")
        for index, item in enumerate(items if _is_list(items) else []):
            self.add_entry(item, f"{start}entry[{index}]")

    def add_entry(self, item: Json, place: str) -> None:
        """Add an entry of a Bundle."""
        if not isinstance(item, Mapping):
            self._say(f"{place}.resource", Outcome.INVALID, "not a JSON object")
            return
        for name in item:
            if name not in ("fullUrl", "resource"):
                self._say(f"{place}.{place_of([name])}", Outcome.IGNORED, self._about(name, item))
        if isinstance(item.get("resource"), Mapping):
            self.add(item["resource"], item.get("fullUrl"), f"{place}.resource")
        elif "resource" in item or not ("request" in item or "response" in item):
            self._say(f"{place}.resource", Outcome.INVALID, "not a JSON object")

    def _about(self, name: str, item: JsonObject) -> str:
        request = item.get(name)
        if name == "request" and isinstance(request, Mapping) and request.get("method") == "DELETE":
            return "it asks for a deletion; nothing is deleted here"
        return "about the transport, not about the patient"

    def _say(self, place: str, outcome: Outcome, reason: str) -> None:
        self.findings.append(Finding(place, outcome, reason))


def contents_of(root: Json, accepts: str) -> Contents:
    """The entries of what was parsed. Raises `UnknownFormat` for what is not FHIR; `accepts` says what would be."""
    if _is_list(root):
        contents = Contents("array")
        for index, item in enumerate(root):
            contents.add(item, None, f"[{index}]")
        if any(isinstance(item, Mapping) and "resourceType" in item for item in root):
            return contents
    elif isinstance(root, Mapping) and isinstance(root.get("resourceType"), str):
        if root["resourceType"] == "Bundle":
            contents = Contents("Bundle")
            contents.add_bundle(root)
        else:
            contents = Contents("resource")
            contents.add(root, None, "the resource")
            contents.origin = _origin(root)
        return contents
    raise UnknownFormat(f"the JSON has no resourceType, so it is not FHIR; accepted is {accepts}")


def contents_of_lines(data: bytes, first: int, container: str) -> Contents:
    """The entries of a piece of a large Bundle or array, one a line; `first` is the number of the first."""
    contents = Contents(container)
    for index, line in enumerate(data.split(b"\n"), start=first):
        place = f"entry[{index}]" if container == "Bundle" else f"[{index}]"
        try:
            check_values(line)
            item = parse_json(line)
        except FormatError:
            item = None
        if container == "Bundle":
            contents.add_entry(item, place)
        else:
            contents.add(item, None, place)
    return contents


def _origin(root: JsonObject) -> Origin:
    """The number and time of a Bundle, else of a version of a resource."""
    meta = root.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    identifier = root.get("identifier") if root["resourceType"] == "Bundle" else None
    number = identifier.get("value") if isinstance(identifier, Mapping) else None
    times = [time for time in (root.get("timestamp"), meta.get("lastUpdated")) if isinstance(time, str)]
    made_at = next((time for time in times if _INSTANT.fullmatch(time)), "")
    return Origin(number=number if isinstance(number, str) else "", made_at=made_at)


def _is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and not isinstance(value, str)
