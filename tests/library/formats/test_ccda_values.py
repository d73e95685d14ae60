"""C-CDA: every datatype of CDA R2, well and badly written, and what it becomes in FHIR."""

from __future__ import annotations

import base64
import json

import pytest

from medibridge.formats.ccda import FORMAT
from medibridge.formats.conversion import Conversion, Outcome, Piece
from medibridge.formats.fhir import validate
from medibridge.formats.settings import Profile, Settings
from medibridge.record import canonical_json

NAMESPACES = (
    'xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc"'
)
IDENTIFIED = '<id root="2.999.1" extension="77"/>'
PATIENT = IDENTIFIED + "<patient><name>Ada Vole</name></patient>"
DRUG = '<code code="860975" codeSystem="2.16.840.1.113883.6.88"/>'
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
ABBREVIATIONS = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"
LOINC = "2.16.840.1.113883.6.1"
SNOMED = "2.16.840.1.113883.6.96"
WHOLE = '<value xsi:type="INT" value="1"/>'
PEANUT = """<participant typeCode="CSM"><participantRole><playingEntity>{}</playingEntity></participantRole>
</participant>"""


def ucum(code: str) -> dict:
    return {"system": "http://unitsofmeasure.org", "code": code}


def measured(value: object, unit: str) -> dict:
    return {"value": value, "unit": unit, **ucum(unit)}


def section(code: str, entry: str, text: str = "") -> str:
    return f'<component><section><code code="{code}"/>{text}<entry>{entry}</entry></section></component>'


def document(body: str = "", header: str = "", patient: str = PATIENT) -> bytes:
    return f"""<ClinicalDocument {NAMESPACES}><id root="2.999.9" extension="d"/>{header}<recordTarget><patientRole>
    {patient}</patientRole></recordTarget><component><structuredBody>{body}</structuredBody></component>
    </ClinicalDocument>""".encode()


def read(data: bytes, profile: Profile | None = None) -> Conversion:
    (conversion,) = FORMAT.read(Piece(data), Settings(profile=profile or Profile()))
    assert validate(conversion.to_bundle()) == ()
    return conversion


def all_of(conversion: Conversion, kind: str) -> list[dict]:
    found = [resource for resource in conversion.resources if resource["resourceType"] == kind]
    return json.loads(canonical_json(found), parse_float=str)


def one(data: bytes, kind: str) -> dict:
    (found,) = all_of(read(data), kind)
    return found


def observation(inside: str, code: str = '<code code="2345-7"/>', text: str = "") -> bytes:
    entry = (
        f'<observation moodCode="EVN"><id root="2.999.2"/>{code}<statusCode code="completed"/>{inside}</observation>'
    )
    return document(section("30954-2", entry, text))


def observed(inside: str, **others: str) -> dict:
    return one(observation(inside, **others), "Observation")


def value_of(resource: dict) -> dict:
    return {key: value for key, value in resource.items() if key.startswith("value")}


def medicine(inside: str, mood: str = "EVN", where: str = "10160-0", product: str = "", **others: str) -> bytes:
    product = product or f"<manufacturedMaterial>{DRUG}</manufacturedMaterial>"
    template, status, attributes = (
        others.get(name, usual) for name, usual in (("template", "22.4.16"), ("status", "active"), ("attributes", ""))
    )
    entry = f"""<substanceAdministration moodCode="{mood}" {attributes}>
    <templateId root="2.16.840.1.113883.10.20.{template}"/><statusCode code="{status}"/>{inside}
    <consumable><manufacturedProduct>{product}</manufacturedProduct></consumable></substanceAdministration>"""
    return document(section(where, entry))


def dosage(inside: str) -> dict:
    (found,) = one(medicine(inside), "MedicationStatement")["dosage"]
    return found


def problem(inside: str, attributes: str = "", where: str = "11450-4", concern: str = "active") -> bytes:
    return document(
        section(
            where,
            f"""<act><statusCode code="{concern}"/><entryRelationship><observation moodCode="EVN" {attributes}>
    <templateId root="2.16.840.1.113883.10.20.22.4.4"/><value xsi:type="CD" code="195967001" codeSystem="{SNOMED}"/>
    {inside}</observation></entryRelationship></act>""",
        )
    )


def allergy(inside: str, attributes: str = "", kind: str = "416098002") -> bytes:
    entry = f"""<act><statusCode code="active"/><entryRelationship><observation moodCode="EVN" {attributes}>
    <templateId root="2.16.840.1.113883.10.20.22.4.7"/><value xsi:type="CD" code="{kind}"/>{inside}
    </observation></entryRelationship></act>"""
    return document(section("48765-2", entry))


def invalid(conversion: Conversion) -> list[str]:
    """The ends of the places of what is reported as invalid."""
    return [place.rpartition(".")[2] for place in conversion.report.places(Outcome.INVALID)]


def reason(conversion: Conversion, end: str) -> tuple[Outcome, str]:
    (found,) = [finding for finding in conversion.report.findings if finding.place.endswith(end)]
    return found.outcome, found.reason


