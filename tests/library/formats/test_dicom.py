"""DICOM files as ImagingStudy: what is mapped, what is reported, and that one bad element harms itself alone."""

from __future__ import annotations

import io
import itertools
import zlib
from pathlib import Path
from typing import Any

import pytest
from dicom_studies import STUDY, code, ct_slice, element, file_of, item, raw_file
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from medibridge.errors import FormatError, MalformedMessage, MediBridgeError, UnknownFormat
from medibridge.formats.conversion import Conversion, Outcome, Piece
from medibridge.formats.dicom import FORMAT, read_study, study_of
from medibridge.formats.dicom.elements import MAX_HEADER
from medibridge.formats.fhir import validate
from medibridge.formats.naming import Names
from medibridge.formats.settings import Coding, Profile, Settings
from medibridge.ids import DataClass
from medibridge.record import canonical_json

SAMPLE = Path(__file__).parents[3] / "src" / "medibridge" / "samples" / "ct-study.dcm"


def read(data: bytes, **settings: Any) -> Conversion:
    (found,) = FORMAT.read(Piece(data), Settings(**settings))
    for resource in found.resources:
        assert validate(resource) == ()
    return found


def read_slice(**changed: object) -> Conversion:
    return read(file_of(ct_slice(**changed)))


def only(conversion: Conversion, kind: str) -> dict[str, Any]:
    (found,) = all_of(conversion, kind)
    return found


def all_of(conversion: Conversion, kind: str) -> list[dict[str, Any]]:
    return [dict(one) for one in conversion.resources if one["resourceType"] == kind]


def outcome(conversion: Conversion, place: str) -> str:
    return next(str(found) for found in conversion.report.findings if found.place == place)


# --- the sample -----------------------------------------------------------------------------------------------------


def test_the_sample_is_what_its_generator_makes():
    assert SAMPLE.read_bytes() == file_of(ct_slice())
    assert SAMPLE.stat().st_size <= 4096


def test_read_makes_the_patient_study_series_and_instance_of_the_sample():
    conversion = read(SAMPLE.read_bytes())
    patient, study = only(conversion, "Patient"), only(conversion, "ImagingStudy")
    assert patient["id"] == Names("").by_identifier("Patient", "urn:oid:2.999.4711", "4711-0815")
    assert patient["name"] == [{"use": "official", "family": "Fernhollow", "given": ["Iris", "Maud"], "prefix": ["Ms"]}]
    assert (patient["gender"], patient["birthDate"]) == ("female", "1961-05-14")
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}
    assert study["identifier"][1]["value"] == "R-2403-77"
    assert study["started"] == "2024-03-11T10:15:00+01:00"
    assert study["description"] == "CT of the chest"
    assert study["procedureCode"][0]["coding"][0] == {
        "system": "http://loinc.org", "code": "24627-2", "display": "CT Chest",
    }  # fmt: skip
    assert (study["numberOfSeries"], study["numberOfInstances"], study["status"]) == (1, 1, "available")
    (series,) = study["series"]
    assert series["uid"] == "2.999.4711.7.1.1"
    assert series["started"] == "2024-03-11T10:17:02.5+01:00"
    assert series["bodySite"]["code"] == "816094009"
    assert [one.get("function", {}).get("coding", [{}])[0].get("code") for one in series["performer"]] == [
        "PRF", "SPRF", None, None,
    ]  # fmt: skip
    assert series["instance"] == [
        {
            "uid": "2.999.4711.7.2.1.1",
            "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
            "number": 1,
            "title": "ORIGINAL\\PRIMARY\\AXIAL",
        }
    ]
    assert study["contained"][0]["serialNumber"] == "AX-0042"
    assert study["basedOn"] == [{"type": "ServiceRequest", "identifier": {"value": "RP-12"}}]


def test_read_keeps_the_digits_of_weight_and_size_as_vital_signs():
    conversion = read(SAMPLE.read_bytes())
    values = {one["code"]["coding"][0]["code"]: one for one in all_of(conversion, "Observation")}
    assert str(values["29463-7"]["valueQuantity"]["value"]) == "64.50"
    assert str(values["8302-2"]["valueQuantity"]["value"]) == "1.68"
    assert values["8302-2"]["effectiveDateTime"] == "2024-03-11T10:15:00+01:00"
    assert values["30525-0"]["valueQuantity"]["value"] == 62
    classes = {record.data_class for record in conversion.records}
    assert classes == {DataClass.IMAGING, DataClass.VITAL_SIGNS}


