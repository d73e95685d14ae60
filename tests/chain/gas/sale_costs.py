"""A hospital's deposits and listings, sales from purchase to settlement, and who takes out what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from brownie import history
from clock import NOON, Clock
from gas.measuring import Cost, cost_of, sum_of
from sales import DAY, Conditions, Listing, Purchase, Terms, batch_of, digest, listing_of, order_of
from typed_data import Grant, Revocation, sign_permit

from medibridge.ids import DataClass, Lane, PurposeOfUse

PRICE = 50_000_000


@dataclass
class Shop:
    """Who sells what to whom; the next order's nonce."""

    system: Any
    people: dict[str, Any]
    clock: Clock
    nonce: int = 0

    def purchase(self) -> Purchase:
        """Another one each time."""
        self.nonce += 1
        return Purchase(digest(f"commitment {self.nonce}"), digest(f"secret {self.nonce}"), self.nonce)

    def sell(self, listing: Listing, buyer: Any, send: Callable[[Purchase], Any]) -> tuple[Cost, Cost, Cost]:
        """Costs of buying, delivering and settling."""
        market, hospital, stranger = self.system.data_sales, self.people["hospital"], self.people["stranger"]
        purchase = self.purchase()
        order = order_of(market, listing, buyer, purchase)
        bought = cost_of(send(purchase))
        self.clock.pass_by(12)
        delivered = cost_of(market.deliver(order, listing, digest(f"masked {self.nonce}"), {"from": hospital}))
        self.clock.pass_by(listing.terms.dispute_within)
        return bought, delivered, cost_of(market.settle(order, listing, {"from": stranger}))


def deposit_costs(system: Any, people: dict[str, Any]) -> Iterator[tuple[str, Cost]]:
    """A record alone, and a thousand together."""
    hospital, patient = people["hospital"], people["patient"]
    seller = {"from": hospital}
    alone = system.records.deposit(digest("root alone"), 1, digest("list alone"), seller)
    yield "deposit of a record alone", cost_of(alone)
    batch = batch_of(hospital, patient, 1_000, "sold")
    together = cost_of(system.records.deposit(batch.root, 1_000, batch.list_digest, seller))
    yield "deposit of a batch of 1 000", together
    yield "deposit of a batch of 1 000, per record", {"gas": -(-together["gas"] // 1_000), "new slots": 0}


def sale_costs(system: Any, people: dict[str, Any], clock: Clock) -> Iterator[tuple[str, Cost]]:
    """After `deposit_costs`. Sales of one patient's record: the listing's first, the buyer's first with permit, and a
    repeat; then a stopped and a refunded one.
    """
    market, dollar, shop = system.data_sales, system.dollar, Shop(system, people, clock)
    hospital, patient, buyer, second_buyer = (people[x] for x in ("hospital", "patient", "buyer", "second_buyer"))
    admin, stranger = people["admin"], people["stranger"]
    seller = {"from": hospital}
    keyring = system.consents.keyringOf(patient)
    consent = Grant(
        patient.address,
        hospital.address,
        DataClass.LABORATORY.bit,
        PurposeOfUse.HRESCH.bit,
        NOON,
        NOON + 365 * DAY,
        keyring,
        keyring,
    )
    system.consents.grant(consent, {"from": patient})
    for account in (buyer, second_buyer):
        dollar.mint(account, 100 * PRICE, {"from": admin})
    terms = Terms(dollar.address, PRICE, Conditions())

    yield "fund a bond for the first time", cost_of(market.fund(dollar, 2 * terms.bond, seller))
    batch = batch_of(hospital, patient, 1_000, "sold")
    single = batch_of(hospital, patient, 1, "single").deposited(system.records, hospital)
    withdrawn = listing_of(market, hospital, single, 0, terms)
    yield "fund a bond", cost_of(history[-2])
    yield "list a record deposited alone", cost_of(history[-1])
    listing = listing_of(market, hospital, batch, 500, terms)
    yield "list a record of a batch of 1 000", cost_of(history[-1])
    changed = market.change(withdrawn, terms._replace(price=PRICE // 2), seller)
    yield "change a listing that nobody bought", cost_of(changed)

    def with_permit(who: Any) -> Callable[[Purchase], Any]:
        permit = sign_permit(who, dollar, market.address, PRICE, NOON + 300 * DAY)
        return lambda purchase: market.buyWithPermit(listing, purchase, permit, {"from": who})

    _, _, settled = shop.sell(listing, second_buyer, with_permit(second_buyer))
    yield "settle", settled
    bought, delivered, settled = shop.sell(listing, buyer, with_permit(buyer))
    yield "buy with permit, for the first time", bought
    yield "buyer's first sale with permit: buy, deliver and settle", sum_of(bought, delivered, settled)
    yield "distribute for the first time", cost_of(market.distribute(listing, {"from": stranger}))
    dollar.approve(market, 90 * PRICE, {"from": buyer})
    bought, delivered, settled = shop.sell(listing, buyer, lambda it: market.buy(listing, it, {"from": buyer}))
    yield "buy with an allowance", bought
    yield "deliver", delivered
    yield "repeat sale: buy, deliver and settle", sum_of(bought, delivered, settled)
    yield "distribute", cost_of(market.distribute(listing, {"from": stranger}))

    never, stopped = shop.purchase(), shop.purchase()
    for purchase in (never, stopped):
        market.buy(listing, purchase, {"from": buyer})
    revocation = Revocation(patient.address, hospital.address, Lane.RESEARCH_AND_SALE, keyring, bytes(32))
    system.consents.revoke(revocation, {"from": patient})
    yield "stop", cost_of(market.stop(order_of(market, listing, buyer, stopped), listing, {"from": patient}))
    clock.pass_by(listing.terms.deliver_within)
    for who, purchase in (("for the first time", never), ("again", stopped)):
        refunded = market.refund(order_of(market, listing, buyer, purchase), listing, {"from": stranger})
        yield f"refund {who}", cost_of(refunded)
    yield "withdraw", cost_of(market.withdraw(dollar, people["treasury"], {"from": people["treasury"]}))
    yield "withdraw to one who holds the token", cost_of(market.withdraw(dollar, buyer, {"from": buyer}))
    yield "unlist", cost_of(market.unlist(listing, seller))
    clock.pass_by(7 * DAY)
    yield "release a bond", cost_of(market.releaseBond(listing, {"from": stranger}))
