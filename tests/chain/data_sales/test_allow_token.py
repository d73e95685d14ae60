from __future__ import annotations

from observed import event_of
from refusals import reverts


def test_allow_token_allows_it_and_no_longer(data_sales, dollar, admin):
    transaction = data_sales.allowToken(dollar, False, {"from": admin})
    assert event_of(transaction) == ("TokenAllowed", (dollar.address, False))
    assert data_sales.isTokenAllowed(dollar) is False

    transaction = data_sales.allowToken(dollar, True, {"from": admin})
    assert event_of(transaction) == ("TokenAllowed", (dollar.address, True))
    assert data_sales.isTokenAllowed(dollar) is True


def test_allow_token_is_refused_when_the_caller_is_not_the_administrator(data_sales, consents, hospital, treasury):
    for caller in (hospital, treasury):
        with reverts("AccessManagedUnauthorized", caller):
            data_sales.allowToken(consents, True, {"from": caller})
    assert data_sales.isTokenAllowed(consents) is False
