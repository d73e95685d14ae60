"""finish: only valid resources leave a reader, and they say where they come from."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest

from medibridge.errors import MalformedMessage
from medibridge.formats import fhir
from medibridge.formats.conversion import Conversion, Detected, Finding, Origin, Outcome, Piece, Report
from medibridge.formats.finishing import finish
from medibridge.formats.settings import Settings

PIECE = Piece(b"the message", "message[3]")
PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "p"}
RESULT: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"text": "Glucose"},
    "subject": {"reference": "Patient/p"},
}


def conversion(*resources: dict[str, Any], findings: tuple[Finding, ...] = (), **more: Any) -> Conversion:
    return Conversion(Detected("a test", "it is one"), resources, Report(findings), **more)


def test_finish_adds_the_provenance_with_the_hash_of_the_input():
    origin = Origin(sender="LAB", number="17", made_at="2026-01-02T03:04:05Z")
    found = finish(PIECE, conversion(PATIENT, RESULT, origin=origin), Settings(source="st-mary"))
    provenance: Any = found.resources[-1]
    assert provenance["resourceType"] == "Provenance"
    assert provenance["recorded"] == "2026-01-02T03:04:05Z"
    assert provenance["target"] == [{"reference": "Patient/p"}, {"reference": "Observation/o"}]
    digest = hashlib.sha256(PIECE.data).hexdigest()
    assert provenance["entity"][0]["what"]["identifier"]["value"] == f"sha-256;{digest}"
    assert provenance["entity"][1]["what"]["identifier"]["value"] == "17"
    assert provenance["agent"][1]["who"] == {"display": "LAB"}
    assert fhir.validate(found.to_bundle()) == ()
    assert found.place == "message[3]"


def test_finish_says_that_the_time_is_unknown_when_the_source_names_none():
    provenance: Any = finish(PIECE, conversion(PATIENT), Settings()).resources[-1]
    assert "recorded" not in provenance
    assert provenance["_recorded"]["extension"][0]["valueCode"] == "unknown"
    assert fhir.validate(provenance) == ()


def test_finish_gives_the_same_bytes_when_the_input_is_the_same():
    assert finish(PIECE, conversion(PATIENT), Settings()) == finish(PIECE, conversion(PATIENT), Settings())


def test_finish_leaves_out_what_is_invalid_and_reports_where():
    found = finish(PIECE, conversion({**PATIENT, "gender": "malee", "birthDate": "1950"}), Settings())
    assert found.resources[0] == {**PATIENT, "birthDate": "1950"}
    assert found.report.findings == (
        Finding("output.Patient[1].gender", Outcome.INVALID, "a code outside the required value set"),
    )


def test_finish_takes_references_away_with_the_resource_that_they_name():
    report = {
        "resourceType": "DiagnosticReport",
        "id": "d",
        "status": "final",
        "code": {"text": "Panel"},
        "result": [{"reference": "Observation/bad"}, {"reference": "Observation/o"}],
    }
    bad = {"resourceType": "Observation", "id": "bad", "status": "final", "component": [{}]}
    found = finish(PIECE, conversion(PATIENT, RESULT, bad, report), Settings())
    kinds = [resource["resourceType"] for resource in found.resources]
    assert kinds == ["Patient", "Observation", "DiagnosticReport", "Provenance"]
    assert found.resources[2]["result"] == [{"reference": "Observation/o"}]
    places = found.report.places(Outcome.INVALID)
    assert "output.Observation[2]" in places


def test_finish_leaves_out_a_resource_when_what_it_needs_was_left_out():
    medication = {"resourceType": "Medication", "id": "m", "status": "odd", "ingredient": [{"isActive": True}]}
    dispense = {
        "resourceType": "MedicationRequest",
        "id": "r",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/x"},
        "medicationReference": {"reference": "Medication/m"},
    }
    found = finish(PIECE, conversion({**medication, "ingredient": [{}]}, dispense), Settings())
    assert [one["resourceType"] for one in found.resources] == ["Medication", "MedicationRequest", "Provenance"]
    gone = {"resourceType": "Canary", "id": "m"}
    assert finish(PIECE, conversion(gone, {**dispense, "medicationReference": {"reference": "Canary/m"}}),
                  Settings()).resources == ()  # fmt: skip


@pytest.mark.parametrize("by_reader", [True, False])
def test_finish_refuses_what_is_invalid_when_it_is_strict(by_reader):
    broken = (
        conversion(PATIENT, findings=(Finding("PID[1]-8", Outcome.INVALID, "no code"),))
        if by_reader
        else conversion({**PATIENT, "gender": "Canary"})
    )
    with pytest.raises(MalformedMessage, match=r"(PID\[1\]-8|output\.Patient\[1\]\.gender) is invalid") as refusal:
        finish(PIECE, broken, Settings(strict=True))
    assert "Canary" not in str(refusal.value)


def test_records_take_along_the_provenance_of_what_they_hold():
    found = finish(PIECE, conversion(PATIENT, {**RESULT, "category": [LABORATORY]}), Settings())
    demographics, laboratory = found.records
    for record, targets in ((demographics, ["Patient/p"]), (laboratory, ["Patient/p", "Observation/o"])):
        provenance: Any = record.resources[-1]
        assert provenance["resourceType"] == "Provenance"
        assert [target["reference"] for target in provenance["target"]] == targets
    assert demographics.resources[-1]["id"] != laboratory.resources[-1]["id"]


def test_records_hold_only_the_classes_that_the_source_is_about():
    found = finish(PIECE, conversion(PATIENT, {**RESULT, "category": [LABORATORY]}), Settings())
    about = frozenset({record.data_class for record in found.records[1:]})
    assert len(dataclasses.replace(found, about=about).records) == 1


LABORATORY = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]
}


def test_finish_does_not_show_a_resource_type_that_is_none():
    found = finish(PIECE, conversion(PATIENT, {"resourceType": "Jane", "id": "j"}), Settings())
    assert found.report.places(Outcome.INVALID) == ("output.?[1]",)
    with pytest.raises(MalformedMessage, match=r"output\.\?\[1\]"):
        finish(PIECE, conversion(PATIENT, {"resourceType": "Jane", "id": "j"}), Settings(strict=True))
