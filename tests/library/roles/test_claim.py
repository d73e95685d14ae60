"""`claim`, `freeze`, `withdraw_from`: many patients are paid by one sale, and one of them can end it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from crowd import Crowd, sealed_by
from hypothesis import given, settings
from hypothesis import strategies as st
from world import DAY, PRICE, World

from medibridge.chain import ListingState, StopGround
from medibridge.chain.refusals import (
    NothingToFreeze,
    NothingToPay,
    NothingToWithdraw,
    PatientConsents,
    ShareNotInListing,
)
from medibridge.errors import AccessError, NotEnoughFunds, UsageError
from medibridge.ids import address
from medibridge.roles.contributions import Contribution, payout_account
from medibridge.sealing.contributors import Share, ShareTree


def contributions_in(dataset) -> dict:
    return {share.patient: Contribution.in_tree(dataset.shares, share) for share in dataset.shares.shares}


def settled_sale(world: World, crowd: Crowd, buyer=None) -> None:
    buyer = buyer or world.buyer
    buyer.buy(buyer.inspect(buyer.offers()[-1]))
    crowd.custodian().deliver()
    world.travel(DAY + 1)
    crowd.custodian().settle()


@pytest.fixture
def crowd(world: World) -> Crowd:
    crowd = Crowd(world, 5)
    crowd.consent()
    return crowd


@pytest.fixture
def dataset(crowd: Crowd):
    dataset = sealed_by(crowd)
    crowd.custodian().offer_dataset(dataset.description, PRICE)
    return dataset


def test_claim_pays_all_sales_so_far_at_the_fresh_account(world: World, crowd: Crowd, dataset) -> None:
    mine = contributions_in(dataset)[crowd[0].address]
    contributor = crowd.contributor(crowd[0])
    assert contributor.claim(mine) == []
    for _ in range(2):
        settled_sale(world, crowd)
    (owed,) = contributor.listings(mine)
    each = world.system.data_sales.parts_of(owed.listing).patients
    assert (owed.claimed, owed.status.sold, owed.each, owed.due) == (0, 2, each, 2 * each // 5)
    assert owed.name == owed.listing_id.hex()

    (claimed,) = contributor.claim(mine)

    payout = contributor.payout_account(world.hospital.address)
    assert (claimed.payout, claimed.amount_in_units, claimed.sales) == (payout.address, 2 * each // 5, 2)
    assert contributor.claim(mine) == []
    with pytest.raises(NotEnoughFunds):
        contributor.withdraw_from(payout, crowd[0].address)
    world.chain.fund(address(payout.address), 10**18)
    taken = contributor.withdraw_from(payout, crowd[0].address)
    assert (taken.to, taken.amount_in_units) == (crowd[0].address, 2 * each // 5)
    assert world.system.token.balance_of(crowd[0].address) == 2 * each // 5
    with pytest.raises(NothingToWithdraw):
        contributor.withdraw_from(payout, crowd[0].address)


def test_claim_may_be_sent_by_anybody_and_credits_the_payout_account_only(world: World, crowd: Crowd, dataset) -> None:
    settled_sale(world, crowd)
    token, credit_of = world.system.token.address, world.system.data_sales.credit_of
    for person in crowd.people:
        crowd.contributor(crowd[0]).claim_by(world.accounts["stranger"], contributions_in(dataset)[person.address])
    credited = [credit_of(token, one.payout) for one in contributions_in(dataset).values()]
    each = world.system.data_sales.parts_of(world.buyer.offers()[0].listing).patients
    assert credited == [each // 5] * 5
    assert credit_of(token, world.address("stranger")) == 0
    assert credit_of(token, crowd[0].address) == 0


def test_claim_is_refused_with_another_tree_size_leaf_place_or_a_second_time(
    world: World, crowd: Crowd, dataset
) -> None:
    settled_sale(world, crowd)
    first, second, *_ = contributions_in(dataset).values()
    listing = world.buyer.offers()[0].listing
    sales, account = world.system.data_sales, world.accounts["stranger"]
    share, proof = first.as_chain()
    other_share, other_proof = second.as_chain()
    for wrong in (
        (share, replace(proof, size=proof.size + 1)),
        (share, replace(proof, total=proof.total + 1)),
        (share, replace(proof, index=proof.index + 1)),
        (replace(share, share=2), proof),
        (replace(share, payout=world.address("stranger")), proof),
        (share, other_proof),
        (other_share, proof),
        (share, replace(proof, sums=proof.sums[:-1], hashes=proof.hashes[:-1])),
    ):
        with pytest.raises(ShareNotInListing):
            sales.claim(account, listing, *wrong)
    sales.claim(account, listing, share, proof)
    with pytest.raises(NothingToPay):
        sales.claim(account, listing, share, proof)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 2**40), min_size=1, max_size=6), st.integers(1, 10**9))
def test_part_of_never_adds_up_to_more_than_the_whole(shares, whole) -> None:
    people = [address(f"0x{number:040x}") for number in range(1, len(shares) + 1)]
    tree = ShareTree(
        [Share(who, who, part, bytes([at + 1]) * 32) for at, (who, part) in enumerate(zip(people, shares, strict=True))]
    )
    parts = [Contribution.in_tree(tree, share).part_of(whole) for share in tree.shares]
    assert whole - len(shares) < sum(parts) <= whole


def test_share_file_is_read_as_it_was_written_and_refused_when_altered(world: World, crowd: Crowd) -> None:
    mine = contributions_in(sealed_by(crowd))[crowd[1].address]
    text = mine.to_json()
    assert Contribution.from_json(text) == mine
    assert crowd[1].address not in repr(mine)
    document = json.loads(text)
    for name, value in (
        ("format", "MediBridge share 2"),
        ("patient", crowd[0].address),
        ("payout", crowd[0].address),
        ("share", 2),
        ("share", "much"),
        ("salt", "00" * 32),
        ("salt", "00"),
        ("index", document["index"] ^ 1),
        ("size", 6),
        ("total", 6),
        ("subject", "00" * 32),
        ("path", []),
        ("path", [{"sum": 1}]),
        ("path", None),
    ):
        with pytest.raises(UsageError, match="no share file, or it was altered"):
            Contribution.from_json(json.dumps(document | {name: value}))
    for rubbish in ("", "[]", "null", "{}", "[" * 5_000, '{"format": 1}'):
        with pytest.raises(UsageError, match="no share file"):
            Contribution.from_json(rubbish)


def test_payout_account_is_the_same_after_a_loss_and_another_for_each_custodian_and_number(
    world: World, crowd: Crowd
) -> None:
    identity = crowd[0].identity
    accounts = [payout_account(identity, who, number).address
                for who in (world.hospital.address, world.laboratory.address) for number in (0, 1)]  # fmt: skip
    assert len({*accounts, crowd[0].address}) == 5
    assert payout_account(identity, world.hospital.address).address == accounts[0]
    contributors = [crowd.contributor(person).payout_account(world.hospital.address).address for person in crowd.people]
    assert len(set(contributors)) == 5


def test_freeze_stops_sales_when_a_patient_has_taken_consent_back_and_costs_no_security(
    world: World, crowd: Crowd, dataset
) -> None:
    """Revoke and freeze: the sale ends, and nobody earns by it."""
    mine = contributions_in(dataset)[crowd[2].address]
    contributor, (offer,) = crowd.contributor(crowd[2]), world.buyer.offers()
    with pytest.raises(PatientConsents):
        contributor.freeze(offer.listing, mine)
    purchase = world.buyer.buy(world.buyer.inspect(offer))
    world.travel(10)
    crowd.revoke(crowd[2])

    frozen = contributor.freeze(offer.listing, mine)

    assert (frozen.listing_id, frozen.forfeited) == (offer.listing_id, False)
    sales = world.system.data_sales
    assert sales.listing_status(offer.listing_id).state is ListingState.FROZEN
    assert sales.ground_to_stop(offer.listing, world.buyer.address) is StopGround.LISTING_FROZEN
    assert sales.credit_of(offer.listing.terms.token, crowd[2].address) == 0
    assert crowd.custodian().deliver() == []
    with pytest.raises(AccessError, match="listing: frozen"):
        world.second_buyer.buy(world.second_buyer.inspect(offer))
    with pytest.raises(NothingToFreeze):
        contributor.freeze(offer.listing, mine)
    world.travel_to(purchase.deadline)
    assert len(world.buyer.refund()) == 1


def test_freeze_shares_the_security_out_when_the_patient_never_consented(world: World) -> None:
    """The custodian plants a patient who never agreed: a tenth of the security is the patient's."""
    crowd = Crowd(world, 4)
    crowd.consent(*crowd.people[:3])
    dataset = sealed_by(crowd)
    crowd.custodian().offer_dataset(dataset.description, PRICE)
    (offer,) = world.buyer.offers()
    mine = contributions_in(dataset)[crowd[3].address]
    treasury = world.address("admin")

    frozen = crowd.contributor(crowd[3]).freeze(offer.listing, mine)

    assert frozen.forfeited
    credit_of, token = world.system.data_sales.credit_of, offer.listing.terms.token
    assert credit_of(token, crowd[3].address) == PRICE // 10
    assert credit_of(token, treasury) == PRICE - PRICE // 10
    assert world.system.data_sales.listing_status(offer.listing_id).state is ListingState.FORFEITED
    released = crowd.custodian().release_bond(offer.listing)
    assert released.amount_in_units == 3 * offer.listing.terms.reward


