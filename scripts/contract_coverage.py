"""Run the Solidity tests with every line and branch of the contracts counted; fail unless all are reached.

A branch that nothing can reach says so and why in the comment above it, which begins with "Unreachable:".
Whether the tests pass is not asked here: forge compiles for this without its optimizer, so that limits of gas (tests
named ``costs``) do not hold.

    python scripts/contract_coverage.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LEFT_OUT = "^(node_modules|contracts/mocks|tests)/"


@dataclass(frozen=True)
class Spot:
    """A line, or one way that a branch on it can go."""

    file: str
    line: int
    branch: str
    reached: bool


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "lcov.info"
        run_tests(report)
        if not report.is_file():
            sys.exit("forge wrote no report of what the tests reach")
        spots = list(spots_of(report.read_text()))
    missed = [spot for spot in spots if not spot.reached and not is_answered(spot)]
    for spot in missed:
        print(f"{spot.file}:{spot.line}: {spot.branch or 'line'} is not reached")
    print(f"{len(spots) - len(missed)} of {len(spots)} lines and branches of the contracts are reached")
    sys.exit(bool(missed) or not spots)


def run_tests(report: Path) -> None:
    command = [
        "forge",
        "coverage",
        "--no-match-test",
        "costs",
        "--no-match-coverage",
        LEFT_OUT,
        "--report",
        "lcov",
        "--report-file",
        str(report),
    ]
    environment = {**os.environ, "FOUNDRY_PROFILE": "coverage"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    for line in (done.stdout + done.stderr).splitlines():
        if re.match(r"\[FAIL|Error|Ran \d+ test suites", line):
            print(line)


def is_answered(spot: Spot) -> bool:
    above = (PROJECT / spot.file).read_text().splitlines()[spot.line - 2]
    return bool(spot.branch) and above.strip().startswith("// Unreachable:")


def spots_of(lcov: str) -> Iterator[Spot]:
    """What an lcov report counts: DA:line,times and BRDA:line,block,way,times ("-" where never asked)."""
    file = ""
    for record in lcov.splitlines():
        kind, _, rest = record.partition(":")
        values = rest.split(",")
        if kind == "SF":
            file = rest
        elif kind == "DA":
            yield Spot(file, int(values[0]), "", int(values[1]) > 0)
        elif kind == "BRDA":
            line, block, way, times = values
            yield Spot(file, int(line), f"branch {block}, way {way},", times not in {"-", "0"})


if __name__ == "__main__":
    main()
