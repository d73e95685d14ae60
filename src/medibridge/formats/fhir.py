"""FHIR R4 in JSON: a Bundle or a single resource, taken over as it is and split into data classes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Final

from medibridge.errors import MalformedMessage, UnknownFormat, UsageError
from medibridge.formats.bindings import REQUIRED
from medibridge.formats.conversion import Conversion, Detected, Finding, Format, Outcome, Piece, Report
from medibridge.formats.settings import Settings
from medibridge.formats.splitting import key_of, references_in
from medibridge.record import Json, JsonObject, canonical_json, parse_json, place_of

__all__ = ["FORMAT", "validate"]

_ACCEPTS: Final = "FHIR R4 JSON (a Bundle or a resource)"
_NAMESPACE: Final = uuid.UUID("0d0ce8a3-3a5c-5e0e-8f0b-d6a4b7d2c9f1")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
_SUBJECTS = ("subject", "patient", "beneficiary")


def recognise(start: bytes) -> Detected | None:
    """By the opening brace of a JSON object."""
    if start.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").startswith(b"{"):
        return Detected("FHIR R4 JSON", "it is a JSON object")
    return None


def read(piece: Piece, settings: Settings) -> list[Conversion]:
    """Take over the resources. They stay as they are, but for ids where they have none, and for references between
    them, which become relative.

    Raises `UnknownFormat` for JSON that is not FHIR, `MalformedMessage` for what is broken, or about more than one
    patient.
    """
    data, source = piece.data, settings.source
    root = parse_json(data.removeprefix(b"\xef\xbb\xbf"))
    if not isinstance(root, Mapping) or not isinstance(root.get("resourceType"), str):
        raise UnknownFormat(f"the JSON has no resourceType, so it is not FHIR; accepted is {_ACCEPTS}")
    is_bundle = root["resourceType"] == "Bundle"
    findings: list[Finding] = []
    entries = list(_entries(root, findings)) if is_bundle else [("the resource", "", root)]
    places, resources = _identified(entries, source, findings)
    _check_one_patient(places, resources)
    findings.extend(Finding(place, Outcome.MAPPED) for place in places)
    kind = "Bundle" if is_bundle else "resource"
    detected = Detected(f"FHIR R4 JSON {kind}", f"it is a JSON object with resourceType; read as a {kind}")
    return [Conversion(detected, tuple(resources), Report(tuple(findings)))]


def _entries(bundle: JsonObject, findings: list[Finding]) -> Iterator[tuple[str, str, JsonObject]]:
    """Place, fullUrl and resource of each entry."""
    findings.extend(
        Finding(place_of([name]), Outcome.IGNORED, "about the Bundle, not about the patient")
        for name in bundle
        if name not in ("resourceType", "entry")
    )
    items = bundle.get("entry")
    if not isinstance(items, list) or not items:
        raise MalformedMessage("entry is missing or empty; a Bundle without resources holds nothing to keep")
    for index, item in enumerate(items):
        resource = item.get("resource") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(resource, Mapping):
            raise MalformedMessage(f"entry[{index}].resource is not a JSON object; send each entry with its resource")
        findings.extend(
            Finding(place_of(["entry", index, name]), Outcome.IGNORED, "about the transport, not about the patient")
            for name in item
            if name not in ("fullUrl", "resource")
        )
        full_url = item.get("fullUrl")
        yield f"entry[{index}].resource", full_url if isinstance(full_url, str) else "", resource


def _identified(
    entries: list[tuple[str, str, JsonObject]], source: str, findings: list[Finding]
) -> tuple[list[str], list[JsonObject]]:
    """Give every resource an id, and make the references between them relative (FHIR R4, Bundle, 2.36.4.1)."""
    found: dict[str, tuple[str, JsonObject]] = {}
    targets: dict[str, str] = {}
    for place, full_url, resource in entries:
        kind, own_id = resource.get("resourceType"), resource.get("id")
        if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
            raise MalformedMessage(f"{place}.resourceType is not the name of a FHIR resource; name one")
        if own_id is None:
            what = full_url or canonical_json(resource).decode()
            own_id = str(uuid.uuid5(_NAMESPACE, canonical_json([source, kind, what]).decode()))
            findings.append(Finding(f"{place}.id", Outcome.DEFAULT, "no id; one was made from fullUrl or the content"))
        if not isinstance(own_id, str) or not _ID.fullmatch(own_id):
            raise MalformedMessage(f"{place}.id is not a FHIR id; use 1 to 64 letters, digits, '-' and '.'")
        key = f"{kind}/{own_id}"
        named = {**resource, "id": own_id}
        first_place, first = found.setdefault(key, (place, named))
        if first is not named:
            if canonical_json(first) != canonical_json(named):
                raise MalformedMessage(f"{place} has the type and id of {first_place}, but differs; keep one of them")
            findings.append(Finding(place, Outcome.IGNORED, f"the same as {first_place}"))
        if full_url and targets.setdefault(full_url, key) != key:
            raise MalformedMessage(f"{place} has the fullUrl of another entry; give each its own")
    places = [place for place, _ in found.values()]
    return places, [_relative(resource, targets) for _, resource in found.values()]


def _relative(value: JsonObject, targets: Mapping[str, str]) -> JsonObject:
    return {key: _rewrite(key, child, targets) for key, child in value.items()}


def _rewrite(key: str, value: Json, targets: Mapping[str, str]) -> Json:
    if isinstance(value, str):
        return targets.get(value, value) if key == "reference" else value
    if isinstance(value, Mapping):
        return _relative(value, targets)
    if isinstance(value, Sequence):
        return [_rewrite("", child, targets) for child in value]
    return value


def _check_one_patient(places: list[str], resources: list[JsonObject]) -> None:
    """Every Patient, and every reference to one from where a resource says whom it is about, must be the same."""
    patients: dict[str, str] = {}
    for place, resource in zip(places, resources, strict=True):
        if resource["resourceType"] == "Patient":
            patients.setdefault(key_of(resource), place)
        for name in _SUBJECTS:
            for reference in references_in(resource.get(name)):
                if match := re.fullmatch(r"(?:.*/)?(Patient/[^/]+)(?:/_history/[^/]+)?", reference):
                    absolute = reference if "://" in reference else match[1]
                    patients.setdefault(absolute, f"{place}.{name}")
                elif reference.startswith("urn:"):
                    patients.setdefault(reference, f"{place}.{name}")
    if len(patients) > 1:
        _, second, *_ = patients.values()
        raise MalformedMessage(f"{second} is about another patient than what stands before it; send a Bundle for each")


# --- validation -----------------------------------------------------------------------------------------------------


def validate(bundle: JsonObject) -> tuple[Finding, ...]:
    """What keeps a resource or Bundle from being valid FHIR R4, by place and without values; empty when it is valid.

    The structure is checked by `fhir.resources` (R4B models, which accept R4), the required bindings by
    `bindings.REQUIRED`. Raises `UsageError` where `fhir.resources` is not installed.
    """
    try:
        from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - optional, and half a second to import
        from pydantic import ValidationError  # noqa: PLC0415
    except ImportError as problem:
        raise UsageError("FHIR validation needs an extra package; install medibridge[validate]") from problem
    kind = bundle.get("resourceType")
    try:
        model = get_fhir_model_class(str(kind))
    except ValueError:
        return (Finding("resourceType", Outcome.INVALID, "not a FHIR R4 resource"),)
    findings: list[Finding] = []
    try:
        model.model_validate_json(canonical_json(bundle))
    except ValidationError as problem:
        errors = problem.errors(include_input=False, include_context=False, include_url=False)
        findings.extend(Finding(place_of(error["loc"]), Outcome.INVALID, error["type"]) for error in errors)
    return (*findings, *_unbound(bundle, (), ""))


def _unbound(value: Json, path: tuple[str | int, ...], name: str) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        kind = value.get("resourceType")
        base = kind if isinstance(kind, str) else name
        for key, child in value.items():
            yield from _unbound(child, (*path, key), f"{base}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            yield from _unbound(child, (*path, index), name)
    elif name in REQUIRED and value not in REQUIRED[name]:
        yield Finding(place_of(path), Outcome.INVALID, "a code outside the required value set")


def pieces(stream: BinaryIO, settings: Settings) -> Iterator[Piece]:  # noqa: ARG001 - settings change nothing here
    """The whole input is one piece."""
    yield Piece(stream.read())


FORMAT: Final = Format("fhir", _ACCEPTS, recognise, pieces, read)
