"""Values of HL7 v2 data types: what each becomes in FHIR, and what is said of one that is none of its type."""

from __future__ import annotations

import base64

import pytest
from conversions import converted, only, resources

from medibridge.errors import MalformedMessage
from medibridge.formats import Outcome, read
from medibridge.formats.fhir import validate
from medibridge.formats.hl7v2 import views
from medibridge.formats.hl7v2.targets import MapError
from medibridge.formats.settings import Profile, Settings

PID = "PID|1||77^^^H&2.999.1&ISO^MR||Fernhollow^Iris||1961|F"
OBR = "OBR|1|||100-8^Panel^LN|||20240307|||||||||||||||||LAB|F"
UCUM = "http://unitsofmeasure.org"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"


def message(kind, *segments, time="20240307101530"):
    head = rf"MSH|^~\&|LAB|H|||{time}||{kind}|1|P|2.5"
    return "".join(f"{segment}\r" for segment in (head, *segments)).encode()


def oru(*segments, **keywords):
    return message("ORU^R01", PID, OBR, *segments, **keywords)


def adt(*segments, pid=PID, **keywords):
    return message("ADT^A01^ADT_A01", "EVN||20240307", pid, *segments, **keywords)


def result(kind, value, unit="", limits="", **keywords):
    """The Observation of one OBX."""
    return only(converted(oru(f"OBX|1|{kind}|1-8^A^LN||{value}|{unit}|{limits}||||F", **keywords)), "Observation")


def values(observation):
    return {name: value for name, value in observation.items() if name.startswith("value")}


def said(conversion, place):
    """The outcomes at a place."""
    return {found.outcome for found in conversion.report.findings if found.place == place}


# --- OBX-5 by OBX-2 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "unit", "expected"),
    [
        ("NM", "072.50", "mg/dL^^UCUM",
         {"valueQuantity": {"value": "72.50", "unit": "mg/dL", "system": UCUM, "code": "mg/dL"}}),
        ("NM", ".5", "", {"valueQuantity": {"value": "0.5"}}),
        ("NM", "+5.", "", {"valueQuantity": {"value": "5"}}),
        ("NM", "≤ 3", "", {"valueQuantity": {"value": "3", "comparator": "<="}}),
        ("NM", "=> 3", "g", {"valueQuantity": {"value": "3", "comparator": ">=", "unit": "g"}}),
        ("SN", "<^5", "mg", {"valueQuantity": {"value": "5", "comparator": "<", "unit": "mg"}}),
        ("SN", "^1^-^2", "mg",
         {"valueRange": {"low": {"value": "1", "unit": "mg"}, "high": {"value": "2", "unit": "mg"}}}),
        ("SN", "^2^-^1", "", {"valueString": "2 - 1"}),
        ("SN", "^1^:^128", "", {"valueRatio": {"numerator": {"value": "1"}, "denominator": {"value": "128"}}}),
        ("SN", "^1^/^2", "", {"valueRatio": {"numerator": {"value": "1"}, "denominator": {"value": "2"}}}),
        ("SN", "^2^+", "", {"valueString": "2+"}),
        ("SN", ">=^x", "", {"valueString": ">= x"}),
        ("SN", "<>^3", "", {"valueString": "<> 3"}),
        ("ST", "<5", "mg/L", {"valueQuantity": {"value": "5", "comparator": "<", "unit": "mg/L"}}),
        ("ST", "7", "", {"valueString": "7"}),
        ("ST", "7", "mg", {"valueQuantity": {"value": "7", "unit": "mg"}}),
        ("ST", "trace", "mg", {"valueString": "trace mg"}),
        ("TX", "a~b", "", {"valueString": "a\nb"}),
        ("FT", r"one\.br\two", "", {"valueString": "one\ntwo"}),
        ("IS", "POS", "", {"valueCodeableConcept": {"coding": [{"code": "POS"}]}}),
        ("CWE", "260385009^Negative^SCT^^^^^^none seen", "",
         {"valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "260385009",
                                               "display": "Negative"}], "text": "none seen"}}),
        ("CE", "^^L", "", {"valueString": "L"}),
        ("DT", "202403", "", {"valueDateTime": "2024-03"}),
        ("DT", "20240306", "", {"valueDateTime": "2024-03-06"}),
        ("TM", "0815", "", {"valueTime": "08:15:00"}),
        ("TM", "08:15:30.5", "", {"valueTime": "08:15:30.5"}),
        ("TM", "0815+0100", "", {"valueTime": "08:15:00"}),
        ("DTM", "20240306081530.25+0100", "", {"valueDateTime": "2024-03-06T08:15:30.25+01:00"}),
        ("DR", "20240306^20240307", "", {"valuePeriod": {"start": "2024-03-06", "end": "2024-03-07"}}),
        ("DR", "20240306", "", {"valuePeriod": {"start": "2024-03-06"}}),
        ("NR", "1^2", "mg",
         {"valueRange": {"low": {"value": "1", "unit": "mg"}, "high": {"value": "2", "unit": "mg"}}}),
        ("NR", "^2", "", {"valueRange": {"high": {"value": "2"}}}),
        ("CQ", "5^mg&milligram&UCUM", "",
         {"valueQuantity": {"value": "5", "unit": "milligram", "system": UCUM, "code": "mg"}}),
        ("CQ", "5^mg^milligram^UCUM", "",
         {"valueQuantity": {"value": "5", "unit": "milligram", "system": UCUM, "code": "mg"}}),
        ("CQ", "5", "", {"valueQuantity": {"value": "5"}}),
        ("XPN", "Fernhollow^Iris", "", {"valueString": "Fernhollow Iris"}),
        ("CX", "7^^^H^MR", "", {"valueString": "7 H MR"}),
        ("ZZ", "x", "", {"valueString": "x"}),
    ],
)  # fmt: skip
def test_read_makes_of_a_result_the_value_that_its_type_names(kind, value, unit, expected):
    assert values(result(kind, value, unit)) == expected


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [("NM", "1e5", "1e5"), ("DT", "20240231", "20240231"), ("TM", "2460", "2460"),
     ("TS", "20240306081500+1500", "20240306081500+1500"), ("TS", "20240306081560", "20240306081560"),
     ("TS", "2024030624", "2024030624"), ("DR", "x^y", "x y"), ("NR", "a^b", "a b"), ("CQ", "x^mg", "x mg"),
     ("RP", "^PACS", "PACS"), ("ED", "^IM^PNG^Hex^0g", "IM PNG Hex 0g"),
     ("ED", "^TEXT^PLAIN^Base64^not base64!", "TEXT PLAIN Base64 not base64!"),
     ("ED", "^AP^PDF^Base64^", "AP PDF Base64")],
)  # fmt: skip
def test_read_keeps_as_text_what_is_no_value_of_its_type(kind, value, kept):
    assert values(result(kind, value)) == {"valueString": kept}


