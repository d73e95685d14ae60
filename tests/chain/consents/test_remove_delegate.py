from __future__ import annotations

from clock import NOON
from decisions import PERMITTED
from observed import event_of, plain
from refusals import reverts
from sales import DAY
from typed_data import due, keyring, sign_consent

from medibridge.ids import DataClass, PurposeOfUse


def test_remove_delegate_ends_its_power_at_once_and_takes_the_keyring(consents, patient, delegate, granted):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})

    transaction = consents.removeDelegate(delegate, keyring(1), keyring(2), {"from": patient})

    assert event_of(transaction) == ("DelegateRemoved", (patient.address, delegate.address, keyring(2)))
    assert consents.delegateEndsAt(patient, delegate) == 0
    assert plain(consents.keyringOf(patient)) == keyring(2)
    with reverts("NotPatientOrDelegate", delegate, patient):
        consents.replaceKeyring(patient, keyring(2), keyring(3), {"from": delegate})


def test_remove_delegate_marks_a_rotation_as_due_when_the_keyring_is_not_good(consents, patient, delegate, granted):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})

    consents.removeDelegate(delegate, keyring("stale"), keyring(2), {"from": patient})

    assert plain(consents.keyringOf(patient)) == due(keyring(1))


def test_remove_delegate_kills_what_the_delegate_had_signed(
    consents, patient, delegate, relayer, care, granted, research
):
    """[attack] Presigned messages of a removed delegate are dead, also when it is appointed again."""
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})
    signed = sign_consent(delegate, consents, research, NOON)

    consents.removeDelegate(delegate, keyring(1), keyring(2), {"from": patient})
    with reverts("NotPatientOrDelegate", delegate, patient):
        consents.grantFor(research, signed, {"from": relayer})

    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})
    with reverts("KeyringChanged", keyring(2), keyring(1)):
        consents.grantFor(research, signed, {"from": relayer})


def test_remove_delegate_leaves_what_it_granted_until_revoked(consents, patient, delegate, hospital, care):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})
    consents.grant(care, {"from": delegate})

    consents.removeDelegate(delegate, keyring(1), keyring(2), {"from": patient})

    assert consents.permits(patient, hospital, DataClass.LABORATORY, PurposeOfUse.TREAT) == PERMITTED


def test_remove_delegate_never_fails_when_there_was_none(consents, patient, stranger):
    consents.removeDelegate(stranger, bytes(32), bytes(32), {"from": patient})

    assert plain(consents.keyringOf(patient)) == due(bytes(32))


def test_remove_delegate_by_a_delegate_removes_nobody_of_the_patients(consents, patient, delegate, stranger):
    for account in (delegate, stranger):
        consents.appointDelegate(account, NOON + DAY, {"from": patient})

    consents.removeDelegate(stranger, bytes(32), bytes(32), {"from": delegate})

    assert consents.delegateEndsAt(patient, stranger) == NOON + DAY
    assert plain(consents.keyringOf(patient)) == bytes(32)
