from __future__ import annotations

import pytest
from clock import NOON
from decisions import BY_DELEGATE, NO_CONSENT, PERMITTED
from observed import event_of, plain
from refusals import reverts
from sales import DAY
from typed_data import NEVER, due, keyring, sign_consent, with_high_s

from medibridge.ids import DataClass, Lane, PurposeOfUse

LAB, TREAT = DataClass.LABORATORY, PurposeOfUse.TREAT


def test_revoke_for_clears_the_consent_when_somebody_else_pays(
    consents, patient, hospital, relayer, granted, revocation, clock
):
    clock.move_to(NOON + 20)
    signed = sign_consent(patient, consents, revocation, NOON + 10)

    transaction = consents.revokeFor(revocation, signed, {"from": relayer})

    assert event_of(transaction) == (
        "Revoked",
        (patient.address, hospital.address, Lane.CARE, NOON + 20, keyring(2)),
    )
    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == (0, 0, 0, 0, NOON + 20, NOON + 20, 0)


def test_revoke_for_works_when_it_was_signed_in_the_second_of_the_grant(
    consents, patient, hospital, relayer, granted, revocation
):
    consents.revokeFor(revocation, sign_consent(patient, consents, revocation, NOON), {"from": relayer})

    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


def test_revoke_for_clears_all_the_same_when_it_names_a_stale_keyring(
    consents, patient, hospital, relayer, granted, revocation
):
    stale = revocation._replace(old_keyring=keyring("stale"))

    consents.revokeFor(stale, sign_consent(patient, consents, stale, NOON), {"from": relayer})

    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT
    assert plain(consents.keyringOf(patient)) == due(keyring(1))


def test_revoke_for_marks_the_delegate_when_a_delegate_signed(
    consents, patient, delegate, hospital, relayer, granted, revocation
):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})

    consents.revokeFor(revocation, sign_consent(delegate, consents, revocation, NOON), {"from": relayer})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[6] == BY_DELEGATE


def test_revoke_for_is_refused_when_a_newer_consent_stands(consents, patient, hospital, relayer, granted, revocation):
    """[attack] An old signed revocation cannot take back what was granted after it."""
    with reverts("VersionSuperseded", NOON - 1, NOON):
        consents.revokeFor(revocation, sign_consent(patient, consents, revocation, NOON - 1), {"from": relayer})
    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED


@pytest.mark.parametrize("later", [1, 12])
def test_revoke_for_is_refused_when_submitted_a_second_time(
    consents, patient, hospital, relayer, granted, revocation, clock, later
):
    """[attack] A signed revocation replayed would mark a rotation as due again and again."""
    clock.move_to(NOON + 10)
    signed = sign_consent(patient, consents, revocation, NOON + 10)
    clock.move_to(NOON + 10 + later)
    consents.revokeFor(revocation, signed, {"from": relayer})

    with reverts("VersionSuperseded", NOON + 10, NOON + 10 + later):
        consents.revokeFor(revocation, signed, {"from": relayer})
    assert plain(consents.keyringOf(patient)) == keyring(2)


def test_revoke_for_is_refused_when_replayed_after_it_was_submitted_in_the_second_it_was_signed(
    consents, patient, hospital, relayer, granted, revocation, clock
):
    """[attack] The same where blocks are quicker than seconds: whoever replays must not kill the new keyring."""
    clock.move_to(NOON + 10)
    signed = sign_consent(patient, consents, revocation, NOON + 10)
    consents.revokeFor(revocation, signed, {"from": relayer})

    with reverts("VersionSuperseded", NOON + 10, NOON + 11):
        consents.revokeFor(revocation, signed, {"from": relayer})
    assert plain(consents.keyringOf(patient)) == keyring(2)


@pytest.mark.parametrize("version", [NOON + 1, NEVER, 0])
def test_revoke_for_is_refused_when_its_version_lies_in_the_future_or_is_zero(
    consents, patient, relayer, granted, revocation, version
):
    with reverts("VersionInFuture", version, NOON):
        consents.revokeFor(revocation, sign_consent(patient, consents, revocation, version), {"from": relayer})


def test_revoke_for_is_refused_when_its_deadline_has_passed(consents, patient, relayer, granted, revocation, clock):
    signed = sign_consent(patient, consents, revocation, NOON, deadline=NOON + 1)
    clock.move_to(NOON + 2)

    with reverts("SignatureExpired", NOON + 1, NOON + 2):
        consents.revokeFor(revocation, signed, {"from": relayer})


@pytest.mark.parametrize(
    "change",
    [
        {"grantee": "0x" + "77" * 20},
        {"lane": Lane.RESEARCH_AND_SALE},
        {"old_keyring": keyring("other")},
        {"new_keyring": keyring("forged")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_revoke_for_is_refused_when_one_field_is_not_what_was_signed(
    consents, patient, relayer, granted, revocation, change
):
    signed = sign_consent(patient, consents, revocation, NOON)

    with reverts("InvalidSignature", patient):
        consents.revokeFor(revocation._replace(**change), signed, {"from": relayer})


def test_revoke_for_is_refused_when_signed_on_another_chain_or_contract(
    consents, patient, relayer, granted, revocation, chain
):
    for elsewhere in ({"chain_id": chain.id + 1}, {"contract": "0x" + "66" * 20}):
        with reverts("InvalidSignature", patient):
            consents.revokeFor(
                revocation, sign_consent(patient, consents, revocation, NOON, **elsewhere), {"from": relayer}
            )


def test_revoke_for_is_refused_when_the_signature_is_malleated(consents, patient, relayer, granted, revocation):
    signed = sign_consent(patient, consents, revocation, NOON)

    with reverts("InvalidSignature", patient):
        consents.revokeFor(revocation, signed._replace(signature=with_high_s(signed.signature)), {"from": relayer})


def test_revoke_for_is_refused_when_a_stranger_signed(consents, patient, stranger, relayer, granted, revocation):
    with reverts("NotPatientOrDelegate", stranger, patient):
        consents.revokeFor(revocation, sign_consent(stranger, consents, revocation, NOON), {"from": relayer})


def test_revoke_for_and_grant_for_never_take_the_others_signature(consents, patient, relayer, granted, revocation):
    signed = sign_consent(patient, consents, granted, NOON)

    with reverts("InvalidSignature", patient):
        consents.revokeFor(revocation, signed, {"from": relayer})