# --- values of observations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('<value xsi:type="PQ" value="&lt;5" unit="mg"/>', {"valueQuantity": {"comparator": "<", **measured(5, "mg")}}),
        ('<value xsi:type="PQ" value="-0.50" unit="1"/>', {"valueQuantity": {"value": "-0.50", **ucum("1")}}),
        ('<value xsi:type="PQ" unit="mg">none</value>', {"valueString": "none"}),
        (
            '<value xsi:type="PQ" value="2"><translation><originalText>drops</originalText></translation></value>',
            {"valueQuantity": {"value": 2, "unit": "drops"}},
        ),
        ('<value xsi:type="PQ" value="many" unit="mg"/>', {"valueString": "many mg"}),
        (
            f'<value xsi:type="PQ" value="1" unit="{"m" * 41}"/>',
            {"valueQuantity": {"value": 1, "unit": "m" * 41}},
        ),
        ('<value xsi:type="PQ" value="1" unit="{score}"/>', {"valueQuantity": measured(1, "{score}")}),
        ('<value xsi:type="PQ" value="1" unit="10*3/uL"/>', {"valueQuantity": measured(1, "10*3/uL")}),
        ('<value xsi:type="REAL" value="1.250"/>', {"valueQuantity": {"value": "1.250"}}),
        (
            '<value xsi:type="MO" value="9.90" currency="EUR"/>',
            {"valueQuantity": {"value": "9.90", "unit": "EUR", "system": "urn:iso:std:iso:4217", "code": "EUR"}},
        ),
        ('<value xsi:type="INT" value="-3"/>', {"valueQuantity": {"value": -3}}),
        ('<value xsi:type="INT" value="007"/>', {"valueInteger": 7}),
        (
            '<value xsi:type="IVL_PQ"><low value="1.0" unit="mg"/></value>',
            {"valueQuantity": {"comparator": ">=", **measured("1.0", "mg")}},
        ),
        (
            '<value xsi:type="IVL_PQ"><low value="1" unit="mg" inclusive="false"/></value>',
            {"valueQuantity": {"comparator": ">", **measured(1, "mg")}},
        ),
        ('<value xsi:type="IVL_PQ"><center value="4"/></value>', {"valueQuantity": {"value": 4}}),
        ('<value xsi:type="IVL_INT" value="4"/>', {"valueQuantity": {"value": 4}}),
        ('<value xsi:type="IVL_PQ" value="x"/>', {"valueString": "x"}),
        ('<value xsi:type="RTO"><numerator value="1"/></value>', {}),
        ('<value xsi:type="BL" value="false"/>', {"valueBoolean": False}),
        ('<value xsi:type="BL" value="perhaps"/>', {"valueString": "perhaps"}),
        (
            '<value xsi:type="IVL_TS"><low value="2020"/><high value="202103"/></value>',
            {"valuePeriod": {"start": "2020", "end": "2021-03"}},
        ),
        ('<value xsi:type="IVL_TS"><center value="20200101"/></value>', {"valueDateTime": "2020-01-01"}),
        ('<value xsi:type="TS" value="later"/>', {"valueString": "later"}),
        ('<value xsi:type="CD" value="7"/>', {"valueString": "7"}),
        (
            '<value xsi:type="ST">≥ 1.5 mg/dL</value>',
            {"valueQuantity": {"comparator": ">=", **measured("1.5", "mg/dL")}},
        ),
        ('<value xsi:type="ED" representation="B64">QUJD</value>', {}),
        ('<value xsi:type="ED">free text</value>', {"valueString": "free text"}),
        ('<value value="true"/>', {"valueBoolean": True}),
        ('<value code="A"/>', {"valueCodeableConcept": {"coding": [{"code": "A"}]}}),
        (
            '<value><numerator value="1"/><denominator value="8"/></value>',
            {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 8}}},
        ),
        (
            '<value><low value="1"/><high value="2"/></value>',
            {"valueRange": {"low": {"value": 1}, "high": {"value": 2}}},
        ),
        ('<value><low value="20200101"/></value>', {"valuePeriod": {"start": "2020-01-01"}}),
        ('<value xsi:type="ANY" value="12"/>', {"valueQuantity": {"value": 12}}),
    ],
)
def test_read_makes_of_a_value_what_its_type_and_its_looks_allow(value, expected):
    assert value_of(observed(value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        '<value xsi:type="IVL_PQ"><low value="x"/><high value="2"/></value>',
        '<value xsi:type="RTO"><numerator value="1"/><denominator value="x"/></value>',
        '<value xsi:type="IVL_TS"><low value="20209999"/><high value="2021"/></value>',
    ],
)
def test_read_reports_a_bound_that_is_no_number_or_time_as_invalid(value):
    assert len(invalid(read(observation(value)))) == 1


@pytest.mark.parametrize(
    ("flavor", "code"), [("UNK", "unknown"), ("NASK", "not-asked"), ("MSK", "masked"), ("odd", "unknown")]
)
def test_read_gives_a_null_flavor_the_reason_that_fhir_has_for_it(flavor, code):
    found = observed(f'<value xsi:type="CD" nullFlavor="{flavor}"/>')
    assert found["dataAbsentReason"]["coding"][0]["code"] == code and value_of(found) == {}


def test_read_takes_several_values_for_components():
    found = observed('<value xsi:type="INT" value="1"/><value xsi:type="BL" value="true"/>')
    assert found["valueInteger"] == 1
    assert [value_of(part) for part in found["component"]] == [{"valueBoolean": True}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            '<value xsi:type="IVL_PQ"><low value="1"/><high value="2"/></value>',
            {"low": {"value": 1}, "high": {"value": 2}},
        ),
        ('<value xsi:type="INT" value="5"/>', {"text": "5"}),
        ('<value xsi:type="CD" displayName="yellow"/>', {"text": "yellow"}),
        ('<value xsi:type="ST">clear</value>', {"text": "clear"}),
    ],
)
def test_read_keeps_a_reference_range_as_bounds_or_as_a_text(value, expected):
    inside = f"{WHOLE}<referenceRange><observationRange>{value}</observationRange></referenceRange>"
    assert observed(inside)["referenceRange"] == [expected]


# --- codes and identifiers ------------------------------------------------------------------------------------------


def test_read_keeps_a_code_once_with_its_version_and_its_translations():
    code = f"""<code code="2345-7" codeSystem="{LOINC}" codeSystemVersion="2.70" displayName="Glucose">
    <originalText>sugar</originalText><translation code="2345-7" codeSystem="{LOINC}" displayName="Glucose"/>
    <translation displayName="GLU"/></code>"""
    found = read(observation(WHOLE, code=code))
    (concept,) = [resource["code"] for resource in all_of(found, "Observation")]
    assert concept == {
        "coding": [
            {"system": "http://loinc.org", "version": "2.70", "code": "2345-7", "display": "Glucose"},
            {"display": "GLU"},
        ],
        "text": "sugar",
    }
    assert reason(found, "translation[1]@code") == (Outcome.IGNORED, "the same code stands before it")


def test_read_says_why_there_is_no_code():
    code = observed(WHOLE, code='<code nullFlavor="NASK"/>')["code"]
    assert code == {"extension": [{"url": ABSENT, "valueCode": "not-asked"}]}
    assert observed(WHOLE, code="<code>just text</code>")["code"] == {"text": "just text"}


def test_read_reports_a_code_with_spaces_and_a_system_that_is_no_oid_as_invalid():
    found = read(observation(WHOLE, code='<code code="a b" codeSystem="not an oid" displayName="C"/>'))
    assert all_of(found, "Observation")[0]["code"] == {"coding": [{"display": "C"}]}
    assert sorted(invalid(found)) == ["code@code", "code@codeSystem"]
    alone = read(observation(WHOLE, code='<code code="a b" codeSystem="2.999.5"/>'))
    assert all_of(alone, "Observation")[0]["code"]["extension"][0]["valueCode"] == "unknown"


