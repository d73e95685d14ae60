from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from isolation import given, isolated, on_the_chain
from observed import event_of, plain
from refusals import reverts
from sales import digest, listing_of, order_of, parts_of

FEE_IN_BPS = 250


def sell(data_sales: Any, seller: Any, buyer: Any, listing: Any, purchase: Any, clock: Any, nonces: Any) -> None:
    """Bought, delivered and settled, once for each nonce."""
    orders = []
    for nonce in nonces:
        another = purchase._replace(nonce=nonce)
        data_sales.buy(listing, another, {"from": buyer})
        orders.append(order_of(data_sales, listing, buyer, another))
        data_sales.deliver(orders[-1], listing, digest(f"masked {nonce}"), {"from": seller})
    clock.pass_by(listing.terms.dispute_within)
    for order in orders:
        data_sales.settle(order, listing, {"from": buyer})


def test_distribute_credits_treasury_custodian_and_patient_with_all_sales_so_far(
    data_sales, dollar, treasury, hospital, patient, buyer, stranger, listing, rich_buyers, purchase, clock
):
    sell(data_sales, hospital, buyer, listing, purchase, clock, range(2))
    parts = parts_of(listing.terms.price, FEE_IN_BPS, listing.terms.custodian_share)
    twice = tuple(2 * part for part in parts)

    transaction = data_sales.distribute(listing, {"from": stranger})

    assert event_of(transaction) == ("Distributed", (listing.id_at(data_sales), 2, *twice))
    assert tuple(data_sales.creditOf(dollar, x) for x in (treasury, hospital, patient)) == twice
    assert sum(parts) == listing.terms.price
    assert plain(data_sales.partsOf(listing)) == parts
    assert plain(data_sales.listingStatusOf(listing.id_at(data_sales)))[5:] == (2, 2)


def test_distribute_pays_each_sale_once(
    data_sales, dollar, patient, hospital, buyer, listing, rich_buyers, purchase, clock
):
    """[attack] Twice after one sale, then after another."""
    _, _, part = parts_of(listing.terms.price, FEE_IN_BPS, listing.terms.custodian_share)
    sell(data_sales, hospital, buyer, listing, purchase, clock, [0])
    data_sales.distribute(listing, {"from": hospital})
    with reverts("NothingToPay", listing.id_at(data_sales)):
        data_sales.distribute(listing, {"from": hospital})

    sell(data_sales, hospital, buyer, listing, purchase, clock, [1])
    assert event_of(data_sales.distribute(listing, {"from": hospital}))[1][1] == 1
    assert data_sales.creditOf(dollar, patient) == 2 * part


def test_distribute_leaves_the_patients_part_of_a_dataset_to_claims(
    data_sales, dollar, treasury, hospital, buyer, dataset, rich_buyers, purchase, clock
):
    sell(data_sales, hospital, buyer, dataset, purchase, clock, [0])
    fee, custodian, _ = parts_of(dataset.terms.price, FEE_IN_BPS, dataset.terms.custodian_share)

    transaction = data_sales.distribute(dataset, {"from": hospital})

    assert event_of(transaction) == ("Distributed", (dataset.id_at(data_sales), 1, fee, custodian, 0))
    assert [data_sales.creditOf(dollar, x) for x in (treasury, hospital)] == [fee, custodian]
    tail = "0x" + dataset.subject[12:].hex()
    assert data_sales.creditOf(dollar, tail) == 0, "nobody is the account that a subject's last bytes look like"


def test_distribute_is_refused_when_nothing_was_sold(data_sales, hospital, listing, delivered):
    with reverts("NothingToPay", listing.id_at(data_sales)):
        data_sales.distribute(listing, {"from": hospital})


def test_distribute_is_refused_when_there_is_no_such_listing(
    data_sales, hospital, buyer, listing, rich_buyers, purchase, clock
):
    """[attack] The same sales, with a custodian or a share of one's own."""
    sell(data_sales, hospital, buyer, listing, purchase, clock, [0])
    for forged in (listing._replace(custodian=buyer.address), listing.offering(custodian_share=0)):
        with reverts("NothingToPay", forged.id_at(data_sales)):
            data_sales.distribute(forged, {"from": hospital})


@pytest.fixture(params=[0, 999])
def market(request, DataSales, system, admin, treasury):
    """A market of its own for every fee."""
    below = (system.governance, system.institutions, system.records, system.consents, system.fair_exchange)
    market = admin.deploy(DataSales, *below, request.param, treasury)
    market.allowToken(system.dollar, 1, {"from": admin})
    return market


@given(
    price=st.sampled_from([1, 2, 9_999, 10_000, 2**128 - 1]) | st.integers(1, 12_000) | st.integers(1, 2**128 - 1),
    share=st.sampled_from([0, 1, 5_000]) | st.integers(0, 5_000),
)
@on_the_chain(14)
def test_distribute_splits_every_price_without_a_rest(
    market: Any,
    dollar: Any,
    admin: Any,
    treasury: Any,
    hospital: Any,
    patient: Any,
    buyer: Any,
    batch: Any,
    sale_consent: Any,
    terms: Any,
    purchase: Any,
    clock: Any,
    price: int,
    share: int,
) -> None:
    """The parts add up to the price; the first two round down; the patient has at least half of what the fee leaves."""
    with isolated():
        dollar.approve(market, 1, {"from": hospital})
        asked = terms._replace(price=price, custodian_share=share, places=1, reward=1)
        listing = listing_of(market, hospital, batch, 0, asked)
        dollar.mint(buyer, price, {"from": admin})
        dollar.approve(market, price, {"from": buyer})
        sell(market, hospital, buyer, listing, purchase, clock, [0])
        _, (_, _, *parts) = event_of(market.distribute(listing, {"from": buyer}))
        credited = tuple(market.creditOf(dollar, account) for account in (treasury, hospital, patient))

    assert tuple(parts) == credited == parts_of(price, market.fee()[0], share)
    assert sum(credited) == price
    assert 2 * credited[2] >= price - credited[0]
