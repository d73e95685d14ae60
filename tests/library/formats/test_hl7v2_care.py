"""Appointments, documents, referrals, charges, problems and goals of HL7 v2: the core facts that must arrive."""

from __future__ import annotations

import pytest
from conversions import converted, only, resources

from medibridge.formats import Outcome

PID = "PID|1||88^^^H&2.999.1&ISO^MR||Tarn^Ola||1970|F"
PV1 = "PV1|1|O|||||1^Birk^Una|||||||||||V7^^^H&2.999.1&ISO^VN"


def message(kind, *segments):
    head = rf"MSH|^~\&|APP|H|EHR|H|20240307101530+0100||{kind}|7|P|2.5.1"
    return "".join(f"{segment}\r" for segment in (head, *segments)).encode()


def code_of(concept):
    return concept["coding"][0]["code"]


def reference_to(conversion, kind, at=0):
    return {"reference": f"{kind}/{resources(conversion, kind)[at]['id']}"}


def unmapped(conversion):
    return [finding.place for finding in conversion.report.findings if finding.outcome is Outcome.UNMAPPED]


# --- appointments ---------------------------------------------------------------------------------------------------

BOOKED = (
    "SCH|P-1|F-1||||ADD^Add|ROUTINE^Routine^HL70276|NORMAL^Normal^HL70277|30|min"
    "|^^30^202404020900+0200^202404020930+0200|||||2^Holm^Per||||3^Lund^Siv|||||Booked"
)
RESOURCES = (
    "RGS|1|A",
    "AIS|1|A|24-5^Chest film^LN|202404020900+0200|||30|min||Booked",
    "AIG|1|A|XR-2^Film machine^L|EQ^Equipment^L||||202404020900+0200",
    "AIL|1|A|XRAY^R2^^H|C^Clinic^HL70305||202404020900+0200",
    "AIP|1|A|9^Moe^Tor|RT^Radiographer^L||202404020900+0200",
)


def booked(event="S12"):
    return message(f"SIU^{event}^SIU_S12", BOOKED, PID, PV1, *RESOURCES)


def test_an_appointment_has_its_time_its_service_and_all_who_and_what_take_part():
    conversion = converted(booked())
    appointment = only(conversion, "Appointment")
    assert appointment["status"] == "booked"
    assert (appointment["start"], appointment["end"]) == ("2024-04-02T09:00:00+02:00", "2024-04-02T09:30:00+02:00")
    assert appointment["minutesDuration"] == "30"
    assert [identifier["value"] for identifier in appointment["identifier"]] == ["P-1", "F-1"]
    assert code_of(appointment["serviceType"][0]) == "24-5"
    assert code_of(appointment["appointmentType"]) == "NORMAL"
    assert "ROUTINE" in [coding["code"] for coding in appointment["reasonCode"][0]["coding"]]
    actors = [participant["actor"].get("reference", "").partition("/")[0] for participant in appointment["participant"]]
    assert {"Patient", "Device", "Location"} <= set(actors)
    assert actors.count("Practitioner") == 3
    assert unmapped(conversion) == []


@pytest.mark.parametrize(
    ("event", "status"), [("S12", "booked"), ("S13", "booked"), ("S15", "cancelled"), ("S17", "entered-in-error"),
                          ("S26", "noshow")]
)  # fmt: skip
def test_the_event_says_where_an_appointment_stands_when_no_status_does(event, status):
    conversion = converted(booked(event).replace(b"Booked", b""))
    assert only(conversion, "Appointment")["status"] == status


def test_an_appointment_keeps_its_id_when_it_is_moved_and_cancelled():
    ids = {only(converted(booked(event)), "Appointment")["id"] for event in ("S12", "S13", "S15")}
    assert len(ids) == 1


# --- documents ------------------------------------------------------------------------------------------------------

TXA = "TXA|1|DS^Discharge summary|TX|202403070900+0100||202403070930+0100|||5^Vik^Ann|||D-9^H|{parent}|||f.txt|LA||AV"


def document(event, *content, parent=""):
    return message(f"MDM^{event}^MDM_T02", "EVN||202403071000+0100", PID, PV1, TXA.format(parent=parent), *content)


def test_the_lines_of_a_document_are_one_text():
    lines = ("OBX|1|TX|10-1^Body^LN||Went home well.||||||F", "OBX|2|TX|10-1^Body^LN||Seen again in May.||||||F")
    conversion = converted(document("T02", *lines))
    found = only(conversion, "DocumentReference")
    assert (found["status"], found["docStatus"], code_of(found["type"])) == ("current", "final", "DS")
    assert found["masterIdentifier"]["value"] == "D-9"
    assert found["date"] == "2024-03-07T09:30:00+01:00"
    assert found["subject"] == reference_to(conversion, "Patient")
    assert found["context"]["encounter"] == [reference_to(conversion, "Encounter")]
    (content,) = found["content"]
    assert content["attachment"]["contentType"] == "text/plain"
    assert content["attachment"]["data"] == "V2VudCBob21lIHdlbGwuClNlZW4gYWdhaW4gaW4gTWF5Lg=="


def test_a_document_in_the_message_is_kept_as_it_was_sent():
    conversion = converted(document("T02", "OBX|1|ED|10-1^Body^LN||^AP^PDF^Base64^JVBERi0x||||||F"))
    (content,) = only(conversion, "DocumentReference")["content"]
    assert content["attachment"] == {"contentType": "application/pdf", "data": "JVBERi0x"}


