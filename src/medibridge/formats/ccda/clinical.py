"""What needs more than one element to be decided: statuses, categories, negations (C-CDA on FHIR)."""

from __future__ import annotations

from typing import Final

from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, DraftedObject, Taken
from medibridge.formats.ccda.mapping import Mapper, Typed, section_of
from medibridge.formats.ccda.paths import Path
from medibridge.formats.conversion import Outcome

__all__ = [
    "abatement",
    "allergy_verification",
    "condition_category",
    "condition_status",
    "encounter_class",
    "encounter_status",
    "no_known_allergy",
    "observation_category",
    "observation_code",
    "severity_note",
    "substance",
]

_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_CONDITION_CLINICAL: Final = _TERMINOLOGY + "condition-clinical"
_ACT_CODE: Final = _TERMINOLOGY + "v3-ActCode"
_ENCOUNTER_CLASSES: Final = frozenset("AMB EMER FLD HH IMP ACUTE NONAC OBSENC PRENC SS VR".split())  # noqa: SIM905
_CURRENT: Final = ("active", "recurrence", "relapse")

_STATUS_OBSERVATIONS: Final = (
    Path.of("entryRelationship/observation[code@code=33999-4]/value@code"),
    Path.of("entryRelationship/observation[t=2.16.840.1.113883.10.20.22.4.6]/value@code"),
)
_CONCERN_STATUS: Final = Path.of("..entryRelationship/..act/statusCode@code")
_IN_WORDS: Final = "in words; the code has no place"
_REACTIONS: Final = Path.of("entryRelationship[@typeCode=MFST]/observation")
_SEVERITIES: Final = Path.of("entryRelationship/observation[code@code=SEV]/value")
_ALLERGEN: Final = Path.of("participant[@typeCode=CSM]/participantRole/playingEntity")

_DIAGNOSES: Final = frozenset({"46240-8", "11535-2", "46241-6", "10219-4", "10218-6", "59769-0", "29308-4", "42347-5"})
_OBSERVATION_CATEGORIES: Final = {
    "30954-2": "laboratory", "11493-4": "laboratory", "18725-2": "laboratory", "18748-4": "imaging",
    "8716-3": "vital-signs", "29762-2": "social-history", "47420-5": "survey", "10190-7": "survey",
    "29545-1": "exam", "10210-3": "exam", "10187-3": "exam", "47519-4": "procedure",
}  # fmt: skip
"""LOINC code of the section to observation-category."""
_BY_TEMPLATE: Final = {
    "2.16.840.1.113883.10.20.22.4.2": "laboratory", "2.16.840.1.113883.10.20.22.4.27": "vital-signs",
    "2.16.840.1.113883.10.20.22.4.26": "vital-signs",
    "2.16.840.1.113883.10.20.22.4.38": "social-history", "2.16.840.1.113883.10.20.22.4.78": "social-history",
    "2.16.840.1.113883.10.20.22.4.85": "social-history", "2.16.840.1.113883.10.20.22.4.67": "survey",
    "2.16.840.1.113883.10.20.22.4.69": "survey", "2.16.840.1.113883.10.20.22.4.74": "survey",
    "2.16.840.1.113883.10.20.22.4.13": "procedure", "2.16.840.1.113883.10.20.22.4.200": "social-history",
}  # fmt: skip


def _status_of(mapper: Mapper, node: Node) -> tuple[str, Leaf | None]:
    """The clinical status of a problem: as observed, else by its end, else by the status of the concern."""
    table = mapper.maps.tables["problem-status"].codes
    for path in _STATUS_OBSERVATIONS:
        for leaf in path.leaves(node):
            if leaf.value in table:
                return table[leaf.value], leaf
            mapper.ledger.settle(leaf, Outcome.UNKNOWN, "not a code of the table problem-status")
    time = node.child("effectiveTime")
    high = time.child("high") if time is not None else None
    if high is not None and (high["value"] or high["nullFlavor"] == "UNK"):
        return "resolved", None
    for leaf in _CONCERN_STATUS.leaves(node):
        if found := mapper.maps.tables["concern-status"].codes.get(leaf.value):
            return found, leaf
    return "", None


def condition_status(mapper: Mapper, node: Node) -> Drafted:
    """Condition.clinicalStatus."""
    status, leaf = _status_of(mapper, node)
    if not status:
        return None
    if leaf is not None:
        for other in leaf.node.ancestors():
            if other is node:
                break
            if other.name == "observation":
                mapper.claim(other)
        for beside in ("displayName", "codeSystem"):
            mapper.ledger.settle(Leaf(leaf.node, beside), Outcome.USED, "says what the code says, which is mapped")
    code: Drafted = Taken(status, (leaf,)) if leaf else status
    return {"coding": [{"system": _CONDITION_CLINICAL, "code": code}]}


def abatement(mapper: Mapper, node: Node) -> Typed | None:
    """The end of a problem; an active one has none (invariant con-4)."""
    found = mapper.clock.end(node)
    if found is None or node.parent is None:
        return None
    if _status_of(mapper, node.parent)[0] in _CURRENT:
        for leaf in found.leaves:
            mapper.ledger.settle(leaf, Outcome.UNMAPPED, "an end, but the status says that the problem is active")
        return None
    return Typed("DateTime", found)


def condition_category(node: Node) -> Drafted:
    """Whether it is an item of a problem list or a diagnosis of an encounter: by the section, or by what wraps it."""
    is_diagnosis = section_of(node) in _DIAGNOSES
    code = "encounter-diagnosis" if is_diagnosis else "problem-list-item"
    return {"coding": [{"system": _TERMINOLOGY + "condition-category", "code": code}]}


