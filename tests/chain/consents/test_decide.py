from __future__ import annotations

from clock import NOON
from decisions import CLASS_NOT_COVERED, ENDED, NO_CONSENT, PERMITTED
from observed import event_of

from medibridge.ids import DataClass, PurposeOfUse

LAB, TREAT = DataClass.LABORATORY, PurposeOfUse.TREAT


def test_decide_writes_a_permit_in_the_askers_name(consents, patient, hospital, stranger, granted):
    transaction = consents.decide(patient, hospital, LAB, TREAT, {"from": stranger})

    assert event_of(transaction) == (
        "Decided",
        (patient.address, hospital.address, stranger.address, LAB, TREAT, PERMITTED),
    )
    assert consents.decide.call(patient, hospital, LAB, TREAT, {"from": stranger}) == PERMITTED


def test_decide_writes_a_denial_with_its_reason_and_never_reverts(consents, patient, hospital, granted, clock):
    def decided(*question):
        return event_of(consents.decide(patient, *question, {"from": hospital}))[1][-1]

    assert decided(hospital, DataClass.IMAGING, TREAT) == CLASS_NOT_COVERED
    assert decided(hospital, 255, 255) == NO_CONSENT
    assert decided("0x" + "00" * 20, LAB, TREAT) == NO_CONSENT
    clock.move_to(NOON + 40 * 86_400)
    assert decided(hospital, LAB, TREAT) == ENDED
