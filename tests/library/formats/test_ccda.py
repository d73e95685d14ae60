"""C-CDA: what becomes of the parts of a clinical document."""

from __future__ import annotations

import json

import pytest

from medibridge.errors import MalformedMessage, MediBridgeError
from medibridge.formats.ccda import FORMAT
from medibridge.formats.conversion import Conversion, Outcome, Piece
from medibridge.formats.fhir import validate
from medibridge.formats.naming import Names
from medibridge.formats.settings import Coding, Profile, Settings
from medibridge.record import canonical_json

NAMESPACES = (
    'xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc"'
)
PATIENT = """<id root="2.999.1" extension="77"/><patient><name><given>Ada</given><family>Vole</family></name>
<administrativeGenderCode code="F"/><birthTime value="1970"/></patient>"""
OBSERVATION = """<observation classCode="OBS" moodCode="EVN"><id root="2.999.2" extension="o1"/>
<code code="2345-7" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>{}</observation>"""
PROBLEM = """<act><statusCode code="{concern}"/><entryRelationship><observation moodCode="EVN" {attributes}>
<templateId root="2.16.840.1.113883.10.20.22.4.4"/><code code="ASSERTION"/>
<effectiveTime><low value="2020"/>{high}</effectiveTime>{value}{more}</observation></entryRelationship></act>"""
ASTHMA = '<value xsi:type="CD" code="195967001" codeSystem="2.16.840.1.113883.6.96" displayName="Asthma"/>'
ALLERGY = """<act><statusCode code="active"/><entryRelationship><observation moodCode="EVN" {attributes}>
<templateId root="2.16.840.1.113883.10.20.22.4.7"/><value xsi:type="CD" code="416098002"/>{more}
</observation></entryRelationship></act>"""
NUT = """<participant typeCode="CSM"><participantRole><playingEntity><code code="256349002"
codeSystem="2.16.840.1.113883.6.96" displayName="Peanut"/></playingEntity></participantRole></participant>"""
DRUG = """<consumable><manufacturedProduct><manufacturedMaterial><code code="860975"
codeSystem="2.16.840.1.113883.6.88"/>{}</manufacturedMaterial></manufacturedProduct></consumable>"""


def ucum(code: str) -> dict:
    return {"system": "http://unitsofmeasure.org", "code": code}


def section(code: str, *entries: str, text: str = "") -> str:
    inside = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'<component><section><code code="{code}"/>{text}{inside}</section></component>'


def document(*sections: str, header: str = "", patient: str = PATIENT, start: str = "") -> bytes:
    body = f"<component><structuredBody>{''.join(sections)}</structuredBody></component>"
    target = f"<recordTarget><patientRole>{patient}</patientRole></recordTarget>" if patient else ""
    root = f'<ClinicalDocument {NAMESPACES}><id root="2.999.9" extension="d"/>{header}{target}{body}</ClinicalDocument>'
    return (start + root).encode()


def read(data: bytes, settings: Settings | None = None) -> Conversion:
    (conversion,) = FORMAT.read(Piece(data), settings or Settings())
    assert validate(conversion.to_bundle()) == ()
    return conversion


def all_of(conversion: Conversion, kind: str) -> list[dict]:
    found = [resource for resource in conversion.resources if resource["resourceType"] == kind]
    return json.loads(canonical_json(found), parse_float=str)


def one(data: bytes, kind: str, settings: Settings | None = None) -> dict:
    (found,) = all_of(read(data, settings), kind)
    return found


def observed(inside: str, settings: Settings | None = None) -> dict:
    return one(document(section("30954-2", OBSERVATION.format(inside))), "Observation", settings)


