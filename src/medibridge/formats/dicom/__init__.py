"""DICOM files (PS3.10) as ImagingStudy, with what they say of the patient, and the files themselves as attachments.

`read_study` makes one ImagingStudy of many files; `study_of` says which study a file belongs to.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from medibridge.errors import FormatError, MalformedMessage, UnknownFormat
from medibridge.formats.conversion import Conversion, Detected, Finding, Format, Outcome, Piece
from medibridge.formats.dicom.elements import MAX_HEADER, plausible_start, read_header, tag_of
from medibridge.formats.dicom.image import MEDIA_TYPE, Image, read_image
from medibridge.formats.dicom.study import conversion_of
from medibridge.formats.settings import Settings
from medibridge.ids import DataClass
from medibridge.record import Attachment

__all__ = ["FORMAT", "read_study", "study_of"]

_ACCEPTS: Final = "DICOM files (PS3.10)"
MAX_SIZE: Final = 128 * 2**20
"""Bytes of a file that comes as a stream without a path. Files with a path may have any size."""


def recognise(start: bytes) -> Detected | None:
    """By DICM after the preamble; without one, by three elements in order, from group 0002 or 0008."""
    if start[128:132] == b"DICM":
        return Detected("DICOM", "it holds DICM at byte 128")
    if plausible_start(start):
        return Detected("DICOM", "it begins with DICOM elements, without preamble")
    return None


def pieces(stream: BinaryIO, settings: Settings) -> Iterator[Piece]:  # noqa: ARG001 - settings change nothing here
    """The file is one piece: its first 16 MiB where it lies on a disk, else all of it.

    Raises `UnknownFormat` for a stream without a path that is longer than 128 MiB.
    """
    name = getattr(stream, "name", None)
    if isinstance(name, str) and (path := Path(name)).is_file():
        yield Piece(stream.read(MAX_HEADER), origin=path)
        return
    data = stream.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise UnknownFormat(f"the DICOM file is larger than {MAX_SIZE // 2**20} MiB; read it from a disk")
    yield Piece(data)


def read(piece: Piece, settings: Settings) -> list[Conversion]:
    """Read one file. The conversion holds the whole file as an attachment.

    Raises `UnknownFormat` for a DICOMDIR, `MalformedMessage` where nothing can be read of the file.
    """
    return [conversion_of([("", _image(piece.data, piece.origin, settings))])]


def read_study(paths: Sequence[Path], settings: Settings) -> Conversion:
    """Read the files of one study, of any size, as one conversion. The order of `paths` does not matter.

    A file that cannot be read is reported; in strict mode, and where it is the only one, its error is raised.
    Raises `MalformedMessage` where the files are of several studies or patients.
    """
    images: list[tuple[str, Image]] = []
    broken: list[Finding] = []
    problem: FormatError = MalformedMessage("there is no file to read; name the files of one study")
    for number, path in enumerate(sorted(paths), 1):
        place = f"file[{number}]"
        try:
            with path.open("rb") as stream:
                start = stream.read(MAX_HEADER)
            images.append((f"{place} ", _image(start, path, settings)))
        except OSError:
            problem = MalformedMessage(f"{place} cannot be read from the disk; look at its permissions")
        except FormatError as found:
            problem = found
        else:
            continue
        if settings.strict:
            raise problem
        broken.append(Finding(place, Outcome.INVALID, str(problem)))
    if not images:
        raise problem
    return conversion_of(images, broken)


def study_of(start: bytes | Path) -> str | None:
    """The Study Instance UID (0020,000D) of a file, or of its beginning; None where it has none, or is no DICOM."""
    if isinstance(start, Path):
        try:
            with start.open("rb") as stream:
                for size in (2**16, MAX_HEADER):
                    stream.seek(0)
                    if found := study_of(stream.read(size)):
                        return found
        except OSError:
            pass
        return None
    if recognise(start) is None:
        return None
    tag = tag_of("StudyInstanceUID")
    try:
        header = read_header(start[:MAX_HEADER], frozenset(), last=tag)
    except FormatError:
        return None
    element = header.item.elements.get(tag)
    return bytes(element.value).rstrip(b"\0 ").decode("ascii", "replace") or None if element else None


def _image(start: bytes, origin: Path | None, settings: Settings) -> Image:
    def opened() -> BinaryIO:
        return io.BytesIO(start) if origin is None else origin.open("rb")

    if recognise(start) is None:
        raise UnknownFormat(f"the file is no DICOM; accepted are {_ACCEPTS}")
    attachment = Attachment.of(DataClass.IMAGING, MEDIA_TYPE, opened)
    return read_image(start, attachment.size, attachment, settings)


FORMAT: Final = Format("dicom", _ACCEPTS, recognise, pieces, read)
