"""convert_folder: what is written, what is refused, what is done again."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace

import pytest

from medibridge import samples
from medibridge.bulk import Processes, Reports, Shape, convert_folder
from medibridge.bulk.crews import _AtOnce
from medibridge.errors import UsageError
from medibridge.formats import Settings, read
from medibridge.record import canonical_json

SETTINGS = Settings(source="st-mary")
LAB = samples.read("oru-r01-laboratory.hl7")
HEALTH = (b"Fernhollow", b"Iris", b"4711", b"72.50", b"Glucose")


def test_convert_folder_writes_a_bundle_and_a_report_for_each_file(folder, outputs, tmp_path):
    summary = convert_folder([folder(5)], tmp_path / "out", SETTINGS)
    found = outputs(tmp_path / "out")
    assert len(found) == 10
    assert (summary.jobs, summary.messages, summary.refused, summary.unchanged) == (5, 5, 0, 0)
    name = "ward 1/001-oru-r01-laboratory.hl7"
    (line,) = found[f"{name}.ndjson"].splitlines()
    assert json.loads(line)["type"] == "transaction"
    (told,) = map(json.loads, found[f"{name}.report.ndjson"].splitlines())
    assert told["format"] == "HL7 v2.5.1 ORU^R01"
    assert told["outcomes"]["mapped"] > 50
    assert all(finding["outcome"] != "mapped" for finding in told["findings"])
    assert all(value not in found[f"{name}.report.ndjson"] for value in HEALTH)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_convert_folder_gives_what_read_gives(folder, outputs, tmp_path):
    source = folder(2)
    convert_folder([source], tmp_path / "out", SETTINGS)
    path = next(source.rglob("*laboratory*"))
    name = f"{path.relative_to(source)}.ndjson"

    assert (
        outputs(tmp_path / "out")[name]
        == canonical_json(read(path.read_bytes(), settings=SETTINGS).to_bundle()) + b"\n"
    )


def test_convert_folder_writes_operation_outcomes_when_asked(folder, outputs, tmp_path):
    source = folder(1)
    (source / "bad.hl7").write_bytes(LAB[:12])
    convert_folder([source], tmp_path / "out", SETTINGS, reports=Reports.OPERATION_OUTCOME)
    reports = [json.loads(data) for name, data in outputs(tmp_path / "out").items() if name.endswith("report.ndjson")]
    assert {report["resourceType"] for report in reports} == {"OperationOutcome"}
    assert {issue["severity"] for report in reports for issue in report["issue"]} >= {"error"}


def test_convert_folder_refuses_a_broken_file_and_converts_the_others(folder, outputs, tmp_path):
    source = folder(3)
    (source / "cut.hl7").write_bytes(LAB[:12])
    (source / "picture.pdf").write_bytes(b"%PDF-1.7 Iris Fernhollow")
    (source / "empty").write_bytes(b"")
    summary = convert_folder([source], tmp_path / "out", SETTINGS, quarantine=tmp_path / "refused")
    assert (summary.jobs, summary.messages, summary.refused) == (6, 3, 3)
    assert summary.reasons.total() == 3
    found = outputs(tmp_path / "out")
    assert "cut.hl7.ndjson" not in found
    told = json.loads(found["cut.hl7.report.ndjson"])
    assert told["refused"] == "MalformedMessage"
    kept = outputs(tmp_path / "refused")
    assert kept["picture.pdf.quarantine"] == b"%PDF-1.7 Iris Fernhollow"
    assert kept["cut.hl7.quarantine"] == LAB[:12]
    assert json.loads(kept["picture.pdf.quarantine.json"])["error"] == "UnknownFormat"
    assert stat.S_IMODE((tmp_path / "refused" / "cut.hl7.quarantine").stat().st_mode) == 0o600
    listed = (tmp_path / "out" / ".medibridge" / "refused.txt").read_text().splitlines()
    assert listed == ["cut.hl7", "empty", "picture.pdf"]


def test_convert_folder_takes_a_piece_out_of_quarantine_once_its_file_is_mended(folder, outputs, tmp_path):
    source = folder(1)
    (source / "one.hl7").write_bytes(LAB[:12])
    convert_folder([source], tmp_path / "out", SETTINGS, quarantine=tmp_path / "refused")
    (source / "one.hl7").write_bytes(LAB)
    summary = convert_folder([source], tmp_path / "out", SETTINGS, quarantine=tmp_path / "refused")
    assert (summary.messages, summary.refused, summary.unchanged) == (2, 0, 1)
    assert outputs(tmp_path / "refused") == {}
    assert not (tmp_path / "out" / ".medibridge" / "refused.txt").exists()


def test_convert_folder_does_nothing_again_when_nothing_changed(folder, outputs, tmp_path):
    source, out = folder(4), tmp_path / "out"
    (source / "bad").write_bytes(b"%PDF")
    first = convert_folder([source], out, SETTINGS)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.ndjson")}
    again = convert_folder([source], out, SETTINGS)
    assert (again.unchanged, again.jobs, again.messages, again.refused) == (5, 5, first.messages, 1)
    assert again.outcomes == first.outcomes
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.ndjson")} == times


def test_convert_folder_does_again_what_changed_and_only_that(folder, outputs, tmp_path):
    source, out = folder(4), tmp_path / "out"
    convert_folder([source], out, SETTINGS)
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    os.utime(paths[0])  # touched, not changed
    paths[1].write_bytes(LAB.replace(b"0042", b"0043"))
    next(out.rglob(f"{paths[2].name}.ndjson")).unlink()
    assert convert_folder([source], out, SETTINGS).unchanged == 2
    convert_folder([source], tmp_path / "fresh", SETTINGS)
    assert outputs(out) == outputs(tmp_path / "fresh")
    assert convert_folder([source], out, SETTINGS).unchanged == 4
    assert convert_folder([source], out, replace(SETTINGS, source="other")).unchanged == 0


def test_convert_folder_quarantines_what_an_earlier_run_without_quarantine_refused(folder, outputs, tmp_path):
    source = folder(2)
    (source / "bad").write_bytes(b"%PDF")
    convert_folder([source], tmp_path / "out", SETTINGS)
    summary = convert_folder([source], tmp_path / "out", SETTINGS, quarantine=tmp_path / "refused")
    assert summary.unchanged == 2
    kept = {"bad.quarantine", "bad.quarantine.json"}
    assert set(outputs(tmp_path / "refused")) == kept
    os.utime(source / "bad")  # touched, not changed
    assert convert_folder([source], tmp_path / "out", SETTINGS, quarantine=tmp_path / "refused").unchanged == 3
    assert set(outputs(tmp_path / "refused")) == kept


def test_convert_folder_writes_the_same_bytes_with_processes(folder, outputs, tmp_path):
    source = folder(12)
    (source / "bad.hl7").write_bytes(LAB[:12])
    one = convert_folder([source], tmp_path / "one", SETTINGS)
    two = convert_folder([source], tmp_path / "two", SETTINGS, crew=Processes(2))
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")
    assert replace(one, seconds=0) == replace(two, seconds=0)


class Deadly(_AtOnce):
    """Its worker dies of some jobs."""

    def submit(self, work, order):
        if "deadly" not in order.job.name:
            return super().submit(work, order)
        future = Future()
        future.set_exception(BrokenProcessPool())
        return future


class DeadlyCrew:
    size = 1
    hired = 0

    @contextmanager
    def hire(self):
        self.hired += 1
        yield Deadly()


def test_convert_folder_refuses_a_file_of_which_a_worker_dies_twice(folder, outputs, tmp_path):
    source = folder(3)
    (source / "deadly.hl7").write_bytes(LAB)
    crew = DeadlyCrew()
    summary = convert_folder([source], tmp_path / "out", SETTINGS, crew=crew, quarantine=tmp_path / "refused")
    assert (tmp_path / "refused" / "deadly.hl7.quarantine").read_bytes() == LAB
    assert crew.hired == 3, "all together, the deadly one alone, the rest"
    assert (summary.jobs, summary.messages, summary.refused) == (4, 3, 1)
    assert "died, twice" in next(iter(summary.reasons))
    assert b"died, twice" in outputs(tmp_path / "out")["deadly.hl7.report.ndjson"]
    assert convert_folder([source], tmp_path / "out", SETTINGS).messages == 4, "it is tried again by the next run"


def test_convert_folder_removes_what_a_killed_run_left(folder, outputs, tmp_path):
    source, out = folder(2), tmp_path / "out"
    convert_folder([source], out, SETTINGS)
    before = outputs(out)
    (out / "ward 0" / ".medibridge-abc.part").write_bytes(b"half")
    assert convert_folder([source], out, SETTINGS).leftovers == 1
    assert outputs(out) == before


def test_convert_folder_refuses_a_second_run_into_the_same_folder(folder, tmp_path):
    source, out = folder(2), tmp_path / "out"

    def second(summary):
        with pytest.raises(UsageError, match="another run"):
            convert_folder([source], out, SETTINGS)

    assert convert_folder([source], out, SETTINGS, progress=second).messages == 2


def test_convert_folder_keeps_what_is_done_when_it_is_interrupted(folder, outputs, tmp_path):
    source, out = folder(6), tmp_path / "out"

    def stop(summary):
        if summary.jobs == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_folder([source], out, SETTINGS, progress=stop)
    assert not list(out.rglob("*.part"))
    assert convert_folder([source], out, SETTINGS).unchanged == 3


def test_convert_folder_tells_that_the_disk_refuses(folder, tmp_path):
    out = tmp_path / "out"
    convert_folder([folder(1)], out, SETTINGS)
    (out / "ward 1").write_bytes(b"a file where a folder must be")
    with pytest.raises(UsageError, match="cannot be written"):
        convert_folder([folder(2)], out, SETTINGS)


def test_convert_folder_makes_one_file_for_each_resource_type_with_the_last_of_each(folder, outputs, tmp_path):
    source = folder(5)
    early, late = LAB, LAB.replace(b"Fernhollow", b"Fernbrook")
    (source / "x1.hl7").write_bytes(early)
    (source / "x2.hl7").write_bytes(late)
    convert_folder([source], tmp_path / "out", SETTINGS, shape=Shape.RESOURCES)
    convert_folder([source], tmp_path / "two", SETTINGS, shape=Shape.RESOURCES, crew=Processes(2))
    found = outputs(tmp_path / "out")
    assert found == outputs(tmp_path / "two")
    assert {"Patient.ndjson", "Observation.ndjson", "x1.hl7.report.ndjson"} <= set(found)
    assert "x1.hl7.ndjson" not in found
    patients = [json.loads(line) for line in found["Patient.ndjson"].splitlines()]
    assert len({patient["id"] for patient in patients}) == len(patients)
    converted = read(late, settings=SETTINGS).resources
    (named,) = [resource["id"] for resource in converted if resource["resourceType"] == "Patient"]
    (patient,) = [patient for patient in patients if patient["id"] == named]
    assert patient["name"][0]["family"] == "Fernbrook"
    for path in source.rglob("*.hl7"):
        path.unlink()
    convert_folder([source], tmp_path / "out", SETTINGS, shape=Shape.RESOURCES)
    assert "DiagnosticReport.ndjson" not in outputs(tmp_path / "out"), "nothing stays of files that are gone"


@pytest.mark.parametrize("shape", [Shape.CSV, Shape.PARQUET])
def test_convert_folder_makes_flat_tables(folder, outputs, tmp_path, shape):
    if shape is Shape.PARQUET:
        pytest.importorskip("pyarrow")
    source = folder(10)
    convert_folder([source], tmp_path / "out", SETTINGS, shape=shape)
    convert_folder([source], tmp_path / "two", SETTINGS, shape=shape, crew=Processes(2))
    found = outputs(tmp_path / "out")
    assert found == outputs(tmp_path / "two")
    assert {f"demographics.{shape.value}", f"labs.{shape.value}"} <= set(found)
    if shape is Shape.CSV:
        assert b"72.50" in found["labs.csv"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").glob("*.*")} >= {0o600}


def test_journal_and_names_of_drafts_hold_no_name_of_a_file(folder, tmp_path):
    source, out = folder(1), tmp_path / "out"
    (source / "iris-fernhollow.hl7").write_bytes(LAB)
    convert_folder([source], out, SETTINGS)
    state = out / ".medibridge"
    for path in state.rglob("*"):
        assert b"fernhollow" not in path.read_bytes().lower()
        assert "fernhollow" not in path.name


def test_convert_folder_survives_a_fault_of_a_reader_and_does_not_tell_its_text(folder, outputs, tmp_path, monkeypatch):
    from medibridge.bulk import converting

    def faulty(stream, settings):
        raise ZeroDivisionError("Iris Fernhollow")
        yield

    monkeypatch.setattr(converting, "read_all", faulty)
    summary = convert_folder([folder(1)], tmp_path / "out", SETTINGS)
    assert summary.refused == 1
    assert "Faulty: a fault of MediBridge itself (ZeroDivisionError in faulty" in next(iter(summary.reasons))
    assert b"Fernhollow" not in b"".join(outputs(tmp_path / "out").values())
    monkeypatch.undo()
    assert convert_folder([folder(1)], tmp_path / "out", SETTINGS).messages == 1
