"""Everybody of the story, fresh for each test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))

from world import World


@pytest.fixture(scope="session")
def only_world() -> World:
    """The one world of the session. A property test calls its `fresh` for every example."""
    return World()


@pytest.fixture
def world(only_world: World) -> World:
    return only_world.fresh()