def test_read_attaches_the_whole_file_and_media_refers_to_it():
    data = SAMPLE.read_bytes()
    conversion = read(data)
    (attachment,) = conversion.attachments
    media = only(conversion, "Media")
    assert attachment.open().read() == data
    assert (attachment.data_class, attachment.media_type) == (DataClass.IMAGING, "application/dicom")
    assert media["content"] == {"contentType": "application/dicom", "url": attachment.uri, "size": len(data)}
    assert (media["width"], media["height"], media["modality"]["coding"][0]["code"]) == (16, 16, "CT")
    assert media["partOf"] == [{"reference": f"ImagingStudy/{only(conversion, 'ImagingStudy')['id']}"}]
    assert "(7FE0,0010)" in conversion.report.places(Outcome.MAPPED)


def test_read_accounts_for_every_element_once_in_the_order_of_the_file():
    dataset = ct_slice()
    dataset.private_block(0x0011, "ROWAN 1", create=True).add_new(1, "LO", "north wing")
    dataset.add_new(0x00180091, "IS", "1")
    conversion = read(file_of(dataset))
    expected = []

    def walk(one: Any, above: str) -> None:
        for found in one:
            place = f"{above}({found.tag.group:04X},{found.tag.element:04X})"
            if found.VR == "SQ":
                for number, below in enumerate(found.value, 1):
                    walk(below, f"{above}{found.keyword}[{number}].")
            else:
                expected.append(place)

    walk(dataset, "")
    reported = [found.place for found in conversion.report.findings if found.outcome is not Outcome.DEFAULT]
    assert [place for place in reported if not place.startswith("(0002,")] == expected
    assert "unknown (a private element" in outcome(conversion, "(0011,1001)")
    assert "unmapped" in outcome(conversion, "(0018,0060)")


def test_read_gives_the_same_bytes_for_the_same_file():
    first, second = read(SAMPLE.read_bytes()), read(SAMPLE.read_bytes())
    assert canonical_json(first.resources) == canonical_json(second.resources)
    assert first.report == second.report


# --- recognising ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_read_gives_the_same_in_every_transfer_syntax(syntax):
    usual, other = ct_slice(), ct_slice()
    kept = [one for one in read(file_of(usual)).resources if one["resourceType"] != "Media"]
    found = read(file_of(other, syntax))
    assert [one for one in found.resources if one["resourceType"] != "Media"] == kept


def test_recognise_knows_files_with_and_without_preamble_and_nothing_else():
    data = SAMPLE.read_bytes()
    assert FORMAT.recognise(data).reason == "it holds DICM at byte 128"
    assert FORMAT.recognise(data[132:]) is not None
    body = data[data.index(b"\x08\0\x05\0CS") :]
    assert FORMAT.recognise(body) is not None
    assert only(read(body), "Patient")["birthDate"] == "1961-05-14"
    for other in (
        b"",
        b"MSH|^~\\&|",
        b"{}",
        b"<x/>",
        b"\x08\0" * 40,
        b"\x02\0\0\0" * 40,
        b"\x08\0\x05\0CS\xff\xff",
        bytes(200),
    ):
        assert FORMAT.recognise(other) is None


def test_read_refuses_a_dicomdir_with_a_word_about_what_to_do():
    data = file_of(ct_slice(SOPClassUID="1.2.840.10008.1.3.10"))
    with pytest.raises(UnknownFormat, match=r"DICOMDIR.*read the files that it lists"):
        read(data)


def test_read_refuses_a_file_that_holds_nothing():
    with pytest.raises(MalformedMessage, match="ends before its first element"):
        read(bytes(128) + b"DICM")