# --- recognising ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\xef\xbb\xbf",
        b' \n<?xml version="1.0"?>\n<?xml-stylesheet href="a.xsl"?>\n<!-- <a> -->\n',
        b"<!DOCTYPE a>",
    ],
)
def test_recognise_knows_a_clinical_document_whatever_stands_before_its_root(start):
    assert FORMAT.recognise(start + document()).name == "C-CDA"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<",
        b"<?xml",
        b"<!--",
        b"<a/>",
        b"<ClinicalDocument/>",
        b"MSH|",
        b"\xff\xfe<",
        b'<b xmlns="urn:hl7-org:v3"/>',
    ],
)
def test_recognise_leaves_other_bytes_alone(data):
    assert FORMAT.recognise(data) is None


def test_read_takes_utf_16_and_prefixed_elements():
    data = document().decode().replace("<", "<c:").replace("<c:/", "</c:").replace('xmlns="', 'xmlns:c="')
    assert FORMAT.recognise(data.encode("utf-16"))
    assert all_of(read(data.encode("utf-16")), "Patient")[0]["birthDate"] == "1970"


# --- the patient and the document -----------------------------------------------------------------------------------


def test_read_gives_the_patient_the_id_that_its_identifier_has_in_every_format():
    patient = one(document(), "Patient", Settings(source="st-mary"))
    assert patient["id"] == Names("st-mary").by_identifier("Patient", "urn:oid:2.999.1", "77")
    assert patient["name"] == [{"family": "Vole", "given": ["Ada"]}]


def test_read_prefers_any_other_identifier_of_the_patient_to_the_social_security_number():
    ids = '<id root="2.16.840.1.113883.4.1" extension="000-00-0000"/>'
    patient = one(document(patient=ids + PATIENT), "Patient")
    assert patient["id"] == Names("").by_identifier("Patient", "urn:oid:2.999.1", "77")
    assert patient["identifier"][0]["system"] == "http://hl7.org/fhir/sid/us-ssn"


def test_read_keeps_race_ethnicity_language_and_guardian():
    patient = """<id root="2.999.1" extension="77"/><patient><name>Ada Vole</name><birthTime value="197005141230+0100"/>
    <raceCode code="2106-3" displayName="White"/><sdtc:raceCode code="2110-1" displayName="Czech"/>
    <ethnicGroupCode nullFlavor="UNK"/><guardian><code code="MTH"/><guardianPerson><name>Eve</name></guardianPerson>
    </guardian><languageCommunication><languageCode code="ger-AT"/></languageCommunication></patient>"""
    found = one(document(patient=patient), "Patient")
    race, ethnicity = found["extension"]
    assert [part["url"] for part in race["extension"]] == ["ombCategory", "detailed", "text"]
    assert ethnicity["extension"][0]["valueCoding"]["code"] == "UNK"
    assert found["contact"][0]["name"] == {"text": "Eve"}
    assert found["communication"][0]["language"]["coding"][0]["code"] == "de-AT"
    assert found["birthDate"] == "1970-05-14"
    assert found["_birthDate"]["extension"][0]["valueDateTime"] == "1970-05-14T12:30:00+01:00"


@pytest.mark.parametrize("patient", ["", "<id/></patientRole><patientRole>" + PATIENT])
def test_read_refuses_a_document_about_nobody_or_several_people(patient):
    with pytest.raises(MalformedMessage, match=r"recordTarget"):
        read(document(patient=patient))


def test_read_makes_a_composition_of_a_document_that_lacks_all_that_a_composition_needs():
    composition = one(document(), "Composition")
    assert composition["_date"]["extension"][0]["valueCode"] == "unknown"
    assert composition["status"] == "final"
    assert "status" in " ".join(found.target for found in read(document()).report.findings)


def test_read_keeps_the_narrative_as_the_xhtml_that_fhir_allows():
    text = """<text><paragraph styleCode="Bold" onclick="x()">a &lt;b&gt;</paragraph><linkHtml href="javascript:x">l
    </linkHtml><table border="1"><tbody><tr><td colspan="2">c</td></tr></tbody></table><script>s</script></text>"""
    (found,) = one(document(section("10164-2", text=text)), "Composition")["section"]
    shown = found["text"]["div"]
    assert '<p style="font-weight:bold">a &lt;b&gt;</p>' in shown
    assert '<td colspan="2">c</td>' in shown
    assert "javascript" not in shown and "<script" not in shown and "onclick" not in shown


