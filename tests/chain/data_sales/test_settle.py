from __future__ import annotations

from typing import Any

import pytest
from clock import NOON
from hypothesis import strategies as st
from isolation import given, isolated, on_the_chain
from observed import event_of, plain
from refusals import reverts
from sales import listing_of, order_of, parts_of

FEE_IN_BPS = 250
NONE, PAID, DELIVERED, SETTLED, REFUNDED = range(5)


def test_settle_credits_treasury_custodian_and_patient(
    data_sales, dollar, treasury, hospital, patient, stranger, listing, delivered, clock
):
    clock.pass_by(listing.terms.dispute_within)
    parts = parts_of(listing.terms.price, FEE_IN_BPS, listing.terms.custodian_share)

    transaction = data_sales.settle(delivered, listing, {"from": stranger})

    assert event_of(transaction) == ("Settled", (delivered.id_at(data_sales), *parts))
    assert [data_sales.creditOf(dollar, x) for x in (treasury, hospital, patient)] == list(parts)
    assert plain(data_sales.orderStatusOf(delivered.id_at(data_sales)))[0] == SETTLED
    assert sum(parts) == listing.terms.price == dollar.balanceOf(data_sales)


def test_settle_adds_to_the_credits_when_there_are_some(
    data_sales, dollar, patient, buyer, hospital, listing, delivered, clock, purchase
):
    second = purchase._replace(nonce=1)
    data_sales.buy(listing, second, {"from": buyer})
    again = order_of(data_sales, listing, buyer, second)
    data_sales.deliver(again, listing, bytes(32), {"from": hospital})
    clock.pass_by(listing.terms.dispute_within)

    for order in (delivered, again):
        data_sales.settle(order, listing, {"from": buyer})

    _, _, part = parts_of(listing.terms.price, FEE_IN_BPS, listing.terms.custodian_share)
    assert data_sales.creditOf(dollar, patient) == 2 * part


def test_settle_works_from_the_deadline_on_and_not_a_second_before(
    data_sales, buyer, stranger, listing, delivered, clock
):
    deadline = NOON + listing.terms.dispute_within
    clock.move_to(deadline - 1)
    with reverts("DeadlineNotReached", delivered.id_at(data_sales), deadline, deadline - 1):
        data_sales.settle(delivered, listing, {"from": stranger})

    clock.move_to(deadline)
    data_sales.settle(delivered, listing, {"from": stranger})


def test_settle_works_when_everybody_else_has_gone_or_is_suspended(
    data_sales, institutions, dollar, admin, hospital, buyer, stranger, listing, delivered, clock
):
    for institution in (hospital, buyer):
        institutions.suspend(institution, {"from": admin})
    data_sales.allowToken(dollar, False, {"from": admin})
    data_sales.unlist(listing, {"from": hospital})
    clock.pass_by(10 * 365 * 86_400)

    data_sales.settle(delivered, listing, {"from": stranger})

    assert plain(data_sales.orderStatusOf(delivered.id_at(data_sales)))[0] == SETTLED


def test_settle_is_refused_when_settled_already(data_sales, dollar, patient, buyer, listing, delivered, clock):
    clock.pass_by(listing.terms.dispute_within)
    data_sales.settle(delivered, listing, {"from": buyer})
    before = data_sales.creditOf(dollar, patient)

    with reverts("OrderStateIsNot", delivered.id_at(data_sales), DELIVERED, SETTLED):
        data_sales.settle(delivered, listing, {"from": buyer})
    assert data_sales.creditOf(dollar, patient) == before


def test_settle_is_refused_when_nothing_was_delivered(data_sales, hospital, listing, order, clock):
    clock.pass_by(listing.terms.deliver_within + listing.terms.dispute_within)

    with reverts("OrderStateIsNot", order.id_at(data_sales), DELIVERED, PAID):
        data_sales.settle(order, listing, {"from": hospital})


def test_settle_is_refused_when_the_order_is_of_another_listing(
    data_sales, hospital, batch, listing, delivered, terms, clock
):
    """[attack] The order of one listing with the shares, the custodian or the token of another."""
    other = listing_of(data_sales, hospital, batch, 1, terms._replace(custodian_share=5_000))
    clock.pass_by(listing.terms.dispute_within)

    with reverts("OrderNotOfListing", delivered.id_at(data_sales), other.id_at(data_sales)):
        data_sales.settle(delivered, other, {"from": hospital})


@pytest.fixture(params=[0, 250, 999, 1_000])
def market(request, DataSales, system, admin, treasury):
    """A market of its own for every fee."""
    contracts = (system.governance, system.institutions, system.records, system.consents)
    market = admin.deploy(DataSales, *contracts, request.param, treasury)
    market.allowToken(system.dollar, True, {"from": admin})
    return market


@given(
    price=st.sampled_from([1, 2, 9_999, 10_000, 2**128 - 1]) | st.integers(1, 12_000) | st.integers(1, 2**128 - 1),
    share=st.sampled_from([0, 1, 5_000]) | st.integers(0, 5_000),
)
@on_the_chain(16)
def test_settle_splits_every_price_without_a_rest(
    market: Any,
    dollar: Any,
    admin: Any,
    treasury: Any,
    hospital: Any,
    patient: Any,
    buyer: Any,
    batch: Any,
    sale_consent: Any,
    terms: Any,
    purchase: Any,
    clock: Any,
    price: int,
    share: int,
) -> None:
    """The parts add up to the price; the first two round down; the patient has at least half of what the fee leaves."""
    with isolated():
        listing = listing_of(market, hospital, batch, 0, terms._replace(price=price, custodian_share=share))
        dollar.mint(buyer, price, {"from": admin})
        dollar.approve(market, price, {"from": buyer})
        market.buy(listing, purchase, {"from": buyer})
        order = order_of(market, listing, buyer, purchase)
        market.deliver(order, listing, bytes(32), {"from": hospital})
        clock.pass_by(listing.terms.dispute_within)
        _, parts = event_of(market.settle(order, listing, {"from": buyer}))
        credited = tuple(market.creditOf(dollar, account) for account in (treasury, hospital, patient))

    assert parts[1:] == credited == parts_of(price, market.fee()[0], share)
    assert sum(credited) == price
    assert 2 * credited[2] >= price - credited[0]