def test_read_says_that_a_number_which_is_none_is_kept_as_text():
    assert said(converted(oru("OBX|1|NM|1-8^A^LN||1e5||||||F")), "OBX[1]-5") == {Outcome.PARTLY}


@pytest.mark.parametrize(("kind", "value"), [("NM", ""), ("SN", "^^^"), ("ED", "")])
def test_read_says_that_a_final_result_without_a_value_has_none(kind, value):
    observation = result(kind, value)
    assert values(observation) == {}
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_read_makes_components_of_numbers_that_repeat():
    found = result("NM", "1~2", "mg")["component"]
    assert [one["valueQuantity"] for one in found] == [{"value": "1", "unit": "mg"}, {"value": "2", "unit": "mg"}]
    assert {one["code"]["coding"][0]["code"] for one in found} == {"1-8"}


# --- attachments ----------------------------------------------------------------------------------------------------


def encoded(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("ED", "LAB^AP^PDF^Base64^SGVs bG8=",
         {"contentType": "application/pdf", "data": encoded(b"Hello"), "title": "LAB"}),
        ("ED", "^IM^PNG^Hex^0aff", {"contentType": "image/png", "data": encoded(b"\x0a\xff")}),
        ("ED", "^TX^TXT^A^hello", {"contentType": "text/plain", "data": encoded(b"hello")}),
        ("ED", "^AP^^A^hello", {"data": encoded(b"hello")}),
        ("ED", "^application/pdf^^A^x", {"contentType": "application/pdf", "data": encoded(b"x")}),
        ("ED", "^VI^MP4^A^x", {"contentType": "video/mp4", "data": encoded(b"x")}),
        ("RP", "https://x.example/1^PACS^IM^JPEG",
         {"url": "https://x.example/1", "contentType": "image/jpeg", "title": "PACS"}),
        ("RP", "image 7^PACS&1.2&ISO^AP^PDF", {"contentType": "application/pdf", "title": "image 7 PACS 1.2 ISO"}),
        ("RP", "image 7^^ZZ", {"title": "image 7"}),
        ("RP", "https://x.example/2", {"url": "https://x.example/2"}),
    ],
)  # fmt: skip
def test_read_makes_attachments_of_documents_and_of_their_addresses(kind, value, expected):
    assert result(kind, value)["extension"][0]["valueAttachment"] == expected