def test_read_takes_the_text_before_the_reference_and_reports_a_reference_to_nowhere():
    text = '<text><content ID="c">narrated</content></text>'
    beside = '<code nullFlavor="OTH"><originalText>written<reference value="#c"/></originalText></code>'
    found = read(observation(WHOLE, code=beside, text=text))
    assert all_of(found, "Observation")[0]["code"] == {"text": "written"}
    assert reason(found, "reference@value")[0] is Outcome.USED
    nowhere = beside.replace("written", "").replace("#c", "#none")
    assert reason(read(observation(WHOLE, code=nowhere, text=text)), "reference@value")[0] is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('root="2.999.3" extension="x"', {"system": "urn:oid:2.999.3", "value": "x"}),
        ('root="2.999.3"', {"system": "urn:ietf:rfc3986", "value": "urn:oid:2.999.3"}),
        (
            'root="A6B0C9D2-0000-4000-8000-00000000000A"',
            {"system": "urn:ietf:rfc3986", "value": "urn:uuid:a6b0c9d2-0000-4000-8000-00000000000a"},
        ),
        ('extension="x" assigningAuthorityName="St Mary"', {"value": "x", "assigner": {"display": "St Mary"}}),
    ],
)
def test_read_gives_an_identifier_its_system(written, expected):
    assert one(document(patient=f"{IDENTIFIED}<id {written}/>"), "Patient")["identifier"][1] == expected


def test_read_reports_a_root_that_is_none_as_invalid():
    found = read(document(patient=f'{IDENTIFIED}<id root="no root" extension="x"/>'))
    assert all_of(found, "Patient")[0]["identifier"][1] == {"value": "x"}
    assert invalid(found) == ["id[2]@root"]


def test_read_knows_an_authority_by_the_name_that_the_site_gave_it():
    profile = Profile(authorities={"St Mary": "https://st-mary.example/ids"})
    data = document(patient=f'{IDENTIFIED}<id extension="x" assigningAuthorityName="St Mary"/>')
    assert all_of(read(data, profile), "Patient")[0]["identifier"][1]["system"] == "https://st-mary.example/ids"


# --- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2012-08-06", "2012-08-06"),
        ("2012-08", "2012-08"),
        ("2012-08-06T12:30:45Z", "2012-08-06T12:30:45Z"),
        ("20120806123045-03", "2012-08-06T12:30:45-03:00"),
        ("20120806123045+1400", "2012-08-06T12:30:45+14:00"),
        ("20120806123045+1500", None),
        ("201208062460+0000", None),
        ("00000101", None),
        ("201213", None),
        ("20120229", "2012-02-29"),
        ("20110229", None),
    ],
)
def test_read_takes_a_time_that_exists_and_reports_another_as_invalid(written, expected):
    found = read(observation(f'<effectiveTime value="{written}"/>{WHOLE}'))
    assert all_of(found, "Observation")[0].get("effectiveDateTime") == expected
    assert invalid(found) == ([] if expected else ["effectiveTime@value"])


@pytest.mark.parametrize(
    ("zone", "written", "expected"),
    [
        ("America/New_York", "201201061230", "2012-01-06T12:30:00-05:00"),
        ("Asia/Kolkata", "201201061230", "2012-01-06T12:30:00+05:30"),
        ("Asia/Kolkata", "201201061230+0000", "2012-01-06T12:30:00+00:00"),
    ],
)
def test_read_gives_a_time_without_an_offset_that_of_the_site(zone, written, expected):
    found = read(observation(f'<effectiveTime value="{written}"/>{WHOLE}'), Profile(zone=zone))
    assert all_of(found, "Observation")[0]["effectiveDateTime"] == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ("2020", "2019", {"start": "2020"}),
        ("202001011200+0000", "202001011200+0100", {"start": "2020-01-01T12:00:00+00:00"}),
        ("20200101", "2020", {"start": "2020-01-01", "end": "2020"}),
        (
            "20200101120000Z",
            "20200101130000+0000",
            {"start": "2020-01-01T12:00:00Z", "end": "2020-01-01T13:00:00+00:00"},
        ),
    ],
)
def test_read_leaves_out_an_end_that_is_before_the_beginning(low, high, expected):
    found = read(observation(f'<effectiveTime><low value="{low}"/><high value="{high}"/></effectiveTime>{WHOLE}'))
    assert all_of(found, "Observation")[0]["effectivePeriod"] == expected
    assert invalid(found) == ([] if "end" in expected else ["high@value"])


@pytest.mark.parametrize(
    ("written", "issued"),
    [("20200101120000+0000", "2020-01-01T12:00:00+00:00"), ("202001011200Z", None), ("2020", None)],
)
def test_read_takes_only_an_exact_time_for_an_instant(written, issued):
    author = (
        f'<author><time value="{written}"/><assignedAuthor><id root="2.999.4" extension="1"/></assignedAuthor></author>'
    )
    assert observed(WHOLE + author).get("issued") == issued


# --- how often ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (
            '<effectiveTime institutionSpecified="false"><period value="12" unit="h"/></effectiveTime>',
            {"repeat": {"frequency": 1, "period": 12, "periodUnit": "h"}},
        ),
        (
            '<effectiveTime institutionSpecified="true"><period value="5" unit="h"/></effectiveTime>',
            {"repeat": {"frequency": 1, "period": 5, "periodUnit": "h"}},
        ),
        (
            '<effectiveTime institutionSpecified="true"><period value="2" unit="d"/></effectiveTime>',
            {"repeat": {"frequency": 1, "period": 2, "periodUnit": "d"}},
        ),
        (
            ('<effectiveTime xsi:type="PIVL_TS"><phase><low value="2020"/><high value="2021"/></phase>'
            '<period value="1" unit="wk"/></effectiveTime>'),
            {
                "repeat": {
                    "frequency": 1, "period": 1, "periodUnit": "wk", "boundsPeriod": {"start": "2020", "end": "2021"},
                }
            },
        ),
        (
            ('<effectiveTime xsi:type="IVL_TS"><low value="2020"/></effectiveTime>'
            '<effectiveTime xsi:type="PIVL_TS" operator="A"><period value="1" unit="d"/></effectiveTime>'
            '<effectiveTime xsi:type="PIVL_TS"><period value="2" unit="d"/></effectiveTime>'),
            {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "boundsPeriod": {"start": "2020"}}},
        ),
        (
            ('<effectiveTime xsi:type="SXPR_TS"><comp xsi:type="EIVL_TS"><event code="HS"/></comp>'
            '<comp xsi:type="PIVL_TS"><period value="1" unit="d"/></comp></effectiveTime>'),
            {"repeat": {"when": ["HS"], "frequency": 1, "period": 1, "periodUnit": "d"}},
        ),
        (
            '<effectiveTime xsi:type="EIVL_TS"><event code="PC"/><offset value="30" unit="min"/></effectiveTime>',
            {"repeat": {"when": ["PC"], "offset": 30}},
        ),
        (
            '<effectiveTime xsi:type="EIVL_TS"><event code="CM"/><offset value="30" unit="min"/></effectiveTime>',
            {"repeat": {"when": ["CM"]}},
        ),
        (
            '<effectiveTime value="20200101"/><effectiveTime value="20200108"/>',
            {"event": ["2020-01-01", "2020-01-08"]},
        ),
        (
            '<effectiveTime xsi:type="PIVL_TS"><code code="BID"/><period value="12" unit="h"/></effectiveTime>',
            {
                "code": {"coding": [{"system": ABBREVIATIONS, "code": "BID"}]},
                "repeat": {"frequency": 1, "period": 12, "periodUnit": "h"},
            },
        ),
    ],
)  # fmt: skip
def test_read_says_when_a_medicine_is_taken(times, expected):
    assert dosage(times + '<doseQuantity value="1"/>')["timing"] == expected


