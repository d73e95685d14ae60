from __future__ import annotations

from clock import NOON
from observed import event_of, plain
from refusals import reverts

from medibridge.chain.sales import ListingState


def test_unlist_ends_the_offer_when_the_seller_asks(data_sales, hospital, listing):
    transaction = data_sales.unlist(listing, {"from": hospital})

    assert event_of(transaction) == ("Unlisted", (listing.id_at(data_sales),))
    assert plain(data_sales.listingStatusOf(listing.id_at(data_sales))) == (
        ListingState.WITHDRAWN,
        NOON,
        0,
        0,
        listing.terms.places,
        0,
        0,
    )


def test_unlist_is_refused_when_the_caller_is_not_the_seller(data_sales, hospital, patient, admin, listing):
    for caller in (patient, admin):  # the patient takes consent back instead
        with reverts("NotTheSeller", caller, hospital):
            data_sales.unlist(listing, {"from": caller})


def test_unlist_is_refused_when_a_field_was_changed(data_sales, stranger, listing):
    mine = listing._replace(seller=stranger.address)

    with reverts("ListingNotLive", mine.id_at(data_sales), 0):
        data_sales.unlist(mine, {"from": stranger})


def test_unlist_is_refused_when_withdrawn_already(data_sales, hospital, listing):
    data_sales.unlist(listing, {"from": hospital})

    with reverts("ListingNotLive", listing.id_at(data_sales), ListingState.WITHDRAWN):
        data_sales.unlist(listing, {"from": hospital})
