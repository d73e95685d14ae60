"""Invariants 1 and 2 of the protocol (section 7): the market holds what it owes, and everybody gets out what is his."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from isolation import isolated, on_the_chain
from refusals import reverts
from sales import DAY, HOUR, Listing, Order, Purchase, Terms, batch_of, digest, listing_of, order_of, parts_of

PAID, DELIVERED, SETTLED, REFUNDED = 1, 2, 3, 4


WHICH = st.integers(0, 2**16)
HOURS = st.sampled_from([1, 12, 23, 24, 48])
AMOUNT = st.integers(1, 1_000)


@dataclass
class Deal:
    """One order as the model knows it."""

    order: Order
    listing: Listing
    state: int
    deadline: int


class Sales(RuleBasedStateMachine):
    """Buyers, sellers and strangers do whatever comes to their mind, and time goes by."""

    def __init__(self, system: Any, people: dict[str, Any], clock: Any) -> None:
        super().__init__()
        self.isolation = isolated()
        self.isolation.__enter__()
        market, dollar = system.data_sales, system.dollar
        self.market, self.dollar, self.people, self.clock, self.system = market, dollar, people, clock, system
        self.hospital, self.patient, self.treasury = people["hospital"], people["patient"], people["treasury"]
        self.buyers = [people["buyer"], people["second_buyer"]]
        batch = batch_of(self.hospital, self.patient, 2).deposited(system.records, self.hospital)
        self.listings = [
            listing_of(
                market,
                self.patient,
                batch,
                index,
                Terms(dollar.address, price, 16, deliver_within=deliver, custodian_share=share, nonce=index),
            )
            for index, price, deliver, share in ((0, 999_999, 24 * HOUR, 3_333), (1, 7, 36 * HOUR, 5_000))
        ]
        for account in self.buyers:
            dollar.mint(account, 10**12, {"from": people["admin"]})
            dollar.approve(market, 10**12, {"from": account})
        self.deals: list[Deal] = []
        self.credits: dict[str, int] = {}
        self.unasked = 0

    def credit(self, account: Any, amount: int) -> None:
        self.credits[account.address] = self.credits.get(account.address, 0) + amount

    def one_of(self, which: int) -> Deal | None:
        return self.deals[which % len(self.deals)] if self.deals else None

    @rule(which=WHICH)
    def buy(self, which: int) -> None:
        listing, who = self.listings[which % 2], self.buyers[which // 2 % 2]
        purchase = Purchase(digest(which % 3), digest("secret"), len(self.deals))
        self.market.buy(listing, purchase, {"from": who})
        order = order_of(self.market, listing, who, purchase)
        self.deals.append(Deal(order, listing, PAID, self.clock.now() + listing.terms.deliver_within))

    @rule(which=WHICH)
    def deliver(self, which: int) -> None:
        if (deal := self.one_of(which)) is None:
            return
        order_id, now = deal.order.id_at(self.market), self.clock.now()
        arguments = (deal.order, deal.listing, digest("masked"), {"from": self.patient})
        if deal.state != PAID:
            with reverts("OrderStateIsNot", order_id, PAID, deal.state):
                self.market.deliver(*arguments)
        elif now >= deal.deadline:
            with reverts("DeadlinePassed", order_id, deal.deadline, now):
                self.market.deliver(*arguments)
        else:
            self.market.deliver(*arguments)
            deal.state, deal.deadline = DELIVERED, now + deal.listing.terms.dispute_within

    @rule(which=WHICH)
    def settle(self, which: int) -> None:
        if (deal := self.one_of(which)) is not None:
            self.close(deal, DELIVERED, self.market.settle)

    @rule(which=WHICH)
    def refund(self, which: int) -> None:
        if (deal := self.one_of(which)) is not None:
            self.close(deal, PAID, self.market.refund)

    def close(self, deal: Deal, needs: int, send: Any) -> None:
        order_id, now = deal.order.id_at(self.market), self.clock.now()
        arguments = (deal.order, deal.listing, {"from": self.people["stranger"]})
        if deal.state != needs:
            with reverts("OrderStateIsNot", order_id, needs, deal.state):
                send(*arguments)
        elif now < deal.deadline:
            with reverts("DeadlineNotReached", order_id, deal.deadline, now):
                send(*arguments)
        else:
            send(*arguments)
            self.closed(deal, needs)

    def closed(self, deal: Deal, needs: int) -> None:
        price = deal.order.price
        if needs == PAID:
            deal.state = REFUNDED
            self.credit(next(x for x in self.buyers if x == deal.order.buyer), price)
            return
        deal.state = SETTLED
        parts = parts_of(price, 250, deal.listing.terms.custodian_share)
        for account, part in zip((self.treasury, self.hospital, self.patient), parts, strict=True):
            self.credit(account, part)

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
        if (deal := self.one_of(which)) is not None:
            self.clock.move_to(max(self.clock.now(), deal.deadline))

    @invariant()
    def the_market_holds_what_it_owes(self) -> None:
        escrow = sum(deal.order.price for deal in self.deals if deal.state in (PAID, DELIVERED))
        held = self.dollar.balanceOf(self.market)
        assert held == escrow + sum(self.credits.values()) + self.unasked

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
        self.market.allowToken(self.dollar, False, admin)
        self.clock.pass_by(3 * DAY)
        for deal in self.deals:
            if deal.state in (PAID, DELIVERED):
                self.close(deal, deal.state, self.market.refund if deal.state == PAID else self.market.settle)
        for account in (*self.buyers, self.treasury, self.hospital, self.patient):
            self.take_out(account)
            assert self.market.creditOf(self.dollar, account) == 0
        assert self.dollar.balanceOf(self.market) == self.unasked


def test_the_market_holds_what_it_owes_and_everybody_gets_out(system: Any, people: dict[str, Any], clock: Any) -> None:
    run_state_machine_as_test(lambda: Sales(system, people, clock), settings=on_the_chain(25, steps=25))
