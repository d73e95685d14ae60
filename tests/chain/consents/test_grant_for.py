from __future__ import annotations

import pytest
from clock import NOON
from decisions import BY_DELEGATE, NO_CONSENT, PERMITTED
from observed import event_of, plain
from refusals import reverts
from sales import DAY
from typed_data import NEVER, Grant, compact, keyring, sign_consent, with_high_s

from medibridge.ids import DataClass, Lane, PurposeOfUse

LAB, TREAT = DataClass.LABORATORY, PurposeOfUse.TREAT
OTHERS = "0x" + "77" * 20


def test_grant_for_gives_the_consent_when_somebody_else_pays(consents, patient, hospital, relayer, care):
    balance = patient.balance()
    transaction = consents.grantFor(care, sign_consent(patient, consents, care, NOON - 60), {"from": relayer})

    assert event_of(transaction) == ("Granted", (*care[:6], NOON - 60, care.new_keyring))
    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == (*care[2:6], NOON - 60, NOON, 0)
    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED
    assert patient.balance() == balance


def test_grant_for_marks_the_delegate_when_a_delegate_signed(consents, patient, delegate, hospital, relayer, care):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})

    consents.grantFor(care, sign_consent(delegate, consents, care, NOON), {"from": relayer})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[6] == BY_DELEGATE


def test_grant_for_is_refused_when_submitted_a_second_time(consents, patient, relayer, research):
    """[attack] A signed consent replayed."""
    # It changes no keyring, so that only its version can stop it.
    again = research._replace(old_keyring=bytes(32), new_keyring=bytes(32))
    signed = sign_consent(patient, consents, again, NOON)
    consents.grantFor(again, signed, {"from": relayer})

    with reverts("VersionSuperseded", NOON, NOON):
        consents.grantFor(again, signed, {"from": relayer})


@pytest.mark.parametrize("version", [1, NOON - 1, NOON])
def test_grant_for_is_refused_when_its_version_is_not_newer_than_the_consents(
    consents, patient, relayer, granted, version
):
    newer = granted._replace(old_keyring=keyring(1), new_keyring=keyring(2))

    with reverts("VersionSuperseded", version, NOON):
        consents.grantFor(newer, sign_consent(patient, consents, newer, version), {"from": relayer})


def test_grant_for_takes_the_newer_of_two_when_both_were_signed(consents, patient, hospital, relayer, granted, clock):
    clock.move_to(NOON + 10)
    newer = granted._replace(old_keyring=keyring(1), new_keyring=keyring(2))

    consents.grantFor(newer, sign_consent(patient, consents, newer, NOON + 1), {"from": relayer})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[4:6] == (NOON + 1, NOON + 10)


@pytest.mark.parametrize("version", [NOON + 1, NEVER, 0])
def test_grant_for_is_refused_when_its_version_lies_in_the_future_or_is_zero(consents, patient, relayer, care, version):
    with reverts("VersionInFuture", version, NOON):
        consents.grantFor(care, sign_consent(patient, consents, care, version), {"from": relayer})


def test_grant_for_works_when_it_is_the_last_second_of_its_deadline(consents, patient, relayer, care, clock):
    signed = sign_consent(patient, consents, care, NOON, deadline=NOON + 5)
    clock.move_to(NOON + 5)

    consents.grantFor(care, signed, {"from": relayer})


def test_grant_for_is_refused_when_its_deadline_has_passed(consents, patient, relayer, care, clock):
    signed = sign_consent(patient, consents, care, NOON, deadline=NOON + 5)
    clock.move_to(NOON + 6)

    with reverts("SignatureExpired", NOON + 5, NOON + 6):
        consents.grantFor(care, signed, {"from": relayer})