# --- people ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "name", "expected"),
    [
        (b"ISO_IR 100", "Äneas^Rüdiger".encode("latin-1"), [("Äneas", ["Rüdiger"], None)]),
        (b"ISO_IR 192", "Łukasz^Ola".encode(), [("Łukasz", ["Ola"], None)]),
        (b"GB18030", "王^小东".encode("gb18030"), [("王", ["小东"], None)]),
        (
            b"\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            [("Yamada", ["Tarou"], "ABC"), ("山田", ["太郎"], "IDE"), ("やまだ", ["たろう"], "SYL")],
        ),
        (
            b"\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            [("Hong", ["Gildong"], "ABC"), ("洪", ["吉洞"], "IDE"), ("홍", ["길동"], "SYL")],
        ),
        (b"", "Zoë^A".encode(), [("Zoë", ["A"], None)]),
    ],
)
def test_read_decodes_names_of_three_writings(charset, name, expected):
    uid = element(0x0020000D, "UI", STUDY.encode())
    data = raw_file((0x00080005, "CS", charset), (0x00100010, "PN", name)) + uid
    names = only(read(data), "Patient")["name"]
    found = [
        (one["family"], one["given"], one["extension"][0]["valueCode"] if "extension" in one else None) for one in names
    ]
    assert found == expected


def test_read_reports_a_character_set_that_is_none_and_text_that_does_not_decode():
    data = raw_file(
        (0x00080005, "CS", b"KLINGON"), (0x00100010, "PN", b"Fern\xe4^Iris"), (0x00100020, "LO", b"4711"),
    )  # fmt: skip
    conversion = read(data)
    assert "name" not in only(conversion, "Patient")
    assert conversion.report.places(Outcome.INVALID) == ("(0008,0005)", "(0010,0010)")
    assert "Fern" not in str(conversion.report)


def test_read_takes_the_authority_of_a_patient_id_from_the_file_then_from_the_profile():
    profile = Profile(authorities={"ROWAN": "urn:oid:2.999.1"})
    own = read(SAMPLE.read_bytes(), profile=profile)
    assert only(own, "Patient")["identifier"][0]["system"] == "urn:oid:2.999.4711"
    data = file_of(ct_slice(IssuerOfPatientIDQualifiersSequence=None))
    known = only(read(data, profile=profile), "Patient")
    assert known["identifier"][0]["system"] == "urn:oid:2.999.1"
    unknown = only(read(data), "Patient")
    assert unknown["identifier"][0]["assigner"] == {"display": "ROWAN"}
    assert unknown["id"] == Names("").by_identifier("Patient", "ROWAN", "4711-0815")


def test_read_takes_further_identifiers_and_names_of_the_patient():
    others = Sequence([item(PatientID="P-9", IssuerOfPatientID="ALDER")])
    conversion = read_slice(
        OtherPatientIDsSequence=others, OtherPatientNames="Hollow^Iris", PatientBirthName="Moss^Iris",
        PatientAddress="12 Alder Row", PatientTelephoneNumbers="+1-555-0142", PatientMotherBirthName="Moss^Ada",
    )  # fmt: skip
    patient = only(conversion, "Patient")
    assert [one["value"] for one in patient["identifier"]] == ["4711-0815", "P-9"]
    assert [(one["use"], one["family"]) for one in patient["name"]] == [
        ("official", "Fernhollow"), ("usual", "Hollow"), ("maiden", "Moss"),
    ]  # fmt: skip
    assert patient["telecom"] == [{"system": "phone", "value": "+1-555-0142"}]
    assert patient["extension"][0]["valueString"] == "Moss Ada"


def test_read_names_a_patient_without_an_id_by_the_study_and_says_so():
    first, second = read_slice(PatientID=None), read_slice(PatientID=None, instance=2)
    assert only(first, "Patient")["id"] == only(second, "Patient")["id"]
    assert "(0010,0020)" in first.report.places(Outcome.DEFAULT)


def test_read_gives_a_practitioner_the_id_that_the_institution_knows():
    people = {one["name"][0]["family"]: one for one in all_of(read(SAMPLE.read_bytes()), "Practitioner")}
    assert people["Okonkwo"]["identifier"] == [{"assigner": {"display": "99ROWAN"}, "value": "D-207"}]
    assert people["Okonkwo"]["id"] == Names("").by_identifier("Practitioner", "99ROWAN", "D-207")
    assert "identifier" not in people["Haugen"]


