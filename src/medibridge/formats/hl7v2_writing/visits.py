"""The patient, the visit, and what an ADT^A08 says beside: NK1, AL1, DG1, IN1 (HL7 v2.5.1, chapters 3 and 6)."""

from __future__ import annotations

from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2_writing.datatypes import tables
from medibridge.formats.hl7v2_writing.draft import Draft, field_of
from medibridge.formats.hl7v2_writing.segments import Field
from medibridge.formats.hl7v2_writing.source import Node

__all__ = ["write_allergies", "write_coverages", "write_diagnoses", "write_patient", "write_visit"]

_VOID: Final = ("entered-in-error", "refuted")


def write_patient(draft: Draft) -> None:
    """PID, PD1, and NK1 for each contact and RelatedPerson."""
    patient = draft.patient
    fields = draft.fields("PID", patient)
    phones: dict[int, list[list[str]]] = {13: [], 14: []}
    for telecom in patient["telecom"].items():
        at = 14 if telecom["use"].peek == "work" else 13
        phones[at].append([str(part) for part in draft.writer.telecom(telecom, {}, f"PID-{at}")])
    fields |= {at: field_of(*found) for at, found in phones.items()}
    fields |= {24: _yes(patient["multipleBirthBoolean"], "PID-24"), 30: _yes(patient["deceasedBoolean"], "PID-30")}
    if patient["multipleBirthInteger"]:
        fields |= {24: [["Y"]], 25: [[patient["multipleBirthInteger"].text("PID-25")]]}
    if patient["deceasedDateTime"]:
        fields |= {29: [draft.writer.time(patient["deceasedDateTime"], {}, "PID-29")], 30: [["Y"]]}
    accounts = [number for account in draft.of_type("Account") for number in account["identifier"].items()]
    fields |= {18: field_of(*(draft.writer.identifier(one, {}, "PID-18") for one in accounts[:1]))}
    draft.add("PID", {1: [["1"]], **fields, **draft.writer.extensions(patient)}, patient)
    further = draft.fields("PD1", patient)
    if any(further.values()) or draft.writer.kept("PD1", patient, {}):
        draft.add("PD1", further, patient)
    for number, (fields, node) in enumerate(_kin(draft), 1):
        draft.add("NK1", {1: [[str(number)]], **fields}, node)


def _kin(draft: Draft) -> list[tuple[dict[int, Field], Node]]:
    """RelatedPersons, then contacts of the patient; one that has the name and role of another adds to that one."""
    found = [(draft.fields("NK1", node), node) for node in draft.of_type("RelatedPerson")]
    for node in draft.patient["contact"].items():
        fields = draft.fields("NK1-contact", node)
        for known, _ in found:
            if fields[2] and (known[2], known[3]) == (fields[2], fields[3]):
                known |= {at: field for at, field in fields.items() if not known.get(at)}
                break
        else:
            found.append((fields, node))
    return found


def _yes(node: Node, target: str) -> Field:
    return [["Y" if node.text(target) == "true" else "N"]] if node.value is not None else []


def write_visit(draft: Draft, *, required: bool) -> None:
    """PV1, of the first Encounter; where there is none and the event needs one, of the class *not applicable*."""
    encounters = draft.of_type("Encounter")
    if not encounters:
        if required:
            draft.default("PV1-2", "no Encounter; N, not applicable")
            draft.add("PV1", {1: [["1"]], 2: [["N"]]})
        return
    encounter = encounters[0]
    fields = draft.fields("PV1", encounter)
    people: dict[int, list[Field]] = {}
    for participant in encounter["participant"].items():
        at = _role(participant)
        if at and participant["individual"]:
            found = draft.writer.person(participant["individual"], {}, f"PV1-{at}")
            people.setdefault(at, []).append(field_of(found))
    fields |= {at: [repetition for one in found for repetition in one] for at, found in people.items()}
    for location in encounter["location"].items():
        at = tables()["codes"]["place_status"].get(location["status"].peek or "active", 0)
        if at and not fields.get(at):
            location["status"].text(f"PV1-{at}")
            fields[at] = field_of(draft.writer.place(location["location"], {}, f"PV1-{at}"))
    numbers = encounter["identifier"].items()
    for at, number in zip((19, 50), numbers, strict=False):
        fields[at] = field_of(draft.writer.identifier(number, {}, f"PV1-{at}"))
    draft.add("PV1", {1: [["1"]], 2: _class(draft, encounter), **fields}, encounter)
    if draft.writer.kept("PV2", encounter, {}):
        draft.add("PV2", {}, encounter)


def _role(participant: Node) -> int:
    for coding in participant.along("type.coding"):
        if at := tables()["codes"]["participant"].get(coding["code"].peek):
            coding.settle(Outcome.MAPPED, target=f"PV1-{at}")
            return int(at)
    return 0


