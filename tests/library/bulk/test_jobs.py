"""Plan: which files are converted, in which order, under which names."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from medibridge.bulk import Plan
from medibridge.errors import UsageError


def tree(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"MSH")
    return root


def names(*inputs, **how):
    return [job.name for job in Plan(list(inputs), **how)]


def test_plan_goes_by_name_depth_first(tmp_path):
    root = tree(tmp_path / "in", "b/2", "b/10", "a", "c", "b/x/y")
    assert names(root) == ["a", "b/10", "b/2", "b/x/y", "c"]


def test_plan_names_several_inputs_apart(tmp_path):
    one, two = tree(tmp_path / "one", "a"), tree(tmp_path / "two", "a")
    assert names(one, two, one / "a") == ["one/a", "two/a", "a"]
    with pytest.raises(UsageError, match="input 2 has the name of an earlier one"):
        names(one / "a", two / "a")


def test_plan_leaves_out_links_hidden_files_and_pipes_and_counts_them(tmp_path):
    root = tree(tmp_path / "in", "a", ".hidden", "b/c")
    tree(tmp_path / "outside", "secret")
    (root / "link").symlink_to(tmp_path / "outside" / "secret")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "b" / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    plan = Plan([root])
    assert [job.name for job in plan] == ["a", "b/c"]
    assert plan.skipped == 5
    assert plan.size() == (2, 6)


def test_plan_does_not_look_into_the_folder_that_is_written_to(tmp_path):
    root = tree(tmp_path / "in", "a", "out/a.ndjson")
    assert names(root, without=[root / "out"]) == ["a"]
    with pytest.raises(UsageError, match="write into another"):
        names(root, without=[root])


def test_plan_refuses_inputs_that_are_not_there_without_telling_their_names(tmp_path):
    with pytest.raises(UsageError, match="input 1 of 1 is not there") as refused:
        names(tmp_path / "fernhollow")
    assert "fernhollow" not in str(refused.value)
    with pytest.raises(UsageError, match="nothing to convert"):
        names()


def test_plan_tells_names_under_which_nothing_can_be_written(tmp_path):
    root = tree(tmp_path / "in", "a", "a.report", "n" * 200, "b", "b.ndjson/c")
    problems = {job.name: job.problem for job in Plan([root])}
    assert "rename" in problems["a.report"]
    assert "rename" in problems["b.ndjson"]
    assert "shorter" in problems["n" * 200]
    assert problems["a"] == problems["b"] == ""


def test_job_does_not_show_its_name(tmp_path):
    (job,) = Plan([tree(tmp_path / "in", "iris-fernhollow.hl7")])
    assert "fernhollow" not in repr(job) + job.key


@pytest.mark.skipif(find_spec("pydicom") is None, reason="needs pydicom")
def test_plan_makes_one_job_of_the_files_of_a_study_wherever_they_are(tmp_path):
    for number, study in enumerate((1, 2, 1)):
        write_image(tmp_path / "in" / f"series {number}" / "image", study, number)
    tree(tmp_path / "in", "a")
    jobs = list(Plan([tmp_path / "in"]))
    assert sorted((len(job.paths), job.is_study) for job in jobs) == [(1, False), (1, True), (2, True)]
    assert not jobs[0].is_study, "studies come last"
    assert jobs == list(Plan([tmp_path / "in"]))
    assert all("1.2.826" not in job.name for job in jobs)


def write_image(path, study, number):
    """A small image of a patient who does not exist."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.9.9999.{study}.1.{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = f"1.2.826.0.1.3680043.9.9999.{study}"
    image.SeriesInstanceUID = f"1.2.826.0.1.3680043.9.9999.{study}.1"
    image.PatientID, image.PatientName, image.Modality = "4711", "Fernhollow^Iris", "CT"
    image.save_as(str(path), enforce_file_format=True)


@pytest.mark.skipif(find_spec("pydicom") is None, reason="needs pydicom")
def test_convert_folder_makes_one_bundle_of_a_study_and_copies_no_image(tmp_path, outputs):
    import json

    from medibridge.bulk import convert_folder
    from medibridge.formats import Settings

    for number in range(3):
        write_image(tmp_path / "in" / "ct" / f"image {number}", 1, number)
    summary = convert_folder([tmp_path / "in"], tmp_path / "out", Settings())
    assert (summary.jobs, summary.messages, summary.refused) == (1, 1, 0)
    assert summary.attachments == summary.size > 0
    found = outputs(tmp_path / "out")
    (name,) = [name for name in found if not name.endswith("report.ndjson")]
    assert name.startswith("study-")
    entries = json.loads(found[name])["entry"]
    (study,) = [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == "ImagingStudy"]
    assert study["numberOfInstances"] == 3