def test_read_keeps_a_body_that_is_not_xml_as_a_document_reference():
    data = document().replace(b"<structuredBody></structuredBody>", b'<nonXMLBody><text mediaType="application/pdf" '
                              b'representation="B64">JVBE\nRi0=</text></nonXMLBody>')  # fmt: skip
    attachment = one(data, "DocumentReference")["content"][0]["attachment"]
    assert attachment == {"contentType": "application/pdf", "data": "JVBERi0="}


# --- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "zone", "expected"),
    [
        ("2012", "", "2012"),
        ("201208", "", "2012-08"),
        ("20120806", "", "2012-08-06"),
        ("201208061230-0500", "", "2012-08-06T12:30:00-05:00"),
        ("20120806123045.120+0100", "", "2012-08-06T12:30:45.120+01:00"),
        ("201208061230", "", "2012-08-06"),
        ("201208061230", "Europe/Vienna", "2012-08-06T12:30:00+02:00"),
        ("2012080612-0500", "", "2012-08-06"),
        ("20120230", "", None),
        ("soon", "", None),
    ],
)
def test_read_keeps_a_time_as_exact_as_it_is_written(written, zone, expected):
    settings = Settings(profile=Profile(zone=zone))
    assert observed(f'<effectiveTime value="{written}"/>', settings).get("effectiveDateTime") == expected


def test_read_reports_a_time_that_is_none_and_refuses_it_when_strict():
    data = document(section("30954-2", OBSERVATION.format('<effectiveTime value="20120230"/>')))
    (place,) = read(data).report.places(Outcome.INVALID)
    assert place == "component.structuredBody.component.section.entry.observation.effectiveTime@value"
    with pytest.raises(MalformedMessage, match="not a time") as refused:
        read(data, Settings(strict=True))
    assert "20120230" not in str(refused.value)


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            '<value xsi:type="PQ" value="72.50" unit="g"/>',
            {"valueQuantity": {"value": "72.50", "unit": "g", **ucum("g")}},
        ),
        (
            '<value xsi:type="PQ" value=".5" unit="lb"/>',
            {"valueQuantity": {"value": "0.5", "unit": "lb", **ucum("[lb_av]")}},
        ),
        ('<value xsi:type="PQ" value="7" unit="blobs"/>', {"valueQuantity": {"value": 7, "unit": "blobs"}}),
        ('<value xsi:type="ST">&lt;5</value>', {"valueQuantity": {"comparator": "<", "value": 5}}),
        ('<value xsi:type="ST">none  seen</value>', {"valueString": "none seen"}),
        ('<value xsi:type="INT" value="3"/>', {"valueInteger": 3}),
        ('<value xsi:type="BL" value="true"/>', {"valueBoolean": True}),
        ('<value xsi:type="TS" value="2012"/>', {"valueDateTime": "2012"}),
        (
            '<value xsi:type="IVL_PQ"><low value="1"/><high value="2"/></value>',
            {"valueRange": {"low": {"value": 1}, "high": {"value": 2}}},
        ),
        (
            '<value xsi:type="IVL_PQ"><high value="2" inclusive="false"/></value>',
            {"valueQuantity": {"comparator": "<", "value": 2}},
        ),
        (
            '<value xsi:type="RTO"><numerator value="1"/><denominator value="128"/></value>',
            {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}},
        ),
        (
            '<value xsi:type="CD" code="A" displayName="b" codeSystemName="SNOMED CT"/>',
            {"valueCodeableConcept": {"coding": [{"code": "A", "display": "b", "system": "http://snomed.info/sct"}]}},
        ),
        ('<value type="PQ" value="1"/>', {"valueQuantity": {"value": 1}}),
        ('<value value="1" unit="g"/>', {"valueQuantity": {"value": 1, "unit": "g", **ucum("g")}}),
        ('<value>text</value>', {"valueString": "text"}),
    ],
)  # fmt: skip
def test_read_gives_a_value_its_type_and_all_its_digits(value, expected):
    found = observed(value)
    assert {key: value for key, value in found.items() if key.startswith("value")} == expected


