"""Real IPFS daemons for tests: offline, on free ports, with a repository that is gone afterwards.

    with kubo() as daemon:
        store = IpfsStore(daemon.address)

`kubo` and `js_ipfs` raise `NotInstalledError` where a daemon is neither there nor can be installed
(scripts/install_ipfs.py), and `RuntimeError` where one is there but does not start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DAEMONS", "Daemon", "NotInstalledError", "installed", "js_ipfs", "kubo"]

INSTALL = Path(__file__).resolve().parents[2] / "scripts" / "install_ipfs.py"
START_WITHIN = 60.0  # seconds
STOP_WITHIN = 15.0  # seconds


class NotInstalledError(Exception):
    """The daemon is not on this machine and cannot be installed; the message says why."""


@dataclass(frozen=True)
class Daemon:
    """A running daemon: what it is, the multiaddr of its RPC API, and its repository."""

    name: str
    address: str
    repository: Path


@contextmanager
def kubo(*, hash_on_read: bool = False) -> Iterator[Daemon]:
    """Run Kubo. With `hash_on_read` it hashes what it reads from its disk."""
    executable = installed("kubo")
    with _repository() as (repository, environment):
        _output(executable, "init", "--profile", "test", env=environment)
        _output(executable, "config", "--bool", "Datastore.HashOnRead", json.dumps(hash_on_read), env=environment)
        version = _output(executable, "version", "--number", env=environment)
        with _running(executable, repository, environment) as address:
            yield Daemon(f"Kubo {version}", address, repository)


@contextmanager
def js_ipfs() -> Iterator[Daemon]:
    """Run js-ipfs."""
    executable = installed("js-ipfs")
    with _repository() as (repository, environment):
        _output(executable, "init", "--profile", "test", env=environment)
        _output(executable, "config", "Addresses.RPC", "/ip4/127.0.0.1/tcp/0", env=environment)
        version = _output(executable, "version", "--number", env=environment)
        with _running(executable, repository, environment) as address:
            yield Daemon(f"js-ipfs {version}", address, repository)


def installed(name: str) -> str:
    """The executable of a daemon, installed if it is not there. Raises `NotInstalledError`."""
    done = subprocess.run([sys.executable, INSTALL, name], check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotInstalledError(done.stderr.strip())
    return done.stdout.strip()


@contextmanager
def _repository() -> Iterator[tuple[Path, dict[str, str]]]:
    with tempfile.TemporaryDirectory(prefix="medibridge-ipfs-") as directory:
        repository = Path(directory, "repository")
        yield repository, os.environ | {"HOME": directory, "IPFS_PATH": str(repository), "IPFS_TELEMETRY": "off"}


def _output(*command: str, env: dict[str, str]) -> str:
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=START_WITHIN)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{done.stderr or done.stdout}")
    return done.stdout.strip()


@contextmanager
def _running(executable: str, repository: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run `daemon --offline` until the block is left; the multiaddr of its RPC API."""
    log = repository.parent / "daemon.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [executable, "daemon", "--offline"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_WITHIN
        while "Daemon is ready" not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{executable} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        yield (repository / "api").read_text().strip()
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


DAEMONS = {"kubo": kubo, "js-ipfs": js_ipfs}
