"""Key cards: nobody registers a key that he does not hold."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge.errors import InvalidCard
from medibridge.ids import Address, address
from medibridge.sealing.cards import Place, VerifiedCard, make_card, verify_card
from medibridge.sealing.hpke import PrivateKey
from medibridge.sealing.identity import Identity

OWNER, ATTACKER, CONTRACT, OTHER_CONTRACT = (address(f"0x{number:040x}") for number in range(1, 5))
HERE = Place(1337, CONTRACT)
VICTIM, THIEF = Identity.from_seed(b"v" * 32), Identity.from_seed(b"t" * 32)
CARD = make_card(VICTIM, OWNER, HERE)
PRIME = 2**255 - 19


def forged(signer: PrivateKey | None = None, card: bytes = CARD, **fields: Any) -> bytes:
    """The card with other fields (`f2=...`), signed again by `signer`, or with the old signature."""
    document = cbor2.loads(card)
    document.update({int(name[1:]): value for name, value in fields.items()})
    if signer:
        body = {number: value for number, value in document.items() if number != 7}
        document[7] = signer.sign(b"MediBridge key card" + cbor2.dumps(body, canonical=True))
    return cbor2.dumps(document, canonical=True)


def test_verify_card_returns_the_key_and_whose_it_is() -> None:
    card = verify_card(CARD, OWNER, HERE)
    assert (card.owner, card.place, card.public_key) == (OWNER, HERE, VICTIM.registered.public_key)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1))
@settings(max_examples=20, deadline=None)
def test_verify_card_takes_every_card_made(seed: bytes, chain_id: int) -> None:
    identity, place = Identity.from_seed(seed), Place(chain_id, CONTRACT)
    assert verify_card(make_card(identity, OWNER, place), OWNER, place).public_key == identity.registered.public_key


def test_make_card_is_the_same_again() -> None:
    assert make_card(VICTIM, OWNER, HERE) == CARD


@pytest.mark.parametrize(
    ("owner", "place"),
    [(ATTACKER, HERE), (OWNER, Place(1, CONTRACT)), (OWNER, Place(1337, OTHER_CONTRACT))],
    ids=["owner", "chain", "contract"],
)
def test_verify_card_refuses_the_card_of_another_owner_chain_or_contract(owner: Address, place: Place) -> None:
    with pytest.raises(InvalidCard, match=f"not for {owner} on chain {place.chain_id} at {place.contract}"):
        verify_card(CARD, owner, place)


def test_verify_card_refuses_anothers_public_key_with_the_attackers_signature() -> None:
    thief = THIEF.registered
    own = make_card(THIEF, ATTACKER, HERE)
    assert verify_card(own, ATTACKER, HERE)
    stolen = bytes(VICTIM.registered.public_key)
    with pytest.raises(InvalidCard, match="shows another key than the one that signed it"):
        verify_card(forged(thief, own, f5=stolen), ATTACKER, HERE)
    with pytest.raises(InvalidCard, match="signature of this key card is wrong"):
        verify_card(forged(thief, own, f5=stolen, f6=VICTIM.registered.verify_key), ATTACKER, HERE)
    with pytest.raises(InvalidCard, match="shows another key than the one that signed it"):
        verify_card(forged(thief, own, f5=bytes(thief.public_key)[:-32] + stolen[-32:]), ATTACKER, HERE)


def test_verify_card_refuses_the_victims_card_under_the_attackers_name() -> None:
    with pytest.raises(InvalidCard, match="signature of this key card is wrong"):
        verify_card(forged(f2=bytes.fromhex(ATTACKER[2:])), ATTACKER, HERE)


def test_verify_card_refuses_a_signature_by_the_other_sign_of_the_point() -> None:
    """u has two points, y and its mirror; the mirror is the same owner's, but this card is not signed by it."""
    mirror = bytearray(VICTIM.registered.verify_key)
    mirror[31] ^= 0x80
    with pytest.raises(InvalidCard, match="signature of this key card is wrong"):
        verify_card(forged(VICTIM.registered, f6=bytes(mirror)), OWNER, HERE)


@pytest.mark.parametrize("y", [0, 1, PRIME - 1, PRIME, PRIME + 1, 2**255 - 1])
def test_verify_card_refuses_verify_keys_of_low_order_or_not_canonical(y: int) -> None:
    for sign in (0, 1 << 255):
        verify_key = (y | sign).to_bytes(32, "little")
        image = (1 + y) * pow(1 - y, PRIME - 2, PRIME) % PRIME  # 0 where there is none
        raw = bytes(VICTIM.registered.public_key)[:-32]
        for key in (bytes(VICTIM.registered.public_key), raw + image.to_bytes(32, "little")):
            with pytest.raises(InvalidCard):
                verify_card(forged(f5=key, f6=verify_key, f7=verify_key + bytes(32)), OWNER, HERE)


@pytest.mark.parametrize("suite", [0x0020, 0x0041, 0x647B, 0, -1])
def test_verify_card_refuses_another_suite(suite: int) -> None:
    with pytest.raises(InvalidCard, match="not 0x647a"):
        verify_card(forged(VICTIM.registered, f1=suite), OWNER, HERE)


def test_verify_card_refuses_a_key_of_low_order_or_malformed() -> None:
    raw = bytes(VICTIM.registered.public_key)
    for key in (raw[:-32] + bytes(32), b"\xff" * 1184 + raw[-32:], raw[:-1], b""):
        with pytest.raises(InvalidCard, match="malformed or of low order"):
            verify_card(forged(VICTIM.registered, f5=key), OWNER, HERE)


@pytest.mark.parametrize(
    "fields",
    [{"f0": 2}, {"f6": b""}, {"f7": b""}, {"f8": 1}, {"f0": True}, {"f3": "1337"}, {"f2": bytes(19)}, {"f5": 1}],
    ids=str,
)
def test_verify_card_refuses_other_fields(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidCard):
        verify_card(forged(None if "f7" in fields else VICTIM.registered, **fields), OWNER, HERE)


def test_verify_card_refuses_a_card_altered_or_cut_anywhere() -> None:
    for at in range(0, len(CARD), 3):
        with pytest.raises(InvalidCard):
            verify_card(CARD[:at] + bytes([CARD[at] ^ 1]) + CARD[at + 1 :], OWNER, HERE)
        with pytest.raises(InvalidCard):
            verify_card(CARD[:at], OWNER, HERE)
    with pytest.raises(InvalidCard):
        verify_card(CARD + b"\0", OWNER, HERE)


def test_verify_card_refuses_an_unrelated_signature_by_the_right_key() -> None:
    card = forged(f7=VICTIM.registered.sign(b"something else"))
    with pytest.raises(InvalidCard, match="signature of this key card is wrong"):
        verify_card(card, OWNER, HERE)


def test_verify_card_refuses_a_bare_ed25519_key_beside_anothers_x25519() -> None:
    own = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(InvalidCard, match="shows another key than the one that signed it"):
        verify_card(forged(f6=own.public_key().public_bytes_raw()), OWNER, HERE)


def test_verified_card_comes_from_verify_card_only_and_does_not_change() -> None:
    with pytest.raises(TypeError, match="verify_card"):
        VerifiedCard()
    with pytest.raises(FrozenInstanceError):
        verify_card(CARD, OWNER, HERE).owner = ATTACKER  # type: ignore[misc]
