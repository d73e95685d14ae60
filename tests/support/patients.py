"""Invented patients by the dozen: FHIR R4 transaction bundles as a hospital sends them, full of what must not be sold.

for bundle in bundles(50, seed=7): ...
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from typing import Any

from medibridge.record import JsonObject, Number

__all__ = ["IDENTIFIERS", "bundles", "resources_of"]

IDENTIFIERS = "urn:oid:2.999.1.1"
"""The system of the patients' numbers; the values are ``MRN-0001``, ``MRN-0002`` …"""

_GIVEN = ("Ada", "Bruno", "Chidi", "Dilara", "Edda", "Farid", "Greta", "Hiro", "Ines", "Joao")
_FAMILY = ("Fernhollow", "Okonkwo", "Lindqvist", "Alder", "Wychbury", "Novak", "Haddad", "Moreau", "Tanaka", "Silva")
_STREETS = ("Alder Row", "Mill Lane", "Harbour Street", "Chapel Hill")
_TOWNS = (
    ("Springfield", "IL", "62701"),
    ("Peoria", "IL", "61602"),
    ("Hanover", "NH", "03601"),
    ("Boston", "MA", "02115"),
)
_DIAGNOSES = ("E11.9", "I10", "J45.909", "E78.5", "N18.3", "F32.9", "M54.5", "K21.9")
_DRUGS = ("860975", "314076", "617314", "745679", "197361")
_LABS = (
    ("2345-7", "Glucose", "mg/dL", 60, 260, 0),
    ("4548-4", "Hemoglobin A1c", "%", 45, 120, 1),
    ("2160-0", "Creatinine", "mg/dL", 50, 320, 2),
    ("718-7", "Hemoglobin", "g/dL", 80, 180, 1),
)
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"


def bundles(count: int, seed: int = 1) -> Iterator[JsonObject]:
    """So many patients, one a bundle; the same seed gives the same people."""
    for number in range(1, count + 1):
        yield _bundle(number, random.Random(seed * 1_000_003 + number))


def resources_of(bundle: JsonObject) -> list[Any]:
    """The resources of a bundle."""
    return [entry["resource"] for entry in bundle["entry"]]  # type: ignore[index, call-overload, union-attr]


def _bundle(number: int, chance: random.Random) -> JsonObject:
    patient = _patient(number, chance)
    subject = {"reference": f"Patient/{patient['id']}", "display": patient["name"][0]["text"]}
    resources = [patient]
    for visit in range(chance.randint(1, 3)):
        day = datetime.date(2019, 1, 1) + datetime.timedelta(days=chance.randint(0, 2000))
        name = f"{number}-{visit}"
        encounter = {"reference": f"Encounter/enc-{name}"}
        resources.append(_encounter(name, subject, day))
        resources += [_lab(f"{name}-{at}", subject, encounter, day, lab, chance) for at, lab in enumerate(_LABS)]
        resources.append(_report(name, subject, encounter, day))
    for at, code in enumerate(chance.sample(_DIAGNOSES, chance.randint(1, 3))):
        resources.append(_condition(f"{number}-{at}", subject, code, chance))
    for at, code in enumerate(chance.sample(_DRUGS, chance.randint(1, 2))):
        resources.append(_prescription(f"{number}-{at}", subject, code, chance))
    entries = [
        {
            "fullUrl": f"https://rowan.example/fhir/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
        }
        for resource in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _patient(number: int, chance: random.Random) -> dict[str, Any]:
    given, family = chance.choice(_GIVEN), chance.choice(_FAMILY)
    city, state, code = chance.choice(_TOWNS)
    born = datetime.date(1930, 1, 1) + datetime.timedelta(days=chance.randint(0, 28_000))
    found: dict[str, Any] = {
        "resourceType": "Patient",
        "id": f"pat-{number}",
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{given} {family}</div>'},
        "identifier": [{"system": IDENTIFIERS, "value": f"MRN-{number:04}"}],
        "name": [{"text": f"{given} {family}", "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": f"555-{number:07}"}],
        "gender": chance.choice(("female", "male")),
        "birthDate": born.isoformat(),
        "address": [
            {
                "line": [f"{chance.randint(1, 99)} {chance.choice(_STREETS)}"],
                "city": city,
                "state": state,
                "postalCode": code,
                "country": "US",
            }
        ],
    }
    if chance.random() < 0.1:
        found["deceasedDateTime"] = f"20{chance.randint(20, 24)}-0{chance.randint(1, 9)}-1{chance.randint(0, 9)}"
    return found


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _encounter(name: str, subject: dict[str, Any], day: datetime.date) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": f"enc-{name}",
        "identifier": [{"value": f"VISIT-{name}"}],
        "status": "finished",
        "class": {"system": _TERMINOLOGY + "v3-ActCode", "code": "AMB"},
        "subject": subject,
        "period": {"start": f"{day}T08:00:00+01:00", "end": f"{day}T09:30:00+01:00"},
        "serviceProvider": {"display": "Rowan Hospital"},
    }


