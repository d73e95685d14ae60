"""The stories: a hospital deposits and reads, a patient decides, a buyer buys. The only package that composes."""

from medibridge.roles.bridge import Bridge, DepositedRecord, Party
from medibridge.roles.buyer import Buyer, Inspected, Offer, Purchase
from medibridge.roles.hospital import Deposited, Hospital
from medibridge.roles.patient import Patient
from medibridge.roles.selling import Earnings, Sale

__all__ = [
    "Bridge",
    "Buyer",
    "Deposited",
    "DepositedRecord",
    "Earnings",
    "Hospital",
    "Inspected",
    "Offer",
    "Party",
    "Patient",
    "Purchase",
    "Sale",
]