def document(*segments):
    txa = "TXA|1|DS^Summary|TX|20240307||20240307101530+0100||||||D-1|||||AU"
    return message("MDM^T02^MDM_T02", "EVN||20240307", PID, "PV1|1|I", txa, *segments)


def test_read_makes_contents_of_a_document_of_what_is_encapsulated():
    found = only(converted(document("OBX|1|ED|1^Note^L||^AP^PDF^Base64^SGVsbG8=||||||F")), "DocumentReference")
    (attachment,) = [one["attachment"] for one in found["content"]]
    assert attachment["contentType"] == "application/pdf"
    assert attachment["data"] == encoded(b"Hello")


@pytest.mark.parametrize("value", ["^AP^PDF^Base64^no base64!", "^AP^PDF^Hex^0g"])
def test_read_reports_a_document_that_is_not_in_its_encoding(value):
    data = document(f"OBX|1|ED|1^Note^L||{value}||||||F", "OBX|2|TX|1^Note^L||well||||||F")
    conversion = converted(data)
    (place,) = conversion.report.places(Outcome.INVALID)
    assert place.startswith("OBX[1]-5")
    assert encoded(b"well") in str(only(conversion, "DocumentReference")["content"])
    with pytest.raises(MalformedMessage, match="OBX"):
        read(data, settings=Settings(strict=True))


# --- dates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["202403060815", "2024030608", "20240306+0100"])
def test_read_keeps_the_date_of_a_time_that_is_not_whole_and_says_so(value):
    conversion = converted(oru(f"OBX|1|TS|1-8^A^LN||{value}||||||F"))
    assert only(conversion, "Observation")["valueDateTime"] == "2024-03-06"
    assert said(conversion, "OBX[1]-5") == {Outcome.PARTLY}


@pytest.mark.parametrize(
    ("time", "expected"),
    [("20240307101530-0500", "2024-03-06T08:15:30-05:00"), ("20240307101530+9900", "2024-03-06")],
)
def test_read_takes_the_offset_of_the_message_where_it_is_one(time, expected):
    conversion = read(oru("OBX|1|TS|1-8^A^LN||20240306081530||||||F", time=time))
    assert only(conversion, "Observation")["valueDateTime"] == expected


@pytest.mark.parametrize(
    ("zone", "value", "expected"),
    [
        ("Europe/Vienna", "20240306081530", "2024-03-06T08:15:30+01:00"),
        ("Europe/Vienna", "20241027023000", "2024-10-27"),
        ("America/St_Johns", "20240706081530", "2024-07-06T08:15:30-02:30"),
        ("Asia/Kolkata", "202407060815", "2024-07-06T08:15:00+05:30"),
    ],
)
def test_read_takes_the_offset_of_the_zone_at_that_time_unless_it_is_two(zone, value, expected):
    settings = Settings(profile=Profile(zone=zone))
    conversion = read(oru(f"OBX|1|TS|1-8^A^LN||{value}||||||F"), settings=settings)
    assert only(conversion, "Observation")["valueDateTime"] == expected
    assert validate(conversion.to_bundle("collection")) == ()


def test_read_leaves_out_and_reports_values_that_are_none_of_their_type():
    conversion = converted(oru("OBX|1|NM|1-8^A^LN||5||||often||F||||||||20240307"))
    assert "issued" not in only(conversion, "Observation")
    assert {"OBX[1]-9", "OBX[1]-19"} <= set(conversion.report.places(Outcome.INVALID))


