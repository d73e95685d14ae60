"""A dataset's patients take out their shares. Every way to take more than one's due is refused."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from clock import Clock
from datasets import Share, ShareProof, claim_of, contributor, dataset_of
from eth_utils.address import to_checksum_address
from hypothesis import strategies as st
from isolation import given, isolated, on_the_chain
from observed import event_of
from refusals import reverts
from sales import Listing, listing_of, order_of, parts_of

from medibridge.ids import Address
from medibridge.sealing.contributors import MAX_TOTAL, ShareTree, leaf_of


@pytest.fixture
def sold(data_sales: Any, hospital: Any, buyer: Any, dataset: Listing, rich_buyers: None, purchase: Any, clock: Clock):
    """Sells a listing so many times more, the dataset by default."""
    nonces = iter(range(100))

    def sold(times: int, listing: Listing = dataset) -> None:
        for _ in range(times):
            another = purchase._replace(nonce=next(nonces))
            data_sales.buy(listing, another, {"from": buyer})
            order = order_of(data_sales, listing, buyer, another)
            data_sales.deliver(order, listing, bytes(32), {"from": hospital})
            clock.pass_by(listing.terms.dispute_within)
            data_sales.settle(order, listing, {"from": buyer})

    return sold


@pytest.fixture
def each(dataset):
    """What one sale brings all patients together."""
    return parts_of(dataset.terms.price, 250, dataset.terms.custodian_share)[2]


def leaf(share: Share) -> bytes:
    return leaf_of(Address(share.payout), share.share, share.hidden)


def test_claim_credits_the_payout_account_whoever_sends_it(
    data_sales, dollar, stranger, patient, dataset, tree, sold, each
):
    sold(1)
    share, proof = claim_of(tree, patient)

    transaction = data_sales.claim(dataset, share, proof, {"from": stranger})

    assert event_of(transaction) == ("Claimed", (dataset.id_at(data_sales), share.payout, each * 7 // 10, 1))
    assert data_sales.creditOf(dollar, share.payout) == each * 7 // 10
    assert data_sales.creditOf(dollar, stranger) == data_sales.creditOf(dollar, patient) == 0
    assert data_sales.claimedSalesOf(dataset.id_at(data_sales), leaf(share)) == 1


def test_claim_covers_all_sales_so_far_and_later_only_the_new_ones(
    data_sales, dollar, patient, dataset, tree, sold, each
):
    share, proof = claim_of(tree, patient)
    sold(2)
    assert event_of(data_sales.claim(dataset, share, proof, {"from": patient}))[1][2:] == (2 * each * 7 // 10, 2)
    sold(1)
    data_sales.claim(dataset, share, proof, {"from": patient})

    assert data_sales.creditOf(dollar, share.payout) == 3 * each * 7 // 10
    assert data_sales.claimedSalesOf(dataset.id_at(data_sales), leaf(share)) == 3


def test_claim_of_everybody_never_exceeds_what_the_sales_brought(
    data_sales, dollar, patient, second_patient, delegate, treasury, hospital, dataset, tree, sold, each
):
    sold(3)
    data_sales.distribute(dataset, {"from": hospital})
    paid = 0
    for who in (patient, second_patient, delegate):
        share, proof = claim_of(tree, who)
        paid += event_of(data_sales.claim(dataset, share, proof, {"from": who}))[1][2]

    assert 3 * each - 3 < paid <= 3 * each
    others = data_sales.creditOf(dollar, treasury) + data_sales.creditOf(dollar, hospital)
    assert dollar.balanceOf(data_sales) - dataset.terms.bond - others - paid in range(3)


def test_claim_is_refused_when_it_was_paid_already(data_sales, dollar, patient, dataset, tree, sold, each):
    """[attack] The same share twice."""
    sold(1)
    share, proof = claim_of(tree, patient)
    data_sales.claim(dataset, share, proof, {"from": patient})

    with reverts("NothingToPay", dataset.id_at(data_sales)):
        data_sales.claim(dataset, share, proof, {"from": patient})
    assert data_sales.creditOf(dollar, share.payout) == each * 7 // 10


def test_claim_is_refused_when_nothing_was_sold(data_sales, patient, dataset, tree):
    with reverts("NothingToPay", dataset.id_at(data_sales)):
        data_sales.claim(dataset, *claim_of(tree, patient), {"from": patient})


def test_claim_is_refused_when_the_sale_is_of_another_listing(
    data_sales, hospital, patient, dataset, dataset_batch, tree, sold
):
    """Claims are kept per listing: the sales of one pay nobody of another."""
    other = listing_of(data_sales, hospital, dataset_batch, 0, dataset.terms._replace(nonce=1))
    sold(1)

    with reverts("NothingToPay", other.id_at(data_sales)):
        data_sales.claim(other, *claim_of(tree, patient), {"from": patient})


def test_claim_is_refused_when_the_listing_is_forged(data_sales, stranger, dataset, sold):
    """[attack] A listing whose subject is a tree of one's own."""
    sold(1)
    own = ShareTree([contributor(stranger)])
    forged = dataset._replace(subject=own.subject)

    with reverts("NothingToPay", forged.id_at(data_sales)):
        data_sales.claim(forged, *claim_of(own, stranger), {"from": stranger})


