"""Profile.from_yaml: what a site writes, and clear words where it is wrong."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge.errors import UsageError
from medibridge.formats import Profile
from medibridge.formats.settings import Coding

WHOLE = """
zone: Europe/Vienna
authorities:
  ADT1: urn:oid:1.2.40.0.34.1
codes:
  99LAB:
    007: {system: "http://loinc.org", code: 2345-7, display: Glucose}
    no: {system: "http://loinc.org", code: 718-7}
units:
  K/uL: 10*3/uL
segments:
  ZPI:
    3: Patient.generalPractitioner.display
tables:
  - kind: laboratory
    columns: {PID: patient.identifier}
"""


def test_from_yaml_reads_every_part_as_it_is_written():
    profile = Profile.from_yaml(WHOLE)
    assert profile.zone == "Europe/Vienna"
    assert profile.authorities == {"ADT1": "urn:oid:1.2.40.0.34.1"}
    assert profile.codes["99LAB"] == {
        "007": Coding("http://loinc.org", "2345-7", "Glucose"),
        "no": Coding("http://loinc.org", "718-7"),
    }
    assert profile.units == {"K/uL": "10*3/uL"}
    assert profile.segments == {"ZPI": {3: "Patient.generalPractitioner.display"}}
    assert profile.tables == ({"kind": "laboratory", "columns": {"PID": "patient.identifier"}},)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "zone:\n"])
def test_from_yaml_gives_the_default_when_nothing_is_said(text):
    assert Profile.from_yaml(text) == Profile()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("zone: Mars/Olympus", r"the profile, zone is no IANA time zone"),
        ("zone: ../../etc/passwd", r"zone is no IANA time zone"),
        ("zonne: Europe/Vienna", r"a part 'zonne' that is not known; known are zone, authorities"),
        ("authorities: [a]", r"the profile, authorities is not a list of 'name: value' lines"),
        ("authorities: {A: }", r"authorities, A is not a text"),
        ("codes: {L: {G: {system: x}}}", r"codes, L, G needs a system and a code"),
        ("codes: {L: {G: {system: x, code: y, colour: z}}}", r"codes, L, G needs a system and a code"),
        ("segments: {ZPI: {x: Patient.id}}", r"segments, ZPI has a field that is no number"),
        ("segments: {ZPI: {0: Patient.id}}", r"segments, ZPI has a field that is no number"),
        ("tables: {a: b}", r"tables is not a list"),
        ("a: [", r"is not YAML at line 1, column 5"),
        ("a: b: c", r"is not YAML at line 1"),
        ("- a", r"the profile is not a list of 'name: value' lines"),
        ("units: &all {a: b}\nauthorities: *all", r"uses YAML aliases"),
        ("a: \0", r"is not YAML"),
        ("[" * 5000, r"nested deeper than 20"),
        ("x" * (5 << 20), r"longer than 4 MiB"),
    ],
    ids=lambda value: value[:25],
)
def test_from_yaml_names_the_place_when_the_profile_is_wrong(text, words):
    with pytest.raises(UsageError, match=words):
        Profile.from_yaml(text)


@given(st.text(alphabet="ab:-{}[]&*!|>'\"#%@`?, \n\t0", max_size=60))
def test_from_yaml_reads_or_refuses_whatever_comes(text):
    with contextlib.suppress(UsageError):
        Profile.from_yaml(text)