# --- units and ranges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("^pound^99L", {"value": "5", "unit": "pound"}),
        ("mg^mg^99L", {"value": "5", "unit": "mg"}),
        ("99^gram^99L", {"value": "5", "unit": "99"}),
        ("258682000^gram^SCT",
         {"value": "5", "unit": "gram", "system": "http://snomed.info/sct", "code": "258682000"}),
        ("x^^L^mg^milligram^UCUM", {"value": "5", "unit": "milligram", "system": UCUM, "code": "mg"}),
    ],
)  # fmt: skip
def test_read_gives_a_unit_a_code_where_its_system_is_known(unit, expected):
    assert result("NM", "5", unit)["valueQuantity"] == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("4.0-10.5", {"low": {"value": "4.0", "unit": "mg"}, "high": {"value": "10.5", "unit": "mg"}}),
        ("-5 - -1", {"low": {"value": "-5", "unit": "mg"}, "high": {"value": "-1", "unit": "mg"}}),
        ("<6", {"high": {"value": "6", "unit": "mg"}}),
        ("> 6", {"low": {"value": "6", "unit": "mg"}}),
        ("6-4", {}),
        ("1.2.3-4", {}),
        ("normal", {}),
    ],
)
def test_read_gives_a_range_its_limits_where_they_are_numbers(limits, expected):
    assert result("NM", "5", "mg", limits)["referenceRange"] == [{"text": limits, **expected}]


# --- places ---------------------------------------------------------------------------------------------------------


def test_read_makes_a_chain_of_locations_of_all_levels_of_a_place():
    whole = "W1^101^B^Site^O^N^Bld^3^north wing^L-7&H&2.999.4&ISO^H&2.999.5&ISO"
    found = {one["name"]: one for one in resources(converted(adt(f"PV1|1|I|{whole}")), "Location")}
    path, at = [], found["B"]
    while at:
        path.append(at["name"])
        at = next(
            (one for one in found.values() if at.get("partOf", {}).get("reference", "").endswith(one["id"])), None
        )
    assert path == ["B", "101", "W1", "3", "Bld", "Site"]
    bed = found["B"]
    assert (bed["status"], bed["description"], bed["type"]) == ("active", "north wing", [{"text": "N"}])
    assert [(one["value"], one["system"]) for one in bed["identifier"]] == [
        ("B", "urn:oid:2.999.5"), ("L-7", "urn:oid:2.999.4"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("W1", {"name": "W1", "identifier": [{"value": "W1"}]}),
        ("W1&2.999.9&ISO",
         {"name": "W1", "identifier": [{"value": "W1"}, {"value": "2.999.9", "type": {
             "coding": [{"system": f"{V2}0301", "code": "ISO"}]}}]}),
        ("W1^^^^C", {"name": "W1", "identifier": [{"value": "W1"}], "status": "suspended"}),
        ("W1^^^^^^^^^L-7", {"name": "W1", "identifier": [{"value": "W1"}, {"value": "L-7"}]}),
        ("W1^^^^^^^^^^ROWAN", {"name": "W1", "identifier": [{"value": "W1", "assigner": {"display": "ROWAN"}}]}),
        ("&2.999.9", {"identifier": [{"value": "2.999.9"}]}),
    ],
)  # fmt: skip
def test_read_makes_a_location_of_what_a_place_says(place, expected):
    found = only(converted(adt(f"PV1|1|I|{place}")), "Location")
    assert found.pop("physicalType") == {"text": "point of care"}
    assert found.pop("mode") == "instance"
    assert {name: value for name, value in found.items() if name in ("name", "identifier", "status")} == expected


# --- people ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "name", "identifier"),
    [
        ("D1^Okonkwo^Adaeze^B^Jr^Dr^MD^^H&2.999.1&ISO^L^^^NPI",
         {"family": "Okonkwo", "given": ["Adaeze", "B"], "suffix": ["Jr", "MD"], "prefix": ["Dr"], "use": "official"},
         {"value": "D1", "system": "urn:oid:2.999.1", "assigner": {"display": "H"},
          "type": {"coding": [{"code": "NPI", "system": f"{V2}0203"}]}}),
        ("^Okonkwo", {"family": "Okonkwo"}, None),
        ("D1", None, {"value": "D1"}),
        ("D1^Okonkwo^^^^^^^ROWAN", {"family": "Okonkwo"}, {"value": "D1", "assigner": {"display": "ROWAN"}}),
    ],
)  # fmt: skip
def test_read_makes_a_practitioner_of_a_person(person, name, identifier):
    found = only(converted(adt(f"PV1|1|I|W1||||{person}")), "Practitioner")
    assert found.get("name") == ([name] if name else None)
    assert found.get("identifier") == ([identifier] if identifier else None)


