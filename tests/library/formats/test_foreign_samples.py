"""Messages of others, where they lie beside the repository: read, complete, valid, and little of them lost."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medibridge.errors import FormatError, UsageError
from medibridge.formats import Outcome, deidentify, read
from medibridge.formats.fhir import validate
from medibridge.formats.hl7v2.message import parse
from medibridge.record import canonical_json

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
MICROSOFT = sorted(SHARED.glob("microsoft-fhir-converter/hl7v2/*.hl7"))
CDC = sorted(SHARED.glob("cdc-mapping-inventory/**/*.hl7"))
SYNTHEA = sorted(SHARED.glob("synthea-r4/*.json"))
FILES = [*MICROSOFT, *CDC, *SYNTHEA]

pytestmark = pytest.mark.skipif(not FILES, reason="the samples of others are not beside the repository")


def test_every_message_of_others_is_read_in_full_and_valid():
    for path in [*MICROSOFT, *CDC]:
        data = path.read_bytes()
        conversion = read(data)
        valued = [found.place for found in parse(data).report().findings]
        reported = [found.place for found in conversion.report.findings if found.outcome is not Outcome.DEFAULT]
        assert reported == valued, path.name
        assert validate(conversion.to_bundle("collection")) == (), path.name


def test_the_same_messages_give_the_same_bytes_whatever_was_read_before():
    first = {path: canonical_json(read(path.read_bytes()).to_bundle()) for path in [*MICROSOFT, *CDC]}
    for path in reversed(first):
        assert canonical_json(read(path.read_bytes()).to_bundle()) == first[path], path.name


def test_the_values_of_the_messages_stand_in_the_resources():
    kept = total = 0
    for path in MICROSOFT:
        data = path.read_bytes()
        text = json.dumps(read(data).to_bundle(), ensure_ascii=False, default=str)
        digits = re.sub(r"[-:T]", "", text)
        values = [leaf.text for segment in parse(data).segments for part in parts_of(segment) for leaf in part.leaves()]
        kept += sum(json.dumps(value, ensure_ascii=False)[1:-1] in text or value[:8] in digits for value in values)
        total += len(values)
    assert kept / total >= 0.9 or not MICROSOFT


def parts_of(segment: Any) -> Iterator[Any]:
    for repetitions in segment.fields.values():
        yield from repetitions


def test_most_of_what_others_make_of_the_messages_is_made_here_too():
    shared = total = 0
    for path in CDC:
        expected = json.loads(path.with_suffix(".fhir").read_text("utf-8"))
        wanted = Counter(leaves([entry["resource"] for entry in expected["entry"]]))
        shared += (wanted & Counter(leaves(read(path.read_bytes()).resources))).total()
        total += wanted.total()
    assert shared / total >= 0.6 or not CDC


def leaves(resources: Any) -> Iterator[tuple[str, str]]:
    """Path without positions and value, of all but ids, references, meta, extensions and Provenance."""
    for resource in resources:
        if resource["resourceType"] != "Provenance":
            yield from _leaves(resource, resource["resourceType"])


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, (str, bool, int)) or not hasattr(value, "__iter__"):
        yield path, str(value)
    elif hasattr(value, "items"):
        for key, child in value.items():
            if key not in ("id", "reference", "meta", "extension", "resourceType") and key[0] != "_":
                yield from _leaves(child, f"{path}.{key}")
    else:
        for child in value:
            yield from _leaves(child, path)


def test_read_gives_valid_records_or_refuses_in_one_sentence():
    for path in FILES:
        try:
            conversion = read(path.read_bytes())
        except FormatError as problem:
            assert "\n" not in str(problem), path.name
            continue
        for record in conversion.records:
            assert validate(record.to_bundle()) == (), path.name
            try:
                twin = deidentify(record)
            except UsageError:
                continue
            assert validate(twin.to_bundle()) == (), path.name
