"""Messages of HL7 v2 over TCP: a listener that keeps each message before it says so (MLLP, HL7 v2.9 chapter 2.9).

A message is on the disk before it is acknowledged: written to ``inbox/``, then converted, then moved to ``done/``, or
to ``quarantine/`` where it could not be converted. What a crash leaves in ``inbox/`` is converted at the next start.
The name of a file is the SHA-256 of its content, so a message that is sent again is acknowledged, not converted again.

Frames are those of the Minimal Lower Layer Protocol: 0B, the message, 1C 0D. No value of a message is in a log or in
an acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import inspect
import logging
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

from medibridge.errors import FormatError, UnknownFormat

__all__ = ["Acknowledgement", "Counts", "Handle", "Limits", "Listener", "acknowledge"]

_LOG: Final = logging.getLogger(__name__)
_START, _END, _CARRIAGE_RETURN = 0x0B, 0x1C, 0x0D
_SEGMENT: Final = b"\r"
_PLACE: Final = re.compile(r"\b([A-Z][A-Z0-9]{2})\[(\d{1,6})\](?:-(\d{1,3})(?:\[(\d{1,6})\])?(?:\.(\d{1,3}))?)?")
_VERSION: Final = re.compile(rb"2\.[1-9](\.[1-9])?")


@dataclass(frozen=True)
class Acknowledgement:
    """What became of a message: ``AA`` converted, ``AE`` not converted and kept, ``AR`` not accepted (table 0008).

    `condition` is a code of table 0357, `place` is where the message is wrong (``OBX[3]-5.2``), `reason` a sentence
    without values.
    """

    code: Literal["AA", "AE", "AR"]
    condition: str = "0"
    place: str = ""
    reason: str = ""


Handle: TypeAlias = Callable[[bytes], Acknowledgement | Awaitable[Acknowledgement]]
"""Converts a message, without its frame. A plain function runs in a thread, one message at a time.

