"""FHIR R4 as HL7 v2: what is written, what is reported, and that reading it again gives the same facts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import FormatError, MalformedMessage, UsageError
from medibridge.formats import Outcome, read, read_all
from medibridge.formats.conversion import Conversion
from medibridge.formats.hl7v2_writing import Parties, Written, to_hl7v2
from medibridge.formats.hl7v2_writing.datatypes import date_time
from medibridge.formats.hl7v2_writing.segments import escaped, segment
from medibridge.record import JsonObject, Number

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
PATIENT: JsonObject = {"resourceType": "Patient", "id": "p", "name": [{"family": "Fernhollow", "given": ["Iris"]}]}
SUBJECT: JsonObject = {"reference": "Patient/p"}
TIME = "2024-03-11T10:15:00+01:00"


def concept(code: str, system: str = LOINC, display: str = "") -> JsonObject:
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def observation(name: str = "o", code: str = "2345-7", **elements: Any) -> JsonObject:
    return {
        "resourceType": "Observation", "id": name, "status": "final", "code": concept(code), "subject": SUBJECT,
        **elements,
    }  # fmt: skip


def write(*resources: JsonObject, event: Any = "ORU^R01") -> tuple[hl7.Message, Written]:
    written = to_hl7v2([PATIENT, *resources], event=event, time=TIME)
    return hl7.parse(written.message.decode()), written


def lines(written: Written, name: str) -> list[str]:
    return [line for line in written.message.decode().split("\r") if line.startswith(name + "|")]


def outcome(written: Written, place: str) -> Outcome:
    return next(found.outcome for found in written.report.findings if found.place == place)


def facts(conversion: Conversion) -> Counter[str]:
    """What a conversion says, without ids, positions, and what is about the message alone."""
    found: Counter[str] = Counter()
    for resource in conversion.resources:
        kind = str(resource["resourceType"])
        if kind not in ("Provenance", "MessageHeader"):
            found.update(f"{kind}: {fact}" for fact in _facts(resource, ""))
    return found


_CORE = frozenset(
    """birthDate city code comparator effectiveDateTime end family gender given line onsetDateTime start status system
    text unit value valueDateTime valueString""".split()  # noqa: SIM905 - as a table
)


def _facts(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key not in ("meta", "extension", "id", "contained"):
                yield from _facts(child, key)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from _facts(child, name)
    elif name in _CORE:
        yield f"{name}={value}"


# --- there and back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "event"), [("oru-r01-laboratory.hl7", "ORU^R01"), ("adt-a01-admission.hl7", "ADT^A08")]
)
def test_to_hl7v2_says_what_the_message_said_that_the_resources_came_from(sample, event):
    first = read(samples.read(sample))
    header = samples.read(sample).decode().split("|")
    parties = Parties(*header[2:6])
    written = to_hl7v2(first.resources, event=event, parties=parties)
    second = read(written.message)
    lost, gained = facts(first) - facts(second), facts(second) - facts(first)
    known = {"Encounter: status=in-progress", "Encounter: status=unknown"}  # an update does not say where it stands
    assert {fact for fact in lost if fact not in known} == set()
    assert {fact for fact in gained if fact not in known} == set()
    again = to_hl7v2(second.resources, event=event, parties=parties)
    assert again.message == written.message


def test_to_hl7v2_writes_the_digits_of_a_result_as_they_are():
    _, written = write(
        observation(valueQuantity={"value": Number("72.50"), "unit": "mg/dL", "system": UCUM, "code": "mg/dL"}),
        observation("e", valueQuantity={"value": Number("1e2"), "unit": "mg/dL"}),
    )
    assert [line.split("|")[2:7] for line in lines(written, "OBX")] == [
        ["NM", "2345-7^^LN", "", "72.50", "mg/dL^^UCUM"],
        ["NM", "2345-7^^LN", "", "100", "mg/dL"],
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueQuantity": {"value": Number("5"), "comparator": "<", "unit": "mg/L"}}, ["SN", "<^5", "mg/L"]),
        ({"valueRange": {"low": {"value": Number("1"), "unit": "mL"}, "high": {"value": Number("2")}}},
         ["SN", "^1^-^2", "mL"]),
        ({"valueRange": {"low": {"value": Number("1")}}}, ["SN", ">=^1", ""]),
        ({"valueRatio": {"numerator": {"value": Number("1")}, "denominator": {"value": Number("128")}}},
         ["SN", "^1^:^128", ""]),
        ({"valueString": "no growth"}, ["ST", "no growth", ""]),
        ({"valueString": "<5"}, ["TX", "<5", ""]),
        ({"valueString": "a|b^c&d~e\\f\ng"}, ["TX", r"a\F\b\S\c\T\d\R\e\E\f\.br\g", ""]),
        ({"valueCodeableConcept": concept("278149003", "http://snomed.info/sct")}, ["CWE", "278149003^^SCT", ""]),
        ({"valueDateTime": "2024-03"}, ["TS", "202403", ""]),
        ({"valueDateTime": "2024-03-06"}, ["DT", "20240306", ""]),
        ({"valueDateTime": "2024-03-06T08:15:00.25Z"}, ["TS", "20240306081500.25+0000", ""]),
        ({"valueTime": "08:15:00"}, ["TM", "081500", ""]),
        ({"valuePeriod": {"start": "2024-03-06", "end": "2024-03-07"}}, ["DR", "20240306^20240307", ""]),
        ({"valueBoolean": False}, ["CWE", "N^^HL70136", ""]),
        ({"valueInteger": Number("3")}, ["NM", "3", ""]),
        ({}, ["", "", ""]),
    ],
)  # fmt: skip
def test_to_hl7v2_writes_each_type_of_value(value, expected):
    _, written = write(observation(**value))
    fields = lines(written, "OBX")[0].split("|")
    assert [fields[2], fields[5], fields[6]] == expected


def test_to_hl7v2_writes_components_below_their_observation_with_its_sub_id():
    pressure = [
        {"code": concept(code), "valueQuantity": {"value": Number(value), "unit": "mmHg"}}
        for code, value in (("8480-6", "120"), ("8462-4", "80"))
    ]
    _, written = write(observation(code="85354-9", component=pressure))
    assert [line.split("|")[2:6] for line in lines(written, "OBX")] == [
        ["", "85354-9^^LN", "1", ""], ["NM", "8480-6^^LN", "1.1", "120"], ["NM", "8462-4^^LN", "1.2", "80"],
    ]  # fmt: skip


def test_to_hl7v2_writes_components_of_one_code_as_repetitions():
    several = [{"code": concept("2345-7"), "valueCodeableConcept": concept(code)} for code in ("A", "B")]
    _, written = write(observation(component=several))
    assert [line.split("|")[5] for line in lines(written, "OBX")] == ["A^^LN~B^^LN"]


def test_to_hl7v2_writes_a_panel_its_order_its_specimen_and_its_notes():
    report = {
        "resourceType": "DiagnosticReport", "id": "r", "status": "partial", "code": concept("24323-8"),
        "subject": SUBJECT, "basedOn": [{"reference": "ServiceRequest/s"}], "conclusion": "All | well",
        "result": [{"reference": "Observation/o"}], "specimen": [{"reference": "Specimen/b"}],
        "identifier": [{"value": "F-1", "system": "urn:oid:2.999.1"}], "issued": "2024-03-07T10:00:00Z",
    }  # fmt: skip
    request = {
        "resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order", "subject": SUBJECT,
        "identifier": [{"type": concept("PLAC", "http://terminology.hl7.org/CodeSystem/v2-0203"), "value": "P-1"}],
        "requester": {"reference": "Practitioner/d"},
    }  # fmt: skip
    doctor = {"resourceType": "Practitioner", "id": "d", "name": [{"family": "Okonkwo", "given": ["Adaeze"]}]}
    blood = {"resourceType": "Specimen", "id": "b", "type": concept("BLD", "http://terminology.hl7.org/CodeSystem/v2-0487"),
             "collection": {"collectedDateTime": "2024-03-06"}}  # fmt: skip
    _, written = write(report, request, doctor, blood, observation(note=[{"text": "twice\nrun"}]))
    message = written.message.decode()
    assert [line[:3] for line in message.split("\r") if line] == [
        "MSH",
        "PID",
        "ORC",
        "OBR",
        "NTE",
        "OBX",
        "NTE",
        "SPM",
    ]
    assert "OBR|1|P-1|F-1^^2.999.1^ISO|24323-8^^LN" in message
    assert "^Okonkwo^Adaeze" in lines(written, "OBR")[0]
    assert "|A" in lines(written, "OBR")[0]
    assert lines(written, "NTE") == [r"NTE|1|L|All \F\ well|RE", r"NTE|1|L|twice\.br\run"]
    assert lines(written, "SPM")[0].startswith("SPM|1|||BLD^^HL70487")
    assert outcome(written, "resource[1].conclusion") is Outcome.PARTLY


def test_to_hl7v2_writes_a_result_of_no_report_under_an_order_of_its_own_and_says_so():
    _, written = write(observation("a"), observation("b", code="718-7"))
    assert [line.split("|")[4] for line in lines(written, "OBR")] == ["2345-7^^LN", "718-7^^LN"]
    assert written.report.places(Outcome.DEFAULT) == ("OBR[1]", "OBR[2]")


def test_to_hl7v2_writes_the_members_of_a_panel_below_it():
    panel = observation("panel", code="24323-8", hasMember=[{"reference": "Observation/a"}])
    _, written = write(observation("a"), panel)
    assert [line.split("|")[4] for line in lines(written, "OBR")] == ["24323-8^^LN"]
    assert [line.split("|")[3] for line in lines(written, "OBX")] == ["2345-7^^LN"]


@pytest.mark.parametrize(
    ("status", "written_as", "expected"),
    [("final", "F", Outcome.MAPPED), ("amended", "C", Outcome.PARTLY), ("unknown", "", Outcome.UNMAPPED),
     ("entered-in-error", "W", Outcome.MAPPED)],
)  # fmt: skip
def test_to_hl7v2_writes_the_status_of_a_result_or_says_that_it_cannot(status, written_as, expected):
    _, written = write(observation(status=status, valueString="x"))
    fields = lines(written, "OBX")[0].split("|")
    assert (fields[11] if len(fields) > 11 else "") == written_as
    assert outcome(written, "resource[1].status") is expected


# --- the patient and the visit --------------------------------------------------------------------------------------


def test_to_hl7v2_writes_contacts_relatives_coverages_and_allergies_of_an_update():
    patient = {
        **PATIENT,
        "contact": [{"name": {"family": "Fernhollow", "given": ["Jonas"]}, "relationship": [{"text": "spouse"}]}],
        "deceasedBoolean": False, "multipleBirthInteger": Number("2"),
    }  # fmt: skip
    insurer = {"resourceType": "Organization", "id": "i", "name": "Alder Mutual", "identifier": [{"value": "AM"}]}
    coverage = {
        "resourceType": "Coverage", "id": "c", "status": "active", "beneficiary": SUBJECT, "subscriberId": "S-9",
        "payor": [{"reference": "Organization/i"}], "period": {"start": "2024-01-01"},
    }  # fmt: skip
    allergy = {
        "resourceType": "AllergyIntolerance", "id": "a", "patient": SUBJECT, "code": {"text": "Penicillin"},
        "category": ["medication"], "criticality": "high", "reaction": [{"manifestation": [{"text": "Hives"}]}],
    }  # fmt: skip
    written = to_hl7v2([patient, insurer, coverage, allergy], event="ADT^A08", time=TIME)
    assert [line[:3] for line in written.message.decode().split("\r") if line] == [
        "MSH", "EVN", "PID", "NK1", "PV1", "AL1", "IN1",
    ]  # fmt: skip
    assert lines(written, "NK1") == ["NK1|1|Fernhollow^Jonas|^^^^^^^^spouse"]
    assert lines(written, "IN1")[0].startswith("IN1|1||AM|Alder Mutual^^^^^^^^^AM")
    assert lines(written, "IN1")[0].endswith("|S-9")
    assert lines(written, "AL1") == ["AL1|1|DA^^HL70127|^^^^^^^^Penicillin|SV|Hives"]
    assert "|Y|2|||||N" in lines(written, "PID")[0]
    assert written.report.places(Outcome.DEFAULT) == ("PV1-2",)


def test_to_hl7v2_writes_known_extensions_of_the_patient_and_what_the_reader_kept_of_a_message():
    core, fhir = "http://hl7.org/fhir/us/core/StructureDefinition/", "http://hl7.org/fhir/StructureDefinition/"
    white = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3", "display": "White"}
    parts = [{"url": "ombCategory", "valueCoding": white}, {"url": "text", "valueString": "White"}]
    kept = {"url": "http://x.example/pid", "extension": [{"url": "PID.21", "valueString": "M-1"}]}
    patient = {
        **PATIENT,
        "extension": [
            {"url": f"{core}us-core-race", "extension": parts},
            {"url": f"{fhir}patient-mothersMaidenName", "valueString": "Moss"},
            kept,
            {"url": "http://x.example/other", "valueString": "?"},
        ],
    }
    written = to_hl7v2([patient, observation()], event="ORU^R01", time=TIME)
    fields = lines(written, "PID")[0].split("|")
    assert (fields[6], fields[10], fields[21]) == ("Moss", "2106-3^White^CDCREC", "M-1")
    assert outcome(written, "resource[0].extension[0].extension[1].valueString") is Outcome.UNMAPPED
    assert outcome(written, "resource[0].extension[3].valueString") is Outcome.UNMAPPED


@pytest.mark.parametrize(
    ("status", "name"), [("refuted", "verificationStatus"), ("entered-in-error", "verificationStatus"),
                         ("resolved", "clinicalStatus")],
)  # fmt: skip
def test_to_hl7v2_states_no_allergy_that_does_not_hold(status, name):
    allergy = {
        "resourceType": "AllergyIntolerance", "id": "a", "patient": SUBJECT, "code": {"text": "Penicillin"},
        name: concept(status),
    }  # fmt: skip
    _, written = write(allergy, event="ADT^A08")
    assert lines(written, "AL1") == []
    assert outcome(written, "resource[1].code.text") is Outcome.UNMAPPED


def test_to_hl7v2_states_no_refuted_diagnosis_and_deletes_one_entered_in_error():
    conditions = [
        {"resourceType": "Condition", "id": status, "subject": SUBJECT, "code": concept("J18.9"),
         "verificationStatus": concept(status)}
        for status in ("refuted", "entered-in-error", "confirmed")
    ]  # fmt: skip
    _, written = write(*conditions, event="ADT^A08")
    assert [line.split("|")[21:] for line in lines(written, "DG1")] == [["D"], []]
    assert [line.split("|")[6] for line in lines(written, "DG1")] == ["W", "F"]
    assert written.report.places(Outcome.DEFAULT) == ("PV1-2", "DG1[1]-6")


def test_to_hl7v2_writes_the_results_of_no_report_in_an_update():
    report = {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": concept("24323-8"),
              "subject": SUBJECT, "result": [{"reference": "Observation/b"}]}  # fmt: skip
    _, written = write(observation("a"), observation("b", code="718-7"), report, event="ADT^A08")
    assert [line.split("|")[3] for line in lines(written, "OBX")] == ["2345-7^^LN"]
    assert lines(written, "OBR") == []
    assert outcome(written, "resource[2].code.coding[0].code") is Outcome.UNMAPPED


def test_to_hl7v2_writes_the_names_of_a_place_from_the_largest_to_the_smallest():
    level = "http://terminology.hl7.org/CodeSystem/location-physical-type"
    bed = {"resourceType": "Location", "id": "bed", "name": "B", "physicalType": concept("bd", level),
           "partOf": {"reference": "Location/ward"}}  # fmt: skip
    ward = {"resourceType": "Location", "id": "ward", "name": "MED3", "partOf": {"reference": "Location/bed"}}
    visit = {
        "resourceType": "Encounter", "id": "e", "status": "finished", "subject": SUBJECT,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SS"},
        "location": [{"location": {"reference": "Location/bed"}}],
    }  # fmt: skip
    _, written = write(bed, ward, visit, event="ADT^A08")
    assert lines(written, "PV1") == ["PV1|1|O|MED3^^B"]
    assert outcome(written, "resource[3].class.code") is Outcome.PARTLY


# --- names, identifiers, codes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ({"value": "1", "system": "urn:oid:2.999.1"}, "1^^^&2.999.1&ISO"),
        ({"value": "1", "system": "http://a.example/mrn"}, "1^^^&http://a.example/mrn&URI"),
        ({"value": "1", "assigner": {"display": "ROWAN"}}, "1^^^ROWAN"),
        ({"value": "1", "type": {"text": "badge"}}, "1^^^^badge"),
        ({"value": "a^b"}, r"a\S\b"),
    ],
)
def test_to_hl7v2_writes_identifiers_with_their_authority(identifier, expected):
    written = to_hl7v2([{**PATIENT, "identifier": [identifier]}, observation()], event="ORU^R01", time=TIME)
    assert lines(written, "PID")[0].split("|")[3] == expected


def test_to_hl7v2_writes_two_codings_and_the_text_and_reports_the_rest():
    code = {
        "coding": [{"system": "http://a.example/codes", "code": "GLU"}, *concept("2345-7")["coding"],  # type: ignore[misc]
                   {"system": "urn:oid:2.999.3", "code": "G3"}],
        "text": "Glucose",
    }  # fmt: skip
    _, written = write({**observation(), "code": code})
    assert lines(written, "OBX")[0].split("|")[3] == "GLU^^L^2345-7^^LN^^^Glucose"
    assert outcome(written, "resource[1].code.coding[0].system") is Outcome.PARTLY
    assert outcome(written, "resource[1].code.coding[2].code") is Outcome.UNMAPPED


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=30))
def test_escaped_text_holds_no_delimiter_and_no_control_character(text):
    found = escaped(text)
    assert not re.search(r"[|^&~\x00-\x1f\x7f]", found)
    assert "\\" not in re.sub(r"\\(?:[FSTRE]|\.br|X(?:[0-9A-F]{2})+)\\", "", found)


@given(
    st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=1, max_size=20),
    st.sampled_from(["", "|^~\\&", "\\.br\\", "\\F\\", "\n", "\r\n"]),
)
def test_to_hl7v2_and_read_give_back_any_text(text, special):
    whole = f"x{text}{special}{text}x"
    written = to_hl7v2([PATIENT, observation(valueString=whole)], event="ORU^R01", time=TIME)
    (found,) = [one for one in read(written.message).resources if one["resourceType"] == "Observation"]
    assert found["valueString"] == whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2024", "2024"), ("2024-03", "202403"), ("2024-03-06T08:15:00+01:00", "20240306081500+0100"),
     ("2024-03-06T08:15:00.123456Z", "20240306081500.1234+0000"), ("2024-3-6", None), ("today", None)],
)  # fmt: skip
def test_date_time_is_no_more_precise_than_it_was(text, expected):
    assert date_time(text) == expected


def test_segment_leaves_out_what_is_empty_at_its_end():
    assert segment("ZZZ", {2: [["a", "", ["b", ""], ""], ["c"]], 5: [], 7: [[""]]}) == "ZZZ||a^^b~c"


# --- the whole ------------------------------------------------------------------------------------------------------


def test_to_hl7v2_names_the_parties_and_a_control_id_that_the_content_makes():
    parties = Parties("MB", "A|B", "LAB", "ROWAN")
    first = to_hl7v2([PATIENT, observation()], event="ORU^R01", parties=parties, time=TIME).message
    again = to_hl7v2([PATIENT, observation()], event="ORU^R01", parties=parties, time=TIME).message
    other = to_hl7v2([PATIENT, observation(code="718-7")], event="ORU^R01", parties=parties, time=TIME).message
    assert first == again
    header = first.split(b"\r")[0].decode().split("|")
    assert header[:9] == ["MSH", "^~\\&", "MB", r"A\F\B", "LAB", "ROWAN", "20240311101500+0100", "", "ORU^R01^ORU_R01"]
    assert header[10:12] == ["P", "2.5.1"]
    assert len(header[9]) == 20
    assert header[9] != other.split(b"|")[9].decode()


def test_to_hl7v2_takes_the_time_of_the_message_from_the_resources_or_asks_for_it():
    dated = observation(issued="2024-03-07T10:00:00Z")
    assert b"|20240307100000+0000|" in to_hl7v2([PATIENT, dated], event="ORU^R01").message
    with pytest.raises(UsageError, match="name no time"):
        to_hl7v2([PATIENT, observation()], event="ORU^R01")


def test_to_hl7v2_refuses_what_no_message_can_say():
    with pytest.raises(MalformedMessage, match="there are 2 Patients"):
        to_hl7v2([PATIENT, {**PATIENT, "id": "q"}], event="ORU^R01", time=TIME)
    with pytest.raises(MalformedMessage, match="neither a DiagnosticReport nor an Observation"):
        to_hl7v2([PATIENT], event="ORU^R01", time=TIME)
    with pytest.raises(UsageError, match="'MDM\\^T02' is not written"):
        to_hl7v2([PATIENT], event="MDM^T02", time=TIME)  # type: ignore[arg-type]


def test_to_hl7v2_reports_every_value_once_and_none_of_it_in_the_report():
    photo = {**PATIENT, "photo": [{"title": "secret"}]}
    written = to_hl7v2([photo, observation(valueString="hidden")], event="ORU^R01", time=TIME)
    places = [found.place for found in written.report.findings if found.outcome is not Outcome.DEFAULT]
    assert len(places) == len(set(places))
    assert outcome(written, "resource[0].photo[0].title") is Outcome.UNMAPPED
    assert outcome(written, "resource[1].valueString") is Outcome.MAPPED
    assert "secret" not in repr(written) and "hidden" not in str(written.report)


def spoiled(value: Any, path: list[int], by: Any) -> Any:
    """A copy of a JSON value with another value somewhere inside it."""
    if not path or not isinstance(value, (Mapping, list, tuple)) or not value:
        return by
    if isinstance(value, Mapping):
        key = sorted(value)[path[0] % len(value)]
        return {**value, key: spoiled(value[key], path[1:], by)} if key not in ("resourceType", "id") else value
    at = path[0] % len(value)
    return [*value[:at], spoiled(value[at], path[1:], by), *value[at + 1 :]]


@given(
    st.sampled_from(["oru-r01-laboratory.hl7", "adt-a01-admission.hl7"]),
    st.integers(0, 50),
    st.lists(st.integers(0, 50), min_size=1, max_size=6),
    st.sampled_from(
        [None, True, "", "x|y", [], {}, Number("1e9"), ["a"], {"value": "x"}, {"reference": "Patient/p"}, [[{}]]]
    ),
    st.sampled_from(["ORU^R01", "ADT^A08"]),
)
def test_to_hl7v2_writes_a_message_of_what_can_be_written_whatever_the_resources_hold(sample, which, path, by, event):
    resources = list(read(samples.read(sample)).resources)
    which %= len(resources)
    resources[which] = spoiled(resources[which], path, by)
    try:
        written = to_hl7v2(resources, event=event, time=TIME)
    except FormatError:
        return
    assert all(re.fullmatch(r"[A-Z][A-Z0-9]{2}\|.*", line) for line in written.message.decode().split("\r")[:-1])


# --- messages of others ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.exists(), reason="the samples of others are not beside the repository")
def test_to_hl7v2_writes_messages_that_are_read_again_for_the_samples_of_others():
    files = [
        *sorted(SHARED.glob("microsoft-fhir-converter/hl7v2/*.hl7")),
        *sorted(SHARED.glob("synthea-r4/*.json"))[:3],
    ]
    count = 0
    for path in files:
        for found in read_all(path.read_bytes()):
            if not isinstance(found, Conversion):
                continue
            for event in ("ORU^R01", "ADT^A08"):
                try:
                    written = to_hl7v2(found.resources, event=event, time=TIME)  # type: ignore[arg-type]
                except FormatError:
                    continue
                second = read(written.message)
                count += 1
                before, after = (
                    {fact.partition("=")[2] for fact in facts(one) if "family=" in fact} for one in (found, second)
                )
                assert after <= before, path.name
    assert count > 10
