from __future__ import annotations

import pytest
from brownie.exceptions import VirtualMachineError
from clock import NOON
from decisions import ENDED, NO_CONSENT
from observed import event_of, events_of, plain
from refusals import reverts
from sales import Use, digest, listing_of, order_of
from typed_data import Revocation

from medibridge.chain.data_use import UseDecision
from medibridge.chain.sales import ListingState, OrderState
from medibridge.ids import Lane, PurposeOfUse


def test_buy_puts_the_price_into_escrow(data_sales, dollar, buyer, rich_buyers, listing, purchase):
    before = dollar.balanceOf(buyer)
    order = order_of(data_sales, listing, buyer, purchase)
    deadline = NOON + listing.terms.deliver_within

    answer = data_sales.buy.call(listing, purchase, {"from": buyer})
    transaction = data_sales.buy(listing, purchase, {"from": buyer})

    assert plain(answer) == order.id_at(data_sales)
    assert events_of(transaction) == [
        (
            "Bought",
            (
                order.id_at(data_sales),
                order.listing_id,
                buyer.address,
                *purchase[:2],
                order.price,
                purchase.nonce,
                tuple(purchase.use),
                deadline,
            ),
        ),
        ("Transfer", (buyer.address, data_sales.address, order.price)),
    ]
    assert plain(data_sales.orderStatusOf(order.id_at(data_sales))) == (OrderState.PAID, deadline, bytes(26))
    assert plain(data_sales.listingStatusOf(order.listing_id)) == (ListingState.LIVE, NOON, 0, 1, 4, 0, 0)
    assert dollar.balanceOf(data_sales) == listing.terms.bond + order.price
    assert dollar.balanceOf(buyer) == before - order.price


def test_buy_sells_one_listing_again_to_the_same_and_to_another_buyer(
    data_sales, dollar, buyer, second_buyer, listing, order, purchase
):
    """The same K in several orders is fine: the order ids differ, so the masks do."""
    data_sales.buy(listing, purchase._replace(nonce=1), {"from": buyer})
    data_sales.buy(listing, purchase, {"from": second_buyer})

    orders = {
        order.id_at(data_sales),
        order._replace(nonce=1).id_at(data_sales),
        order._replace(buyer=second_buyer.address).id_at(data_sales),
    }
    assert len(orders) == 3
    assert all(plain(data_sales.orderStatusOf(x))[0] == OrderState.PAID for x in orders)
    assert dollar.balanceOf(data_sales) == listing.terms.bond + 3 * order.price


def test_buy_is_refused_when_the_very_order_exists(data_sales, buyer, listing, order, purchase):
    with reverts("OrderExists", order.id_at(data_sales)):
        data_sales.buy(listing, purchase, {"from": buyer})


def test_buy_is_refused_when_the_order_is_final_already(data_sales, buyer, listing, order, purchase, clock):
    """A final state stays: an order id is never used twice."""
    clock.move_to(NOON + listing.terms.deliver_within)
    data_sales.refund(order, listing, {"from": buyer})

    with reverts("OrderExists", order.id_at(data_sales)):
        data_sales.buy(listing, purchase, {"from": buyer})


@pytest.mark.parametrize(
    "change", [{"price": 1}, {"custodian_share": 0}, {"deliver_within": 7_200}, {"reward": 0}, {"nonce": 5}], ids=str
)
def test_buy_is_refused_when_the_terms_are_not_the_listed_ones(
    data_sales, buyer, rich_buyers, listing, purchase, change
):
    forged = listing.offering(**change)

    with reverts("ListingNotLive", forged.id_at(data_sales), 0):
        data_sales.buy(forged, purchase, {"from": buyer})


def test_buy_is_refused_when_the_listing_was_withdrawn(data_sales, hospital, buyer, rich_buyers, listing, purchase):
    data_sales.unlist(listing, {"from": hospital})

    with reverts("ListingNotLive", listing.id_at(data_sales), ListingState.WITHDRAWN):
        data_sales.buy(listing, purchase, {"from": buyer})


def test_buy_is_refused_when_the_token_is_allowed_no_more(
    data_sales, dollar, admin, buyer, rich_buyers, listing, purchase
):
    data_sales.allowToken(dollar, 0, {"from": admin})

    with reverts("TokenNotAllowed", dollar):
        data_sales.buy(listing, purchase, {"from": buyer})


def test_buy_is_refused_when_the_buyer_is_not_enrolled_or_suspended(
    data_sales, institutions, admin, stranger, patient, buyer, rich_buyers, listing, purchase
):
    institutions.suspend(buyer, {"from": admin})

    for account in (stranger, patient, buyer):
        with reverts("BuyerNotInGoodStanding", account):
            data_sales.buy(listing, purchase, {"from": account})


def test_buy_is_refused_when_the_custodian_is_suspended(
    data_sales, institutions, admin, hospital, buyer, rich_buyers, listing, purchase
):
    institutions.suspend(hospital, {"from": admin})

    with reverts("CustodianNotInGoodStanding", hospital):
        data_sales.buy(listing, purchase, {"from": buyer})


def test_buy_is_refused_when_the_consent_was_withdrawn(
    data_sales, consents, patient, hospital, buyer, rich_buyers, listing, purchase
):
    consents.revoke(
        Revocation(patient.address, hospital.address, Lane.RESEARCH_AND_SALE, bytes(32), bytes(32)), {"from": patient}
    )

    with reverts("SaleNotPermitted", listing.subject, hospital, NO_CONSENT):
        data_sales.buy(listing, purchase, {"from": buyer})