It may raise `FormatError`. After a crash it may get a message a second time.
"""


def acknowledge(problem: FormatError | None) -> Acknowledgement:
    """What to answer where converting a message raised `problem`; AA where it is None.

    Other types, versions and character sets are not accepted (AR); what is broken is an error (AE).
    """
    if problem is None:
        return Acknowledgement("AA")
    reason = str(problem)
    match = _PLACE.search(reason)
    place = match[0] if match else ""
    if isinstance(problem, UnknownFormat):
        return Acknowledgement("AR", "203" if place.endswith("-12") else "200", place, reason)
    if place == "MSH[1]-18":
        return Acknowledgement("AR", "103", place, reason)
    if "is empty" in reason or "lacks" in reason:
        return Acknowledgement("AE", "101", place, reason)
    return Acknowledgement("AE", "102" if match and match[3] else "100", place, reason)


@dataclass(frozen=True)
class Limits:
    """Bounds of a listener; sizes in bytes, times in seconds."""

    frame: int = 16 * 2**20
    buffered: int = 256 * 2**20
    """Of all connections together."""
    connections: int = 64
    idle: float = 60.0
    """Between two frames."""
    frame_time: float = 30.0
    """From the first byte of a frame to its last."""
    answer_time: float = 300.0
    """To write an acknowledgement, and to finish after `stop`."""


@dataclass
class Counts:
    """Messages since the start: how many came, and what became of them."""

    received: int = 0
    accepted: int = 0
    quarantined: int = 0
    refused: int = 0
    repeated: int = 0
    cut: int = 0
    """Frames without their end, or too long."""


class Listener:
    """Listens for messages, keeps each, hands it to `handle`, and acknowledges it.

    Args:
        handle: converts a message.
        folder: where ``inbox``, ``done`` and ``quarantine`` are, or will be made.
        limits: bounds of sizes, times and connections.
        application: MSH-3 of the acknowledgements, where the message names no receiver.
        facility: MSH-4 of the acknowledgements, likewise.
    """

    def __init__(
        self,
        handle: Handle,
        folder: Path,
        *,
        limits: Limits = Limits(),
        application: str = "MEDIBRIDGE",
        facility: str = "",
    ) -> None:
        self.counts = Counts()
        self._handle = handle
        self._inbox = _Inbox(folder)
        self._limits = limits
        self._names = (application.encode(), facility.encode())
        self._one_at_a_time = asyncio.Lock()
        self._underway: dict[str, asyncio.Task[Acknowledgement]] = {}
        self._connections: dict[asyncio.Task[object], _Connection] = {}
        self._buffered = 0
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        ready: Callable[[str, int], None] | None = None,
    ) -> None:
        """Convert what a crash left in the inbox, then listen until `stop`, SIGTERM or SIGINT.

        `tls` is made by the caller; with client certificates where it asks for them. `ready` is told the address and
        port once the listener listens. Raises `OSError` where it cannot listen there, or not use the folder.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._inbox.prepare)
        with self._signals():
            for name in await asyncio.to_thread(self._inbox.waiting):
                if not self._stopping.is_set():
                    await self._converted(name, await asyncio.to_thread(self._inbox.content, name))
            patience = 10.0 if tls else None
            server = await asyncio.start_server(self._connected, host, port, ssl=tls, ssl_handshake_timeout=patience)
            address = server.sockets[0].getsockname()
            _LOG.info("listening on %s, port %d", address[0], address[1])
            if ready:
                ready(address[0], address[1])
            await self._stopping.wait()
            server.close()
            await self._finish()

    def stop(self) -> None:
        """Take no more messages, finish those in flight, and end `run`. May be called from any thread."""
        if self._loop is None:
            self._stopping.set()
        else:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop, handled = asyncio.get_running_loop(), []
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
                loop.add_signal_handler(number, self._stopping.set)
                handled.append(number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    async def _finish(self) -> None:
        for task, connection in self._connections.items():
            if connection.is_reading:
                task.cancel()
        pending = [*self._connections, *self._underway.values()]
        if pending:
            _, late = await asyncio.wait(pending, timeout=self._limits.answer_time)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # --- connections

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: asyncio.Task[object] | None = asyncio.current_task()
        if task is None or len(self._connections) >= self._limits.connections or self._stopping.is_set():
            _LOG.warning("a connection too many; closed")
            writer.close()
            return
        connection = self._connections[task] = _Connection(reader, writer, self._limits, self._may_buffer)
        try:
            async for message in connection.messages():
                await self._answer(message, connection)
                if self._stopping.is_set():
                    break
        except asyncio.CancelledError:
            _LOG.info("a connection was closed: the listener stops")
        except (OSError, TimeoutError) as problem:
            _LOG.info("a connection was closed: %s", type(problem).__name__)
        finally:
            self.counts.cut += connection.cut
            connection.release()
            del self._connections[task]
            writer.close()
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), 5)

    def _may_buffer(self, more: int) -> bool:
        self._buffered += more
        return self._buffered <= self._limits.buffered

    async def _answer(self, message: bytes, connection: _Connection) -> None:
        """Keep the message, then acknowledge it as its header asks (HL7 v2.9, 2.9.2 and 2.9.3)."""
        self.counts.received += 1
        header = _Header.of(message, self._names)
        name = hashlib.sha256(message).hexdigest()
        if await asyncio.to_thread(self._inbox.is_done, name):
            self.counts.repeated += 1
            await self._send(header, Acknowledgement("AA"), connection, both=True)
            return
        try:
            await asyncio.to_thread(self._inbox.keep, name, message)
        except OSError as problem:
            _LOG.error("a message could not be kept: %s", type(problem).__name__)
            self.counts.refused += 1
            refusal = Acknowledgement("AR", "207", reason="the message could not be kept; send it again later")
            await connection.send(header.accept("CE", refusal) if header.is_enhanced else header.answer(refusal))
            return
        if header.problem is None and header.wants_accept("CA"):
            await connection.send(header.accept("CA", Acknowledgement("AA")))
        outcome = await asyncio.shield(self._converting(name, message, header))
        await self._send(header, outcome, connection, both=header.problem is not None)

    async def _send(self, header: _Header, outcome: Acknowledgement, connection: _Connection, *, both: bool) -> None:
        code: Literal["CA", "CR"] = "CA" if outcome.code == "AA" else "CR"
        if both and header.wants_accept(code):
            await connection.send(header.accept(code, outcome))
            if code == "CR":
                return
        if header.wants_answer(outcome.code):
            await connection.send(header.answer(outcome))

    # --- messages

    def _converting(self, name: str, message: bytes, header: _Header | None) -> asyncio.Task[Acknowledgement]:
        """The task that converts the message: one task, however many connections bring it."""
        task = self._underway.get(name)
        if task is None:
            task = asyncio.create_task(self._converted(name, message, header))
            self._underway[name] = task
            task.add_done_callback(lambda _: self._underway.pop(name, None))
        else:
            self.counts.repeated += 1
        return task

    async def _converted(self, name: str, message: bytes, header: _Header | None = None) -> Acknowledgement:
        is_left_over = header is None
        header = header or _Header.of(message, self._names)
        if await asyncio.to_thread(self._inbox.is_done, name):  # meanwhile, or just before a crash
            self.counts.repeated += not is_left_over
            await asyncio.to_thread(self._inbox.finish, name)
            return Acknowledgement("AA")
        outcome = header.problem or await self._handled(message)
        if outcome.code == "AA":
            self.counts.accepted += 1
            await asyncio.to_thread(self._inbox.finish, name)
        else:
            self.counts.quarantined += outcome.code == "AE"
            self.counts.refused += outcome.code == "AR"
            await asyncio.to_thread(self._inbox.set_aside, name)
        _LOG.info("message %s: %s, condition %s", name[:12], outcome.code, outcome.condition)
        return outcome

    async def _handled(self, message: bytes) -> Acknowledgement:
        try:
            if inspect.iscoroutinefunction(self._handle):
                found = await self._handle(message)
            else:
                async with self._one_at_a_time:
                    found = await asyncio.to_thread(self._handle, message)
                    if inspect.isawaitable(found):
                        found = await found
        except FormatError as problem:
            return acknowledge(problem)
        except Exception as problem:  # noqa: BLE001 - whatever it was, the message is kept and the next one is read
            _LOG.error("converting a message failed: %s", type(problem).__name__)
            return Acknowledgement("AE", "207", reason="converting the message failed; it is kept for a person")
        assert isinstance(found, Acknowledgement)  # noqa: S101 - what Handle promises
        return found


