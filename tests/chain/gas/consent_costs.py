"""A patient's life: a card, grants in both lanes, relayed ones, and taking them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clock import NOON, Clock
from gas.measuring import Cost, cost_of
from sales import DAY, digest
from typed_data import Grant, Revocation, keyring, sign_consent

from medibridge.ids import DataClass, Lane, PurposeOfUse


def consent_costs(system: Any, people: dict[str, Any], clock: Clock) -> Iterator[tuple[str, Cost]]:
    consents, patient, relayer = system.consents, people["patient"], people["relayer"]

    def grant(who: str, old: bytes, new: bytes, purpose: PurposeOfUse = PurposeOfUse.TREAT) -> Grant:
        classes = DataClass.LABORATORY.bit | DataClass.MEDICATIONS.bit | DataClass.NOTES.bit
        return Grant(patient.address, people[who].address, classes, purpose.bit, NOON, NOON + 365 * DAY, old, new)

    def relayed(message: Any) -> Any:
        signed = sign_consent(patient, consents, message, clock.pass_by(12), deadline=NOON + DAY)
        send = consents.grantFor if isinstance(message, Grant) else consents.revokeFor
        clock.pass_by(12)
        return send(message, signed, {"from": relayer})

    def revocation(who: str, old: bytes, new: bytes) -> Revocation:
        return Revocation(patient.address, people[who].address, Lane.CARE, old, new)

    own = {"from": patient}
    none, k = bytes(32), [keyring(n) for n in range(10)]
    yield "register a first card", cost_of(system.key_cards.register(digest("card"), own))
    yield "register another card", cost_of(system.key_cards.register(digest("another card"), own))
    yield "first ever grant of a patient", cost_of(consents.grant(grant("hospital", none, k[0]), own))
    yield "further grant", cost_of(consents.grant(grant("laboratory", k[0], k[1]), own))
    yield "further grant, relayed", cost_of(relayed(grant("second_hospital", k[1], k[2])))
    research = grant("laboratory", k[2], k[2], PurposeOfUse.HRESCH)
    yield "further grant for research, which changes no key", cost_of(consents.grant(research, own))
    clock.pass_by(12)
    yield "grant anew to the same grantee", cost_of(consents.grant(grant("hospital", k[2], k[3]), own))
    clock.pass_by(12)
    yield "revoke with a new keyring", cost_of(consents.revoke(revocation("hospital", k[3], k[4]), own))
    yield "revoke with a new keyring, relayed", cost_of(relayed(revocation("laboratory", k[4], k[5])))
    marked = consents.revoke(revocation("second_hospital", none, none), own)
    yield "revoke that marks a rotation as due", cost_of(marked)
    question = (patient, people["hospital"], DataClass.LABORATORY, PurposeOfUse.TREAT)
    yield "decide", cost_of(consents.decide(*question, {"from": people["hospital"]}))
    yield "appoint a delegate", cost_of(consents.appointDelegate(people["delegate"], NOON + DAY, own))
