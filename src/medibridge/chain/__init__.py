"""Typed calls, typed events and typed refusals. The only package that imports web3."""

from medibridge.chain.connection import Chain
from medibridge.chain.consents import Consents
from medibridge.chain.data_sales import DataSales, Token
from medibridge.chain.deployment import Deployment, System, deploy
from medibridge.chain.institutions import Institutions, KeyCards
from medibridge.chain.records import Records
from medibridge.chain.values import (
    Consent,
    Decision,
    Grant,
    Institution,
    Kind,
    Listing,
    ListingId,
    ListingState,
    Order,
    OrderId,
    OrderState,
    OrderStatus,
    Revocation,
    Signed,
    Standing,
    Terms,
)

__all__ = [
    "Chain",
    "Consent",
    "Consents",
    "DataSales",
    "Decision",
    "Deployment",
    "Grant",
    "Institution",
    "Institutions",
    "KeyCards",
    "Kind",
    "Listing",
    "ListingId",
    "ListingState",
    "Order",
    "OrderId",
    "OrderState",
    "OrderStatus",
    "Records",
    "Revocation",
    "Signed",
    "Standing",
    "System",
    "Terms",
    "Token",
    "deploy",
]
