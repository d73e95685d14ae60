"""A Dask cluster of real processes writes what one process writes, byte for byte."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from medibridge import samples
from medibridge.bulk import convert_folder
from medibridge.bulk.cluster import cluster_at
from medibridge.errors import UsageError
from medibridge.formats import Settings

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SETTINGS = Settings(source="st-mary")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and two workers, each a process of its own, on 127.0.0.1."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path, "env": dict(os.environ)}
    source = os.pathsep.join(sys.path)
    quiet["env"]["PYTHONPATH"] = source
    with ExitStack() as running:

        def run(*words):
            process = subprocess.Popen([str(word) for word in words], **quiet)
            running.callback(process.wait, 30)
            running.callback(process.terminate)

        run(*start, "--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
        for _ in range(2):
            run(
                *(sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", 1, "--no-nanny"),
                *("--host", "127.0.0.1", "--no-dashboard", "--local-directory", tmp_path / "scratch"),
            )
        yield address


def test_convert_folder_on_two_dask_workers_writes_the_same_bytes(folder, outputs, tmp_path, scheduler):
    from distributed import Client

    source = folder(24)
    (source / "bad.hl7").write_bytes(samples.read("oru-r01-laboratory.hl7")[:12])
    one = convert_folder([source], tmp_path / "one", SETTINGS)
    with Client(scheduler, set_as_default=False, timeout=30) as client:
        client.wait_for_workers(2, timeout=30)
        with cluster_at(scheduler) as crew:
            assert crew.size == 2
            many = convert_folder([source], tmp_path / "many", SETTINGS, crew=crew)
        ran = client.run(os.getpid)
        assert len(set(ran.values())) == 2
    assert outputs(tmp_path / "one") == outputs(tmp_path / "many")
    assert (many.messages, many.refused, many.outcomes) == (one.messages, one.refused, one.outcomes)


def test_local_cluster_writes_the_same_bytes_and_opens_no_web_port(folder, outputs, tmp_path):
    source = folder(6)
    convert_folder([source], tmp_path / "one", SETTINGS)
    with cluster_at("local", 2) as crew:
        convert_folder([source], tmp_path / "many", SETTINGS, crew=crew)
        answers = [speaks_http(port) for port in listening(os.getpid())]
    assert answers
    assert not any(answers)
    assert outputs(tmp_path / "one") == outputs(tmp_path / "many")


def listening(process):
    """The TCP ports at which a process and its children listen; all of them at 127.0.0.1."""
    family = [process, *children(process)]
    inodes = set()
    for each in family:
        for handle in Path(f"/proc/{each}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(handle.readlink()))
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                address, port = fields[1].split(":")
                assert address == "0100007F", "it listens to others too"
                yield int(port, 16)


def children(process):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == process:
                each = int(stat.parent.name)
                found += [each, *children(each)]
    return found


def speaks_http(port):
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.settimeout(1)
        try:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
        except OSError:
            return False


def test_cluster_at_an_address_where_nobody_answers_is_a_sentence(monkeypatch):
    from medibridge.bulk import cluster

    monkeypatch.setattr(cluster, "_PATIENCE", 1.0)
    with pytest.raises(UsageError, match="no Dask scheduler"), cluster_at(f"tcp://127.0.0.1:{free_port()}"):
        pass