@pytest.mark.parametrize(("event", "code"), [("T06", "appends"), ("T10", "replaces")])
def test_an_addendum_appends_to_its_document_and_a_new_edition_replaces_it(event, code):
    conversion = converted(document(event, "OBX|1|TX|10-1^Body^LN||More.||||||F", parent="D-8^H"))
    found = only(conversion, "DocumentReference")
    (relation,) = found["relatesTo"]
    assert (relation["code"], relation["target"]["identifier"]["value"]) == (code, "D-8")
    assert found["status"] == "current"


def test_a_cancelled_document_is_entered_in_error():
    assert only(converted(document("T11").replace(b"||AV", b"")), "DocumentReference")["status"] == "entered-in-error"


# --- referrals ------------------------------------------------------------------------------------------------------

RF1 = "RF1|A^Accepted^HL70283|R^Routine^HL70280|MED^Medical^HL70281|||R-3^H|20240301|20240901|20240228|S^Second opinion"
PROVIDERS = ("PRD|RP^Referring^HL70286|Birk^Una||||||||", "PRD|RT^Referred to^HL70286|Dahl^Leo||||||||")


def test_a_referral_says_who_asks_whom_and_until_when():
    conversion = converted(message("REF^I12^REF_I12", RF1, *PROVIDERS, PID, "DG1|1||K63.3^Ulcer^I10|||W", PV1))
    referral = only(conversion, "ServiceRequest")
    assert (referral["status"], referral["priority"], referral["intent"]) == ("active", "routine", "order")
    assert referral["identifier"][0]["value"] == "R-3"
    assert referral["occurrencePeriod"] == {"start": "2024-03-01", "end": "2024-09-01"}
    assert referral["authoredOn"] == "2024-02-28"
    assert code_of(referral["reasonCode"][0]) == "S"
    assert referral["subject"] == reference_to(conversion, "Patient")
    roles = {
        code_of(role["code"][0]): f"PractitionerRole/{role['id']}" for role in resources(conversion, "PractitionerRole")
    }
    assert referral["requester"] == {"reference": roles["RP"]}
    assert referral["performer"] == [{"reference": roles["RT"]}]


# --- charges --------------------------------------------------------------------------------------------------------

FT1 = (
    "FT1|1|T-1||20240307|20240308|CG|71045^Chest film^C4|||2|100&USD|50&USD|RAD^Radiology"
    "||||||J45.9^Asthma^I10|4^Ask^Jo"
)


def test_a_charge_has_its_code_its_amount_and_its_day():
    conversion = converted(message("DFT^P03^DFT_P03", "EVN||20240308", PID, PV1, FT1))
    charge = only(conversion, "ChargeItem")
    assert code_of(charge["code"]) == "71045"
    assert charge["quantity"]["value"] == "2"
    assert charge["priceOverride"] == {"value": "100", "currency": "USD"}
    assert (charge["occurrenceDateTime"], charge["enteredDate"]) == ("2024-03-07", "2024-03-08")
    assert code_of(charge["reason"][0]) == "J45.9"
    assert charge["performer"][0]["actor"] == reference_to(conversion, "Practitioner", -1)
    assert charge["subject"] == reference_to(conversion, "Patient")
    assert charge["context"] == reference_to(conversion, "Encounter")
    assert unmapped(conversion) == []


@pytest.mark.parametrize("event", ["P01", "P02", "P05", "P12"])
def test_an_account_message_gives_its_diagnoses_and_procedures(event):
    segments = ("DG1|1||J45.9^Asthma^I10|||F", "PR1|1||71045^Chest film^C4||202403071000+0100")
    conversion = converted(message(f"BAR^{event}", "EVN||20240308", PID, PV1, *segments))
    assert code_of(only(conversion, "Condition")["code"]) == "J45.9"
    assert code_of(only(conversion, "Procedure")["code"]) == "71045"
    assert unmapped(conversion) == []


# --- problems and goals ---------------------------------------------------------------------------------------------

PRB = "PRB|AD|20240307|J45.9^Asthma^I10|PR-4|||20240301||{resolved}|||||{stands}||20190501"


def problem(stands="", resolved="", *further):
    return message("PPR^PC1^PPR_PC1", PID, PRB.format(stands=stands, resolved=resolved), *further)


def test_a_problem_has_its_onset_and_the_day_it_was_recorded():
    conversion = converted(problem("Active"))
    condition = only(conversion, "Condition")
    assert code_of(condition["code"]) == "J45.9"
    assert code_of(condition["category"][0]) == "problem-list-item"
    assert condition["identifier"][0]["value"] == "PR-4"
    assert (condition["onsetDateTime"], condition["recordedDate"]) == ("2019-05-01", "2024-03-01")
    assert condition["subject"] == reference_to(conversion, "Patient")


@pytest.mark.parametrize(
    ("stands", "resolved", "status"),
    [
        ("Active", "", "active"),
        ("Inactive", "", "inactive"),
        ("Resolved", "", "resolved"),
        ("", "20240302", "resolved"),
    ],
)
def test_a_problem_says_whether_it_lasts(stands, resolved, status):
    assert code_of(only(converted(problem(stands, resolved)), "Condition")["clinicalStatus"]) == status


def test_a_goal_is_about_its_problem():
    conversion = converted(problem("Active", "", "GOL|AD|20240307|G1^Peak flow above 400^L|GO-2|||20240301|20240601"))
    goal = only(conversion, "Goal")
    assert (goal["lifecycleStatus"], goal["startDate"], goal["target"][0]["dueDate"]) == (
        "active",
        "2024-03-01",
        "2024-06-01",
    )
    assert goal["addresses"] == [reference_to(conversion, "Condition")]
