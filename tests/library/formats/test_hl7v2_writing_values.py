"""FHIR R4 as HL7 v2: what each data type is written as, and what is said of a value that cannot be written."""

from __future__ import annotations

from typing import Any

import pytest

from medibridge.formats import Outcome, read
from medibridge.formats.hl7v2_writing import Written, to_hl7v2
from medibridge.record import JsonObject, Number

V2, V3 = "http://terminology.hl7.org/CodeSystem/v2-", "http://terminology.hl7.org/CodeSystem/v3-"
PATIENT: JsonObject = {"resourceType": "Patient", "id": "p", "name": [{"family": "Fernhollow", "given": ["Iris"]}]}
SUBJECT: JsonObject = {"reference": "Patient/p"}
TIME = "2024-03-11T10:15:00+01:00"
DOCTOR: JsonObject = {
    "resourceType": "Practitioner", "id": "d",
    "identifier": [{"value": "D1", "system": "urn:oid:2.999.1",
                    "type": {"coding": [{"system": f"{V2}0203", "code": "NPI"}]}}],
    "name": [{"family": "Okonkwo", "given": ["Adaeze"], "use": "official", "period": {"start": "2019"}}],
}  # fmt: skip
DOCTOR_WRITTEN = "D1^Okonkwo^Adaeze^^^^^^&2.999.1&ISO^L^^^NPI^^^^^^2019"
ROLE: JsonObject = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/d"}}
INSURER: JsonObject = {
    "resourceType": "Organization", "id": "i", "name": "Alder Mutual",
    "identifier": [{"value": "AM", "system": "http://x.example/o", "type": {"text": "payer"}}],
}  # fmt: skip
INSURER_WRITTEN = "Alder Mutual^^^^^&http://x.example/o&URI^payer^^^AM"


def concept(code: str, system: str, display: str = "") -> JsonObject:
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def resource(kind: str, own_id: str = "x", **elements: Any) -> JsonObject:
    holder = {"AllergyIntolerance": "patient", "Coverage": "beneficiary", "RelatedPerson": "patient"}.get(
        kind, "subject"
    )
    return {"resourceType": kind, "id": own_id, holder: SUBJECT, **elements}


def observation(**elements: Any) -> JsonObject:
    return resource("Observation", "o", **{"status": "final", "code": concept("1-8", "http://loinc.org"), **elements})


def visit(**elements: Any) -> JsonObject:
    kind = {"system": f"{V3}ActCode", "code": "IMP", "display": "inpatient"}
    return resource("Encounter", **{"status": "finished", "class": kind, **elements})


def write(*others: JsonObject, event: Any = "ADT^A08", **patient: Any) -> Written:
    written = to_hl7v2([{**PATIENT, **patient}, *others], event=event, time=TIME)
    assert read(written.message).resources
    return written


def fields(written: Written, name: str, number: int = 0) -> list[str]:
    """The fields of one segment of that name; enough of them."""
    found = [line for line in written.message.decode().split("\r") if line.startswith(name + "|")]
    return [*found[number].split("|"), *[""] * 90]


def outcome(written: Written, place: str) -> Outcome:
    return next(found.outcome for found in written.report.findings if found.place == place)


# --- the patient ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected", "place", "said"),
    [
        ({"family": "Fernhollow", "given": ["Iris", "May", "June"], "suffix": ["Jr", "MD"], "prefix": ["Dr"],
          "use": "official", "text": "Iris F", "period": {"start": "2020", "end": "2021-02"},
          "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation",
                         "valueCode": "IDE"}]},
         "Fernhollow^Iris^May June^Jr MD^Dr^^L^I^^^^2020^202102", "text", Outcome.IGNORED),
        ({"text": "Iris of Fern"}, "Iris of Fern", "text", Outcome.PARTLY),
        ({"family": "Fernhollow", "use": "stage"}, "Fernhollow", "use", Outcome.UNMAPPED),
        ({"given": ["Iris"], "period": {"start": "once"}}, "^Iris", "period.start", Outcome.INVALID),
    ],
)  # fmt: skip
def test_to_hl7v2_writes_each_part_of_a_name(name, expected, place, said):
    written = write(name=[name])
    assert fields(written, "PID")[5] == expected
    assert outcome(written, f"resource[0].name[0].{place}") is said


