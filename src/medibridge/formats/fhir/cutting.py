"""Cuts a stream of FHIR into pieces: lines of NDJSON, entries of a large Bundle or array, else the whole.

Memory stays flat: a line, an entry, and for a large Bundle the map from each fullUrl to its resource. Numbers keep
their digits, because what is cut out are the bytes themselves.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Final

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Piece
from medibridge.formats.fhir.definitions import Version
from medibridge.formats.fhir.detection import version_of
from medibridge.formats.fhir.identity import key_in
from medibridge.formats.settings import Settings
from medibridge.record import JsonObject, parse_json

__all__ = ["MAX_VALUES", "MAX_WHOLE", "MAX_XML", "Context", "check_values", "entries_of", "pieces"]

MAX_WHOLE: Final = 16 * 2**20
"""Bytes. JSON up to this size is read as one piece; a line or an entry may not be longer."""

MAX_XML: Final = 32 * 2**20

MAX_VALUES: Final = 2_000_000
"""Values of a piece of JSON; ordinary ones are 16 bytes long and more, so it is never reached by them."""

_BLOCK: Final = 1 << 20
_PIECE: Final = 4 * 2**20
_ENTRIES: Final = 500
_VOTERS: Final = 500
_SPACE: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Context:
    """What a piece of a large input needs to be read by itself; it travels as JSON in `Piece.start`.

    `first` is the number of its first entry, `version` that of the whole input, `targets` what the references in it
    resolve to. `refused` says why the piece cannot be read.
    """

    container: str = ""
    first: int = 0
    version: Version | None = None
    targets: dict[str, str] = field(default_factory=dict)
    refused: str = ""

    def to_bytes(self) -> bytes:
        """As JSON."""
        version = self.version.value if self.version else ""
        found = [self.container, self.first, version, self.targets, self.refused]
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Context:
        """What `to_bytes` wrote."""
        container, first, version, targets, refused = json.loads(data)
        return cls(container, first, Version(version) if version else None, targets, refused)


def pieces(stream: BinaryIO, settings: Settings) -> Iterator[Piece]:
    """Cut a stream (seekable, from its beginning). Raises `MalformedMessage` where it is larger than can be cut."""
    start = stream.read(_BLOCK).removeprefix(_BOM).lstrip(_SPACE)
    stream.seek(0)
    if start.startswith(b"<"):
        yield Piece(_whole(stream, MAX_XML, "XML"))
    elif _is_ndjson(stream):
        yield from _lines(stream)
    elif len(data := stream.read(MAX_WHOLE + 1)) <= MAX_WHOLE:
        yield Piece(data)
    else:
        del data
        yield from _large(stream, settings)


def check_values(data: bytes) -> None:
    """Raises `MalformedMessage` for JSON of more than `MAX_VALUES` values, which would fill the memory."""
    if len(data) > MAX_VALUES and data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_VALUES:
        raise MalformedMessage(f"the JSON holds more than {MAX_VALUES} values; send its resources one by one")


def _whole(stream: BinaryIO, most: int, what: str) -> bytes:
    data = stream.read(most + 1)
    if len(data) > most:
        raise MalformedMessage(f"the {what} is larger than {most // 2**20} MiB; send its resources one by one")
    return data


# --- lines ------------------------------------------------------------------------------------------------------------


def _is_ndjson(stream: BinaryIO) -> bool:
    """Whether the first or the second line is a resource by itself, and is not all there is."""
    stream.seek(0)
    lines = [line for _, line in islice(_filled(stream), 2)]
    stream.seek(0)
    return len(lines) == 2 and any(_is_resource(line) for line in lines)


def _is_resource(line: bytes) -> bool:
    if not line.startswith(b"{") or len(line) > MAX_WHOLE:
        return False
    try:
        return "resourceType" in json.loads(line)
    except (ValueError, RecursionError):
        return False


def _filled(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; one that is too long is cut off after `MAX_WHOLE` + 1 bytes."""
    number = 0
    while line := stream.readline(MAX_WHOLE + 1):
        number += 1
        if len(line) > MAX_WHOLE:
            while (rest := stream.readline(_BLOCK)) and not rest.endswith(b"\n"):
                pass
        if number == 1:
            line = line.removeprefix(_BOM)
        if line := line.strip(_SPACE):
            yield number, line


