"""Folders to convert."""

from __future__ import annotations

import pytest

from medibridge import samples

SAMPLES = (
    "adt-a01-admission.hl7",
    "oru-r01-laboratory.hl7",
    "ras-o17-administration.hl7",
    "rde-o11-prescription.hl7",
    "r4-bundle-visit.json",
)


def numbered(name: str, number: int) -> bytes:
    """A sample with numbers of its own."""
    data = samples.read(name)
    return data.replace(b"L240307-0042", b"L240307-%04d" % number).replace(b"4711", b"%04d" % (4711 + number))


@pytest.fixture
def folder(tmp_path):
    """A function that makes a folder of so many different good files, in two levels."""

    def make(count, name="in"):
        made = tmp_path / name
        for number in range(count):
            sample = SAMPLES[number % len(SAMPLES)]
            path = made / f"ward {number % 3}" / f"{number:03}-{sample}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(numbered(sample, number))
        return made

    return make


def outputs(out):
    """Every output by its name; not what the journal's folder holds."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".medibridge" not in path.parts
    }


@pytest.fixture(name="outputs")
def outputs_(tmp_path):
    return outputs
