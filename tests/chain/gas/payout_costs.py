"""A dataset: its listing, a sale, and how many patients claim of it; one who never consented freezes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from brownie import history
from clock import Clock
from datasets import Share, ShareProof, claim_of, contributor, dataset_of
from gas.measuring import Cost, cost_of
from gas.sale_costs import Shop
from isolation import isolated
from sales import Listing, Terms, digest, listing_of

from medibridge.ids import Address
from medibridge.sealing import contributors as sealing
from medibridge.sealing.contributors import ShareTree

PRICE = 50_000_000
MANY = 50

LEVELS = {10: 4, 1_000: 10, 100_000: 17}
"""The steps of the longest proof in a tree of so many contributors."""


def claim_key(contributors: int) -> str:
    return f"claim of one of {contributors:_} contributors".replace("_", " ")


@dataclass(frozen=True)
class Crowd:
    """A dataset's contributors: their subject, and the share of one whose proof is the longest."""

    subject: bytes
    share: Share
    proof: ShareProof


def shares_of(contributors: int) -> list[sealing.Share]:
    """Of 1 to 5 parts each."""
    return [
        sealing.Share(
            Address(f"0x{n + 1:040x}"), Address("0x" + digest(f"payout {n}")[:20].hex()), n % 5 + 1, digest(f"salt {n}")
        )
        for n in range(contributors)
    ]


@cache
def crowd_of(contributors: int) -> Crowd:
    """Without its tree: Brownie collects garbage at every revert, and would look at each of its leaves."""
    tree = ShareTree(shares_of(contributors))
    share, proof = claim_of(tree, tree.shares[0].patient)
    assert len(proof.hashes) == LEVELS[contributors]
    return Crowd(tree.subject, share, proof)


def sold(shop: Shop, contributors: int, times: int = 1) -> Listing:
    """A dataset of so many, sold so many times."""
    market, hospital = shop.system.data_sales, shop.people["hospital"]
    subject = crowd_of(contributors).subject
    batch = dataset_of(hospital, subject, f"of {contributors}").deposited(shop.system.records, hospital)
    listing = listing_of(market, hospital, batch, 0, Terms(shop.system.dollar.address, PRICE, security=PRICE))
    sell(shop, listing, times)
    return listing


def sell(shop: Shop, listing: Listing, times: int) -> None:
    market, dollar, buyer = shop.system.data_sales, shop.system.dollar, shop.people["buyer"]
    dollar.mint(buyer, times * PRICE, {"from": shop.people["admin"]})
    dollar.approve(market, times * PRICE, {"from": buyer})
    for _ in range(times):
        shop.sell(listing, buyer, lambda purchase: market.buy(listing, purchase, {"from": buyer}))


def claim(shop: Shop, listing: Listing, contributors: int) -> Cost:
    """What a patient pays, or whoever sends it."""
    crowd, stranger = crowd_of(contributors), shop.people["stranger"]
    return cost_of(shop.system.data_sales.claim(listing, crowd.share, crowd.proof, {"from": stranger}))


def payout_costs(system: Any, people: dict[str, Any], clock: Clock) -> Iterator[tuple[str, Cost]]:
    """Claims of datasets of several sizes; then a dataset that is listed and frozen."""
    market, dollar = system.data_sales, system.dollar
    hospital, delegate, stranger = (people[who] for who in ("hospital", "delegate", "stranger"))
    shop = Shop(system, people, clock)
    for contributors in LEVELS:
        listing = sold(shop, contributors)
        yield claim_key(contributors), claim(shop, listing, contributors)
    sell(shop, listing, 1)
    yield "claim again, after further sales", claim(shop, listing, 100_000)

    tree = ShareTree([contributor(delegate), *shares_of(999)])
    batch = dataset_of(hospital, tree.subject, "to be frozen").deposited(system.records, hospital)
    frozen = listing_of(market, hospital, batch, 0, Terms(dollar.address, PRICE, security=PRICE))
    yield "list a dataset", cost_of(history[-1])
    clock.pass_by(12)
    salt = contributor(delegate).salt
    freezing = market.freeze(frozen, delegate, salt, *claim_of(tree, delegate), {"from": stranger})
    yield "freeze a dataset of 1 000 contributors, and forfeit its security", cost_of(freezing)


def claims_after_sales(system: Any, people: dict[str, Any], clock: Clock) -> tuple[Cost, Cost]:
    """The very same claim, after one sale and after fifty."""
    shop = Shop(system, people, clock)
    listing = sold(shop, 10)
    with isolated():
        once = claim(shop, listing, 10)
    sell(shop, listing, MANY - 1)
    return once, claim(shop, listing, 10)
