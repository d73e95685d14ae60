"""A command that was stopped half way: repeating it completes the work and duplicates nothing."""

from dataclasses import replace

import pytest
from command_line import CommandLine

from medibridge import MemoryStore
from medibridge.cli import app
from medibridge.cli.door import EXIT_CODES
from medibridge.errors import StoreUnreachable, TransactionLost


class FailsAfter(MemoryStore):
    """A store that fails once it has taken so many blocks."""

    def __init__(self, blocks, count):
        super().__init__(blocks)
        self.left = count

    def put_many(self, blocks):
        return [self.put(block) for block in blocks]

    def put(self, block):
        if self.left == 0:
            raise StoreUnreachable("the disk is full; make room")
        self.left -= 1
        return super().put(block)


class Stops:
    """A chain that is stopped before it sends anything."""

    def __init__(self, chain, error):
        self._chain, self._error = chain, error

    def __getattr__(self, name):
        return getattr(self._chain, name)

    def send(self, account, call):
        raise self._error


def laboratory(run):
    listed = run("patient", "records", key="iris", json=True).document
    return {each["record"] for each in listed if each["class"] == "laboratory"}


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_deposit_completes_after_a_store_failed_in_the_middle(town, message, count):
    run, path = town.run, message(f"full-{count}")
    broken = CommandLine(run.home, replace(run.surroundings, directory=lambda path: FailsAfter(town.blocks, count)))
    before = laboratory(run)
    failed = broken("hospital", "deposit", path, "--patient", "iris", key="rowan", code=5)
    assert "make room" in failed.err
    assert laboratory(run) == before
    done = run("hospital", "deposit", path, "--patient", "iris", key="rowan", json=True).document[0]
    assert not done["repeated"]
    again = run("hospital", "deposit", path, "--patient", "iris", key="rowan", json=True).document[0]
    assert again["repeated"]
    assert laboratory(run) == before | set(done["records"])
    assert len(done["records"]) == 2


@pytest.mark.parametrize("error", [TransactionLost("not mined; look again"), KeyboardInterrupt()])
def test_deposit_completes_after_a_stop_between_blocks_and_transaction(town, message, error):
    run, path = town.run, message(f"stop-{type(error).__name__}")
    stopped = CommandLine(run.home, replace(run.surroundings, connect=lambda url: Stops(town.chain, error)))
    before, blocks = laboratory(run), len(town.blocks)
    code = 130 if isinstance(error, KeyboardInterrupt) else EXIT_CODES[TransactionLost.__mro__[1]]
    told = stopped("hospital", "deposit", path, "--patient", "iris", key="rowan", code=code)
    assert told.err.startswith("medibridge: ")
    assert laboratory(run) == before
    kept = len(town.blocks)
    assert kept > blocks
    done = run("hospital", "deposit", path, "--patient", "iris", key="rowan", json=True).document[0]
    assert len(town.blocks) == kept, "what was sealed before is what is deposited now"
    assert laboratory(run) == before | set(done["records"])


def test_deposit_of_several_files_goes_on_where_it_stopped(town, message):
    run, files = town.run, [message("first"), message("second")]
    run("hospital", "deposit", files[0], "--patient", "iris", key="rowan")
    told = run("hospital", "deposit", *files, "--patient", "iris", key="rowan", json=True).document
    assert [each["repeated"] for each in told] == [True, False]


def test_interrupt_is_a_sentence_and_code_130(town, message):
    stopped = replace(town.run.surroundings, connect=lambda url: Stops(town.chain, KeyboardInterrupt()))
    run = CommandLine(town.run.home, stopped)
    told = run("patient", "revoke", "lakeside", key="iris", code=130, json=True)
    assert told.document["error"] == "Interrupted"
    assert "repeat the command" in told.document["message"]


def test_fault_of_the_program_tells_its_place_and_not_its_text(town):
    class Faulty:
        def __getattr__(self, name):
            raise ZeroDivisionError("Iris Fernhollow")

    from typer.testing import CliRunner

    around = replace(town.run.surroundings, connect=lambda url: Faulty())
    result = CliRunner().invoke(app, ["patient", "records", "--home", str(town.run.home)], obj=around)
    assert result.exit_code == 1
    assert "ZeroDivisionError in __getattr__" in result.stderr
    assert "Fernhollow" not in result.output
