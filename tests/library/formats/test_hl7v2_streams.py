"""HL7 v2 from a stream: batches, files of several messages, MLLP sequences, several patients, merges, profiles."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import FormatError, MalformedMessage
from medibridge.formats import Outcome, Refused, read, read_all
from medibridge.formats.fhir import validate
from medibridge.formats.hl7v2 import FORMAT
from medibridge.formats.hl7v2.files import names
from medibridge.formats.hl7v2.groups import message_types
from medibridge.formats.naming import Names
from medibridge.formats.settings import Profile, Settings

ORU = samples.read("oru-r01-laboratory.hl7")
ADT = samples.read("adt-a01-admission.hl7")
RDE = samples.read("rde-o11-prescription.hl7")
PID = "PID|1||77^^^H&2.999.1&ISO^MR||Doe^Jo||1950|F"


def message(kind, *segments, control="1"):
    head = rf"MSH|^~\&|APP|H|||20240307101530+0100||{kind}|{control}|P|2.5"
    return "".join(f"{segment}\r" for segment in (head, *segments)).encode()


def kinds(conversion):
    return [resource["resourceType"] for resource in conversion.resources]


def found(conversion, kind):
    return [resource for resource in conversion.resources if resource["resourceType"] == kind]


# --- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        ORU + ADT + RDE,
        (ORU + ADT + RDE).replace(b"\r", b"\n"),
        b"\xef\xbb\xbf" + ORU + b"\xef\xbb\xbf" + ADT + b"\r\n\r\n" + RDE,
        b"".join(b"\x0b" + one + b"\x1c\r" for one in (ORU, ADT, RDE)),
        b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + ORU + ADT + RDE + b"BTS|3\rFTS|1\r",
        b"BHS|^~\\&\r" + ORU + b"BTS|1\rBHS|^~\\&\r" + ADT + RDE + b"BTS|2\r",
    ],
    ids=["one after another", "LF", "BOM in between", "MLLP", "batch", "two batches"],
)
def test_read_all_gives_each_message_with_its_place(data):
    conversions = list(read_all(data))
    assert [one.format.name for one in conversions] == [
        "HL7 v2.5.1 ORU^R01",
        "HL7 v2.5.1 ADT^A01",
        "HL7 v2.5.1 RDE^O11",
    ]
    assert [one.place for one in conversions] == ["message[1]", "message[2]", "message[3]"]
    assert not any(one.report.places(Outcome.INVALID) for one in conversions)


def test_read_all_reports_a_trailer_that_counts_otherwise():
    _, last = read_all(b"BHS|^~\\&|A\r" + ORU + ADT + b"BTS|3\r")
    assert last.report.places(Outcome.INVALID) == ("BTS[1]-1",)


def test_one_broken_message_stops_nothing():
    outcomes = list(read_all(ORU + b"MSH|^~\\&|A|B\r" + message("ADT^A01", "PID broken") + ADT))
    assert [type(one) is Refused for one in outcomes] == [False, True, True, False]
    assert [one.piece.place for one in outcomes if isinstance(one, Refused)] == ["message[2]", "message[3]"]


def test_a_message_longer_than_the_limit_is_refused_and_the_next_is_read():
    class Endless(io.RawIOBase):
        def __init__(self):
            self.rest = [b"MSH|^~\\&|A|B|||||ADT^A01|1|P|2.5\rNTE|1||", *[b"x" * 2**20] * 40, b"\r", ADT]

        def read(self, _=-1):
            return self.rest.pop(0) if self.rest else b""

    pieces = list(FORMAT.pieces(Endless(), Settings()))
    assert max(len(piece.data) for piece in pieces) < 20 * 2**20
    with pytest.raises(MalformedMessage, match="larger than 16 MiB"):
        FORMAT.read(pieces[0], Settings())
    assert FORMAT.read(pieces[1], Settings())


@given(
    st.lists(
        st.sampled_from([ORU, ADT, b"BHS|^~\\&\r", b"BTS|1\r", b"\x0b", b"\x1c\r", b"\n", b"MSH\r", b"x\r"]), max_size=8
    )
)
@settings(max_examples=60)
def test_pieces_hold_every_message_whatever_stands_between(parts):
    data = b"".join(parts)
    cut = list(FORMAT.pieces(io.BytesIO(data), Settings()))
    assert sum(piece.data.count(b"|ORU^R01^") + piece.data.count(b"|ADT^A01^") for piece in cut) == sum(
        part in (ORU, ADT) for part in parts
    )
    for piece in cut:
        try:
            FORMAT.read(piece, Settings())
        except FormatError as problem:
            assert "Fernhollow" not in str(problem)


# --- patients -------------------------------------------------------------------------------------------------------


def test_a_message_about_several_patients_gives_one_conversion_each():
    obr = "OBR|1|||100-8^Panel^LN|||20240307|||||||||||||||||LAB|F"
    data = message(
        "ORU^R01",
        PID,
        obr,
        "OBX|1|NM|1-8^x^LN||1||||||F",
        "PID|2||78^^^H^MR||Roe^Ann",
        obr,
        "OBX|1|NM|1-8^x^LN||2||||||F",
    )
    conversions = FORMAT.read(next(FORMAT.pieces(io.BytesIO(data), Settings())), Settings())
    assert [len(found(one, "Patient")) for one in conversions] == [1, 1]
    values = [str(found(one, "Observation")[0]["valueQuantity"]["value"]) for one in conversions]
    assert values == ["1", "2"]


def test_a_patient_is_named_by_system_and_value_as_in_other_formats():
    patient = found(read(message("ADT^A08", PID), source="ward"), "Patient")[0]
    assert patient["id"] == Names("ward").by_identifier("Patient", "urn:oid:2.999.1", "77")


def test_a_merge_keeps_the_id_of_the_surviving_patient_and_names_the_other():
    before = found(read(message("ADT^A01", PID, "PV1|1|I")), "Patient")[0]
    after = found(read(message("ADT^A40", "EVN|A40", PID, "MRG|99^^^H&2.999.1&ISO^MR")), "Patient")
    assert [one["id"] for one in after] == [before["id"]]
    assert after[0]["link"] == [
        {
            "type": "replaces",
            "other": {
                "identifier": {
                    "value": "99",
                    "system": "urn:oid:2.999.1",
                    "assigner": {"display": "H"},
                    "type": {"coding": [{"code": "MR", "system": "http://terminology.hl7.org/CodeSystem/v2-0203"}]},
                }
            },
        }
    ]


@pytest.mark.parametrize(
    "kind", ["ADT^A99", "QBP^Q22", "ZZZ^Z01", "ACK", "ORU", "ORU^R01^ORU_R01", "ORU_R01", "ADT^^ADT_A05"]
)
def test_any_message_with_a_patient_is_read_by_its_segments(kind):
    conversion = read(message(kind, PID, "AL1|1|DA|7980^Penicillin G^RXNORM", "NTE|1||said"))
    assert {"Patient", "AllergyIntolerance"} <= set(kinds(conversion))
    assert validate(conversion.to_bundle("collection")) == ()


def test_a_message_without_a_patient_gives_what_there_is():
    conversion = read(message("ORU^R01", "OBR|1|||100-8^Panel^LN|||20240307", "OBX|1|NM|1-8^x^LN||1||||||F"))
    assert not found(conversion, "Patient")
    assert found(conversion, "Observation")[0]["valueQuantity"]["value"] == 1
    assert any("lacks PID" in finding.reason for finding in conversion.report.findings)


# --- profiles -------------------------------------------------------------------------------------------------------

PROFILE = Profile.from_yaml(
    """
