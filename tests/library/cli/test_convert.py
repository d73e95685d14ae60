"""medibridge convert: one file to stdout, folders to a folder."""

import json

import pytest

from medibridge import samples
from medibridge.formats import Settings, read, read_all
from medibridge.record import canonical_json

NAMES = [name for name in samples.NAMES if not name.endswith(".csv")]  # tables need a profile
LAB = samples.read("oru-r01-laboratory.hl7")
HEALTH = ("Fernhollow", "Iris", "4711", "72.50", "Glucose", "19610514")


@pytest.fixture
def inbox(tmp_path):
    """A folder with every sample, and a file that is none."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(samples.read(name))
    (folder / "picture.pdf").write_bytes(b"%PDF-1.7 Fernhollow")
    return folder


def test_convert_prints_the_bundle_of_one_file_and_its_summary_beside_it(cli, inbox):
    told = cli("convert", inbox / "oru-r01-laboratory.hl7", "--source", "st-mary")
    bundle = read(LAB, settings=Settings(source="st-mary")).to_bundle()
    assert told.out.encode() == canonical_json(bundle) + b"\n"
    assert told.err.startswith("1 messages, 0 refused; values: ")
    assert not [each for each in HEALTH if each in told.err]


def test_convert_prints_resources_one_a_line(cli, inbox):
    told = cli("convert", inbox / "oru-r01-laboratory.hl7", "--to", "resources")
    assert {json.loads(line)["resourceType"] for line in told.out.splitlines()} >= {"Patient", "Observation"}


def test_convert_of_a_folder_writes_below_the_folder_and_ends_with_3_where_something_is_refused(cli, inbox, tmp_path):
    out, refused = tmp_path / "out", tmp_path / "refused"
    words = ("convert", inbox, "-o", out, "--quarantine", refused, "--reports", "operation-outcome")
    told = cli(*words, code=3, json=True)
    assert (told.document["files"], told.document["refused"], told.document["unchanged"]) == (len(NAMES) + 1, 1, 0)
    assert told.document["values"]["mapped"] > 100
    assert (out / "oru-r01-laboratory.hl7.ndjson").is_file()
    assert b"OperationOutcome" in (out / "oru-r01-laboratory.hl7.report.ndjson").read_bytes()
    assert (refused / "picture.pdf.quarantine").is_file()
    again = cli(*words, code=3)
    assert f"{len(NAMES) + 1} files ({len(NAMES) + 1} unchanged" in again.out
    assert "refused.txt" in again.out
    assert not [each for each in HEALTH if each in again.out + again.err + told.out + told.err]


def test_convert_with_workers_and_without_refusals_ends_with_0(cli, inbox, tmp_path):
    (inbox / "picture.pdf").unlink()
    told = cli("convert", inbox, "-o", tmp_path / "out", "--workers", 2, "--strict", json=True)
    assert told.document["refused"] == 0


def test_convert_writes_hl7_v2_that_it_reads_again_and_refuses_what_that_cannot_say(cli, inbox, tmp_path):
    told = cli("convert", inbox, "-o", tmp_path / "out", "--to", "hl7v2", code=3, json=True)
    written = sorted(path.name for path in (tmp_path / "out").glob("*.hl7"))
    assert {"oru-r01-laboratory.hl7.hl7", "adt-a01-admission.hl7.hl7", "ccda-ccd.xml.hl7"} <= set(written)
    assert "rde-o11-prescription.hl7.hl7" not in written, "no prescription is written as an update of a patient"
    assert any("nothing that ORU^R01 or ADT^A08 can say" in reason for reason in told.document["reasons"])
    again, *_ = read_all((tmp_path / "out" / "oru-r01-laboratory.hl7.hl7").read_bytes())
    kinds = [resource["resourceType"] for resource in again.resources]
    assert kinds.count("Observation") == [one["resourceType"] for one in read(LAB).resources].count("Observation")


def test_convert_takes_a_profile(cli, inbox, tmp_path):
    profile = tmp_path / "site.yaml"
    profile.write_text("zone: Europe/Vienna\n")
    cli("convert", inbox / "adt-a01-admission.hl7", "--profile", profile)
    profile.write_text("zone: Nowhere/Land\n")
    told = cli("convert", inbox / "adt-a01-admission.hl7", "--profile", profile, code=2)
    assert "time zone" in told.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{in}",), "-o DIR"),
        (("{in}/no-such-file",), "-o DIR"),
        (("{in}", "-o", "{in}"), "write into another one"),
        (("{in}/gone", "-o", "{out}"), "is not there"),
        (("{in}", "-o", "{out}", "--to", "xml"), "bundle, hl7v2"),
        (("{in}", "-o", "{out}", "--reports", "none"), "findings, operation-outcome"),
        (("{in}", "-o", "{out}", "--workers", "0"), "1 to 1024"),
        (("{in}/oru-r01-laboratory.hl7", "--to", "csv"), "several files"),
    ],
)
def test_convert_says_what_is_wrong_with_the_command(cli, inbox, tmp_path, words, said):
    given = [word.format(**{"in": inbox, "out": tmp_path / "out"}) for word in words]
    assert said in cli("convert", *given, code=2).err
    assert not (tmp_path / "out").exists()


def test_convert_of_one_file_that_is_refused_ends_with_3(cli, inbox):
    told = cli("convert", inbox / "picture.pdf", code=3)
    assert "PDF" in told.err
    assert told.out == ""


def test_convert_of_one_file_goes_on_after_a_message_that_is_refused(cli, tmp_path):
    path = tmp_path / "two.ndjson"
    path.write_bytes(b'{"resourceType": "Patient", "id": "a", "active": true}\n{"resourceType": "Patient", "id": \n')
    told = cli("convert", path, code=3)
    assert json.loads(told.out)["resourceType"] == "Bundle"
    assert "is refused: " in told.err
    assert "1 messages, 1 refused" in told.err


def test_convert_suggests_a_profile_for_a_table(cli, tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("patient_id,birth_date,sex\n4711,1961-05-14,F\n4712,1970-01-02,M\n")
    told = cli("convert", path, "--suggest")
    assert "birth_date" in told.out
    assert not [each for each in ("4711", "1961") if each in told.out + told.err]


def test_convert_refuses_tables_on_stdout(cli, inbox):
    told = cli("convert", inbox / "r4-bundle-visit.json", "--to", "csv", code=2)
    assert "say where to write them: -o DIR" in told.err


def test_convert_draws_a_bar_and_tells_what_it_left_alone_where_a_person_looks(cli, inbox, tmp_path):
    (inbox / ".hidden").write_bytes(LAB)
    (inbox / "ct-study.dcm").write_bytes(samples.read("ct-study.dcm"))
    told = cli("convert", inbox, "-o", tmp_path / "out", code=3, env={"FORCE_COLOR": "1"})
    assert "hidden or special entries" in told.out
    assert "MB of images stay where they are" in told.out
    assert "converting" in told.err
    assert not [each for each in HEALTH if each in told.out + told.err]


# --- detect, validate, explain, coverage ----------------------------------------------------------------------------


def test_detect_tells_format_reason_and_hints_of_each_file(cli, inbox, tmp_path):
    framed = tmp_path / "framed"
    framed.write_bytes(b"\x0b" + LAB + b"\x1c\r")
    batch = tmp_path / "batch"
    batch.write_bytes(b"\xef\xbb\xbfFHS|^~\\&\nBHS|^~\\&\n" + LAB.replace(b"\r", b"\n"))
    words = [inbox / "oru-r01-laboratory.hl7", inbox / "r4-bundle-visit.json", framed, batch, inbox / "picture.pdf"]
    told = cli("detect", *words, code=3, json=True).document
    assert [each["format"].partition(" JSON")[0] for each in told] == [
        "HL7 v2.5.1 ORU^R01",
        "FHIR R4",
        "HL7 v2.5.1 ORU^R01",
        "HL7 v2.5.1 ORU^R01",
        "",
    ]
    assert "CR line ends" in told[0]["hints"]
    assert "MSH-18 says UNICODE UTF-8" in told[0]["hints"]
    assert "MLLP frames" in told[2]["hints"]
    assert all(hint in told[3]["hints"] for hint in ("byte-order mark", "batch (FHS)", "batch (BHS)", "LF line ends"))
    assert "PDF" in told[4]["reason"]
    assert "HL7 v2" in cli("detect", inbox / "oru-r01-laboratory.hl7").out


def test_detect_survives_any_beginning(cli, tmp_path):
    for number, data in enumerate((b"", b"MSH", b"MSH|", b"MSH|^~\\&|" + b"|" * 30, b"{", b"<", b"\xff" * 300)):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert cli("detect", path, json=True, code=0 if b"MSH" in data or data == b"{" else 3)


def test_validate_is_content_with_valid_files(cli, inbox):
    (inbox / "picture.pdf").unlink()
    assert cli("validate", *sorted(inbox.iterdir())).out == "all valid\n"


def test_validate_names_the_place_of_what_is_invalid_and_not_its_value(cli, tmp_path):
    path = tmp_path / "patient.json"
    path.write_text('{"resourceType": "Patient", "id": "a", "gender": "malee", "birthDate": "1961-13"}')
    told = cli("validate", path, code=3, json=True)
    assert {each["place"] for each in told.document} == {"gender", "birthDate"}
    assert "malee" not in told.out
    assert "1961" not in told.out
    cut = tmp_path / "cut.hl7"
    cut.write_bytes(LAB[:12])
    assert cli("validate", cut, code=3, json=True).document[0]["problem"]


def test_detect_tells_the_encoding_that_xml_declares_and_whether_bytes_are_utf_8(cli, tmp_path):
    declared, bare, image = tmp_path / "declared.xml", tmp_path / "bare.xml", tmp_path / "image.dcm"
    declared.write_bytes(b'<?xml version="1.0" encoding="iso-8859-1"?><Patient xmlns="http://hl7.org/fhir" id="\xff"/>')
    bare.write_bytes(b'<Patient xmlns="http://hl7.org/fhir"/>')
    image.write_bytes(samples.read("ct-study.dcm"))
    first, second, third = (each["hints"] for each in cli("detect", declared, bare, image, json=True).document)
    assert first == "declares iso-8859-1, not UTF-8"
    assert second == "UTF-8"
    assert "UTF-8" not in third


def test_validate_tells_what_is_refused_what_is_no_object_and_what_the_source_has_wrong(cli, inbox, tmp_path):
    (problem,) = cli("validate", inbox / "picture.pdf", code=3, json=True).document
    assert problem["place"] == ""
    assert "PDF" in problem["problem"]
    lines = tmp_path / "lines.ndjson"
    lines.write_bytes(b'{"resourceType": "Patient", "id": "a", "active": true}\n[1]\n')
    assert cli("validate", lines, code=3, json=True).document[-1]["problem"]
    wrong = tmp_path / "wrong.hl7"
    wrong.write_bytes(LAB.replace(b"19610514", b"19611399"))
    told = cli("validate", wrong, code=3, json=True)
    assert any("PID" in each["place"] for each in told.document)
    assert "19611399" not in told.out


def test_explain_tells_of_elements_and_of_fields_without_values(cli, inbox):
    told = cli("explain", inbox / "oru-r01-laboratory.hl7", json=True)
    (message,) = told.document
    assert message["format"] == "HL7 v2.5.1 ORU^R01"
    assert "Patient.name.family" in {each["element"] for each in message["elements"]}
    assert {each["became"] for each in message["fields"]} >= {"mapped", "used"}
    only = cli("explain", inbox / "oru-r01-laboratory.hl7", "--element", "Patient.name", json=True).document[0]
    assert {each["element"].split(".")[1] for each in only["elements"]} == {"name"}
    shown = cli("explain", inbox / "oru-r01-laboratory.hl7")
    assert "Elements" in shown.out
    assert not [each for each in HEALTH if each in told.out + shown.out]


def test_coverage_counts_fields_and_draws_them(cli, inbox, tmp_path):
    told = cli("coverage", inbox, code=3, json=True).document
    assert told["refused"] == 1
    assert sum(told["messages"].values()) >= len(NAMES)
    assert told["fields"][0].keys() >= {"type", "field", "mapped", "unknown"}
    table = cli("coverage", inbox, "--csv", code=3).out.splitlines()
    assert table[0] == "type,field,mapped,partly,used,ignored,unmapped,unknown,invalid"
    assert len(table) == len(told["fields"]) + 1
    shown = cli("coverage", inbox, "--html", tmp_path / "page.html", "--workers", 2, code=3)
    assert "100 % reported" in shown.out
    assert "<svg" in (tmp_path / "page.html").read_text()
