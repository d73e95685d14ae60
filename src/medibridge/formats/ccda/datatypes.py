"""The datatypes that the maps name after ``as``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from medibridge.formats.ccda import agents, clinical, demographics, values
from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, Taken
from medibridge.formats.ccda.mapping import Datatypes, Mapper, Typed
from medibridge.formats.ccda.timing import Timings
from medibridge.formats.conversion import Outcome

__all__ = ["DATATYPES"]

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


def _moment(mapper: Mapper, node: Node) -> Typed | None:
    return values.time(mapper, node)


def _onset(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.clock.start(node)
    return Typed("DateTime", found) if found else None


def _first_time(mapper: Mapper, node: Node) -> Typed | None:
    """A time of which FHIR takes only one point, or a text that says why there is none."""
    found = mapper.clock.start(node)
    if found:
        return Typed("DateTime", found)
    code = mapper.concepts.absent_code(node)
    return Typed("String", Taken("unknown", code.leaves)) if code else None


def _dose(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.quantities.interval(node)
    if found is None:
        return None
    kind, value = found
    if kind == "Quantity" and isinstance(value, Mapping) and "unit" not in value and "code" not in value:
        unit = node.parent.child("administrationUnitCode") if node.parent is not None else None
        coding = mapper.concepts.coding(unit) if unit is not None else None
        if coding and "comparator" not in value:
            names = (("display", "unit"), ("system", "system"), ("code", "code"))
            return Typed(kind, {**value, **{name: coding[key] for key, name in names if key in coding}})
    if kind == "Quantity" and isinstance(value, Mapping) and "comparator" in value:
        return Typed("Range", mapper.quantities.range(node))
    return Typed(kind, value)


def _identifier(mapper: Mapper, node: Node) -> Drafted:
    return mapper.concepts.identifier(node)


def _annotation(mapper: Mapper, node: Node) -> Drafted:
    """A text as Annotation; of a comment with its author and time."""
    statement = node if node.name == "act" else None
    place = node.child("text") if statement else node
    text = mapper.concepts.text(place) if place is not None else None
    if text is None:
        return None
    found: dict[str, Drafted] = {"text": text}
    author = statement.child("author") if statement else None
    if author is not None:
        time = author.child("time")
        if time is not None and (moment := mapper.clock.date_time(time)):
            found["time"] = moment
        if reference := agents.agent(mapper, author):
            found["authorReference"] = reference
    return found


def _extension(mapper: Mapper, node: Node, argument: str) -> Drafted:
    """An extension of FHIR itself: ``patient-religion CodeableConcept concept``."""
    name, kind, how = argument.split()
    value = mapper.datatypes.plain[how](mapper, node)
    if isinstance(value, Typed):
        value = value.value
    return {"url": f"http://hl7.org/fhir/StructureDefinition/{name}", f"value{kind}": value} if value else None


def _make(mapper: Mapper, node: Node, argument: str) -> Drafted:
    return mapper.make_named(argument, node)


def _reference(mapper: Mapper, node: Node, argument: str = "") -> Drafted:
    """A reference to the resource of another statement; of the types in `argument` only, where there are some."""
    found = mapper.refer(node)
    if found is None or (argument and str(found["reference"]).partition("/")[0] not in argument.split("|")):
        return None
    return found


def _attachment(mapper: Mapper, node: Node) -> Drafted:
    """ED as Attachment: base64 as it is, text in UTF-8, or the address of the content."""
    import base64  # noqa: PLC0415 - one of many

    found: dict[str, Drafted] = {}
    own, text = Leaf(node, ""), mapper.concepts.text(node)
    reference = node.child("reference")
    if node["representation"].upper() == "B64":
        data = "".join(own.value.split())
        if data and len(data) % 4 == 0 and _BASE64.fullmatch(data):
            found["data"] = Taken(data, (own,))
        elif data:
            mapper.ledger.refuse(own, "not base64")
    elif text is not None:
        found["data"] = Taken(base64.b64encode(str(text.value).encode()).decode(), text.leaves)
    elif reference is not None and reference["value"] and not reference["value"].startswith("#"):
        found["url"] = Taken(reference["value"], (Leaf(reference, "value"),))
    if not found:
        return None
    media = Leaf(node, "mediaType")
    if media.value and _MEDIA_TYPE.fullmatch(media.value):
        found["contentType"] = Taken(media.value, (media,))
    elif text is not None and "data" in found:
        found["contentType"] = "text/plain; charset=utf-8"
    return found


def _timing(mapper: Mapper, node: Node) -> Drafted:
    return Timings(mapper.ledger, mapper.clock).timing(node)


def _boolean_or_concept(mapper: Mapper, node: Node) -> Typed | None:
    """A precondition of a dose: what it is for, else that there is one."""
    for path in ("value", "code", "text"):
        place = node.child(path)
        if place is not None and place["code"] != "ASSERTION" and (found := mapper.concepts.concept(place)):
            return Typed("CodeableConcept", found)
    return Typed("Boolean", True) if node.children else None


def _refills(mapper: Mapper, node: Node) -> Drafted:
    return mapper.quantities.integer(node.child("high") or node)


def _deceased(mapper: Mapper, node: Node) -> Typed | None:
    if node.name.endswith("Time"):
        return _onset(mapper, node)
    return values.boolean(node)


def _dose_number(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.quantities.integer(node) if node["value"] else None
    return Typed("PositiveInt", found) if found and str(found.value) != "0" else None


def _age(mapper: Mapper, node: Node) -> Typed | None:
    """An age as Age, which is in UCUM; without a unit, as a text."""
    found = mapper.quantities.quantity(node)
    if found and "code" in found:
        return Typed("Age", found)
    return Typed("String", Taken(node["value"], (Leaf(node, "value"),))) if found else None


def _medicine(mapper: Mapper, node: Node) -> Typed | None:
    """A product as CodeableConcept; as Medication where more than its code and name is known."""
    material = node.child("manufacturedMaterial") or node.child("manufacturedLabeledDrug")
    maker = node.child("manufacturerOrganization")
    if material is None:
        return None
    name, lot = material.child("name"), material.child("lotNumberText")
    code = material.child("code")
    coded = code is not None and bool(mapper.concepts.concept(code))
    if any(part is not None and part.all_text() for part in (maker, lot)) or not coded:
        made = mapper.make_named("medication", node)
        return Typed("Reference", made) if made else None
    concept = mapper.concepts.concept(code) if code is not None else None
    assert concept is not None  # noqa: S101 - coded
    if name is not None and "text" not in concept and (text := mapper.people.organization_name(name)):
        concept = {**concept, "text": text}
    elif name is not None and name.all_text():
        mapper.ledger.settle(Leaf(name, ""), Outcome.UNMAPPED, "the original text of the code stands for it")
    return Typed("CodeableConcept", concept)


def _absent_medicine(mapper: Mapper, node: Node) -> Typed:
    return Typed("CodeableConcept", mapper.concepts.required_concept(node))


def _agent_organization(mapper: Mapper, node: Node) -> Drafted:
    """The organisation that takes part, of whomever acts for it."""
    role = agents.role_of(node)
    held = role.child("representedOrganization") if role is not None else None
    if held is not None and (found := mapper.make_named("organization", held)):
        return found
    found = agents.agent(mapper, node)
    return found if found and str(found["reference"]).startswith("Organization/") else None


def _born(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.clock.date(node)
    return Typed("Date", found) if found else None


def _device_reference(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.make_named("device" if node.name == "participantRole" else "product-device", node)
    return Typed("Reference", found) if found else None


def _typed_concept(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.concepts.concept(node)
    return Typed("CodeableConcept", found) if found else None


def _goal_start(mapper: Mapper, node: Node) -> Typed | None:
    place = node.child("low") or node
    found = mapper.clock.date(place)
    return Typed("Date", found) if found else None


def _onset_period(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.clock.period(node)
    return Typed("Period", found) if found else None


def _participant(mapper: Mapper, node: Node, argument: str) -> Drafted:
    """Who else had to do with the document, in the extensions of HL7's US Realm Header."""
    found = agents.agent(mapper, node)
    url = f"http://hl7.org/fhir/us/ccda/StructureDefinition/{argument}"
    return {"url": url, "valueReference": found} if found else None


