"""The listener of HL7 v2 messages: kept before acknowledged, converted once, whatever the other end does."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import ipaddress
import os
import signal
import ssl
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge.bulk.listening import Acknowledgement, Limits, Listener, acknowledge
from medibridge.errors import MalformedMessage, UnknownFormat


def message(number: int = 1, *, accept: str = "", answer: str = "", version: str = "2.5.1") -> bytes:
    header = f"MSH|^~\\&|LAB|ROWAN|EHR|ALDER|20240307101530||ORU^R01^ORU_R01|L-{number}|P|{version}|||{accept}|{answer}"
    return f"{header}\rPID|1||4711\rOBX|1|NM|2345-7||{number}\r".encode()


def framed(data: bytes) -> bytes:
    return b"\x0b" + data + b"\x1c\r"


class Site:
    """A listener that runs, and a way to talk to it."""

    def __init__(self, listener: Listener, folder: Path, port: int, tls: ssl.SSLContext | None) -> None:
        self.listener, self.folder, self.port, self.tls = listener, folder, port, tls
        self._opened: list[asyncio.StreamWriter] = []

    def names(self, kind: str) -> list[str]:
        return sorted(file.stem for file in (self.folder / kind).iterdir())

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        self._opened.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self._opened:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def talk(self, *sent: bytes, answers: int | None = None) -> list[str]:
        reader, writer = await self.open()
        for part in sent:
            writer.write(part)
            await writer.drain()
        found = [await answer_from(reader) for _ in range(len(sent) if answers is None else answers)]
        writer.close()
        return found


async def answer_from(reader: asyncio.StreamReader) -> str:
    data = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 10)
    assert data.startswith(b"\x0b")
    return data[1:-2].decode("utf-8", "replace")


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other end closes the connection, without a word more."""
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionError:
        return True


def code(answer: str) -> str:
    return field(answer, "MSA", 1)


def field(answer: str, segment: str, number: int) -> str:
    return str(hl7.parse(answer).segment(segment)[number])


