"""Messages cut from a stream: files of several, batches (HL7 v2.9, chapter 2, 2.10.3) and MLLP sequences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from medibridge.formats.conversion import Detected, Piece
from medibridge.formats.hl7v2.message import MAX_SIZE
from medibridge.formats.settings import Settings

__all__ = ["pieces", "recognise"]

_BLOCK: Final = 256 * 2**10
_BLANKS = b" \t\r\n\xef\xbb\xbf"
_STARTS = re.compile(rb"(?:MSH|FHS|BHS|BTS|FTS)(?=[!-/:-@\[-`{-~])|(?:BTS|FTS)(?=[\r\n])")
_BEFORE: Final = 16
"""Bytes that may stand between the line end and the name of a segment: blanks, a byte-order mark, a frame start."""


def recognise(start: bytes) -> Detected | None:
    """By the first three letters, after a byte-order mark, blank lines and MLLP framing."""
    start = start[:64].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x0b").removeprefix(b"\xef\xbb\xbf")
    if start[:3] in (b"MSH", b"FHS", b"BHS"):
        return Detected("HL7 v2", "it begins with MSH, FHS or BHS")
    return None


@dataclass
class _Cut:
    """A message, or a line of a batch's frame, while it is read."""

    data: bytes
    is_message: bool


def pieces(stream: BinaryIO, settings: Settings) -> Iterator[Piece]:  # noqa: ARG001 - settings change nothing here
    """One piece for each message, by place (``message[3]``) where there are several.

    The headers and trailers of batches are in no piece but the message before a trailer: its `start` says how many
    messages the batch had and holds the trailer, so that the reader can compare them.
    """
    waiting: Piece | None = None
    number = in_batch = 0
    for cut in _cuts(stream):
        if cut.is_message:
            if waiting is not None:
                yield waiting
            number += 1
            in_batch += 1
            waiting = Piece(cut.data, f"message[{number}]")
        elif cut.data[:3] == b"BTS" and waiting is not None:
            waiting = Piece(waiting.data, waiting.place, b"%d %s" % (in_batch, cut.data[:200]))
        elif cut.data[:3] == b"BHS":
            in_batch = 0
    if waiting is not None:
        yield waiting if number > 1 else Piece(waiting.data, "", waiting.start)


def _cuts(stream: BinaryIO) -> Iterator[_Cut]:
    """Cut before each line that begins a message or belongs to the frame of a batch.

    A message longer than `MAX_SIZE` is cut short there, by one byte too many, for the reader to refuse.
    """
    held = bytearray()
    begun, looked = False, 0
    while block := stream.read(_BLOCK):
        held += block
        while (found := _next_start(held, looked)) is not None:
            at, name = found
            if begun:
                yield _cut(bytes(held[:at]))
            elif held[:at].strip(_BLANKS + b"\x0b\x1c"):
                yield _Cut(bytes(held[:at]), is_message=True)  # what the reader will refuse
            del held[:at]
            begun, looked = True, name - at + 3
        looked = max(looked, len(held) - _BEFORE)
        if len(held) > MAX_SIZE + 2 * _BLOCK:
            del held[MAX_SIZE + _BLOCK : -_BEFORE]
            looked = max(0, len(held) - _BEFORE)
    if held.strip(_BLANKS + b"\x0b\x1c"):
        yield _cut(bytes(held))


def _next_start(held: bytearray, start: int) -> tuple[int, int] | None:
    """Where the next piece begins, with its blanks and frame mark, and where the name of its segment stands."""
    for match in _STARTS.finditer(held, start):
        if match.end() + 1 > len(held):
            return None
        at = name = match.start()
        while at > 0 and name - at < _BEFORE and held[at - 1] in b" \t\xef\xbb\xbf\x0b":
            at -= 1
            if held[at] == 0x0B:
                return at, name
        if at == 0 or held[at - 1] in b"\r\n\x1c":
            return at, name
    return None


def _cut(data: bytes) -> _Cut:
    name = data[: _BEFORE + 3].lstrip(_BLANKS + b"\x0b")[:3]
    return _Cut(data, is_message=True) if name == b"MSH" else _Cut(data.strip(_BLANKS), is_message=False)