@pytest.mark.parametrize(
    ("times", "place"),
    [
        ('<effectiveTime xsi:type="PIVL_TS"><period value="often" unit="h"/></effectiveTime>', "period@value"),
        ('<effectiveTime xsi:type="PIVL_TS"><period value="0" unit="h"/></effectiveTime>', "period@value"),
        ('<effectiveTime xsi:type="PIVL_TS"><period value="1" unit="moon"/></effectiveTime>', "period@unit"),
        ('<effectiveTime value="noon"/>', "effectiveTime@value"),
        ('<effectiveTime xsi:type="IVL_TS"><low value="noon"/></effectiveTime>', "low@value"),
    ],
)
def test_read_reports_a_timing_that_is_none_as_invalid(times, place):
    found = read(medicine(times + '<doseQuantity value="1"/>'))
    assert "timing" not in all_of(found, "MedicationStatement")[0]["dosage"][0]
    assert invalid(found) == [place]


@pytest.mark.parametrize("inside", ["", '<event code="ODD"/>', "<event/>"])
def test_read_makes_no_timing_of_an_event_that_fhir_does_not_have(inside):
    time = f'<effectiveTime xsi:type="EIVL_TS">{inside}</effectiveTime>'
    found = read(medicine(time + '<doseQuantity value="1"/>'))
    assert "timing" not in all_of(found, "MedicationStatement")[0]["dosage"][0]
    if "ODD" in inside:
        assert reason(found, "event@code") == (Outcome.UNMAPPED, "an event of the day that Timing does not have")


# --- doses, rates and products --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (
            ('<doseQuantity value="2"/><administrationUnitCode code="C48542" displayName="Tablet" '
            'codeSystem="2.16.840.1.113883.3.26.1.1"/>'),
            {"doseQuantity": {"value": 2, "unit": "Tablet", "system": "http://ncimeta.nci.nih.gov",
                              "code": "C48542"}},
        ),
        ('<doseQuantity><low value="1" unit="mg" inclusive="true"/></doseQuantity>',
         {"doseRange": {"low": measured(1, "mg")}}),
        ('<doseQuantity><high value="4" unit="mg"/></doseQuantity>', {"doseRange": {"high": measured(4, "mg")}}),
        ('<doseQuantity><center value="3" unit="mg"/></doseQuantity>', {"doseQuantity": measured(3, "mg")}),
        (
            '<rateQuantity><low value="1" unit="mL/h"/><high value="2" unit="mL/h"/></rateQuantity>',
            {"rateRange": {"low": measured(1, "mL/h"), "high": measured(2, "mL/h")}},
        ),
    ],
)  # fmt: skip
def test_read_keeps_doses_and_rates_as_quantities_or_ranges(inside, expected):
    assert dosage(inside)["doseAndRate"] == [expected]


def test_read_reports_a_dose_that_is_no_number_as_invalid():
    found = read(medicine('<doseQuantity value="two" unit="mg"/><routeCode code="C38288"/>'))
    assert "doseAndRate" not in all_of(found, "MedicationStatement")[0]["dosage"][0]
    assert invalid(found) == ["doseQuantity@value"]


def test_read_keeps_the_most_that_may_be_taken_in_a_time():
    most = '<maxDoseQuantity><numerator value="4"/><denominator value="1" unit="d"/></maxDoseQuantity>'
    assert dosage(most)["maxDosePerPeriod"] == {"numerator": {"value": 4}, "denominator": measured(1, "d")}


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<criterion><text>pain</text></criterion>", {"asNeededCodeableConcept": {"text": "pain"}}),
        ('<criterion><code code="ASSERTION"/></criterion>', {"asNeededBoolean": True}),
        ("", {}),
    ],
)
def test_read_keeps_what_a_medicine_is_needed_for(inside, expected):
    found = dosage(f'<doseQuantity value="1"/><precondition>{inside}</precondition>')
    assert {key: value for key, value in found.items() if key.startswith("asNeeded")} == expected


@pytest.mark.parametrize(
    ("attributes", "status", "expected"),
    [
        ('negationInd="true"', "active", "not-taken"),
        ('negationInd="false"', "active", "active"),
        ("", "aborted", "stopped"),
        ("", "held", "on-hold"),
        ("", "whatever", "unknown"),
    ],
)
def test_read_gives_a_medicine_the_status_that_it_has(attributes, status, expected):
    found = one(medicine("", attributes=attributes, status=status), "MedicationStatement")
    assert found["status"] == expected


def test_read_names_a_medicine_by_its_code_and_its_name():
    named = f"<manufacturedMaterial>{DRUG}<name>Vilpomax</name></manufacturedMaterial>"
    concept = one(medicine("", product=named), "MedicationStatement")["medicationCodeableConcept"]
    assert concept["text"] == "Vilpomax" and concept["coding"][0]["code"] == "860975"
    original = named.replace('6.88"/>', '6.88"><originalText>pill</originalText></code>')
    found = read(medicine("", product=original))
    assert all_of(found, "MedicationStatement")[0]["medicationCodeableConcept"]["text"] == "pill"
    assert reason(found, "manufacturedMaterial.name")[0] is Outcome.UNMAPPED


def test_read_makes_a_medication_of_a_product_without_a_code_or_with_a_maker():
    named = "<manufacturedMaterial><name>Vilpomax</name></manufacturedMaterial>"
    assert one(medicine("", product=named), "Medication")["code"] == {"text": "Vilpomax"}
    made = f"""<manufacturedMaterial>{DRUG}</manufacturedMaterial><manufacturerOrganization><name>Pillworks</name>
    </manufacturerOrganization>"""
    found = read(medicine("", product=made))
    (organization,), (medication,) = all_of(found, "Organization"), all_of(found, "Medication")
    assert organization["name"] == "Pillworks"
    assert medication["manufacturer"] == {"reference": f"Organization/{organization['id']}"}


def test_read_says_that_a_medicine_is_not_known():
    unknown = '<manufacturedMaterial><code nullFlavor="UNK"/></manufacturedMaterial>'
    concept = one(medicine('<doseQuantity value="1"/>', product=unknown), "MedicationStatement")
    assert concept["medicationCodeableConcept"] == {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}


