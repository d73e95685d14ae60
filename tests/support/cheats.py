"""Sellers that cheat, with a custodian who vouches for whatever they sealed; and how each of their seals is spoiled.

Everything is made with the library's own formulas, past the checks of its own clients.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from world import DAY, LABORATORY, PRICE, World

from medibridge.chain import Conditions, Terms
from medibridge.chain.deployment import LEAST_REWARD
from medibridge.chain.events import Delivered
from medibridge.chain.sales import ANYBODY
from medibridge.ids import Digest, RecordDescription, SealId, subject_of
from medibridge.roles import Purchase
from medibridge.sealing import merkle
from medibridge.sealing.batches import make_batch
from medibridge.sealing.chunks import (
    CHUNK_SIZE,
    TAG_SIZE,
    chunk_key,
    cipher_hash,
    key_hash,
    padded_size,
    plain_hash,
    seal_chunk,
)
from medibridge.sealing.records import Manifest, RecordKey, Seal, mask

__all__ = ["CHUNKS", "CONTENT", "Cheat", "Sealing", "money_of"]

CONTENT = bytes(range(256)) * 157  # 40 192 bytes: two whole chunks and a short one
CHUNKS = 3


@dataclass
class Sealing:
    """A record as a cheat seals it: each list has an entry for each chunk, to be spoiled before `manifest` is made."""

    key: bytes
    plain: list[bytes]
    keys: list[bytes]
    chunks: list[bytes] = field(default_factory=list)
    promised: list[bytes] = field(default_factory=list)

    @classmethod
    def honest(cls, content: bytes = CONTENT) -> Sealing:
        size = padded_size(len(content))
        padded = (len(content).to_bytes(8, "big") + content).ljust(size, b"\0")
        plain = [padded[at : at + CHUNK_SIZE] for at in range(0, size, CHUNK_SIZE)]
        key = secrets.token_bytes(32)
        made = cls(key, plain, [chunk_key(key, index) for index in range(len(plain))], [], list(plain))
        made.encrypt()
        return made

    def encrypt(self) -> None:
        """Every chunk anew, of what is in `plain` and under what is in `keys`."""
        self.chunks = []
        for index, (key, plain) in enumerate(zip(self.keys, self.plain, strict=True)):
            chunk = bytearray(len(plain) + TAG_SIZE)
            seal_chunk(key, index, len(self.plain), plain, chunk)
            self.chunks.append(bytes(chunk))

    @property
    def size(self) -> int:
        return sum(map(len, self.promised))

    @property
    def hashes(self) -> bytes:
        """What the seal promises: the plaintext in `promised`, whatever is really encrypted."""
        rows = zip(self.keys, self.chunks, self.promised, strict=True)
        return b"".join(key_hash(key) + cipher_hash(chunk) + plain_hash(key, plain) for key, chunk, plain in rows)

    def manifest(self, world: World, **lies: int) -> tuple[bytes, SealId]:
        """The manifest, and the seal to deposit; the ciphertext is in the store. A lie is about `size` or `n`."""
        hashes, size, n = self.hashes, lies.get("size", self.size), lies.get("n", len(self.chunks))
        block = b"".join(self.chunks)
        world.store.put(block)
        root = merkle.root([merkle.leaf(hashes[at : at + 96]) for at in range(0, len(hashes), 96)])
        seal = Seal(root, n, size)
        digest = Digest(hashlib.sha256(block).digest())
        if lies:
            from medibridge.sealing.documents import encode

            return encode({0: 1, 1: n, 2: size, 3: hashes, 4: [digest], 5: []}), seal.seal_id
        return Manifest(size, hashes, (digest,), ()).encode(), seal.seal_id


class Cheat:
    """A patient who sells what a custodian falsely vouches for. Its account and bond are real."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seller = world.patient

    def lists(self, manifest: bytes, seal_id: SealId, **terms: object) -> None:
        """Have the hospital deposit any manifest under any seal, and offer it."""
        world = self.world
        digest = world.bridge.publish(manifest)
        record = RecordDescription(
            custodian=world.hospital.address,
            subject=subject_of(world.patient.address),
            data_class=LABORATORY,
            epoch=1,
            deidentified=True,
            seal_id=seal_id,
            manifest=digest,
            salt=secrets.token_bytes(32),
        )
        batch = make_batch([(record, world.hospital._identity.feed_key(world.patient.address))])
        listed = world.bridge.publish(batch.document)
        world.system.records.deposit(world.accounts["hospital"], batch.root, 1, listed)
        plain = Terms(
            token=world.system.token.address,
            price=PRICE,
            conditions=Conditions(),
            reserved_for=ANYBODY,
            deliver_within=DAY,
            dispute_within=DAY,
            custodian_share=2_000,
            places=3,
            reward=LEAST_REWARD,
            security=0,
            nonce=secrets.randbits(64),
        )
        self.seller._list(Terms(**(vars(plain) | terms)), record, batch.root, 0, [])

    def sells(
        self, spoil: Callable[[Sealing], None] = lambda sealing: None, content: bytes = CONTENT
    ) -> tuple[Sealing, Purchase]:
        """Seal, spoil, offer, and have the buyer inspect and buy."""
        sealing = Sealing.honest(content)
        spoil(sealing)
        self.lists(*sealing.manifest(self.world))
        buyer = self.world.buyer
        return sealing, buyer.buy(buyer.inspect(buyer.offers()[-1]))

    def delivers(self, purchase: Purchase, key: bytes) -> Delivered:
        """Deliver any key, to the buyer's secret."""
        secret = self.world.buyer._secret(purchase.order.listing_id, purchase.order.nonce)
        masked = mask(RecordKey.from_bytes(key), secret, purchase.order_id)
        return self.delivers_masked(purchase, masked)

    def delivers_masked(self, purchase: Purchase, masked: bytes) -> Delivered:
        account = self.world.accounts["patient"]
        return self.world.system.data_sales.deliver(account, purchase.order, purchase.listing, masked)


def money_of(world: World, *names: str) -> dict[str, int]:
    """What each has in all, in its account and credited, in the token's smallest unit."""
    token, sales = world.system.token, world.system.data_sales
    return {
        name: token.balance_of(world.address(name)) + sales.credit_of(token.address, world.address(name))
        for name in names
    }