def test_read_makes_no_practitioner_of_an_authority_alone():
    assert resources(converted(adt("PV1|1|I|W1||||^^^^^^^^H")), "Practitioner") == []


def patient(fields):
    """The conversion of an admission, and its patient, by the fields of PID that it has."""
    known = {1: "1", 3: "77", 5: "Fernhollow", 8: "F"} | fields
    conversion = converted(adt("PV1|1|I", pid="PID|" + "|".join(known.get(at, "") for at in range(1, 40)).rstrip("|")))
    return conversion, only(conversion, "Patient")


CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
CDC = "https://reportstream.cdc.gov/fhir/StructureDefinition/"


@pytest.mark.parametrize(
    ("field", "value", "kind", "code", "text"),
    [
        (10, "2106-3^White^CDCREC", "ombCategory", "2106-3", "White"),
        (10, "^^^1002-5^Native^CDCREC", "ombCategory", "1002-5", "Native"),
        (10, "1004-1", "detailed", "1004-1", "1004-1"),
        (22, "H^^HL70189", "ombCategory", "2135-2", "Hispanic or Latino"),
        (22, "N", "ombCategory", "2186-5", "Not Hispanic or Latino"),
    ],
)
def test_read_makes_race_and_ethnicity_of_the_codes_of_the_cdc(field, value, kind, code, text):
    _, found = patient({field: value})
    name = "race" if field == 10 else "ethnicity"
    (core,) = [one["extension"] for one in found["extension"] if one["url"] == CORE + name]
    assert [(one["url"], one.get("valueCoding", {}).get("code"), one.get("valueString")) for one in core] == [
        (kind, code, None), ("text", None, text),
    ]  # fmt: skip


def test_read_keeps_race_and_ethnicity_in_the_codes_of_the_sender():
    _, found = patient({10: "W^Wht^99L", 22: "X"})
    kept = {one["url"]: one["valueCodeableConcept"]["coding"][0]["code"] for one in found["extension"]
            if "valueCodeableConcept" in one}  # fmt: skip
    assert kept[f"{CDC}race"] == "W"
    assert kept[f"{CDC}ethnic-group"] == "X"
    assert not [one for one in found["extension"] if one["url"].startswith(CORE)]


@pytest.mark.parametrize(("field", "value"), [(7, "19500231"), (7, "May"), (24, "maybe"), (30, "perhaps")])
def test_read_leaves_out_and_reports_what_a_patient_cannot_be(field, value):
    conversion, found = patient({field: value})
    assert conversion.report.places(Outcome.INVALID) == (f"PID[1]-{field}",)
    assert {"birthDate", "multipleBirthBoolean", "deceasedBoolean"}.isdisjoint(found)


def test_read_makes_a_date_and_a_time_of_birth():
    _, found = patient({7: "19610203101500+0100", 24: "Y", 25: "2", 30: "Y"})
    assert found["birthDate"] == "1961-02-03"
    assert found["_birthDate"]["extension"][0]["valueDateTime"] == "1961-02-03T10:15:00+01:00"
    assert (found["multipleBirthInteger"], found["deceasedBoolean"]) == ("2", True)


@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        ("555", {"system": "phone", "value": "555", "use": "home"}),
        ("^PRN^PH^^1^555^0142^9^call late", {"system": "phone", "value": "+1 555 0142 X9", "use": "home"}),
        ("^NET^Internet^a@x.example", {"system": "email", "value": "a@x.example", "use": "home"}),
        ("b@x.example^NET", {"system": "email", "value": "b@x.example", "use": "home"}),
        ("^PRN^PH^^^^^^^^^+1 555", {"system": "phone", "value": "+1 555", "use": "home"}),
        ("5550^PRN^CP^^^^^^^^^^20240101^20250101^^^^2",
         {"system": "phone", "value": "5550", "use": "mobile", "rank": "2",
          "period": {"start": "2024-01-01", "end": "2025-01-01"}}),
    ],
)  # fmt: skip
def test_read_makes_a_contact_point_of_a_number_or_address(contact, expected):
    (found,) = patient({13: contact})[1]["telecom"]
    assert {name: value for name, value in found.items() if name != "extension"} == expected


