"""Tokens that do not do what ERC-20 says. The administrator allows tokens; the books stay right all the same."""

from __future__ import annotations

from typing import Any

import pytest
from observed import events_of, plain
from refusals import reverts
from sales import Listing, Purchase, digest, listing_of, order_of

BOND = 4


@pytest.fixture
def selling(data_sales, admin, hospital, buyer, batch, sale_consent, terms):
    """Allows a token and lists the second record in it; the buyer has ten times the price, approved. The bond's token
    behaved when it was paid in."""

    def selling(token: Any) -> Listing:
        data_sales.allowToken(token, 1, {"from": admin})
        token.mint(hospital, BOND, {"from": admin})
        token.approve(data_sales, BOND, {"from": hospital})
        listing = listing_of(data_sales, hospital, batch, 1, terms._replace(token=token.address, places=4, reward=1))
        token.mint(buyer, 10 * listing.terms.price, {"from": admin})
        token.approve(data_sales, 10 * listing.terms.price, {"from": buyer})
        return listing

    return selling


def test_a_token_that_keeps_a_fee_is_refused(data_sales, FeeOnTransferToken, admin, buyer, selling, purchase):
    listing = selling(admin.deploy(FeeOnTransferToken))
    price = listing.terms.price

    with reverts("InexactTransfer", price, price - price // 100):
        data_sales.buy(listing, purchase, {"from": buyer})


def test_a_token_that_brings_more_is_refused_with_the_bond(GenerousToken, admin, selling):
    with reverts("InexactTransfer", BOND, BOND + 1):
        selling(admin.deploy(GenerousToken))


def test_a_token_that_pretends_is_refused_with_the_bond(PretendingToken, admin, selling):
    with reverts("InexactTransfer", BOND, 0):
        selling(admin.deploy(PretendingToken))


def test_a_token_that_answers_false_is_refused_and_the_credit_stays(
    data_sales, FalseToken, admin, buyer, selling, purchase, clock
):
    token = admin.deploy(FalseToken)
    listing = selling(token)
    token.fail(True, {"from": admin})
    with reverts("SafeERC20FailedOperation", token):
        data_sales.buy(listing, purchase, {"from": buyer})

    token.fail(False, {"from": admin})
    refund(data_sales, listing, buyer, purchase, clock)
    token.fail(True, {"from": admin})
    with reverts("SafeERC20FailedOperation", token):
        data_sales.withdraw(token, buyer, {"from": buyer})
    assert data_sales.creditOf(token, buyer) == listing.terms.price


def test_a_token_that_answers_nothing_works(data_sales, NoReturnToken, admin, buyer, selling, purchase, clock):
    """As USDT does."""
    token = admin.deploy(NoReturnToken)
    listing = selling(token)

    refund(data_sales, listing, buyer, purchase, clock)
    data_sales.withdraw(token, buyer, {"from": buyer})

    assert token.balanceOf(buyer) == 10 * listing.terms.price
    assert token.balanceOf(data_sales) == BOND


def test_a_token_that_stops_delays_a_withdrawal_and_nothing_else(
    data_sales, StoppableToken, admin, buyer, hospital, patient, treasury, selling, purchase, clock
):
    token = admin.deploy(StoppableToken)
    listing = selling(token)
    data_sales.buy(listing, purchase, {"from": buyer})
    order = order_of(data_sales, listing, buyer, purchase)

    token.stop(True, {"from": admin})
    data_sales.deliver(order, listing, digest("masked"), {"from": hospital})
    clock.pass_by(listing.terms.dispute_within)
    data_sales.settle(order, listing, {"from": buyer})
    data_sales.distribute(listing, {"from": buyer})
    with reverts("TransfersStopped"):
        data_sales.withdraw(token, patient, {"from": patient})

    token.stop(False, {"from": admin})
    for account in (patient, hospital, treasury):
        data_sales.withdraw(token, account, {"from": account})
    assert token.balanceOf(data_sales) == BOND


def test_a_token_that_blocks_one_payee_blocks_nobody_else(
    data_sales, BlocklistToken, admin, buyer, hospital, patient, stranger, treasury, selling, purchase, clock
):
    """Everybody withdraws for himself, and may name another receiver."""
    token = admin.deploy(BlocklistToken)
    listing = selling(token)
    data_sales.buy(listing, purchase, {"from": buyer})
    order = order_of(data_sales, listing, buyer, purchase)
    token.blockAccount(patient, {"from": admin})
    data_sales.deliver(order, listing, digest("masked"), {"from": hospital})
    clock.pass_by(listing.terms.dispute_within)
    data_sales.settle(order, listing, {"from": buyer})
    data_sales.distribute(listing, {"from": buyer})

    for account in (hospital, treasury):
        data_sales.withdraw(token, account, {"from": account})
    with reverts("AccountBlocked", patient):
        data_sales.withdraw(token, patient, {"from": patient})
    data_sales.withdraw(token, stranger, {"from": patient})
    assert token.balanceOf(data_sales) == BOND


def test_a_token_that_takes_balances_away_hurts_only_those_who_hold_it(
    data_sales, dollar, RebasingToken, admin, buyer, selling, purchase, listing, order, clock
):
    """[attack] A rebasing token cannot reach the dollars of others."""
    token = admin.deploy(RebasingToken)
    rebasing = selling(token)
    refund(data_sales, rebasing, buyer, purchase, clock)
    token.shrink(data_sales, BOND + 1, {"from": admin})

    with reverts("ERC20InsufficientBalance", data_sales, rebasing.terms.price - 1, rebasing.terms.price):
        data_sales.withdraw(token, buyer, {"from": buyer})
    data_sales.refund(order, listing, {"from": buyer})
    data_sales.withdraw(dollar, buyer, {"from": buyer})
    assert dollar.balanceOf(data_sales) == listing.terms.bond


def refund(data_sales: Any, listing: Listing, buyer: Any, purchase: Purchase, clock: Any) -> None:
    """Bought, never delivered, refunded."""
    data_sales.buy(listing, purchase, {"from": buyer})
    clock.pass_by(listing.terms.deliver_within)
    data_sales.refund(order_of(data_sales, listing, buyer, purchase), listing, {"from": buyer})


class TestReentering:
    """There is no re-entrancy guard: every function writes before it calls out, and what arrives is measured.

    The token itself is a buyer and a creditor here, and acts in the middle of transfers, before or after the
    balance moves. After whatever it did, the market's tokens equal what it owes.
    """

    @pytest.fixture
    def token(self, ReenteringToken, institutions, admin):
        token = admin.deploy(ReenteringToken)
        institutions.enrol(token, 5, bytes(32), {"from": admin})
        return token

    @pytest.fixture
    def listing(self, data_sales, selling, token, admin):
        """Sold in the token; the token has and has approved plenty of itself."""
        listing = selling(token)
        token.mint(token, 10 * listing.terms.price, {"from": admin})
        token.execute(token, token.approve.encode_input(data_sales, 2**255), {"from": admin})
        return listing

    @pytest.fixture
    def credit(self, data_sales, token, listing, admin, clock):
        """The token is credited one price, from a purchase that nobody delivered."""
        purchase = Purchase(digest("token's own"), bytes(32), 7)
        token.execute(data_sales, data_sales.buy.encode_input(listing, purchase), {"from": admin})
        clock.pass_by(listing.terms.deliver_within)
        data_sales.refund(order_of(data_sales, listing, token, purchase), listing, {"from": admin})
        assert data_sales.creditOf(token, token) == listing.terms.price
        return listing.terms.price

    def owed(self, data_sales, token, orders, accounts):
        """Open escrow, credits and the bond in the token."""
        escrow = sum(o.price for o in orders if plain(data_sales.orderStatusOf(o.id_at(data_sales)))[0] in (1, 2))
        return BOND + escrow + sum(data_sales.creditOf(token, account) for account in accounts)

    @pytest.mark.parametrize("before", [True, False], ids=["before it moves", "after it moves"])
    def test_buying_inside_a_purchase_is_refused_as_inexact(
        self, data_sales, token, listing, buyer, admin, purchase, before
    ):
        inner = purchase._replace(nonce=1)
        token.plan(data_sales, data_sales.buy.encode_input(listing, inner), before, {"from": admin})
        price = listing.terms.price

        with reverts("InexactTransfer", price, 2 * price):
            data_sales.buy(listing, purchase, {"from": buyer})
        assert token.balanceOf(data_sales) == BOND
        inner_order = order_of(data_sales, listing, token, inner)
        assert plain(data_sales.orderStatusOf(inner_order.id_at(data_sales)))[0] == 0

    @pytest.mark.parametrize("before", [True, False], ids=["before it moves", "after it moves"])
    def test_withdrawing_inside_a_purchase_is_refused_as_inexact(
        self, data_sales, token, listing, credit, buyer, admin, purchase, before
    ):
        token.plan(data_sales, data_sales.withdraw.encode_input(token, token), before, {"from": admin})

        with reverts("InexactTransfer", credit, 0):
            data_sales.buy(listing, purchase, {"from": buyer})
        assert data_sales.creditOf(token, token) == credit == token.balanceOf(data_sales) - BOND

    def test_buying_and_withdrawing_inside_a_purchase_leaves_the_books_right(
        self, data_sales, token, listing, credit, buyer, admin, purchase
    ):
        """The two cancel out in the measurement, and in the books as well."""
        inner = purchase._replace(nonce=1)
        token.plan(data_sales, data_sales.buy.encode_input(listing, inner), True, {"from": admin})
        token.plan(data_sales, data_sales.withdraw.encode_input(token, token), True, {"from": admin})

        transaction = data_sales.buy(listing, purchase, {"from": buyer})

        answers = [values[1] for name, values in events_of(transaction) if name == "Reentered"]
        assert answers == [True, True]
        orders = [order_of(data_sales, listing, buyer, purchase), order_of(data_sales, listing, token, inner)]
        owed = self.owed(data_sales, token, orders, [token, buyer])
        assert owed == BOND + 2 * listing.terms.price == token.balanceOf(data_sales)

    def test_buying_the_very_order_inside_its_purchase_is_refused(self, data_sales, token, listing, admin, purchase):
        """The order stands before the token is called."""
        token.plan(data_sales, data_sales.buy.encode_input(listing, purchase), True, {"from": admin})

        transaction = token.execute(data_sales, data_sales.buy.encode_input(listing, purchase), {"from": admin})

        answers = [values[1] for name, values in events_of(transaction) if name == "Reentered"]
        assert answers == [False, True]
        assert token.balanceOf(data_sales) == BOND + listing.terms.price

    @pytest.mark.parametrize("before", [True, False], ids=["before it moves", "after it moves"])
    def test_withdrawing_inside_a_withdrawal_finds_nothing(
        self, data_sales, token, listing, credit, buyer, admin, purchase, before, clock
    ):
        refund(data_sales, listing, buyer, purchase, clock)  # somebody else's money to be had
        token.plan(data_sales, data_sales.withdraw.encode_input(token, token), before, {"from": admin})

        transaction = token.execute(data_sales, data_sales.withdraw.encode_input(token, token), {"from": admin})

        answers = [values[1] for name, values in events_of(transaction) if name == "Reentered"]
        assert answers == [False, True]
        assert token.balanceOf(data_sales) - BOND == listing.terms.price == data_sales.creditOf(token, buyer)

    @pytest.mark.parametrize("before", [True, False], ids=["before it moves", "after it moves"])
    def test_buying_inside_a_withdrawal_leaves_the_books_right(
        self, data_sales, token, listing, credit, buyer, admin, purchase, before, clock
    ):
        refund(data_sales, listing, buyer, purchase, clock)
        inner = purchase._replace(nonce=1)
        token.plan(data_sales, data_sales.buy.encode_input(listing, inner), before, {"from": admin})

        token.execute(data_sales, data_sales.withdraw.encode_input(token, token), {"from": admin})

        owed = self.owed(data_sales, token, [order_of(data_sales, listing, token, inner)], [token, buyer])
        assert owed == BOND + 2 * listing.terms.price == token.balanceOf(data_sales)

    def test_settling_refunding_and_distributing_inside_a_withdrawal_leave_the_books_right(
        self, data_sales, token, listing, credit, buyer, hospital, patient, treasury, admin, purchase, clock
    ):
        purchases = [purchase._replace(nonce=n) for n in (1, 2)]
        for each in purchases:
            data_sales.buy(listing, each, {"from": buyer})
        settled, refunded = (order_of(data_sales, listing, buyer, each) for each in purchases)
        data_sales.deliver(settled, listing, bytes(32), {"from": hospital})
        clock.pass_by(listing.terms.dispute_within)
        for call in (  # the last that is planned is made first
            data_sales.distribute.encode_input(listing),
            data_sales.distribute.encode_input(listing),
            data_sales.settle.encode_input(settled, listing),
            data_sales.settle.encode_input(settled, listing),
            data_sales.refund.encode_input(refunded, listing),
            data_sales.refund.encode_input(refunded, listing),
        ):
            token.plan(data_sales, call, True, {"from": admin})

        transaction = token.execute(data_sales, data_sales.withdraw.encode_input(token, token), {"from": admin})

        answers = [values[1] for name, values in events_of(transaction) if name == "Reentered"]
        assert answers == [True, False, True, False, True, False, True]
        accounts = [token, buyer, hospital, patient, treasury]
        assert self.owed(data_sales, token, [settled, refunded], accounts) == token.balanceOf(data_sales)
        assert token.balanceOf(data_sales) == BOND + 2 * listing.terms.price

    def test_allowing_listing_and_unlisting_inside_a_purchase_need_their_rights(
        self, data_sales, token, listing, buyer, admin, purchase
    ):
        for call in (
            data_sales.unlist.encode_input(listing),
            data_sales.allowToken.encode_input(token, 0),
            data_sales.deliver.encode_input(order_of(data_sales, listing, buyer, purchase), listing, bytes(32)),
        ):
            token.plan(data_sales, call, True, {"from": admin})

        transaction = data_sales.buy(listing, purchase, {"from": buyer})

        answers = [values[1] for name, values in events_of(transaction) if name == "Reentered"]
        assert answers == [False, False, False]

    def test_withdrawing_another_token_inside_a_withdrawal_finds_nothing(
        self, data_sales, dollar, token, credit, admin
    ):
        """The dollars of others are out of its reach: books are kept by token."""
        dollar.mint(data_sales, 99, {"from": admin})
        token.plan(data_sales, data_sales.withdraw.encode_input(dollar, token), True, {"from": admin})

        token.execute(data_sales, data_sales.withdraw.encode_input(token, token), {"from": admin})

        assert dollar.balanceOf(data_sales) == 99
        assert dollar.balanceOf(token) == 0