def run(
    folder: Path,
    handle: Callable[..., object],
    story: Callable[[Site], Awaitable[None]],
    *,
    limits: Limits | None = None,
    server: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
) -> Listener:
    listener = Listener(handle, folder, limits=limits or Limits(idle=5, frame_time=5, answer_time=5))

    async def main() -> None:
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(
            listener.run("127.0.0.1", 0, tls=server, ready=lambda _, port: started.set_result(port))
        )
        await asyncio.wait({started, running}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        site = Site(listener, folder, started.result(), client)
        try:
            await story(site)
        finally:
            await site.close()
            listener.stop()
            await asyncio.wait_for(running, 10)

    asyncio.run(main())
    return listener


def accept(_: bytes) -> Acknowledgement:
    return Acknowledgement("AA")


def test_listener_keeps_a_message_before_it_acknowledges_it_and_moves_it_when_it_is_converted(tmp_path):
    seen = []

    def handle(data: bytes) -> Acknowledgement:
        file = tmp_path / "inbox" / f"{hashlib.sha256(data).hexdigest()}.hl7"
        seen.append((data, file.read_bytes(), stat.S_IMODE(file.stat().st_mode)))
        return Acknowledgement("AA")

    async def story(site: Site) -> None:
        (answer,) = await site.talk(framed(message()))
        assert code(answer) == "AA"
        assert field(answer, "MSA", 2) == "L-1"
        assert field(answer, "MSH", 9) == "ACK^R01^ACK"
        assert field(answer, "MSH", 12) == "2.5.1"
        assert [field(answer, "MSH", at) for at in (3, 4, 5, 6)] == ["EHR", "ALDER", "LAB", "ROWAN"]
        assert "ERR" not in answer
        assert site.names("inbox") == []
        assert site.names("done") == [hashlib.sha256(message()).hexdigest()]

    listener = run(tmp_path, handle, story)
    assert seen == [(message(), message(), 0o600)]
    assert (listener.counts.received, listener.counts.accepted) == (1, 1)
    assert stat.S_IMODE((tmp_path / "inbox").stat().st_mode) == 0o700


def test_listener_reads_many_messages_of_one_connection_in_order_however_they_are_cut(tmp_path):
    seen = []

    def handle(data: bytes) -> Acknowledgement:
        seen.append(data)
        return Acknowledgement("AA")

    async def story(site: Site) -> None:
        reader, writer = await site.open()
        stream = b"".join(framed(message(number)) for number in range(20))
        for at in range(0, len(stream), 97):
            writer.write(stream[at : at + 97])
            await writer.drain()
        answers = [await answer_from(reader) for _ in range(20)]
        assert [field(answer, "MSA", 2) for answer in answers] == [f"L-{number}" for number in range(20)]
        writer.close()

    run(tmp_path, handle, story)
    assert seen == [message(number) for number in range(20)]


def test_listener_acknowledges_a_repeated_message_again_without_converting_it_again(tmp_path):
    seen = []

    async def handle(data: bytes) -> Acknowledgement:
        seen.append(data)
        await asyncio.sleep(0.05)
        return Acknowledgement("AA")

    async def story(site: Site) -> None:
        together = await asyncio.gather(*(site.talk(framed(message())) for _ in range(4)))
        later = await site.talk(framed(message()), framed(message()))
        assert [code(answer) for answers in together for answer in answers] == ["AA"] * 4
        assert [code(answer) for answer in later] == ["AA", "AA"]

    listener = run(tmp_path, handle, story)
    assert len(seen) == 1
    assert listener.counts.accepted == 1
    assert (listener.counts.received, listener.counts.repeated) == (6, 5)


@pytest.mark.parametrize("garbage", [b"\r\n", b"hello\r\n" * 50, b"\x1c\r\x1c\r", b"\x0b\x1c\r", b"\x0b\r\n\x1c\r"])
def test_listener_passes_over_what_stands_between_frames(tmp_path, garbage):
    async def story(site: Site) -> None:
        (answer,) = await site.talk(garbage + framed(message()) + garbage, answers=1)
        assert code(answer) == "AA"

    run(tmp_path, accept, story)


def test_listener_takes_a_frame_that_lacks_its_carriage_return(tmp_path):
    async def story(site: Site) -> None:
        answers = await site.talk(b"\x0b" + message(1) + b"\x1c", b"\x0b" + message(2) + b"\x1c")
        assert [field(answer, "MSA", 2) for answer in answers] == ["L-1", "L-2"]

    run(tmp_path, accept, story)


def test_listener_drops_a_frame_that_is_cut_off_by_the_next_one_or_by_the_end(tmp_path):
    async def story(site: Site) -> None:
        (answer,) = await site.talk(b"\x0b" + message(1)[:40] + framed(message(2)) + b"\x0b" + message(3), answers=1)
        assert field(answer, "MSA", 2) == "L-2"
        while site.listener.counts.cut < 2:  # noqa: ASYNC110 - seen within the time of a connection
            await asyncio.sleep(0.01)
        assert len(site.names("done")) == 1
        assert site.names("inbox") == []

    run(tmp_path, accept, story)


def test_listener_closes_a_connection_whose_frame_is_too_long(tmp_path):
    async def story(site: Site) -> None:
        reader, writer = await site.open()
        writer.write(b"\x0bMSH|^~\\&|" + b"A" * 100_000)
        assert await is_closed(reader)
        writer.close()
        (answer,) = await site.talk(framed(message()))
        assert code(answer) == "AA"

    assert run(tmp_path, accept, story, limits=Limits(frame=50_000)).counts.cut == 1


def test_listener_closes_a_connection_that_sends_too_slowly_or_nothing(tmp_path):
    async def drip(writer: asyncio.StreamWriter, part: bytes) -> None:
        while True:
            writer.write(part)
            await asyncio.sleep(0.02)

    async def story(site: Site) -> None:
        for start, part in ((b"\x0b", b"A"), (b"\x0b", b""), (b"", b"A"), (b"", b"")):
            reader, writer = await site.open()
            writer.write(start)
            dripping = asyncio.create_task(drip(writer, part))
            begin = time.monotonic()
            assert await is_closed(reader)
            assert time.monotonic() - begin < 3
            dripping.cancel()
            writer.close()

    run(tmp_path, accept, story, limits=Limits(idle=0.2, frame_time=0.2))


def test_listener_closes_connections_beyond_its_limit_and_takes_new_ones_later(tmp_path):
    async def story(site: Site) -> None:
        first = [await site.open() for _ in range(2)]
        for number, (reader, writer) in enumerate(first):
            writer.write(framed(message(number)))
            await answer_from(reader)
        reader, writer = await site.open()
        assert await is_closed(reader)
        writer.close()
        for _, held in first:
            held.close()
        await asyncio.sleep(0.1)
        (answer,) = await site.talk(framed(message(9)))
        assert code(answer) == "AA"

    run(tmp_path, accept, story, limits=Limits(connections=2))


def test_listener_closes_a_connection_where_all_together_hold_too_much(tmp_path):
    async def story(site: Site) -> None:
        reader, writer = await site.open()
        writer.write(b"\x0b" + b"A" * 300_000)
        assert await is_closed(reader)
        writer.close()
        (answer,) = await site.talk(framed(message()))
        assert code(answer) == "AA"

    run(tmp_path, accept, story, limits=Limits(buffered=100_000))


# --- what is not accepted -------------------------------------------------------------------------------------------


def test_listener_keeps_what_is_not_converted_and_says_where_it_is_wrong_without_a_value(tmp_path, caplog):
    def handle(data: bytes) -> Acknowledgement:
        raise MalformedMessage("OBX[3]-5[2].4 is not a number | of HL7 v2; correct it")

    async def story(site: Site) -> None:
        (answer,) = await site.talk(framed(message()))
        assert code(answer) == "AE"
        assert field(answer, "ERR", 2) == "OBX^3^5^2^4"
        assert field(answer, "ERR", 3) == "102^^HL70357"
        assert field(answer, "ERR", 4) == "E"
        assert "number \\F\\ of" in answer
        assert "4711" not in answer
        assert site.names("quarantine") == [hashlib.sha256(message()).hexdigest()]
        assert site.names("inbox") == site.names("done") == []

    listener = run(tmp_path, handle, story)
    assert listener.counts.quarantined == 1
    assert "4711" not in caplog.text


def test_listener_converts_a_message_in_quarantine_when_it_is_sent_again(tmp_path):
    answers = iter([Acknowledgement("AE"), Acknowledgement("AA")])

    async def story(site: Site) -> None:
        assert [code(one) for one in await site.talk(framed(message()), framed(message()))] == ["AE", "AA"]
        assert site.names("quarantine") == []
        assert len(site.names("done")) == 1

    run(tmp_path, lambda _: next(answers), story)


def test_listener_answers_ae_and_goes_on_when_the_handler_breaks(tmp_path, caplog):
    def handle(data: bytes) -> Acknowledgement:
        if b"L-1" in data:
            raise ValueError(data.decode())
        return Acknowledgement("AA")

    async def story(site: Site) -> None:
        first, second = await site.talk(framed(message(1)), framed(message(2)))
        assert (code(first), field(first, "ERR", 3)) == ("AE", "207^^HL70357")
        assert code(second) == "AA"

    run(tmp_path, handle, story)
    assert "4711" not in caplog.text


@pytest.mark.parametrize(
    ("sent", "place", "condition"),
    [
        (b"no message at all", "MSH^1", "100"),
        (b"MSH|^~&", "MSH^1", "100"),
        (b"MSH|^~\\&|LAB\r", "MSH^1^9^1", "200"),
        (message(version="3.0"), "MSH^1^12^1", "203"),
    ],
)
def test_listener_does_not_accept_what_is_no_message_of_hl7_v2(tmp_path, sent, place, condition):
    async def story(site: Site) -> None:
        (answer,) = await site.talk(framed(sent))
        assert code(answer) == "AR"
        assert field(answer, "ERR", 2) == place
        assert field(answer, "ERR", 3) == f"{condition}^^HL70357"

    assert run(tmp_path, accept, story).counts.refused == 1


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (UnknownFormat("MSH[1]-9 names a message that is not read"), ("AR", "200", "MSH[1]-9")),
        (UnknownFormat("MSH[1]-12 names no version"), ("AR", "203", "MSH[1]-12")),
        (MalformedMessage("MSH[1]-18 names a character set that is not read"), ("AR", "103", "MSH[1]-18")),
        (MalformedMessage("PID[1]-3 (the id) is empty, but HL7 v2 requires it"), ("AE", "101", "PID[1]-3")),
        (MalformedMessage("the message lacks PV1, which it needs"), ("AE", "101", "")),
        (MalformedMessage("OBX[2]-5.2 is no number"), ("AE", "102", "OBX[2]-5.2")),
        (MalformedMessage("line 3 does not begin with the name of a segment"), ("AE", "100", "")),
        (None, ("AA", "0", "")),
    ],
)
def test_acknowledge_names_code_condition_and_place(problem, expected):
    found = acknowledge(problem)
    assert (found.code, found.condition, found.place) == expected