@pytest.mark.parametrize(
    ("address", "expected", "place", "said"),
    [
        ({"line": ["1 Alder Row", "Flat 2", "Back door"], "city": "Fern", "state": "X", "postalCode": "1",
          "country": "AT", "district": "D", "use": "home", "period": {"start": "2020"}},
         "1 Alder Row^Flat 2, Back door^Fern^X^1^AT^H^^D^^^^2020", "line[2]", Outcome.PARTLY),
        ({"city": "Fern", "text": "in Fern"}, "^^Fern", "text", Outcome.IGNORED),
        ({"text": "by the river"}, "by the river", "text", Outcome.PARTLY),
        ({"type": "postal", "city": "Fern"}, "^^Fern^^^^M", "type", Outcome.MAPPED),
        ({"use": "dream", "city": "Fern"}, "^^Fern", "use", Outcome.UNMAPPED),
        ({"use": "home"}, "", "use", Outcome.MAPPED),
    ],
)  # fmt: skip
def test_to_hl7v2_writes_each_part_of_an_address(address, expected, place, said):
    written = write(address=[address])
    assert fields(written, "PID")[11] == expected
    assert outcome(written, f"resource[0].address[0].{place}") is said


@pytest.mark.parametrize(
    ("telecom", "field", "expected"),
    [
        ({"system": "phone", "value": "1", "use": "home"}, 13, "1^PRN^PH"),
        ({"system": "email", "value": "a@x.example"}, 13, "^NET^Internet^a@x.example"),
        ({"system": "phone", "value": "2", "use": "mobile"}, 13, "2^PRS^CP"),
        ({"system": "fax", "value": "3", "use": "work"}, 14, "3^WPN^FX"),
        ({"system": "url", "value": "http://x.example"}, 13, "http://x.example"),
        ({"value": "9"}, 13, "9"),
        ({"system": "email", "use": "work"}, 14, ""),
        ({"system": "phone", "use": "home"}, 13, ""),
    ],
)
def test_to_hl7v2_writes_numbers_and_addresses_in_the_field_of_their_use(telecom, field, expected):
    assert fields(write(telecom=[telecom]), "PID")[field] == expected


def test_to_hl7v2_writes_identifiers_with_their_kind_and_period():
    numbers = [
        {"value": "1", "system": "urn:uuid:00000000-0000-0000-0000-000000000001",
         "type": {"coding": [{"system": f"{V2}0203", "code": "MR"}]}, "period": {"start": "2020-01-01", "end": "soon"}},
        {"system": "urn:oid:2.999"},
    ]  # fmt: skip
    written = write(identifier=numbers)
    assert fields(written, "PID")[3] == "1^^^&00000000-0000-0000-0000-000000000001&UUID^MR^^20200101"
    assert outcome(written, "resource[0].identifier[0].period.end") is Outcome.INVALID
    assert outcome(written, "resource[0].identifier[1].system") is Outcome.UNMAPPED


def test_to_hl7v2_writes_what_else_is_known_of_a_patient():
    written = write(
        birthDate="1961-05-14", gender="other", deceasedDateTime="2024-01-01T10:00:00.123456Z",
        multipleBirthBoolean=True, maritalStatus=concept("L", f"{V3}MaritalStatus"),
        communication=[{"language": concept("de", "urn:ietf:bcp:47")}, {"language": {"text": "en"}}],
    )  # fmt: skip
    found = fields(written, "PID")
    assert (found[7], found[8], found[15], found[16]) == ("19610514", "O", "de^^ISO639", "E^^HL70002")
    assert (found[24], found[29], found[30]) == ("Y", "20240101100000.1234+0000", "Y")
    assert outcome(written, "resource[0].deceasedDateTime") is Outcome.PARTLY
    assert outcome(written, "resource[0].communication[1].language.text") is Outcome.UNMAPPED


def test_to_hl7v2_writes_the_practitioners_of_a_patient_by_what_is_known_of_them():
    named = [{"reference": "Practitioner/d", "display": "Dr O"}, {"reference": "PractitionerRole/r"},
             {"display": "Somebody"}, {"reference": "Practitioner/unknown"}]  # fmt: skip
    written = write(DOCTOR, ROLE, generalPractitioner=named)
    assert fields(written, "PD1")[4] == f"{DOCTOR_WRITTEN}~{DOCTOR_WRITTEN}~^Somebody"
    place = "resource[0].generalPractitioner"
    assert outcome(written, f"{place}[0].display") is Outcome.IGNORED
    assert outcome(written, f"{place}[2].display") is Outcome.PARTLY
    assert outcome(written, f"{place}[3].reference") is Outcome.UNMAPPED