def test_read_says_why_there_is_no_value():
    found = observed('<value xsi:type="PQ" nullFlavor="ASKU"/>')
    assert found["dataAbsentReason"]["coding"][0]["code"] == "asked-unknown"


def test_read_resolves_text_that_stands_in_the_narrative_and_keeps_translations():
    text = '<text><content ID="c1">H<sub>2</sub>O &amp;&#32;R&amp;D</content><br/></text>'
    code = """<code nullFlavor="OTH"><originalText><reference value="#c1"/></originalText>
    <translation code="GLU" codeSystem="2.999.3"/></code>"""
    entry = f'<observation moodCode="EVN">{code}<value xsi:type="INT" value="1"/></observation>'
    settings = Settings(profile=Profile(codes={"2.999.3": {"GLU": Coding("http://loinc.org", "2345-7")}}))
    found = one(document(section("30954-2", entry, text=text)), "Observation", settings)["code"]
    assert found["text"] == "H2O & R&D"
    assert [coding["code"] for coding in found["coding"]] == ["GLU", "2345-7"]


# --- problems and allergies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concern", "high", "status"),
    [
        ("active", "", "active"),
        ("completed", "", "inactive"),
        ("active", '<high value="2021"/>', "resolved"),
        ("active", '<high nullFlavor="UNK"/>', "resolved"),
        ("active", '<high nullFlavor="NA"/>', "active"),
    ],
)
def test_read_takes_a_problem_for_active_unless_it_ended(concern, high, status):
    entry = PROBLEM.format(concern=concern, high=high, value=ASTHMA, attributes="", more="")
    found = one(document(section("11450-4", entry)), "Condition")
    assert found["clinicalStatus"]["coding"][0]["code"] == status
    assert found["onsetDateTime"] == "2020"
    assert found.get("abatementDateTime") == ("2021" if "2021" in high else None)


def test_read_takes_a_negated_problem_for_refuted():
    entry = PROBLEM.format(concern="active", high="", value=ASTHMA, attributes='negationInd="true"', more="")
    found = one(document(section("11450-4", entry)), "Condition")
    assert found["verificationStatus"]["coding"][0]["code"] == "refuted"


def test_read_finds_problems_by_the_section_where_templates_are_missing():
    entry = f'<act><entryRelationship><observation moodCode="EVN">{ASTHMA}</observation></entryRelationship></act>'
    found = one(document(section("11450-4", entry)), "Condition")
    assert found["code"]["coding"][0]["code"] == "195967001"


def test_read_takes_a_negated_allergy_without_substance_for_none_known():
    entry = ALLERGY.format(attributes='negationInd="true"', more="")
    found = one(document(section("48765-2", entry)), "AllergyIntolerance")
    assert found["code"]["coding"][0] == {
        "system": "http://snomed.info/sct",
        "code": "409137002",
        "display": "No known drug allergy",
    }
    assert found["verificationStatus"]["coding"][0]["code"] == "confirmed"


def test_read_takes_a_negated_allergy_to_a_substance_for_refuted():
    entry = ALLERGY.format(attributes='negationInd="true"', more=NUT)
    found = one(document(section("48765-2", entry)), "AllergyIntolerance")
    assert found["code"]["coding"][0]["display"] == "Peanut"
    assert found["verificationStatus"]["coding"][0]["code"] == "refuted"