def test_listener_says_so_when_a_message_cannot_be_kept(tmp_path):
    async def story(site: Site) -> None:
        (tmp_path / "inbox").rmdir()
        (tmp_path / "inbox").write_bytes(b"")
        first, second = await site.talk(framed(message(1)), framed(message(2, accept="AL", answer="AL")))
        assert (code(first), field(first, "ERR", 3)) == ("AR", "207^^HL70357")
        assert (code(second), field(second, "ERR", 3)) == ("CE", "207^^HL70357")
        (tmp_path / "inbox").unlink()
        (tmp_path / "inbox").mkdir()

    run(tmp_path, accept, story)


# --- enhanced mode --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept_when", "answer_when", "outcome", "expected"),
    [
        ("AL", "NE", "AA", ["CA"]),
        ("AL", "AL", "AA", ["CA", "AA"]),
        ("AL", "ER", "AA", ["CA"]),
        ("AL", "ER", "AE", ["CA", "AE"]),
        ("SU", "SU", "AE", ["CA"]),
        ("ER", "AL", "AA", ["AA"]),
        ("NE", "SU", "AA", ["AA"]),
        ("", "AL", "AR", ["AR"]),
    ],
)
def test_listener_acknowledges_as_msh_15_and_16_ask(tmp_path, accept_when, answer_when, outcome, expected):
    async def story(site: Site) -> None:
        sent = framed(message(1, accept=accept_when, answer=answer_when))
        answers = await site.talk(sent + framed(message(2)), answers=len(expected) + 1)
        assert [code(answer) for answer in answers] == [*expected, outcome]
        assert {field(answer, "MSA", 2) for answer in answers[:-1]} == {"L-1"}
        assert len({field(answer, "MSH", 10) for answer in answers}) == len(answers)

    run(tmp_path, lambda _: Acknowledgement(outcome), story)