# --- dates and codes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "zone", "day", "time", "expected", "partly"),
    [
        ("+0530", "", "20240311", "0915", "2024-03-11T09:15:00+05:30", False),
        (None, "Europe/Vienna", "20240311", "091500", "2024-03-11T09:15:00+01:00", False),
        (None, "Europe/Vienna", "20240711", "091500.123456", "2024-07-11T09:15:00.123456+02:00", False),
        (None, "", "20240311", "091500", "2024-03-11", True),
        ("+0100", "", "20240311", "09", "2024-03-11", True),
        ("+0100", "", "20240311", None, "2024-03-11", False),
        ("+0100", "", "2024.03.11", "09:15:00", "2024-03-11T09:15:00+01:00", False),
        ("+0100", "", "20240311", "235960", "2024-03-11T23:59:59+01:00", True),
    ],
)
def test_read_gives_the_start_no_more_precision_than_it_has(offset, zone, day, time, expected, partly):
    elements = [
        (0x00080020, "DA", day.encode()), (0x00080030, "TM", (time or "").encode()),
        (0x00080201, "SH", (offset or "").encode()), (0x00100020, "LO", b"4711"), (0x0020000D, "UI", STUDY.encode()),
    ]  # fmt: skip
    conversion = read(raw_file(*elements), profile=Profile(zone=zone))
    assert only(conversion, "ImagingStudy")["started"] == expected
    assert ("(0008,0030)" in conversion.report.places(Outcome.PARTLY)) is partly


@pytest.mark.parametrize(
    ("tag", "vr", "value", "reason"),
    [
        (0x00080020, "DA", b"20240231", "not a date"),
        (0x00080020, "DA", b"yesterday", "not a date"),
        (0x00080201, "SH", b"CET", "not an offset"),
        (0x00100030, "DA", b"19610514-", "not a date"),
        (0x00101010, "AS", b"62", "not an age"),
        (0x00101020, "DS", b"tall", "not a number"),
        (0x00101030, "DS", b"-3", "not above zero"),
        (0x0020000D, "UI", b"1.2.x", "not a UID"),
        (0x00200011, "IS", b"1.5", "not a whole number"),
        (0x00280010, "US", b"\0\0\0", "not a whole number from 1"),
        (0x00280010, "US", b"\0\0", "not a whole number from 1"),
    ],
)
def test_read_leaves_out_and_reports_one_invalid_value_and_strict_refuses_the_file(tag, vr, value, reason):
    data = raw_file((0x00100020, "LO", b"4711"), (0x00200010, "SH", b"77"), (tag, vr, value))
    place = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    conversion = read(data)
    assert reason in outcome(conversion, place)
    assert place in conversion.report.places(Outcome.INVALID)
    assert only(conversion, "Patient")["identifier"][0]["value"] == "4711"
    with pytest.raises(MalformedMessage, match=reason) as refused:
        read(data, strict=True)
    assert str(refused.value).startswith(place)


def test_read_reports_a_sex_that_fhir_does_not_know():
    conversion = read_slice(PatientSex="X")
    assert "gender" not in only(conversion, "Patient")
    assert "unmapped (a code that has no FHIR counterpart" in outcome(conversion, "(0010,0040)")


def test_read_explains_codes_by_the_file_and_by_the_profile():
    schemes = Sequence([item(CodingSchemeDesignator="99ROWAN", CodingSchemeUID="2.999.5")])
    procedures = Sequence([code("CHX", "99ROWAN", "Chest"), code("ZZ", "99ALDER", "Other")])
    data = file_of(ct_slice(CodingSchemeIdentificationSequence=schemes, ProcedureCodeSequence=procedures))
    profile = Profile(codes={"99ROWAN": {"CHX": Coding("http://loinc.org", "24627-2", "CT Chest")}})
    first, second = only(read(data, profile=profile), "ImagingStudy")["procedureCode"]
    assert [one["system"] for one in first["coding"]] == ["http://loinc.org", "urn:oid:2.999.5"]
    assert second == {"coding": [{"code": "ZZ", "display": "Other"}]}


def test_read_keeps_a_body_part_that_is_not_in_the_table_as_text():
    conversion = read_slice(BodyPartExamined="LEFT ANTENNA")
    assert only(conversion, "ImagingStudy")["series"][0]["bodySite"] == {"display": "LEFT ANTENNA"}
    assert only(conversion, "Media")["bodySite"] == {"text": "LEFT ANTENNA"}