SPOUSE: JsonObject = {"coding": [{"system": f"{V2}0131", "code": "N"}, {"system": f"{V3}RoleCode", "code": "SPS"},
                                 {"system": f"{V2}0063", "code": "SPO"}]}  # fmt: skip


def test_to_hl7v2_writes_the_code_of_the_table_first_and_the_organization_of_a_contact():
    contact = {"name": {"family": "Moss"}, "relationship": [SPOUSE], "gender": "male", "period": {"start": "2020"},
               "organization": {"reference": "Organization/i"}}  # fmt: skip
    written = write(INSURER, contact=[contact])
    found = fields(written, "NK1")
    assert (found[2], found[3], found[8]) == ("Moss", "SPO^^HL70063^N^^HL70131", "2020")
    assert (found[13], found[15]) == (INSURER_WRITTEN, "M")
    assert outcome(written, "resource[0].contact[0].relationship[0].coding[1].code") is Outcome.IGNORED


def test_to_hl7v2_writes_once_who_is_both_a_contact_and_a_related_person():
    kin = {"name": [{"family": "Moss"}], "relationship": [concept("SPO", f"{V2}0063")], "birthDate": "1960"}
    contact = {"name": {"family": "Moss"}, "relationship": [concept("SPO", f"{V2}0063")], "gender": "male"}
    written = write(resource("RelatedPerson", **kin), contact=[contact])
    found = fields(written, "NK1")
    assert (found[2], found[15], found[16]) == ("Moss", "M", "1960")
    assert written.message.count(b"\rNK1|") == 1


# --- the visit ------------------------------------------------------------------------------------------------------


def role(code: str, individual: JsonObject) -> JsonObject:
    return {"type": [concept(code, f"{V3}ParticipationType")], "individual": individual}


def test_to_hl7v2_writes_who_took_part_in_a_visit_in_the_field_of_the_role():
    bare = {"resourceType": "Practitioner", "id": "bare"}
    people = [
        role("ATND", {"reference": "Practitioner/d"}), role("ADM", {"reference": "PractitionerRole/r"}),
        role("CON", {"display": "Moss"}), role("ATND", {"reference": "Practitioner/bare"}),
        role("ZZZ", {"display": "Nobody"}), {"type": [{"text": "friend"}]},
    ]  # fmt: skip
    written = write(DOCTOR, ROLE, bare, visit(participant=people))
    found = fields(written, "PV1")
    assert (found[2], found[7], found[9], found[17]) == ("I", DOCTOR_WRITTEN, "^Moss", DOCTOR_WRITTEN)
    assert outcome(written, "resource[4].participant[4].individual.display") is Outcome.UNMAPPED


def test_to_hl7v2_writes_the_places_of_a_visit_in_the_field_of_their_status():
    kind = "http://terminology.hl7.org/CodeSystem/location-physical-type"
    bed = {"resourceType": "Location", "id": "bed", "name": "B", "physicalType": concept("bd", kind),
           "mode": "instance", "description": "by the window", "partOf": {"reference": "Location/site"},
           "identifier": [{"value": "B", "system": "urn:oid:2.999.7"}]}  # fmt: skip
    site = {"resourceType": "Location", "id": "site", "name": "S", "physicalType": concept("si", kind)}
    places = [{"location": {"reference": "Location/bed"}, "status": "active"},
              {"location": {"display": "Hall"}, "status": "planned"},
              {"location": {"display": "Old"}, "status": "completed"},
              {"location": {"display": "Second"}}]  # fmt: skip
    written = write(bed, site, visit(location=places))
    found = fields(written, "PV1")
    assert found[3] == "^^B&2.999.7&ISO^S^^^^^by the window"
    assert (found[6], found[42]) == ("^^^^^^^^Old", "^^^^^^^^Hall")
    assert outcome(written, "resource[3].location[3].location.display") is Outcome.UNMAPPED


