"""The buyer: looks, checks, pays, opens what was promised or is paid back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from medibridge.chain import Listing, ListingId, ListingState, Order, OrderId, OrderState
from medibridge.chain.events import Bought, CreditWithdrawn, Refunded
from medibridge.content import Contents
from medibridge.errors import NotEnoughFunds, OfferUnsound, RecordUnknown, SealingError, UsageError
from medibridge.ids import Address, DataClass, Digest, digest_of_cid
from medibridge.record import Record
from medibridge.roles.bridge import Party, called
from medibridge.roles.selling import listings_in, order_info, order_of
from medibridge.sealing.hpke import seal_to
from medibridge.sealing.records import Manifest, check_ciphertext, commitment, open_record, unmask

__all__ = ["Buyer", "Inspected", "Offer", "Purchase"]


@dataclass(frozen=True)
class Offer:
    """A record for sale, as its listing says. Not checked yet: see `Buyer.inspect`."""

    listing_id: ListingId
    listing: Listing

    @property
    def name(self) -> str:
        """The listing's id in hexadecimal, as commands take it."""
        return self.listing_id.hex()

    @property
    def data_class(self) -> DataClass:
        """What kind of data it is."""
        return self.listing.data_class


@dataclass(frozen=True)
class Inspected:
    """An offer whose every block was fetched, kept and found to be what the seal promises.

    Only `Buyer.inspect` makes one. `size` are the bytes of its padded content.
    """

    offer: Offer
    size: int
    manifest: Manifest = field(repr=False)


@dataclass(frozen=True)
class Purchase:
    """A purchase and where it stands; `deadline` in seconds since 1970."""

    order_id: OrderId
    order: Order
    listing: Listing
    state: OrderState
    deadline: int

    @property
    def name(self) -> str:
        """The order's id in hexadecimal, as commands take it."""
        return self.order_id.hex()


class Buyer(Party):
    """A verified institution that buys. Its store keeps the ciphertext until settlement."""

    def offers(self) -> list[Offer]:
        """Everything that is for sale now, oldest first."""
        sales = self._bridge.system.data_sales
        offers = (Offer(listing_id, listing) for listing_id, listing in listings_in(sales.listed()).items())
        return [offer for offer in offers if sales.listing_state(offer.listing_id) is ListingState.LIVE]

    def offer(self, name: str) -> Offer:
        """One of `offers`, by its name or a beginning of it. Raises `RecordUnknown`."""
        found = called(name, self.offers())
        if len(found) != 1:
            raise RecordUnknown(f"{len(found)} offers have a name that begins with {name!r}; list the offers")
        return found[0]

    def inspect(self, offer: Offer) -> Inspected:
        """Fetch and check manifest and ciphertext, and keep them. What cannot be fetched is not bought.

        Raises `OfferUnsound` where what is offered is not what the seal promises, and `StorageError`.
        """
        listing = offer.listing
        try:
            manifest = self._bridge.sealed(listing.manifest, listing.seal_id)
            check_ciphertext(manifest, self._kept)
        except SealingError as exc:
            raise OfferUnsound(f"offer {offer.name[:16]} is not what its seal promises ({exc}); do not buy it") from exc
        return Inspected(offer, manifest.size, manifest)

    def buy(self, inspected: Inspected) -> Purchase:
        """Pay the price into escrow, with the approval in the same transaction.

        Raises `NotEnoughFunds`, a `Refusal` (`ListingNotLive`, `SaleNotPermitted`, `BuyerNotInGoodStanding` …), and
        `AccessError` or `InvalidCard` where the seller has no sound key card.
        """
        system, listing = self._bridge.system, inspected.offer.listing
        price = listing.terms.price
        if listing.terms.token != system.token.address:
            raise UsageError(f"the offer is priced in token {listing.terms.token}, which this deployment does not use")
        if (held := system.token.balance_of(self.address)) < price:
            raise NotEnoughFunds(
                f"the price is {price} units and the account holds {held}; get more of the token first"
            )
        seller = self._bridge.card_of(listing.seller)
        nonce = secrets.randbits(64)
        secret = self._secret(inspected.offer.listing_id, nonce)
        order = Order(inspected.offer.listing_id, self.address, commitment(secret), price, nonce)
        order_id = order.order_id(system.chain.chain_id(), system.data_sales.address)
        sealed = self._bridge.store.put(seal_to(seller.public_key, order_info(order_id), secret))
        deadline = system.chain.now() + 3600
        bought = system.data_sales.buy_with_permit(
            self._account,
            listing,
            order.commitment,
            digest_of_cid(sealed),
            nonce,
            deadline=deadline,
            permit=system.token.sign_permit(self._account, system.data_sales.address, price, deadline),
        )
        return self._purchase(bought, listing)

    def purchases(self) -> list[Purchase]:
        """Everything this buyer ever bought, oldest first, found on the chain."""
        listings = listings_in(self._bridge.system.data_sales.listed())
        return [
            self._purchase(bought, listings[ListingId(bought.listing_id)])
            for bought in self._bridge.system.data_sales.bought(buyer=self.address)
            if bought.listing_id in listings
        ]

    def purchase(self, name: str) -> Purchase:
        """One of `purchases`, by its name or a beginning of it. Raises `RecordUnknown`."""
        found = called(name, self.purchases())
        if len(found) != 1:
            raise RecordUnknown(f"{len(found)} purchases have a name that begins with {name!r}; list the purchases")
        return found[0]

    def open(self, purchase: Purchase) -> Record:
        """The content of what was bought and delivered.

        Raises `RecordUnknown` where it is not delivered yet, and `RecordAltered` where the delivered key
        or a chunk is wrong: then do not wait, complain before the deadline.
        """
        delivered = self._bridge.system.data_sales.delivered(purchase.order_id)
        if delivered is None:
            raise RecordUnknown("the seller has not delivered yet; wait, or ask for a refund after the deadline")
        secret = self._secret(purchase.order.listing_id, purchase.order.nonce)
        key = unmask(delivered.masked_key, secret, purchase.order_id)
        manifest = self._bridge.sealed(purchase.listing.manifest, purchase.listing.seal_id)
        contents = Contents(open_record(manifest, key, self._bridge.fetch))
        record = contents.record()
        contents.end()
        return record

    def refund(self) -> list[Refunded]:
        """Take back the price of every order that was not delivered in time."""
        sales, now = self._bridge.system.data_sales, self._bridge.system.chain.now()
        return [
            sales.refund(self._account, each.order, each.listing)
            for each in self.purchases()
            if each.state is OrderState.PAID and each.deadline <= now
        ]

    def withdraw(self, to: Address | None = None) -> CreditWithdrawn:
        """Send all that is credited (refunds) to `to`, or to the own account. Raises `NothingToWithdraw`."""
        sales = self._bridge.system.data_sales
        return sales.withdraw(self._account, self._bridge.system.token.address, to or self.address)

    def _kept(self, digest: Digest) -> bytes:
        block = self._bridge.fetch(digest)
        self._bridge.store.put(block)
        return block

    def _secret(self, listing_id: ListingId, nonce: int) -> bytes:
        """The secret t of one purchase: derived, so that a crash loses nothing, and fresh with the random nonce."""
        return self._identity.purchase_secret(listing_id + nonce.to_bytes(8, "big"))

    def _purchase(self, bought: Bought, listing: Listing) -> Purchase:
        status = self._bridge.system.data_sales.order_status(OrderId(bought.order_id))
        return Purchase(OrderId(bought.order_id), order_of(bought), listing, status.state, status.deadline)