def test_freeze_is_refused_with_anothers_salt_or_share(world: World, crowd: Crowd, dataset) -> None:
    first, second, *_ = contributions_in(dataset).values()
    (offer,) = world.buyer.offers()
    for wrong in (replace(first, salt=second.salt), replace(first, patient=second.patient)):
        with pytest.raises(ShareNotInListing):
            crowd.contributor(crowd[0]).freeze(offer.listing, wrong)


def test_what_was_sold_is_claimed_when_the_listing_is_frozen(world: World, crowd: Crowd, dataset) -> None:
    settled_sale(world, crowd)
    mine = contributions_in(dataset)
    crowd.revoke(crowd[0])
    (offer,) = world.buyer.offers()
    crowd.contributor(crowd[0]).freeze(offer.listing, mine[crowd[0].address])
    for person in crowd.people:
        assert len(crowd.contributor(person).claim(mine[person.address])) == 1


def test_claim_sends_nothing_where_nothing_is_due(world: World, crowd: Crowd, dataset) -> None:
    """[attack] Whoever lists the dataset for one unit makes nobody pay gas for claims of nothing."""
    crowd.custodian().offer_dataset(dataset.description, 1)
    settled_sale(world, crowd)
    mine = contributions_in(dataset)[crowd[0].address]
    contributor = crowd.contributor(crowd[0])
    assert [(shared.status.sold, shared.due) for shared in contributor.listings(mine)] == [(0, 0), (1, 0)]
    assert contributor.claim(mine) == []


def test_claim_goes_on_where_somebody_was_faster(
    world: World, crowd: Crowd, dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled_sale(world, crowd)
    mine = contributions_in(dataset)[crowd[0].address]
    contributor = crowd.contributor(crowd[0])
    seen = contributor.listings(mine)
    assert len(crowd.contributor(crowd[1]).claim(mine)) == 1
    monkeypatch.setattr(contributor, "listings", lambda contribution: seen)
    assert contributor.claim(mine) == []