FORGERIES: dict[str, Any] = {
    "another's payout": lambda share, proof, it: (share._replace(payout=it.stranger), proof),
    "a greater share": lambda share, proof, it: (share._replace(share=share.share + 1), proof),
    "no share": lambda share, proof, it: (share._replace(share=0), proof),
    "another hidden patient": lambda share, proof, it: (share._replace(hidden=bytes(32)), proof),
    "another's leaf": lambda share, proof, it: (claim_of(it.tree, it.second_patient)[0], proof),
    "another's place": lambda share, proof, it: (share, proof._replace(index=(proof.index + 1) % 3)),
    "a place outside": lambda share, proof, it: (share, proof._replace(index=3)),
    "a greater tree": lambda share, proof, it: (share, proof._replace(size=4)),
    "a smaller tree": lambda share, proof, it: (share, proof._replace(size=2, index=proof.index % 2)),
    "an enormous tree": lambda share, proof, it: (share, proof._replace(size=2**64 - 1)),
    "an empty tree": lambda share, proof, it: (share, proof._replace(size=0)),
    "a smaller total": lambda share, proof, it: (share, proof._replace(total=proof.total - 1)),
    "a greater total": lambda share, proof, it: (share, proof._replace(total=proof.total + 1)),
    "smaller sums": lambda share, proof, it: (share, proof._replace(sums=[1] * len(proof.sums))),
    "sums of nothing": lambda share, proof, it: (share, proof._replace(sums=[0] * len(proof.sums))),
    "sums beyond 128 bits": lambda share, proof, it: (share, proof._replace(sums=[MAX_TOTAL] * len(proof.sums))),
    "a path too short": lambda share, proof, it: (share, proof._replace(sums=proof.sums[1:], hashes=proof.hashes[1:])),
    "a path too long": lambda share, proof, it: (
        share,
        proof._replace(sums=[*proof.sums, 1], hashes=[*proof.hashes, bytes(32)]),
    ),
    "fewer sums than hashes": lambda share, proof, it: (share, proof._replace(sums=proof.sums[1:])),
    "no path": lambda share, proof, it: (share, proof._replace(sums=[], hashes=[])),
}


class Forger:
    """Who knows the whole tree, and wants more than his due."""

    def __init__(self, tree: ShareTree, second_patient: Any, stranger: Any) -> None:
        self.tree, self.second_patient, self.stranger = tree, second_patient, stranger.address


@pytest.fixture
def forger(tree, second_patient, stranger):
    return Forger(tree, second_patient, stranger)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_claim_is_refused_when_the_proof_is_not_of_that_share_there(
    data_sales, patient, dataset, tree, forger, forgery
):
    share, proof = FORGERIES[forgery](*claim_of(tree, patient), forger)

    with reverts("ShareNotInListing", dataset.id_at(data_sales)):
        data_sales.claim(dataset, share, proof, {"from": patient})


def test_claim_is_refused_when_an_inner_node_is_shown_as_a_leaf(data_sales, patient, dataset, tree):
    """[attack] A second preimage: the two shares below an inner node as one share. Leaves and nodes have other tags and
    other lengths: no choice of fields gives the same bytes."""
    left, right = tree.shares[0], tree.shares[1]
    node = left.share.to_bytes(16, "big") + left.leaf + right.share.to_bytes(16, "big") + right.leaf
    third = tree.shares[2]
    payout, hidden = to_checksum_address(node[:20]), node[-32:]
    share = Share(payout, left.share + right.share, hidden)
    proof = ShareProof(0, 2, tree.total, [third.share], [third.leaf])

    for size in (2, 3):
        with reverts("ShareNotInListing", dataset.id_at(data_sales)):
            data_sales.claim(dataset, share, proof._replace(size=size), {"from": patient})