def test_to_hl7v2_writes_numbers_times_and_what_the_reader_kept_of_a_visit():
    kept = [{"url": "PV2.3", "valueCodeableConcept": {"text": "cough"}}, {"url": "PV1.18", "valueString": "kind"},
            {"url": "PV1.20", "valueBoolean": True}, {"url": "PV2.8", "valueDateTime": "2024-03-09"}]  # fmt: skip
    stay = {"admitSource": concept("1", f"{V2}0023"), "reAdmission": concept("R", f"{V2}0092"),
            "dischargeDisposition": {"text": "home"}, "preAdmissionIdentifier": {"value": "PA"}}  # fmt: skip
    written = write(
        visit(
            identifier=[{"value": "V1"}, {"value": "V2"}, {"value": "V3"}], hospitalization=stay,
            period={"start": "2024-03-01T10:00:00Z", "end": "later"},
            extension=[{"url": "http://x.example/v", "extension": kept}],
        )
    )  # fmt: skip
    found = fields(written, "PV1")
    assert [found[at] for at in (5, 13, 14, 18, 19, 36, 44, 45, 50)] == [
        "PA", "R^^HL70092", "1^^HL70023", "kind", "V1", "^^^^^^^^home", "20240301100000+0000", "", "V2",
    ]  # fmt: skip
    assert [fields(written, "PV2")[at] for at in (3, 8)] == ["^^^^^^^^cough", "20240309"]
    assert outcome(written, "resource[1].period.end") is Outcome.INVALID
    assert outcome(written, "resource[1].identifier[2].value") is Outcome.UNMAPPED
    assert outcome(written, "resource[1].extension[0].extension[2].valueBoolean") is Outcome.UNMAPPED


@pytest.mark.parametrize(
    ("kind", "expected", "defaults"),
    [
        ({"system": f"{V2}0004", "code": "E"}, "E", ()),
        ({"system": f"{V3}ActCode", "code": "AMB"}, "O", ()),
        ({"system": "http://x.example", "code": "zzz"}, "U", ("PV1-2",)),
        (None, "U", ("PV1-2",)),
    ],
)
def test_to_hl7v2_writes_the_class_of_a_visit_or_says_that_it_is_unknown(kind, expected, defaults):
    written = write(visit(**{"class": kind}))
    assert fields(written, "PV1")[2] == expected
    assert written.report.places(Outcome.DEFAULT) == defaults


# --- allergies, coverages, diagnoses --------------------------------------------------------------------------------


def test_to_hl7v2_writes_the_reactions_of_an_allergy_in_words_and_its_severity():
    signs = [concept("247472004", "http://snomed.info/sct", "Hives"), concept("X", "http://x.example"),
             {"text": "itch", "coding": [{"code": "Y"}]}]  # fmt: skip
    written = write(
        resource(
            "AllergyIntolerance", code={"text": "Peanut"}, category=["food", "medication"], onsetDateTime="2020",
            clinicalStatus=concept("active", "http://x.example"),
            reaction=[{"severity": "severe", "manifestation": signs}],
        )
    )  # fmt: skip
    assert fields(written, "AL1")[2:7] == ["FA^^HL70127", "^^^^^^^^Peanut", "SV", "Hives~X~itch", "2020"]
    place = "resource[1].reaction[0].manifestation"
    assert outcome(written, f"{place}[0].coding[0].code") is Outcome.PARTLY
    assert outcome(written, f"{place}[2].coding[0].code") is Outcome.UNMAPPED
    assert outcome(written, "resource[1].category[1]") is Outcome.UNMAPPED


@pytest.mark.parametrize(
    ("element", "value", "place", "said"),
    [("criticality", "weird", "criticality", Outcome.UNMAPPED),
     ("category", ["magic"], "category[0]", Outcome.UNMAPPED),
     ("onsetDateTime", "some day", "onsetDateTime", Outcome.INVALID)],
)  # fmt: skip
def test_to_hl7v2_leaves_out_of_an_allergy_what_has_no_code_or_date(element, value, place, said):
    written = write(resource("AllergyIntolerance", code={"text": "Peanut"}, **{element: value}))
    assert fields(written, "AL1")[:7] == ["AL1", "1", "", "^^^^^^^^Peanut", "", "", ""]
    assert outcome(written, f"resource[1].{place}") is said


def test_to_hl7v2_writes_the_payors_groups_and_plans_of_coverages():
    def part(code: str, value: str, **more: str) -> JsonObject:
        return {"type": concept(code, "http://terminology.hl7.org/CodeSystem/coverage-class"), "value": value, **more}

    plain = {"resourceType": "Organization", "id": "j", "name": "Plain"}
    parts = [part("group", "G1", name="Team"), part("plan", "PL"), part("plan", "PL2"), part("rx", "R")]
    written = write(
        INSURER,
        plain,
        resource("Coverage", "1", payor=[{"reference": "Organization/i"}], **{"class": parts}),
        resource("Coverage", "2", payor=[{"reference": "Organization/j"}], type=concept("HMO", "urn:oid:2.999.8")),
        resource("Coverage", "3", payor=[{"display": "Cash"}], relationship=concept("SEL", f"{V2}0063")),
    )
    first, second, third = (fields(written, "IN1", at) for at in range(3))
    assert (first[3], first[4]) == ("AM^^^&http://x.example/o&URI^payer", INSURER_WRITTEN)
    assert (first[8], first[9], first[35]) == ("G1", "Team", "PL")
    assert (second[2], second[4]) == ("HMO^^2.999.8", "Plain")
    assert (third[4], third[17]) == ("Cash", "SEL^^HL70063")
    assert outcome(written, "resource[3].class[2].value") is Outcome.UNMAPPED


