"""HL7 v2 to records: what each message becomes, what is reported, and that nothing is lost in silence."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import FormatError, MalformedMessage, UnknownFormat
from medibridge.formats import Outcome, read
from medibridge.formats.fhir import validate
from medibridge.formats.settings import Settings
from medibridge.ids import DataClass
from medibridge.record import canonical_json

MESSAGES = {name: samples.read(name) for name in samples.NAMES if name.endswith(".hl7")}
ORU = MESSAGES["oru-r01-laboratory.hl7"]
ADT = MESSAGES["adt-a01-admission.hl7"]
RDE = MESSAGES["rde-o11-prescription.hl7"]
RAS = MESSAGES["ras-o17-administration.hl7"]
IDENTITY = ("Fernhollow", "Iris", "4711-0815", "19610514", "Alder Row", "555-0142")

PID = "PID|1||77^^^H&2.999.1&ISO^MR||Doe^Jo||1950|F"
OBR = "OBR|1|||100-8^Panel^LN|||20240307|||||||||||||||||LAB|F"


def oru(*segments, time="20240307101530", pid=PID, obr=OBR):
    head = rf"MSH|^~\&|LAB|H|||{time}||ORU^R01|1|P|2.5"
    return "".join(f"{segment}\r" for segment in (head, pid, obr, *segments)).encode()


def only(conversion, kind, at=0):
    """The resource of that type in the first record, as plain JSON with numbers as text."""
    bundle = json.loads(conversion.records[0].to_bytes(), parse_float=str, parse_int=str)
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind][at]


def value_of(obx, **keywords):
    observation = only(read(oru(obx, **keywords)), "Observation")
    return {name: value for name, value in observation.items() if name.startswith(("value", "component", "dataAbsent"))}


# --- the samples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name", "classes"),
    [
        (ORU, "HL7 v2.5.1 ORU^R01", [DataClass.LABORATORY]),
        (RDE, "HL7 v2.5.1 RDE^O11", [DataClass.MEDICATIONS]),
        (RAS, "HL7 v2.5.1 RAS^O17", [DataClass.MEDICATIONS]),
        (
            ADT,
            "HL7 v2.5.1 ADT^A01",
            [DataClass.DEMOGRAPHICS, DataClass.PROBLEMS, DataClass.ALLERGIES, DataClass.ENCOUNTERS],
        ),
    ],
    ids=["ORU", "RDE", "RAS", "ADT"],
)
def test_read_makes_one_valid_record_for_each_data_class(data, name, classes):
    conversion = read(data)
    assert conversion.format.name == name
    assert "MSH-9" in conversion.format.reason
    assert [record.data_class for record in conversion.records] == classes
    for record in conversion.records:
        assert validate(record.to_bundle()) == ()
        kinds = [resource["resourceType"] for resource in record.resources]
        assert kinds.count("Patient") == 1
        assert not record.deidentified


def test_read_puts_no_resource_of_another_class_into_a_record():
    _, problems, allergies, encounters = read(ADT).records
    assert {resource["resourceType"] for resource in problems.resources} == {
        "Patient",
        "Condition",
        "Practitioner",
        "Provenance",
    }
    assert {resource["resourceType"] for resource in allergies.resources} == {
        "Patient",
        "AllergyIntolerance",
        "Provenance",
    }
    encounter = next(found for found in encounters.resources if found["resourceType"] == "Encounter")
    condition = next(found for found in problems.resources if found["resourceType"] == "Condition")
    assert condition["encounter"] == {"reference": f"Encounter/{encounter['id']}"}


@pytest.mark.parametrize("name", MESSAGES)
def test_read_gives_the_same_bytes_twice(name):
    first, second = ([record.to_bytes() for record in read(MESSAGES[name], source="ward").records] for _ in range(2))
    assert first == second


def test_two_conversions_share_nothing_that_could_be_altered():
    for data in MESSAGES.values():
        first, second = read(data), read(data)
        assert not containers(first.resources) & containers(second.resources)


def containers(value):
    if isinstance(value, dict):
        return {id(value)}.union(*(containers(child) for child in value.values()))
    if isinstance(value, (list, tuple)):
        return {id(value)}.union(*(containers(child) for child in value))
    return set()


def test_patient_has_the_same_id_in_every_message_and_another_one_for_another_source():
    found = {only(read(data, source="a"), "Patient")["id"] for data in MESSAGES.values()}
    assert len(found) == 1
    assert only(read(ORU, source="b"), "Patient")["id"] not in found


def test_ids_survive_a_resend_and_an_update():
    again = ORU.replace(b"L240307-0042", b"L240307-0099").replace(b"72.50", b"75.10")
    assert only(read(again), "Observation")["id"] == only(read(ORU), "Observation")["id"]
    update = ADT.replace(b"ADT^A01^ADT_A01", b"ADT^A08^ADT_A01").replace(b"A240309-0016", b"A240310-0001")
    for before, after in zip(read(ADT).records, read(update).records, strict=True):
        assert ids_of(before) == ids_of(after)


def ids_of(record):
    """Of all but the Provenance, which names the message that it was made from."""
    return [found["id"] for found in record.resources if found["resourceType"] != "Provenance"]


def test_patient_is_read_from_pid():
    patient = only(read(ORU), "Patient")
    assert patient["identifier"][0] == {
        "value": "4711-0815",
        "system": "urn:oid:2.999.4711",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
        "assigner": {"display": "ROWAN"},
    }
    assert patient["name"] == [{"use": "official", "family": "Fernhollow", "given": ["Iris", "Maud"], "prefix": ["Ms"]}]
    assert (patient["gender"], patient["birthDate"]) == ("female", "1961-05-14")
    assert patient["telecom"][1] == {"system": "email", "value": "iris.fernhollow@example.org", "use": "home"}
    assert patient["address"][0]["line"] == ["12 Alder Row", "Flat 3"]
    assert patient["maritalStatus"]["coding"][0]["system"].endswith("v3-MaritalStatus")


def test_results_are_read_from_obr_and_obx():
    conversion = read(ORU)
    glucose = only(conversion, "Observation")
    assert glucose["code"]["coding"][0]["system"] == "http://loinc.org"
    assert glucose["valueQuantity"] == {
        "value": "72.50",
        "unit": "milligram per decilitre",
        "system": "http://unitsofmeasure.org",
        "code": "mg/dL",
    }
    assert b"72.50" in conversion.records[0].to_bytes()
    assert glucose["effectiveDateTime"] == "2024-03-06T08:15:00+01:00"
    assert glucose["interpretation"][0]["coding"][0]["code"] == "N"
    assert (glucose["referenceRange"][0]["low"]["value"], glucose["referenceRange"][0]["text"]) == ("70", "70-99")
    assert only(conversion, "Observation", 1)["note"][0]["text"] == ("Repeated on a second run\nwith the same result.")
    report = only(conversion, "DiagnosticReport")
    assert len(report["result"]) == 6
    notes = [found["valueAnnotation"] for found in report["extension"] if "valueAnnotation" in found]
    assert notes == [{"text": "Sample slightly haemolysed."}]
    assert report["issued"] == "2024-03-07T10:00:00+01:00"


def test_medications_are_read_from_rxe_and_rxa():
    request = only(read(RDE), "MedicationRequest")
    assert request["medicationCodeableConcept"]["coding"][0]["code"] == "860975"
    dosage = request["dosageInstruction"][0]
    assert dosage["timing"]["repeat"]["frequency"] == "2"
    assert dosage["timing"]["repeat"]["boundsPeriod"] == {"start": "2024-03-07", "end": "2024-06-06"}
    assert [coding["system"].rpartition("/")[2] for coding in dosage["route"]["coding"]] == [
        "v3-RouteOfAdministration",
        "v2-0162",
    ]
    assert request["dispenseRequest"]["numberOfRepeatsAllowed"] == "3"
    given_ = only(read(RAS), "MedicationAdministration")
    assert given_["dosage"]["dose"] == {
        "value": "1000",
        "unit": "mg",
        "system": "http://unitsofmeasure.org",
        "code": "mg",
    }
    assert (given_["status"], given_["effectiveDateTime"]) == ("completed", "2024-03-09T14:15:00+01:00")


# --- values and dates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obx", "expected"),
    [
        ("OBX|1|NM|1-8^x^LN||<5|mg/L^^UCUM||||||F", {"value": "5", "comparator": "<"}),
        ("OBX|1|ST|1-8^x^LN||>=200|mg/L^^UCUM|||||F", {"value": "200", "comparator": ">="}),
        ("OBX|1|SN|1-8^x^LN||<=^7.0|mg/L^^UCUM|||||F", {"value": "7.0", "comparator": "<="}),
        ("OBX|1|NM|1-8^x^LN||+.50|mg/L^^UCUM|||||F", {"value": "0.50"}),
        ("OBX|1|NM|1-8^x^LN||007.|mg/L^^UCUM|||||F", {"value": "7"}),
        ("OBX|1||1-8^x^LN||12|mg/L^^UCUM|||||F", {"value": "12"}),
    ],
)
def test_numbers_become_quantities_with_comparator(obx, expected):
    assert value_of(obx) == {
        "valueQuantity": {**expected, "unit": "mg/L", "system": "http://unitsofmeasure.org", "code": "mg/L"}
    }


LOCAL = {"url": "https://reportstream.cdc.gov/fhir/StructureDefinition/cwe-coding-system", "valueString": "L"}
UNKNOWN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}


@pytest.mark.parametrize(
    ("obx", "expected"),
    [
        ("OBX|1|SN|1-8^x^LN||^1^-^3||||||F", {"valueRange": {"low": {"value": "1"}, "high": {"value": "3"}}}),
        (
            "OBX|1|SN|1-8^x^LN||^1^:^128||||||F",
            {"valueRatio": {"numerator": {"value": "1"}, "denominator": {"value": "128"}}},
        ),
        ("OBX|1|SN|1-8^x^LN||^2^+||||||F", {"valueString": "2+"}),
        ("OBX|1|NM|1-8^x^LN||none seen||||||F", {"valueString": "none seen"}),
        ("OBX|1|ST|1-8^x^LN||12||||||F", {"valueString": "12"}),
        ("OBX|1|TX|1-8^x^LN||a~b||||||F", {"valueString": "a\nb"}),
        ("OBX|1|DT|1-8^x^LN||202403||||||F", {"valueDateTime": "2024-03"}),
        (
            "OBX|1|CWE|1-8^x^LN||A^Alpha^L||||||F",
            {"valueCodeableConcept": {"coding": [{"code": "A", "display": "Alpha", "extension": [LOCAL]}]}},
        ),
        ("OBX|1|CE|1-8^x^LN||^only text||||||F", {"valueCodeableConcept": {"text": "only text"}}),
        ("OBX|1|NM|1-8^x^LN||||||||F", {"dataAbsentReason": UNKNOWN}),
        ("OBX|1|ED|1-8^x^LN||^IM^PNG^Base64^AAAA||||||F", {}),
    ],
)
def test_other_values_keep_their_type(obx, expected):
    assert value_of(obx) == expected


def test_repeating_numbers_become_components():
    components = value_of("OBX|1|NM|1-8^x^LN||60~120|/min^^UCUM|||||F")["component"]
    assert [component["valueQuantity"]["value"] for component in components] == ["60", "120"]


def test_a_result_that_was_not_asked_says_so():
    assert "not-asked" in str(value_of("OBX|1|NM|1-8^x^LN||||||||N"))


@pytest.mark.parametrize(
    ("sent", "message_time", "expected", "outcome"),
    [
        ("20240306081500+0100", "20240307", "2024-03-06T08:15:00+01:00", Outcome.MAPPED),
        ("20240306081500.25-0530", "20240307", "2024-03-06T08:15:00.25-05:30", Outcome.MAPPED),
        ("202403060815-0500", "20240307", "2024-03-06T08:15:00-05:00", Outcome.MAPPED),
        ("202403060815", "20240307101530+0200", "2024-03-06T08:15:00+02:00", Outcome.MAPPED),
        ("202403060815", "20240307101530", "2024-03-06", Outcome.PARTLY),
        ("2024030608+0100", "20240307", "2024-03-06", Outcome.PARTLY),
        ("20240306  ", "20240307", "2024-03-06", Outcome.MAPPED),
        ("202403", "20240307", "2024-03", Outcome.MAPPED),
        ("2024", "20240307", "2024", Outcome.MAPPED),
        ("20240230", "20240307", None, Outcome.INVALID),
        ("202403062500+0100", "20240307", None, Outcome.INVALID),
        ("6 March 2024", "20240307", None, Outcome.INVALID),
        ("٢٠٢٤", "20240307", None, Outcome.INVALID),
    ],
)
def test_dates_keep_their_precision_and_never_gain_a_midnight(sent, message_time, expected, outcome):
    bare = "OBR|1|||100-8^Panel^LN||||||||||||||||||||LAB|F"
    conversion = read(oru(f"OBX|1|NM|1-8^x^LN||1||||||F|||{sent}", time=message_time, obr=bare))
    assert only(conversion, "Observation").get("effectiveDateTime") == expected
    assert "OBX[1]-14" in conversion.report.places(outcome)


def test_units_are_ucum_only_when_the_code_system_says_so():
    quantity = value_of("OBX|1|NM|1-8^x^LN||1|mg/L||||||F")["valueQuantity"]
    assert quantity == {"value": "1", "unit": "mg/L"}
    quantity = value_of("OBX|1|NM|1-8^x^LN||1|K^k^L^10*3/uL^^UCUM|||||F")["valueQuantity"]
    assert quantity["code"] == "10*3/uL"


def test_a_unit_without_a_number_stays_beside_the_text():
    assert value_of("OBX|1|ST|1-8^x^LN||clear|mg/L||||||F") == {"valueString": "clear mg/L"}


def test_sections_that_are_not_laboratory_work_are_of_their_own_class():
    imaging = "OBR|2|||30746-2^Chest^LN||||||||||||||||||||RAD|F"
    conversion = read(oru("OBX|1|NM|1-8^x^LN||1||||||F", imaging, "OBX|1|TX|2-6^y^LN||shadow||||||F"))
    by_class = {record.data_class: record.to_bytes() for record in conversion.records}
    assert set(by_class) == {DataClass.LABORATORY, DataClass.IMAGING}
    assert b"shadow" not in by_class[DataClass.LABORATORY]
    assert b"shadow" in by_class[DataClass.IMAGING]


def test_notes_belong_to_the_segment_above():
    conversion = read(oru("OBX|1|NM|1-8^x^LN||1||||||F", "NTE|1||one", "NTE|2||two", "SPM|1", "NTE|1||three"))
    assert [note["text"] for note in only(conversion, "Observation")["note"]] == ["one", "two"]
    assert [note["text"] for note in only(conversion, "Specimen")["note"]] == ["three"]


def test_z_segments_are_reported_as_unknown():
    assert read(ADT).report.places(Outcome.UNKNOWN) == ("ZWD[1]-1", "ZWD[1]-2")


# --- broken messages ------------------------------------------------------------------------------------------------


WITHOUT_TIME = RAS.replace(b"20240309141500", b"yesterday")


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (ORU[: ORU.index(b"ORU^R01") + 8], MalformedMessage, r"MSH\[1\]-12"),
        (ORU[: ORU.index(b"|1.40|") + 2], MalformedMessage, r"OBX\[2\]-11 .* cut off"),
        (ADT[: ADT.index(b"PV1") + 6], MalformedMessage, r"PV1\[1\]-2 \(the patient class\)"),
        (ADT[: ADT.index(b"DG1|2") + 7], MalformedMessage, r"DG1\[2\]-3 \(the diagnosis\)"),
        (ADT[: ADT.index(b"AL1") + 6], MalformedMessage, r"AL1\[1\]-3"),
        (RDE[: RDE.index(b"RXE") + 8], MalformedMessage, r"RXE\[1\]-2 \(the drug\)"),
        (RAS[: RAS.index(b"|1665050")], MalformedMessage, r"RXA\[1\]-5"),
        (ORU.replace(b"PV1|1|O", b"PID|2||999"), MalformedMessage, "holds 2 messages or patients"),
        (ORU.replace(b"2.5.1", b"3.0"), UnknownFormat, r"MSH\[1\]-12 .* accepted is HL7 v2.1 to v2.9 ADT\^A01"),
        (ORU.replace(b"|2.5.1|", b"||"), MalformedMessage, r"MSH\[1\]-12"),
        (ORU.replace(b"ORU^R01^ORU_R01", b"Iris"), UnknownFormat, "names a message that is not read"),
        (ORU.replace(b"ORU^R01^ORU_R01", b""), MalformedMessage, r"MSH\[1\]-9"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_read_names_place_and_remedy_when_the_message_is_broken(data, error, words):
    with pytest.raises(error, match=words) as refusal:
        read(data)
    text = str(refusal.value)
    assert not any(value in text for value in IDENTITY)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (ORU.split(b"\r")[0] + b"\r", r"lacks PID.*after MSH\[1\]"),
        (b"\r".join(ORU.split(b"\r")[:2]), r"lacks OBR.*after PID\[1\]"),
        (b"\r".join(ORU.split(b"\r")[:1] + ORU.split(b"\r")[2:]), "lacks PID"),
        (RDE[: RDE.index(b"RXE")], "lacks RXE or RXO or RXD"),
        (WITHOUT_TIME, r"RXA\[1\]-3 is not a date"),
        (ADT.replace(b"|19610514|", b"|May 1961|"), r"PID\[1\]-7 is not a date"),
        (ORU.replace(b"2345-7^Glucose [Mass/volume] in Serum or Plasma^LN", b""), r"OBX\[1\]-3 \(what was observed\)"),
    ],
)
def test_strict_reading_refuses_what_lenient_reading_reports(data, words):
    with pytest.raises(MalformedMessage, match=words) as refusal:
        read(data, settings=Settings(strict=True))
    assert not any(value in str(refusal.value) for value in IDENTITY)
    conversion = read(data)
    assert conversion.report.places(Outcome.INVALID, Outcome.DEFAULT)
    assert validate(conversion.to_bundle("collection")) == ()


def test_read_defaults_to_unknown_when_a_complete_result_has_no_status():
    conversion = read(oru("OBX|1|NM|1-8^x^LN||1"))
    assert only(conversion, "Observation")["status"] == "unknown"
    assert "OBX[1]-11" in conversion.report.places(Outcome.DEFAULT)


# --- properties -----------------------------------------------------------------------------------------------------


def valued_leaves(text):
    """Every valued place of a message with the usual delimiters, and its text, found the obvious way."""
    numbers = {}
    for segment in filter(None, re.split(r"[\r\n]+", text)):
        name, *fields = segment.split("|")
        numbers[name] = numbers.get(name, 0) + 1
        if name == "MSH":
            fields = ["", *fields]
            yield from (("MSH[1]-1", "|"), ("MSH[1]-2", fields[1]))
        for at, whole in enumerate(fields, 1):
            if name == "MSH" and at <= 2:
                continue
            for r, repetition in enumerate(whole.split("~"), 1):
                for c, component in enumerate(repetition.split("^"), 1):
                    for s, leaf in enumerate(component.split("&"), 1):
                        if leaf.strip():
                            place = f"{name}[{numbers[name]}]-{at}" + (f"[{r}]" if r > 1 else "")
                            place += f".{c}" if c > 1 or s > 1 else ""
                            yield place + (f".{s}" if s > 1 else ""), leaf


def check_complete(data):
    """Every valued place has one finding, the records are valid bytes, and nothing but FormatError is raised."""
    try:
        conversion = read(data)
    except FormatError as problem:
        assert not any(value in str(problem) for value in IDENTITY)
        return None
    found = [finding.place for finding in conversion.report.findings if finding.outcome is not Outcome.DEFAULT]
    assert sorted(found) == sorted(place for place, _ in valued_leaves(data.decode()))
    for record in conversion.records:
        assert type(record).from_bytes(record.to_bytes()) == record
    return conversion


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_read_survives_every_cut(name, data):
    message = MESSAGES[name]
    check_complete(message[: data.draw(st.integers(0, len(message)))])


@settings(max_examples=80)
@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_read_reports_every_value_when_fields_are_altered(name, data):
    segments = [segment.split("|") for segment in MESSAGES[name].decode().split("\r")[:-1]]
    for _ in range(data.draw(st.integers(1, 6))):
        segment = data.draw(st.sampled_from(segments))
        at = data.draw(st.integers(1, len(segment)))
        if segment[0] == "MSH" and at < 3:
            continue
        piece = st.sampled_from(
            [
                "",
                '""',
                "^",
                "&",
                "~",
                "A&B^C~D",
                "<5",
                "-1.5",
                "20240101",
                "2024010112",
                "UCUM",
                "LN",
                "D",
                "X",
                "é",
                "\\F\\",
            ]
        )
        value = "".join(data.draw(st.lists(piece, max_size=4)))
        segment[at : at + 1] = [value]
    if data.draw(st.booleans()):
        segments.append(segments.pop(data.draw(st.integers(1, len(segments) - 1))))
    conversion = check_complete("".join("|".join(segment) + "\r" for segment in segments).encode())
    for record in conversion.records if conversion else ():
        assert validate(record.to_bundle()) == ()


@settings(max_examples=200)
@given(st.sampled_from(sorted(MESSAGES)), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8))
def test_read_raises_format_errors_only_when_bytes_are_altered(name, changes):
    data = bytearray(MESSAGES[name])
    for at, byte in changes:
        data[at % len(data)] = byte
    with contextlib.suppress(FormatError):
        read(bytes(data))


SHAPES = (
    "{}",
    "^{}",
    "^^{}",
    "^^^{}",
    "^^^^{}",
    "^^^^^{}",
    "^^^^^^^^{}",
    "{}^Q^LN",
    "Q^{}^L",
    "&{}",
    "A^B^C&{}^D",
    "A~{}",
    "Q^R^{}",
)


def with_token(name, at_line, at_field, shape):
    """The sample with a token at one place, the place, and the report's outcome and the records, if it is read."""
    lines = MESSAGES[name].decode().split("\r")
    fields = [*lines[at_line].split("|"), *[""] * 40]
    fields[at_field] = shape.format("Tok3n")
    lines[at_line] = "|".join(fields).rstrip("|")
    data = "\r".join(lines).encode()
    return data, next(place for place, leaf in valued_leaves(data.decode()) if leaf == "Tok3n")


def check_token(name, at_line, at_field, shape):
    """What is reported as mapped is in a record, and what is not, is not."""
    data, place = with_token(name, at_line, at_field, shape)
    try:
        conversion = read(data)
    except FormatError as problem:
        assert "Tok3n" not in str(problem)
        return
    carried = b"Tok3n" in canonical_json(conversion.to_bundle())
    outcomes = (Outcome.MAPPED, Outcome.PARTLY) if carried else set(Outcome) - {Outcome.MAPPED, Outcome.PARTLY}
    assert place in conversion.report.places(*outcomes), place


places_of_samples = st.sampled_from(
    [
        (name, at_line, at_field)
        for name, data in MESSAGES.items()
        for at_line, line in enumerate(data.decode().split("\r")[:-1])
        for at_field in range(1, max(line.count("|") + 1, 26))
        if line[:3] != "MSH"
    ]
)


@settings(max_examples=150)
@given(places_of_samples, st.sampled_from(SHAPES))
def test_what_is_reported_as_mapped_is_in_a_record_wherever_it_stands(place, shape):
    check_token(*place, shape)
