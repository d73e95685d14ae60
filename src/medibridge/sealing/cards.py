"""Key cards: an account's registered encryption key, with proof that its owner holds it.

A card is a document (`documents.encode`)::

    {0: 1, 1: 0x647a, 2: owner, 3: chain id, 4: KeyCards contract,
     5: public key (1216 bytes), 6: Ed25519 public key, 7: Ed25519 signature over the rest}

The proof: the X25519 half of the public key must be the birational image
u = (1 + y) / (1 - y) mod 2^255 - 19 of the Ed25519 key that signed (RFC 7748, section 4.1).
So only who holds the X25519 private half can make a card with it, and opening needs both halves.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from medibridge.errors import InvalidCard, MalformedDocument, SealingError
from medibridge.ids import Address, address_bytes
from medibridge.sealing import documents
from medibridge.sealing.hpke import SUITE_ID, Place, PublicKey
from medibridge.sealing.identity import Identity

__all__ = ["Place", "VerifiedCard", "make_card", "verify_card"]

_VERSION = 1
_LABEL = b"MediBridge key card"
_FIELD_PRIME = 2**255 - 19


@dataclass(frozen=True, init=False)
class VerifiedCard:
    """A public key whose owner has proved that he holds it. Only `verify_card` makes one."""

    owner: Address
    place: Place
    public_key: PublicKey

    def __init__(self) -> None:
        raise TypeError("a VerifiedCard comes from verify_card() only")


def make_card(identity: Identity, owner: Address, place: Place) -> bytes:
    """The card of `identity`'s registered key for `owner`; `place` is the KeyCards contract."""
    key = identity.registered
    body = _body(owner, place, key.public_key, key.verify_key)
    return documents.encode({**body, 7: key.sign(_signed(body))})


def verify_card(data: bytes, owner: Address, place: Place) -> VerifiedCard:
    """Check a card that was published for `owner` at `place`.

    Raises `InvalidCard` for a card of another owner, chain, contract or suite, for a key that is
    malformed or of low order, and where the signature is not by the holder of that very key.
    """
    try:
        public_key, verify_key, signature, body = _read(data, owner, place)
        if public_key.x25519 != _montgomery(verify_key):
            raise InvalidCard("this key card shows another key than the one that signed it; ask its owner for his own")
        Ed25519PublicKey.from_public_bytes(verify_key).verify(signature, _signed(body))
    except (InvalidSignature, ValueError):
        raise InvalidCard("the signature of this key card is wrong; its owner must publish a new one") from None
    card = object.__new__(VerifiedCard)
    vars(card).update(owner=owner, place=place, public_key=public_key)
    return card


def _read(data: bytes, owner: Address, place: Place) -> tuple[PublicKey, bytes, bytes, dict[int, object]]:
    try:
        card = documents.decode(data)
    except MalformedDocument as exc:
        raise InvalidCard("this key card does not parse; fetch it again or ask its owner to publish a new one") from exc
    match card:
        case {0: 1, 1: int(suite), 2: _, 3: _, 4: _, 5: bytes(raw), 6: bytes(verify_key), 7: bytes(signature)}:
            pass
        case _:
            raise InvalidCard("this document is not a key card of version 1; ask its owner to publish one")
    if suite != SUITE_ID:
        raise InvalidCard(f"this key card names suite {suite:#06x}, not {SUITE_ID:#06x}; ask its owner for a new one")
    try:
        public_key = PublicKey.from_bytes(raw)
    except SealingError:
        raise InvalidCard("the key on this card is malformed or of low order; its owner must publish another") from None
    body = _body(owner, place, public_key, verify_key)
    if documents.encode({**body, 7: signature}) != data:
        raise InvalidCard(
            f"this key card is not for {owner} on chain {place.chain_id} at {place.contract}; ask its owner for his"
        )
    return public_key, verify_key, signature, body


def _body(owner: Address, place: Place, public_key: PublicKey, verify_key: bytes) -> dict[int, object]:
    return {
        0: _VERSION,
        1: SUITE_ID,
        2: address_bytes(owner),
        3: place.chain_id,
        4: address_bytes(place.contract),
        5: bytes(public_key),
        6: verify_key,
    }


def _signed(body: dict[int, object]) -> bytes:
    return _LABEL + documents.encode(body)


def _montgomery(verify_key: bytes) -> bytes:
    """The u-coordinate of an Ed25519 point (RFC 7748, section 4.1). Raises `ValueError` where there is none."""
    y = int.from_bytes(verify_key, "little") & ((1 << 255) - 1)
    if y >= _FIELD_PRIME:
        raise ValueError("not canonical")
    u = (1 + y) * pow(1 - y, -1, _FIELD_PRIME) % _FIELD_PRIME
    return u.to_bytes(32, "little")
