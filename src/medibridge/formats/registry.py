"""The formats that MediBridge reads, and the one function that reads them.

A new format is one module with a `Format`, and one line here.
"""

from __future__ import annotations

from medibridge.errors import UnknownFormat
from medibridge.formats import fhir, hl7v2
from medibridge.formats.conversion import Conversion, Format

__all__ = ["FORMATS", "MAX_SIZE", "read"]

FORMATS: tuple[Format, ...] = (hl7v2.FORMAT, fhir.FORMAT)

MAX_SIZE = 128 * 2**20
"""Bytes. Larger inputs are refused before they are looked at."""

_NOT_READ = (
    (b"%PDF", "a PDF; it holds pictures of data, ask the sender for the data itself"),
    (b"\x89PNG", "a PNG picture; ask the sender for the data itself"),
    (b"\xff\xd8\xff", "a JPEG picture; ask the sender for the data itself"),
    (b"PK\x03\x04", "a ZIP archive; unpack it and read the files one by one"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\xff\xfe", "UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
    (b"<", "XML, which this version does not read; ask the sender for FHIR R4 in JSON"),
)


def read(data: bytes, *, source: str | None = None) -> Conversion:
    """Turn foreign bytes into records, one for each data class, of the one patient they are about.

    `source` names the system that sent them, for instance ``st-mary/lab``; it keeps apart the ids of
    systems that number their patients alike. The same bytes from the same source give the same records.

    Raises `UnknownFormat` where no reader knows the bytes, and `MalformedMessage`, naming the place,
    where one does but they are broken. Neither holds a value of the input.
    """
    accepted = "; ".join(format_.accepts for format_ in FORMATS)
    if not data.strip():
        raise UnknownFormat(f"the input is empty; accepted are: {accepted}")
    if len(data) > MAX_SIZE:
        raise UnknownFormat(f"the input is larger than {MAX_SIZE // 2**20} MiB; split it")
    for format_ in FORMATS:
        if format_.recognise(data):
            return format_.read(data, source or "")
    for start, what in _NOT_READ:
        if data.lstrip().startswith(start):
            raise UnknownFormat(f"the input is {what}; accepted are: {accepted}")
    raise UnknownFormat(f"the input is in no format that is known here; accepted are: {accepted}")
