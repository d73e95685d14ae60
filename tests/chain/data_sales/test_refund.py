from __future__ import annotations

import pytest
from clock import NOON
from observed import event_of, plain
from refusals import reverts
from sales import listing_of

from medibridge.chain.sales import ListingState, OrderState


def test_refund_credits_the_buyer_when_nothing_was_delivered(
    data_sales, dollar, buyer, stranger, listing, order, clock
):
    clock.pass_by(listing.terms.deliver_within)

    transaction = data_sales.refund(order, listing, {"from": stranger})

    assert event_of(transaction) == ("Refunded", (order.id_at(data_sales),))
    assert data_sales.creditOf(dollar, buyer) == listing.terms.price
    assert data_sales.creditOf(dollar, stranger) == 0
    assert plain(data_sales.orderStatusOf(order.id_at(data_sales)))[0] == OrderState.REFUNDED
    places = listing.terms.places
    status = plain(data_sales.listingStatusOf(order.listing_id))
    assert status == (ListingState.LIVE, NOON, clock.now(), 0, places, 0, 0), "the place is free again"


def test_refund_works_from_the_deadline_on_and_not_a_second_before(data_sales, buyer, listing, order, clock):
    deadline = NOON + listing.terms.deliver_within
    clock.move_to(deadline - 1)
    with reverts("DeadlineNotReached", order.id_at(data_sales), deadline, deadline - 1):
        data_sales.refund(order, listing, {"from": buyer})

    clock.move_to(deadline)
    data_sales.refund(order, listing, {"from": buyer})


@pytest.mark.parametrize("second", [-1, 0, 1])
def test_refund_and_deliver_exclude_each_other_in_every_second(
    data_sales, hospital, buyer, listing, order, masked, clock, second
):
    """In every second exactly one party can act on a deadline."""
    clock.move_to(NOON + listing.terms.deliver_within + second)

    may_deliver, may_refund = second < 0, second >= 0
    deadline, now = NOON + listing.terms.deliver_within, clock.now()
    if may_refund:
        with reverts("DeadlinePassed", order.id_at(data_sales), deadline, now):
            data_sales.deliver(order, listing, masked, {"from": hospital})
        data_sales.refund(order, listing, {"from": buyer})
    if may_deliver:
        with reverts("DeadlineNotReached", order.id_at(data_sales), deadline, now):
            data_sales.refund(order, listing, {"from": buyer})
        data_sales.deliver(order, listing, masked, {"from": hospital})


def test_refund_works_when_buyer_seller_and_token_are_out_of_favour(
    data_sales, institutions, dollar, admin, hospital, buyer, listing, order, clock
):
    for institution in (hospital, buyer):
        institutions.suspend(institution, {"from": admin})
    data_sales.allowToken(dollar, 0, {"from": admin})
    clock.pass_by(listing.terms.deliver_within)

    data_sales.refund(order, listing, {"from": buyer})
    data_sales.withdraw(dollar, buyer, {"from": buyer})

    assert dollar.balanceOf(data_sales) == listing.terms.bond, "the bond is the seller's"


def test_refund_is_refused_when_delivered(data_sales, buyer, listing, delivered, clock):
    clock.pass_by(listing.terms.deliver_within)

    with reverts("OrderStateIsNot", delivered.id_at(data_sales), OrderState.PAID, OrderState.DELIVERED):
        data_sales.refund(delivered, listing, {"from": buyer})


def test_refund_is_refused_when_refunded_already(data_sales, dollar, buyer, listing, order, clock):
    clock.pass_by(listing.terms.deliver_within)
    data_sales.refund(order, listing, {"from": buyer})

    with reverts("OrderStateIsNot", order.id_at(data_sales), OrderState.PAID, OrderState.REFUNDED):
        data_sales.refund(order, listing, {"from": buyer})
    assert data_sales.creditOf(dollar, buyer) == listing.terms.price


def test_refund_is_refused_when_there_is_no_such_order(data_sales, buyer, listing, order, clock):
    """[attack] A greater price than was paid is another order."""
    clock.pass_by(listing.terms.deliver_within)
    greater = order._replace(price=order.price + 1)

    with reverts("OrderStateIsNot", greater.id_at(data_sales), OrderState.PAID, OrderState.NONE):
        data_sales.refund(greater, listing, {"from": buyer})


def test_refund_is_refused_when_the_order_is_of_another_listing(
    data_sales, hospital, buyer, batch, listing, order, terms, clock
):
    other = listing_of(data_sales, hospital, batch, 1, terms)
    clock.pass_by(listing.terms.deliver_within)

    with reverts("OrderNotOfListing", order.id_at(data_sales), other.id_at(data_sales)):
        data_sales.refund(order, other, {"from": buyer})
