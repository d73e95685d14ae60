"""The demo: every outcome is tried, so what it prints is what is the case."""

import json
import time

import pytest
from typer.testing import CliRunner

from medibridge.cli import app
from medibridge.cli.story import CHAPTERS


@pytest.fixture(scope="module")
def played():
    began = time.monotonic()
    result = CliRunner().invoke(app, ["demo", "--json"])
    assert result.exit_code == 0, result.output
    assert time.monotonic() - began < 30
    return json.loads(result.stdout), result.stderr


def test_demo_tells_who_can_read_what(played):
    told, _ = played
    rows = {row.pop("record"): row for row in told["readings"]}
    everybody = {"patient": "reads", "Rowan": "reads", "Lakeside, revoked": "not permitted"}
    shut_out = {"with its old keys": "no key", "buyer": "no key"}
    assert rows == {
        "lab result": everybody | {"Lakeside, granted": "reads", "with its old keys": "reads", "buyer": "no key"},
        "prescription": everybody | shut_out | {"Lakeside, granted": "not permitted"},
        "admission": everybody | shut_out | {"Lakeside, granted": "not permitted"},
        "lab result, de-identified": everybody
        | {"Lakeside, granted": "reads", "with its old keys": "reads", "buyer": "reads"},
        "later lab result": everybody | shut_out | {"Lakeside, granted": "not there yet"},
    }


def test_demo_tells_each_step_and_its_gas(played):
    told, prose = played
    assert len(told["steps"]) == 1 + sum(len(chapter.steps) for chapter in CHAPTERS)
    gas = {step["step"]: step["gas"] for step in told["steps"]}
    assert 20_000 < gas["The patient revokes Lakeside's access"] < 60_000
    assert gas["The patient lists the records and reads"] == 0
    assert told["gas"] == sum(gas.values())
    assert "The patient revokes Lakeside's access" in prose
    outcomes = {step["step"]: step["outcome"] for step in told["steps"]}
    [flipped] = [text for step, text in outcomes.items() if "flips one bit" in step]
    assert "noticed and named" in flipped
    assert "bafkrei" in flipped
