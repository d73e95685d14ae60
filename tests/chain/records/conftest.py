from __future__ import annotations

from typing import Any

import pytest
from sales import Batch, batch_of


@pytest.fixture
def batch(hospital: Any, patient: Any) -> Batch:
    """Seven records, not yet deposited: a tree with a lone last leaf."""
    return batch_of(hospital, patient, 7)
