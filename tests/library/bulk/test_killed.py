"""A run that is killed at any instant loses nothing and repeats nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

from medibridge import samples
from medibridge.bulk import Shape, convert_folder
from medibridge.formats import Settings

SETTINGS = Settings(source="st-mary")
RUN = """
import sys
from pathlib import Path
from medibridge.bulk import Inline, Processes, Shape, convert_folder
from medibridge.formats import Settings

if __name__ == "__main__":
    source, out, refused, shape, workers = sys.argv[1:]
    summary = convert_folder(
        [Path(source)], Path(out), Settings(source="st-mary"), shape=Shape(shape), quarantine=Path(refused),
        crew=Inline() if workers == "1" else Processes(int(workers)),
        progress=lambda summary: print(summary.jobs, flush=True),
    )
    print("done", summary.unchanged, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "shape"), [(1, Shape.BUNDLE), (2, Shape.BUNDLE), (1, Shape.RESOURCES)])
def test_convert_folder_killed_at_random_points_ends_with_the_same_bytes(folder, outputs, tmp_path, workers, shape):
    source, out, refused = folder(60), tmp_path / "out", tmp_path / "refused"
    lab = samples.read("oru-r01-laboratory.hl7")
    for number in range(3):
        (source / f"cut {number}.hl7").write_bytes(lab[: 12 + number])
    convert_folder([source], tmp_path / "whole", SETTINGS, shape=shape, quarantine=tmp_path / "kept")
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, script, source, out, refused, shape.value, workers]
    chance = random.Random(workers)
    kills = 0
    for _ in range(4):
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # it has begun
        time.sleep(chance.uniform(0, 0.12))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert kills >= 2
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[-1]) > 0, "what was done before is not done again"
    assert outputs(out) == outputs(tmp_path / "whole")
    assert outputs(refused) == outputs(tmp_path / "kept")
    assert not list(out.rglob("*.part"))
    assert not list(refused.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_convert_command_stopped_by_sigterm_ends_cleanly_and_goes_on(folder, outputs, tmp_path, workers):
    source, out = folder(250), tmp_path / "out"
    command = [sys.executable, "-m", "medibridge", "convert", source, "-o", out, "--source", "st-mary"]
    command = [str(word) for word in (*command, "--workers", workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not list(out.rglob("*.report.ndjson")) and process.poll() is None:
        time.sleep(0.01)
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "repeat the command" in told
    assert "Traceback" not in told
    assert not list(out.rglob("*.part"))
    done = len(list(out.rglob("*.report.ndjson")))
    assert 0 < done < 250
    summary = convert_folder([source], out, SETTINGS)
    assert summary.unchanged >= done - 4  # what a worker had published, but nobody had noted yet
    convert_folder([source], tmp_path / "whole", SETTINGS)
    assert outputs(out) == outputs(tmp_path / "whole")
