"""What is said in more than one place must be the same in all of them."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
HOSTS = ("npm" + "js.", "py" + "pi.org", "python" + "hosted.", "yarn" + "pkg.", "proxy.go" + "lang", "sum.go" + "lang")


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((PROJECT / name).read_text())


BROWNIE = yaml.safe_load((PROJECT / "brownie-config.yaml").read_text())["compiler"]
FORGE = toml("foundry.toml")["profile"]["default"]
NPM = json.loads((PROJECT / "package.json").read_text())["devDependencies"]
LOCK = json.loads((PROJECT / "package-lock.json").read_text())["packages"]
PYTHON = toml("pyproject.toml")["project"]


def canonical(requirement: str) -> str:
    """A requirement with its name as PyPA's specification normalises it."""
    name, rest = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", requirement).groups()  # type: ignore[union-attr]
    return re.sub(r"[-_.]+", "-", name).lower() + rest


LOCKED = {
    canonical(line) for line in (PROJECT / "requirements-dev.lock").read_text().splitlines() if not line.startswith("#")
}


def committed_files() -> list[Path]:
    """What git knows or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True).stdout
    return [PROJECT / name for name in listed.split("\0") if name and (PROJECT / name).is_file()]


def test_brownie_and_forge_compile_with_the_same_settings() -> None:
    assert FORGE["solc"] == BROWNIE["solc"]["version"]
    assert FORGE["evm_version"] == BROWNIE["evm_version"]
    assert FORGE["optimizer"] is BROWNIE["solc"]["optimizer"]["enabled"]
    assert FORGE["optimizer_runs"] == BROWNIE["solc"]["optimizer"]["runs"]
    assert FORGE["via_ir"] is False
    assert [line.replace("/=", "=").rstrip("/") for line in FORGE["remappings"]] == BROWNIE["solc"]["remappings"]


def test_npms_compiler_is_of_the_version_that_brownie_asks_for() -> None:
    assert NPM["solc"] == BROWNIE["solc"]["version"]


@pytest.mark.parametrize("source", sorted((PROJECT / "contracts").rglob("*.sol")), ids=lambda path: path.name)
def test_every_contract_names_the_compiler_exactly(source: Path) -> None:
    assert f"pragma solidity {BROWNIE['solc']['version']};" in source.read_text()


def test_npm_tools_are_pinned_exactly_and_locked_with_their_hash() -> None:
    for name, version in NPM.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
        assert LOCK[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in entry for path, entry in LOCK.items() if path and not entry.get("inBundle"))


def test_the_lock_holds_the_development_tools_at_the_versions_of_pyproject() -> None:
    exact = [canonical(line) for line in PYTHON["optional-dependencies"]["dev"] if "==" in line]
    assert set(exact) <= LOCKED


def test_the_lock_holds_everything_that_the_package_needs() -> None:
    needed = {re.split(r"[<>=]", canonical(line))[0] for line in PYTHON["dependencies"]}
    assert needed <= {line.split("==")[0] for line in LOCKED}


def test_no_file_names_the_host_of_a_registry() -> None:
    files = {path: path.read_bytes() for path in committed_files()}
    named = [path.name for path, content in files.items() if any(host.encode() in content for host in HOSTS)]
    assert files
    assert named == []
