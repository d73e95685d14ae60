from __future__ import annotations

import pytest
from clock import NOON
from demand import PER_PATIENT
from observed import events_of, plain
from refusals import reverts
from sales import DAY

from medibridge.chain.requests import RequestState

YEAR = 365 * DAY


def test_ask_takes_the_budget_and_opens_the_request(requests, dollar, buyer, rich_buyer, wish):
    assert plain(requests.ask.call(wish, {"from": buyer})) == wish.id_at(requests)

    transaction = requests.ask(wish, {"from": buyer})

    asked, paid = events_of(transaction)
    assert asked == ("Requested", (wish.id_at(requests), buyer.address, plain(tuple(wish))))
    assert paid == ("Transfer", (buyer.address, requests.address, wish.budget))
    assert plain(requests.requestStatusOf(wish.id_at(requests))) == (RequestState.OPEN, 0)
    assert dollar.balanceOf(requests) == wish.budget


@pytest.mark.parametrize(
    "change",
    [
        {"fewest": 1, "most": 1, "budget": PER_PATIENT},
        {"fewest": 2, "budget": 2 * PER_PATIENT},
        {"until": NOON + 1},
        {"until": NOON + YEAR},
        {"classes": 2**32 - 1},
        {"price_per_patient": 1},
    ],
    ids=str,
)
def test_ask_takes_a_request_at_its_limits(requests, buyer, rich_buyer, wish, change):
    requests.ask(wish._replace(**change), {"from": buyer})


@pytest.mark.parametrize(
    "change",
    [
        {"price_per_patient": 0},
        {"fewest": 0},
        {"fewest": 11},
        {"classes": 0},
        {"budget": 2 * PER_PATIENT - 1},
        {"fewest": 2**32 - 1, "most": 2**32 - 1, "price_per_patient": 2**128 - 1},
        {"until": NOON},
        {"until": 0},
        {"until": NOON + YEAR + 1},
        {"until": 2**40 - 1},
        {"token": "0x" + 40 * "1"},
    ],
    ids=str,
)
def test_ask_is_refused_when_the_request_is_unsound(requests, buyer, rich_buyer, wish, change):
    unsound = wish._replace(**change)

    with reverts("InvalidRequest", unsound.id_at(requests)):
        requests.ask(unsound, {"from": buyer})


def test_ask_is_refused_in_anothers_name(requests, buyer, second_buyer, rich_buyer, wish):
    """[attack] The allowance of another would be spent."""
    with reverts("NotTheAsker", second_buyer, buyer):
        requests.ask(wish, {"from": second_buyer})


def test_ask_is_refused_when_the_buyer_is_not_enrolled_or_suspended(
    requests, institutions, admin, stranger, buyer, rich_buyer, wish
):
    institutions.suspend(buyer, {"from": admin})

    for who in (stranger, buyer):
        with reverts("AskerNotInGoodStanding", who):
            requests.ask(wish._replace(buyer=who.address), {"from": who})


def test_ask_is_refused_when_the_very_request_exists_or_existed(requests, buyer, rich_buyer, wish):
    requests.ask(wish, {"from": buyer})
    with reverts("RequestExists", wish.id_at(requests)):
        requests.ask(wish, {"from": buyer})
    requests.ask(wish._replace(nonce=1), {"from": buyer})


def test_ask_is_refused_by_the_token_when_nothing_is_approved(requests, second_buyer, wish):
    with reverts("ERC20InsufficientAllowance", requests, 0, wish.budget):
        requests.ask(wish._replace(buyer=second_buyer.address), {"from": second_buyer})


@pytest.mark.parametrize(
    ("name", "hundredths"), [("FeeOnTransferToken", 99), ("GenerousToken", None), ("PretendingToken", 0)]
)
def test_ask_is_refused_when_another_amount_arrives(
    requests, data_sales, admin, buyer, wish, request, name, hundredths
):
    token = admin.deploy(request.getfixturevalue(name))
    data_sales.allowToken(token, 1, {"from": admin})
    token.mint(buyer, wish.budget, {"from": admin})
    token.approve(requests, wish.budget, {"from": buyer})
    arrives = wish.budget + 1 if hundredths is None else wish.budget * hundredths // 100

    with reverts("BudgetIncomplete", wish.budget, arrives):
        requests.ask(wish._replace(token=token.address), {"from": buyer})


def test_ask_is_refused_when_the_token_answers_false(requests, data_sales, FalseToken, admin, buyer, wish):
    token = admin.deploy(FalseToken)
    data_sales.allowToken(token, 1, {"from": admin})
    token.fail(True, {"from": admin})

    with reverts("SafeERC20FailedOperation", token):
        requests.ask(wish._replace(token=token.address), {"from": buyer})


@pytest.mark.parametrize("before", [True, False], ids=["before it moves", "after it moves"])
def test_ask_inside_ask_is_refused_as_incomplete(
    requests, data_sales, ReenteringToken, institutions, admin, buyer, wish, before
):
    """[attack] One transfer that is counted for two budgets."""
    token = admin.deploy(ReenteringToken)
    data_sales.allowToken(token, 1, {"from": admin})
    institutions.enrol(token, 5, bytes(32), {"from": admin})
    outer, inner = (wish._replace(token=token.address, buyer=who.address) for who in (buyer, token))
    for who in (buyer, token):
        token.mint(who, wish.budget, {"from": admin})
    token.approve(requests, wish.budget, {"from": buyer})
    token.execute(token, token.approve.encode_input(requests, wish.budget), {"from": admin})
    token.plan(requests, requests.ask.encode_input(inner), before, {"from": admin})

    with reverts("BudgetIncomplete", wish.budget, 2 * wish.budget):
        requests.ask(outer, {"from": buyer})
    assert token.balanceOf(requests) == 0