def test_read_gives_a_reaction_the_severity_of_the_allergy_where_it_has_none_itself():
    severity = (
        '<entryRelationship><observation><code code="SEV"/><value code="24484000"/></observation></entryRelationship>'
    )
    reaction = '<entryRelationship typeCode="MFST"><observation><value code="1"/></observation></entryRelationship>'
    with_reaction = ALLERGY.format(attributes="", more=NUT + reaction + severity)
    found = one(document(section("48765-2", with_reaction)), "AllergyIntolerance")
    assert found["reaction"][0]["severity"] == "severe" and "note" not in found
    without = one(
        document(section("48765-2", ALLERGY.format(attributes="", more=NUT + severity))), "AllergyIntolerance"
    )
    assert without["note"] == [{"text": "Severity: 24484000"}]


# --- medications and immunizations ----------------------------------------------------------------------------------


def medicine(mood: str, inside: str, material: str = "", section_code: str = "10160-0") -> bytes:
    entry = f"""<substanceAdministration moodCode="{mood}"><templateId root="2.16.840.1.113883.10.20.22.4.16"/>
    <statusCode code="active"/>{inside}{DRUG.format(material)}</substanceAdministration>"""
    return document(section(section_code, entry))


def test_read_takes_what_is_taken_for_a_statement_and_what_is_asked_for_a_request():
    assert one(medicine("EVN", ""), "MedicationStatement")["status"] == "active"
    request = one(medicine("INT", "<repeatNumber value='2'/>"), "MedicationRequest")
    assert (request["status"], request["intent"]) == ("active", "plan")
    given = medicine("EVN", "<effectiveTime value='2020'/>", section_code="29549-3")
    assert one(given, "MedicationAdministration")["effectiveDateTime"] == "2020"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (
            '<effectiveTime institutionSpecified="true"><period value="12" unit="h"/></effectiveTime>',
            {"frequency": 2, "period": 1, "periodUnit": "d"},
        ),
        (
            '<effectiveTime xsi:type="PIVL_TS"><period value="6.5" unit="h"/></effectiveTime>',
            {"frequency": 1, "period": "6.5", "periodUnit": "h"},
        ),
        (
            '<effectiveTime><period><low value="4" unit="h"/><high value="6" unit="h"/></period></effectiveTime>',
            {"frequency": 1, "period": 4, "periodMax": 6, "periodUnit": "h"},
        ),
        (
            '<effectiveTime><event code="ACM"/><offset><low value="1" unit="h"/></offset></effectiveTime>',
            {"when": ["ACM"], "offset": 60},
        ),
        (
            '<effectiveTime xsi:type="IVL_TS"><low value="2020"/><high value="2021"/></effectiveTime>',
            {"boundsPeriod": {"start": "2020", "end": "2021"}},
        ),
    ],
)  # fmt: skip
def test_read_says_how_often_a_medicine_is_taken(time, expected):
    found = one(medicine("EVN", time), "MedicationStatement")
    assert found["dosage"][0]["timing"] == {"repeat": expected}


def test_read_keeps_dose_rate_route_and_precondition():
    inside = """<routeCode code="C38288"/><doseQuantity><low value="1"/><high value="2"/></doseQuantity><rateQuantity
    value="3"
    unit="mL/h"/><precondition><criterion><value xsi:type="CD" code="56018004"/></criterion></precondition>"""
    (dose,) = one(medicine("EVN", inside), "MedicationStatement")["dosage"]
    assert dose["doseAndRate"][0]["doseRange"]["high"] == {"value": 2}
    assert dose["doseAndRate"][0]["rateQuantity"]["code"] == "mL/h"
    assert dose["asNeededCodeableConcept"]["coding"][0]["code"] == "56018004"


def test_read_makes_a_medication_where_more_than_its_code_is_known():
    assert one(medicine("EVN", "", "<lotNumberText>L7</lotNumberText>"), "Medication")["batch"] == {"lotNumber": "L7"}