def _lines(stream: BinaryIO) -> Iterator[Piece]:
    for number, line in _filled(stream):
        if len(line) > MAX_WHOLE:
            why = f"line {number} is longer than {MAX_WHOLE // 2**20} MiB; send its resources one by one"
            yield Piece(b"", f"line {number}", Context("NDJSON", refused=why).to_bytes())
        else:
            yield Piece(line, f"line {number}", Context("NDJSON").to_bytes())


# --- entries ----------------------------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]"]', re.DOTALL)
_TEXT_END: Final = re.compile(rb'(?:[^"\\]++|\\.)*+"', re.DOTALL)
_ENTRY_KEY: Final = re.compile(rb'"entry"[ \t\r\n]*:[ \t\r\n]*\[')
_REFERENCE: Final = re.compile(rb'"reference"[ \t\r\n]*:[ \t\r\n]*"((?:[^"\\]++|\\.)*+)"')


@dataclass
class _Scanner:
    """Finds the entries of a Bundle, or the items of an array, in one pass over the bytes."""

    stream: BinaryIO
    buffer: bytes = b""
    position: int = 0
    """Up to where the buffer is read."""
    depth: int = 0
    inside: int = -1
    """The depth of the list that holds the entries; -1 outside of it."""
    opened: int = -1
    """Where the entry begins that is being read; -1 between entries."""
    skipping: bool = False
    """The entry is too long, and its beginning is forgotten."""
    in_text: bool = False
    """In a text that goes on in the next block."""

    def entries(self) -> Iterator[bytes]:
        while block := self.stream.read(_BLOCK):
            self.buffer += block
            yield from self._tokens()
            self._forget()
        if self.depth > 0:
            raise MalformedMessage("the JSON breaks off at its end; send it complete")

    def _tokens(self) -> Iterator[bytes]:
        while True:
            if self.in_text and not self._leave_text():
                return
            match = _TOKEN.search(self.buffer, self.position)
            if match is None:
                self.position = len(self.buffer)
                return
            token = match[0]
            if token in (b'"', b'"entry"') and self._is_cut(match.start()):
                self.position = match.start()  # it goes on in the next block
                return
            if token == b'"':
                self.position, self.in_text = match.end(), True
                continue
            self.position = match.end()
            if token in (b"{", b"["):
                self._open(token, match.start())
            elif token in (b"}", b"]"):
                if (entry := self._close()) is not None:
                    yield entry
            elif token == b'"entry"' and self.depth == 1 and self.inside < 0:
                self._enter(match.start())

    def _enter(self, start: int) -> None:
        if key := _ENTRY_KEY.match(self.buffer, start):
            self.position, self.depth, self.inside = key.end(), 2, 2

    def _is_cut(self, start: int) -> bool:
        """Whether this may be the name ``entry``, of which the rest is in the next block."""
        return self.depth == 1 and self.inside < 0 and len(self.buffer) - start < 256 and not self._at_end()

    def _at_end(self) -> bool:
        there = self.stream.tell()
        more = self.stream.read(1)
        self.stream.seek(there)
        return not more

    def _open(self, token: bytes, start: int) -> None:
        self.depth += 1
        if token == b"[" and self.depth == 1:
            self.inside = 1
        elif self.inside == self.depth - 1 and self.opened < 0:
            self.opened = start

    def _close(self) -> bytes | None:
        self.depth -= 1
        if self.opened < 0 or self.depth != self.inside:
            if self.depth < self.inside:
                self.inside = -1
            return None
        entry = b"" if self.skipping else self.buffer[self.opened : self.position]
        self.opened, self.skipping = -1, False
        return entry

    def _leave_text(self) -> bool:
        end = _TEXT_END.match(self.buffer, self.position)
        if end is not None:
            self.position, self.in_text = end.end(), False
            return True
        backslashes = len(self.buffer) - len(self.buffer.rstrip(b"\\"))
        self.position = len(self.buffer) - backslashes % 2
        return False

    def _forget(self) -> None:
        """Drop what is done with, and the beginning of what is too long to be kept."""
        start = self.position if self.opened < 0 or self.skipping else self.opened
        if len(self.buffer) - start > MAX_WHOLE:
            self.skipping = self.opened >= 0
            start = self.position
        if self.opened >= 0:
            self.opened = max(self.opened - start, 0)
        self.buffer, self.position = self.buffer[start:], self.position - start