@dataclass(repr=False)
class _Connection:
    """Frames of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    limits: Limits
    may_buffer: Callable[[int], bool]
    is_reading: bool = False
    cut: int = 0
    _buffer: bytearray = field(default_factory=bytearray)

    async def messages(self) -> AsyncIterator[bytes]:
        """The message of each frame. What stands between frames is passed over; a frame without end is dropped.

        Ends with the connection, with a frame that is too long, and where nothing comes in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.idle
        in_frame, seen = False, 0
        while True:
            if not in_frame:
                start = self._buffer.find(_START)
                self._drop(len(self._buffer) if start < 0 else start + 1)
                if start >= 0:
                    in_frame, seen, deadline = True, 0, loop.time() + self.limits.frame_time
            if in_frame:
                end = self._buffer.find(_END, seen)
                again = self._buffer.rfind(_START, seen, end if end >= 0 else len(self._buffer))
                if again >= 0:  # the frame before was cut off
                    self.cut += 1
                    self._drop(again + 1)
                    seen, deadline = 0, loop.time() + self.limits.frame_time
                    continue
                if end >= 0:
                    message = bytes(self._buffer[:end])
                    self._drop(end + 1)
                    in_frame = False
                    if message.strip():
                        yield message
                    deadline = loop.time() + self.limits.idle
                    continue
                seen = len(self._buffer)
                if seen > self.limits.frame:
                    self.cut += 1
                    return
            if not await self._read(deadline):
                self.cut += in_frame
                return

    async def _read(self, deadline: float) -> bool:
        """Wait for more bytes; whether there are some, in time."""
        self.is_reading = True
        try:
            async with asyncio.timeout_at(deadline):
                data = await self.reader.read(2**16)
        except (TimeoutError, OSError):
            return False
        finally:
            self.is_reading = False
        self._buffer += data
        return self.may_buffer(len(data)) and bool(data)

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self.may_buffer(-size)

    def release(self) -> None:
        """Give back what the connection holds."""
        self._drop(len(self._buffer))

    async def send(self, message: bytes) -> None:
        """Write a message in its frame."""
        self.writer.write(bytes((_START,)) + message + bytes((_END, _CARRIAGE_RETURN)))
        async with asyncio.timeout(self.limits.answer_time):
            await self.writer.drain()


