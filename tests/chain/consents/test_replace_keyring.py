from __future__ import annotations

from clock import NOON
from observed import event_of, plain
from refusals import reverts
from sales import DAY
from typed_data import due, keyring


def test_replace_keyring_publishes_the_first_when_there_is_none(consents, patient):
    transaction = consents.replaceKeyring(patient, bytes(32), keyring(1), {"from": patient})

    assert event_of(transaction) == ("KeyringReplaced", (patient.address, keyring(1)))
    assert plain(consents.keyringOf(patient)) == keyring(1)


def test_replace_keyring_ends_the_mark_when_a_rotation_was_due(consents, patient, granted, revocation):
    consents.revoke(revocation._replace(new_keyring=bytes(32)), {"from": patient})

    consents.replaceKeyring(patient, due(keyring(1)), keyring(2), {"from": patient})

    assert plain(consents.keyringOf(patient)) == keyring(2)


def test_replace_keyring_works_for_a_delegate(consents, patient, delegate):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})

    consents.replaceKeyring(patient, bytes(32), keyring(1), {"from": delegate})

    assert plain(consents.keyringOf(patient)) == keyring(1)


def test_replace_keyring_is_refused_when_another_stands(consents, patient, granted):
    with reverts("KeyringChanged", keyring(1), keyring("stale")):
        consents.replaceKeyring(patient, keyring("stale"), keyring(2), {"from": patient})


def test_replace_keyring_is_refused_when_none_is_given(consents, patient, granted):
    with reverts("KeyringMissing", patient):
        consents.replaceKeyring(patient, keyring(1), bytes(32), {"from": patient})


def test_replace_keyring_is_refused_when_nothing_would_change(consents, patient, granted, second_patient):
    with reverts("KeyringMissing", patient):
        consents.replaceKeyring(patient, keyring(1), keyring(1), {"from": patient})
    with reverts("KeyringMissing", second_patient):
        consents.replaceKeyring(second_patient, bytes(32), bytes(32), {"from": second_patient})


def test_replace_keyring_is_refused_when_the_caller_is_not_the_patient(consents, patient, hospital, granted):
    with reverts("NotPatientOrDelegate", hospital, patient):
        consents.replaceKeyring(patient, keyring(1), keyring(2), {"from": hospital})
    assert plain(consents.keyringOf(patient)) == keyring(1)
