"""What the IPFS store makes of an address, a silent daemon and a lying one. tests/daemons has real ones."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from store_behaviour import absent, named

from medibridge.errors import BlockAltered, BlockMissing, StorageError, StoreUnreachable, UsageError
from medibridge.storage import MAX_BLOCK, IpfsStore

BLOCK = b"the block"
CID = named(BLOCK)


@contextmanager
def serving(answer):
    """A server that reads each request and leaves the answer to `answer(handler, command)`; its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.body = bytearray()
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    self.body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            answer(self, self.path.partition("?")[0].removeprefix("/api/v0/"))

        def log_message(self, *arguments):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(handler, content, status=200):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def store_that_is_told(content, status=200):
    """A store whose daemon answers everything with the same content."""
    with (
        serving(lambda handler, _: reply(handler, content, status)) as url,
        IpfsStore(url, timeout=0.5, patience=0.5) as store,
    ):
        yield store


def says(**fields):
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    "address",
    [
        "/ip4/127.0.0.1/tcp/1",
        "/ip6/::1/tcp/1/http",
        "/dns/localhost/tcp/1/https",
        "http://localhost:1",
        "https://ipfs.example",
        "http://[::1]:1/",
        "http://127.0.0.1:1/api/v0",
    ],
)
def test_ipfs_store_connects_to_nothing_when_it_is_made(address):
    IpfsStore(address).close()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/",
        "nonsense",
        "localhost:5001",
        "ftp://localhost:5001",
        "http://",
        "http://localhost:99999",
        "http://localhost:5001/elsewhere",
        "http://localhost:5001/?query",
        "/ip4/127.0.0.1",
        "/ip4/999.0.0.1/tcp/5001",
        "/ip4/127.0.0.1/udp/5001",
        "/ip4/127.0.0.1/tcp/5001/ws",
        f"http://{'x' * 70}.example:5001",
    ],
)
def test_ipfs_store_refuses_when_the_address_is_none(address):
    with pytest.raises(UsageError, match="is not the address of an IPFS daemon; expected a multiaddr as /ip4"):
        IpfsStore(address)


def test_ipfs_store_hides_the_password_when_the_address_has_one():
    with pytest.raises(UsageError, match="the address given is not") as caught:
        IpfsStore("http://me:secret@localhost:5001")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, 100_000, float("nan"), float("inf")])
def test_ipfs_store_refuses_when_the_time_out_is_absurd(timeout):
    with pytest.raises(UsageError, match="a time-out is a number of seconds"):
        IpfsStore("/ip4/127.0.0.1/tcp/5001", timeout=timeout)


def every_call(store):
    return [
        lambda: store.put(BLOCK),
        lambda: store.put_many([BLOCK, b"another"]),
        lambda: store.get(CID),
        lambda: store.has(CID),
        lambda: store.delete(CID),
    ]


def assert_unreachable(store, words):
    for call in every_call(store):
        with pytest.raises(StoreUnreachable, match=words):
            call()


def test_every_method_says_unreachable_when_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert_unreachable(
            IpfsStore(f"/ip4/127.0.0.1/tcp/{port}"),
            rf"the IPFS daemon at /ip4/127.0.0.1/tcp/{port} does not answer \(ConnectionError\); start it",
        )


def test_every_method_says_unreachable_when_the_host_has_no_name():
    assert_unreachable(IpfsStore("http://nowhere.invalid:5001"), "does not answer")


def test_every_method_says_unreachable_when_the_daemon_never_answers():
    done = threading.Event()
    with serving(lambda *_: done.wait()) as url, IpfsStore(url, timeout=0.1, patience=0.1) as store:
        assert_unreachable(store, r"does not answer \(TimeoutError\)")
        done.set()


def test_get_says_unreachable_when_the_daemon_drips():
    def drip(handler, _):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(70_000))
                time.sleep(0.02)
        except OSError:
            handler.close_connection = True

    with serving(drip) as url, IpfsStore(url, timeout=0.05, patience=0.05) as store, pytest.raises(StoreUnreachable):
        store.get(CID)


@pytest.mark.parametrize("content", [b"<html>hello</html>", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000], ids=range(5))
def test_put_says_unreachable_when_what_answers_is_no_daemon(content):
    with store_that_is_told(content) as store:
        for call in every_call(store)[:2] + every_call(store)[3:]:
            with pytest.raises(
                StoreUnreachable, match="answers, but not as an IPFS daemon; check that this is its RPC"
            ):
                call()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500, 502])
