from __future__ import annotations

import pytest
from datasets import claim_of, contributor
from observed import event_of, plain
from refusals import reverts
from sales import DAY, order_of

from medibridge.chain.sales import ListingState

CLAIM_PERIOD = 7 * DAY


def test_release_bond_credits_the_seller_at_once_when_nothing_was_ever_bought(
    data_sales, dollar, hospital, stranger, listing
):
    data_sales.unlist(listing, {"from": hospital})

    transaction = data_sales.releaseBond(listing, {"from": stranger})

    assert event_of(transaction) == ("BondReleased", (listing.id_at(data_sales), listing.terms.bond))
    assert data_sales.creditOf(dollar, hospital) == listing.terms.bond
    status = plain(data_sales.listingStatusOf(listing.id_at(data_sales)))
    assert (status[0], status[4]) == (ListingState.RELEASED, 0)


def test_release_bond_waits_for_the_claim_period_after_the_last_order_to_the_second(
    data_sales, dollar, hospital, buyer, listing, delivered, clock
):
    data_sales.unlist(listing, {"from": hospital})
    with reverts("OrdersOpen", delivered.listing_id, 1):
        data_sales.releaseBond(listing, {"from": hospital})
    clock.pass_by(listing.terms.dispute_within)
    data_sales.settle(delivered, listing, {"from": buyer})
    time = clock.now() + CLAIM_PERIOD
    clock.move_to(time - 1)
    with reverts("BondStaysUntil", delivered.listing_id, time, time - 1):
        data_sales.releaseBond(listing, {"from": hospital})

    clock.move_to(time)
    data_sales.releaseBond(listing, {"from": hospital})

    assert data_sales.creditOf(dollar, hospital) == listing.terms.bond


def test_release_bond_is_refused_while_the_listing_is_live(data_sales, hospital, listing):
    with reverts("BondStays", listing.id_at(data_sales), ListingState.LIVE):
        data_sales.releaseBond(listing, {"from": hospital})


def test_release_bond_is_refused_when_it_is_gone_or_never_was(data_sales, dollar, hospital, listing):
    """[attack] Twice, or for a listing with a greater reward."""
    data_sales.unlist(listing, {"from": hospital})
    data_sales.releaseBond(listing, {"from": hospital})
    greater = listing.offering(reward=10 * listing.terms.reward)

    for gone, state in ((listing, ListingState.RELEASED), (greater, ListingState.NONE)):
        with reverts("BondStays", gone.id_at(data_sales), state):
            data_sales.releaseBond(gone, {"from": hospital})
    assert data_sales.creditOf(dollar, hospital) == listing.terms.bond


@pytest.mark.parametrize(("consented_once", "state"), [(True, ListingState.FROZEN), (False, ListingState.FORFEITED)])
def test_release_bond_of_a_frozen_dataset_leaves_out_a_security_that_was_lost(
    data_sales, dollar, consents, hospital, patient, second_patient, treasury, dataset, tree, consented_once, state
):
    who = patient if consented_once else second_patient
    if consented_once:
        consents.revoke((patient, hospital, 1, bytes(32), bytes(32)), {"from": patient})
    data_sales.freeze(dataset, who, contributor(who).salt, *claim_of(tree, who), {"from": who})
    assert plain(data_sales.listingStatusOf(dataset.id_at(data_sales)))[0] == state

    data_sales.releaseBond(dataset, {"from": hospital})

    kept = 0 if consented_once else dataset.terms.security
    assert data_sales.creditOf(dollar, hospital) == dataset.terms.bond - kept
    lost = data_sales.creditOf(dollar, who) + data_sales.creditOf(dollar, treasury)
    assert lost == kept
    assert dollar.balanceOf(data_sales) == dataset.terms.bond


def test_release_bond_works_when_seller_and_token_are_out_of_favour(
    data_sales, institutions, dollar, admin, hospital, listing
):
    data_sales.unlist(listing, {"from": hospital})
    institutions.suspend(hospital, {"from": admin})
    data_sales.allowToken(dollar, 0, {"from": admin})

    data_sales.releaseBond(listing, {"from": hospital})
    data_sales.withdraw(dollar, hospital, {"from": hospital})

    assert dollar.balanceOf(data_sales) == 0


def test_release_bond_leaves_what_was_sold_to_be_paid_out(
    data_sales, hospital, patient, buyer, dataset, rich_buyers, purchase, tree, clock
):
    data_sales.buy(dataset, purchase, {"from": buyer})
    order = order_of(data_sales, dataset, buyer, purchase)
    data_sales.deliver(order, dataset, bytes(32), {"from": hospital})
    clock.pass_by(dataset.terms.dispute_within)
    data_sales.settle(order, dataset, {"from": buyer})
    data_sales.unlist(dataset, {"from": hospital})
    clock.pass_by(CLAIM_PERIOD)
    data_sales.releaseBond(dataset, {"from": hospital})

    data_sales.claim(dataset, *claim_of(tree, patient), {"from": patient})
    data_sales.distribute(dataset, {"from": patient})

    assert plain(data_sales.listingStatusOf(order.listing_id))[5:] == (1, 1)
