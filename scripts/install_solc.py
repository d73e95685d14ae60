"""Install the Solidity compiler of brownie-config.yaml where Brownie, py-solc-x and forge look.

The native compiler where it can be downloaded; else npm's build of the same version
(``node_modules/solc``) behind ``tools/solc/solc.js``. Does nothing when it is there already.

    python scripts/install_solc.py [--npm]
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import requests
import solcx
import yaml
from solcx.install import BINARY_DOWNLOAD_BASE

PROJECT = Path(__file__).resolve().parent.parent
COMMAND_LINE = PROJECT / "tools" / "solc" / "solc.js"
PROBE_SECONDS = 5
DOWNLOAD_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--npm", action="store_true", help="use npm's solc even where the native one can be had")
    arguments = parser.parse_args()

    version = wanted_version()
    folder = solcx.get_solcx_install_folder()
    compiler = folder / f"solc-v{version}"
    if arguments.npm or is_outdated(compiler) or not answers(compiler, version):
        compiler.unlink(missing_ok=True)
        how = "native" if not arguments.npm and download_native(compiler, version) else register_npm(compiler, version)
        print(f"solc {version}: {how}")
    register_with_forge(compiler, version)


def wanted_version() -> str:
    """The version in brownie-config.yaml."""
    settings = yaml.safe_load((PROJECT / "brownie-config.yaml").read_text())
    return str(settings["compiler"]["solc"]["version"])


def answers(compiler: Path, version: str) -> bool:
    """Whether there is a compiler at this path that runs and is of this version."""
    try:
        done = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return False
    return done.returncode == 0 and f"Version: {version}+commit" in done.stdout


def is_outdated(compiler: Path) -> bool:
    """Whether this is npm's compiler behind another edition of solc.js than this project's."""
    registered = npm_home(compiler) / "solc.js"
    return registered.is_file() and registered.read_bytes() != COMMAND_LINE.read_bytes()


def npm_home(compiler: Path) -> Path:
    """The folder of npm's compiler, beside its launcher."""
    return compiler.with_name(f"npm-{compiler.name}")


def download_native(compiler: Path, version: str) -> bool:
    """Let py-solc-x download it, with the time-outs that it lacks."""
    if sys.platform != "linux":
        return False  # py-solc-x knows other names there; npm's compiler serves
    try:
        requests.head(BINARY_DOWNLOAD_BASE.format("linux", "list.json"), timeout=PROBE_SECONDS).raise_for_status()
        installing = [sys.executable, "-m", "solcx.install", version]
        subprocess.run(installing, capture_output=True, timeout=DOWNLOAD_SECONDS, check=False)
    except (requests.RequestException, subprocess.TimeoutExpired):
        pass
    if answers(compiler, version):
        return True
    compiler.unlink(missing_ok=True)  # a torn download
    return False


def register_npm(compiler: Path, version: str) -> str:
    """Copy npm's compiler beside the others, so that it survives this clone."""
    soljson = PROJECT / "node_modules" / "solc" / "soljson.js"
    if not soljson.is_file():
        sys.exit(f"{soljson} is missing; run `npm ci` first")
    home = npm_home(compiler)
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(soljson, home / "soljson.js")
    shutil.copyfile(COMMAND_LINE, home / "solc.js")
    compiler.write_text(f'#!/bin/sh\nexec node {shlex.quote(str(home / "solc.js"))} "$@"\n')
    compiler.chmod(0o755)
    if not answers(compiler, version):
        sys.exit(f"npm's solc does not answer as {version}; package.json and brownie-config.yaml must agree")
    return "npm's build (the native one cannot be downloaded here)"


def register_with_forge(compiler: Path, version: str) -> None:
    """Link it where forge looks when offline: ~/.svm if that exists, else the XDG data folder."""
    home = Path.home() / ".svm"
    if not home.is_dir():
        home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "svm"
    link = home / version / f"solc-{version}"
    if link.is_symlink() or not answers(link, version):
        link.unlink(missing_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(compiler)


if __name__ == "__main__":
    main()