def test_read_lists_a_structured_report_in_the_study_and_as_the_lines_of_a_report():
    unit = Sequence([code("mm", "UCUM", "millimeter")])
    measured = item(
        ValueType="NUM",
        RelationshipType="CONTAINS",
        ConceptNameCodeSequence=Sequence([code("103355008", "SCT", "Width")]),
        MeasuredValueSequence=Sequence([item(NumericValue="12.50", MeasurementUnitsCodeSequence=unit)]),
    )
    site = item(
        ValueType="CODE",
        RelationshipType="HAS CONCEPT MOD",
        ConceptNameCodeSequence=Sequence([code("363698007", "SCT", "Finding Site")]),
        ConceptCodeSequence=Sequence([code("39607008", "SCT", "Lung")]),
        ContentSequence=Sequence([measured]),
    )
    text = item(ValueType="TEXT", TextValue="No finding.\r\nSee below.")
    conversion = read_slice(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
        Modality="SR",
        PixelData=None,
        ImageType=None,
        Rows=None,
        Columns=None,
        ConceptNameCodeSequence=Sequence([code("18748-4", "LN", "Diagnostic imaging report")]),
        CompletionFlag="COMPLETE",
        VerificationFlag="VERIFIED",
        ContentSequence=Sequence([text, site]),
    )
    study, report, media = (only(conversion, kind) for kind in ("ImagingStudy", "DiagnosticReport", "Media"))
    (instance,) = study["series"][0]["instance"]
    assert instance["title"] == "Diagnostic imaging report"
    assert (report["status"], report["code"]["coding"][0]["code"]) == ("final", "18748-4")
    assert report["conclusion"].splitlines() == ["No finding.", "See below.", "Finding Site: Lung", "  Width: 12.50 mm"]
    assert report["imagingStudy"] == [{"reference": f"ImagingStudy/{study['id']}"}]
    assert report["media"] == [{"link": {"reference": f"Media/{media['id']}"}}]
    assert "type" not in media
    (record,) = (one for one in conversion.records if one.data_class is DataClass.IMAGING)
    assert report in record.resources
    place = "ContentSequence[2].ContentSequence[1].MeasuredValueSequence[1].(0040,A30A)"
    assert "mapped to DiagnosticReport.conclusion" in outcome(conversion, place)


def test_read_counts_what_stands_below_a_sequence_that_is_not_read():
    below = Sequence([item(DiffusionBValue=1.0, MRSpectroscopyAcquisitionType="X"), item(DiffusionBValue=2.0)])
    conversion = read_slice(PerFrameFunctionalGroupsSequence=below)
    assert "with the 3 elements below it" in outcome(conversion, "(5200,9230)")


# --- broken files ---------------------------------------------------------------------------------------------------


def test_read_goes_on_after_an_element_of_an_unknown_vr():
    data = raw_file((0x00100020, "LO", b"4711"), (0x00101000, "ZZ", b"7 "), (0x00200010, "SH", b"77"))
    assert only(read(data), "ImagingStudy")["identifier"] == [{"use": "secondary", "value": "77"}]


def test_read_takes_what_stands_before_the_place_where_a_file_is_cut():
    data = raw_file((0x00100020, "LO", b"4711"), (0x00100030, "DA", b"19610514"))[:-3]
    conversion = read(data)
    assert only(conversion, "Patient")["identifier"][0]["value"] == "4711"
    assert "cut off" in outcome(conversion, "(0010,0030)")
    with pytest.raises(MalformedMessage, match=r"^\(0010,0030\) .*cut off"):
        read(data, strict=True)


def test_read_says_that_pixel_data_is_cut_off():
    conversion = read(SAMPLE.read_bytes()[:-100])
    assert "(7FE0,0010)" in conversion.report.places(Outcome.INVALID)
    assert only(conversion, "Media")["content"]["size"] == SAMPLE.stat().st_size - 100


def test_read_keeps_the_first_of_two_elements_of_one_tag():
    data = raw_file((0x00100020, "LO", b"4711"), (0x00100020, "LO", b"4712"))
    conversion = read(data)
    assert only(conversion, "Patient")["identifier"][0]["value"] == "4711"
    assert any("comes twice" in found.reason for found in conversion.report.findings)


def test_read_bounds_how_deep_sequences_nest():
    def nested(depth: int) -> bytes:
        body = b""
        for _ in range(depth):
            body = element(0x00081140, "SQ", b"\xfe\xff\0\xe0" + len(body).to_bytes(4, "little") + body)
        return body

    shallow = raw_file((0x00100020, "LO", b"4711")) + nested(10)
    assert read(shallow).report.places(Outcome.INVALID) == ()
    deep = read(raw_file((0x00100020, "LO", b"4711")) + nested(2_000))
    assert any("nested deeper than 32" in found.reason for found in deep.report.findings)
    endless = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 5_000
    assert only(read(raw_file((0x00100020, "LO", b"4711")) + endless), "Patient")


