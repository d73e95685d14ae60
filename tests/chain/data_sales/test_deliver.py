from __future__ import annotations

import pytest
from clock import NOON
from eth_utils.crypto import keccak
from observed import event_of, plain
from refusals import reverts
from sales import digest, listing_of
from typed_data import Revocation

from medibridge.chain.sales import OrderState
from medibridge.ids import Lane


def test_deliver_hands_over_the_masked_key(data_sales, hospital, listing, order, masked, clock):
    clock.move_to(NOON + 100)
    transaction = data_sales.deliver(order, listing, masked, {"from": hospital})

    deadline = NOON + 100 + listing.terms.dispute_within
    assert event_of(transaction) == ("Delivered", (order.id_at(data_sales), masked, deadline))
    assert plain(data_sales.orderStatusOf(order.id_at(data_sales))) == (
        OrderState.DELIVERED,
        deadline,
        keccak(masked)[:26],
    )


def test_deliver_works_in_the_last_second_before_the_deadline_and_not_in_the_next(
    data_sales, hospital, buyer, listing, order, masked, clock, purchase
):
    deadline = NOON + listing.terms.deliver_within
    second = order._replace(nonce=1)
    data_sales.buy(listing, purchase._replace(nonce=1), {"from": buyer})

    clock.move_to(deadline - 1)
    data_sales.deliver(order, listing, masked, {"from": hospital})

    clock.move_to(deadline)
    with reverts("DeadlinePassed", second.id_at(data_sales), deadline, deadline):
        data_sales.deliver(second, listing, masked, {"from": hospital})


@pytest.mark.parametrize("trouble", ["consent withdrawn", "seller suspended", "buyer suspended", "token", "unlisted"])
def test_deliver_never_reverts_before_its_deadline_whatever_happened_since(
    data_sales, consents, institutions, dollar, admin, patient, hospital, buyer, listing, order, masked, trouble
):
    """[attack] A reverting delivery would show K for nothing: no suspension and no withdrawn consent stops one."""
    if trouble == "consent withdrawn":
        lane = Revocation(patient.address, hospital.address, Lane.RESEARCH_AND_SALE, bytes(32), bytes(32))
        consents.revoke(lane, {"from": patient})
    elif trouble == "seller suspended":
        institutions.suspend(hospital, {"from": admin})
    elif trouble == "buyer suspended":
        institutions.suspend(buyer, {"from": admin})
    elif trouble == "token":
        data_sales.allowToken(dollar, 0, {"from": admin})
    else:
        data_sales.unlist(listing, {"from": hospital})

    data_sales.deliver(order, listing, masked, {"from": hospital})

    assert plain(data_sales.orderStatusOf(order.id_at(data_sales)))[0] == OrderState.DELIVERED


def test_deliver_is_refused_when_another_copies_it(
    data_sales, hospital, stranger, buyer, patient, listing, order, masked
):
    """[attack] Taken from the mempool and sent first by somebody else."""
    for thief in (stranger, buyer, patient):
        with reverts("NotTheSeller", thief, hospital):
            data_sales.deliver(order, listing, masked, {"from": thief})
    assert plain(data_sales.orderStatusOf(order.id_at(data_sales)))[0] == OrderState.PAID


def test_deliver_is_refused_when_delivered_already(data_sales, hospital, listing, delivered):
    with reverts("OrderStateIsNot", delivered.id_at(data_sales), OrderState.PAID, OrderState.DELIVERED):
        data_sales.deliver(delivered, listing, digest("another"), {"from": hospital})


def test_deliver_is_refused_when_refunded(data_sales, hospital, buyer, listing, order, masked, clock):
    clock.pass_by(listing.terms.deliver_within)
    data_sales.refund(order, listing, {"from": buyer})

    with reverts("OrderStateIsNot", order.id_at(data_sales), OrderState.PAID, OrderState.REFUNDED):
        data_sales.deliver(order, listing, masked, {"from": hospital})


@pytest.mark.parametrize(
    "change", [{"price": 1}, {"nonce": 9}, {"commitment": digest("other")}, {"listing_id": digest("other")}], ids=str
)
def test_deliver_is_refused_when_there_is_no_such_order(data_sales, hospital, listing, order, masked, change):
    forged = order._replace(**change)

    with reverts("OrderStateIsNot", forged.id_at(data_sales), OrderState.PAID, OrderState.NONE):
        data_sales.deliver(forged, listing, masked, {"from": hospital})


def test_deliver_is_refused_when_the_order_is_of_another_listing(
    data_sales, patient, batch, listing, order, masked, terms
):
    """[attack] A listing of one's own, so as to be the seller of another's order."""
    mine = listing_of(data_sales, patient, batch, 0, terms)

    with reverts("OrderNotOfListing", order.id_at(data_sales), mine.id_at(data_sales)):
        data_sales.deliver(order, mine, masked, {"from": patient})