@pytest.mark.parametrize(
    ("authority", "system"),
    [
        ("H&0A000000-0000-0000-0000-00000000000B&UUID", "urn:uuid:0a000000-0000-0000-0000-00000000000b"),
        ("&http://x.example/mrn&URI", "http://x.example/mrn"),
        ("&2.999.8&", "urn:oid:2.999.8"),
        ("H&own&L", None),
    ],
)
def test_read_makes_a_system_of_an_authority_that_is_known_everywhere(authority, system):
    (found,) = patient({3: f"77^^^{authority}^MR"})[1]["identifier"]
    assert found["value"] == "77"
    assert found.get("system") == system


# --- diagnoses and appointments -------------------------------------------------------------------------------------


def test_read_names_the_system_of_a_diagnosis_that_stands_beside_it():
    conversion = converted(adt("PV1|1|I", "DG1|1|I10|J18.9|Pneumonia||W", "DG1|2|99X|A1|Cough||W"))
    first, second = (one["code"] for one in resources(conversion, "Condition"))
    assert first["coding"][0]["system"] == "http://hl7.org/fhir/sid/icd-10"
    assert first["text"] == "Pneumonia"
    assert "system" not in second["coding"][0]
    assert said(conversion, "DG1[1]-2") == {Outcome.MAPPED}
    assert "'99X'" in str(resources(conversion, "Condition")[1]["extension"])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("202403100900+0100", "202403100930+0100",
         {"start": "2024-03-10T09:00:00+01:00", "end": "2024-03-10T09:30:00+01:00"}),
        ("202403100900+0100", "", {"requestedPeriod": [{"start": "2024-03-10T09:00:00+01:00"}]}),
        ("20240310", "20240311", {"requestedPeriod": [{"start": "2024-03-10", "end": "2024-03-11"}]}),
    ],
)  # fmt: skip
def test_read_says_when_an_appointment_is_or_was_asked_for(start, end, expected):
    data = message("SIU^S12^SIU_S12", "SCH|A-1||||||||x", f"TQ1|1||||||{start}|{end}", PID)
    conversion = converted(data)
    found = only(conversion, "Appointment")
    assert {name: found[name] for name in ("start", "end", "requestedPeriod") if name in found} == expected
    assert "minutesDuration" not in found


# --- fields of the site ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("Patient.photo.url", "https://x.example/p", "https://x.example/p"),
        ("Patient.photo.url", "no address", None),
        ("Patient.photo.contentType", "image/png", "image/png"),
        ("Patient.photo.creation", "20240306", "2024-03-06"),
        ("Patient.active", "yes", True),
        ("Patient.active", "2", None),
        ("Patient.contact.period.start", "202403", "2024-03"),
        ("Patient.multipleBirthInteger", "2", "2"),
        ("Patient.multipleBirthInteger", "1.5", None),
    ],
)
def test_read_puts_a_field_of_the_site_where_its_profile_says_or_reports_it(path, value, expected):
    profile = Profile(segments={"ZPI": {2: path}})
    conversion = read(adt("PV1|1|I", f"ZPI||{value}"), settings=Settings(profile=profile))
    assert validate(conversion.to_bundle("collection")) == ()
    found = only(conversion, "Patient")
    for name in path.split(".")[1:]:
        found = found.get(name) if isinstance(found, dict) else None
        found = found[0] if isinstance(found, list) else found
    assert found == expected
    assert said(conversion, "ZPI[1]-2") == {Outcome.INVALID if expected is None else Outcome.MAPPED}


# --- the maps -------------------------------------------------------------------------------------------------------


def test_usual_views_gives_none_for_a_segment_without_a_map():
    assert views.usual_views("ZZZ") == ()


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("Nothing", None, "has no view"),
        ("Elephant", {}, "no resource of R4"),
        ("Observation-a", {"colour": "red"}, "colour means nothing there"),
        ("Observation-b", {"id": "anything"}, "is not 'identifier'"),
        ("Observation-c", {"links": {"subject": "every Patient"}}, "is not a view"),
    ],
)
def test_view_of_refuses_a_map_that_says_what_there_is_not(name, spec, words, monkeypatch):
    if spec is not None:
        monkeypatch.setattr(views, "load", lambda _: {name: spec})
    with pytest.raises(MapError, match=words):
        views.view_of("OBX", name)
