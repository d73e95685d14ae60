"""ADT^A01, A04, A08: PV1 as Encounter, DG1 as Condition, AL1 as AllergyIntolerance (v2-to-FHIR, message ADT_A01)."""

from __future__ import annotations

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2 import codes
from medibridge.formats.hl7v2 import datatypes as dt
from medibridge.formats.hl7v2.draft import Draft
from medibridge.formats.hl7v2.message import Part, Segment
from medibridge.record import Json, JsonObject, canonical_json

__all__ = ["read_visit"]

_PARTICIPANTS = ((7, "ATND"), (8, "REF"), (9, "CON"), (17, "ADM"))


def read_visit(draft: Draft) -> None:
    """Make the Encounter, and what DG1 and AL1 say.

    Raises `MalformedMessage` where PV1 or a required field is missing.
    """
    encounter = _encounter(draft, draft.message.only("PV1"))
    seen: dict[str, int] = {}
    for segment in draft.message.all("DG1"):
        _condition(draft, segment, encounter, seen)
    for segment in draft.message.all("AL1"):
        _allergy(draft, segment, seen)


def _encounter(draft: Draft, pv1: Segment) -> JsonObject:
    pv1[1].settle(Outcome.IGNORED, "a set id")
    kind = pv1.require(2, "the patient class").peek()
    start, end = dt.date_time(pv1[44]), dt.date_time(pv1[45])
    identifiers = [found for at, of in ((19, "VN"), (50, "")) if (found := dt.identifier(pv1[at], of))]
    own_id = (
        draft.name_by_identifier("Encounter", identifiers[0]) if identifiers else draft.name_by_place("Encounter", pv1)
    )
    participants: list[Json] = []
    for at, role in _PARTICIPANTS:
        role_coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": role}
        participants.extend(
            {"type": [{"coding": [role_coding]}], "individual": reference} for reference in draft.practitioners(pv1[at])
        )
    admission = dt.concept(pv1[4], "0007")
    hospitalization = dt.sparse(
        preAdmissionIdentifier=dt.identifier(pv1[5]),
        reAdmission=dt.concept(pv1[13], "0092"),
        admitSource=dt.concept(pv1[14], "0023"),
        dischargeDisposition=dt.concept(pv1[36], "0112"),
    )
    return draft.add(
        {
            "resourceType": "Encounter",
            "id": own_id,
            "status": _status(draft, pv1, kind, finished=end is not None),
            "class": _class(pv1[2]),
            "subject": draft.subject,
            **dt.sparse(
                identifier=identifiers,
                type=[admission] if admission else [],
                serviceType=dt.concept(pv1[10], "0069"),
                participant=participants,
                period=dt.sparse(start=start, end=end),
                hospitalization=hospitalization,
                location=_location(pv1[3]),
            ),
        }
    )


def _status(draft: Draft, pv1: Segment, kind: str, *, finished: bool) -> str:
    """From PV1-45 and PV1-2; an update (A08) without a discharge does not say where the encounter stands."""
    if finished:
        return "finished"
    event = draft.message.header[9][2].peek()
    if event == "A08" or kind == "U":
        pv1[45].default("neither an end nor an event that says so; status unknown")
        return "unknown"
    return "planned" if kind == "P" else "in-progress"


def _class(part: Part) -> JsonObject:
    found = codes.ENCOUNTER_CLASSES.get(part[1].peek())
    if found and part[3].peek() in ("", "HL70004"):
        part[1].settle(Outcome.MAPPED)
        part[3].settle(Outcome.MAPPED)
        return {"system": found[0], "code": found[1]}
    unknown = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
    return dt.coding(part, table="0004") or unknown


def _location(part: Part) -> list[JsonObject]:
    """PL as the name of a place: facility, building, floor, point of care, room, bed."""
    names = [text for at in (4, 7, 8, 1, 2, 3) if (text := part[at].text())]
    return [{"location": {"display": ", ".join(names)}}] if names else []


def _condition(draft: Draft, dg1: Segment, encounter: JsonObject, seen: dict[str, int]) -> None:
    dg1[1].settle(Outcome.IGNORED, "a set id")
    code = _diagnosis(dg1)
    identifier = dt.entity_identifier(dg1[20], "")
    asserters = draft.practitioners(dg1[16])
    elements = dt.sparse(
        identifier=[identifier] if identifier else [],
        onsetDateTime=dt.date_time(dg1[5]),
        recordedDate=dt.date_time(dg1[19]),
        asserter=asserters[0] if asserters else None,
    )
    for further in dg1[16].repetitions()[1:]:
        further.settle_all(Outcome.UNMAPPED, "a condition has one asserter")
    if dg1[21].peek() == "D":
        dg1[21].settle(Outcome.MAPPED)
        system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
        elements["verificationStatus"] = {"coding": [{"system": system, "code": "entered-in-error"}]}
    draft.add(
        {
            "resourceType": "Condition",
            "id": draft.name_by_identifier("Condition", identifier)
            if identifier
            else _named(draft, "Condition", [encounter, code], seen),
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/condition-category",
                            "code": "encounter-diagnosis",
                        }
                    ]
                }
            ],
            "code": code,
            "subject": draft.subject,
            "encounter": encounter,
            **elements,
        }
    )


def _diagnosis(dg1: Segment) -> JsonObject:
    """DG1-3 and DG1-4; DG1-2 (before v2.7) names the coding system where DG1-3.3 does not."""
    code = dict(dt.concept(dg1[3]) or {}) if dg1[4] else dict(dt.required_concept(dg1, 3, "the diagnosis"))
    system = codes.system_of(dg1[2].peek())
    codings = code.get("coding")
    if system and isinstance(codings, list) and codings and "code" in codings[0] and not dg1[3][3]:
        code["coding"] = [{**codings[0], "system": system}, *codings[1:]]
        dg1[2].settle(Outcome.MAPPED)
    if text := dg1[4].text():
        code["text"] = " ".join(str(found) for found in (code.get("text"), text) if found)
    return code


def _allergy(draft: Draft, al1: Segment, seen: dict[str, int]) -> None:
    al1[1].settle(Outcome.IGNORED, "a set id")
    code = dt.required_concept(al1, 3, "what the patient is allergic to")
    al1[3].default("AL1 states what holds now; clinical status active")
    category = dt.code(al1[2], codes.ALLERGY_CATEGORIES)
    manifestations = [{"text": text} for part in al1[5].repetitions() if (text := part.whole())]
    draft.add(
        {
            "resourceType": "AllergyIntolerance",
            "id": _named(draft, "AllergyIntolerance", [draft.subject, code], seen),
            "clinicalStatus": {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
                ]
            },
            "code": code,
            "patient": draft.subject,
            **dt.sparse(
                category=[category] if category else [],
                criticality=dt.code(al1[4], codes.ALLERGY_CRITICALITIES),
                onsetDateTime=dt.date_time(al1[6]),
                reaction=[{"manifestation": manifestations}] if manifestations else [],
            ),
        }
    )


def _named(draft: Draft, kind: str, what: list[Json], seen: dict[str, int]) -> str:
    """An id that survives an update: by the patient or the encounter and the code, counted where they come twice."""
    named = kind + canonical_json(what).decode()
    seen[named] = seen.get(named, 0) + 1
    return draft.name(named, str(seen[named]))
