"""docs/market.md says what is the case: its gas figures are the measured ones, its tests exist, no state is missing."""

import json
import re
from pathlib import Path

import pytest

from medibridge.chain import ListingState, OrderState, UseDecision

ROOT = Path(__file__).resolve().parents[2]
MARKET = (ROOT / "docs/market.md").read_text("utf-8")
PICTURE = (ROOT / "docs/market-states.svg").read_text("utf-8")
GAS = json.loads((ROOT / "tests/chain/gas/gas.json").read_text("utf-8"))
ROWS = re.findall(r"^\| ([^|]+) \| ([\d ]+) \| (\d+) \|$", MARKET, re.MULTILINE)


def words(name: str) -> str:
    """An enum's member as the contracts spell it."""
    return "".join(part.capitalize() for part in name.split("_"))


@pytest.mark.parametrize(("what", "gas", "slots"), ROWS)
def test_gas_is_what_was_measured(what, gas, slots):
    measured = GAS[what]
    grouped = f"{measured['gas']:,}".replace(",", " ")
    row = f"| {what} | {grouped} | {measured['new slots']} |"
    assert (int(gas.replace(" ", "")), int(slots)) == (measured["gas"], measured["new slots"]), f"write: {row}"


def test_every_step_of_a_sale_has_its_gas():
    told = {what for what, _, _ in ROWS}
    assert len(told) > 20
    assert [verb for verb in ("list", "buy", "deliver", "settle", "refund", "stop", "claim", "prove", "withdraw")
            if not any(what.startswith(verb) for what in told)] == []  # fmt: skip


def test_tests_that_are_named_exist():
    named = set(re.findall(r"`((?:test|invariant)_?\w+)`", MARKET))
    written = set()
    for path in (ROOT / "tests").rglob("*"):
        if path.suffix in {".py", ".sol"}:
            written |= set(re.findall(r"(?:def|function) ((?:test|invariant)\w*)", path.read_text("utf-8")))
    assert len(named) > 50
    assert sorted(named - written) == []


@pytest.mark.parametrize("state", [*OrderState, *ListingState])
def test_every_state_is_in_the_picture_and_in_the_tables(state):
    if state.name != "NONE":
        assert f">{words(state.name)}</text>" in PICTURE
        assert re.search(rf"^\|.*\b{words(state.name)}\b", MARKET, re.MULTILINE)


@pytest.mark.parametrize("decision", UseDecision)
def test_every_reason_of_the_matcher_is_told(decision):
    assert f"| `{words(decision.name)}` |" in MARKET


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", MARKET)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
