from __future__ import annotations

from clock import NOON
from observed import plain
from typed_data import keyring

from medibridge.ids import Lane


def test_consent_of_is_all_zero_when_nothing_was_granted(consents, patient, hospital):
    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == (0,) * 7


def test_consent_of_keeps_every_bit_when_all_are_set(consents, patient, hospital, care):
    """The slot's fields do not touch each other."""
    widest = care._replace(classes=2**32 - 1, purposes=0xFFFF, start=2**40 - 2, end=2**40 - 1)
    consents.grant(widest, {"from": patient})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == (
        2**32 - 1,
        0xFFFF,
        2**40 - 2,
        2**40 - 1,
        NOON,
        NOON,
        0,
    )
    assert plain(consents.consentOf(patient, hospital, Lane.RESEARCH_AND_SALE)) == (0,) * 7


def test_keyring_of_is_the_patients_own(consents, patient, second_patient, granted):
    assert plain(consents.keyringOf(patient)) == keyring(1)
    assert plain(consents.keyringOf(second_patient)) == bytes(32)


def test_delegate_ends_at_is_zero_when_never_appointed(consents, patient, delegate):
    assert consents.delegateEndsAt(patient, delegate) == 0


def test_eip712_domain_names_contract_and_chain(consents, chain):
    assert plain(consents.eip712Domain())[:5] == (
        b"\x0f",
        "MediBridge Consents",
        "1",
        chain.id,
        consents.address,
    )
