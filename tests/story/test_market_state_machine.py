"""Invariants 1 to 3 of the protocol (section 7), through the Python client, on Anvil.

Sellers, buyers, patients, the administrator and strangers do whatever comes to their mind, honest or not, and time goes
by. The books say of each call beforehand whether it is refused, and by which name; what the market holds is what the
books say; and in the end everybody has taken out what is his, counted anew from what was sold.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from books import Books
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from market import BUYERS, CAST, CONTRIBUTORS, HOUR, SELLERS, Deal, Market, digest
from nodes import anvil

from medibridge.chain import Chain, ListingState, Order, OrderState, Use, refusals
from medibridge.ids import Digest
from medibridge.sealing.records import RecordKey, commitment, mask

pytestmark = pytest.mark.story

WHICH = st.integers(0, 2**16)
PRICE = st.integers(1, 10**9)
PLACES = st.integers(1, 3)
A_CONTRIBUTOR = st.sampled_from(CONTRIBUTORS)


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    with anvil() as url:
        yield Market(Chain.at(url))


AN_ORDER_IS_MADE = precondition(lambda trading: trading.deals)


class Trading(Books):
    """Everybody on one market, where each of the goods was offered and sold once, honestly or not, to begin with.

    There are few rules, for hypothesis leaves out about half of them in each run.
    """

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        for seller in SELLERS:
            self.fund(seller, 2 * 10**9)
        for which, good in enumerate(market.goods):
            self.offer(which, 10**8 + which, 2, 1_234)
            self.buy(which, BUYERS[which % 2], good.name != "entrusted")

    # Sellers

    @rule(which=WHICH, price=PRICE, places=PLACES, share=st.integers(0, 5_000))
    def offer(self, which: int, price: int, places: int, share: int) -> None:
        good = self.market.goods[which % 4]
        terms, seller = self.terms(good, price, places, share), self.account(good.seller)
        self.tried(
            self.refusal_of_listing(good, terms, self.credits[good.seller]),
            lambda: self.sales.offer(seller, terms, good.record, good.root, good.index, good.path),
            lambda listed: self.listed(good, terms, listed.listing_id),
        )

    @rule(which=WHICH, price=PRICE, places=PLACES)
    def change(self, which: int, price: int, places: int) -> None:
        offered = self.one_of(self.offers, which)
        good, terms = offered.good, self.terms(offered.good, price, places, 1_000)
        comes_back = offered.bond if offered.open == offered.closed_at == 0 else 0
        refused = self.refusal_of_listing(good, terms, self.credits[good.seller] + comes_back)
        event = self.tried(
            refused if offered.state is ListingState.LIVE else refusals.ListingNotLive,
            lambda: self.sales.change(self.account(good.seller), offered.listing, terms),
        )
        if event is not None:
            offered.state = ListingState.WITHDRAWN
            if comes_back:
                self.released(offered)
            self.listed(good, terms, event.listing_id)

    @rule(which=WHICH, again=st.booleans())
    def end_an_offer(self, which: int, again: bool) -> None:
        self.withdraw_listing(self.one_of(self.offers, which))
        if again:
            self.release(self.one_of(self.offers, which))

    @AN_ORDER_IS_MADE
    @rule(which=WHICH, right=st.booleans())
    def deliver(self, which: int, right: bool) -> None:
        self.hand_over(self.a_deal(which), right=right)

    def hand_over(self, deal: Deal, *, right: bool) -> None:
        good, listing = deal.offered.good, deal.offered.listing
        key = good.sealed.key if right else RecordKey.from_bytes(digest("another key"))
        masked = mask(key, deal.secret, deal.order_id)
        with pytest.raises((refusals.NotTheSeller, refusals.OrderStateIsNot)):
            self.sales.deliver(self.account("admin"), deal.order, listing, masked)
        late = None if self.now() < deal.deadline else refusals.DeadlinePassed
        event = self.tried(
            late if deal.state is OrderState.PAID else refusals.OrderStateIsNot,
            lambda: self.sales.deliver(self.account(good.seller), deal.order, listing, masked),
        )
        if event is not None:
            deal.state, deal.deadline, deal.masked, deal.right = OrderState.DELIVERED, event.deadline, masked, right

    # Buyers

    @rule(which=WHICH, buyer=st.sampled_from(BUYERS), right=st.sampled_from((None, True, True, False)))
    def buy(self, which: int, buyer: str, right: bool | None) -> None:
        """Buy; and the seller delivers at once the right key, or a wrong one, or nothing yet."""
        offered, nonce = self.one_of(self.offers, which), len(self.deals)
        secret, price = digest(f"secret {nonce}"), offered.listing.terms.price
        order = Order(offered.listing_id, self.market.address(buyer), commitment(secret), price, nonce)
        sealed = Digest(bytes(32))
        event = self.tried(
            self.refusal_of_buying(offered, buyer),
            lambda: self.sales.buy(self.account(buyer), offered.listing, order.commitment, sealed, nonce, Use()),
        )
        if event is not None:
            self.deals.append(Deal(order, event.order_id, offered, buyer, secret, event.deadline))
            offered.open += 1
            if right is not None:
                self.hand_over(self.deals[-1], right=right)

    @AN_ORDER_IS_MADE
    @rule(which=WHICH, with_key=st.booleans())
    def accuse(self, which: int, with_key: bool) -> None:
        deal = self.a_deal(which)
        good, buyer, given = deal.offered.good, self.account(deal.buyer), (deal.order, deal.offered.listing)
        proof, chunk = good.chunk_proof(0), good.sealed.chunks[0]

        def prove() -> object:
            if with_key:
                return self.sales.prove_wrong_key(buyer, *given, deal.masked or bytes(32), deal.secret, proof)
            return self.sales.prove_wrong_chunk(buyer, *given, proof, chunk.key, chunk.ciphertext)

        self.tried(self.refusal_of_proving(deal, with_key=with_key), prove, lambda _: self.compensated(deal))

    # Anybody

    @AN_ORDER_IS_MADE
    @rule(which=WHICH, in_time=st.booleans(), needs=st.sampled_from((OrderState.PAID, OrderState.DELIVERED)))
    def conclude(self, which: int, in_time: bool, needs: OrderState) -> None:
        """Settle or refund, at once or after the deadline."""
        deal = self.a_deal(which)
        if in_time:
            self.market.chain.advance(max(deal.deadline - self.now() + 1, 0))
        self.close(deal, deal.state if in_time and deal in self.open_deals else needs)

    @AN_ORDER_IS_MADE
    @rule(which=WHICH)
    def stop(self, which: int) -> None:
        deal = self.a_deal(which)
        self.tried(
            self.refusal_of_stopping(deal),
            lambda: self.sales.stop(self.account("admin"), deal.order, deal.offered.listing),
            lambda stopped: setattr(deal, "deadline", stopped.deadline),
        )

    @rule(which=WHICH, patient=A_CONTRIBUTOR)
    def pay_out(self, which: int, patient: str) -> None:
        self.distribute_from(self.one_of(self.offers, which))
        self.claim_from(self.one_of(self.datasets, which), patient)

    @rule(which=WHICH, patient=A_CONTRIBUTOR)
    def freeze(self, which: int, patient: str) -> None:
        offered = self.one_of(self.datasets, which)
        shown = self.market.share_proof(patient)
        who, salt = self.market.address(patient), digest(f"salt of {patient}")
        self.tried(
            self.refusal_of_freezing(offered, patient),
            lambda: self.sales.freeze(self.account("admin"), offered.listing, who, salt, *shown),
            lambda _: self.frozen(offered, patient),
        )

    @rule(name=st.sampled_from(CAST), amount=st.integers(1, 10**6))
    def move_money(self, name: str, amount: int) -> None:
        """Withdraw; and somebody sends money that nobody asked for."""
        self.take_out(name)
        self.market.token.mint(self.account("admin"), self.sales.address, amount)
        self.unasked += amount

    # The world

    @rule(which=WHICH, hours=st.sampled_from((0, 1, 12, 25, 8 * 24)))
    def change_the_world(self, which: int, hours: int) -> None:
        """Time passes; and without it a patient gives or takes back consent, or the administrator thinks again."""
        if hours:
            self.market.chain.advance(hours * HOUR)
        elif which % 2:
            self.change_consent(("ben", *CONTRIBUTORS)[which // 2 % 4])
        else:
            self.suspend_or_reinstate(("rowan", "lakeside", *BUYERS)[which // 2 % 4])

    # What must hold

    @invariant()
    def market_holds_what_it_owes(self) -> None:
        assert self.market.token.balance_of(self.sales.address) == self.owed + self.unasked

    @invariant()
    def chain_says_what_the_books_say(self) -> None:
        turn = len(self.deals) + len(self.offers)
        offered = self.one_of(self.offers, turn)
        status = self.sales.listing_status(offered.listing_id)
        said = (status.state, status.open, status.places, status.sold, status.distributed)
        assert said == (offered.state, offered.open, offered.places, offered.sold, offered.distributed)
        name = CAST[turn % len(CAST)]
        assert self.sales.credit_of(self.token, self.market.address(name)) == self.credits[name]

    def teardown(self) -> None:
        """From here everybody gets out what is his, though nobody who is suspended is reinstated."""
        self.market.chain.advance(72 * HOUR)
        for deal in self.open_deals:
            self.close(deal, deal.state)
        for offered in self.offers:
            self.withdraw_listing(offered)
        self.market.chain.advance(8 * 24 * HOUR)
        for offered in self.offers:
            self.release(offered)
            self.distribute_from(offered)
            for patient in CONTRIBUTORS if offered.good.tree is not None else ():
                self.claim_from(offered, patient)
        for name in CAST:
            self.take_out(name)
            assert self.market.token.balance_of(self.market.address(name)) == self.what_is_due_to(name), name
        assert self.owed <= len(self.datasets) * len(CONTRIBUTORS)  # what rounding left
        self.market_holds_what_it_owes()


def test_everybody_gets_what_is_his_whatever_the_others_do(market: Market) -> None:
    run_state_machine_as_test(
        lambda: Trading(market),
        settings=settings(
            max_examples=14,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