@pytest.mark.parametrize(
    ("rate", "expected"), [("<low value='1'/><high value='2'/>", None), ("<center value='3'/>", 3)]
)
def test_read_gives_an_administration_only_a_rate_that_is_one_quantity(rate, expected):
    inside = f'<effectiveTime value="2020"/><doseQuantity value="1"/><rateQuantity>{rate}</rateQuantity>'
    found = one(medicine(inside, where="29549-3"), "MedicationAdministration")["dosage"]
    assert found.get("rateQuantity", {}).get("value") == expected
    assert found["dose"] == {"value": 1}


def test_read_keeps_an_order_with_its_supply():
    inside = """<entryRelationship typeCode="REFR"><supply moodCode="INT"><repeatNumber><high value="3"/></repeatNumber>
    <quantity value="30" unit="{tablet}"/><performer><assignedEntity><id root="2.999.4" extension="p"/>
    <representedOrganization><name>Pharmacy</name></representedOrganization></assignedEntity></performer></supply>
    </entryRelationship>"""
    found = read(medicine(inside, mood="INT"))
    (request,) = [one for one in all_of(found, "MedicationRequest") if "performer" in one.get("dispenseRequest", {})][
        :1
    ]
    assert request["dispenseRequest"]["numberOfRepeatsAllowed"] == 3
    assert request["dispenseRequest"]["quantity"] == measured(30, "{tablet}")
    assert all_of(found, "Organization")[0]["name"] == "Pharmacy"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ('<effectiveTime value="20200101"/>', {"occurrenceDateTime": "2020-01-01"}),
        ('<effectiveTime nullFlavor="ASKU"/>', {"occurrenceString": "unknown"}),
        ("", {"occurrenceString": "unknown"}),
    ],
)
def test_read_says_when_a_vaccine_was_given_or_that_nobody_knows(inside, expected):
    found = one(medicine(inside, template="22.4.52", where="11369-6", status="completed"), "Immunization")
    assert {key: value for key, value in found.items() if key.startswith("occurrence")} == expected


@pytest.mark.parametrize(("written", "expected"), [("2", 2), ("0", None), ("second", None)])
def test_read_keeps_the_number_of_a_dose_of_a_vaccine(written, expected):
    inside = f'<effectiveTime value="2020"/><repeatNumber value="{written}"/>'
    found = read(medicine(inside, template="22.4.52", where="11369-6", status="completed"))
    (shot,) = all_of(found, "Immunization")
    assert [part["doseNumberPositiveInt"] for part in shot.get("protocolApplied", [])] == (
        [expected] if expected else []
    )
    assert invalid(found) == (["repeatNumber@value"] if written == "second" else [])


# --- the patient ----------------------------------------------------------------------------------------------------


def patient(inside: str, role: str = "") -> dict:
    return one(document(patient=f"{IDENTIFIED}{role}<patient>{inside}</patient>"), "Patient")


def test_read_keeps_religion_birthplace_and_marital_status():
    found = patient("""<maritalStatusCode code="M" codeSystem="2.16.840.1.113883.5.2"/><religiousAffiliationCode
    code="1013" codeSystem="2.16.840.1.113883.5.1076"/><birthplace><place><addr><city>Wychbury</city></addr></place>
    </birthplace>""")
    religion, birthplace = found["extension"]
    assert religion["url"].endswith("/patient-religion")
    assert religion["valueCodeableConcept"]["coding"][0]["code"] == "1013"
    assert birthplace["valueAddress"] == {"city": "Wychbury"}
    assert found["maritalStatus"]["coding"][0]["system"].endswith("/v3-MaritalStatus")


def test_read_keeps_only_as_many_races_and_ethnicities_as_us_core_allows():
    further = "".join(f'<sdtc:raceCode code="{code}"/>' for code in ("1002-5", "2028-9", "2054-5", "2076-8"))
    found = patient(f"""<raceCode code="2106-3" displayName="White"/>{further}<sdtc:raceCode nullFlavor="ASKU"/>
    <ethnicGroupCode code="2135-2"/><sdtc:ethnicGroupCode code="2186-5"/>""")
    race, ethnicity = found["extension"]
    assert [part["url"] for part in race["extension"]] == ["ombCategory"] * 5 + ["text"]
    assert race["extension"][-1]["valueString"] == "White, 1002-5, 2028-9, 2054-5, 2076-8, Unknown"
    assert [part["url"] for part in ethnicity["extension"]] == ["ombCategory", "text"]
    assert "extension" not in patient("<raceCode/><name>A</name>")


def test_read_keeps_how_well_a_language_is_spoken():
    found = patient("""<languageCommunication><languageCode code="spa-MX" displayName="Spanish"/><modeCode code="ESP"
    codeSystem="2.16.840.1.113883.5.60"/><proficiencyLevelCode code="G" codeSystem="2.16.840.1.113883.5.61"/>
    <preferenceInd value="true"/></languageCommunication><languageCommunication><languageCode code="??"
    displayName="Elvish"/><preferenceInd value="perhaps"/></languageCommunication>""")
    spanish, other = found["communication"]
    assert spanish["language"]["coding"] == [{"system": "urn:ietf:bcp:47", "code": "es-MX", "display": "Spanish"}]
    assert spanish["preferred"] is True
    assert [(part["url"], part["valueCoding"]["code"]) for part in spanish["extension"][0]["extension"]] == [
        ("level", "G"), ("type", "ESP"),
    ]  # fmt: skip
    assert other == {"language": {"coding": [{"code": "??", "display": "Elvish"}]}}


@pytest.mark.parametrize(
    ("written", "date", "has_time"),
    [("1970", "1970", False), ("197005141230", "1970-05-14", False), ("197005141230Z", "1970-05-14", True)],
)
def test_read_keeps_the_time_of_birth_only_where_it_is_known(written, date, has_time):
    found = patient(f'<birthTime value="{written}"/>')
    assert (found["birthDate"], "_birthDate" in found) == (date, has_time)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ('<sdtc:deceasedTime value="2019"/>', {"deceasedDateTime": "2019"}),
        ('<sdtc:deceasedInd value="true"/>', {"deceasedBoolean": True}),
        ('<sdtc:multipleBirthOrderNumber value="2"/>', {"multipleBirthInteger": 2}),
        ('<sdtc:multipleBirthInd value="false"/>', {"multipleBirthBoolean": False}),
        ('<sdtc:multipleBirthOrderNumber value="second"/>', {}),
    ],
)
def test_read_keeps_death_and_multiple_birth(inside, expected):
    found = patient(inside + "<name>A</name>")
    assert {key: value for key, value in found.items() if key.startswith(("deceased", "multiple"))} == expected


