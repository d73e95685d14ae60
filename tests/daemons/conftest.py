"""Runs the tests of this folder against each IPFS daemon that can be had, and says which they were.

One that cannot be had is skipped, and named in the summary. If none can be had, the tests fail.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
pytest.register_assert_rewrite("store_behaviour")

import ipfs_daemons  # noqa: E402 (found through the line above)

RAN_AGAINST = pytest.StashKey[dict]()


def pytest_configure(config):
    config.stash[RAN_AGAINST] = {}


@pytest.fixture(scope="session")
def at_hand(pytestconfig):
    """The daemons that are installed, by name."""
    found, report = [], pytestconfig.stash[RAN_AGAINST]
    for name in ipfs_daemons.DAEMONS:
        try:
            ipfs_daemons.installed(name)
            found.append(name)
        except ipfs_daemons.NotInstalledError as exc:
            report[name] = f"NOT RUN against {exc}"
    if not found:
        pytest.fail("no IPFS daemon can be had, and one must be:\n" + "\n".join(report.values()), pytrace=False)
    return found


@pytest.fixture(scope="session", params=ipfs_daemons.DAEMONS)
def daemon(request, at_hand, pytestconfig):
    """A running daemon; all tests against it share it."""
    if request.param not in at_hand:
        pytest.skip(f"{request.param} cannot be had on this machine")
    with ipfs_daemons.DAEMONS[request.param]() as running:
        pytestconfig.stash[RAN_AGAINST][request.param] = f"ran against {running.name}"
        yield running


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[RAN_AGAINST]:
        terminalreporter.section("IPFS daemons")
        for line in config.stash[RAN_AGAINST].values():
            terminalreporter.line(line, red=line.startswith("NOT"), green=line.startswith("ran"))