def _class(draft: Draft, encounter: Node) -> Field:
    found = encounter["class"]
    if found["system"].peek.endswith("v2-0004"):
        found["system"].text("PV1-2")
        return [[found["code"].text("PV1-2")]]
    code = draft.writer.code(found["code"], "encounter_class", "PV1-2") if found else ""
    found["display"].settle(Outcome.IGNORED, "the code is written")
    if code:
        found["system"].text("PV1-2")
        return [[code]]
    draft.default("PV1-2", "no class that HL7 v2 knows; U, unknown")
    return [["U"]]


def write_allergies(draft: Draft) -> None:
    """AL1 for each allergy that holds: it has no place for one that does not."""
    number = 0
    for allergy in draft.of_type("AllergyIntolerance"):
        status = allergy["clinicalStatus"]["coding"]["code"].peek
        if status not in ("", "active") or _is_void(allergy):
            allergy.settle(Outcome.UNMAPPED, "an allergy that does not hold; AL1 says what holds")
            continue
        allergy["clinicalStatus"].settle(Outcome.MAPPED, target="AL1")
        number += 1
        reactions = [one for node in allergy["reaction"].items() for one in node["manifestation"].items()]
        severity = ""
        if allergy["criticality"]:
            severity = draft.writer.code(allergy["criticality"], "criticality", "AL1-4")
        elif allergy["reaction"]["severity"]:
            severity = draft.writer.code(allergy["reaction"]["severity"], "severity", "AL1-4")
        fields = draft.fields("AL1", allergy)
        fields |= {4: field_of([severity]), 5: field_of(*([_said(one, "AL1-5")] for one in reactions))}
        draft.add("AL1", {1: [[str(number)]], **fields}, allergy)


def _said(concept: Node, target: str) -> str:
    """What a CodeableConcept says in words: AL1-5 is text."""
    if concept["text"]:
        for coding in concept["coding"].items():
            coding.settle(Outcome.UNMAPPED, f"{target} is text")
        return concept["text"].text(target)
    coding = concept["coding"]
    if coding["display"]:
        coding["code"].settle(Outcome.PARTLY, f"{target} is text; the name is written", target)
        return coding["display"].text(target)
    return coding["code"].text(target)


def _is_void(node: Node) -> bool:
    return any(coding["code"].peek in _VOID for coding in node.along("verificationStatus.coding"))


def write_diagnoses(draft: Draft) -> None:
    """DG1 for each condition; one that was entered in error is deleted (DG1-21), one that is refuted is left out."""
    number = 0
    for condition in draft.of_type("Condition"):
        codes = [coding["code"].peek for coding in condition.along("verificationStatus.coding")]
        if "refuted" in codes:
            condition.settle(Outcome.UNMAPPED, "a refuted condition; DG1 would state it")
            continue
        number += 1
        fields = draft.fields("DG1", condition)
        if "entered-in-error" in codes:
            condition["verificationStatus"].settle(Outcome.MAPPED, target="DG1-21")
            fields[21] = [["D"]]
        condition["encounter"].settle(Outcome.USED, "the visit of PV1")
        for coding in condition.along("category.coding"):
            if coding["code"].peek == "encounter-diagnosis":
                coding.settle(Outcome.MAPPED, target="DG1")
        kind = next((found for code in codes if (found := tables()["codes"]["diagnosis_type"].get(code))), "")
        if kind:
            condition["verificationStatus"].settle(Outcome.MAPPED, target="DG1-6")
        elif not draft.writer.kept("DG1", condition, fields).get(6):
            draft.default(f"DG1[{number}]-6", "no kind of diagnosis, which HL7 v2 requires; W, working")
            kind = "W"
        draft.add("DG1", {1: [[str(number)]], **fields, 6: field_of([kind])}, condition)


def write_coverages(draft: Draft) -> None:
    """IN1 for each coverage."""
    for number, coverage in enumerate(draft.of_type("Coverage"), 1):
        fields = draft.fields("IN1", coverage)
        for payor in coverage["payor"].items()[:1]:
            if organization := draft.writer.resolved(payor):
                numbers = organization["identifier"].items()
                fields[3] = field_of(*(draft.writer.identifier(one, {}, "IN1-3") for one in numbers))
        for group in coverage["class"].items():
            kind = group["type"]["coding"]["code"]
            at = {"group": (8, 9), "plan": (35, 0)}.get(kind.peek)
            if at and not fields.get(at[0]):
                group["type"].settle(Outcome.MAPPED, target=f"IN1-{at[0]}")
                fields[at[0]] = field_of([group["value"].text(f"IN1-{at[0]}")])
                if at[1] and group["name"]:
                    fields[at[1]] = field_of([group["name"].text(f"IN1-{at[1]}")])
        draft.add("IN1", {1: [[str(number)]], **fields}, coverage)
