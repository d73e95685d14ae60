"""each: in any order, every item once, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from medibridge.bulk.crews import Inline, Lost, Processes, each


@pytest.mark.parametrize("crew", [Inline(), Processes(2)])
def test_each_gives_every_item_with_its_result(crew):
    assert sorted(each(abs, range(-20, 0), crew)) == [(number, -number) for number in range(-20, 0)]
    assert list(each(abs, [], crew)) == []


def test_each_takes_no_more_items_than_the_crew_has_in_hand():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    for count, _ in enumerate(each(abs, items(), Inline()), 1):
        assert len(taken) <= count + 1


def test_each_gives_back_the_one_item_that_kills_its_worker_and_does_the_others():
    quiet, deadly = int(signal.SIGCHLD), int(signal.SIGKILL)
    found = list(each(signal.raise_signal, [quiet, quiet, deadly, quiet, quiet, quiet], Processes(2)))
    assert len(found) == 6
    assert [item for item, result in found if isinstance(result, Lost)] == [deadly]


def test_each_gives_up_on_every_item_that_kills_its_worker():
    assert all(isinstance(result, Lost) for _, result in each(os._exit, [1, 2, 3], Processes(1)))


@pytest.mark.parametrize("crew", [Inline(), Processes(1)])
def test_each_raises_what_the_work_raises_and_stops(crew):
    stopped = []
    with pytest.raises(ValueError, match="invalid literal"):
        list(each(int, ["1", "x", "2"], crew, lambda: stopped.append(True)))
    assert stopped == [True]


def test_each_that_is_left_stops_what_is_not_begun():
    stopped = []
    with closing(each(abs, range(100), Inline(), lambda: stopped.append(True))) as results:
        assert next(results) == (0, 0)
    assert stopped == [True]


def test_processes_end_when_the_process_that_began_them_is_killed(tmp_path):
    """Else a worker of a run that is gone would write into the folder of the next."""
    script = tmp_path / "run.py"
    script.write_text(
        "import os, time\n"
        "from medibridge.bulk import Processes\n"
        "if __name__ == '__main__':\n"
        "    with Processes(1).hire() as executor:\n"
        "        print(executor.submit(os.getpid).result(), flush=True)\n"
        "        executor.submit(time.sleep, 60).result()\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    worker = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(200):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if "Z" in Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]:
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker lives on")
