"""Get the IPFS daemons that the storage tests run against, and print where they are.

    python scripts/install_ipfs.py [kubo] [js-ipfs]

Kubo is the `ipfs` on PATH, or is built from its Go module (tools/kubo: pinned and checked by
go.sum; two minutes, once). js-ipfs comes from npm (tools/js-ipfs: pinned and checked by
package-lock.json; no install script is run). Both are kept in $MEDIBRIDGE_CACHE, by default
~/.cache/medibridge. Prints one path a line, in the order asked for; without arguments, both.
Exits with 1 if one of them cannot be had, and says why.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / "tools"


class NotInstalledError(Exception):
    """A daemon cannot be had on this machine; the message says why."""


def cache() -> Path:
    """Where daemons are kept between runs."""
    return Path(os.environ.get("MEDIBRIDGE_CACHE") or Path.home() / ".cache" / "medibridge")


def kubo() -> Path:
    """The `ipfs` executable. Raises `NotInstalledError`."""
    on_path = shutil.which("ipfs")
    if on_path and _runs(on_path, "version"):
        return Path(on_path)
    module = TOOLS / "kubo"
    found = re.search(r"github\.com/ipfs/kubo v(\S+)", (module / "go.mod").read_text())
    if found is None:
        raise NotInstalledError("tools/kubo/go.mod names no version of Kubo")
    executable = cache() / f"kubo-{found[1]}" / "ipfs"
    if not executable.exists():
        go = shutil.which("go")
        if go is None:
            raise NotInstalledError("there is no `ipfs` on PATH, and no `go` to build Kubo with")
        _say(f"building Kubo {found[1]}; this takes some minutes, once")
        build = [go, "build", "-mod=readonly", "-trimpath", "-o"]
        with _Incoming(executable.parent) as incoming:
            _run([*build, f"{incoming}/ipfs", "github.com/ipfs/kubo/cmd/ipfs"], module, GOWORK="off")
    return executable


def js_ipfs() -> Path:
    """The `jsipfs` executable. Raises `NotInstalledError`."""
    package = TOOLS / "js-ipfs"
    version = json.loads((package / "package.json").read_text())["dependencies"]["ipfs"]
    home = cache() / f"js-ipfs-{version}"
    executable = home / "node_modules" / ".bin" / "jsipfs"
    if not executable.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise NotInstalledError("there is no `npm` to install js-ipfs with")
        _say(f"installing js-ipfs {version}; this takes a minute, once")
        with _Incoming(home) as incoming:
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(package / name, incoming)
            _run([npm, "ci", "--ignore-scripts"], incoming)
    return executable


DAEMONS: dict[str, Callable[[], Path]] = {"kubo": kubo, "js-ipfs": js_ipfs}


class _Incoming:
    """A directory to install into; takes its place only when all went well."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __enter__(self) -> Path:
        self._place.parent.mkdir(parents=True, exist_ok=True)
        self._path = Path(tempfile.mkdtemp(dir=self._place.parent, prefix="incoming-"))
        return self._path

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        try:
            if exc is None:
                shutil.rmtree(self._place, ignore_errors=True)
                self._path.replace(self._place)
        finally:
            shutil.rmtree(self._path, ignore_errors=True)


def _run(command: list[str], directory: Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        check=False,
        cwd=directory,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise NotInstalledError(f"`{' '.join(command[:2])}` failed:\n{last}")


def _runs(*command: str) -> bool:
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(names: list[str]) -> int:
    """Install what is named; the exit status."""
    unknown = set(names) - set(DAEMONS)
    if unknown:
        _say(f"there is no daemon called {min(unknown)!r}; choose of: {', '.join(DAEMONS)}")
        return 2
    status = 0
    for name in names or DAEMONS:
        try:
            print(DAEMONS[name](), flush=True)
        except NotInstalledError as exc:
            _say(f"{name} cannot be had: {exc}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
