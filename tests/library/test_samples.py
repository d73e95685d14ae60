"""Samples: they ship with the package and can be read."""

from __future__ import annotations

import pytest

from medibridge import samples
from medibridge.errors import UsageError
from medibridge.formats import Outcome, Profile, Settings, read


@pytest.mark.parametrize("name", samples.NAMES)
def test_read_gives_bytes_that_medibridge_reads(name):
    profile = Profile.from_yaml(samples.read(samples.PROFILE).decode())
    conversion = read(samples.read(name), settings=Settings(profile=profile))
    assert conversion.records
    assert conversion.report.places(Outcome.INVALID) == ()


def test_samples_are_about_one_patient_whatever_their_format():
    profile = Profile.from_yaml(samples.read(samples.PROFILE).decode())
    ids = {
        name: resource["id"]
        for name in samples.NAMES
        if not name.endswith((".json", "3-bundle.xml"))  # FHIR keeps the ids that it has
        for resource in read(samples.read(name), settings=Settings(profile=profile)).resources
        if resource["resourceType"] == "Patient"
    }
    assert len(set(ids.values())) == 1, ids


@pytest.mark.parametrize("name", ["", "../record.py", "/etc/passwd", "__init__.py"])
def test_read_refuses_other_names(name):
    with pytest.raises(UsageError, match=r"is not a sample; there are adt-a01-admission\.hl7"):
        samples.read(name)