@pytest.mark.parametrize(
    "change",
    [
        {"grantee": OTHERS},
        {"classes": 2**32 - 1},
        {"purposes": PurposeOfUse.BTG.bit},
        {"purposes": PurposeOfUse.HRESCH.bit},
        {"start": 0},
        {"end": NEVER},
        {"new_keyring": keyring("forged")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_grant_for_is_refused_when_one_field_is_not_what_was_signed(consents, patient, hospital, relayer, care, change):
    """[attack] The signature covers every field that takes effect."""
    signed = sign_consent(patient, consents, care, NOON)

    with reverts("InvalidSignature", patient):
        consents.grantFor(care._replace(**change), signed, {"from": relayer})
    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


def test_grant_for_is_refused_when_the_old_keyring_is_not_the_signed_one(consents, patient, relayer, granted, research):
    signed = sign_consent(patient, consents, research._replace(old_keyring=keyring("earlier")), NOON)

    with reverts("InvalidSignature", patient):
        consents.grantFor(research, signed, {"from": relayer})


@pytest.mark.parametrize("change", [{"version": NOON - 1}, {"deadline": NEVER}], ids=["version", "deadline"])
def test_grant_for_is_refused_when_version_or_deadline_is_not_the_signed_one(consents, patient, relayer, care, change):
    signed = sign_consent(patient, consents, care, NOON, deadline=NOON + 5)

    with reverts("InvalidSignature", patient):
        consents.grantFor(care, signed._replace(**change), {"from": relayer})


def test_grant_for_is_refused_when_signed_for_another_patient(consents, patient, second_patient, relayer, care):
    signed = sign_consent(second_patient, consents, care._replace(patient=second_patient.address), NOON)

    with reverts("NotPatientOrDelegate", second_patient, patient):
        consents.grantFor(care, signed, {"from": relayer})
    with reverts("InvalidSignature", patient):
        consents.grantFor(care, signed._replace(signer=patient.address), {"from": relayer})


def test_grant_for_is_refused_when_signed_on_another_chain(consents, patient, relayer, care, chain):
    signed = sign_consent(patient, consents, care, NOON, chain_id=chain.id + 1)

    with reverts("InvalidSignature", patient):
        consents.grantFor(care, signed, {"from": relayer})


def test_grant_for_is_refused_when_signed_for_another_contract(consents, Consents, patient, admin, relayer, care):
    another = admin.deploy(Consents)
    signed = sign_consent(patient, another, care, NOON)

    with reverts("InvalidSignature", patient):
        consents.grantFor(care, signed, {"from": relayer})
    another.grantFor(care, signed, {"from": relayer})


def test_grant_for_is_refused_when_a_stranger_signed(consents, patient, stranger, relayer, care):
    signed = sign_consent(stranger, consents, care, NOON)

    with reverts("NotPatientOrDelegate", stranger, patient):
        consents.grantFor(care, signed, {"from": relayer})
    with reverts("InvalidSignature", patient):
        consents.grantFor(care, signed._replace(signer=patient.address), {"from": relayer})


@pytest.mark.parametrize(
    "malleate",
    [
        with_high_s,
        compact,
        lambda signature: signature[:64] + b"\x00",
        lambda signature: signature[:64] + bytes((signature[64] - 27,)),
        lambda signature: signature[:64] + bytes((27 + 28 - signature[64],)),
        lambda signature: signature + b"\x00",
        lambda signature: signature[:-1],
        lambda signature: b"",
        lambda signature: bytes(65),
        lambda signature: b"\xff" * 65,
    ],
    ids=["high s", "64 bytes", "v zero", "v 0 or 1", "other v", "66 bytes", "cut", "none", "zeros", "ones"],
)
def test_grant_for_is_refused_when_the_signature_is_malleated(consents, patient, hospital, relayer, care, malleate):
    """[attack] One message, one signature."""
    signed = sign_consent(patient, consents, care, NOON)
    assert malleate(signed.signature) != signed.signature

    with reverts("InvalidSignature", patient):
        consents.grantFor(care, signed._replace(signature=malleate(signed.signature)), {"from": relayer})
    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


def test_grant_for_is_refused_when_nobody_is_said_to_have_signed(consents, relayer, care):
    nobody = "0x" + "00" * 20
    granted = care._replace(patient=nobody)

    with reverts("InvalidSignature", nobody):
        consents.grantFor(granted, (nobody, NOON, NEVER, b"\xff" * 65), {"from": relayer})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"classes": 0}, ("EmptyConsent", 0, TREAT.bit)),
        ({"purposes": TREAT.bit | 1 << 16}, ("PurposesSpanLanes", TREAT.bit | 1 << 16)),
        ({"end": NOON}, ("InvalidPeriod", NOON, NOON, NOON)),
        ({"grantee": "0x" + "00" * 20}, ("InvalidGrantee", "0x" + "00" * 20)),
        ({"old_keyring": keyring(9)}, ("KeyringChanged", bytes(32), keyring(9))),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_grant_for_is_refused_as_a_grant_is_when_what_was_signed_is_unsound(
    consents, patient, relayer, care, change, error
):
    unsound: Grant = care._replace(**change)

    with reverts(*error):
        consents.grantFor(unsound, sign_consent(patient, consents, unsound, NOON), {"from": relayer})