# --- acknowledgements -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class _Header:
    """What an acknowledgement repeats of a message; bytes, in the character set of the message."""

    marks: bytes
    fields: tuple[bytes, ...]
    """MSH, by number; [0] and [1] are empty."""
    names: tuple[bytes, bytes]
    digest: str
    problem: Acknowledgement | None

    @classmethod
    def of(cls, message: bytes, names: tuple[bytes, bytes]) -> _Header:
        """Read the header of a message. Where it has none, `problem` says so."""
        digest = hashlib.sha256(message).hexdigest()
        body = message.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n \t").removeprefix(b"\xef\xbb\xbf")
        line = re.split(rb"[\r\n]", body[:65_536], maxsplit=1)[0]
        marks = line[3:8]
        if line[:3] != b"MSH" or not re.fullmatch(rb"[!-/:-@\[-`{-~]{5}", marks) or len(set(marks)) < 5:
            problem = Acknowledgement("AR", "100", "MSH[1]", "the message does not begin with MSH and its delimiters")
            return cls(b"|^~\\&", (), names, digest, problem)
        header = cls(marks, (b"", b"", *line.split(marks[:1])[1:]), names, digest, None)
        if not header.field(9).strip():
            problem = Acknowledgement("AR", "200", "MSH[1]-9", "MSH[1]-9 names no type of message")
            return replace(header, problem=problem)
        if not _VERSION.fullmatch(header.component(12, 1).strip()):
            problem = Acknowledgement("AR", "203", "MSH[1]-12", "MSH[1]-12 names no version of HL7 v2")
            return replace(header, problem=problem)
        return header

    def field(self, number: int) -> bytes:
        return self.fields[number] if number < len(self.fields) else b""

    def component(self, number: int, at: int) -> bytes:
        parts = self.field(number).split(self.marks[1:2])
        return parts[at - 1] if at <= len(parts) else b""

    @property
    def is_enhanced(self) -> bool:
        """Whether the sender asks for acknowledgements in enhanced mode (2.9.3)."""
        return bool(self.field(15).strip() or self.field(16).strip())

    def wants_accept(self, code: Literal["CA", "CE", "CR"]) -> bool:
        """Whether MSH-15 asks for this accept acknowledgement (table 0155)."""
        return self.is_enhanced and _wants(self.field(15), good=code == "CA")

    def wants_answer(self, code: str) -> bool:
        """Whether the sender waits for an application acknowledgement: always, in original mode."""
        return not self.is_enhanced or _wants(self.field(16), good=code == "AA")

    def accept(self, code: Literal["CA", "CE", "CR"], outcome: Acknowledgement) -> bytes:
        """The accept acknowledgement: whether the message is kept."""
        return self._message(code, outcome)

    def answer(self, outcome: Acknowledgement) -> bytes:
        """The application acknowledgement: what became of the message."""
        return self._message(outcome.code, outcome)

    def _message(self, code: str, outcome: Acknowledgement) -> bytes:
        mark, component = self.marks[:1], self.marks[1:2]
        version = self.component(12, 1)
        version = version if _VERSION.fullmatch(version) else b"2.5.1"
        event = self.component(9, 2)
        kind = component.join([b"ACK", event, b"ACK"] if re.fullmatch(rb"[A-Z]\d\d", event) else [b"ACK"])
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d%H%M%S+0000").encode()
        control = f"{code}{self.digest[:18].upper()}".encode()
        processing = self.component(11, 1)[:1]
        header = [
            b"MSH" + self.marks[:1] + self.marks[1:],
            self.field(5)[:227] or self.names[0],
            self.field(6)[:227] or self.names[1],
            self.field(3)[:227],
            self.field(4)[:227],
            now,
            b"",
            kind,
            control,
            processing if processing in (b"P", b"T", b"D") else b"P",
            version,
            *([b""] * 5),
            self.field(18),
        ]
        reason = self._escaped(outcome.reason)
        modern = version >= b"2.5"
        answer = [b"MSA", code.encode(), self.field(10)[:199], *([] if modern or not reason else [reason])]
        segments = [header, answer]
        if modern and outcome.code != "AA":
            condition = component.join([outcome.condition.encode(), b"", b"HL70357"])
            segments.append(
                [b"ERR", b"", component.join(_location(outcome.place)), condition, b"E", b"", b"", b"", reason]
            )
        return b"".join(mark.join(segment).rstrip(mark) + _SEGMENT for segment in segments)

    def _escaped(self, text: str) -> bytes:
        found = b""
        for character in text.encode("ascii", "replace"):
            at = self.marks.find(bytes((character,)))
            code = b"FSRET"[at : at + 1]
            found += self.marks[3:4] + code + self.marks[3:4] if at >= 0 else bytes((character,))
        return found


