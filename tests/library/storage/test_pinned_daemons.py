"""tools/: where the daemons come from is pinned, and names no registry.

js-ipfs depends on one package by its URL. package.json overrides that with the package's name;
after `npm install --package-lock-only`, write the same name in place of the URL in the lockfile.
"""

import json
import re
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[3] / "tools"


def test_js_ipfs_lockfile_pins_every_package_and_names_no_registry():
    text = (TOOLS / "js-ipfs" / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    root = packages.pop("")
    assert root["dependencies"] == json.loads((TOOLS / "js-ipfs" / "package.json").read_text())["dependencies"]
    assert [
        name for name, package in packages.items() if not package.get("integrity") and not package.get("inBundle")
    ] == []
    assert not re.findall(r'"resolved"|https?://registry\.|"(?:git|github|https?):[^"]*\.t?gz"', text)


def test_kubo_is_pinned_with_its_sums():
    module = (TOOLS / "kubo" / "go.mod").read_text()
    sums = (TOOLS / "kubo" / "go.sum").read_text()
    for name, version in re.findall(r"^\t(\S+) (v\S+)", module, re.MULTILINE):
        assert f"{name} {version} h1:" in sums
