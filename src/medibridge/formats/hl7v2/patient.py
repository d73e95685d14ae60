"""PID as Patient (v2-to-FHIR, segment PID)."""

from __future__ import annotations

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2 import codes
from medibridge.formats.hl7v2 import datatypes as dt
from medibridge.formats.hl7v2.draft import Draft
from medibridge.formats.hl7v2.message import Part, Segment
from medibridge.record import Json, JsonObject

__all__ = ["read_patient"]


def read_patient(draft: Draft) -> None:
    """Make the Patient of the message. Raises `MalformedMessage` where PID is missing, or there are two."""
    pid = draft.message.only("PID")
    pid[1].settle(Outcome.IGNORED, "a set id")
    identifiers = [found for at in (3, 2, 4) for part in pid[at].repetitions() if (found := dt.identifier(part))]
    if ssn := pid[19].text():
        identifiers.append(
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": ssn, "type": dt.identifier_type("SS") or {}}
        )
    elements = dt.sparse(
        identifier=identifiers,
        name=[name for at in (5, 9) for part in pid[at].repetitions() if (name := dt.human_name(part))],
        telecom=[
            found
            for at, use in ((13, "home"), (14, "work"))
            for part in pid[at].repetitions()
            if (found := dt.telecom(part, use))
        ],
        gender=dt.code(pid[8], codes.GENDERS),
        birthDate=dt.date(pid[7]),
        address=[found for part in pid[11].repetitions() if (found := dt.address(part))],
        maritalStatus=_marital_status(pid[16]),
        communication=[{"language": found}] if (found := dt.concept(pid[15])) else [],
        **_death(pid),
        **_multiple_birth(pid),
    )
    own_id = _id_of(draft, pid, identifiers)
    draft.patient = {"resourceType": "Patient", "id": own_id, **elements}
    draft.add(draft.patient)


def _id_of(draft: Draft, pid: Segment, identifiers: list[JsonObject]) -> str:
    """By the medical record number where there is one, else by the first identifier, else by place."""
    record_numbers = [found for found in identifiers if found.get("type") == dt.identifier_type("MR")]
    for found in (*record_numbers, *identifiers):
        return draft.name_by_identifier("Patient", found)
    pid[3].default("no identifier; the id of the Patient holds for this message only")
    return draft.name_by_place("Patient", pid)


def _marital_status(part: Part) -> JsonObject | None:
    sent = dt.concept(part, "0002")
    found = codes.MARITAL_STATUS.get(part[1].peek())
    if sent is None or found is None or part[3].peek() not in ("", "HL70002"):
        return sent
    codings = sent.get("coding")
    coding = {"system": found[0], "code": found[1]}
    return {**sent, "coding": [coding, *(codings if isinstance(codings, list) else [])]}


def _death(pid: Segment) -> dict[str, Json]:
    when, flag = dt.date_time(pid[29]), dt.code(pid[30], {"Y": "yes", "N": "no"})
    if when and flag != "no":
        return {"deceasedDateTime": when}
    if when:
        pid[29].settle(Outcome.INVALID, "a date of death, but PID-30 says that the patient lives; left out")
    return {"deceasedBoolean": flag == "yes"} if flag else {}


def _multiple_birth(pid: Segment) -> dict[str, Json]:
    order, flag = dt.number(pid[25]), dt.code(pid[24], {"Y": "yes", "N": "no"})
    if order is not None and order == int(order) and 0 < order < 100 and flag != "no":
        return {"multipleBirthInteger": int(order)}
    if order is not None:
        pid[25].settle(Outcome.INVALID, "not an order of birth, or PID-24 says single birth; left out")
    return {"multipleBirthBoolean": flag == "yes"} if flag else {}
