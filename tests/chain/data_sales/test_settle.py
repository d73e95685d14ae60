from __future__ import annotations

from clock import NOON
from observed import event_of, plain
from refusals import reverts
from sales import listing_of, order_of

from medibridge.chain.sales import ListingState, OrderState


def test_settle_makes_the_sale_final_and_its_price_gathers_at_the_listing(
    data_sales, dollar, treasury, hospital, patient, stranger, listing, delivered, clock
):
    clock.pass_by(listing.terms.dispute_within)

    transaction = data_sales.settle(delivered, listing, {"from": stranger})

    assert event_of(transaction) == ("Settled", (delivered.id_at(data_sales), delivered.listing_id))
    assert plain(data_sales.orderStatusOf(delivered.id_at(data_sales)))[0] == OrderState.SETTLED
    assert plain(data_sales.listingStatusOf(delivered.listing_id)) == (
        ListingState.LIVE,
        NOON,
        clock.now(),
        0,
        listing.terms.places,
        1,
        0,
    )
    assert [data_sales.creditOf(dollar, x) for x in (treasury, hospital, patient)] == [0, 0, 0]


def test_settle_counts_every_sale_of_a_listing(data_sales, buyer, hospital, listing, delivered, clock, purchase):
    second = purchase._replace(nonce=1)
    data_sales.buy(listing, second, {"from": buyer})
    again = order_of(data_sales, listing, buyer, second)
    data_sales.deliver(again, listing, bytes(32), {"from": hospital})
    clock.pass_by(listing.terms.dispute_within)

    for order in (delivered, again):
        data_sales.settle(order, listing, {"from": buyer})

    assert plain(data_sales.listingStatusOf(delivered.listing_id))[3:] == (0, listing.terms.places, 2, 0)


def test_settle_works_from_the_deadline_on_and_not_a_second_before(data_sales, stranger, listing, delivered, clock):
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
    data_sales.allowToken(dollar, 0, {"from": admin})
    data_sales.unlist(listing, {"from": hospital})
    clock.pass_by(10 * 365 * 86_400)

    data_sales.settle(delivered, listing, {"from": stranger})

    assert plain(data_sales.orderStatusOf(delivered.id_at(data_sales)))[0] == OrderState.SETTLED


def test_settle_is_refused_when_settled_already(data_sales, buyer, listing, delivered, clock):
    clock.pass_by(listing.terms.dispute_within)
    data_sales.settle(delivered, listing, {"from": buyer})

    with reverts("OrderStateIsNot", delivered.id_at(data_sales), OrderState.DELIVERED, OrderState.SETTLED):
        data_sales.settle(delivered, listing, {"from": buyer})
    assert plain(data_sales.listingStatusOf(delivered.listing_id))[5] == 1


def test_settle_is_refused_when_nothing_was_delivered(data_sales, hospital, listing, order, clock):
    clock.pass_by(listing.terms.deliver_within + listing.terms.dispute_within)

    with reverts("OrderStateIsNot", order.id_at(data_sales), OrderState.DELIVERED, OrderState.PAID):
        data_sales.settle(order, listing, {"from": hospital})


def test_settle_is_refused_when_the_order_is_of_another_listing(
    data_sales, hospital, batch, listing, delivered, terms, clock
):
    """[attack] The order of one listing with the shares, the custodian or the token of another."""
    other = listing_of(data_sales, hospital, batch, 1, terms._replace(custodian_share=5_000))
    clock.pass_by(listing.terms.dispute_within)

    with reverts("OrderNotOfListing", delivered.id_at(data_sales), other.id_at(data_sales)):
        data_sales.settle(delivered, other, {"from": hospital})