def test_to_hl7v2_writes_the_kind_author_and_number_of_a_diagnosis():
    icd = "http://hl7.org/fhir/sid/icd-10"
    several = {"coding": [{"system": icd, "code": "A"}, {"system": icd, "code": "A"},
                          {"system": f"{V2}0051", "code": "Q", "version": "2"}], "text": "both"}  # fmt: skip
    kept = [{"url": "http://x.example/d", "extension": [{"url": "DG1.6", "valueCode": "A"}]}]
    written = write(
        DOCTOR,
        resource(
            "Condition", "1", code=concept("J18.9", icd), category=[concept("encounter-diagnosis", "http://x.example")],
            onsetDateTime="2024", asserter={"reference": "Practitioner/d"},
            verificationStatus=concept("provisional", "http://x.example"),
            identifier=[{"value": "C1", "system": "urn:oid:2.999.3"}, {"value": "C2"}],
        ),
        resource("Condition", "2", code=several, extension=kept),
    )  # fmt: skip
    first, second = (fields(written, "DG1", at) for at in range(2))
    assert [first[at] for at in (3, 5, 6, 16, 20)] == ["J18.9^^I10", "2024", "W", DOCTOR_WRITTEN, "C1^^2.999.3^ISO"]
    assert [second[at] for at in (3, 6)] == ["A^^I10^Q^^HL70051^^2^both", "A"]
    assert outcome(written, "resource[2].identifier[1].value") is Outcome.UNMAPPED
    assert outcome(written, "resource[2].category[0].coding[0].code") is Outcome.MAPPED


# --- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"valueQuantity": {"value": Number("1.5E-3")}}, {2: "NM", 5: "0.0015"}),
        ({"valueQuantity": {"value": "abc", "unit": "mg"}}, {2: "", 5: "", 6: "mg"}),
        ({"valueSampledData": {"dimensions": Number("1")}}, {2: "", 5: ""}),
        ({"valueRange": {"high": {"value": Number("2")}}}, {2: "SN", 5: "<=^2"}),
        ({"valuePeriod": {"start": "2024"}}, {2: "DR", 5: "2024"}),
        ({"valueBoolean": True}, {2: "CWE", 5: "Y^^HL70136"}),
        ({"valueString": "s", "referenceRange": [{"low": {"value": Number("1")}, "high": {"value": Number("2")}}]},
         {7: "1-2"}),
        ({"valueString": "s", "referenceRange": [{"low": {"value": Number("2")}}]}, {7: ">2"}),
        ({"valueString": "s", "referenceRange": [{"high": {"value": Number("2")}}]}, {7: "<2"}),
        ({"valueString": "s", "referenceRange": [{"text": "2-3", "low": {"value": Number("2")}}]}, {7: "2-3"}),
        ({"dataAbsentReason": concept("not-asked", "http://x.example")}, {2: "", 5: "", 11: "N"}),
        ({"valueString": "s", "effectivePeriod": {"start": "2024", "end": "2025"}}, {14: "2024"}),
        ({"valueString": "s", "effectiveInstant": "2024-03-06T08:15:00Z"}, {14: "20240306081500+0000"}),
        ({"valueString": "s", "performer": [{"reference": "Organization/i"}, {"reference": "Practitioner/d"},
                                            {"display": "Moss"}]},
         {16: f"{DOCTOR_WRITTEN}~^Moss", 23: INSURER_WRITTEN}),
        ({"valueString": "s", "bodySite": concept("LA", f"{V2}0163"), "method": {"text": "by hand"},
          "interpretation": [concept("H", f"{V3}ObservationInterpretation")], "identifier": [{"value": "I"}]},
         {8: "H^^HL70078", 17: "^^^^^^^^by hand", 20: "LA^^HL70163", 21: "I"}),
        ({"valueString": "s", "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/observation-v2-subid",
             "extension": [{"url": "original-sub-identifier", "valueString": "a"},
                           {"url": "group", "valueString": "2"}]}]},
         {4: "a 2"}),
    ],
)  # fmt: skip
def test_to_hl7v2_writes_what_is_said_of_a_result(elements, expected):
    found = fields(write(INSURER, DOCTOR, observation(**elements), event="ORU^R01"), "OBX")
    assert {at: found[at] for at in expected} == expected


