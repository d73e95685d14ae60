"""Who did it: authors, performers, informants and other participations as references.

A person, an organisation and a function together are a PractitionerRole; each alone is a Practitioner or Organization.
Somebody who is no professional is a RelatedPerson, a system a Device, the patient the Patient.
"""

from __future__ import annotations

from typing import Final

from medibridge.formats.ccda.document import Node
from medibridge.formats.ccda.ledger import Drafted
from medibridge.formats.ccda.mapping import Mapper
from medibridge.record import JsonObject

__all__ = ["agent", "role_of"]

_ROLES: Final = (
    "assignedAuthor", "assignedEntity", "assignedCustodian", "relatedEntity", "associatedEntity", "intendedRecipient",
    "participantRole", "healthCareFacility", "responsibleParty", "relatedSubject", "specimenRole",
)  # fmt: skip
_ORGANIZATIONS: Final = ("representedOrganization", "representedCustodianOrganization", "scopingOrganization",
                         "receivedOrganization", "scopingEntity", "serviceProviderOrganization")  # fmt: skip
_PERSONS: Final = ("assignedPerson", "associatedPerson", "informationRecipient", "relatedPerson")
_RELATED: Final = frozenset({"PRS", "NOK", "ECON", "GUAR", "CAREGIVER", "AGNT", "CON", "GUARD", "POLHOLD"})


def role_of(node: Node) -> Node | None:
    """The role that a participation holds, or the node itself if it is one."""
    if node.name in _ROLES and node.name != "responsibleParty":
        return node
    for child in node.children:
        if child.name in _ROLES:
            return role_of(child) if child.name == "responsibleParty" else child
    return None


def agent(mapper: Mapper, node: Node) -> JsonObject | None:
    """A reference to who takes part; None where nobody is named."""
    role = role_of(node)
    if role is None:
        return None
    if role.child("assignedAuthoringDevice") is not None:
        return mapper.make_named("authoring-device", role)
    if role.name == "relatedEntity" or role["classCode"] in _RELATED:
        return mapper.make_named("related-person", role)
    return mapper.once("professional", role, lambda: _professional(mapper, role))


def _professional(mapper: Mapper, role: Node) -> JsonObject | None:
    holder = next((child for name in _ORGANIZATIONS if (child := role.child(name)) is not None), None)
    organization = mapper.make_named("organization", holder) if holder is not None else None
    person = next((child for name in (*_PERSONS, "playingEntity") if (child := role.child(name)) is not None), None)
    is_named = person is not None or any(name["root"] or name["extension"] for name in role.named("id"))
    practitioner = mapper.make_named("practitioner", role) if is_named or organization is None else None
    code = role.child("code")
    function = role.parent.child("functionCode") if role.parent is not None else None
    parts: dict[str, Drafted] = {}
    if practitioner:
        parts["practitioner"] = practitioner
    if organization:
        parts["organization"] = organization
    codes = [found for place in (function,) if place is not None and (found := mapper.concepts.concept(place))]
    specialty = mapper.concepts.concept(code) if code is not None else None
    if len(parts) == 2 or (parts and (specialty or codes)):
        if codes:
            parts["code"] = codes
        if specialty:
            parts["specialty"] = [specialty]
        return mapper.draft.add({"resourceType": "PractitionerRole", **parts}, role, None)
    return practitioner or organization
