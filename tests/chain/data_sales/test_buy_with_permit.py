from __future__ import annotations

import pytest
from clock import NOON
from observed import plain
from refusals import reverts
from sales import LEAST_REWARD, listing_of, order_of
from typed_data import sign_permit

from medibridge.chain.sales import OrderState


@pytest.fixture
def mint(dollar, admin, buyer, listing):
    """The buyer has the price, and has approved nothing."""
    dollar.mint(buyer, listing.terms.price, {"from": admin})


@pytest.fixture
def permit(dollar, data_sales, buyer, listing):
    return sign_permit(buyer, dollar, data_sales.address, listing.terms.price, NOON)


def test_buy_with_permit_pays_without_an_earlier_approval(data_sales, dollar, buyer, mint, listing, purchase, permit):
    order_id = order_of(data_sales, listing, buyer, purchase).id_at(data_sales)
    assert plain(data_sales.buyWithPermit.call(listing, purchase, permit, {"from": buyer})) == order_id

    transaction = data_sales.buyWithPermit(listing, purchase, permit, {"from": buyer})

    assert "Bought" in transaction.events
    assert plain(data_sales.orderStatusOf(order_id))[0] == OrderState.PAID
    assert dollar.balanceOf(data_sales) == listing.terms.bond + listing.terms.price
    assert dollar.allowance(buyer, data_sales) == 0


def test_buy_with_permit_works_when_the_permit_was_front_run(
    data_sales, dollar, buyer, stranger, mint, listing, purchase, permit
):
    """[attack] Somebody else submits the permit first: the allowance is there all the same."""
    dollar.permit(buyer, data_sales, listing.terms.price, *permit, {"from": stranger})

    data_sales.buyWithPermit(listing, purchase, permit, {"from": buyer})

    assert dollar.balanceOf(data_sales) == listing.terms.bond + listing.terms.price


def test_buy_with_permit_works_when_the_permit_is_wrong_and_an_allowance_stands(
    data_sales, dollar, buyer, stranger, mint, listing, purchase
):
    dollar.approve(data_sales, listing.terms.price, {"from": buyer})
    wrong = sign_permit(stranger, dollar, data_sales.address, listing.terms.price, NOON)

    data_sales.buyWithPermit(listing, purchase, wrong, {"from": buyer})

    assert dollar.balanceOf(data_sales) == listing.terms.bond + listing.terms.price


@pytest.mark.parametrize("wrong", ["signer", "value", "deadline", "spender"])
def test_buy_with_permit_is_refused_by_the_token_when_the_permit_is_wrong_and_nothing_is_allowed(
    data_sales, dollar, buyer, stranger, mint, listing, purchase, wrong
):
    price = listing.terms.price
    permit = sign_permit(
        stranger if wrong == "signer" else buyer,
        dollar,
        stranger.address if wrong == "spender" else data_sales.address,
        price + 1 if wrong == "value" else price,
        NOON - 1 if wrong == "deadline" else NOON,
    )

    with reverts("ERC20InsufficientAllowance", data_sales, 0, price):
        data_sales.buyWithPermit(listing, purchase, permit, {"from": buyer})


def test_buy_with_permit_never_spends_anothers_permit(
    data_sales, dollar, buyer, second_buyer, mint, listing, purchase, permit
):
    """[attack] The payer is the caller, whoever signed."""
    with reverts("ERC20InsufficientAllowance", data_sales, 0, listing.terms.price):
        data_sales.buyWithPermit(listing, purchase, permit, {"from": second_buyer})
    assert dollar.balanceOf(buyer) == listing.terms.price


def test_buy_with_permit_is_refused_when_the_token_is_not_allowed(
    data_sales, dollar, admin, buyer, mint, listing, purchase, permit
):
    data_sales.allowToken(dollar, 0, {"from": admin})

    with reverts("TokenNotAllowed", dollar):
        data_sales.buyWithPermit(listing, purchase, permit, {"from": buyer})


def test_buy_with_permit_works_for_a_token_without_permit_when_an_allowance_stands(
    data_sales, NoReturnToken, admin, hospital, buyer, batch, sale_consent, terms, purchase
):
    token = admin.deploy(NoReturnToken)
    data_sales.allowToken(token, LEAST_REWARD, {"from": admin})
    token.mint(hospital, terms.bond, {"from": admin})
    token.approve(data_sales, terms.bond, {"from": hospital})
    listing = listing_of(data_sales, hospital, batch, 1, terms._replace(token=token.address))
    token.mint(buyer, listing.terms.price, {"from": admin})
    token.approve(data_sales, listing.terms.price, {"from": buyer})

    data_sales.buyWithPermit(listing, purchase, (NOON, 27, bytes(32), bytes(32)), {"from": buyer})

    assert token.balanceOf(data_sales) == listing.terms.bond + listing.terms.price


def test_buy_with_permit_is_refused_as_a_purchase_is(data_sales, stranger, listing, purchase, permit):
    with reverts("BuyerNotInGoodStanding", stranger):
        data_sales.buyWithPermit(listing, purchase, permit, {"from": stranger})
