"""One chunk of a sealed record: its key, its ciphertext, its three hashes.

These are the formulas of the protocol (section 1), the same that the contract computes
when a wrong key or a wrong chunk is proved. `H` is SHA-256; each hash starts with its tag.
"""

from __future__ import annotations

import enum
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

__all__ = [
    "CHUNK_SIZE",
    "HASHES_SIZE",
    "TAG_SIZE",
    "Fault",
    "chunk_key",
    "cipher_hash",
    "hashes_of",
    "key_hash",
    "open_chunk",
    "padded_size",
    "plain_hash",
    "seal_chunk",
]

CHUNK_SIZE: Final = 16_384
"""Plaintext bytes of a chunk; the last one of a record may be shorter."""

TAG_SIZE: Final = 16
"""Bytes that a chunk's ciphertext is longer than its plaintext."""

HASHES_SIZE: Final = 96
"""Bytes of a chunk's hashes: ``keyHash ‖ cipherHash ‖ plainHash``."""

_NONCE = bytes(12)  # safe: a chunk key encrypts one chunk of one record, once
_COUNTER_FROM_1 = b"\x01".ljust(16, b"\0")  # block 0 of the key stream made the Poly1305 key


class Fault(enum.Enum):
    """Which of its hashes a chunk does not match."""

    KEY = "keyHash"
    CIPHERTEXT = "cipherHash"
    PLAINTEXT = "plainHash"


def padded_size(size: int) -> int:
    """Bytes of the padded plaintext of `size` content bytes, the 8 bytes of the true size included.

    Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", PETS 2019, section 4):
    ``L = 8 + size``, of E + 1 bits, is rounded up until its last ``E - ⌊log2 E⌋ - 1`` bits are zero. So
    the size tells O(log log L) bits, and grows by at most 12 %.
    """
    length = 8 + size
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (length + mask) & ~mask


def chunk_key(key: bytes, index: int) -> bytes:
    """``H(0x02 ‖ K ‖ u64(i))``: the 32-byte key of chunk `index` under the record key."""
    return sha256(b"\x02" + key + index.to_bytes(8, "big")).digest()


def key_hash(chunk_key: bytes) -> bytes:
    """``H(0x03 ‖ chunkKey_i)``."""
    return sha256(b"\x03" + chunk_key).digest()


def cipher_hash(chunk: bytes | memoryview) -> bytes:
    """``H(0x04 ‖ chunk_i)``, the tag included."""
    digest = sha256(b"\x04")
    digest.update(chunk)
    return digest.digest()


def plain_hash(chunk_key: bytes, plaintext: bytes | memoryview) -> bytes:
    """``H(0x05 ‖ H(0x06 ‖ chunkKey_i) ‖ plaintext_i)``: says nothing to whoever lacks the key."""
    digest = sha256(b"\x05" + sha256(b"\x06" + chunk_key).digest())
    digest.update(plaintext)
    return digest.digest()


def seal_chunk(
    chunk_key: bytes, index: int, count: int, plaintext: bytes | memoryview, into: bytearray | memoryview
) -> None:
    """Encrypt chunk `index` of `count` with ChaCha20-Poly1305 (RFC 8439) into a buffer.

    `into` is `TAG_SIZE` bytes longer than `plaintext`. The nonce is zero and the additional data
    ``u64(i) ‖ u64(n)``.
    """
    ChaCha20Poly1305(chunk_key).encrypt_into(_NONCE, plaintext, _aad(index, count), into)


def hashes_of(chunk_key: bytes, chunk: bytes | memoryview, plaintext: bytes | memoryview) -> bytes:
    """The 96 bytes of a chunk's hashes: ``keyHash ‖ cipherHash ‖ plainHash``."""
    return key_hash(chunk_key) + cipher_hash(chunk) + plain_hash(chunk_key, plaintext)


def open_chunk(
    chunk_key: bytes, index: int, count: int, chunk: bytes | memoryview, hashes: bytes | memoryview
) -> bytes | Fault:
    """The plaintext of chunk `index` of `count`, if it matches all three of its hashes; else the first fault.

    The hashes decide, as in the contract. A tag that a sealer spoiled, and nothing else, therefore
    does not keep a buyer from what he paid for.
    """
    if key_hash(chunk_key) != hashes[:32]:
        return Fault.KEY
    if cipher_hash(chunk) != hashes[32:64]:
        return Fault.CIPHERTEXT
    try:
        plaintext = ChaCha20Poly1305(chunk_key).decrypt(_NONCE, chunk, _aad(index, count))
    except InvalidTag:
        plaintext = Cipher(ChaCha20(chunk_key, _COUNTER_FROM_1), mode=None).decryptor().update(chunk[:-TAG_SIZE])
    if plain_hash(chunk_key, plaintext) != hashes[64:]:
        return Fault.PLAINTEXT
    return plaintext


def _aad(index: int, count: int) -> bytes:
    return index.to_bytes(8, "big") + count.to_bytes(8, "big")
