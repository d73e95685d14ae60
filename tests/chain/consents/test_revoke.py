from __future__ import annotations

import pytest
from clock import NOON
from decisions import BY_DELEGATE, NO_CONSENT, PERMITTED
from observed import event_of, plain
from refusals import reverts
from sales import DAY
from typed_data import due, keyring

from medibridge.ids import DataClass, Lane, PurposeOfUse

LAB, TREAT = DataClass.LABORATORY, PurposeOfUse.TREAT


def test_revoke_clears_the_consent_and_takes_the_keyring_when_it_is_good(
    consents, patient, hospital, granted, revocation, clock
):
    clock.move_to(NOON + 7)
    transaction = consents.revoke(revocation, {"from": patient})

    assert event_of(transaction) == (
        "Revoked",
        (patient.address, hospital.address, Lane.CARE, NOON + 7, keyring(2)),
    )
    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == (0, 0, 0, 0, NOON + 7, NOON + 7, 0)
    assert plain(consents.keyringOf(patient)) == keyring(2)
    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (keyring(1), bytes(32)),
        (keyring("stale"), keyring(2)),
        (bytes(32), bytes(32)),
        (bytes(32), keyring(2)),
        (keyring(1), keyring(1)),
    ],
    ids=["brings none", "names a stale one", "names none", "names none, brings one", "brings the old one"],
)
def test_revoke_clears_all_the_same_and_marks_a_rotation_as_due_when_the_keyring_is_not_good(
    consents, patient, hospital, granted, revocation, old, new
):
    """[attack] A revoke never fails for its keyring; d becomes H(0x09 ‖ d)."""
    transaction = consents.revoke(revocation._replace(old_keyring=old, new_keyring=new), {"from": patient})

    assert event_of(transaction)[1][-1] == due(keyring(1))
    assert plain(consents.keyringOf(patient)) == due(keyring(1))
    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


def test_revoke_marks_anew_when_a_rotation_was_due_already(consents, patient, granted, revocation):
    for _ in range(3):
        consents.revoke(revocation._replace(new_keyring=bytes(32)), {"from": patient})

    assert plain(consents.keyringOf(patient)) == due(due(due(keyring(1))))


def test_revoke_works_when_nothing_was_ever_granted(consents, patient, hospital, revocation):
    consents.revoke(revocation._replace(old_keyring=bytes(32), new_keyring=bytes(32)), {"from": patient})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == (0, 0, 0, 0, NOON, NOON, 0)
    assert plain(consents.keyringOf(patient)) == due(bytes(32))


def test_revoke_leaves_the_other_lane_and_other_grantees_when_it_names_one(
    consents, patient, hospital, laboratory, granted, research, revocation
):
    for grantee in (hospital, laboratory):
        consents.grant(research._replace(grantee=grantee.address), {"from": patient})

    consents.revoke(revocation, {"from": patient})

    assert consents.permits(patient, hospital, DataClass.IMAGING, PurposeOfUse.HRESCH) == PERMITTED
    assert consents.permits(patient, laboratory, DataClass.IMAGING, PurposeOfUse.HRESCH) == PERMITTED
    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


def test_revoke_raises_the_version_when_it_happens_in_the_second_of_the_grant(
    consents, patient, hospital, granted, revocation
):
    consents.revoke(revocation, {"from": patient})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[4:6] == (NOON + 1, NOON)


def test_revoke_works_for_a_delegate_and_marks_it(consents, patient, delegate, hospital, granted, revocation):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})

    consents.revoke(revocation, {"from": delegate})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == (0, 0, 0, 0, NOON + 1, NOON, BY_DELEGATE)


def test_revoke_works_when_every_institution_is_suspended(
    consents, institutions, admin, hospital, laboratory, patient, granted, revocation
):
    for institution in (hospital, laboratory):
        institutions.suspend(institution, {"from": admin})

    consents.revoke(revocation, {"from": patient})

    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


@pytest.mark.parametrize("who", ["stranger", "hospital", "admin"])
def test_revoke_is_refused_when_the_caller_is_not_the_patient(
    consents, request, patient, hospital, granted, revocation, who
):
    caller = request.getfixturevalue(who)

    with reverts("NotPatientOrDelegate", caller, patient):
        consents.revoke(revocation, {"from": caller})
    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED
    assert plain(consents.keyringOf(patient)) == keyring(1)
