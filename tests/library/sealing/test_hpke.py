"""Sealing to a public key, and keys that are none."""

from __future__ import annotations

import copy
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge.errors import SealingError
from medibridge.sealing.hpke import OVERHEAD, PUBLIC_KEY_SIZE, PrivateKey, PublicKey, Secret, open_with, seal_to

PRIME = 2**255 - 19
LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    PRIME - 1,
    PRIME,
    PRIME + 1,
]
"""The u-coordinates of low order, and two that stand for them again (Curve25519's page, cr.yp.to/ecdh.html)."""

KEY = PrivateKey(bytes(range(32)))
OTHER = PrivateKey(bytes(32))


def with_x25519(u: int) -> bytes:
    return bytes(KEY.public_key)[:-32] + u.to_bytes(32, "little")


@given(st.binary(max_size=200), st.binary(max_size=64))
@settings(max_examples=30, deadline=None)
def test_open_with_returns_what_was_sealed(plaintext: bytes, info: bytes) -> None:
    sealed = seal_to(KEY.public_key, info, plaintext)
    assert len(sealed) == len(plaintext) + OVERHEAD
    assert open_with(KEY, info, sealed) == plaintext


def test_seal_to_makes_1168_bytes_of_a_record_key() -> None:
    assert len(seal_to(KEY.public_key, b"info", bytes(32))) == 1168


def test_seal_to_never_repeats() -> None:
    assert seal_to(KEY.public_key, b"info", bytes(32)) != seal_to(KEY.public_key, b"info", bytes(32))


@pytest.mark.parametrize(("private", "info"), [(OTHER, b"info"), (KEY, b"Info"), (KEY, b"")])
def test_open_with_refuses_another_key_or_info(private: PrivateKey, info: bytes) -> None:
    with pytest.raises(SealingError, match="do not open"):
        open_with(private, info, seal_to(KEY.public_key, b"info", bytes(32)))


def test_open_with_refuses_ciphertext_cut_or_altered_anywhere_with_one_error() -> None:
    sealed = seal_to(KEY.public_key, b"info", bytes(32))
    altered = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(0, len(sealed), 7)]
    cut = [sealed[:at] for at in (0, 1, 1087, 1088, 1119, 1120, 1136, 1167)]
    messages = set()
    for bad in [*altered, *cut, sealed + b"\0", bytes(1168), b"\xff" * 1168]:
        with pytest.raises(SealingError) as caught:
            open_with(KEY, b"info", bad)
        assert caught.value.__cause__ is None
        messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.parametrize("u", LOW_ORDER)
def test_open_with_refuses_an_encapsulation_of_low_order(u: int) -> None:
    sealed = seal_to(KEY.public_key, b"info", bytes(32))
    with pytest.raises(SealingError, match="do not open"):
        open_with(KEY, b"info", sealed[:1088] + u.to_bytes(32, "little") + sealed[1120:])


@pytest.mark.parametrize("u", [*LOW_ORDER, *(u + 2**255 for u in LOW_ORDER), PRIME + 9, 9 + 2**255])
def test_public_key_refuses_x25519_of_low_order_or_not_canonical(u: int) -> None:
    with pytest.raises(SealingError, match="malformed or of low order"):
        PublicKey.from_bytes(with_x25519(u))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(KEY.public_key)[:-1],
        bytes(KEY.public_key) + b"\0",
        b"\xff" * 1184 + KEY.public_key.x25519,
        b"\xff\xff" + bytes(KEY.public_key)[2:],
    ],
    ids=["empty", "cut", "longer", "ML-KEM all ones", "ML-KEM coefficient above q"],
)
def test_public_key_refuses_malformed_bytes(raw: bytes) -> None:
    with pytest.raises(SealingError, match="malformed or of low order"):
        PublicKey.from_bytes(raw)


def test_public_key_is_a_value() -> None:
    again = PublicKey.from_bytes(bytes(KEY.public_key))
    assert again == KEY.public_key != OTHER.public_key
    assert len({again, KEY.public_key, OTHER.public_key}) == 2
    assert len(bytes(again)) == PUBLIC_KEY_SIZE
    assert again != bytes(again)
    assert len(repr(again)) < 40


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=30, deadline=None)
def test_private_key_signs_with_the_image_of_its_x25519_half(seed: bytes) -> None:
    key = PrivateKey(seed)
    y = int.from_bytes(key.verify_key, "little") % 2**255
    u = (1 + y) * pow(1 - y, -1, PRIME) % PRIME
    assert u.to_bytes(32, "little") == key.public_key.x25519
    Ed25519PublicKey.from_public_bytes(key.verify_key).verify(key.sign(b"message"), b"message")


def test_secret_does_not_print_hash_pickle_or_copy() -> None:
    secret = PrivateKey(b"secret of 32 bytes, not to print")
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "secret of" not in text and secret.expose().hex() not in text
    with pytest.raises(TypeError, match="unhashable"):
        hash(secret)
    with pytest.raises(TypeError, match="never pickled or copied"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="never pickled or copied"):
        copy.copy(secret)


def test_secret_equals_only_its_own_kind_and_bytes() -> None:
    assert PrivateKey(bytes(32)) == OTHER != KEY
    assert Secret(bytes(32)) != OTHER
    assert OTHER.expose() != OTHER
    assert Secret.generate() != Secret.generate()


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_secret_refuses_another_length(length: int) -> None:
    with pytest.raises(SealingError, match=f"32 bytes, not {length}"):
        PrivateKey.from_bytes(bytes(length))
