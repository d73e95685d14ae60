"""FHIR XML: the same as JSON, and nothing from outside of the document."""

from __future__ import annotations

import json
import time

import pytest

from medibridge import samples
from medibridge.errors import MalformedMessage, UnknownFormat
from medibridge.formats import Outcome, detect, read
from medibridge.formats.fhir.xml import to_json
from medibridge.record import canonical_json

SAMPLE = samples.read("stu3-bundle.xml")


def xml(inside, kind="Patient"):
    return f'<{kind} xmlns="http://hl7.org/fhir"><id value="p"/>{inside}</{kind}>'.encode()


def as_json(data):
    return json.loads(canonical_json(to_json(data)[0]))


def test_read_makes_r4_of_a_bundle_in_xml():
    assert detect(SAMPLE).name == "FHIR XML"
    conversion = read(SAMPLE)
    assert conversion.format.name == "FHIR STU3 XML Bundle"
    kinds = [found["resourceType"] for found in conversion.resources]
    assert kinds == ["Patient", "Condition", "Observation", "MedicationStatement", "Provenance"]
    assert b'"value":72.50' in canonical_json(conversion.resources[2])
    assert not conversion.report.places(Outcome.UNKNOWN, Outcome.UNMAPPED, Outcome.INVALID)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ('<active value="true"/>', {"active": True}),
        ('<name><given value="Iris"/></name>', {"name": [{"given": ["Iris"]}]}),
        ('<multipleBirthInteger value="2"/>', {"multipleBirthInteger": 2}),
        (
            '<birthDate id="b" value="1961"><extension url="urn:e"><valueCode value="c"/></extension></birthDate>',
            {"birthDate": "1961", "_birthDate": {"id": "b", "extension": [{"url": "urn:e", "valueCode": "c"}]}},
        ),
        (
            '<name><given value="A"/><given><extension url="urn:e"><valueCode value="c"/></extension></given></name>',
            {"name": [{"given": ["A", None], "_given": [None, {"extension": [{"url": "urn:e", "valueCode": "c"}]}]}]},
        ),
        (
            '<contained><Organization><id value="o"/><name value="x"/></Organization></contained>',
            {"contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]},
        ),
        (
            '<text><status value="empty"/><div xmlns="http://www.w3.org/1999/xhtml">a &lt; b<br/></div></text>',
            {"text": {"status": "empty", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a &lt; b<br/></div>'}},
        ),
        ("<!-- c --><?p x?>", {}),
    ],
)
def test_to_json_gives_what_the_json_format_says(inside, expected):
    assert as_json(xml(inside)) == {"resourceType": "Patient", "id": "p"} | expected


def test_to_json_reads_each_version_by_its_own_definitions():
    assert as_json(xml('<clinicalStatus value="active"/>', "Condition"))["clinicalStatus"] == "active"
    assert as_json(xml('<careProvider><display value="x"/></careProvider>'))["careProvider"] == [{"display": "x"}]
    assert as_json(xml('<class><text value="x"/></class><actualPeriod/>', "Encounter"))["class"] == [{"text": "x"}]


def test_to_json_reports_lines_and_no_values_for_what_is_not_fhir():
    data = xml('\n<canary value="Canary"/>\n<gender>Canary</gender>\n<birthDate value="1961" canary="Canary"/>')
    resource, findings = to_json(data)
    assert "birthDate" in resource
    assert {finding.place for finding in findings} == {"line 2", "line 3"}
    assert not any("Canary" in str(finding) for finding in findings)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (xml("<name>"), "breaks at line 1"),
        (xml("\n\n<name/></x>"), "breaks at line 3"),
        (b'<!DOCTYPE a [<!ENTITY e "Canary">]>' + xml('<language value="&e;"/>'), "document type"),
        (b"<!--" + b"x" * 9000 + b"--><!DOCTYPE a SYSTEM 'file:///etc/passwd'>" + xml(""), "document type"),
        (b'<?xml version="1.0" encoding="UTF-7"?>' + xml(""), "encoding"),
        (b'<?xml version="1.0" encoding="UTF-8"?>' + xml('<language value="\xff"/>'.encode("latin-1").decode("latin-1"))
         .replace("ÿ".encode(), b"\xff"), "is not in utf-8"),
        (xml("<contact>" * 200 + "</contact>" * 200), "nested deeper"),
        (xml("<contact>" * 20_000), "nested deeper"),
        (xml('<language value="&canary;"/>'), "breaks at"),
    ],
    ids=range(9),
)  # fmt: skip
def test_to_json_names_the_line_and_no_value_when_the_xml_is_broken_or_hostile(data, words):
    with pytest.raises(MalformedMessage, match=words) as refusal:
        to_json(data)
    assert "canary" not in str(refusal.value).lower()


def test_to_json_reads_latin_1_that_says_so():
    data = b'<?xml version="1.0" encoding="ISO-8859-1"?>' + xml('<name><family value="Grün"/></name>').decode(
        "utf-8"
    ).encode("latin-1")
    assert as_json(data)["name"] == [{"family": "Grün"}]


def test_read_refuses_xml_that_is_not_fhir():
    with pytest.raises(UnknownFormat):
        read(b"<html><body/></html>")
    with pytest.raises(UnknownFormat, match="namespace"):
        to_json(b'<a xmlns="urn:x"/>')


def test_detect_is_quick_about_tags_that_never_end():
    started = time.process_time()
    with pytest.raises(UnknownFormat):
        detect(b"<x " * 20_000)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (xml("<a/>" * 2_000_001), "2000000 tags"),
        (xml("<name " + " ".join(f'a{number}=""' for number in range(101)) + "/>"), "over 100 attributes"),
    ],
)
def test_read_refuses_xml_of_too_many_parts(data, words):
    with pytest.raises(MalformedMessage, match=words):
        read(data)