def test_listener_rejects_a_version_that_it_does_not_know_in_enhanced_mode(tmp_path):
    async def story(site: Site) -> None:
        sent = framed(message(1, accept="AL", answer="AL", version="9.9"))
        answers = await site.talk(sent + framed(message(2)), answers=2)
        assert [code(answer) for answer in answers] == ["CR", "AA"]

    run(tmp_path, accept, story)


# --- stopping, crashes ----------------------------------------------------------------------------------------------


def test_listener_finishes_what_is_in_flight_when_it_is_stopped(tmp_path):
    entered, go = threading.Event(), threading.Event()

    def handle(data: bytes) -> Acknowledgement:
        entered.set()
        assert go.wait(5)
        return Acknowledgement("AA")

    async def story(site: Site) -> None:
        idle_reader, idle_writer = await site.open()
        reader, writer = await site.open()
        writer.write(framed(message()))
        await asyncio.to_thread(entered.wait, 5)
        site.listener.stop()
        assert await is_closed(idle_reader)
        go.set()
        assert code(await answer_from(reader)) == "AA"
        assert await is_closed(reader)
        idle_writer.close()
        writer.close()

    run(tmp_path, handle, story)
    assert len(list((tmp_path / "done").iterdir())) == 1


def test_listener_converts_what_a_crash_left_and_removes_what_is_half_written(tmp_path):
    seen = []
    (tmp_path / "inbox").mkdir()
    for number in range(3):
        name = hashlib.sha256(message(number)).hexdigest()
        (tmp_path / "inbox" / f"{name}.hl7").write_bytes(message(number))
        os.utime(tmp_path / "inbox" / f"{name}.hl7", (number, number))
    (tmp_path / "inbox" / "0.part").write_bytes(b"MSH|^")

    def handle(data: bytes) -> Acknowledgement:
        seen.append(data)
        return Acknowledgement("AA")

    async def story(site: Site) -> None:
        assert site.names("inbox") == []
        assert len(site.names("done")) == 3

    run(tmp_path, handle, story)
    assert seen == [message(number) for number in range(3)]


_PROGRAM = textwrap.dedent(
    """
    import asyncio, sys, time
    from pathlib import Path
    from medibridge.bulk.listening import Acknowledgement, Listener
    folder, pause = Path(sys.argv[1]), float(sys.argv[2])
    def handle(data):
        time.sleep(pause)
        with (folder / "handled").open("a") as out:
            out.write(data.split(b"|")[9].decode() + "\\n")
        return Acknowledgement("AA")
    def ready(host, port):
        (folder / "port.new").write_text(str(port)); (folder / "port.new").rename(folder / "port")
    asyncio.run(Listener(handle, folder).run("127.0.0.1", 0, ready=ready))
    """
)


