"""Source: which files there are, which resources, whom they are about, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from medibridge.datasets import source as reading
from medibridge.datasets.source import Source, files_in
from medibridge.errors import UsageError
from medibridge.record import canonical_json

PATIENT = {"resourceType": "Patient", "id": "p"}
PROSE = b"these are words"


def bundle(*entries):
    return {"resourceType": "Bundle", "type": "collection", "entry": list(entries)}


def found_in(tmp_path, *lines, name="source.ndjson"):
    path = tmp_path / name
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else canonical_json(line) for line in lines))
    source = Source((path,))
    return list(source), source


def test_files_in_takes_the_fhir_of_folders_sorted_and_no_reports(tmp_path):
    for name in ("b.ndjson", "a.json", "c.jsonl", "b.report.ndjson", "d.txt"):
        (tmp_path / name).write_bytes(b"{}")
    assert [path.name for path in files_in([tmp_path])] == ["a.json", "b.ndjson", "c.jsonl"]
    assert files_in([tmp_path / "d.txt", tmp_path / "d.txt"]) == (tmp_path / "d.txt",)


def test_files_in_refuses_what_is_not_there_and_folders_without_fhir(tmp_path):
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        files_in([tmp_path / "gone"])
    with pytest.raises(UsageError, match=r"no FHIR here.*\.ndjson"):
        files_in([tmp_path])


def test_source_gives_resources_of_lines_with_their_key_and_patient(tmp_path):
    condition = {"resourceType": "Condition", "id": "c", "subject": {"reference": "http://x.org/Patient/p/_history/2"}}
    (patient, about), source = found_in(tmp_path, b"\xef\xbb\xbf" + canonical_json(PATIENT), b"  ", condition)
    assert (patient.key, patient.patient) == ("Patient/p", "Patient/p")
    assert (about.key, about.patient) == ("Condition/c", "Patient/p")
    assert about.resolve("urn:uuid:1") is None
    assert (source.refused, source.size) == (0, (tmp_path / "source.ndjson").stat().st_size - 3)


def test_source_resolves_the_urls_of_a_bundle_and_takes_its_only_patient(tmp_path):
    url = "urn:uuid:0f1e2d3c"
    about = {"resourceType": "Observation", "id": "o", "subject": {"reference": url}}
    silent = {"resourceType": "Observation", "id": "s"}
    entries = ({"fullUrl": url, "resource": {"resourceType": "Patient"}}, {"resource": about}, {"resource": silent})
    (patient, told, untold), _ = found_in(tmp_path, bundle(*entries, {"request": {}}, "no entry"))
    assert patient.key == f"Patient/{hashlib.sha256(url.encode()).hexdigest()}"
    assert told.patient == untold.patient == patient.key
    assert told.resolve(url) == patient.key


def test_source_says_of_nobody_what_a_bundle_of_two_patients_does_not_say(tmp_path):
    other = {"resourceType": "Patient", "id": "q"}
    silent = {"resourceType": "Observation", "id": "o", "subject": {"display": "x"}}
    odd = {"resourceType": "Observation", "id": "w", "subject": {"reference": "Group/g"}, "patient": "Patient/p"}
    found, _ = found_in(tmp_path, bundle(*({"resource": one} for one in (PATIENT, other, silent, odd))))
    assert [one.patient for one in found] == ["Patient/p", "Patient/q", "", ""]


def test_source_names_a_resource_without_an_id_by_its_content(tmp_path):
    nameless = {"resourceType": "Patient", "id": "not an id"}
    (found,), _ = found_in(tmp_path, nameless, name="one.json")
    assert found.key == f"Patient/{hashlib.sha256(canonical_json(nameless)).hexdigest()}"


@pytest.mark.parametrize(
    "line",
    [PROSE, b"[1]", b'{"resourceType": "Bundle"}', b'{"resourceType": "Bundle", "entry": {}}', b'{"id": "x"}',
     b'{"resourceType": "not a type", "id": "x"}', b'{"resourceType": "Bundle", "entry": [{"resource": {}}]}'],
)  # fmt: skip
def test_source_counts_what_is_no_fhir_and_goes_on(tmp_path, line):
    (found,), source = found_in(tmp_path, line, PATIENT)
    assert found.key == "Patient/p"
    assert source.refused == 1


def test_source_refuses_lines_and_files_that_are_too_long_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LINE", 64)
    long = {"resourceType": "Patient", "id": "long", "name": [{"text": "x" * 40}]}
    found, source = found_in(tmp_path, long, PATIENT)
    assert [one.key for one in found] == ["Patient/p"]
    assert source.refused == 1
    found, source = found_in(tmp_path, long, name="long.json")
    assert (found, source.refused) == ([], 1)


def test_source_refuses_a_line_of_many_times_the_limit_once(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LINE", 64)
    found, source = found_in(tmp_path, b'{"x": "' + b"y" * 500 + b'"}', PATIENT)
    assert [one.key for one in found] == ["Patient/p"]
    assert source.refused == 1


def test_source_says_that_a_file_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        list(Source((tmp_path,)))
    with pytest.raises(UsageError, match="cannot be read"):
        list(Source((tmp_path / "gone.ndjson",)))