def _wants(asked: bytes, *, good: bool) -> bool:
    """Table 0155: AL always, NE never, ER on errors, SU on success."""
    return {b"AL": True, b"ER": not good, b"SU": good}.get(asked.strip().upper(), False)


def _location(place: str) -> list[bytes]:
    """ERL: segment, its number, field, repetition, component; nothing where there is no place."""
    match = _PLACE.fullmatch(place)
    if match is None:
        return []
    segment, number, at, repetition, component = match.groups()
    parts = [segment, number, at or "", (repetition or "1") if at else "", component or ""]
    while parts and not parts[-1]:
        parts.pop()
    return [part.encode() for part in parts]


# --- the folder -----------------------------------------------------------------------------------------------------


class _Inbox:
    """Messages as files: waiting in ``inbox``, converted in ``done``, not converted in ``quarantine``."""

    def __init__(self, folder: Path) -> None:
        self._waiting, self._done, self._aside = folder / "inbox", folder / "done", folder / "quarantine"

    def prepare(self) -> None:
        """Make the folders, readable by their owner alone, and remove what a crash left half written."""
        for folder in (self._waiting, self._done, self._aside):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in self._waiting.glob("*.part"):
            part.unlink()

    def waiting(self) -> list[str]:
        """The names of the messages that were kept but not converted, oldest first."""
        files = sorted(self._waiting.glob("*.hl7"), key=lambda file: (file.stat().st_mtime_ns, file.name))
        return [file.stem for file in files]

    def content(self, name: str) -> bytes:
        """The bytes of a waiting message."""
        return self._file(self._waiting, name).read_bytes()

    def is_done(self, name: str) -> bool:
        """Whether the message was converted."""
        return self._file(self._done, name).exists()

    def keep(self, name: str, message: bytes) -> None:
        """Write a message so that a crash leaves all of it or nothing."""
        file = self._file(self._waiting, name)
        part = file.with_suffix(f".{os.urandom(6).hex()}.part")
        try:
            with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
                out.write(message)
                out.flush()
                os.fsync(out.fileno())
            part.replace(file)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        _sync(self._waiting)

    def finish(self, name: str) -> None:
        """Move a message that was converted."""
        self._move(name, self._done)
        self._file(self._aside, name).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """Move a message that was not converted."""
        self._move(name, self._aside)

    def _move(self, name: str, folder: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # moved before
            self._file(self._waiting, name).replace(self._file(folder, name))
        _sync(folder)
        _sync(self._waiting)

    @staticmethod
    def _file(folder: Path, name: str) -> Path:
        return folder / f"{name}.hl7"


def _sync(folder: Path) -> None:
    """Make a rename last (fsync of the folder)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
