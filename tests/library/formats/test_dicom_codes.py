"""Codes of DICOM files: code sequences, modalities, parts of the body."""

from __future__ import annotations

import pytest
from dicom_studies import code, ct_slice, file_of, item
from pydicom.sequence import Sequence

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Outcome, Piece
from medibridge.formats.dicom import FORMAT
from medibridge.formats.fhir import validate
from medibridge.formats.settings import Coding, Profile, Settings


def read(*, profile=None, strict=False, **changed):
    """The conversion of a slice, all of it valid."""
    settings = Settings(profile=profile or Profile(), strict=strict)
    (found,) = FORMAT.read(Piece(file_of(ct_slice(**changed))), settings)
    assert [validate(resource) for resource in found.resources] == [()] * len(found.resources)
    return found


def study_of(conversion):
    (study,) = (one for one in conversion.resources if one["resourceType"] == "ImagingStudy")
    return study


def media_of(conversion):
    (media,) = (one for one in conversion.resources if one["resourceType"] == "Media")
    return media


def procedures(*items, **others):
    conversion = read(ProcedureCodeSequence=Sequence(items), **others)
    return study_of(conversion).get("procedureCode"), conversion


def outcomes(conversion, ending):
    return [one.outcome for one in conversion.report.findings if one.place.endswith(ending)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (code("A", "SCT", "a"), {"system": "http://snomed.info/sct", "code": "A", "display": "a"}),
        (code("A B", "LN", ""), {"system": "http://loinc.org", "code": "A B"}),
        (item(LongCodeValue="L" * 20, CodingSchemeDesignator="DCM", CodeMeaning="long"),
         {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "L" * 20, "display": "long"}),
        (item(URNCodeValue="urn:lex:x", CodeMeaning="urn"), {"code": "urn:lex:x", "display": "urn"}),
        (item(CodeValue="A", CodingSchemeDesignator="I10", CodingSchemeVersion="2019", CodeMeaning="a"),
         {"system": "http://hl7.org/fhir/sid/icd-10", "version": "2019", "code": "A", "display": "a"}),
    ],
)  # fmt: skip
def test_read_takes_a_code_with_the_uri_and_version_of_its_scheme(found, expected):
    assert procedures(found)[0] == [{"coding": [expected]}]


def test_read_reports_a_coding_scheme_without_a_uri_and_keeps_the_code():
    found, conversion = procedures(
        item(CodeValue="A", CodingSchemeDesignator="99ALDER", CodingSchemeVersion="2", CodeMeaning="a")
    )
    assert found == [{"coding": [{"code": "A", "display": "a"}]}]
    assert outcomes(conversion, "ProcedureCodeSequence[1].(0008,0102)") == [Outcome.UNMAPPED]
    assert outcomes(conversion, "ProcedureCodeSequence[1].(0008,0103)") == [Outcome.UNMAPPED]


def test_read_keeps_the_meaning_of_a_code_that_is_none_and_strict_refuses_it():
    broken = item(CodeValue="A  B", CodingSchemeDesignator="SCT", CodeMeaning="two blanks")
    found, conversion = procedures(broken)
    assert found == [{"text": "two blanks"}]
    assert outcomes(conversion, "ProcedureCodeSequence[1].(0008,0100)") == [Outcome.INVALID]
    with pytest.raises(MalformedMessage, match="not a code"):
        procedures(broken, strict=True)


def test_read_takes_the_meaning_where_there_is_no_code_and_nothing_where_there_is_neither():
    found, _ = procedures(item(CodeMeaning="words alone"), item(CodingSchemeDesignator="SCT"))
    assert found == [{"text": "words alone"}]


def test_read_puts_the_code_of_the_profile_before_that_of_the_file():
    profile = Profile(codes={"SCT": {"A": Coding("http://loinc.org", "1-8", "One")}})
    found, _ = procedures(code("A", "SCT", "a"), profile=profile)
    assert found == [
        {
            "coding": [
                {"system": "http://loinc.org", "code": "1-8", "display": "One"},
                {"system": "http://snomed.info/sct", "code": "A", "display": "a"},
            ]
        }
    ]


def test_read_takes_the_region_of_the_body_as_a_code_before_the_word_for_it():
    region = Sequence([code("39607008", "SCT", "Lung")])
    (series,) = study_of(read(AnatomicRegionSequence=region))["series"]
    assert series["bodySite"] == {"system": "http://snomed.info/sct", "code": "39607008", "display": "Lung"}
    (series,) = study_of(read(AnatomicRegionSequence=Sequence([item(CodeMeaning="Lung")]), BodyPartExamined=None))[
        "series"
    ]
    assert "bodySite" not in series


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("CHEST_ABDOMEN", {"system": "http://snomed.info/sct", "code": "416550000", "display": "Chest and Abdomen"}),
        ("ANTENNA", {"display": "ANTENNA"}),
        ("", None),
    ],
)
def test_read_takes_a_part_of_the_body_by_its_name(part, expected):
    (series,) = study_of(read(BodyPartExamined=part))["series"]
    assert series.get("bodySite") == expected


@pytest.mark.parametrize(("side", "display"), [("R", "Right"), ("L", "Left"), ("B", "Right and left")])
def test_read_takes_the_side_of_the_body(side, display):
    (series,) = study_of(read(Laterality=side))["series"]
    assert series["laterality"]["display"] == display


def test_read_leaves_out_a_modality_that_is_no_code():
    conversion = read(Modality="C  T")
    assert outcomes(conversion, "(0008,0060)") == [Outcome.INVALID]


def test_read_takes_the_reasons_of_a_study_as_codes_and_as_words():
    reasons = Sequence([code("R05", "I10", "Cough")])
    study = study_of(read(AdmittingDiagnosesCodeSequence=reasons, AdmittingDiagnosesDescription=["Cough", "Fever"]))
    assert {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "R05", "display": "Cough"}]} in study[
        "reasonCode"
    ]
    assert {"text": "Fever"} in study["reasonCode"]


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (code("18748-4", "LN", "Report"), "Report"),
        (code("18748-4", "LN", ""), "18748-4"),
        (item(CodeMeaning="Words"), "Words"),
    ],
)
def test_read_takes_the_title_of_an_instance_from_the_code_of_its_name(found, title):
    (series,) = study_of(read(ConceptNameCodeSequence=Sequence([found]), ImageType=None))["series"]
    assert series["instance"][0]["title"] == title


def test_read_takes_the_view_of_an_image_as_one_concept():
    views = Sequence([code("399348003", "SCT", "Antero-posterior"), code("X", "SCT", "other")])
    view = media_of(read(ViewCodeSequence=views))["view"]
    assert view["coding"][0]["code"] == "399348003"
    assert "view" not in media_of(read(ViewCodeSequence=Sequence([])))