def test_claim_is_refused_when_the_tree_gives_away_more_than_the_whole(
    data_sales, records, hospital, stranger, rich_buyers, terms, sold
):
    """[attack] A custodian deposits a subject over a node whose sum is too small for what lies below. No proof climbs
    there: the sum on the way is computed, not read."""
    shares = [contributor(f"0x{n:040x}", 6) for n in (1, 2)]
    leaves = [share.leaf for share in shares]
    sums = [6, 6]
    node = sha256(b"\x0b" + sums[0].to_bytes(16, "big") + leaves[0] + sums[1].to_bytes(16, "big") + leaves[1]).digest()
    lying = sha256(b"\x0d" + node + (2).to_bytes(8, "big") + (6).to_bytes(16, "big")).digest()
    batch = dataset_of(hospital, lying, "lying").deposited(records, hospital)
    listing = listing_of(data_sales, hospital, batch, 0, terms._replace(security=terms.price))
    sold(1, listing)

    for at in (0, 1):
        share = Share(shares[at].payout, 6, shares[at].hidden)
        for total in (6, 12):
            proof = ShareProof(at, 2, total, [sums[1 - at]], [leaves[1 - at]])
            with reverts("ShareNotInListing", listing.id_at(data_sales)):
                data_sales.claim(listing, share, proof, {"from": stranger})


def test_claim_of_two_leaves_of_one_patient_pays_each_its_share(
    data_sales, records, hospital, patient, rich_buyers, terms, sold
):
    """No contract sees that two leaves are one person's; their shares still add up to the whole."""
    first = contributor(patient, 1)
    second = replace(first, patient=Address("0x" + "11" * 20), salt=bytes(range(32)))
    tree = ShareTree([first, second])
    batch = dataset_of(hospital, tree.subject, "twice").deposited(records, hospital)
    listing = listing_of(data_sales, hospital, batch, 0, terms._replace(security=terms.price))
    sold(1, listing)
    each = parts_of(listing.terms.price, 250, listing.terms.custodian_share)[2]

    paid = [
        event_of(data_sales.claim(listing, *claim_of(tree, who), {"from": patient}))[1][2]
        for who in (patient, second.patient)
    ]

    assert paid == [each // 2, each // 2]


def test_claim_works_when_the_listing_was_frozen_and_the_custodian_suspended(
    data_sales, institutions, admin, hospital, patient, second_patient, dataset, tree, sold, each
):
    """What was sold is paid in every state."""
    sold(1)
    share, proof = claim_of(tree, second_patient)
    salt = contributor(second_patient).salt
    data_sales.freeze(dataset, second_patient, salt, share, proof, {"from": second_patient})
    institutions.suspend(hospital, {"from": admin})

    _, values = event_of(data_sales.claim(dataset, *claim_of(tree, patient), {"from": patient}))

    assert values[2] == each * 7 // 10


@given(
    shares=st.lists(st.integers(1, 10) | st.integers(1, 2**120), min_size=1, max_size=9),
    price=st.integers(1, 10_000),
    rounds=st.lists(st.integers(1, 2), min_size=1, max_size=2),
)
@on_the_chain(14)
def test_claim_never_pays_more_than_the_sales_brought_and_rounds_down_once(
    data_sales: Any,
    records: Any,
    hospital: Any,
    stranger: Any,
    rich_buyers: None,
    terms: Any,
    sold: Any,
    shares: list[int],
    price: int,
    rounds: list[int],
) -> None:
    """Whoever claims after every round, or only at the end, has the same; together at most what all have due."""
    people = [f"0x{n + 1:040x}" for n in range(len(shares))]
    tree = ShareTree([contributor(to_checksum_address(who), share) for who, share in zip(people, shares, strict=True)])
    with isolated():
        batch = dataset_of(hospital, tree.subject, "any").deposited(records, hospital)
        listing = listing_of(data_sales, hospital, batch, 0, terms._replace(price=price, security=price))
        each = parts_of(price, 250, listing.terms.custodian_share)[2]
        paid = dict.fromkeys(tree.shares, 0)
        for at, times in enumerate(rounds):
            sold(times, listing)
            for place, share in enumerate(tree.shares):
                if place % 2 == 0 or at == len(rounds) - 1:  # every second one waits for the end
                    claim = claim_of(tree, share.patient)
                    _, values = event_of(data_sales.claim(listing, *claim, {"from": stranger}))
                    paid[share] += values[2]

    whole = sum(rounds) * each
    assert paid == {share: whole * share.share // tree.total for share in tree.shares}
    assert whole - len(shares) < sum(paid.values()) <= whole
