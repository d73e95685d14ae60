"""A dataset of invented patients, built once for each policy."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))

pytest.importorskip("duckdb")

from patients import bundles

from medibridge.datasets import Terms, build
from medibridge.formats.deidentification import POLICIES, Policy
from medibridge.record import canonical_json

KEY = bytes(range(32))


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """150 patients, one transaction Bundle a line."""
    path = tmp_path_factory.mktemp("source") / "patients.ndjson"
    path.write_bytes(b"".join(canonical_json(bundle) + b"\n" for bundle in bundles(150, seed=3)))
    return path


@pytest.fixture(scope="session")
def built(source, tmp_path_factory):
    """A function that gives the folder and the report of a policy's dataset."""
    made = {}

    def of(policy):
        if policy not in made:
            out = tmp_path_factory.mktemp("built") / policy
            made[policy] = (out, build(source, out, Terms(Policy.named(policy), KEY, as_of=2026)))
        return made[policy]

    return of


@pytest.fixture(params=POLICIES)
def policy(request):
    return request.param


@pytest.fixture(scope="session")
def resources_in():
    """A function that gives the resources of a dataset's folder."""

    def read(out):
        return [
            json.loads(line) for path in sorted((out / "ndjson").iterdir()) for line in path.read_bytes().splitlines()
        ]

    return read
