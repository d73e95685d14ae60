from __future__ import annotations

import pytest
from brownie.exceptions import VirtualMachineError
from clock import NOON
from decisions import ENDED, NO_CONSENT
from observed import event_of, events_of, plain
from refusals import reverts
from sales import as_struct, digest, order_of, unlisted
from typed_data import Revocation

from medibridge.ids import Lane

PAID, WITHDRAWN = 1, 2


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
                deadline,
            ),
        ),
        ("Transfer", (buyer.address, data_sales.address, order.price)),
    ]
    assert plain(data_sales.orderStatusOf(order.id_at(data_sales))) == (PAID, deadline, bytes(26))
    assert dollar.balanceOf(data_sales) == order.price
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
    assert all(plain(data_sales.orderStatusOf(x))[0] == PAID for x in orders)
    assert dollar.balanceOf(data_sales) == 3 * order.price


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
    "change", [{"price": 1}, {"custodian_share": 0}, {"deliver_within": 7_200}, {"nonce": 5}], ids=str
)
def test_buy_is_refused_when_the_terms_are_not_the_listed_ones(
    data_sales, buyer, rich_buyers, listing, purchase, change
):
    forged = listing._replace(terms=listing.terms._replace(**change))

    with reverts("ListingNotLive", forged.id_at(data_sales), 0):
        data_sales.buy(forged, purchase, {"from": buyer})


def test_buy_is_refused_when_the_listing_was_withdrawn(data_sales, hospital, buyer, rich_buyers, listing, purchase):
    data_sales.unlist(listing, {"from": hospital})

    with reverts("ListingNotLive", listing.id_at(data_sales), WITHDRAWN):
        data_sales.buy(listing, purchase, {"from": buyer})


def test_buy_is_refused_when_the_token_is_allowed_no_more(
    data_sales, dollar, admin, buyer, rich_buyers, listing, purchase
):
    data_sales.allowToken(dollar, False, {"from": admin})

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
    data_sales.list(terms, as_struct(batch.records[3]), batch.proof(3), {"from": patient})
    listing = unlisted(patient, batch.records[3], terms)

    data_sales.buy(listing, purchase, {"from": buyer})

    order_id = order_of(data_sales, listing, buyer, purchase).id_at(data_sales)
    assert plain(data_sales.orderStatusOf(order_id))[0] == PAID


def test_buy_is_refused_by_the_token_when_there_is_no_allowance_or_no_money(
    data_sales, dollar, admin, buyer, listing, purchase
):
    with reverts("ERC20InsufficientAllowance", data_sales, 0, listing.terms.price):
        data_sales.buy(listing, purchase, {"from": buyer})

    dollar.approve(data_sales, listing.terms.price, {"from": buyer})
    dollar.mint(buyer, listing.terms.price - 1, {"from": admin})
    with reverts("ERC20InsufficientBalance", buyer, listing.terms.price - 1, listing.terms.price):
        data_sales.buy(listing, purchase, {"from": buyer})


def test_buy_gives_no_credit_for_tokens_that_were_sent_unasked(
    data_sales, dollar, buyer, second_buyer, listing, order, purchase
):
    dollar.transfer(data_sales, 7, {"from": second_buyer})

    assert data_sales.creditOf(dollar, second_buyer) == 0
    with reverts("NothingToWithdraw", dollar, second_buyer):
        data_sales.withdraw(dollar, second_buyer, {"from": second_buyer})
    dollar.approve(data_sales, 0, {"from": second_buyer})
    with pytest.raises(VirtualMachineError, match="ERC20InsufficientAllowance"):
        data_sales.buy(listing, purchase, {"from": second_buyer})


def test_buy_from_oneself_brings_no_profit(
    data_sales, dollar, institutions, admin, treasury, hospital, listing, purchase, clock
):
    """Self-dealing: the hospital buys what it sells, and pays the fee and the patient for it."""
    price = listing.terms.price
    dollar.mint(hospital, price, {"from": admin})
    dollar.approve(data_sales, price, {"from": hospital})
    data_sales.buy(listing, purchase, {"from": hospital})
    order = order_of(data_sales, listing, hospital, purchase)
    data_sales.deliver(order, listing, digest("masked"), {"from": hospital})
    clock.pass_by(listing.terms.dispute_within)

    event = event_of(data_sales.settle(order, listing, {"from": hospital}))

    assert event[1][0] == order.id_at(data_sales)
    assert data_sales.creditOf(dollar, hospital) == event[1][2] < price
