"""A refusal names its error and its values: only `refusals.reverts` may say how Brownie shows one."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_no_test_says_only_that_it_reverts():
    bare = re.compile(r"\b(brownie|pytest)\.reverts\b|from brownie import .*\breverts\b")
    offenders = [
        path.relative_to(HERE).as_posix()
        for path in HERE.rglob("*.py")
        if path.name not in {"refusals.py", Path(__file__).name} and bare.search(path.read_text())
    ]
    assert offenders == []