def test_every_method_says_unreachable_when_something_else_serves_the_address(status):
    with store_that_is_told(b"no such page", status) as store:
        for call in every_call(store):
            with pytest.raises(StoreUnreachable):
                call()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_every_method_goes_nowhere_else_when_it_is_sent_there(status):
    asked = []

    def send_elsewhere(handler, command):
        asked.append(command)
        handler.send_response(status)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with serving(send_elsewhere) as url, IpfsStore(url) as store:
        assert_unreachable(store, r"does not answer \(TooManyRedirects\)")
    assert "/elsewhere" not in asked


def test_every_method_tells_the_daemons_words_when_it_refuses():
    with store_that_is_told(says(Message="lock \x1b[31m held", Code=0, Type="error"), 500) as store:
        assert_unreachable(store, r"refuses the request \('lock \\x1b\[31m held'\); look into its log")


@pytest.mark.parametrize(
    "words",
    [
        "block was not found locally (offline): ipld: could not find bafkrei",
        "context deadline exceeded",
        "Failed to get block: request timed out",
    ],
)
def test_get_says_missing_when_the_daemon_says_so(words):
    with (
        store_that_is_told(says(Message=words, Code=0, Type="error"), 500) as store,
        pytest.raises(BlockMissing, match=f"did not find block {CID} within 0.5 s; put it again"),
    ):
        store.get(CID)


def test_get_says_altered_when_the_daemon_sees_it_itself():
    words = says(Message="block in storage has different hash than requested", Code=0, Type="error")
    with (
        store_that_is_told(words, 500) as store,
        pytest.raises(BlockAltered, match=f"finds block {CID} altered on its own disk; delete it there"),
    ):
        store.get(CID)


LIES = [b"", b"x", BLOCK[:-1], BLOCK + b"x", b"another block", bytes(MAX_BLOCK)]


@pytest.mark.parametrize("lie", LIES, ids=range(len(LIES)))
def test_get_says_altered_when_the_daemon_returns_other_bytes(lie):
    with (
        store_that_is_told(lie) as store,
        pytest.raises(
            BlockAltered, match=f"returned other bytes than block {CID}; delete it there and then put it again"
        ),
    ):
        store.get(CID)


@pytest.mark.parametrize("size", [MAX_BLOCK + 1, 20 * MAX_BLOCK])
def test_get_says_missing_when_what_has_that_name_is_longer_than_a_block(size):
    """Somebody who names such a thing must not make the daemon look like a liar."""
    with store_that_is_told(bytes(size)) as store, pytest.raises(BlockMissing, match="longer than a block"):
        store.get(CID)


def test_get_reads_no_more_than_a_block_when_the_answer_never_ends():
    written = 0

    def flood(handler, _):
        nonlocal written
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        try:
            while True:
                written += handler.wfile.write(bytes(1 << 20))
        except OSError:
            handler.close_connection = True

    with serving(flood) as url, IpfsStore(url) as store, pytest.raises(BlockMissing, match="longer than a block"):
        store.get(CID)
    assert written < 64 << 20


@pytest.mark.parametrize(
    "key",
    [absent(), "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKU3oX", "", None, 7, ["bafkrei"]],
    ids=["another", "version 0", "empty", "null", "number", "list"],
)
def test_put_says_altered_when_the_daemon_names_another_block(key):
    with store_that_is_told(says(Key=key, Size=9)) as store:
        for put in (lambda: store.put(BLOCK), lambda: store.put_many([BLOCK, b"another"])):
            with pytest.raises(BlockAltered, match=f"took block {CID} for another one"):
                put()


def test_put_many_puts_one_by_one_when_the_daemon_keeps_only_the_last_block():
    kept = []

    def keep_the_last(handler, _):
        kept.append(handler.body.rpartition(b"\r\n\r\n")[2].partition(b"\r\n")[0])
        reply(handler, says(Key=named(kept[-1])))

    blocks = [b"one", b"two", b"three"]
    with serving(keep_the_last) as url, IpfsStore(url) as store:
        assert store.put_many(blocks) == [named(block) for block in blocks]
        assert kept == [b"three", *blocks]
        kept.clear()
        store.put_many(blocks)
        assert kept == blocks


@pytest.mark.parametrize("keys", [None, {}, [], {"bafkrei": {}}, [None], 7, "text"], ids=str)
def test_has_is_false_when_the_daemon_pins_something_else(keys):
    with store_that_is_told(says(Keys=keys)) as store:
        assert not store.has(CID)


def test_delete_says_so_when_the_daemon_unpins_but_does_not_remove():
    with (
        store_that_is_told(says(Hash=CID, Error="disk is read-only")) as store,
        pytest.raises(StorageError, match=f"unpinned block {CID} but did not remove it .'disk is read-only'"),
    ):
        store.delete(CID)


def test_delete_is_content_when_somebody_else_pins_the_block():
    with store_that_is_told(says(Hash=CID, Error="pinned: indirect")) as store:
        store.delete(CID)
