"""Sealing to a public key: HPKE, post-quantum and classical at once.

One suite everywhere: RFC 9180 base mode, KEM ML-KEM-768 + X25519 (0x647a), KDF
HKDF-SHA256, AEAD AES-256-GCM. What is sealed stays closed unless both halves break.

A key pair is born from a 32-byte seed. Its X25519 half is also an Ed25519 key (the
birational image of RFC 7748, section 4.1; joint use of the two: Thormarker 2021), so
that its owner can prove that he holds it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from medibridge.errors import SealingError
from medibridge.ids import Address, address_bytes

__all__ = [
    "OVERHEAD",
    "PUBLIC_KEY_SIZE",
    "SUITE_ID",
    "Place",
    "PrivateKey",
    "PublicKey",
    "Secret",
    "open_with",
    "seal_to",
]

SUITE_ID = 0x647A
"""The KEM's number in the HPKE registry; a card that names another is refused."""

PUBLIC_KEY_SIZE = 1216
"""Bytes of a public key: ML-KEM-768 (1184), then X25519 (32)."""

OVERHEAD = 1136
"""Bytes that sealing adds: the encapsulation (1088 + 32) and the tag (16)."""

_MLKEM_SIZE = 1184
_FIELD_PRIME = 2**255 - 19
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

# Any clamped scalar sends every point of low order, and no other, to zero.
_LOW_ORDER_PROBE = X25519PrivateKey.from_private_bytes(b"\x08".ljust(32, b"\0"))


class Secret:
    """32 secret bytes that do not print, do not hash, and compare in constant time."""

    __slots__ = ("_secret",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise SealingError(f"a {type(self).__name__} has 32 bytes, not {len(secret)}; read it from its source")
        self._secret = bytes(secret)

    @classmethod
    def generate(cls) -> Self:
        """A fresh one from the operating system's generator."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """From its 32 bytes. Raises `SealingError` for any other length."""
        return cls(secret)

    def expose(self) -> bytes:
        """The 32 bytes themselves: never print, log or store them unsealed."""
        return self._secret

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self._secret, other._secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is never pickled or copied")


@dataclass(frozen=True)
class Place:
    """Where a sealed thing is valid: one contract on one chain."""

    chain_id: int
    contract: Address

    def __bytes__(self) -> bytes:
        """28 bytes: u64 chain id, then the contract's address."""
        return self.chain_id.to_bytes(8, "big") + address_bytes(self.contract)


class PublicKey:
    """A public key to seal to; only a sound one can be made."""

    __slots__ = ("_key", "_raw")

    def __init__(self, raw: bytes) -> None:
        try:
            self._key = _parse(raw)
        except ValueError:
            raise SealingError(
                "this public key is malformed or of low order; ask its owner to publish a new key card"
            ) from None
        self._raw = bytes(raw)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """From 1216 bytes: ML-KEM-768 (FIPS 203, checked) and X25519 (RFC 7748, canonical).

        Raises `SealingError` if malformed or of low order.
        """
        return cls(raw)

    @property
    def x25519(self) -> bytes:
        """The 32 bytes of the X25519 half."""
        return self._raw[_MLKEM_SIZE:]

    def __bytes__(self) -> bytes:
        return self._raw

    def __eq__(self, other: object) -> bool:
        return self._raw == other._raw if isinstance(other, PublicKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"<PublicKey {hashlib.sha256(self._raw).hexdigest()[:16]}>"


class PrivateKey(Secret):
    """The 32-byte seed of a key pair: opens what is sealed to `public_key`, and signs."""

    __slots__ = ("_hpke", "_signing", "public_key")

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(_expand(seed, b"MediBridge ML-KEM-768 seed", 64))
        ed25519_seed = _expand(seed, b"MediBridge Ed25519 seed", 32)
        # libsodium's crypto_sign_ed25519_sk_to_curve25519; X25519 clamps the scalar itself
        x25519 = X25519PrivateKey.from_private_bytes(hashlib.sha512(ed25519_seed).digest()[:32])
        self._hpke = MLKEM768X25519PrivateKey(mlkem, x25519)
        self._signing = Ed25519PrivateKey.from_private_bytes(ed25519_seed)
        self.public_key = PublicKey(
            mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw(),
        )

    @property
    def verify_key(self) -> bytes:
        """The 32-byte Ed25519 public key whose Montgomery image is the X25519 half."""
        return self._signing.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """A 64-byte Ed25519 signature (RFC 8032): shows that the X25519 half is at hand."""
        return self._signing.sign(message)


def seal_to(public: PublicKey, info: bytes, plaintext: bytes) -> bytes:
    """Seal `plaintext` so that only the holder of `public` opens it, with the same `info`.

    Returns the encapsulation and the ciphertext, `OVERHEAD` bytes more than `plaintext`
    (RFC 9180, section 6.1, single-shot base mode; empty associated data).
    """
    return _SUITE.encrypt(plaintext, public._key, info)


def open_with(private: PrivateKey, info: bytes, ciphertext: bytes) -> bytes:
    """Open what `seal_to` made.

    Raises `SealingError`, the same for a wrong key, another `info`, and cut, altered or
    malformed bytes.
    """
    try:
        return _SUITE.decrypt(ciphertext, private._hpke, info)
    except (InvalidTag, ValueError):
        raise SealingError(
            "these sealed bytes do not open: they are altered, or sealed to another key or for another purpose"
        ) from None


def _parse(raw: bytes) -> MLKEM768X25519PublicKey:
    """Raises `ValueError` unless both halves are sound."""
    if len(raw) != PUBLIC_KEY_SIZE:
        raise ValueError("wrong length")
    if int.from_bytes(raw[_MLKEM_SIZE:], "little") >= _FIELD_PRIME:
        raise ValueError("not canonical")
    mlkem = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_SIZE])
    x25519 = X25519PublicKey.from_public_bytes(raw[_MLKEM_SIZE:])
    _LOW_ORDER_PROBE.exchange(x25519)
    return MLKEM768X25519PublicKey(mlkem, x25519)


def _expand(seed: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869, section 2.3): the seed is uniform, so it needs no extraction."""
    return HKDFExpand(hashes.SHA256(), length, label).derive(seed)
