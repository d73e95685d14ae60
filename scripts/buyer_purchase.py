"""A buyer looks, checks and pays; and opens what was delivered.

brownie run buyer_purchase offers [KEY]
brownie run buyer_purchase main OFFER [KEY]
brownie run buyer_purchase read ORDER [KEY]
"""

from __future__ import annotations

from medibridge.cli.amounts import in_words
from medibridge.record import Record
from medibridge.roles import Offer, Purchase
from scripts.opened import opened


def offers(key: str | None = None) -> list[Offer]:
    with opened(key) as session:
        buyer = session.buyer()
        found = buyer.offers()
        for offer in found:
            price = in_words(buyer.bridge.system.token, offer.listing.terms.price)
            print(f"{offer.name[:16]}  {offer.data_class.label}  {price}")
        print(f"{len(found)} offers")
        return found


def main(offer: str, key: str | None = None) -> Purchase:
    with opened(key) as session:
        buyer = session.buyer()
        inspected = buyer.inspect(buyer.offer(offer))
        print(f"checked {inspected.size:,} bytes of ciphertext: they are what the seal promises")
        purchase = buyer.buy(inspected)
        print(f"paid into escrow; order {purchase.name}")
        return purchase


def read(order: str, key: str | None = None) -> Record:
    with opened(key) as session:
        buyer = session.buyer()
        record = buyer.open(buyer.purchase(order))
        print(record.to_bytes().decode())
        return record
