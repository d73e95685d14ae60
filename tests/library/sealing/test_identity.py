"""One seed, all keys; and the seed under a passphrase."""

from __future__ import annotations

import time

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge.errors import IdentityLocked, SealingError, UsageError
from medibridge.ids import address
from medibridge.sealing.identity import Identity, KdfCost

CHEAP = KdfCost(iterations=1, memory_kib=8, lanes=1)
IDENTITY = Identity.from_seed(bytes(range(32)))
PATIENT, ELSE = (address(f"0x{number:040x}") for number in (1, 2))
PASSPHRASE = "correct horse battery staple"
FILE = IDENTITY.lock(PASSPHRASE, cost=CHEAP)


def altered(**fields: object) -> bytes:
    """The file with other parameters: iterations, memory_kib, lanes, or any field by number as `f0`."""
    numbers = {"iterations": 2, "memory_kib": 3, "lanes": 4}
    document = cbor2.loads(FILE)
    document.update({numbers.get(name) or int(name[1:]): value for name, value in fields.items()})
    return cbor2.dumps(document, canonical=True)


def test_every_key_of_an_identity_differs() -> None:
    secrets = [
        IDENTITY.expose(),
        IDENTITY.registered.expose(),
        IDENTITY.child(b"").expose(),
        IDENTITY.child(b"account").expose(),
        *(IDENTITY.class_key(number, epoch).expose() for number in range(3) for epoch in range(1, 4)),
        IDENTITY.feed_key(PATIENT).expose(),
        IDENTITY.feed_key(ELSE).expose(),
        IDENTITY.purchase_secret(b""),
        IDENTITY.purchase_secret(b"1"),
        IDENTITY.account_key(b""),
        IDENTITY.account_key(b"1"),
        IDENTITY.journal_tag(b""),
        IDENTITY.journal_tag(b"1"),
    ]
    assert len(set(secrets)) == len(secrets)
    assert {len(secret) for secret in secrets} == {32}


def test_keys_come_again_from_the_seed_alone() -> None:
    again = Identity.from_seed(IDENTITY.expose())
    assert again.registered == IDENTITY.registered
    assert again.class_key(1, 7) == IDENTITY.class_key(1, 7)
    assert again.class_key(1, 7).private_key() == IDENTITY.class_key(1, 7).private_key()
    assert again.feed_key(PATIENT) == IDENTITY.feed_key(PATIENT)
    assert again.purchase_secret(b"nonce") == IDENTITY.purchase_secret(b"nonce")
    assert again.account_key(b"label") == IDENTITY.account_key(b"label")
    assert again.journal_tag(b"entry") == IDENTITY.journal_tag(b"entry")
    assert again.child(b"account") == IDENTITY.child(b"account")


def test_keys_of_two_identities_differ() -> None:
    one, two = Identity.generate(), Identity.generate()
    assert one != two
    assert one.class_key(1, 1) != two.class_key(1, 1)


def test_class_key_refuses_epoch_0() -> None:
    with pytest.raises(UsageError, match="epoch 0 has no class key"):
        IDENTITY.class_key(1, 0)


def test_secrets_of_an_identity_do_not_print() -> None:
    for secret in (IDENTITY, IDENTITY.registered, IDENTITY.class_key(1, 1), IDENTITY.feed_key(PATIENT)):
        assert secret.expose().hex() not in repr(secret) and "secret" in repr(secret)
        with pytest.raises(TypeError, match="unhashable"):
            hash(secret)


@given(st.text(min_size=1), st.binary(min_size=32, max_size=32))
@settings(max_examples=30, deadline=None)
def test_unlock_returns_what_was_locked(passphrase: str, seed: bytes) -> None:
    identity = Identity.from_seed(seed)
    assert Identity.unlock(identity.lock(passphrase, cost=CHEAP), passphrase) == identity


def test_unlock_opens_the_default_cost() -> None:
    assert KdfCost() == KdfCost(iterations=3, memory_kib=65536, lanes=4)
    assert Identity.unlock(IDENTITY.lock(PASSPHRASE), PASSPHRASE) == IDENTITY


def test_unlock_takes_a_passphrase_however_it_is_composed() -> None:
    assert Identity.unlock(IDENTITY.lock("caf\u00e9", cost=CHEAP), "cafe\u0301") == IDENTITY


def test_lock_never_repeats_and_holds_no_seed() -> None:
    assert IDENTITY.lock(PASSPHRASE, cost=CHEAP) != FILE
    assert IDENTITY.expose() not in FILE


def test_lock_refuses_an_empty_passphrase() -> None:
    with pytest.raises(UsageError, match="without a passphrase"):
        IDENTITY.lock("", cost=CHEAP)


@pytest.mark.parametrize("passphrase", ["", "Correct horse battery staple", PASSPHRASE + " ", "\udcff"])
def test_unlock_refuses_a_wrong_passphrase_and_does_not_repeat_it(passphrase: str) -> None:
    with pytest.raises(IdentityLocked, match="passphrase is wrong or the file is damaged") as caught:
        Identity.unlock(FILE, passphrase)
    assert PASSPHRASE not in str(caught.value) and caught.value.__cause__ is None


def test_unlock_refuses_a_file_cut_anywhere() -> None:
    for end in range(len(FILE)):
        with pytest.raises(IdentityLocked):
            Identity.unlock(FILE[:end], PASSPHRASE)


def test_unlock_refuses_a_file_altered_anywhere() -> None:
    for at in range(len(FILE)):
        for bit in range(8):
            with pytest.raises(IdentityLocked):
                Identity.unlock(FILE[:at] + bytes([FILE[at] ^ 1 << bit]) + FILE[at + 1 :], PASSPHRASE)


@pytest.mark.parametrize("data", [b"", FILE + b"\0", b"\0" * 4096, b"{}", FILE * 2, b"\xa0"])
def test_unlock_refuses_other_bytes(data: bytes) -> None:
    with pytest.raises(IdentityLocked):
        Identity.unlock(data, PASSPHRASE)


@pytest.mark.parametrize(
    "fields",
    [
        {"memory_kib": 2**32 - 1},
        {"memory_kib": 2**64 - 1},
        {"memory_kib": 512 * 1024 + 1},
        {"memory_kib": 512 * 1024, "iterations": 9},
        {"iterations": 2**32 - 1},
        {"iterations": 2**63},
        {"iterations": 0},
        {"iterations": -1},
        {"lanes": 17, "memory_kib": 1024},
        {"lanes": 0},
        {"lanes": 2, "memory_kib": 8},
        {"f0": 2},
        {"f1": "pbkdf2"},
        {"f5": bytes(15)},
        {"f6": bytes(11)},
        {"f7": bytes(1000)},
        {"f8": 0},
    ],
    ids=str,
)
def test_unlock_refuses_an_absurd_cost_without_computing_it(fields: dict[str, object]) -> None:
    data = altered(**fields)
    started = time.perf_counter()
    with pytest.raises(IdentityLocked):
        Identity.unlock(data, PASSPHRASE)
    assert time.perf_counter() - started < 0.1


def test_kdf_cost_refuses_to_be_absurd() -> None:
    with pytest.raises(UsageError, match="16777216 KiB"):
        KdfCost(memory_kib=2**24)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_from_seed_refuses_another_length(length: int) -> None:
    with pytest.raises(SealingError, match="32 bytes"):
        Identity.from_seed(bytes(length))
