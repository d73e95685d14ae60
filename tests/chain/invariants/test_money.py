"""Invariants 1 to 3 of the protocol (section 7): the market holds what it owes, everybody gets out what is his, and a
fraud, and only a fraud, is proved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deals import SECRET, WRONG_KEY, Deal, bought, delivered, listing_for
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from isolation import isolated, on_the_chain
from observed import plain
from refusals import reverts
from sales import DAY, HOUR, Listing, Order, Terms, parts_of
from sealed import content_of, sealed

from medibridge.chain.sales import ListingState, OrderState
from medibridge.sealing.records import mask

PAID, DELIVERED = OrderState.PAID, OrderState.DELIVERED
CLAIM_PERIOD = 7 * DAY

WHICH = st.integers(0, 2**16)
HOURS = st.sampled_from([1, 12, 23, 24, 48])
AMOUNT = st.integers(1, 1_000)


@dataclass
class Sale:
    """One order as the model knows it; a deal once something was delivered."""

    order: Order
    shelf: Shelf
    deadline: int
    state: int = PAID
    deal: Deal | None = None
    honest: bool = True


@dataclass
class Shelf:
    """One listing as the model knows it."""

    listing: Listing
    goods: Any
    places: int
    state: int = ListingState.LIVE
    open: int = 0
    closed_at: int = 0
    undistributed: int = 0

    @property
    def bond(self) -> int:
        return self.places * self.listing.terms.reward


class Sales(RuleBasedStateMachine):
    """Buyers, honest and cheating sellers and strangers do whatever comes to their mind, and time goes by."""

    def __init__(self, system: Any, people: dict[str, Any], clock: Any) -> None:
        super().__init__()
        self.isolation = isolated()
        self.isolation.__enter__()
        market, dollar = system.data_sales, system.dollar
        self.market, self.dollar, self.people, self.clock, self.system = market, dollar, people, clock, system
        self.hospital, self.patient, self.treasury = people["hospital"], people["patient"], people["treasury"]
        self.buyers = [people["buyer"], people["second_buyer"]]
        self.shelves = []
        for price, deliver, share, places in ((999_999, 24 * HOUR, 3_333, 3), (7, 36 * HOUR, 5_000, 2)):
            goods = sealed(content_of(1_024 if price == 7 else 2_048))
            terms = Terms(dollar.address, price, deliver_within=deliver, custodian_share=share, places=places)
            listing = listing_for(system, self.patient, self.hospital, goods, terms)
            self.shelves.append(Shelf(listing, goods, places))
        for account in self.buyers:
            dollar.mint(account, 10**12, {"from": people["admin"]})
            dollar.approve(market, 10**12, {"from": account})
        self.sales: list[Sale] = []
        self.credits: dict[str, int] = {}
        self.unasked = 0

    def credit(self, account: Any, amount: int) -> None:
        address = getattr(account, "address", account)
        self.credits[address] = self.credits.get(address, 0) + amount

    def one_of(self, which: int) -> Sale | None:
        return self.sales[which % len(self.sales)] if self.sales else None

    @rule(which=WHICH)
    def buy(self, which: int) -> None:
        shelf, who = self.shelves[which % 2], self.buyers[which // 2 % 2]
        listing_id = shelf.listing.id_at(self.market)
        if shelf.state != ListingState.LIVE:
            with reverts("ListingNotLive", listing_id, shelf.state):
                bought(self.system, who, shelf.listing, len(self.sales))
        elif shelf.open == shelf.places:
            with reverts("NoPlaceLeft", listing_id, shelf.places):
                bought(self.system, who, shelf.listing, len(self.sales))
        else:
            order = bought(self.system, who, shelf.listing, len(self.sales))
            shelf.open += 1
            self.sales.append(Sale(order, shelf, self.clock.now() + shelf.listing.terms.deliver_within))

    @rule(which=WHICH, honest=st.booleans())
    def deliver(self, which: int, honest: bool) -> None:
        if (sale := self.one_of(which)) is None:
            return
        order_id, now, shelf = sale.order.id_at(self.market), self.clock.now(), sale.shelf
        key = shelf.goods.key if honest else WRONG_KEY
        arguments = (sale.order, shelf.listing, mask(key, SECRET, order_id), {"from": self.patient})
        if sale.state != PAID:
            with reverts("OrderStateIsNot", order_id, PAID, sale.state):
                self.market.deliver(*arguments)
        elif now >= sale.deadline:
            with reverts("DeadlinePassed", order_id, sale.deadline, now):
                self.market.deliver(*arguments)
        else:
            sale.deal = delivered(self.system, self.patient, shelf.goods, shelf.listing, sale.order, key)
            sale.state, sale.honest = DELIVERED, honest
            sale.deadline = now + shelf.listing.terms.dispute_within

    @rule(which=WHICH)
    def prove(self, which: int) -> None:
        """A fraud, and only a fraud, is proved; and only in time."""
        sale = self.one_of(which)
        if sale is None or sale.deal is None:
            return
        order_id, now, buyer = sale.order.id_at(self.market), self.clock.now(), sale.order.buyer
        if sale.state != DELIVERED:
            with reverts("OrderStateIsNot", order_id, DELIVERED, sale.state):
                sale.deal.prove_wrong_key(buyer)
        elif now >= sale.deadline:
            with reverts("DeadlinePassed", order_id, sale.deadline, now):
                sale.deal.prove_wrong_key(buyer)
        elif sale.honest:
            with reverts("KeyIsRight", order_id, 0):
                sale.deal.prove_wrong_key(buyer)
        else:
            sale.deal.prove_wrong_key(buyer)
            sale.state = OrderState.DISPUTED
            self.close_on(sale.shelf)
            sale.shelf.places -= 1
            sale.shelf.state = ListingState.FROZEN
            self.credit(buyer, sale.order.price + sale.shelf.listing.terms.reward)

    def close_on(self, shelf: Shelf) -> None:
        shelf.open -= 1
        shelf.closed_at = self.clock.now()

    @rule(which=WHICH)
    def settle(self, which: int) -> None:
        if (sale := self.one_of(which)) is not None:
            self.close(sale, DELIVERED, self.market.settle)

    @rule(which=WHICH)
    def refund(self, which: int) -> None:
        if (sale := self.one_of(which)) is not None:
            self.close(sale, PAID, self.market.refund)

    def close(self, sale: Sale, needs: int, send: Any) -> None:
        order_id, now = sale.order.id_at(self.market), self.clock.now()
        arguments = (sale.order, sale.shelf.listing, {"from": self.people["stranger"]})
        if sale.state != needs:
            with reverts("OrderStateIsNot", order_id, needs, sale.state):
                send(*arguments)
        elif now < sale.deadline:
            with reverts("DeadlineNotReached", order_id, sale.deadline, now):
                send(*arguments)
        else:
            send(*arguments)
            self.close_on(sale.shelf)
            if needs == PAID:
                sale.state = OrderState.REFUNDED
                self.credit(sale.order.buyer, sale.order.price)
            else:
                sale.state = OrderState.SETTLED
                sale.shelf.undistributed += 1

    @rule(which=WHICH)
    def distribute(self, which: int) -> None:
        self.pay_out(self.shelves[which % 2])

    def pay_out(self, shelf: Shelf) -> None:
        arguments = (shelf.listing, {"from": self.people["stranger"]})
        if shelf.undistributed == 0:
            with reverts("NothingToPay", shelf.listing.id_at(self.market)):
                self.market.distribute(*arguments)
            return
        self.market.distribute(*arguments)
        parts = parts_of(shelf.listing.terms.price, 250, shelf.listing.terms.custodian_share)
        for account, part in zip((self.treasury, self.hospital, self.patient), parts, strict=True):
            self.credit(account, shelf.undistributed * part)
        shelf.undistributed = 0

    @rule(which=WHICH)
    def release_bond(self, which: int) -> None:
        self.release(self.shelves[which % 2])

    def release(self, shelf: Shelf) -> None:
        listing_id, now = shelf.listing.id_at(self.market), self.clock.now()
        arguments = (shelf.listing, {"from": self.people["stranger"]})
        time = shelf.closed_at + CLAIM_PERIOD
        if shelf.state not in (ListingState.FROZEN, ListingState.WITHDRAWN):
            with reverts("BondStays", listing_id, shelf.state):
                self.market.releaseBond(*arguments)
        elif shelf.open:
            with reverts("OrdersOpen", listing_id, shelf.open):
                self.market.releaseBond(*arguments)
        elif shelf.closed_at and now < time:
            with reverts("BondStaysUntil", listing_id, time, now):
                self.market.releaseBond(*arguments)
        else:
            self.market.releaseBond(*arguments)
            self.credit(self.patient, shelf.bond)
            shelf.state, shelf.places = ListingState.RELEASED, 0

    @rule(which=WHICH)
    def withdraw(self, which: int) -> None:
        everybody = [*self.buyers, self.treasury, self.hospital, self.patient]
        self.take_out(everybody[which % len(everybody)])

    def take_out(self, account: Any) -> None:
        owed = self.credits.pop(account.address, 0)
        if owed == 0:
            with reverts("NothingToWithdraw", self.dollar, account):
                self.market.withdraw(self.dollar, account, {"from": account})
            return
        before = self.dollar.balanceOf(account)
        self.market.withdraw(self.dollar, account, {"from": account})
        assert self.dollar.balanceOf(account) == before + owed

    @rule(amount=AMOUNT)
    def send_unasked(self, amount: int) -> None:
        self.dollar.transfer(self.market, amount, {"from": self.buyers[0]})
        self.unasked += int(amount)

    @rule(hours=HOURS)
    def wait(self, hours: int) -> None:
        self.clock.pass_by(hours * HOUR)

    @rule(which=WHICH)
    def wait_for_a_deadline(self, which: int) -> None:
        if (sale := self.one_of(which)) is not None:
            self.clock.move_to(max(self.clock.now(), sale.deadline))

    @invariant()
    def the_market_holds_what_it_owes(self) -> None:
        escrow = sum(sale.order.price for sale in self.sales if sale.state in (PAID, DELIVERED))
        gathered = sum(shelf.undistributed * shelf.listing.terms.price for shelf in self.shelves)
        bonds = sum(shelf.bond for shelf in self.shelves)
        held = self.dollar.balanceOf(self.market)
        assert held == escrow + gathered + bonds + sum(self.credits.values()) + self.unasked

    def teardown(self) -> None:
        try:
            self.let_everybody_out()
        finally:
            self.isolation.__exit__(None, None, None)

    def let_everybody_out(self) -> None:
        """From here everybody gets out what is his, whoever is suspended and whatever is disallowed."""
        admin = {"from": self.people["admin"]}
        for institution in (self.hospital, *self.buyers):
            self.system.institutions.suspend(institution, admin)
        self.market.allowToken(self.dollar, 0, admin)
        for sale in self.sales:
            if sale.state == DELIVERED and not sale.honest and self.clock.now() < sale.deadline:
                self.prove(self.sales.index(sale))
        self.clock.pass_by(3 * DAY)
        for sale in self.sales:
            if sale.state in (PAID, DELIVERED):
                self.close(sale, sale.state, self.market.refund if sale.state == PAID else self.market.settle)
        for shelf in self.shelves:
            self.end(shelf)
        for account in (*self.buyers, self.treasury, self.hospital, self.patient):
            self.take_out(account)
            assert self.market.creditOf(self.dollar, account) == 0
        assert self.dollar.balanceOf(self.market) == self.unasked

    def end(self, shelf: Shelf) -> None:
        """Nothing of this listing is left in the market."""
        if shelf.undistributed:
            self.pay_out(shelf)
        if shelf.state == ListingState.LIVE:
            self.market.unlist(shelf.listing, {"from": self.patient})
            shelf.state = ListingState.WITHDRAWN
        status = plain(self.market.listingStatusOf(shelf.listing.id_at(self.market)))
        assert (status[0], status[3], status[4]) == (shelf.state, 0, shelf.places)
        if shelf.state != ListingState.RELEASED:
            self.clock.pass_by(CLAIM_PERIOD)
            self.release(shelf)


def test_the_market_holds_what_it_owes_and_everybody_gets_out(system: Any, people: dict[str, Any], clock: Any) -> None:
    run_state_machine_as_test(lambda: Sales(system, people, clock), settings=on_the_chain(20, steps=25))
