"""What a patient and a hospital do alike when they sell: offer, deliver, collect."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from medibridge.chain import Decision, Listing, ListingId, Order, OrderId, OrderState, Terms
from medibridge.chain.events import Bought, CreditWithdrawn, Delivered, Listed, Settled, Unlisted
from medibridge.errors import SealingError, StorageError
from medibridge.ids import Address, Digest, PurposeOfUse, address, subject_of
from medibridge.roles.bridge import DepositedRecord, Party
from medibridge.sealing.hpke import open_with
from medibridge.sealing.records import commitment, mask, unwrap_key

__all__ = ["DAY", "Earnings", "Sale", "Seller", "listings_in", "order_info", "order_of", "patient_of"]

DAY = 24 * 60 * 60
_SAFETY = 30 * 60  # seconds before the deadline after which nothing is sent any more (protocol, section 6)


def order_info(order_id: OrderId) -> bytes:
    """The HPKE info under which a buyer's secret is sealed to the seller."""
    return b"MediBridge order" + order_id


def patient_of(listing: Listing) -> Address:
    """The patient whose record is listed."""
    return address("0x" + listing.subject[12:].hex())


@dataclass(frozen=True)
class Sale:
    """An order of one of the seller's listings, and where it stands. Prices in the token's smallest unit."""

    order_id: OrderId
    order: Order
    listing: Listing
    state: OrderState
    deadline: int


@dataclass(frozen=True)
class Earnings:
    """What is credited and can be withdrawn now, and what is still in escrow, in the token's smallest unit."""

    credited: int
    in_escrow: int


