from __future__ import annotations

import pytest
from observed import plain
from refusals import reverts


def test_fee_says_how_much_and_to_whom(data_sales, treasury):
    assert plain(data_sales.fee()) == (250, treasury.address)


@pytest.fixture(scope="module")
def below(system):
    """What a market stands on."""
    return (system.governance, system.institutions, system.records, system.consents, system.fair_exchange)


@pytest.mark.parametrize("fee_in_bps", [0, 1_000])
def test_fee_may_be_nothing_or_a_tenth(DataSales, below, admin, treasury, fee_in_bps):
    market = admin.deploy(DataSales, *below, fee_in_bps, treasury)

    assert plain(market.fee()) == (fee_in_bps, treasury.address)


@pytest.mark.parametrize("fee_in_bps", [1_001, 2**16 - 1])
def test_fee_is_refused_when_it_is_more_than_a_tenth(DataSales, below, admin, treasury, fee_in_bps):
    with reverts("FeeTooHigh", fee_in_bps, 1_000):
        admin.deploy(DataSales, *below, fee_in_bps, treasury)


def test_fee_is_refused_when_nobody_is_credited(DataSales, below, admin):
    nobody = "0x" + "00" * 20
    with reverts("TreasuryMissing"):
        admin.deploy(DataSales, *below, 250, nobody)


def test_listing_and_order_status_are_zero_when_there_is_none(data_sales, dollar, stranger):
    assert plain(data_sales.listingStatusOf(bytes(32))) == (0, 0, 0, 0, 0, 0, 0)
    assert plain(data_sales.orderStatusOf(bytes(32))) == (0, 0, bytes(26))
    assert data_sales.creditOf(dollar, stranger) == 0
    assert data_sales.claimedSalesOf(bytes(32), bytes(32)) == 0
    assert data_sales.leastRewardOf(stranger) == 0
    assert data_sales.isAgentOf(stranger, stranger) is False