def test_read_takes_a_negated_immunization_for_not_done():
    data = medicine("EVN", "<effectiveTime value='2020'/>", section_code="11369-6").replace(
        b"22.4.16", b"22.4.52"
    ).replace(b"<substanceAdministration", b'<substanceAdministration negationInd="true"')  # fmt: skip
    assert one(data, "Immunization")["status"] == "not-done"


# --- people, references, ids ----------------------------------------------------------------------------------------


def test_read_merges_what_a_document_says_of_one_practitioner_at_several_places():
    who = '<author><assignedAuthor><id root="2.16.840.1.113883.4.6" extension="9"/>{}</assignedAuthor></author>'
    entry = OBSERVATION.format('<value xsi:type="INT" value="1"/>' + who.format(""))
    name = "<assignedPerson><name><family>Bat</family></name></assignedPerson>"
    found = one(document(section("30954-2", entry), header=who.format(name)), "Practitioner")
    assert found["identifier"] == [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "9"}]
    assert found["name"] == [{"family": "Bat"}]


def test_read_gives_entries_of_one_id_with_other_contents_ids_of_their_own_and_merges_equal_ones():
    first, second = (OBSERVATION.format(f'<value xsi:type="INT" value="{value}"/>') for value in (1, 2))
    found = all_of(read(document(section("30954-2", first, second, first))), "Observation")
    assert [one["valueInteger"] for one in found] == [1, 2]
    assert len({one["id"] for one in found}) == 2


def test_read_follows_an_entry_that_only_refers_to_another_also_in_a_circle():
    refers = """<entryRelationship typeCode="RSON"><act><templateId root="2.16.840.1.113883.10.20.22.4.122"/>
    <id root="2.999.2" extension="{}"/><code nullFlavor="NP"/></act></entryRelationship>"""
    observation = OBSERVATION.format('<value xsi:type="INT" value="1"/>' + refers.format("p"))
    procedure = f"""<procedure moodCode="EVN"><id root="2.999.2" extension="p"/><code code="1"/>{refers.format("o1")}
    </procedure>"""
    conversion = read(document(section("47519-4", procedure, observation)))
    (found,), (target,) = all_of(conversion, "Procedure"), all_of(conversion, "Observation")
    assert found["reasonReference"] == [{"reference": f"Observation/{target['id']}"}]


def test_read_puts_an_author_for_whom_a_resource_has_no_place_into_a_provenance():
    author = '<author><time value="2020"/><assignedAuthor><id root="2.999.4" extension="1"/></assignedAuthor></author>'
    entry = OBSERVATION.format('<value xsi:type="INT" value="1"/>' + author)
    found = one(document(section("30954-2", entry)), "Provenance")
    assert found["occurredDateTime"] == "2020"


def test_read_drops_a_broken_entry_and_keeps_the_rest():
    broken = '<substanceAdministration moodCode="EVN"><doseQuantity value="x"/></substanceAdministration>'
    whole = OBSERVATION.format('<value xsi:type="INT" value="1"/>')
    conversion = read(document(section("30954-2", broken, whole)))
    assert len(all_of(conversion, "Observation")) == 1
    assert conversion.report.counts()[Outcome.UNMAPPED]


# --- the whole ------------------------------------------------------------------------------------------------------


def test_read_gives_the_same_bytes_twice():
    data = document(section("11450-4", PROBLEM.format(concern="active", high="", value=ASTHMA, attributes="", more="")))
    assert canonical_json(read(data).to_bundle()) == canonical_json(read(data).to_bundle())


def test_read_makes_one_more_kind_of_document_known_by_its_code_where_templates_are_missing():
    assert read(document(header='<code code="18842-5"/>')).format.name == "C-CDA Discharge Summary"
    assert read(document()).format.name == "C-CDA clinical document"


def test_read_says_nothing_of_the_patient_in_errors():
    with pytest.raises(MediBridgeError) as refused:
        read(document(patient=PATIENT.replace("</name>", "")))
    assert "Vole" not in str(refused.value) and "line" in str(refused.value)