def _lab(
    name: str,
    subject: dict[str, Any],
    encounter: dict[str, Any],
    day: datetime.date,
    lab: tuple[str, str, str, int, int, int],
    chance: random.Random,
) -> dict[str, Any]:
    code, display, unit, least, most, digits = lab
    value = str(chance.randint(least, most)).rjust(digits + 1, "0")
    number = f"{value[:-digits]}.{value[-digits:]}" if digits else value
    return {
        "resourceType": "Observation",
        "id": f"obs-{name}",
        "status": "final",
        "category": [_concept(_TERMINOLOGY + "observation-category", "laboratory", "Laboratory")],
        "code": _concept("http://loinc.org", code, display),
        "subject": subject,
        "encounter": encounter,
        "effectiveDateTime": f"{day}T08:15:00+01:00",
        "performer": [{"display": "Dr. Lindqvist"}],
        "valueQuantity": {
            "value": Number(number),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        "note": [{"text": f"discussed with {subject['display']}"}],
    }


def _report(name: str, subject: dict[str, Any], encounter: dict[str, Any], day: datetime.date) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": f"rep-{name}",
        "status": "final",
        "category": [_concept(_TERMINOLOGY + "v2-0074", "LAB", "Laboratory")],
        "code": _concept("http://loinc.org", "24323-8", "Comprehensive metabolic panel"),
        "subject": subject,
        "encounter": encounter,
        "effectiveDateTime": f"{day}T08:15:00+01:00",
        "result": [{"reference": f"Observation/obs-{name}-{at}"} for at in range(len(_LABS))],
        "conclusion": f"{subject['display']} is well",
    }


def _condition(name: str, subject: dict[str, Any], code: str, chance: random.Random) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": f"con-{name}",
        "clinicalStatus": _concept(_TERMINOLOGY + "condition-clinical", "active", "Active"),
        "verificationStatus": _concept(_TERMINOLOGY + "condition-ver-status", "confirmed", "Confirmed"),
        "code": _concept("http://hl7.org/fhir/sid/icd-10-cm", code, "a diagnosis"),
        "subject": subject,
        "onsetDateTime": f"20{chance.randint(10, 23)}-0{chance.randint(1, 9)}-0{chance.randint(1, 9)}",
    }


def _prescription(name: str, subject: dict[str, Any], code: str, chance: random.Random) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": f"med-{name}",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": _concept("http://www.nlm.nih.gov/research/umls/rxnorm", code, "a drug"),
        "subject": subject,
        "authoredOn": f"20{chance.randint(19, 24)}-0{chance.randint(1, 9)}-2{chance.randint(0, 8)}",
        "dosageInstruction": [{"text": "one a day, as the patient likes", "asNeededBoolean": False}],
    }