# --- allergies ------------------------------------------------------------------------------------------------------


def _says_no_allergy(node: Node) -> bool:
    """Negated, and no substance: no known allergy. Negated with a substance: not allergic to that."""
    if node["negationInd"] != "true":
        return False
    return not any(
        ((code := entity.child("code")) is not None and code["code"]) or entity.child("name") is not None
        for entity in _ALLERGEN.nodes(node)
    )


def no_known_allergy(node: Node) -> Drafted:
    """The code of *no known allergy*, of the kind that `value` names."""
    if not _says_no_allergy(node):
        return None
    value = node.child("value")
    kind = value["code"] if value is not None else ""
    code, display = {
        "416098002": ("409137002", "No known drug allergy"), "59037007": ("409137002", "No known drug allergy"),
        "419511003": ("409137002", "No known drug allergy"), "414285001": ("429625007", "No known food allergy"),
        "426232007": ("428607008", "No known environmental allergy"),
    }.get(kind, ("716186003", "No known allergy"))  # fmt: skip
    leaf = Leaf(node, "negationInd")
    return {"coding": [{"system": "http://snomed.info/sct", "code": Taken(code, (leaf,)), "display": display}]}


def substance(mapper: Mapper, node: Node) -> Drafted:
    """What somebody is allergic to: its code, with its name as text."""
    code, name = node.child("code"), node.child("name") or node.child("desc")
    found = mapper.concepts.concept(code) if code is not None else None
    text = mapper.people.organization_name(name) if name is not None else None
    if text is None:
        return found
    if found is None or "text" not in found:
        return {**(found or {}), "text": text}
    for leaf in text.leaves:
        mapper.ledger.settle(leaf, Outcome.UNMAPPED, "the original text of the code stands for it")
    return found


def allergy_verification(node: Node) -> Drafted:
    """AllergyIntolerance.verificationStatus."""
    leaf = Leaf(node, "negationInd")
    refuted = leaf.value == "true" and not _says_no_allergy(node)
    code: Drafted = "refuted" if refuted else "confirmed"
    if leaf.value in ("true", "false"):
        code = Taken(code, (leaf,)) if isinstance(code, str) else code
    return {"coding": [{"system": _TERMINOLOGY + "allergyintolerance-verification", "code": code}]}


def _has_reaction_for(value: Node) -> bool:
    """Whether a reaction takes this severity: its own, or that of the allergy where it has none itself."""
    above = [other for other in value.ancestors() if other.name in ("observation", "act")][1:2]
    if not above:
        return False
    if above[0].parent is not None and above[0].parent["typeCode"] == "MFST":
        return True
    allergies = [above[0], *Path.of("entryRelationship/observation").nodes(above[0])]
    reactions = [reaction for allergy in allergies for reaction in _REACTIONS.nodes(allergy)]
    return any(not _SEVERITIES.leads(reaction) for reaction in reactions)


def severity_note(mapper: Mapper, node: Node) -> Drafted:
    """A severity that AllergyIntolerance has no code or no place for, in words; None where it stands as a code."""
    if node["code"] in mapper.maps.tables["severity"].codes and _has_reaction_for(node):
        return None
    leaves = tuple(leaf for name in ("displayName", "code", "codeSystem") if (leaf := Leaf(node, name)).value)
    if leaves:
        return {
            "text": Taken(f"Severity: {leaves[0].value}", leaves, "" if leaves[0].attribute == "code" else _IN_WORDS)
        }
    text = mapper.concepts.text(node)
    return {"text": Taken(f"Severity: {text.value}", text.leaves)} if text else None


# --- observations ---------------------------------------------------------------------------------------------------


def observation_category(node: Node) -> Drafted:
    """observation-category, by template, else by section."""
    for template in node.named("templateId"):
        if code := _BY_TEMPLATE.get(template["root"]):
            return _category(code)
    parent = node.parent.parent if node.parent is not None else None
    if parent is not None and parent.name == "organizer":
        for template in parent.named("templateId"):
            if code := _BY_TEMPLATE.get(template["root"]):
                return _category(code)
    code = _OBSERVATION_CATEGORIES.get(section_of(node), "")
    return _category(code) if code else None


def _category(code: str) -> DraftedObject:
    return {"coding": [{"system": _TERMINOLOGY + "observation-category", "code": code}]}


def observation_code(mapper: Mapper, node: Node) -> Drafted:
    """The code; where there is none, one that says why."""
    return mapper.concepts.required_concept(node)


# --- encounters -----------------------------------------------------------------------------------------------------


def encounter_class(mapper: Mapper, node: Node) -> Drafted:
    """The first code of v3-ActCode, which Encounter.class asks for; where there is none, that it is not known."""
    code = node.child("code")
    if code is not None:
        for place in (code, *code.named("translation")):
            leaf = Leaf(place, "code")
            if leaf.value in _ENCOUNTER_CLASSES and place["codeSystem"] in ("", "2.16.840.1.113883.5.4"):
                return {"system": _ACT_CODE, "code": Taken(leaf.value, (leaf,))}
    mapper.ledger.default(node, "no class of encounter; unknown was chosen", "Encounter.class")
    return {"system": _TERMINOLOGY + "v3-NullFlavor", "code": "UNK"}


def encounter_status(node: Node) -> Drafted:
    """An encounter that has an end is finished, also one of a single day."""
    high = node.child("high")
    ended = node["value"] if high is None else high["value"]
    return "finished" if ended else None
