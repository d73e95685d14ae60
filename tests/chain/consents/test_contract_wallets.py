"""Wallets that are contracts (ERC-1271), honest and hostile, and accounts with code of their own (EIP-7702)."""

from __future__ import annotations

import pytest
from brownie import web3
from clock import NOON
from decisions import NO_CONSENT, PERMITTED
from eth_account import Account
from observed import plain
from refusals import reverts
from typed_data import keyring, sign_consent

from medibridge.ids import DataClass, Lane, PurposeOfUse

LAB, TREAT = DataClass.LABORATORY, PurposeOfUse.TREAT

(HONEST, BURNS_ALL_GAS, YES_TO_ANYTHING, ONES, MAGIC_WITH_TAIL, FOUR_BYTES, NOTHING, REVERTS) = range(8)


@pytest.fixture
def wallet(ContractWallet, patient):
    """The patient's wallet contract; the patient's own account is its owner."""
    return patient.deploy(ContractWallet, patient)


@pytest.fixture
def from_wallet(care, wallet):
    return care._replace(patient=wallet.address)


def test_grant_for_takes_a_wallets_signature_when_its_owner_signed(
    consents, patient, hospital, relayer, wallet, from_wallet
):
    signed = sign_consent(patient, consents, from_wallet, NOON, signed_as=wallet.address)

    consents.grantFor(from_wallet, signed, {"from": relayer})

    assert consents.permits(wallet, hospital, LAB, TREAT) == PERMITTED
    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


def test_grant_and_revoke_work_for_a_wallet_by_its_own_transaction(
    consents, patient, hospital, wallet, from_wallet, revocation
):
    wallet.execute(consents, consents.grant.encode_input(from_wallet), {"from": patient})
    assert consents.permits(wallet, hospital, LAB, TREAT) == PERMITTED

    taken_back = revocation._replace(patient=wallet.address)
    wallet.execute(consents, consents.revoke.encode_input(taken_back), {"from": patient})
    assert consents.permits(wallet, hospital, LAB, TREAT) == NO_CONSENT


def test_grant_for_is_refused_when_somebody_else_signed_for_the_wallet(
    consents, stranger, relayer, wallet, from_wallet
):
    signed = sign_consent(stranger, consents, from_wallet, NOON, signed_as=wallet.address)

    with reverts("InvalidSignature", wallet):
        consents.grantFor(from_wallet, signed, {"from": relayer})


def test_grant_for_is_refused_when_the_wallet_has_changed_its_signer_since(
    consents, patient, stranger, relayer, wallet, from_wallet
):
    signed = sign_consent(patient, consents, from_wallet, NOON, signed_as=wallet.address)
    wallet.changeOwner(stranger, {"from": patient})

    with reverts("InvalidSignature", wallet):
        consents.grantFor(from_wallet, signed, {"from": relayer})


@pytest.mark.parametrize(
    "manner",
    [BURNS_ALL_GAS, ONES, MAGIC_WITH_TAIL, FOUR_BYTES, NOTHING, REVERTS],
    ids=lambda manner: f"manner {manner}",
)
def test_grant_for_is_refused_and_nothing_stays_when_the_wallet_answers_badly(
    consents, patient, hospital, relayer, wallet, from_wallet, manner
):
    """[attack] It may burn the relayer's gas limit, and no more than that; rubbish is never taken for a yes."""
    signed = sign_consent(patient, consents, from_wallet, NOON, signed_as=wallet.address)
    wallet.behave(manner, {"from": patient})

    with reverts("InvalidSignature", wallet):
        consents.grantFor(from_wallet, signed, {"from": relayer, "gas_limit": 2_000_000})
    assert plain(consents.consentOf(wallet, hospital, Lane.CARE)) == (0,) * 7
    assert plain(consents.keyringOf(wallet)) == bytes(32)


def test_a_hostile_wallet_harms_itself_only_when_it_says_yes_to_anything(
    consents, patient, hospital, relayer, wallet, from_wallet, care
):
    wallet.behave(YES_TO_ANYTHING, {"from": patient})

    consents.grantFor(from_wallet, (wallet.address, NOON, NOON, b"rubbish"), {"from": relayer})

    assert consents.permits(wallet, hospital, LAB, TREAT) == PERMITTED
    with reverts("NotPatientOrDelegate", wallet, patient):
        consents.grantFor(care, (wallet.address, NOON, NOON, b"rubbish"), {"from": relayer})


def test_a_wallet_may_be_a_delegate(consents, patient, hospital, relayer, wallet, care):
    consents.appointDelegate(wallet, NOON + 60, {"from": patient})
    signed = sign_consent(patient, consents, care, NOON, signed_as=wallet.address)

    consents.grantFor(care, signed, {"from": relayer})

    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED
    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[6] == 1


@pytest.fixture
def patient_with_code(patient, relayer, key_cards):
    """The patient's account, given the code of a contract that knows no ERC-1271 (EIP-7702)."""
    authorization = Account.sign_authorization(
        {"chainId": web3.eth.chain_id, "address": key_cards.address, "nonce": patient.nonce}, patient.private_key
    )
    transaction = {
        "chainId": web3.eth.chain_id,
        "nonce": relayer.nonce,
        "to": relayer.address,
        "value": 0,
        "gas": 200_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 0,
        "authorizationList": [authorization],
    }
    signed = Account.sign_transaction(transaction, relayer.private_key)
    web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))
    assert bytes(web3.eth.get_code(patient.address)) == b"\xef\x01\x00" + bytes.fromhex(key_cards.address[2:])
    return patient


def test_an_account_with_code_and_without_1271_grants_and_revokes_by_transaction(
    consents, patient_with_code, hospital, care, revocation
):
    consents.grant(care, {"from": patient_with_code})
    assert consents.permits(patient_with_code, hospital, LAB, TREAT) == PERMITTED

    consents.revoke(revocation, {"from": patient_with_code})
    assert consents.permits(patient_with_code, hospital, LAB, TREAT) == NO_CONSENT


def test_an_account_with_code_and_without_1271_signs_with_its_key(
    consents, patient_with_code, hospital, relayer, care, revocation
):
    consents.grantFor(care, sign_consent(patient_with_code, consents, care, NOON), {"from": relayer})
    assert consents.permits(patient_with_code, hospital, LAB, TREAT) == PERMITTED

    consents.revokeFor(revocation, sign_consent(patient_with_code, consents, revocation, NOON), {"from": relayer})
    assert plain(consents.keyringOf(patient_with_code)) == keyring(2)


def test_an_account_with_code_refuses_what_a_stranger_signed(consents, patient_with_code, stranger, relayer, care):
    signed = sign_consent(stranger, consents, care, NOON, signed_as=patient_with_code.address)

    with reverts("InvalidSignature", patient_with_code):
        consents.grantFor(care, signed, {"from": relayer})
