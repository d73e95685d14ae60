from __future__ import annotations

import pytest
from clock import NOON
from decisions import NO_CONSENT
from observed import event_of
from refusals import reverts
from sales import DAY
from typed_data import NEVER, keyring, sign_consent

from medibridge.ids import DataClass, PurposeOfUse

NOBODY = "0x" + "00" * 20


def test_appoint_delegate_gives_the_power_until_its_end(consents, patient, delegate):
    transaction = consents.appointDelegate(delegate, NOON + DAY, {"from": patient})

    assert event_of(transaction) == ("DelegateAppointed", (patient.address, delegate.address, NOON + DAY))
    assert consents.delegateEndsAt(patient, delegate) == NOON + DAY


def test_appoint_delegate_changes_the_end_when_appointed_already(consents, patient, delegate):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})
    consents.appointDelegate(delegate, NOON + 1, {"from": patient})

    assert consents.delegateEndsAt(patient, delegate) == NOON + 1


def test_appoint_delegate_gives_power_over_the_callers_consents_only(consents, patient, second_patient, delegate, care):
    consents.appointDelegate(delegate, NOON + DAY, {"from": second_patient})

    with reverts("NotPatientOrDelegate", delegate, patient):
        consents.grant(care, {"from": delegate})


def test_appoint_delegate_lets_it_act_in_its_last_second_and_not_in_the_next(
    consents, patient, delegate, care, granted, revocation, clock
):
    consents.appointDelegate(delegate, NOON + 10, {"from": patient})
    clock.move_to(NOON + 9)
    consents.replaceKeyring(patient, keyring(1), keyring(2), {"from": delegate})

    clock.move_to(NOON + 10)
    with reverts("NotPatientOrDelegate", delegate, patient):
        consents.replaceKeyring(patient, keyring(2), keyring(3), {"from": delegate})
    with reverts("NotPatientOrDelegate", delegate, patient):
        consents.grant(care._replace(old_keyring=keyring(2)), {"from": delegate})
    with reverts("NotPatientOrDelegate", delegate, patient):
        consents.revoke(revocation, {"from": delegate})


def test_appoint_delegate_kills_what_it_signed_when_its_end_is_reached(
    consents, patient, delegate, hospital, relayer, care, clock
):
    consents.appointDelegate(delegate, NOON + 10, {"from": patient})
    signed = sign_consent(delegate, consents, care, NOON)

    clock.move_to(NOON + 10)
    with reverts("NotPatientOrDelegate", delegate, patient):
        consents.grantFor(care, signed, {"from": relayer})
    assert consents.permits(patient, hospital, DataClass.LABORATORY, PurposeOfUse.TREAT) == NO_CONSENT


def test_appoint_delegate_by_a_delegate_appoints_for_itself_only(consents, patient, delegate, stranger, care):
    """[attack] A delegate appoints nobody for the patient."""
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})
    consents.appointDelegate(stranger, NOON + DAY, {"from": delegate})

    assert consents.delegateEndsAt(patient, stranger) == 0
    with reverts("NotPatientOrDelegate", stranger, patient):
        consents.grant(care, {"from": stranger})


@pytest.mark.parametrize("ends_at", [0, NOON - 1, NOON])
def test_appoint_delegate_is_refused_when_the_end_is_not_in_the_future(consents, patient, delegate, ends_at):
    with reverts("InvalidDelegate", delegate, ends_at):
        consents.appointDelegate(delegate, ends_at, {"from": patient})


def test_appoint_delegate_is_refused_when_the_delegate_is_nobody_or_the_caller(consents, patient):
    for account in (NOBODY, patient.address):
        with reverts("InvalidDelegate", account, NEVER):
            consents.appointDelegate(account, NEVER, {"from": patient})