def test_read_inflates_no_more_than_a_header():
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = element(0x00100020, "LO", b"4711") + b"\x20\0\x10\0UN\0\0\xff\xff\xff\x7f"
    packed = bomb.compress(body) + b"".join(bomb.compress(bytes(2**20)) for _ in range(300)) + bomb.flush()
    assert len(packed) < 2**20
    conversion = read(raw_file(syntax=DeflatedExplicitVRLittleEndian) + packed)
    assert "(0020,0010)" in conversion.report.places(Outcome.INVALID)
    with pytest.raises(MalformedMessage, match="does not inflate"):
        read(raw_file(syntax=DeflatedExplicitVRLittleEndian) + b"\xff" * 100)


def test_read_refuses_a_header_that_is_too_long_or_has_too_many_elements():
    many = element(0x00080008, "CS", b"") + b"".join(
        (0x00090000 + at).to_bytes(4, "little")[2:] + (0x00090000 + at).to_bytes(4, "little")[:2] + b"LO\0\0"
        for at in range(0x1000, 0x1000 + 60_000)
    )
    more = b"".join(
        group.to_bytes(2, "little") + at.to_bytes(2, "little") + b"LO\0\0"
        for group, at in itertools.product((11, 13), range(0x1000, 0xF000))
    )
    with pytest.raises(MalformedMessage, match="beyond 100000 elements"):
        FORMAT.read(Piece(raw_file() + many + more), Settings())
    long = element(0x00091001, "UN", bytes(9 * 2**20))
    with pytest.raises(MalformedMessage, match="header of the DICOM file is longer than 16 MiB"):
        FORMAT.read(Piece(raw_file((0x00080060, "CS", b"CT")) + long * 2), Settings())


def test_read_keeps_a_long_document_as_the_attachment_alone():
    document = element(0x00420011, "OB", bytes(MAX_HEADER))
    conversion = read(raw_file((0x00100020, "LO", b"4711")) + document + element(0x00420012, "LO", b"text/plain"))
    assert "mapped to Media.content" in outcome(conversion, "(0042,0011)")
    assert "not read" in outcome(conversion, "after (0042,0011)")


@given(
    st.lists(
        st.tuples(st.integers(0, SAMPLE.stat().st_size), st.integers(0, SAMPLE.stat().st_size)), min_size=1, max_size=4
    ),
    st.binary(max_size=12),
)
def test_read_gives_valid_resources_or_an_error_of_ours_for_cut_and_spliced_files(cuts, noise):
    whole = SAMPLE.read_bytes()
    data = noise.join(whole[min(cut) : max(cut)] for cut in cuts)
    for one in (data, whole[:132] + data, whole[: cuts[0][0]] + noise + whole[cuts[0][1] :]):
        for strict in (False, True):
            try:
                read(one, strict=strict)
            except MediBridgeError as problem:
                assert isinstance(problem, FormatError)
        study_of(one)


# --- streams and studies --------------------------------------------------------------------------------------------


def test_pieces_opens_a_file_on_the_disk_again_and_reads_its_beginning_alone(tmp_path):
    file = tmp_path / "large.dcm"
    head = file_of(ct_slice(PixelData=None))
    size = 64 * 2**20
    with file.open("wb") as out:
        out.write(head + element(0x7FE00010, "OW", b"")[:-4] + size.to_bytes(4, "little"))
        out.truncate(out.tell() + size)
    with file.open("rb") as stream:
        (piece,) = FORMAT.pieces(stream, Settings())
    assert (len(piece.data), piece.origin) == (MAX_HEADER, file)
    (conversion,) = FORMAT.read(piece, Settings())
    (attachment,) = conversion.attachments
    assert attachment.size == file.stat().st_size
    with attachment.open() as content:
        assert content.read(len(head)) == head
    assert conversion.report.places(Outcome.INVALID) == ()


def test_pieces_takes_a_stream_without_a_path_whole():
    (piece,) = FORMAT.pieces(io.BytesIO(SAMPLE.read_bytes()), Settings())
    assert (piece.data, piece.origin) == (SAMPLE.read_bytes(), None)