def test_read_keeps_the_guardian_with_address_and_organisation():
    (contact,) = patient("""<guardian><code code="GUARD" codeSystem="2.16.840.1.113883.5.111"/><addr use="HP"><city>Esk
    </city></addr><telecom value="tel:+1-555-0100"/><guardianOrganization><name>Youth Office</name>
    </guardianOrganization></guardian>""")["contact"]
    assert contact["address"] == {"use": "home", "city": "Esk"}
    assert contact["telecom"] == [{"system": "phone", "value": "+1-555-0100"}]
    assert contact["organization"]["reference"].startswith("Organization/")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            (
                '<name use="L"><prefix qualifier="AC">Dr</prefix><given>Ada</given><given qualifier="BR IN">B</given>'
                '<family qualifier="SP">Vole</family><family>Bat</family><suffix>Jr</suffix></name>'
            ),
            {"use": "official", "prefix": ["Dr"], "given": ["Ada", "B"], "family": "Vole Bat", "suffix": ["Jr"]},
        ),
        ('<name use="P">Addie</name>', {"use": "nickname", "text": "Addie"}),
        ("<name><given>Ada</given>, <family>Vole</family></name>", {"given": ["Ada"], "family": "Vole"}),
        (
            '<name use="SRCH"><family>Vole</family><validTime><low value="2001"/></validTime></name>',
            {"family": "Vole", "period": {"start": "2001"}},
        ),
    ],
)
def test_read_keeps_a_name_with_all_its_parts(name, expected):
    (found,) = patient(name)["name"]
    assert {key: value for key, value in found.items() if not key.startswith("_")} == expected


def test_read_keeps_the_qualifier_of_a_part_of_a_name():
    (found,) = patient(
        '<name><given>Ada</given><given qualifier="BR IN">B</given><family qualifier="SP">Vole</family></name>'
    )["name"]
    assert found["_family"]["extension"][0]["valueCode"] == "SP"
    assert found["_given"][0] is None
    assert found["_given"][1]["extension"][0]["valueCode"] == "BR"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            ('<addr use="WP BAD"><houseNumber>5</houseNumber><streetName>Elm</streetName><unitID>b</unitID>'
            "<city>Esk</city><city>Ask</city><county>Fen</county><state>MA</state><postalCode>1</postalCode>"
             "<country>US</country></addr>"),
            {"use": "work", "line": ["5 Elm", "b"], "city": "Esk", "district": "Fen", "state": "MA", "postalCode": "1",
             "country": "US"},
        ),
        ("<addr>5 Elm, Esk</addr>", {"text": "5 Elm, Esk"}),
        ("<addr><city>Esk</city>,<state>MA</state></addr>", {"city": "Esk", "state": "MA"}),
        (
            '<addr><city>Esk</city><useablePeriod><low value="2001"/><high value="2002"/></useablePeriod></addr>',
            {"city": "Esk", "period": {"start": "2001", "end": "2002"}},
        ),
    ],
)  # fmt: skip
def test_read_keeps_an_address_with_all_its_parts(address, expected):
    assert patient("<name>A</name>", address)["address"] == [expected]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('value="tel:555-0100" use="HP"', {"system": "phone", "value": "555-0100", "use": "home"}),
        ('value="fax:555-0100"', {"system": "fax", "value": "555-0100"}),
        ('value="mailto:a@b.example" use="WP"', {"system": "email", "value": "a@b.example", "use": "work"}),
        ('value="https://b.example/x"', {"system": "url", "value": "https://b.example/x"}),
        ('value="a@b.example"', {"system": "email", "value": "a@b.example"}),
        ('value="555-0100" use="MC HP"', {"system": "phone", "value": "555-0100", "use": "mobile"}),
        ('value="555-0100" use="PG"', {"system": "pager", "value": "555-0100"}),
        ('value="ask Eve"', {"system": "other", "value": "ask Eve"}),
    ],
)
def test_read_keeps_the_kind_and_the_use_of_a_telecom(written, expected):
    assert patient("<name>A</name>", f"<telecom {written}/>")["telecom"] == [expected]


def test_read_makes_no_telecom_of_a_scheme_alone_and_reports_an_unknown_use():
    found = read(document(patient=f'{IDENTIFIED}<telecom value="tel:"/><addr use="ODD"><city>Esk</city></addr>'))
    assert "telecom" not in all_of(found, "Patient")[0]
    assert reason(found, "addr@use") == (Outcome.UNKNOWN, "a use that FHIR does not have")


@pytest.mark.parametrize(("written", "expected"), [("eng-US", "en-US"), ("de", "de"), ("??", None)])
def test_read_keeps_the_language_of_the_document(written, expected):
    found = one(document(header=f'<languageCode code="{written}"/>'), "Composition")
    assert found.get("language") == expected


# --- who took part --------------------------------------------------------------------------------------------------


def test_read_makes_a_device_of_an_author_that_is_one():
    header = """<author><time value="20200101"/><assignedAuthor><id root="2.999.4" extension="dev"/>
    <assignedAuthoringDevice><manufacturerModelName>Box</manufacturerModelName><softwareName>Soft 1</softwareName>
    </assignedAuthoringDevice><representedOrganization><name>Clinic</name></representedOrganization></assignedAuthor>
    </author>"""
    found = read(document(header=header))
    (device,), (composition,) = all_of(found, "Device"), all_of(found, "Composition")
    assert device["deviceName"] == [{"name": "Box", "type": "model-name"}]
    assert device["version"] == [{"value": "Soft 1"}]
    assert composition["author"] == [{"reference": f"Device/{device['id']}"}]


def test_read_makes_a_role_of_a_person_an_organisation_and_a_function():
    header = """<author><functionCode code="PCP" codeSystem="2.16.840.1.113883.5.88"/><assignedAuthor>
    <id root="2.16.840.1.113883.4.6" extension="9"/><code code="207R00000X" codeSystem="2.16.840.1.113883.6.101"/>
    <assignedPerson><name>Bat</name></assignedPerson><representedOrganization><name>Clinic</name>
    </representedOrganization></assignedAuthor></author>"""
    role = one(document(header=header), "PractitionerRole")
    assert role["code"][0]["coding"][0]["code"] == "PCP"
    assert role["specialty"][0]["coding"][0]["code"] == "207R00000X"
    assert role["practitioner"]["reference"].startswith("Practitioner/")
    assert role["organization"]["reference"].startswith("Organization/")


