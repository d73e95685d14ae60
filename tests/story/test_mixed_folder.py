"""A hospital's folder as it really is: every format in it, one patient; and a dataset of fifty others."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from eth_account import Account

from medibridge import samples
from medibridge.record import Record, canonical_json

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import patients
from command_line import Processes
from dicom_studies import ct_slice, file_of

pytestmark = [pytest.mark.ipfs, pytest.mark.slow, pytest.mark.story]

PEOPLE = {"rowan": "hospital", "lakeside": "hospital", "meridian": "buyer"}


@pytest.fixture(scope="module")
def town(cli, tmp_path_factory):
    """The command line, with a home and a deployment of its own, and everybody registered."""
    cli = Processes(tmp_path_factory.mktemp("mixed") / "home", cli.chain, cli.ipfs)
    cli.make_keys("admin", "iris", *PEOPLE)
    cli("local", "fund", "admin", "iris", *PEOPLE)
    cli("admin", "deploy", key="admin")
    for name, kind in PEOPLE.items():
        cli("admin", "enrol", name, "--as", kind, key="admin")
        cli(kind, "register", key=name)
    cli("patient", "register", key="iris")
    return cli


@pytest.fixture
def folder(tmp_path):
    """An ORU, an RDE, a VXU, a C-CDA, a DICOM study of three files, and a table."""
    made = tmp_path / "inbox"
    (made / "study").mkdir(parents=True)
    for name in ("oru-r01-laboratory.hl7", "rde-o11-prescription.hl7", "vxu-v04-immunization.hl7", "ccda-ccd.xml"):
        (made / name).write_bytes(samples.read(name))
    (made / "laboratory.csv").write_bytes(samples.read("laboratory.csv"))
    for number in (1, 2, 3):
        (made / "study" / f"slice{number}.dcm").write_bytes(file_of(ct_slice(instance=number)))
    return made


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_bytes(samples.read(samples.PROFILE))
    return path


def test_a_mixed_folder_becomes_records_that_are_read_shared_revoked_and_sold(town, folder, profile, tmp_path):
    # The folder converts by itself, without chain or key.
    summary = town("convert", folder, "-o", tmp_path / "out", "--profile", profile)
    assert summary["refused"] == 0
    bundles = [json.loads(line) for path in sorted((tmp_path / "out").rglob("*.ndjson")) if ".report" not in path.name
               for line in path.read_text().splitlines()]  # fmt: skip
    assert len(bundles) == 6, "five files, and one study of three"
    people = {entry["resource"]["id"] for bundle in bundles for entry in bundle["entry"]
              if entry["resource"]["resourceType"] == "Patient"}  # fmt: skip
    assert len(people) == 1, "all formats give the patient one id"

    # Rowan deposits it: a record for each class of data in each file, and what may be sold as a twin.
    deposited = town("hospital", "deposit", folder, "--patient", "iris", "--profile", profile, key="rowan")
    assert len(deposited) == 6
    assert not any(each["repeated"] for each in deposited)
    records = town("patient", "records", key="iris")
    classes = Counter(each["class"] for each in records if not each["deidentified"])
    assert {"laboratory", "medications", "immunizations", "problems", "allergies", "vital-signs", "imaging"} <= set(
        classes
    )
    assert classes["laboratory"] == 3, "the ORU, the document and the table"

    # Lakeside may read imaging and laboratory; it gets the images too, bit by bit.
    terms = ("--classes", "imaging,laboratory", "--purposes", "TREAT", "--for", "30d")
    town("patient", "grant", "lakeside", *terms, key="iris")
    [imaging] = [each["record"] for each in records if each["class"] == "imaging" and not each["deidentified"]]
    read = ("hospital", "read", imaging, "--patient", "iris", "-o", tmp_path / "study.json")
    town(*read, "--attachments", tmp_path / "images", key="lakeside")
    kinds = Counter(one["resourceType"] for one in Record.from_bytes((tmp_path / "study.json").read_bytes()).resources)
    assert kinds["ImagingStudy"] == 1
    originals = {hashlib.sha256(path.read_bytes()).hexdigest(): path.read_bytes() for path in folder.rglob("*.dcm")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()} == originals
    [problem, *_] = [each["record"] for each in records if each["class"] == "problems" and not each["deidentified"]]
    assert town("hospital", "read", problem, "--patient", "iris", key="lakeside", code=7)["error"] == "RecordUnknown"

    # She revokes: what comes later Lakeside does not find.
    town("patient", "revoke", "lakeside", key="iris")
    later = folder / "oru-r01-laboratory.hl7"
    later.write_bytes(samples.read(later.name).replace(b"L240307-0042", b"L240404-0017"))
    again = town("hospital", "deposit", folder, "--patient", "iris", "--profile", profile, key="rowan")
    assert [each["repeated"] for each in again].count(False) == 1
    [new] = [each["records"][0] for each in again if not each["repeated"]]
    assert town("hospital", "read", new, "--patient", "iris", key="lakeside", code=7)["error"] == "RecordUnknown"

    # And she sells the twin of what the document says of her laboratory results.
    twin = next(each["record"] for each in records if each["class"] == "laboratory" and each["deidentified"])
    town("admin", "mint", "iris", "30", key="admin")  # the bond, which comes back
    offer = town("patient", "offer", twin, "--price", "20.00", key="iris")["offer"]
    town("admin", "mint", "meridian", "100", key="admin")
    assert town("buyer", "inspect", offer, key="meridian")["sound"] is True
    order = town("buyer", "buy", offer, key="meridian")["order"]
    town("patient", "deliver", key="iris")
    town("buyer", "open", order, "-o", tmp_path / "bought.json", key="meridian")
    bought = (tmp_path / "bought.json").read_bytes()
    assert Record.from_bytes(bought).deidentified
    assert b"Fernhollow" not in bought


def test_a_dataset_of_fifty_patients_is_built_sealed_and_vouched_for(town, tmp_path):
    inbox, out = tmp_path / "patients", tmp_path / "dataset"
    inbox.mkdir()
    for number, bundle in enumerate(patients.bundles(50, seed=7)):
        (inbox / f"{number}.json").write_bytes(canonical_json(bundle))
    agreed = io.StringIO()
    table = csv.writer(agreed)
    table.writerow(("system", "value", "address"))
    for number in range(1, 51):
        table.writerow((patients.IDENTIFIERS, f"MRN-{number:04}", Account.create().address))
    (tmp_path / "agreed.csv").write_text(agreed.getvalue())

    # Converted as any other folder, built, and reported on.
    assert town("convert", inbox, "-o", tmp_path / "converted")["refused"] == 0
    built = town(
        *("dataset", "build", "--policy", "safe-harbor", "--k", "11", "--contributors", tmp_path / "agreed.csv"),
        *(tmp_path / "converted", out),
    )
    report = json.loads((out / "release-report.json").read_text())
    assert built == report
    assert report["classes"]["smallest"] >= 11
    assert report["patients"]["in"] == report["contributors"] == 50
    for name in ("release-report.html", "datasheet.md", "datasheet.html"):
        assert (out / name).stat().st_size > 1000
    assert {path.name for path in (out / "tables").iterdir()} >= {"labs.parquet", "prescriptions.parquet"}
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for canary in (b"Fernhollow", b"MRN-00", b"Alder Row"):
        assert canary not in everything

    # Sealed into the real store, and vouched for on the chain.
    listing = town("dataset", "seal", out, "--deposit", key="rowan")
    assert json.loads((out / "listing.json").read_text()) == listing
    proofs = json.loads((tmp_path / "dataset.private" / "proofs.json").read_text())
    assert len(proofs) >= 1