class Seller(Party):
    """The selling half of a patient or a hospital."""

    def offer(
        self,
        record: DepositedRecord,
        price: int,
        *,
        purpose: PurposeOfUse = PurposeOfUse.HRESCH,
        duo_terms: int = 0,
        deliver_within: int = DAY,
        dispute_within: int = DAY,
        custodian_share: int = 2_000,
    ) -> Listed:
        """Offer a de-identified record.

        Args:
            record: as `records` found it; the seller must be able to open it.
            price: in the token's smallest unit.
            purpose: what it is sold for, of the research-and-sale lane.
            duo_terms: GA4GH Data Use Ontology terms, one bit each.
            deliver_within: seconds the seller has to deliver.
            dispute_within: seconds the buyer has to complain, at least a day.
            custodian_share: hundredths of a percent that the custodian gets of what remains after the fee.

        Raises a `Refusal` (`NotDeidentified`, `SaleNotPermitted`, `RecordNotDeposited` …), and
        `SealingError` or `StorageError` where the seller could not deliver.
        """
        manifest = self._bridge.manifest(record.description)
        key = unwrap_key(manifest, [self._identity.registered])
        self._bridge.open_with(manifest, key, record.description)
        terms = Terms(
            token=self._bridge.system.token.address,
            price=price,
            purpose=purpose,
            duo_terms=duo_terms,
            deliver_within=deliver_within,
            dispute_within=dispute_within,
            custodian_share=custodian_share,
            nonce=secrets.randbits(64),
        )
        sales = self._bridge.system.data_sales
        return sales.offer(self._account, terms, record.description, record.root, record.index, record.path)

    def unlist(self, listing: Listing) -> Unlisted:
        """End an offer; open orders run on."""
        return self._bridge.system.data_sales.unlist(self._account, listing)

    def sales(self) -> list[Sale]:
        """Every order of the seller's listings, oldest first."""
        return [sale for sale, _ in self._sales()]

    def deliver(self) -> list[Delivered]:
        """Hand over the key to every paid order that deserves it; the deliveries made now.

        Passed over, since a delivery that fails or comes too late gives the key away: orders whose
        secret does not open, does not match its commitment or was used before; that have less than 30
        minutes left; whose consent is gone; and, on a public chain, those not final yet.
        """
        return [self._deliver(sale, secret) for sale, secret in self._deliverable()]

    def settle(self) -> list[Settled]:
        """Settle every delivered order whose dispute window is over."""
        sales, now = self._bridge.system.data_sales, self._bridge.system.chain.now()
        return [
            sales.settle(self._account, sale.order, sale.listing)
            for sale in self.sales()
            if sale.state is OrderState.DELIVERED and sale.deadline <= now
        ]

    def earnings(self) -> Earnings:
        """What can be withdrawn, and what open orders hold."""
        sales = self._bridge.system.data_sales
        escrow = sum(sale.order.price for sale in self.sales() if sale.state in {OrderState.PAID, OrderState.DELIVERED})
        return Earnings(sales.credit_of(self._bridge.system.token.address, self.address), escrow)

    def withdraw(self, to: Address | None = None) -> CreditWithdrawn:
        """Send all that is credited to `to`, or to the seller's own account. Raises `NothingToWithdraw`."""
        sales = self._bridge.system.data_sales
        return sales.withdraw(self._account, self._bridge.system.token.address, to or self.address)

    def _sales(self) -> Iterator[tuple[Sale, Bought]]:
        sales = self._bridge.system.data_sales
        for listing_id, listing in listings_in(sales.listed(seller=self.address)).items():
            for bought in sales.bought(confirmations=self._bridge.system.chain.confirmations(), listingId=listing_id):
                order, order_id = order_of(bought), OrderId(bought.order_id)
                status = sales.order_status(order_id)
                yield Sale(order_id, order, listing, status.state, status.deadline), bought

    def _deliverable(self) -> Iterator[tuple[Sale, bytes]]:
        for sale, bought in self._sales():
            if sale.state is not OrderState.PAID or sale.deadline - self._bridge.system.chain.now() < _SAFETY:
                continue
            secret = self._secret_of(bought)
            if secret is not None and not self._is_used(bought) and self._may_still_sell(sale.listing):
                yield sale, secret

    def _secret_of(self, bought: Bought) -> bytes | None:
        """The buyer's secret, if it is the one that was committed to."""
        try:
            sealed = self._bridge.fetch(Digest(bought.sealed_secret))
            secret = open_with(self._identity.registered, order_info(OrderId(bought.order_id)), sealed)
        except (SealingError, StorageError):
            return None
        return secret if len(secret) == 32 and commitment(secret) == bought.commitment else None

    def _is_used(self, bought: Bought) -> bool:
        """Whether the secret served an earlier purchase of the same buyer, or of somebody who knew it.

        Who merely copies a commitment knows no secret: else anybody could stop any delivery.
        """
        purchases = self._bridge.system.data_sales.bought()
        earlier = takewhile(lambda other: other.order_id != bought.order_id, purchases)
        return any(
            other.commitment == bought.commitment
            and (other.buyer == bought.buyer or self._secret_of(other) is not None)
            for other in earlier
        )

    def _may_still_sell(self, listing: Listing) -> bool:
        if listing.subject == subject_of(self.address):
            return True
        decision = self._bridge.system.consents.permits(
            patient_of(listing), self.address, listing.data_class, listing.terms.purpose
        )
        return decision is Decision.PERMITTED

    def _deliver(self, sale: Sale, secret: bytes) -> Delivered:
        manifest = self._bridge.sealed(sale.listing.manifest, sale.listing.seal_id)
        key = unwrap_key(manifest, [self._identity.registered])
        masked = mask(key, secret, sale.order_id)
        return self._bridge.system.data_sales.deliver(self._account, sale.order, sale.listing, masked)


def listings_in(events: Iterable[Listed]) -> dict[ListingId, Listing]:
    """What was listed, by id, oldest first.

    A listing of a class or for a purpose that this version does not know is passed over: the contract takes
    it from anybody, and nobody else's market must stop for it.
    """
    listings = {}
    for listed in events:
        try:
            listings[ListingId(listed.listing_id)] = Listing.from_abi(listed.listing)
        except ValueError:
            continue
    return listings


def order_of(bought: Bought) -> Order:
    """The order that a purchase made."""
    listing_id = ListingId(bought.listing_id)
    return Order(listing_id, bought.buyer, bought.commitment, bought.price_in_units, bought.nonce)
