from __future__ import annotations

from typing import Any

import pytest
from clock import NOON
from sales import DAY, Batch, Listing, Order, Purchase, Terms, batch_of, digest, listing_of, order_of
from typed_data import Grant

from medibridge.ids import DataClass, PurposeOfUse

PRICE = 50_000_000
"""Fifty dollars."""


@pytest.fixture
def batch(records: Any, hospital: Any, patient: Any) -> Batch:
    """Four records of the patient, deposited by the hospital."""
    return batch_of(hospital, patient, 4).deposited(records, hospital)


@pytest.fixture
def sale_consent(consents: Any, patient: Any, hospital: Any) -> Grant:
    """The patient lets the hospital sell laboratory data for research, for thirty days."""
    consent = Grant(
        patient=patient.address,
        grantee=hospital.address,
        classes=DataClass.LABORATORY.bit,
        purposes=PurposeOfUse.HRESCH.bit,
        start=NOON,
        end=NOON + 30 * DAY,
        old_keyring=bytes(32),
        new_keyring=bytes(32),
    )
    consents.grant(consent, {"from": patient})
    return consent


@pytest.fixture
def terms(dollar: Any) -> Terms:
    return Terms(token=dollar.address, price=PRICE, purpose=PurposeOfUse.HRESCH)


@pytest.fixture
def listing(data_sales: Any, hospital: Any, batch: Batch, sale_consent: Grant, terms: Terms) -> Listing:
    """The first record, for sale by the hospital."""
    return listing_of(data_sales, hospital, batch, 0, terms)


@pytest.fixture
def rich_buyers(dollar: Any, data_sales: Any, admin: Any, buyer: Any, second_buyer: Any) -> None:
    """Both buyers have a thousand dollars, and have approved them."""
    for account in (buyer, second_buyer):
        dollar.mint(account, 20 * PRICE, {"from": admin})
        dollar.approve(data_sales, 20 * PRICE, {"from": account})


@pytest.fixture
def purchase() -> Purchase:
    return Purchase(commitment=digest("commitment"), sealed_secret=digest("sealed secret"))


@pytest.fixture
def order(data_sales: Any, buyer: Any, rich_buyers: None, listing: Listing, purchase: Purchase) -> Order:
    """Bought and paid by the buyer at noon."""
    data_sales.buy(listing, purchase, {"from": buyer})
    return order_of(data_sales, listing, buyer, purchase)


@pytest.fixture
def masked() -> bytes:
    return digest("masked key")


@pytest.fixture
def delivered(data_sales: Any, hospital: Any, listing: Listing, order: Order, masked: bytes) -> Order:
    """Delivered by the hospital at noon."""
    data_sales.deliver(order, listing, masked, {"from": hospital})
    return order
