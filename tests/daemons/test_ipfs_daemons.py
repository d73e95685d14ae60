"""The IPFS store against real daemons."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import ipfs_daemons
import pytest
from store_behaviour import StoreBehaviour, absent

from medibridge.errors import BlockAltered, BlockMissing, StoreUnreachable
from medibridge.ids import digest_of_cid
from medibridge.storage import IpfsStore, MemoryStore

pytestmark = pytest.mark.ipfs


@pytest.fixture
def store(daemon):
    with IpfsStore(daemon.address, timeout=2) as store:
        yield store


class TestIpfsStore(StoreBehaviour):
    examples = 5


def rpc(daemon, command):
    """Ask the daemon as any other program would."""
    port = daemon.address.split("/")[4]
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v0/{command}", method="POST")
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def is_pinned(daemon, cid):
    try:
        return cid in json.loads(rpc(daemon, f"pin/ls?arg={cid}&cid-base=base32"))["Keys"]
    except urllib.error.HTTPError as refusal:
        if b"not pinned" in refusal.read():
            return False
        raise


def file_of(daemon, block):
    """Where the daemon keeps a block."""
    (found,) = [path for path in (daemon.repository / "blocks").glob("*/*.data") if path.read_bytes() == block]
    return found


def alter(path, content):
    path.unlink()
    path.write_bytes(content)


def test_put_many_gives_the_cids_of_the_memory_store_when_blocks_are_alike(store):
    blocks = [os.urandom(size) for size in (1, 31, 32, 262_144, 262_145, 984_000)]
    assert store.put_many(blocks) == MemoryStore().put_many(blocks)


def test_put_pins_when_the_daemon_collects_garbage(store, daemon):
    one, *many = [os.urandom(100) for _ in range(4)]
    cids = [store.put(one), *store.put_many(many)]
    assert all(is_pinned(daemon, cid) for cid in cids)
    rpc(daemon, "repo/gc")
    assert [store.get(cid) for cid in cids] == [one, *many]


def test_delete_unpins_and_removes_from_the_disk_when_the_block_is_there(store, daemon):
    block = os.urandom(100)
    cid = store.put(block)
    path = file_of(daemon, block)
    store.delete(cid)
    assert not is_pinned(daemon, cid)
    assert not path.exists()


def test_get_says_altered_and_delete_then_put_heals_when_the_daemons_disk_changed(store, daemon):
    block = os.urandom(5000)
    cid = store.put(block)
    alter(file_of(daemon, block), b"x" + block[1:])
    with pytest.raises(BlockAltered, match=f"other bytes than block {cid}; delete it there and then put it again"):
        store.get(cid)

    store.put(block)
    with pytest.raises(BlockAltered):
        store.get(cid)

    store.delete(cid)
    store.put(block)
    assert store.get(cid) == block


def test_get_says_missing_when_the_daemon_lost_the_file(store, daemon):
    block = os.urandom(5000)
    cid = store.put(block)
    file_of(daemon, block).unlink()
    with pytest.raises(BlockMissing, match=cid):
        store.get(cid)


def test_get_says_missing_in_time_when_nobody_has_the_block(store):
    begun = time.monotonic()
    with pytest.raises(BlockMissing, match="within 2 s"):
        store.get(absent())
    assert time.monotonic() - begun < 20


def test_get_says_altered_when_kubo_itself_sees_it(at_hand):
    if "kubo" not in at_hand:
        pytest.skip("Kubo cannot be had on this machine")
    block = os.urandom(5000)
    with ipfs_daemons.kubo(hash_on_read=True) as daemon, IpfsStore(daemon.address) as store:
        cid = store.put(block)
        alter(file_of(daemon, block), b"x" + block[1:])
        with pytest.raises(BlockAltered, match=f"finds block {cid} altered on its own disk; delete it there"):
            store.get(cid)


def test_every_method_says_unreachable_when_the_daemon_stops_in_mid_session(daemon):
    start = next(start for name, start in ipfs_daemons.DAEMONS.items() if daemon.name.lower().startswith(name))
    with start() as other:
        store = IpfsStore(other.address, timeout=1)
        cid = store.put(b"block")
    for call in (lambda: store.get(cid), lambda: store.put(b"x"), lambda: store.has(cid), lambda: store.delete(cid)):
        with pytest.raises(StoreUnreachable, match=r"does not answer \(ConnectionError\); start it"):
            call()
    assert not other.repository.exists()


WITH_PROXIES = """
import sys, warnings
from medibridge.storage import IpfsStore
warnings.simplefilter("error")
store = IpfsStore(sys.argv[1])
print(store.get(store.put(b"past the proxy")))
"""


def test_store_warns_of_nothing_and_uses_no_proxy_when_the_environment_names_one(daemon):
    nobody = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", WITH_PROXIES, daemon.address],
        env=os.environ | nobody | {"no_proxy": "", "NO_PROXY": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("b'past the proxy'\n", "")


def test_put_gives_the_daemon_our_digest_as_multihash_when_it_keeps_the_block(store, daemon):
    block = os.urandom(64)
    digest = digest_of_cid(store.put(block))
    assert file_of(daemon, block).stem == base64.b32encode(b"\x12\x20" + digest).decode().rstrip("=")
