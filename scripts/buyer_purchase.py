"""A buyer looks, checks and pays; opens what was delivered, or proves that it was cheated.

brownie run buyer_purchase offers [KEY]
brownie run buyer_purchase main OFFER [KEY]
brownie run buyer_purchase read ORDER [KEY]
brownie run buyer_purchase dispute ORDER [KEY]
"""

from __future__ import annotations

from functools import partial

from medibridge.chain.events import WrongChunkProved, WrongKeyProved
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
        inspected = buyer.inspect(buyer.offer(offer), told=partial(in_words, buyer.bridge.system.token))
        for finding in inspected.findings:
            print(f"{finding.verdict.value:8} {finding.about}: {finding.seen}")
        purchase = buyer.buy(inspected)
        print(f"paid into escrow; order {purchase.name}")
        return purchase


def read(order: str, key: str | None = None) -> Record:
    with opened(key) as session:
        buyer = session.buyer()
        record = buyer.open(buyer.purchase(order))
        print(record.to_bytes().decode())
        return record


def dispute(order: str, key: str | None = None) -> WrongKeyProved | WrongChunkProved:
    with opened(key) as session:
        buyer = session.buyer()
        purchase = buyer.purchase(order)
        proved = buyer.dispute(purchase)
        back = in_words(buyer.bridge.system.token, purchase.order.price + proved.reward_in_units)
        print(f"{type(proved).__name__} at chunk {proved.index}: {back} are credited; the offer is frozen")
        return proved