zone: Europe/Vienna
authorities: {H2: "urn:oid:2.999.7"}
codes: {99LAB: {GLU: {system: "http://loinc.org", code: 2345-7, display: Glucose}}}
units: {"K/uL": "10*3/uL"}
segments:
  ZPI: {2: Patient.generalPractitioner.display, 3: Patient.multipleBirthInteger, 4: Patient.nosuch, 5: Group.name}
"""
)


def test_a_profile_gives_zone_authorities_codes_units_and_site_segments():
    data = message(
        "ORU^R01",
        "PID|1||77^^^H2^MR||Doe^Jo",
        "OBR|1|||GLU^Zucker^99LAB|||20240707101530",
        "OBX|1|NM|GLU^Zucker^99LAB||4.20|K/uL|||||F|||20240107101530",
        "ZPI|x|Dr Who|2|lost|none",
    ).replace(b"+0100", b"")
    conversion = read(data, settings=Settings(profile=PROFILE))
    patient, observation = found(conversion, "Patient")[0], found(conversion, "Observation")[0]
    assert patient["identifier"][0]["system"] == "urn:oid:2.999.7"
    assert patient["generalPractitioner"] == [{"display": "Dr Who"}]
    assert patient["multipleBirthInteger"] == 2
    assert observation["code"]["coding"][0] == {"system": "http://loinc.org", "code": "2345-7", "display": "Glucose"}
    assert observation["code"]["coding"][1]["code"] == "GLU"
    assert (observation["valueQuantity"]["unit"], observation["valueQuantity"]["code"]) == ("K/uL", "10*3/uL")
    assert observation["effectiveDateTime"] == "2024-01-07T10:15:30+01:00"
    assert found(conversion, "DiagnosticReport")[0]["effectiveDateTime"] == "2024-07-07T10:15:30+02:00"
    assert conversion.report.places(Outcome.UNKNOWN) == ("ZPI[1]-1", "ZPI[1]-4")
    assert "ZPI[1]-5" in conversion.report.places(Outcome.UNMAPPED)


def test_a_time_that_the_clock_met_twice_keeps_its_date_only():
    data = message("ADT^A01", PID, "PV1|1|I" + "|" * 42 + "20241027023000").replace(b"+0100", b"")
    conversion = read(data, settings=Settings(profile=PROFILE))
    assert found(conversion, "Encounter")[0]["period"] == {"start": "2024-10-27"}
    assert "PV1[1]-44" in conversion.report.places(Outcome.PARTLY)


# --- attacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tail", "refused"),
    [
        (b"NTE|1||" + b"x" * 10_000_000, False),
        (b"NTE|1||" + b"x" * 20_000_000, True),
        (b"NTE|1||" + b"x~" * 1_000_000, True),
        (b"NTE\r" * 1_000_000, True),
        (b"OBR|1\r" * 2_000, False),
        (b"OBR|1\r" * 21_000, True),
        (b"OBX|1|NM|1-8^x^LN||1\r" * 2_000, False),
        (b"PID|1||2\r" * 1_000, True),
        (b"OBX|1|CWE|" + b"a^" * 50_000, False),
        (b"\\X" * 100_000, True),
        (b"NTE|1||" + b"\\X41" * 100_000, False),
    ],
    ids=[
        "10 MB",
        "20 MB",
        "repetitions",
        "segments",
        "orders",
        "too many orders",
        "results",
        "patients",
        "components",
        "junk",
        "escapes",
    ],
)
def test_a_hostile_message_ends_in_a_result_or_an_error(tail, refused):
    data = message("ORU^R01", PID) + tail + b"\r"
    if refused:
        with pytest.raises(FormatError):
            read_one(data)
    else:
        assert read_one(data)


def read_one(data):
    return FORMAT.read(next(FORMAT.pieces(io.BytesIO(data), Settings())), Settings())


SEGMENTS = sorted(name for name in names("segments") if name != "MSH")
TOKENS = ["", '""', "^", "&", "~", "A&B^C~D", "<5", "-1.5", "20240101", "2024010112", "Y", "A", "X", "1.2.3.4", "a  b",
          "1^2^3^4^5^6^7^8^9^10", "\\F\\", "A^B^LN^C^D^L", "20240230", "999", "\u00e9"]  # fmt: skip


@given(st.data())
@settings(max_examples=120)
def test_messages_of_any_segments_and_values_are_valid_by_construction(data):
    lines = [rf"MSH|^~\&|APP|H|||20240307101530||{data.draw(st.sampled_from(sorted(message_types())))}|1|P|2.5"]
    for name in data.draw(st.lists(st.sampled_from(["PID", "ORC", "OBR", "OBX", *SEGMENTS]), max_size=8)):
        if name == "PID" and any(line.startswith("PID") for line in lines):
            continue
        lines.append("|".join([name, *data.draw(st.lists(st.sampled_from(TOKENS), max_size=40))]))
    conversion = read("".join(f"{line}\r" for line in lines).replace("^*|", "^Z99|").encode())
    assert not [finding for finding in conversion.report.findings if finding.place.startswith("output")]
    assert validate(conversion.to_bundle("collection")) == ()
    assert read("".join(f"{line}\r" for line in lines).replace("^*|", "^Z99|").encode()) == conversion