def _range_text(mapper: Mapper, node: Node) -> Drafted:
    """A reference range that is no interval of numbers."""
    if node.child("low") is not None or node.child("high") is not None:
        return None
    if node["value"]:
        return Taken(node["value"], (Leaf(node, "value"),))
    concept = node["displayName"]
    return Taken(concept, (Leaf(node, "displayName"),)) if concept else mapper.concepts.text(node)


def _rate_quantity(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.quantities.interval(node)
    return Typed(*found) if found and found[0] == "Quantity" else None


def _version(node: Node) -> Drafted:
    return Taken(node["value"], (Leaf(node, "value"),)) if node["value"] else None


_PLAIN: Final[Mapping[str, Callable[[Mapper, Node], Drafted | Typed]]] = {
    "abatement": clinical.abatement,
    "absent": lambda m, n: m.concepts.absent_concept(n),
    "absent-concept": lambda m, n: {"extension": [m.concepts.absent(n)]},
    "absent-medicine": _absent_medicine,
    "address": lambda m, n: m.people.address(n),
    "age": _age,
    "agent": agents.agent,
    "agent-organization": _agent_organization,
    "allergy-verification": lambda _, n: clinical.allergy_verification(n),
    "annotation": _annotation,
    "any": values.any_value,
    "attachment": _attachment,
    "attester-mode": lambda _, n: "legal" if n.name == "legalAuthenticator" else "professional",
    "birth-time": demographics.birth_time,
    "born": _born,
    "concept": lambda m, n: m.concepts.concept(n),
    "condition-category": lambda _, n: clinical.condition_category(n),
    "condition-status": clinical.condition_status,
    "date": lambda m, n: m.clock.date(n),
    "date-time": lambda m, n: m.clock.date_time(n),
    "deceased": _deceased,
    "deceased-date": _born,
    "device-reference": _device_reference,
    "dose": _dose,
    "dose-number": _dose_number,
    "encounter-class": clinical.encounter_class,
    "encounter-status": lambda _, n: clinical.encounter_status(n),
    "first-time": _first_time,
    "goal-start": _goal_start,
    "identifier": _identifier,
    "instant": lambda m, n: m.clock.instant(n),
    "language": demographics.language,
    "language-code": lambda _, n: demographics.language_code(n),
    "medicine": _medicine,
    "moment": _moment,
    "multiple-birth": demographics.multiple_birth,
    "name": lambda m, n: m.people.name(n),
    "needed": _boolean_or_concept,
    "no-known-allergy": lambda _, n: clinical.no_known_allergy(n),
    "observation-category": lambda _, n: clinical.observation_category(n),
    "observation-code": clinical.observation_code,
    "onset": _onset,
    "onset-date": lambda m, n: m.clock.start(n),
    "onset-period": _onset_period,
    "organization-name": lambda m, n: m.people.organization_name(n),
    "period": lambda m, n: m.clock.period(n),
    "proficiency": demographics.proficiency,
    "quantity": lambda m, n: m.quantities.quantity(n),
    "range-text": _range_text,
    "rate-quantity": _rate_quantity,
    "ratio": lambda m, n: m.quantities.ratio(n),
    "reference": _reference,
    "refills": _refills,
    "required-concept": lambda m, n: m.concepts.required_concept(n),
    "severity-note": clinical.severity_note,
    "sex": demographics.sex,
    "start": lambda m, n: m.clock.start(n),
    "substance": clinical.substance,
    "telecom": lambda m, n: m.people.telecom(n),
    "text": lambda m, n: m.concepts.text(n),
    "timing": _timing,
    "typed-concept": _typed_concept,
    "unknown-time": lambda _m, _n: Typed("String", "unknown"),
    "version": lambda _, n: _version(n),
}

_QUALIFIED: Final[Mapping[str, Callable[[Mapper, Node, str], Drafted | Typed]]] = {
    "extension": _extension,
    "made": _make,
    "participant": _participant,
    "race": demographics.race,
    "reference": _reference,
}
"""Those that a word after them makes more exact: ``made practitioner``."""

DATATYPES: Final = Datatypes(_PLAIN, _QUALIFIED)
