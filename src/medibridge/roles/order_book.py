"""A seller's live listings and open orders, kept up with the chain without reading all of its past each time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from medibridge.chain import Listing, ListingId, ListingState, ListingStatus, OrderId, System
from medibridge.chain.events import Bought, Listed
from medibridge.ids import Address, address_bytes
from medibridge.roles.orders import Sale, listings_in, sale_of
from medibridge.sealing import documents
from medibridge.sealing.identity import Identity
from medibridge.storage import Journal

__all__ = ["OrderBook"]

_TAG = 32  # bytes of authentication before an entry
_MOST_FILTERED: Final = 200  # listings that a node is asked for by name; of more, all purchases are read


@dataclass(frozen=True)
class _Place:
    """Up to which block everything was read, and that block's hash: another one there means another past."""

    block: int
    hash: bytes


class OrderBook:
    """What a seller has to look after. Making one does no I/O.

    The journal keeps the newest block read, and the blocks of whatever is still open. So a start reads these and what
    came since; where the journal's entry is lost or altered, or the chain has another past than it had, everything is
    read again.
    """

    def __init__(self, system: System, seller: Address, identity: Identity, journal: Journal) -> None:
        self.listings: dict[ListingId, Listing] = {}
        self.orders: dict[OrderId, Sale] = {}
        self._system = system
        self._seller = seller
        self._identity = identity
        self._journal = journal
        self._blocks: dict[bytes, int] = {}
        self._read_up_to: _Place | None = None
        self._is_open = False
        self._kept = b""

    def update(self) -> None:
        """Read what came since the last time, as far as it is final. Raises `ChainError` or `StoreUnreachable`."""
        if not self._is_open:
            self._open()
        place, chain = self._read_up_to, self._system.chain
        if place is not None and chain.block_hash(place.block) != place.hash:
            self._forget_all()
            place = None
        newest = chain.block_number() - chain.confirmations()
        first = 0 if place is None else place.block + 1
        if first <= newest and (found := chain.block_hash(newest)) is not None:
            self._read(first, newest)
            self._read_up_to = _Place(newest, found)
            self.keep()

    def not_final(self) -> list[Sale]:
        """The purchases in the newest blocks, which may still go away. None on a local chain."""
        place = self._read_up_to
        first = 0 if place is None else place.block + 1
        if not self._system.chain.confirmations():
            return []
        listings = self.listings | self._listed(first, None)[0]
        return [sale for sale, _ in self._bought(listings, first, None)]

    def close_order(self, order_id: OrderId) -> None:
        """Nothing is left to be done for an order."""
        self.orders.pop(order_id, None)
        self._blocks.pop(order_id, None)

    def close_listing(self, listing_id: ListingId) -> None:
        """Nothing of a listing is sold any more, nor left to be paid out."""
        self.listings.pop(listing_id, None)
        self._blocks.pop(listing_id, None)

    def keep(self) -> None:
        """Write down where a later start goes on. Nothing is written where nothing changed."""
        place = self._read_up_to
        if place is None:
            return
        body = documents.encode([place.block, place.hash, sorted(set(self._blocks.values()))])
        if body != self._kept:
            self._journal.put(self._name, self._tag(body) + body)
            self._kept = body

    @property
    def _name(self) -> str:
        market = address_bytes(self._system.data_sales.address)
        return (b"order book 1" + self._system.chain.chain_id().to_bytes(32, "big") + market + self._own).hex()

    @property
    def _own(self) -> bytes:
        return address_bytes(self._seller)

    def _tag(self, body: bytes) -> bytes:
        return self._identity.journal_tag(self._name.encode() + body)

    def _open(self) -> None:
        """Take up what an earlier process wrote down, and read the blocks that matter again."""
        entry = self._journal.get(self._name) or b""
        body = entry[_TAG:]
        if entry and entry[:_TAG] == self._tag(body):
            self._take_up(body)
        self._is_open = True

    def _take_up(self, body: bytes) -> None:
        block, digest, blocks = documents.decode(body)
        if self._system.chain.block_hash(block) != digest:
            return
        for each in blocks:
            self._read(each, each)
        self._read_up_to = _Place(block, digest)
        self._kept = body

    def _forget_all(self) -> None:
        self.listings.clear()
        self.orders.clear()
        self._blocks.clear()
        self._read_up_to = None

    def _read(self, first: int, last: int) -> None:
        listings, blocks = self._listed(first, last)
        self.listings |= listings
        self._blocks |= blocks
        for sale, block in self._bought(self.listings, first, last):
            self.orders[sale.order_id] = sale
            self._blocks[sale.order_id] = block

    def _listed(self, first: int, last: int | None) -> tuple[dict[ListingId, Listing], dict[bytes, int]]:
        past = self._system.data_sales.past(Listed, first_block=first, last_block=last, seller=self._seller)
        listings = listings_in(each.event for each in past)
        blocks = {each.event.listing_id: each.block for each in past if each.event.listing_id in listings}
        return listings, blocks

    def _bought(self, listings: dict[ListingId, Listing], first: int, last: int | None) -> Iterable[tuple[Sale, int]]:
        if not listings:
            return
        names = {"listingId": list(listings)} if len(listings) <= _MOST_FILTERED else {}
        for past in self._system.data_sales.past(Bought, first_block=first, last_block=last, **names):
            listing = listings.get(ListingId(past.event.listing_id))
            if listing is not None:
                yield sale_of(past.event, listing), past.block


def is_over(status: ListingStatus) -> bool:
    """Whether nothing of a listing is sold any more, nor open, nor left to be distributed."""
    return status.state is not ListingState.LIVE and not status.open and status.sold == status.distributed
