"""The books of a market: what each call should do, and what everybody should have, by the rules alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import pytest
from eth_account.signers.local import LocalAccount
from hypothesis.stateful import RuleBasedStateMachine
from market import BUYERS, CONTRIBUTORS, DAY, HOUR, MONEY, SELLERS, Deal, Good, Market, Offered

from medibridge.chain import Conditions, Listing, ListingId, ListingState, OrderState, Terms, refusals
from medibridge.chain.sales import ANYBODY
from medibridge.errors import Refusal

__all__ = ["CLAIM_PERIOD", "ON_ITS_WAY", "Books"]

LEAST_REWARD: Final = 10_000_000
CLAIM_PERIOD: Final = 7 * DAY
ON_ITS_WAY: Final = HOUR // 2
CLEAR: Final = 60  # seconds that the clock stays away from every deadline: the exact seconds are other tests' business
T = TypeVar("T")
Expected = type[Refusal] | None


class Books(RuleBasedStateMachine):
    """What should be, beside the market that is. Amounts in units, accounts by their names."""

    def __init__(self, market: Market) -> None:
        super().__init__()
        market.reset()
        self.market, self.sales, self.token = market, market.sales, market.token.address
        self.offers: list[Offered] = []
        self.deals: list[Deal] = []
        self.credits: Counter[str] = Counter()
        self.suspended: set[str] = set()
        self.unasked = 0
        self.consents = {
            name: (name != "emil", market.consent_changed_at(name, self.seller_of(name)))
            for name in ("ben", *CONTRIBUTORS)
        }

    # What stands in them

    @property
    def datasets(self) -> list[Offered]:
        return [offered for offered in self.offers if offered.good.tree is not None]

    @property
    def open_deals(self) -> list[Deal]:
        return [deal for deal in self.deals if deal.state in {OrderState.PAID, OrderState.DELIVERED}]

    @property
    def owed(self) -> int:
        """All that the market should hold, but for what it was sent unasked."""
        escrow = sum(deal.order.price for deal in self.open_deals)
        return escrow + sum(self.credits.values()) + sum(each.bond + each.unpaid for each in self.offers)

    def what_is_due_to(self, name: str) -> int:
        """What is somebody's in the end, counted anew from what was sold, proved and forfeited."""
        address, due = self.market.address(name), MONEY if name in {*SELLERS, *BUYERS} else 0
        for deal in self.deals:
            if deal.buyer == name and deal.state is OrderState.SETTLED:
                due -= deal.order.price
            if deal.buyer == name and deal.state is OrderState.DISPUTED:
                due += deal.offered.listing.terms.reward
        for each in self.offers:
            terms, tenth = each.listing.terms, each.listing.terms.security // 10
            due -= each.disputed * terms.reward if each.good.seller == name else 0
            due += each.sold * each.parts.fee if name == "admin" else 0
            due += each.sold * each.parts.custodian if each.listing.custodian == address else 0
            due += each.sold * each.parts.patients if each.listing.patient == address else 0
            shares = each.good.tree.shares if each.good.tree is not None else ()
            due += sum(each.share_of(share, each.sold) for share in shares if share.patient == address)
            if each.forfeited_to:
                due -= terms.security if each.good.seller == name else 0
                due += {each.forfeited_to: tenth, "admin": terms.security - tenth}.get(name, 0)
        return due

    # What should come of a call

    def refusal_of_listing(self, good: Good, terms: Terms, credit: int) -> Expected:
        if self.market.name(good.record.custodian) in self.suspended:
            return refusals.CustodianNotInGoodStanding
        if good.consenting is not None and not self.consents[good.consenting][0]:
            return refusals.SaleNotPermitted
        return refusals.CreditTooLow if credit < terms.bond else None

    def refusal_of_buying(self, offered: Offered, buyer: str) -> Expected:
        if buyer in self.suspended:
            return refusals.BuyerNotInGoodStanding
        listed = self.refusal_of_listing(offered.good, offered.listing.terms, offered.listing.terms.bond)
        if listed is None and offered.state is not ListingState.LIVE:
            return refusals.ListingNotLive
        if listed is None and offered.open == offered.places:
            return refusals.NoPlaceLeft
        return listed

    def refusal_of_releasing(self, offered: Offered) -> Expected:
        if not (offered.frozen or offered.state is ListingState.WITHDRAWN):
            return refusals.BondStays
        if offered.open:
            return refusals.OrdersOpen
        return refusals.BondStaysUntil if offered.closed_at and self.now() < offered.closed_at + CLAIM_PERIOD else None

    def refusal_of_proving(self, deal: Deal, *, with_key: bool) -> Expected:
        if deal.state is not OrderState.DELIVERED:
            return refusals.OrderStateIsNot
        if self.now() >= deal.deadline:
            return refusals.DeadlinePassed
        if with_key:
            return refusals.KeyIsRight if deal.right else None
        return None if deal.offered.good.name == "bad" else refusals.ChunkIsRight

    def refusal_of_stopping(self, deal: Deal) -> Expected:
        if deal.state is not OrderState.PAID:
            return refusals.OrderStateIsNot
        good = deal.offered.good
        custodian = self.market.name(good.record.custodian)
        withdrawn = good.consenting is not None and not self.consents[good.consenting][0]
        if not (deal.offered.frozen or {custodian, deal.buyer} & self.suspended or withdrawn):
            return refusals.NoGroundToStop
        return refusals.EndsSoonAnyway if self.now() + ON_ITS_WAY >= deal.deadline else None

    def refusal_of_freezing(self, offered: Offered, patient: str) -> Expected:
        if self.consents[patient][0]:
            return refusals.PatientConsents
        if offered.state in {ListingState.LIVE, ListingState.WITHDRAWN}:
            return None
        frozen = offered.state is ListingState.FROZEN
        return None if frozen and self.forfeits(offered, patient) else refusals.NothingToFreeze

    def forfeits(self, offered: Offered, patient: str) -> bool:
        """Whether the consent that is missing had been missing all the time since before the listing."""
        consents, changed_at = self.consents[patient]
        return not consents and changed_at + 1800 < offered.listed_at

    def tried(self, expected: Expected, call: Callable[[], T], then: Callable[[T], object] | None = None) -> T | None:
        """Call; it is refused by that very name, or done and written down."""
        if expected is not None:
            with pytest.raises(Refusal) as refused:
                call()
            assert type(refused.value) is expected
            return None
        event = call()
        if then is not None:
            then(event)
        return event

    # What is written down

    def listed(self, good: Good, terms: Terms, listing_id: bytes) -> None:
        record = good.record
        listing = Listing(
            self.market.address(good.seller),
            record.custodian,
            record.subject,
            record.data_class,
            record.seal_id,
            record.manifest,
            terms,
        )
        own_id = listing.listing_id(self.market.chain.chain_id(), self.sales.address)
        assert own_id == listing_id
        status, parts = self.sales.listing_status(own_id), self.sales.parts_of(listing)
        self.credits[good.seller] -= terms.bond
        self.offers.append(Offered(listing, ListingId(listing_id), good, parts, status.listed_at, places=terms.places))

    def released(self, offered: Offered) -> None:
        self.credits[offered.good.seller] += offered.bond
        offered.state, offered.places = ListingState.RELEASED, 0

    def compensated(self, deal: Deal) -> None:
        offered = deal.offered
        deal.state = OrderState.DISPUTED
        self.credits[deal.buyer] += deal.order.price + offered.listing.terms.reward
        offered.open, offered.places, offered.disputed = offered.open - 1, offered.places - 1, offered.disputed + 1
        offered.closed_at = self.closing_time(offered)
        offered.state = offered.state if offered.frozen else ListingState.FROZEN

    def frozen(self, offered: Offered, patient: str) -> None:
        offered.state = ListingState.FROZEN
        if self.forfeits(offered, patient):
            security = offered.listing.terms.security
            offered.state, offered.forfeited_to = ListingState.FORFEITED, patient
            self.credits[patient] += security // 10
            self.credits["admin"] += security - security // 10

    def distributed(self, offered: Offered) -> None:
        sales, parts = offered.sold - offered.distributed, offered.parts
        self.credits["admin"] += sales * parts.fee
        self.credits[self.market.name(offered.listing.custodian)] += sales * parts.custodian
        if offered.listing.patient is not None:
            self.credits[self.market.name(offered.listing.patient)] += sales * parts.patients
        offered.distributed = offered.sold

    def closing_time(self, offered: Offered) -> int:
        return self.sales.listing_status(offered.listing_id).closed_at

    # What several rules do

    def fund(self, seller: str, amount: int) -> None:
        self.sales.fund(self.account(seller), self.token, amount)
        self.credits[seller] += amount

    def change_consent(self, patient: str) -> None:
        consents, _ = self.consents[patient]
        act = self.market.revoke if consents else self.market.consent
        self.consents[patient] = (not consents, act(patient, self.seller_of(patient)))

    def suspend_or_reinstate(self, name: str) -> None:
        institutions = self.market.system.institutions
        act = institutions.reinstate if name in self.suspended else institutions.suspend
        act(self.account("admin"), self.market.address(name))
        self.suspended ^= {name}

    def close(self, deal: Deal, needs: OrderState) -> None:
        """Settle or refund, from the deadline on."""
        expected: Expected = refusals.OrderStateIsNot
        if deal.state is needs:
            expected = None if self.now() >= deal.deadline else refusals.DeadlineNotReached
        send = self.sales.refund if needs is OrderState.PAID else self.sales.settle
        stranger, offered = self.account("admin"), deal.offered
        if self.tried(expected, lambda: send(stranger, deal.order, offered.listing)) is None:
            return
        offered.open, offered.closed_at = offered.open - 1, self.closing_time(offered)
        if needs is OrderState.PAID:
            deal.state = OrderState.REFUNDED
            self.credits[deal.buyer] += deal.order.price
        else:
            deal.state = OrderState.SETTLED
            offered.sold += 1

    def distribute_from(self, offered: Offered) -> None:
        self.tried(
            None if offered.sold > offered.distributed else refusals.NothingToPay,
            lambda: self.sales.distribute(self.account("admin"), offered.listing),
            lambda _: self.distributed(offered),
        )

    def claim_from(self, offered: Offered, patient: str) -> None:
        tree = offered.good.tree
        assert tree is not None
        share = next(share for share in tree.shares if share.patient == self.market.address(patient))
        before = offered.claimed.get(share.leaf, 0)
        event = self.tried(
            None if before < offered.sold else refusals.NothingToPay,
            lambda: self.sales.claim(self.account("admin"), offered.listing, *self.market.share_proof(patient)),
        )
        if event is not None:
            amount = offered.share_of(share, offered.sold) - offered.share_of(share, before)
            assert (event.payout, event.amount_in_units) == (share.payout, amount)
            self.credits[patient] += amount
            offered.claimed[share.leaf] = offered.sold

    def release(self, offered: Offered) -> None:
        self.tried(
            self.refusal_of_releasing(offered),
            lambda: self.sales.release_bond(self.account("admin"), offered.listing),
            lambda _: self.released(offered),
        )

    def withdraw_listing(self, offered: Offered) -> None:
        self.tried(
            None if offered.state is ListingState.LIVE else refusals.ListingNotLive,
            lambda: self.sales.unlist(self.account(offered.good.seller), offered.listing),
            lambda _: setattr(offered, "state", ListingState.WITHDRAWN),
        )

    def take_out(self, name: str) -> None:
        self.tried(
            None if self.credits[name] else refusals.NothingToWithdraw,
            lambda: self.sales.withdraw(self.account(name), self.token, self.market.address(name)),
            lambda _: self.credits.pop(name),
        )

    # Who, what, when

    def account(self, name: str) -> LocalAccount:
        return self.market.accounts[name]

    @staticmethod
    def seller_of(patient: str) -> str:
        """Whom a patient lets sell."""
        return "rowan" if patient == "ben" else "lakeside"

    @staticmethod
    def one_of(each: Sequence[T], which: int) -> T:
        return each[which % len(each)]

    def a_deal(self, which: int) -> Deal:
        """Mostly one that is open."""
        return self.one_of(self.open_deals if which % 4 and self.open_deals else self.deals, which)

    def terms(self, good: Good, price: int, places: int, custodian_share: int) -> Terms:
        self._nonce = getattr(self, "_nonce", 0) + 1
        return Terms(
            token=self.token,
            price=price,
            conditions=Conditions(),
            reserved_for=ANYBODY,
            deliver_within=6 * HOUR,
            dispute_within=DAY,
            custodian_share=custodian_share,
            places=places,
            reward=LEAST_REWARD,
            security=price if good.tree is not None else 0,
            nonce=self._nonce,
        )

    def now(self) -> int:
        """The chain's time, which is moved past every deadline that is near: a call takes a moment."""
        while near := [left for left in self._time_left() if -2 <= left <= CLEAR]:
            self.market.chain.advance(max(near) + 3)
        return self.market.chain.now()

    def _time_left(self) -> list[int]:
        now = self.market.chain.now()
        ends = [deal.deadline for deal in self.open_deals]
        ends += [deal.deadline - ON_ITS_WAY for deal in self.open_deals if deal.state is OrderState.PAID]
        ends += [offered.closed_at + CLAIM_PERIOD for offered in self.offers if offered.closed_at]
        return [end - now for end in ends]