def test_read_keeps_who_vouches_for_the_document_and_who_keeps_it():
    entity = """<assignedEntity><id root="2.16.840.1.113883.4.6" extension="{}"/></assignedEntity>"""
    header = f"""<custodian><assignedCustodian><representedCustodianOrganization><id root="2.999.6" extension="c"/>
    <name>Keeper</name></representedCustodianOrganization></assignedCustodian></custodian><legalAuthenticator>
    <time value="2020"/><signatureCode code="S"/>{entity.format(1)}</legalAuthenticator><authenticator>
    <time value="2021"/>{entity.format(2)}</authenticator><relatedDocument typeCode="RPLC"><parentDocument>
    <id root="2.999.9" extension="c"/></parentDocument></relatedDocument><versionNumber value="2"/>"""
    found = one(document(header=header), "Composition")
    assert [(part["mode"], part["time"]) for part in found["attester"]] == [("legal", "2020"), ("professional", "2021")]
    assert found["custodian"]["reference"].startswith("Organization/")
    assert found["relatesTo"][0]["code"] == "replaces"
    assert found["extension"][0]["valueString"] == "2"


def test_read_makes_related_persons_of_informants_and_participants_who_are_no_professionals():
    header = """<informant><relatedEntity classCode="PRS"><code code="MTH" codeSystem="2.16.840.1.113883.5.111"/>
    <relatedPerson><name>Eve</name></relatedPerson></relatedEntity></informant><participant typeCode="IND"><time
    value="2020"/><associatedEntity classCode="NOK"><telecom value="tel:555-0100"/><associatedPerson><name>Cy</name>
    </associatedPerson></associatedEntity></participant><informationRecipient><intendedRecipient>
    <informationRecipient><name>Bat</name></informationRecipient></intendedRecipient></informationRecipient>
    <participant typeCode="IND"/>"""
    found = read(document(header=header))
    assert sorted(one["name"][0]["text"] for one in all_of(found, "RelatedPerson")) == ["Cy", "Eve"]
    (composition,) = all_of(found, "Composition")
    urls = [part["url"].rpartition("/")[2] for part in composition["extension"]]
    assert urls == ["InformantExtension", "InformationRecipientExtension", "ParticipantExtension"]


def test_read_keeps_the_encounter_and_the_service_that_the_document_is_about():
    header = """<documentationOf><serviceEvent><effectiveTime><low value="2019"/></effectiveTime><performer>
    <functionCode code="PP"/><assignedEntity><id root="2.999.4" extension="p"/></assignedEntity></performer>
    </serviceEvent></documentationOf><componentOf><encompassingEncounter><id root="2.999.7" extension="e"/>
    <code code="x"><translation code="IMP" codeSystem="2.16.840.1.113883.5.4"/></code>
    <effectiveTime><low value="2019"/><high value="2020"/>
    </effectiveTime><encounterParticipant typeCode="ATND"><assignedEntity><id root="2.999.4" extension="p"/>
    </assignedEntity></encounterParticipant><location><healthCareFacility><location><name>Ward</name></location></healthCareFacility>
    </location></encompassingEncounter></componentOf>"""
    found = read(document(header=header))
    (encounter,), (team,) = all_of(found, "Encounter"), all_of(found, "CareTeam")
    assert (encounter["status"], encounter["class"]["code"]) == ("finished", "IMP")
    assert encounter["participant"][0]["type"][0]["coding"][0]["code"] == "ATND"
    assert encounter["participant"][0]["individual"]["reference"].startswith("Practitioner/")
    assert all_of(found, "Location")[0]["name"] == "Ward"
    assert team["participant"][0]["role"][0]["coding"][0]["code"] == "PP"


# --- statuses and negations -----------------------------------------------------------------------------------------

STATUS = """<entryRelationship typeCode="REFR"><observation><code code="33999-4"/><value xsi:type="CD" code="{}"
displayName="shown"/></observation></entryRelationship>"""


@pytest.mark.parametrize(
    ("code", "expected"), [("413322009", "resolved"), ("246455001", "recurrence"), ("73425007", "inactive")]
)
def test_read_takes_the_status_of_a_problem_as_it_was_observed(code, expected):
    found = one(problem(STATUS.format(code)), "Condition")
    assert found["clinicalStatus"]["coding"][0]["code"] == expected


def test_read_takes_the_status_of_the_concern_where_it_does_not_know_that_of_the_problem():
    found = all_of(read(problem(STATUS.format("odd"), concern="completed")), "Condition")[0]
    assert found["clinicalStatus"]["coding"][0]["code"] == "inactive"
    assert "clinicalStatus" not in one(problem("", concern="odd"), "Condition")


def test_read_leaves_out_the_end_of_a_problem_that_is_active():
    found = read(
        problem('<effectiveTime><low value="2019"/><high value="2020"/></effectiveTime>' + STATUS.format("55561003"))
    )
    (condition,) = all_of(found, "Condition")
    assert condition["onsetDateTime"] == "2019" and "abatementDateTime" not in condition
    assert reason(found, "high@value")[0] is Outcome.UNMAPPED


def test_read_reports_the_end_of_a_problem_that_is_before_its_beginning_as_invalid():
    found = read(problem('<effectiveTime><low value="2020"/><high value="2019"/></effectiveTime>'))
    assert "abatementDateTime" not in all_of(found, "Condition")[0]
    assert invalid(found) == ["high@value"]


@pytest.mark.parametrize(("where", "expected"), [("11450-4", "problem-list-item"), ("46240-8", "encounter-diagnosis")])
def test_read_knows_diagnoses_by_their_section(where, expected):
    assert one(problem("", where=where), "Condition")["category"][0]["coding"][0]["code"] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('value="40" unit="a"', {"onsetAge": measured(40, "a")}),
        ('value="40"', {"onsetString": "40"}),
        ('value="old"', {}),
    ],
)
def test_read_keeps_the_age_at_which_a_problem_began(value, expected):
    age = f"""<entryRelationship><observation><code code="445518008"/><value xsi:type="PQ" {value}/></observation>
    </entryRelationship>"""
    found = all_of(read(problem(age)), "Condition")[0]
    assert {key: value for key, value in found.items() if key.startswith("onset")} == expected


def test_read_keeps_a_comment_with_its_author_and_time():
    comment = """<entryRelationship><act><code code="48767-8"/><text>Seen twice.</text><author><time value="2020"/>
    <assignedAuthor><id root="2.999.4" extension="1"/></assignedAuthor></author></act></entryRelationship>"""
    (note,) = one(problem(comment), "Condition")["note"]
    assert (note["text"], note["time"]) == ("Seen twice.", "2020")
    assert note["authorReference"]["reference"].startswith("Practitioner/")


