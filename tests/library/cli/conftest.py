"""A command line in this process, with a home, a chain and a store of the test's own."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from medibridge import Chain, MemoryStore, samples
from medibridge.cli.session import Surroundings

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
pytest.register_assert_rewrite("command_line")

from command_line import CHEAP, CommandLine  # noqa: E402 (found through the line above)


@pytest.fixture
def cli(tmp_path):
    """A command line without a chain."""
    return CommandLine(tmp_path / "home", Surroundings(key_cost=CHEAP))


@dataclass
class Town:
    """A command line with a deployment on a chain in this process, and keys for everybody.

    `blocks` are what the store keeps.
    """

    run: CommandLine
    chain: Chain
    blocks: dict


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Rowan and Lakeside are hospitals, Iris is a patient, Meridian a buyer; all are registered."""
    chain, blocks = Chain.in_process(), {}
    around = Surroundings(connect=lambda url: chain, directory=lambda path: MemoryStore(blocks), key_cost=CHEAP)
    run = CommandLine(tmp_path_factory.mktemp("town") / "home", around)
    run.make_keys("admin", "rowan", "lakeside", "iris", "meridian")
    run("local", "fund", "admin", "rowan", "lakeside", "iris", "meridian")
    run("admin", "deploy", key="admin")
    for name, kind in (("rowan", "hospital"), ("lakeside", "hospital"), ("meridian", "buyer")):
        run("admin", "enrol", name, "--as", kind, key="admin")
    for name, role in (("rowan", "hospital"), ("lakeside", "hospital"), ("iris", "patient"), ("meridian", "buyer")):
        run(role, "register", key=name)
    return Town(run, chain, blocks)


@pytest.fixture
def message(tmp_path):
    """A function that writes a message of the samples to a file, with a number of its own."""

    def write(number, name="oru-r01-laboratory.hl7"):
        path = tmp_path / f"message-{number}.hl7"
        path.write_bytes(samples.read(name).replace(b"L240307-0042", f"L240307-{number}".encode()))
        return path

    return write
