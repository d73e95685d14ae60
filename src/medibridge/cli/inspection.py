"""``medibridge detect`` and ``validate``: what format a file is of, and whether it is valid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from medibridge.cli.door import EXIT_CODES
from medibridge.cli.files import reading
from medibridge.cli.reading import AsJson, ProfileOption, SourceOption, settings_of
from medibridge.cli.screen import Document, Screen, table
from medibridge.errors import FormatError
from medibridge.formats import Conversion, Outcome, Refused, Settings, read_all
from medibridge.formats import detect as recognised
from medibridge.formats.r4 import mend
from medibridge.formats.registry import LOOK, format_of
from medibridge.record import parse_json

__all__ = ["detect", "validate"]

_INVALID = EXIT_CODES[FormatError]
_Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Which files.")]


def detect(files: _Files, as_json: AsJson = False) -> None:
    """Say what format each file is of, and why, from its beginning.

    For example:

        medibridge detect inbox/*
        medibridge detect message.hl7 --json
    """
    rows: list[tuple[str, str, str, str]] = []
    unknown = 0
    for path in files:
        with reading(path) as stream:
            start = stream.read(LOOK)
        try:
            found = recognised(start)
        except FormatError as error:
            unknown += 1
            rows.append((str(path), "", str(error).partition("; accepted")[0], ""))
        else:
            rows.append((str(path), _named(found.name, start), found.reason, ", ".join(_hints(start))))
    columns = ("file", "format", "reason", "hints")
    Screen(as_json=as_json).show(
        [dict(zip(columns, row, strict=True)) for row in rows], table("Formats", columns, rows)
    )
    if unknown:
        raise typer.Exit(_INVALID)


_MESSAGE = re.compile(rb"(?:^|[\r\n\x0b])MSH([^\r\n])(?:[^\r\n]*?\1){7}([A-Z]{3})(?:[^A-Za-z0-9]([A-Z0-9]{3}))?")
_VERSION = re.compile(rb"2\.[1-9](?:\.[0-9])?")


def _named(name: str, start: bytes) -> str:
    """With the version and the type of the first message, where the name of the format does not say them."""
    found = _MESSAGE.search(start)
    if name != "HL7 v2" or not found:
        return name
    fields = start[found.start() :].lstrip(b"\r\n\x0b").splitlines()[0].split(found[1])
    version = _VERSION.match(fields[11]) if len(fields) > 11 else None
    kind = b"^".join(part for part in found.groups()[1:] if part)
    return " ".join(part for part in (f"{name}.{version[0][2:].decode()}" if version else name, kind.decode()) if part)


def _hints(start: bytes) -> Iterator[str]:
    """How the bytes are framed and written."""
    if start.startswith(b"\xef\xbb\xbf"):
        yield "byte-order mark"
    if b"\x0b" in start[:8]:
        yield "MLLP frames"
    for header in (b"FHS", b"BHS"):
        if re.search(rb"(?:^|[\r\n\x0b])" + header, start[:4096].removeprefix(b"\xef\xbb\xbf")):
            yield f"batch ({header.decode()})"
    for name, pattern in (("CRLF", rb"\r\n"), ("CR", rb"\r(?!\n)"), ("LF", rb"(?<!\r)\n")):
        if re.search(pattern, start):
            yield f"{name} line ends"
    declared = re.search(rb"<\?xml[^>]{0,80}encoding=[\"']([A-Za-z0-9._-]{1,40})", start[:256])
    charset = _charset(start)
    if declared:
        yield f"declares {declared[1].decode()}"
    elif charset:
        yield f"MSH-18 says {charset}"
    if b"\x00" not in start:
        yield "UTF-8" if _is_utf8(start) else "not UTF-8"


def _charset(start: bytes) -> str:
    found = _MESSAGE.search(start)
    if not found:
        return ""
    fields = start[found.start() :].lstrip(b"\r\n\x0b").splitlines()[0].split(found[1])
    named = re.match(rb"[A-Z0-9 /._-]{1,30}", fields[17]) if len(fields) > 17 else None
    return named[0].decode() if named else ""


def _is_utf8(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as problem:
        return problem.end >= len(start) - 3 and len(start) == LOOK  # cut inside of a character
    return True


# --- validate -------------------------------------------------------------------------------------------------------


def validate(files: _Files, source: SourceOption = "", profile: ProfileOption = None, as_json: AsJson = False) -> None:
    """Check FHIR R4 against HL7's definitions: types, cardinalities, syntax, required codes. No value is shown.

    JSON and NDJSON of FHIR are checked as they stand; other formats as they are read, with what is invalid in the
    source.

    For example:

        medibridge validate bundle.json
        medibridge validate inbox/*.hl7 --json
    """
    settings = settings_of(source, profile)
    rows: list[tuple[str, str, str]] = []
    for path in files:
        rows.extend((str(path), place, reason) for place, reason in _problems(path, settings))
    columns = ("file", "place", "problem")
    document: Document = [dict(zip(columns, row, strict=True)) for row in rows]
    Screen(as_json=as_json).show(document, table(f"{len(rows)} problems", columns, rows) if rows else "all valid")
    if rows:
        raise typer.Exit(_INVALID)


def _problems(path: Path, settings: Settings) -> Iterator[tuple[str, str]]:
    with reading(path) as stream:
        start = stream.read(LOOK)
        stream.seek(0)
        try:
            format_ = format_of(start)
            if format_.name == "fhir" and "R4" in recognised(start).name:
                for piece in format_.pieces(stream, settings):
                    yield from _as_it_stands(piece.data.removeprefix(b"\xef\xbb\xbf"), piece.place)
            else:
                for found in read_all(stream, settings=settings):
                    yield from _as_read(found)
        except FormatError as error:
            yield "", str(error)


def _as_it_stands(data: bytes, where: str) -> Iterator[tuple[str, str]]:
    root = parse_json(data)
    if not isinstance(root, Mapping):
        yield where, "not a JSON object"
        return
    _, problems = mend(root)
    for problem in problems:
        yield f"{where} {problem.place}".strip(), problem.reason


def _as_read(found: Conversion | Refused) -> Iterator[tuple[str, str]]:
    if isinstance(found, Refused):
        yield found.piece.place, str(found.error)
        return
    for finding in found.report.findings:
        if finding.outcome is Outcome.INVALID:
            yield f"{found.place} {finding.place}".strip(), finding.reason
