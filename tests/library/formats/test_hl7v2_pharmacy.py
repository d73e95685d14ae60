"""Drugs in HL7 v2: ordered, encoded by the pharmacy, dispensed and given."""

from __future__ import annotations

import json

import pytest
from conversions import converted, only, resources

from medibridge import samples
from medibridge.formats import Outcome
from medibridge.ids import DataClass

PID = "PID|1||88^^^H&2.999.1&ISO^MR||Tarn^Ola||1970|F"
ORC = "ORC|NW|RX-1^EHR|PH-1^PHARM||||||20240307112500+0100|||6^Rud^Kai"
RXE = (
    "RXE||1049621^Codein 30 mg^RXNORM|1|2|{tablet}^tablet^UCUM|TAB^Tablet^HL70292|^At night|||30|{tablet}^tablet^UCUM"
    "|2|||N-77"
)


def message(kind, *segments):
    head = rf"MSH|^~\&|EHR|H|PHARM|H|20240307113000+0100||{kind}|8|P|2.5.1"
    return "".join(f"{segment}\r" for segment in (head, PID, *segments)).encode()


def drug_of(resource):
    return resource["medicationCodeableConcept"]["coding"][0]["code"]


def unmapped(conversion):
    return [finding.place for finding in conversion.report.findings if finding.outcome is Outcome.UNMAPPED]


@pytest.mark.parametrize("event", ["O11", "O25"])
def test_an_order_has_its_drug_its_dose_and_its_supply(event):
    timing = "TQ1|1||BID|||10^d&d&UCUM|20240308080000+0100||R^Routine^HL70485"
    conversion = converted(message(f"RDE^{event}", ORC, RXE, timing, "RXR|PO^Oral^HL70162"))
    request = only(conversion, "MedicationRequest")
    assert (drug_of(request), request["status"], request["intent"]) == ("1049621", "active", "order")
    assert [identifier["value"] for identifier in request["identifier"]][:2] == ["RX-1", "PH-1"]
    assert request["priority"] == "routine"
    assert request["authoredOn"] == "2024-03-07T11:25:00+01:00"
    assert request["dispenseRequest"]["quantity"]["value"] == "30"
    assert request["dispenseRequest"]["numberOfRepeatsAllowed"] == "2"
    (dosage,) = request["dosageInstruction"]
    (dose,) = dosage["doseAndRate"]
    assert (dose["doseRange"]["low"]["value"], dose["doseRange"]["high"]["value"]) == ("1", "2")
    repeat = dosage["timing"]["repeat"]
    assert (repeat["frequency"], repeat["period"], repeat["periodUnit"]) == ("2", "1", "d")
    assert "PO" in [coding["code"] for coding in dosage["route"]["coding"]]
    assert [record.data_class for record in conversion.records] == [DataClass.MEDICATIONS]
    assert unmapped(conversion) == []


def test_orders_of_one_message_are_apart():
    second = (ORC.replace("RX-1", "RX-2").replace("PH-1", "PH-2"), RXE.replace("1049621", "313782"))
    requests = resources(converted(message("RDE^O11", ORC, RXE, *second)), "MedicationRequest")
    assert [drug_of(request) for request in requests] == ["1049621", "313782"]
    assert len({request["id"] for request in requests}) == 2


def test_what_the_pharmacy_encoded_is_not_lost_beside_what_was_asked_for():
    asked = "RXO|1049621^Codein 30 mg^RXNORM|1||{tablet}^tablet^UCUM"
    encoded = RXE.replace("1049621^Codein 30 mg", "313782^Paracetamol 325 mg")
    conversion = converted(
        message("RDS^O13", ORC, asked, encoded, "RXD|1|313782^Paracetamol 325 mg^RXNORM|20240308|30")
    )
    assert {drug_of(request) for request in resources(conversion, "MedicationRequest")} == {"1049621", "313782"}
    dispense = only(conversion, "MedicationDispense")
    assert (drug_of(dispense), dispense["quantity"]["value"], dispense["whenHandedOver"]) == (
        "313782",
        "30",
        "2024-03-08",
    )
    assert dispense["authorizingPrescription"]


def test_an_administration_says_when_what_how_much_by_whom_and_for_which_order():
    given = "RXA|0|1|20240309141500+0100||1665050^Ceftriaxone^RXNORM|1000|mg^^UCUM|||9^Moe^Tor||||||||||CP"
    conversion = converted(message("RAS^O17", ORC, given, "RXR|IV^Intravenous^HL70162|LA^Left arm^HL70163"))
    administration = only(conversion, "MedicationAdministration")
    assert (drug_of(administration), administration["status"]) == ("1665050", "completed")
    assert administration["effectiveDateTime"] == "2024-03-09T14:15:00+01:00"
    assert administration["dosage"]["dose"]["value"] == "1000"
    assert "IV" in [coding["code"] for coding in administration["dosage"]["route"]["coding"]]
    assert administration["performer"][0]["actor"]["reference"].startswith("Practitioner/")
    kept = json.dumps(resources(conversion, "MedicationAdministration") + resources(conversion, "MedicationRequest"))
    assert "RX-1" in kept
    assert "PH-1" in kept
    assert unmapped(conversion) == []


def test_administrations_of_one_order_are_apart():
    given = [
        f"RXA|0|{at}|202403090{at}1500+0100||1665050^Ceftriaxone^RXNORM|1000|mg^^UCUM|||9^Moe^Tor" for at in (1, 2)
    ]
    found = resources(converted(message("RAS^O17", ORC, *given)), "MedicationAdministration")
    assert len({one["id"] for one in found}) == 2


def test_a_dose_that_is_to_be_given_keeps_its_drug():
    conversion = converted(message("RGV^O15", ORC, "RXG|1|||1665050^Ceftriaxone^RXNORM|500||mg^^UCUM"))
    assert "1665050" in [drug_of(one) for one in resources(conversion, "MedicationRequest")]


@pytest.mark.parametrize("name", ["rde-o11-prescription.hl7", "ras-o17-administration.hl7"])
def test_a_sample_of_ours_is_a_record_of_medications(name):
    conversion = converted(samples.read(name))
    assert [record.data_class for record in conversion.records] == [DataClass.MEDICATIONS]
    assert unmapped(conversion) == []
