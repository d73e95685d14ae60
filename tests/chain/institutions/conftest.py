from __future__ import annotations

from typing import Any

import pytest
from sales import digest


@pytest.fixture
def clinic(stranger: Any) -> Any:
    """An account that is not enrolled."""
    return stranger


@pytest.fixture
def profile() -> bytes:
    return digest("profile")
