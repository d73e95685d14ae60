"""Anvil and a real IPFS daemon, and the command line as processes between them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
pytest.register_assert_rewrite("command_line")

import ipfs_daemons  # noqa: E402 (found through the line above, as the next two)
import nodes  # noqa: E402
from command_line import Processes  # noqa: E402

RAN_AGAINST = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def daemon(pytestconfig):
    """Kubo, or js-ipfs where Kubo cannot be had; the summary says which."""
    try:
        ipfs_daemons.installed("kubo")
        name = "kubo"
    except ipfs_daemons.NotInstalledError:
        name = "js-ipfs"
    with ipfs_daemons.DAEMONS[name]() as running:
        pytestconfig.stash[RAN_AGAINST] = running.name
        yield running


@pytest.fixture(scope="session")
def cli(daemon, tmp_path_factory):
    """The command line, with a home and a chain of its own."""
    with nodes.anvil() as url:
        yield Processes(tmp_path_factory.mktemp("story") / "home", url, daemon.address)


def pytest_terminal_summary(terminalreporter, config):
    if RAN_AGAINST in config.stash:
        terminalreporter.section("IPFS daemon of the command line's story")
        terminalreporter.line(f"ran against {config.stash[RAN_AGAINST]}", green=True)
