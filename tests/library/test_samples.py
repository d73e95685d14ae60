"""Samples: they ship with the package and can be read."""

from __future__ import annotations

import pytest

from medibridge import samples
from medibridge.errors import UsageError
from medibridge.formats import read


@pytest.mark.parametrize("name", samples.NAMES)
def test_read_gives_bytes_that_medibridge_reads(name):
    assert read(samples.read(name)).records


@pytest.mark.parametrize("name", ["", "../record.py", "/etc/passwd", "__init__.py"])
def test_read_refuses_other_names(name):
    with pytest.raises(UsageError, match=r"is not a sample; there are adt-a01-admission\.hl7"):
        samples.read(name)