class Program:
    """A listener in a process of its own, that can be killed."""

    def __init__(self, folder: Path, pause: float) -> None:
        (folder / "port").unlink(missing_ok=True)
        path = os.pathsep.join(sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(folder), str(pause)], env={**os.environ, "PYTHONPATH": path}
        )
        end = time.monotonic() + 20
        while not (folder / "port").exists():
            assert time.monotonic() < end and self.process.poll() is None
            time.sleep(0.01)
        self.port = int((folder / "port").read_text())

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture
def program(tmp_path) -> Iterator[Callable[[float], Program]]:
    started: list[Program] = []

    def start(pause: float) -> Program:
        started.append(Program(tmp_path, pause))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


@pytest.mark.slow
def test_listener_loses_no_acknowledged_message_when_it_is_killed_and_converts_the_rest_after_a_restart(
    tmp_path, program
):
    async def send(port: int, count: int) -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(count):
            writer.write(framed(message(number, accept="AL", answer="NE")))
        answers = []
        for number in range(count):
            answers.append(field(await answer_from(reader), "MSA", 2))
            if number == count - 1:
                first.end(signal.SIGKILL)
        writer.close()
        return answers

    first = program(0.05)
    kept = asyncio.run(send(first.port, 5))
    second = program(0.0)
    assert second.end(signal.SIGTERM) == 0
    handled = (tmp_path / "handled").read_text().split()
    assert set(handled) == set(kept) == {f"L-{number}" for number in range(5)}
    assert len(handled) <= 6  # the one in flight may come twice
    assert list((tmp_path / "inbox").iterdir()) == []
    assert len(list((tmp_path / "done").iterdir())) == 5


@pytest.mark.slow
def test_listener_handles_every_message_that_it_acknowledged_however_often_it_is_killed(tmp_path, program):
    async def send(port: int, numbers: list[int], seconds: float) -> list[int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = []
        killing = asyncio.get_running_loop().call_later(seconds, running.process.kill)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for number in numbers:
                writer.write(framed(message(number)))
                assert code(await answer_from(reader)) == "AA"
                answered.append(number)
        killing.cancel()
        writer.close()
        return answered

    waiting, acknowledged = list(range(40)), set()
    for seconds in (0.03, 0.07, 0.15, 30.0):
        running = program(0.004)
        acknowledged.update(asyncio.run(send(running.port, waiting, seconds)))
        waiting = [number for number in waiting if number not in acknowledged]
        handled = set((tmp_path / "handled").read_text().split()) if (tmp_path / "handled").exists() else set()
        assert {f"L-{number}" for number in acknowledged} <= handled
    assert running.end(signal.SIGTERM) == 0
    assert waiting == []
    assert len(list((tmp_path / "done").iterdir())) == 40
    assert list((tmp_path / "inbox").iterdir()) == []


@pytest.mark.slow
def test_listener_ends_well_on_sigterm_after_what_is_in_flight(tmp_path, program):
    async def send(port: int) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(framed(message()))
        while not list((tmp_path / "inbox").glob("*.hl7")):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)
        answer = await answer_from(reader)
        writer.close()
        return answer

    running = program(0.3)
    assert code(asyncio.run(send(running.port))) == "AA"
    assert running.process.wait(20) == 0


# --- TLS ------------------------------------------------------------------------------------------------------------


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def test_listener_speaks_tls_with_those_whose_certificate_it_knows(tmp_path):
    own, known = _certificate(tmp_path, "server"), _certificate(tmp_path, "client")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(known[0]))
    server.load_cert_chain(*own)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(own[0]))
    client.load_cert_chain(*known)
    stranger = ssl.create_default_context(cafile=str(own[0]))

    async def story(site: Site) -> None:
        (answer,) = await site.talk(framed(message()))
        assert code(answer) == "AA"
        site.tls = stranger
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await site.talk(framed(message(2)))
        assert len(site.names("done")) == 1

    run(tmp_path / "site", accept, story, server=server, client=client)


# --- any bytes ------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"MSH|^~\\&|A", b"|", b"\xff", message()[:60]]), max_size=12))
def test_listener_goes_on_after_any_bytes(tmp_path_factory, parts):
    async def story(site: Site) -> None:
        reader, writer = await site.open()
        writer.write(b"".join(parts) + framed(message()))
        while "MSA|AA|L-1\r" not in await answer_from(reader):
            pass
        writer.close()

    run(tmp_path_factory.mktemp("site"), accept, story)
