"""FHIR of any version, in JSON, XML or NDJSON, as R4: one conversion for each patient."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from medibridge.errors import FormatError, MalformedMessage
from medibridge.formats.conversion import Conversion, Detected, Finding, Format, Outcome, Piece, Report
from medibridge.formats.fhir import cutting, xml
from medibridge.formats.fhir.contents import Contents, contents_of, contents_of_lines
from medibridge.formats.fhir.converting import Converter
from medibridge.formats.fhir.cutting import Context
from medibridge.formats.fhir.definitions import Version
from medibridge.formats.fhir.detection import Verdict, version_of
from medibridge.formats.fhir.identity import identify, resolved
from medibridge.formats.fhir.patients import Member, by_patient
from medibridge.formats.fhir.source import Source
from medibridge.formats.settings import Settings
from medibridge.record import Json, JsonObject, parse_json

__all__ = ["FORMAT", "convert"]

_ACCEPTS: Final = "FHIR DSTU2, STU3, R4 or R5 as JSON, XML or NDJSON (a Bundle, a resource, or a resource a line)"
_BOM: Final = b"\xef\xbb\xbf"


def convert(resource: JsonObject, version: Version) -> tuple[JsonObject, tuple[Finding, ...]]:
    """A resource of a version that the caller knows, in R4, and what became of each element that changed.

    Ids and references stay, but for the types in them that have another name in R4.
    """
    if version is Version.R4:
        return resource, ()
    findings: list[Finding] = []
    return Converter(Source(version, findings)).resource(resource, "the resource"), tuple(findings)


# --- recognising ------------------------------------------------------------------------------------------------------


def recognise(start: bytes) -> Detected | None:
    """JSON by its opening brace (a list only with a `resourceType`), XML by the namespace of FHIR."""
    text = start.removeprefix(_BOM).lstrip(b" \t\r\n")
    if text.startswith(b"<"):
        if not xml.is_fhir(text):
            return None
        return Detected("FHIR XML", "its root element is in the namespace of FHIR")
    if text.startswith(b"[") and b'"resourceType"' not in text:
        return None
    if not text.startswith((b"{", b"[")):
        return None
    voters = _seen(text)
    if not voters:
        return Detected("FHIR JSON", "it is a JSON object")
    verdict = version_of(voters)
    return Detected(f"FHIR {verdict.version.value} JSON", f"it is JSON with resourceType; {verdict.reason}")


def _seen(text: bytes) -> list[JsonObject]:
    """The resources that the beginning of an input holds whole."""
    for part in (text, text.partition(b"\n")[0]):
        try:
            root = parse_json(part)
        except FormatError:
            continue
        if isinstance(root, Mapping) and root.get("resourceType") != "Bundle":
            return [root] if "resourceType" in root else []
        break
    found: list[JsonObject] = []
    try:
        for data in cutting.entries_of(io.BytesIO(text)):
            entry = parse_json(data)
            resource = entry.get("resource", entry) if isinstance(entry, Mapping) else None
            if isinstance(resource, Mapping) and "resourceType" in resource:
                found.append(resource)
    except FormatError:
        pass
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


def read(piece: Piece, settings: Settings) -> list[Conversion]:
    """Take over the resources of a piece, one conversion a patient.

    R4 resources stay as they are, but for ids where they have none, and for references between them, which become
    relative. Those of other versions become R4. Raises `UnknownFormat` for what is not FHIR, `MalformedMessage` for
    what is broken; in strict mode also for an entry that is.
    """
    context = Context.from_bytes(piece.start) if piece.start else Context()
    if context.refused:
        raise MalformedMessage(context.refused)
    if context.container in ("Bundle", "array"):
        contents, syntax = contents_of_lines(piece.data, context.first, context.container), "JSON"
    else:
        root, syntax, findings = _parsed(piece.data)
        syntax = "NDJSON" if context.container else syntax
        contents = contents_of(root, _ACCEPTS)
        contents.findings.extend(findings)
    if not contents.entries:
        raise MalformedMessage(contents.why_empty)
    if settings.strict:
        _refuse_invalid(contents.findings)
    if context.version is not None:
        verdict = Verdict(context.version, "the first entries of the input speak for it")
    else:
        verdict = version_of(entry.resource for entry in contents.entries)
    detected = Detected(
        f"FHIR {verdict.version.value} {syntax} {contents.kind}",
        f"it is {syntax} with resourceType; read as a {contents.kind}; {verdict.reason}",
    )
    members = _in_r4(contents, verdict.version, context, settings)
    return list(_conversions(contents, members, detected))


def _parsed(data: bytes) -> tuple[Json, str, list[Finding]]:
    text = data.removeprefix(_BOM)
    if text.lstrip(b" \t\r\n").startswith(b"<"):
        root, findings = xml.to_json(text)
        return root, "XML", findings
    cutting.check_values(text)
    return parse_json(text), "JSON", []


def _refuse_invalid(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.outcome is Outcome.INVALID:
            raise MalformedMessage(f"{finding.place} is invalid ({finding.reason}); correct it, or read it leniently")


def _in_r4(contents: Contents, version: Version, context: Context, settings: Settings) -> list[Member]:
    identify(contents.entries, version, settings.source, history=contents.is_history)
    staying = [entry for entry in contents.entries if not entry.left]
    members = []
    for entry, resource in zip(staying, resolved(staying, context.targets), strict=True):
        converted = resource
        if version is not Version.R4:
            converter = Converter(Source(version, entry.findings, settings.strict))
            converted = converter.resource(resource, entry.place)
        entry.say(entry.place, Outcome.MAPPED, "")
        members.append(Member(entry.key, converted))
    if settings.strict:
        for entry in contents.entries:
            _refuse_invalid(entry.findings)
    return members


def _conversions(contents: Contents, members: list[Member], detected: Detected) -> Iterator[Conversion]:
    """One for each patient; what is about the input itself, or was left out, is in the report of the first."""
    by_key = {entry.key: entry for entry in contents.entries if not entry.left}
    first = [*contents.findings, *(finding for entry in contents.entries if entry.left for finding in entry.findings)]
    for group in by_patient(members):
        findings = [*first, *(finding for member in group for finding in by_key[member.key].findings)]
        resources = tuple(member.resource for member in group)
        yield Conversion(detected, resources, Report(tuple(findings)), origin=contents.origin)
        first = []


FORMAT: Final = Format("fhir", _ACCEPTS, recognise, cutting.pieces, read)
