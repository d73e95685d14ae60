"""C-CDA and other clinical documents in HL7 CDA R2 to FHIR R4, after HL7's guide *C-CDA on FHIR*.

Continuity of Care Document, Consultation Note, Discharge Summary, History and Physical, Operative Note, Procedure
Note, Progress Note, Referral Note, Transfer Summary, Care Plan, Diagnostic Imaging Report, Unstructured Document, and
documents of C32 and the like as far as their sections are known by LOINC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from medibridge.errors import MalformedMessage
from medibridge.formats.ccda import document, reading
from medibridge.formats.conversion import Conversion, Detected, Format, Piece
from medibridge.formats.settings import Settings

__all__ = ["FORMAT"]

_ACCEPTS: Final = "C-CDA R1.1 to R2.1 and other CDA R2 documents"


def recognise(start: bytes) -> Detected | None:
    """By the root element, after a byte-order mark, comments and processing instructions."""
    if document.find_root(start):
        return Detected("C-CDA", "its root is a ClinicalDocument of urn:hl7-org:v3")
    return None


def pieces(stream: BinaryIO, settings: Settings) -> Iterator[Piece]:  # noqa: ARG001 - settings change nothing here
    """The whole document is one piece. Raises `MalformedMessage` where it is larger than `document.MAX_SIZE`."""
    data = stream.read(document.MAX_SIZE + 1)
    if len(data) > document.MAX_SIZE:
        raise MalformedMessage(f"the document is larger than {document.MAX_SIZE // 2**20} MiB; split it")
    yield Piece(data)


def read(piece: Piece, settings: Settings) -> list[Conversion]:
    """Read one document.

    Raises `MalformedMessage` for what is no clinical document, or is about no or several patients.
    """
    root = document.parse(piece.data)
    kind = reading.kind_of(root)
    resources, report, origin = reading.read_document(root, settings, hashlib.sha256(piece.data).hexdigest())
    detected = Detected(f"C-CDA {kind}", f"its root is a ClinicalDocument of urn:hl7-org:v3; read as {kind}")
    return [Conversion(detected, resources, report, place=piece.place, origin=origin)]


FORMAT: Final = Format("ccda", _ACCEPTS, recognise, pieces, read)