def entries_of(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of each entry of a Bundle, or item of an array; ``b""`` for one longer than `MAX_WHOLE`.

    Raises `MalformedMessage`, after the last whole entry, where the JSON is cut off.
    """
    return _Scanner(stream).entries()


def _large(stream: BinaryIO, settings: Settings) -> Iterator[Piece]:
    """Pieces of a Bundle or array: first who is in it, then the entries with what their references resolve to."""
    stream.seek(0)
    container = "array" if stream.read(256).removeprefix(_BOM).lstrip(_SPACE).startswith(b"[") else "Bundle"
    version = _vote(stream, container)
    targets = _targets(stream, container, version, settings)
    stream.seek(0)
    held: list[bytes] = []
    first = count = 0
    try:
        for count, entry in enumerate(entries_of(stream), start=1):
            if held and (len(held) == _ENTRIES or sum(map(len, held)) + len(entry) > _PIECE):
                yield _piece(container, held, first, version, targets)
                held, first = [], count - 1
            held.append(entry)
    except MalformedMessage as problem:
        if held:
            yield _piece(container, held, first, version, targets)
        yield Piece(b"", f"after entry {count}", Context(container, refused=str(problem)).to_bytes())
        return
    if held:
        yield _piece(container, held, first, version, targets)
    elif not count:
        why = f"the JSON is larger than {MAX_WHOLE // 2**20} MiB and has no entries; send its resources one by one"
        yield Piece(b"", "", Context(container, refused=why).to_bytes())


def _piece(container: str, held: list[bytes], first: int, version: Version, targets: dict[str, str]) -> Piece:
    """Some entries, one a line, with what the references in them resolve to."""
    needed = {}
    for entry in held:
        for match in _REFERENCE.finditer(entry):
            try:
                reference = json.loads(b'"' + match[1] + b'"')
            except ValueError:
                continue
            if reference in targets:
                needed[reference] = targets[reference]
    data = b"\n".join(entry.replace(b"\r", b" ").replace(b"\n", b" ") for entry in held)
    place = f"entries {first} to {first + len(held) - 1}"
    return Piece(data, place, Context(container, first, version, needed).to_bytes())


def _vote(stream: BinaryIO, container: str) -> Version:
    stream.seek(0)
    voters: list[JsonObject] = []
    left = MAX_WHOLE
    with contextlib.suppress(MalformedMessage):
        for data in islice(entries_of(stream), _VOTERS):
            if (left := left - len(data)) < 0:
                break
            with contextlib.suppress(MalformedMessage):
                check_values(data)
                parse_json(data)  # what is nested too deep, or no text, has no vote
                voters.append(_loosely(data, container)[1])
    return version_of(filter(None, voters)).version


def _targets(stream: BinaryIO, container: str, version: Version, settings: Settings) -> dict[str, str]:
    """What each fullUrl is in R4: ``Type/id``."""
    stream.seek(0)
    found: dict[str, str] = {}
    with contextlib.suppress(MalformedMessage):
        for data in entries_of(stream):
            full_url, resource = _loosely(data, container)
            if not full_url or not resource:
                continue
            with contextlib.suppress(UnicodeEncodeError):  # half a surrogate pair: the entry will be refused
                key = key_in(resource, full_url, version, settings.source)
                (full_url + key).encode()
                found[full_url] = key
    return found


def _loosely(data: bytes, container: str) -> tuple[str, JsonObject]:
    """The fullUrl and the resource of an entry; both empty where it is broken."""
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError):
        return "", {}
    if not isinstance(entry, dict):
        return "", {}
    if container == "array":
        return "", entry
    full_url, resource = entry.get("fullUrl"), entry.get("resource")
    return full_url if isinstance(full_url, str) else "", resource if isinstance(resource, dict) else {}
