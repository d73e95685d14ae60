"""Sales of real sealed records, up to the delivery of a key: the right one, or another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sales import Batch, Listing, Order, Purchase, Terms, digest, listing_of, order_of, record_of
from sealed import Sealed

from medibridge.sealing.records import RecordKey, commitment, mask

SECRET = digest("t")
"""The 32 bytes that every buyer here commits to."""

WRONG_KEY = RecordKey.from_bytes(digest("another key"))


@dataclass(frozen=True)
class Deal:
    """A record bought and delivered: the goods, the order, and the masked key that the seller published."""

    market: Any
    goods: Sealed
    listing: Listing
    order: Order
    masked: bytes

    @property
    def order_id(self) -> bytes:
        return self.order.id_at(self.market)

    @property
    def listing_id(self) -> bytes:
        return self.order.listing_id

    def prove_wrong_key(self, buyer: Any, index: int = 0, **shown: Any) -> Any:
        """The transaction of a buyer who shows this chunk's promised key; other things, if named."""
        order, listing = shown.get("order", self.order), shown.get("listing", self.listing)
        masked, secret = shown.get("masked", self.masked), shown.get("secret", SECRET)
        proof = shown.get("proof", self.goods.proof(index))
        return self.market.proveWrongKey(order, listing, masked, secret, proof, {"from": buyer})

    def prove_wrong_chunk(self, buyer: Any, index: int = 0, **shown: Any) -> Any:
        """The transaction of a buyer who shows this chunk and its key; other things, if named."""
        chunk, proof = self.goods.chunks[index], shown.get("proof", self.goods.proof(index))
        order, listing = shown.get("order", self.order), shown.get("listing", self.listing)
        key, ciphertext = shown.get("key", chunk.key), shown.get("ciphertext", chunk.ciphertext)
        return self.market.proveWrongChunk(order, listing, proof, key, ciphertext, {"from": buyer})


def listing_for(system: Any, seller: Any, custodian: Any, goods: Sealed, terms: Terms, name: object = 0) -> Listing:
    """The goods, deposited by the custodian about the seller, for sale by him; another record for each name."""
    record = replace(record_of(custodian, seller, f"{name} {goods.seal_id.hex()}"), seal_id=goods.seal_id)
    batch = Batch((record,)).deposited(system.records, custodian)
    return listing_of(system.data_sales, seller, batch, 0, terms)


def bought(system: Any, buyer: Any, listing: Listing, nonce: int = 0) -> Order:
    """An order of the listing, paid by the buyer and committed to `SECRET`."""
    purchase = Purchase(commitment(SECRET), digest("sealed secret"), nonce)
    system.data_sales.buy(listing, purchase, {"from": buyer})
    return order_of(system.data_sales, listing, buyer, purchase)


def delivered(system: Any, seller: Any, goods: Sealed, listing: Listing, order: Order, key: RecordKey) -> Deal:
    """The order, answered with this key."""
    masked = mask(key, SECRET, order.id_at(system.data_sales))
    system.data_sales.deliver(order, listing, masked, {"from": seller})
    return Deal(system.data_sales, goods, listing, order, masked)
