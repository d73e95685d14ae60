"""Messages of others, where they lie beside the repository: read or refused with reason, complete, valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from medibridge.errors import FormatError, UsageError
from medibridge.formats import Outcome, deidentify, read
from medibridge.formats.fhir import validate
from medibridge.formats.hl7v2.message import parse

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
FILES = sorted(
    path
    for pattern in ("microsoft-fhir-converter/hl7v2/*.hl7", "cdc-mapping-inventory/*/*.hl7", "synthea-r4/*.json")
    for path in SHARED.glob(pattern)
)
READ = ("ADT-A01-02.hl7", "ADT-A08-01.hl7")

pytestmark = pytest.mark.skipif(not FILES, reason="the samples of others are not beside the repository")


def test_read_reads_the_messages_that_it_says_it_reads():
    for path in FILES:
        if path.name in READ or path.suffix == ".json":
            assert read(path.read_bytes()).records, path.name


def test_read_reports_every_value_and_gives_valid_records_or_refuses_in_one_sentence():
    for path in FILES:
        data = path.read_bytes()
        try:
            conversion = read(data)
        except FormatError as problem:
            assert "\n" not in str(problem), path.name
            continue
        if path.suffix == ".hl7":
            valued = [str(place) for segment in parse(data).segments for place, _ in segment.values()]
            reported = [found.place for found in conversion.report.findings if found.outcome is not Outcome.DEFAULT]
            assert reported == valued, path.name
        for record in conversion.records:
            assert validate(record.to_bundle()) == (), path.name
            try:
                twin = deidentify(record)
            except UsageError:
                continue
            assert validate(twin.to_bundle()) == (), path.name