def test_pieces_refuses_a_long_stream_without_a_path(monkeypatch):
    monkeypatch.setattr("medibridge.formats.dicom.MAX_SIZE", 1000)
    with pytest.raises(UnknownFormat, match="read it from a disk"):
        list(FORMAT.pieces(io.BytesIO(SAMPLE.read_bytes()), Settings()))


def study(folder: Path) -> list[Path]:
    files = []
    for number, (series, instance) in enumerate(((2, 1), (1, 3), (1, 1), (1, 2))):
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(file_of(ct_slice(series, instance)))
    return files


def test_read_study_merges_series_and_instances_in_an_order_of_their_own(tmp_path):
    files = study(tmp_path)
    conversion = read_study(files, Settings())
    found = only(conversion, "ImagingStudy")
    assert [(one["number"], [each["number"] for each in one["instance"]]) for one in found["series"]] == [
        (1, [1, 2, 3]), (2, [1]),
    ]  # fmt: skip
    assert (found["numberOfSeries"], found["numberOfInstances"]) == (2, 4)
    assert len(all_of(conversion, "Media")) == len(conversion.attachments) == 4
    assert len(all_of(conversion, "Observation")) == 3
    assert len(found["contained"]) == 1
    for resource in conversion.resources:
        assert validate(resource) == ()
    again = read_study(list(reversed(files)), Settings())
    assert canonical_json(again.resources) == canonical_json(conversion.resources)
    assert again.report == conversion.report
    assert any(found.place == "file[1] (0010,0010)" for found in conversion.report.findings)


def test_read_study_gives_a_study_the_id_that_each_of_its_files_gives(tmp_path):
    files = study(tmp_path)
    whole = only(read_study(files, Settings()), "ImagingStudy")["id"]
    assert {only(read(file.read_bytes()), "ImagingStudy")["id"] for file in files} == {whole}


def test_read_study_reports_a_file_that_cannot_be_read_and_strict_refuses_the_study(tmp_path):
    files = study(tmp_path)
    files[1].write_bytes(b"not an image")
    conversion = read_study([*files, tmp_path / "gone.dcm"], Settings())
    assert conversion.report.places(Outcome.INVALID) == ("file[2]", "file[5]")
    assert only(conversion, "ImagingStudy")["numberOfInstances"] == 3
    with pytest.raises(UnknownFormat, match="no DICOM"):
        read_study(files, Settings(strict=True))
    with pytest.raises(MalformedMessage, match="no file"):
        read_study([], Settings())


def test_read_study_refuses_files_of_two_studies_or_patients(tmp_path):
    files = study(tmp_path)
    (tmp_path / "x.dcm").write_bytes(file_of(ct_slice(3, StudyInstanceUID="2.999.8")))
    with pytest.raises(MalformedMessage, match="of another study"):
        read_study([*files, tmp_path / "x.dcm"], Settings())
    (tmp_path / "x.dcm").write_bytes(file_of(ct_slice(3, PatientID="4712")))
    with pytest.raises(MalformedMessage, match="of another patient"):
        read_study([*files, tmp_path / "x.dcm"], Settings())


def test_study_of_reads_the_uid_of_bytes_and_files(tmp_path):
    assert study_of(SAMPLE) == study_of(SAMPLE.read_bytes()) == STUDY
    assert study_of(b"MSH|^~\\&|") is None
    assert study_of(tmp_path / "gone.dcm") is None
    assert study_of(file_of(ct_slice(StudyInstanceUID=None))) is None


# --- the files of pydicom -------------------------------------------------------------------------------------------


def test_read_converts_the_test_files_of_pydicom():
    from pydicom.data import get_testdata_files

    converted, refused = 0, []
    for name in sorted(get_testdata_files()):
        path = Path(name)
        if not path.is_file() or FORMAT.recognise(path.read_bytes()[:65_536]) is None:
            continue
        with path.open("rb") as stream:
            pieces = list(FORMAT.pieces(stream, Settings()))
        try:
            conversions = FORMAT.read(pieces[0], Settings())
        except FormatError as problem:
            refused.append(str(problem))
            continue
        converted += 1
        for resource in (one for found in conversions for one in found.resources):
            assert validate(resource) == (), path.name
    assert converted >= 150
    assert all("DICOMDIR" in problem or "ends before its first element" in problem for problem in refused)
