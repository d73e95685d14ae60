from __future__ import annotations

import pytest
from observed import events_of
from refusals import reverts
from sales import LEAST_REWARD, listing_of


def test_fund_credits_the_caller_with_what_arrives(data_sales, dollar, hospital, patient):
    for credited in (LEAST_REWARD, 2 * LEAST_REWARD):
        transaction = data_sales.fund(dollar, LEAST_REWARD, {"from": hospital})

        assert events_of(transaction) == [
            ("Funded", (dollar.address, hospital.address, LEAST_REWARD)),
            ("Transfer", (hospital.address, data_sales.address, LEAST_REWARD)),
        ]
        assert data_sales.creditOf(dollar, hospital) == credited == dollar.balanceOf(data_sales)
    assert data_sales.creditOf(dollar, patient) == 0


def test_fund_comes_back_when_it_is_not_needed(data_sales, dollar, hospital):
    before = dollar.balanceOf(hospital)
    data_sales.fund(dollar, 7, {"from": hospital})

    data_sales.withdraw(dollar, hospital, {"from": hospital})

    assert dollar.balanceOf(hospital) == before


def test_fund_is_refused_by_the_token_when_nothing_was_approved(data_sales, dollar, stranger):
    with reverts("ERC20InsufficientAllowance", data_sales, 0, 1):
        data_sales.fund(dollar, 1, {"from": stranger})
    assert data_sales.creditOf(dollar, stranger) == 0


@pytest.mark.parametrize(
    ("name", "arrives"), [("FeeOnTransferToken", 990), ("GenerousToken", 1_001), ("PretendingToken", 0)]
)
def test_fund_is_refused_when_another_amount_arrives(data_sales, admin, stranger, request, name, arrives):
    token = admin.deploy(request.getfixturevalue(name))
    token.mint(stranger, 1_000, {"from": admin})
    token.approve(data_sales, 1_000, {"from": stranger})

    with reverts("InexactTransfer", 1_000, arrives):
        data_sales.fund(token, 1_000, {"from": stranger})


def test_fund_inside_a_purchase_is_refused_as_inexact(
    data_sales, ReenteringToken, admin, hospital, buyer, batch, sale_consent, terms, purchase
):
    """[attack] A price that would be credited to the token as well: what arrives is measured."""
    token = admin.deploy(ReenteringToken)
    data_sales.allowToken(token, 1, {"from": admin})
    for account in (hospital, buyer, token):
        token.mint(account, terms.price, {"from": admin})
    for account in (hospital, buyer):
        token.approve(data_sales, terms.price, {"from": account})
    token.execute(token, token.approve.encode_input(data_sales, 2**255), {"from": admin})
    listing = listing_of(data_sales, hospital, batch, 1, terms._replace(token=token.address, places=4, reward=1))
    token.plan(data_sales, data_sales.fund.encode_input(token, terms.price), True, {"from": admin})

    with reverts("InexactTransfer", terms.price, 2 * terms.price):
        data_sales.buy(listing, purchase, {"from": buyer})
    assert data_sales.creditOf(token, token) == 0
