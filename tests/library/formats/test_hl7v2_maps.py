"""The map files of HL7 v2: every line compiles against R4, every code is in the value set that R4 requires."""

from __future__ import annotations

import pytest

from medibridge.formats.hl7v2.files import load, names
from medibridge.formats.hl7v2.groups import message_map, message_types
from medibridge.formats.hl7v2.rules import condition_of, constant_of, rules_of
from medibridge.formats.hl7v2.steps import conversion_of
from medibridge.formats.hl7v2.tables import system_of, table, tables
from medibridge.formats.hl7v2.targets import MapError, target_of
from medibridge.formats.hl7v2.views import view_of
from medibridge.formats.r4 import elements_of


@pytest.mark.parametrize("name", names("segments"))
def test_every_view_of_a_segment_compiles_against_r4(name):
    loaded = load(f"segments/{name}.yaml")
    views = [view_of(name, view) for view in loaded if view != "usual"]
    assert views
    assert set(loaded.get("usual", [])) <= {view.name for view in views}


@pytest.mark.parametrize("name", load("datatypes.yaml"))
def test_every_data_type_compiles_against_r4(name):
    assert conversion_of(name, "", "Patient.extension.value")[0]


@pytest.mark.parametrize("name", sorted(message_types()))
def test_every_message_has_a_structure_that_begins_with_its_header(name):
    found = message_map(*name.split("^"))
    assert "MSH" in found.root.holds
    assert {"MSH", "PID", "NTE"} - found.root.all <= {"NTE"}


REQUIRED = {
    "AddressType": ("Address", "type"),
    "AddressUse": ("Address", "use"),
    "AdministrativeSex": ("Patient", "gender"),
    "AllergyCategory": ("AllergyIntolerance", "category"),
    "AllergyCriticality": ("AllergyIntolerance", "criticality"),
    "AllergyType": ("AllergyIntolerance", "type"),
    "AppointmentStatus": ("Appointment", "status"),
    "CompletionStatus": ("MedicationAdministration", "status"),
    "DocumentAvailability": ("DocumentReference", "status"),
    "DocumentStatus": ("DocumentReference", "docStatus"),
    "EncounterStatus": ("Encounter", "status"),
    "EventEncounterStatus": ("Encounter", "status"),
    "GoalStatus": ("Goal", "lifecycleStatus"),
    "MedicationOrderControl": ("MedicationRequest", "status"),
    "MedicationOrderStatus": ("MedicationRequest", "status"),
    "NameUse": ("HumanName", "use"),
    "ObservationStatus": ("Observation", "status"),
    "OrderControl": ("ServiceRequest", "status"),
    "OrderStatus": ("ServiceRequest", "status"),
    "ReactionSeverity": ("AllergyIntolerance.reaction", "severity"),
    "ReportStatus": ("DiagnosticReport", "status"),
    "RequestPriority": ("ServiceRequest", "priority"),
    "SensitivityType": ("AllergyIntolerance", "type"),
    "SpecimenAvailability": ("Specimen", "status"),
    "TelecomSystem": ("ContactPoint", "system"),
    "TelecomUse": ("ContactPoint", "use"),
}


@pytest.mark.parametrize(("name", "element"), REQUIRED.items())
def test_every_code_of_a_table_is_in_the_required_value_set(name, element):
    bound = elements_of(element[0])[element[1]].any_code
    assert bound
    assert {code.code for code in table(name).codes.values()} <= bound


def test_every_table_has_codes_with_a_system():
    for name, found in tables().items():
        assert found.codes, name
        assert all(code.code and ":" in code.system for code in found.codes.values()), name


def test_coding_systems_are_found_by_name_table_and_oid():
    assert system_of("ln") == system_of("LOINC") == "http://loinc.org"
    assert system_of("HL70001") == "http://terminology.hl7.org/CodeSystem/v2-0001"
    assert system_of("2.16.840.1.113883.6.1") == "urn:oid:2.16.840.1.113883.6.1"
    assert system_of("99LAB") is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules_of({"3": "CX identifier"}), "is not 'conversion -> element'"),
        (lambda: rules_of({"3": {"map": "CX -> identifier", "wen": "4 empty"}}), "wen means nothing"),
        (lambda: condition_of("3 perhaps"), "is no condition"),
        (lambda: target_of("Patient", "birthdate"), "R4 has no element birthdate in Patient"),
        (lambda: target_of("Patient", "name.."), "not the path of an element|no element"),
        (lambda: conversion_of("CY", "", ""), "no conversion CY"),
        (lambda: conversion_of("code", "Sexes", ""), "no table Sexes"),
        (lambda: view_of("PID", "Patience"), "no view Patience"),
        (lambda: view_of("XYZ", "Patient"), "no view Patient"),
    ],
)
def test_a_map_that_says_what_cannot_be_is_named(make, words):
    with pytest.raises(MapError, match=words):
        make()


def test_constants_are_texts_truths_codings_and_concepts():
    assert constant_of("final") == "final"
    assert constant_of("true") is True
    assert constant_of("concept(v3-ActCode, IMP, inpatient)") == {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": "IMP",
                "display": "inpatient",
            }
        ]
    }