@pytest.mark.parametrize(
    ("elements", "place", "said"),
    [
        ({"valueQuantity": {"value": "abc"}}, "valueQuantity.value", Outcome.INVALID),
        ({"valueDateTime": "someday"}, "valueDateTime", Outcome.INVALID),
        ({"valueSampledData": {"dimensions": Number("1")}}, "valueSampledData.dimensions", Outcome.UNMAPPED),
        ({"valueString": "s", "effectivePeriod": {"start": "2024", "end": "2025"}}, "effectivePeriod.end",
         Outcome.PARTLY),
        ({"valueString": "s", "referenceRange": [{"text": "n"}, {"text": "m"}]}, "referenceRange[1].text",
         Outcome.UNMAPPED),
        ({"valueString": "s", "status": "strange"}, "status", Outcome.UNMAPPED),
        ({"dataAbsentReason": concept("not-asked", "http://x.example")}, "status", Outcome.PARTLY),
    ],
)  # fmt: skip
def test_to_hl7v2_says_what_of_a_result_is_lost(elements, place, said):
    assert outcome(write(observation(**elements), event="ORU^R01"), f"resource[1].{place}") is said


def test_to_hl7v2_writes_the_order_section_remarks_and_specimen_of_reports_that_stand():
    note = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"
    section = "http://terminology.hl7.org/CodeSystem/observation-category"
    report: dict[str, Any] = {
        "status": "final", "code": concept("1-8", "http://loinc.org"), "category": [concept("imaging", section)],
        "effectivePeriod": {"start": "2024-01-01", "end": "2024-01-02"}, "specimen": [{"reference": "Specimen/b"}],
        "basedOn": [{"reference": "ServiceRequest/s"}], "result": [{"reference": "Observation/o"}],
        "extension": [{"url": note, "valueAnnotation": {"text": "late"}}],
    }  # fmt: skip
    blood = resource(
        "Specimen", "b", identifier=[{"value": "S1", "system": "urn:oid:2.999.6"}], type=concept("BLD", f"{V2}0487"),
        collection={"collectedPeriod": {"start": "2024-01-01", "end": "2024-01-02"}, "bodySite": {"text": "arm"}},
        receivedTime="2024-01-03", condition=[concept("HEM", f"{V2}0493")],
    )  # fmt: skip
    order = resource(
        "ServiceRequest", "s", status="active", intent="order", code=concept("1-8", "http://loinc.org"),
        reasonCode=[{"text": "why"}], note=[{"text": "hurry"}], requester={"display": "Moss"},
    )  # fmt: skip
    void = resource("DiagnosticReport", "v", **{**report, "status": "entered-in-error"})
    laboratory = [concept("LAB", f"{V2}0074"), concept("laboratory", section)]
    other = resource(
        "DiagnosticReport", "u", **{**report, "status": "unknown", "code": {}, "result": [], "category": laboratory}
    )
    standing = resource("DiagnosticReport", "r", **report)
    written = write(standing, blood, order, observation(valueString="x"), void, other, event="ORU^R01")
    first, second = (fields(written, "OBR", at) for at in range(2))
    assert [first[at] for at in (4, 7, 8, 16, 24, 25, 31)] == [
        "1-8^^LN", "20240101", "20240102", "^Moss", "RAD", "F", "^^^^^^^^why",
    ]  # fmt: skip
    assert [second[at] for at in (4, 24, 25)] == ["1-8^^LN", "LAB", ""]
    assert [fields(written, "NTE", at)[3] for at in range(2)] == ["late", "hurry"]
    specimen = fields(written, "SPM")
    assert [specimen[at] for at in (2, 4, 8, 17, 18, 24)] == [
        "^S1&&2.999.6&ISO", "BLD^^HL70487", "^^^^^^^^arm", "20240101^20240102", "20240103", "HEM^^HL70493",
    ]  # fmt: skip
    assert outcome(written, "resource[5].code.coding[0].code") is Outcome.UNMAPPED
