"""How arguments are written: accounts, data classes, purposes. Each reader raises `UsageError` with what it expects."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from medibridge.chain import Kind
from medibridge.errors import UsageError
from medibridge.ids import DataClass, Lane, PurposeOfUse

__all__ = [
    "AttachmentsOption",
    "DeliverWithinOption",
    "DisputeWithinOption",
    "Output",
    "PatientOption",
    "RecordName",
    "ShareOption",
    "classes_in",
    "kind_in",
    "lane_in",
    "purpose_in",
    "purposes_in",
]

E = TypeVar("E", bound=enum.IntEnum)

Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write the FHIR JSON there, whole or not at all."),
]
AttachmentsOption = Annotated[
    Path | None,
    typer.Option("--attachments", metavar="DIR", help="Keep the record's images and other attachments there."),
]
ShareOption = Annotated[
    int, typer.Option("--share", metavar="BPS", help="Your part of what remains after the fee: 2000 is a fifth.")
]
DeliverWithinOption = Annotated[
    str, typer.Option("--deliver-within", metavar="STRETCH", help="How long you have to deliver.")
]
DisputeWithinOption = Annotated[
    str, typer.Option("--dispute-within", metavar="STRETCH", help="How long the buyer may complain; a day or more.")
]
PatientOption = Annotated[
    str, typer.Option("--patient", metavar="ACCOUNT", help="The patient: an address, or one of your keys.")
]
RecordName = Annotated[
    str, typer.Argument(metavar="RECORD", help="A record's name, as the list shows it; its beginning will do.")
]


def classes_in(text: str) -> frozenset[DataClass]:
    """Data classes, with commas between them: ``laboratory,vital-signs``."""
    return frozenset(_member(each, DataClass, "a data class") for each in _parts(text, "data class"))


def purposes_in(text: str) -> frozenset[PurposeOfUse]:
    """Purposes of use (HL7 v3 ActReason), with commas between them: ``TREAT,COC``."""
    return frozenset(purpose_in(each) for each in _parts(text, "purpose"))


def purpose_in(text: str) -> PurposeOfUse:
    """One purpose of use: ``TREAT``."""
    return _member(text, PurposeOfUse, "a purpose of use")


def kind_in(text: str) -> Kind:
    """What an institution is: ``hospital``."""
    kind = _member(text, Kind, "a kind of institution")
    if kind is Kind.UNKNOWN:
        raise UsageError("an institution is of a known kind; name it")
    return kind


def lane_in(text: str) -> Lane:
    """A lane of consent: ``care`` or ``research-and-sale``."""
    return _member(text, Lane, "a lane of consent")


def _parts(text: str, what: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UsageError(f"name at least one {what}, and put commas between several")
    return parts


def _member(text: str, kind: type[E], what: str) -> E:
    wanted = text.strip().upper().replace("-", "_")
    for member in kind:
        if member.name == wanted:
            return member
    upper = kind is PurposeOfUse
    known = ", ".join(m.name if upper else m.name.lower().replace("_", "-") for m in kind if m.name != "UNKNOWN")
    raise UsageError(f"{text!r} is not {what}; there are {known}")