def test_buy_is_refused_when_the_consent_has_ended_to_the_second(
    data_sales, hospital, buyer, rich_buyers, listing, sale_consent, purchase, clock
):
    clock.move_to(sale_consent.end - 1)
    data_sales.buy(listing, purchase, {"from": buyer})

    clock.move_to(sale_consent.end)
    with reverts("SaleNotPermitted", listing.subject, hospital, ENDED):
        data_sales.buy(listing, purchase._replace(nonce=1), {"from": buyer})


def test_buy_asks_no_consent_when_the_patient_sells_for_himself(
    data_sales, patient, buyer, rich_buyers, batch, terms, purchase
):
    listing = listing_of(data_sales, patient, batch, 3, terms)

    data_sales.buy(listing, purchase, {"from": buyer})

    order_id = order_of(data_sales, listing, buyer, purchase).id_at(data_sales)
    assert plain(data_sales.orderStatusOf(order_id))[0] == OrderState.PAID


def test_buy_is_refused_by_the_token_when_there_is_no_allowance_or_no_money(
    data_sales, dollar, admin, institutions, stranger, listing, purchase
):
    institutions.enrol(stranger, 5, bytes(32), {"from": admin})
    with reverts("ERC20InsufficientAllowance", data_sales, 0, listing.terms.price):
        data_sales.buy(listing, purchase, {"from": stranger})

    dollar.approve(data_sales, listing.terms.price, {"from": stranger})
    dollar.mint(stranger, listing.terms.price - 1, {"from": admin})
    with reverts("ERC20InsufficientBalance", stranger, listing.terms.price - 1, listing.terms.price):
        data_sales.buy(listing, purchase, {"from": stranger})


def test_buy_gives_no_credit_for_tokens_that_were_sent_unasked(
    data_sales, dollar, second_buyer, listing, order, purchase
):
    dollar.transfer(data_sales, 7, {"from": second_buyer})

    assert data_sales.creditOf(dollar, second_buyer) == 0
    with reverts("NothingToWithdraw", dollar, second_buyer):
        data_sales.withdraw(dollar, second_buyer, {"from": second_buyer})
    dollar.approve(data_sales, 0, {"from": second_buyer})
    with pytest.raises(VirtualMachineError, match="ERC20InsufficientAllowance"):
        data_sales.buy(listing, purchase, {"from": second_buyer})


def test_buy_from_oneself_brings_no_profit(data_sales, dollar, admin, hospital, listing, purchase, clock):
    """Self-dealing: the hospital buys what it sells, and pays the fee and the patient for it."""
    price = listing.terms.price
    dollar.mint(hospital, price, {"from": admin})
    dollar.approve(data_sales, price, {"from": hospital})
    data_sales.buy(listing, purchase, {"from": hospital})
    order = order_of(data_sales, listing, hospital, purchase)
    data_sales.deliver(order, listing, digest("masked"), {"from": hospital})
    clock.pass_by(listing.terms.dispute_within)

    data_sales.settle(order, listing, {"from": hospital})
    _, (_, _, fee, custodian, patients) = event_of(data_sales.distribute(listing, {"from": hospital}))

    assert data_sales.creditOf(dollar, hospital) == custodian == price - fee - patients < price


def test_buy_is_refused_when_the_listing_is_kept_for_another(
    data_sales, hospital, buyer, second_buyer, rich_buyers, batch, sale_consent, terms, purchase
):
    kept = listing_of(data_sales, hospital, batch, 1, terms._replace(reserved_for=second_buyer.address))

    with reverts("ReservedFor", second_buyer, buyer):
        data_sales.buy(kept, purchase, {"from": buyer})
    data_sales.buy(kept, purchase, {"from": second_buyer})


def test_buy_is_refused_with_the_reason_when_the_declared_use_is_not_permitted(
    data_sales, buyer, rich_buyers, listing, purchase
):
    for use, decision in (
        (Use(purpose=PurposeOfUse.HMARKT), UseDecision.PURPOSE_NOT_COVERED),
        (Use(research=0), UseDecision.RESEARCH_NOT_COVERED),
    ):
        with reverts("UseNotPermitted", buyer, decision):
            data_sales.buy(listing, purchase._replace(use=use), {"from": buyer})
    data_sales.buy(listing, purchase._replace(use=Use(purpose=PurposeOfUse.CLINTRCH)), {"from": buyer})


def test_buy_is_refused_when_all_places_are_taken_until_one_is_free(
    data_sales, hospital, buyer, second_buyer, rich_buyers, batch, sale_consent, terms, purchase, clock
):
    """[attack] Orders that nobody means do hold places, at their price each; the next deadline frees them."""
    narrow = listing_of(data_sales, hospital, batch, 1, terms._replace(places=1))
    data_sales.buy(narrow, purchase, {"from": second_buyer})
    with reverts("NoPlaceLeft", narrow.id_at(data_sales), 1):
        data_sales.buy(narrow, purchase, {"from": buyer})

    clock.pass_by(narrow.terms.deliver_within)
    data_sales.refund(order_of(data_sales, narrow, second_buyer, purchase), narrow, {"from": buyer})
    data_sales.buy(narrow, purchase, {"from": buyer})


def test_buy_works_when_another_bought_first(data_sales, buyer, second_buyer, rich_buyers, listing, purchase):
    """[attack] Front-running with the very commitment and nonce: the buyer is in the id, so both orders stand."""
    data_sales.buy(listing, purchase, {"from": second_buyer})
    data_sales.buy(listing, purchase, {"from": buyer})

    for who in (buyer, second_buyer):
        order_id = order_of(data_sales, listing, who, purchase).id_at(data_sales)
        assert plain(data_sales.orderStatusOf(order_id))[0] == OrderState.PAID
