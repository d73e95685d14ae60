from __future__ import annotations

from observed import event_of
from refusals import reverts
from sales import LEAST_REWARD


def test_allow_token_allows_it_with_a_least_reward_and_no_longer(data_sales, dollar, admin):
    assert data_sales.leastRewardOf(dollar) == LEAST_REWARD
    for least in (0, 2**128 - 1, 1):
        transaction = data_sales.allowToken(dollar, least, {"from": admin})

        assert event_of(transaction) == ("TokenAllowed", (dollar.address, least))
        assert data_sales.leastRewardOf(dollar) == least


def test_allow_token_is_refused_when_the_caller_is_not_the_administrator(data_sales, consents, hospital, treasury):
    for caller in (hospital, treasury):
        with reverts("AccessManagedUnauthorized", caller):
            data_sales.allowToken(consents, 1, {"from": caller})
    assert data_sales.leastRewardOf(consents) == 0