@pytest.mark.parametrize(
    ("kind", "code"), [("414285001", "429625007"), ("426232007", "428607008"), ("419199007", "716186003")]
)
def test_read_says_which_kind_of_allergy_is_not_known(kind, code):
    found = one(allergy("", 'negationInd="true"', kind), "AllergyIntolerance")
    assert found["code"]["coding"][0]["code"] == code


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        ("<name>peanut</name>", {"text": "peanut"}),
        ('<code code="256349002"/><name>peanut</name>', {"coding": [{"code": "256349002"}], "text": "peanut"}),
        ('<code code="256349002"><originalText>nuts</originalText></code><name>peanut</name>',
         {"coding": [{"code": "256349002"}], "text": "nuts"}),
    ],
)  # fmt: skip
def test_read_keeps_the_name_of_a_substance_as_text(entity, expected):
    assert one(allergy(PEANUT.format(entity)), "AllergyIntolerance")["code"] == expected


def test_read_keeps_a_severity_without_a_code_in_words():
    severity = '<entryRelationship><observation><code code="SEV"/>{}</observation></entryRelationship>'
    for value, text in (
        ('<value xsi:type="ST">rather bad</value>', "Severity: rather bad"),
        ('<value xsi:type="CD" code="9" displayName="odd"/>', "Severity: odd"),
    ):
        found = one(allergy(PEANUT.format("<name>peanut</name>") + severity.format(value)), "AllergyIntolerance")
        assert found["note"] == [{"text": text}]
    reaction = f"""<entryRelationship typeCode="MFST"><observation><value xsi:type="CD" code="1"/>
    {severity.format('<value code="6736007"/>')}</observation></entryRelationship>"""
    found = one(allergy(PEANUT.format("<name>peanut</name>") + reaction), "AllergyIntolerance")
    assert found["reaction"][0]["severity"] == "moderate" and "note" not in found


def test_read_gives_observations_the_category_of_their_template_or_organizer():
    inside = '<templateId root="2.16.840.1.113883.10.20.22.4.38"/>' + WHOLE
    assert observed(inside)["category"][0]["coding"][0]["code"] == "social-history"
    organizer = f"""<organizer><templateId root="2.16.840.1.113883.10.20.22.4.26"/><component>
    <observation moodCode="EVN"><code code="8302-2"/>{WHOLE}</observation></component></organizer>"""
    found = all_of(read(document(section("8716-3", organizer))), "Observation")
    assert {one["category"][0]["coding"][0]["code"] for one in found} == {"vital-signs"}


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ('<code code="AMB" codeSystem="2.16.840.1.113883.5.4"/><effectiveTime value="2020"/>', ("finished", "AMB")),
        ('<code code="99213"/><effectiveTime><low value="2020"/></effectiveTime>', ("unknown", "UNK")),
        ('<statusCode code="active"/>', ("in-progress", "UNK")),
    ],
)
def test_read_gives_an_encounter_a_class_and_a_status(inside, expected):
    entry = f'<encounter moodCode="EVN"><id root="2.999.7" extension="e"/>{inside}</encounter>'
    found = one(document(section("46240-8", entry)), "Encounter")
    assert (found["status"], found["class"]["code"]) == expected


# --- attachments, relatives, goals, devices -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            '<value mediaType="image/png" representation="B64">QUJD</value>',
            {"data": "QUJD", "contentType": "image/png"},
        ),
        (
            "<value>words</value>",
            {"data": base64.b64encode(b"words").decode(), "contentType": "text/plain; charset=utf-8"},
        ),
        (
            '<value mediaType="image/png"><reference value="https://b.example/x.png"/></value>',
            {"url": "https://b.example/x.png", "contentType": "image/png"},
        ),
    ],
)
def test_read_keeps_media_as_attachments(written, expected):
    entry = f'<observationMedia classCode="OBS" moodCode="EVN"><id root="2.999.8"/>{written}</observationMedia>'
    assert one(document(section("30954-2", entry)), "Media")["content"] == expected


def test_read_reports_content_that_is_not_base64_as_invalid():
    entry = """<observationMedia moodCode="EVN"><id root="2.999.8"/><value representation="B64">QU*D</value>
    </observationMedia>"""
    found = read(document(section("30954-2", entry)))
    assert all_of(found, "Media") == []
    assert invalid(found) == ["value"]


def test_read_keeps_the_history_of_a_relative():
    entry = """<organizer moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.45"/>
    <statusCode code="completed"/><subject><relatedSubject><code code="FTH" codeSystem="2.16.840.1.113883.5.111"/>
    <subject><name>Abe Vole</name>
    <administrativeGenderCode code="{}" displayName="shown"/><birthTime value="1940"/><sdtc:deceasedTime value="2001"/>
    </subject></relatedSubject></subject><component><observation moodCode="EVN"><value xsi:type="CD" code="1"/>
    <effectiveTime><low value="1990"/><high value="1995"/></effectiveTime></observation></component></organizer>"""
    found = one(document(section("10157-6", entry.format("M"))), "FamilyMemberHistory")
    assert found["sex"]["coding"] == [
        {"system": "http://hl7.org/fhir/administrative-gender", "code": "male", "display": "shown"}
    ]
    assert (found["name"], found["bornDate"], found["deceasedDate"]) == ("Abe Vole", "1940", "2001")
    assert found["condition"][0]["onsetPeriod"] == {"start": "1990", "end": "1995"}
    other = one(document(section("10157-6", entry.format("odd"))), "FamilyMemberHistory")
    assert other["sex"]["coding"][0]["code"] == "odd"


def test_read_keeps_a_goal_with_its_start_and_target():
    entry = """<observation moodCode="GOL"><id root="2.999.2"/><code code="29463-7"/><statusCode code="active"/>
    <effectiveTime><low value="20200101"/></effectiveTime><value xsi:type="IVL_PQ"><high value="70" unit="kg"/></value>
    </observation>"""
    found = one(document(section("61146-7", entry)), "Goal")
    assert found["startDate"] == "2020-01-01"
    assert found["target"][0]["detailQuantity"] == {"comparator": "<=", **measured(70, "kg")}


def test_read_keeps_an_order_of_a_device():
    entry = """<supply moodCode="RQO"><id root="2.999.2"/><statusCode code="active"/><participant typeCode="PRD">
    <participantRole><id root="2.999.3" extension="w"/><playingDevice><code code="58938008" displayName="Wheelchair"/>
    </playingDevice></participantRole></participant></supply>"""
    found = read(document(section("18776-5", entry)))
    (request,), (device,) = all_of(found, "DeviceRequest"), all_of(found, "Device")
    assert request["codeReference"] == {"reference": f"Device/{device['id']}"}
    coded = (
        '<supply moodCode="RQO"><templateId root="2.16.840.1.113883.10.20.22.4.43"/><code code="58938008"/></supply>'
    )
    order = one(document(section("18776-5", coded)), "DeviceRequest")
    assert order["codeCodeableConcept"]["coding"] == [{"code": "58938008"}]
