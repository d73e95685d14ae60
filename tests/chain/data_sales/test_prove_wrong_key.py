"""A seller delivers another key than the seal's: real sealed records, whose keys and hashes Python made."""

from __future__ import annotations

from typing import Any

import pytest
from clock import NOON
from deals import SECRET, WRONG_KEY, Deal, bought, delivered, listing_for
from eth_utils.crypto import keccak
from observed import event_of, plain
from refusals import reverts
from sales import Terms, digest
from sealed import Sealed, content_of, sealed

from medibridge.chain.sales import ListingState, OrderState, StopGround
from medibridge.ids import SealId
from medibridge.sealing.chunks import chunk_key, key_hash
from medibridge.sealing.records import RecordKey, Seal, WrongKey, commitment, find_fault, mask, unmask

PRICE = 50_000_000

GOODS = sealed(content_of(34_816))
"""Two full chunks and one of 2 048 bytes."""

PARTLY = sealed(
    content_of(34_816),
    key_of=lambda key, index: digest("a key of its own") if index == 1 else chunk_key(key, index),
)
"""Its second chunk's key does not derive from the record's key."""


@pytest.fixture(scope="module")
def shop(lasting: None, system: Any, people: dict[str, Any]) -> Any:
    """Sells goods of the patient to the buyer, and delivers the key it is told."""
    system.dollar.mint(people["buyer"], 20 * PRICE, {"from": people["admin"]})
    system.dollar.approve(system.data_sales, 20 * PRICE, {"from": people["buyer"]})

    def shop(goods: Sealed, key: RecordKey, name: object = 0) -> Deal:
        terms = Terms(system.dollar.address, PRICE)
        listing = listing_for(system, people["patient"], people["hospital"], goods, terms, name)
        order = bought(system, people["buyer"], listing)
        return delivered(system, people["patient"], goods, listing, order, key)

    return shop


@pytest.fixture(scope="module")
def cheat(shop: Any) -> Deal:
    """The right chunks, and another key."""
    return shop(GOODS, WRONG_KEY, "cheat")


@pytest.fixture(scope="module")
def partly(shop: Any) -> Deal:
    """The right key, from which one chunk's key does not derive."""
    return shop(PARTLY, PARTLY.key, "partly")


@pytest.fixture(scope="module")
def honest(shop: Any) -> Deal:
    """The promised key."""
    return shop(GOODS, GOODS.key, "honest")


@pytest.fixture
def unchanged(data_sales: Any, dollar: Any, buyer: Any, patient: Any, honest: Deal, cheat: Deal) -> Any:
    """Whatever happens in the test, nothing has changed."""

    def state() -> Any:
        deals = [
            plain(status)
            for deal in (honest, cheat)
            for status in (data_sales.orderStatusOf(deal.order_id), data_sales.listingStatusOf(deal.listing_id))
        ]
        return deals, [data_sales.creditOf(dollar, x) for x in (buyer, patient)], dollar.balanceOf(data_sales)

    before = state()
    yield
    assert state() == before


@pytest.mark.parametrize("index", [0, 1, 2], ids=["first", "middle", "short last"])
def test_prove_wrong_key_pays_back_price_and_reward_and_freezes_the_listing(
    data_sales, dollar, buyer, patient, cheat, index
):
    transaction = cheat.prove_wrong_key(buyer, index)

    reward = cheat.listing.terms.reward
    assert event_of(transaction) == ("WrongKeyProved", (cheat.order_id, index, reward))
    assert data_sales.creditOf(dollar, buyer) == PRICE + reward
    assert data_sales.creditOf(dollar, patient) == 0
    assert plain(data_sales.orderStatusOf(cheat.order_id))[0] == OrderState.DISPUTED
    places = cheat.listing.terms.places - 1
    assert plain(data_sales.listingStatusOf(cheat.listing_id)) == (ListingState.FROZEN, NOON, NOON, 0, places, 0, 0)


def test_prove_wrong_key_is_what_the_clients_opener_finds(buyer, cheat, partly):
    for deal, index in ((cheat, 0), (partly, 1)):
        key = unmask(deal.masked, SECRET, deal.order_id)
        assert find_fault(deal.goods.manifest, key, deal.goods.fetch) == WrongKey(index)
        deal.prove_wrong_key(buyer, index)


def test_prove_wrong_key_covers_chunk_keys_that_do_not_derive_from_the_record_key(buyer, partly):
    for index in (0, 2):
        with reverts("KeyIsRight", partly.order_id, index):
            partly.prove_wrong_key(buyer, index)

    assert event_of(partly.prove_wrong_key(buyer, 1))[1][1] == 1


def test_prove_wrong_key_leaves_the_seller_the_rest_of_the_bond(data_sales, dollar, buyer, patient, cheat, clock):
    cheat.prove_wrong_key(buyer)
    clock.pass_by(7 * 86_400)

    data_sales.releaseBond(cheat.listing, {"from": patient})

    terms = cheat.listing.terms
    assert data_sales.creditOf(dollar, patient) == terms.bond - terms.reward


@pytest.mark.parametrize("index", [0, 1, 2])
def test_prove_wrong_key_is_refused_when_the_key_is_right(buyer, honest, unchanged, index):
    """[attack] A buyer who would have goods and money."""
    with reverts("KeyIsRight", honest.order_id, index):
        honest.prove_wrong_key(buyer, index)


def test_prove_wrong_key_is_refused_when_the_masked_key_is_not_the_delivered_one(buyer, honest, cheat, unchanged):
    """[attack] One's own, or that of another order."""
    for masked in (digest("own"), cheat.masked, mask(WRONG_KEY, SECRET, honest.order_id)):
        with reverts("DeliveryIsNot", honest.order_id, delivery(honest.masked), delivery(masked)):
            honest.prove_wrong_key(buyer, masked=masked)


def delivery(masked: bytes) -> bytes:
    """As an order's slot holds it."""
    return keccak(masked)[:26]


def test_prove_wrong_key_is_refused_when_the_secret_is_not_the_committed_one(buyer, honest, unchanged):
    """[attack] With another t, any key looks wrong."""
    other = digest("another t")

    with reverts("SecretIsNot", honest.order_id, honest.order.commitment, commitment(other)):
        honest.prove_wrong_key(buyer, secret=other)


FORGED = {
    "another root": ({"tree_root": bytes(32)}, "SealIsNot"),
    "another count": ({"chunks": 4}, "SealIsNot"),
    "another size": ({"size": 1}, "SealIsNot"),
    "another key's hash": ({"key_hash": key_hash(bytes(32))}, "ChunkNotInSeal"),
    "another place": ({"index": 1}, "ChunkNotInSeal"),
    "another path": ({"path": [bytes(32)] * 2}, "ChunkNotInSeal"),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_prove_wrong_key_is_refused_when_the_proof_is_forged(buyer, honest, unchanged, forgery):
    changes, error = FORGED[forgery]
    proof = honest.goods.proof(0)._replace(**changes)
    seal_id = honest.goods.seal_id
    values = (seal_id, seal_id_of(proof)) if error == "SealIsNot" else (seal_id, proof.index)

    with reverts(error, *values):
        honest.prove_wrong_key(buyer, proof=proof)


def seal_id_of(proof: Any) -> SealId:
    return Seal(proof.tree_root, proof.chunks, proof.size).seal_id


def test_prove_wrong_key_is_refused_when_the_proof_is_of_another_seal(buyer, honest, partly, unchanged):
    """[attack] A chunk that really has another key, from another record."""
    with reverts("SealIsNot", honest.goods.seal_id, partly.goods.seal_id):
        honest.prove_wrong_key(buyer, proof=partly.goods.proof(1))


def test_prove_wrong_key_is_refused_when_another_sends_it(stranger, patient, second_buyer, buyer, cheat, unchanged):
    """[attack] Copied from the mempool: nobody else is paid for it, and nobody else can spend it."""
    for thief in (stranger, patient, second_buyer):
        with reverts("NotTheBuyer", thief, buyer):
            cheat.prove_wrong_key(thief)


def test_prove_wrong_key_is_refused_when_it_is_done_again(data_sales, dollar, buyer, cheat):
    """[attack] A replay."""
    cheat.prove_wrong_key(buyer)
    credit = data_sales.creditOf(dollar, buyer)

    for again in (cheat.prove_wrong_key, cheat.prove_wrong_chunk):
        with reverts("OrderStateIsNot", cheat.order_id, OrderState.DELIVERED, OrderState.DISPUTED):
            again(buyer)
    assert data_sales.creditOf(dollar, buyer) == credit


def test_prove_wrong_key_is_refused_when_nothing_was_delivered(system, buyer, cheat):
    order = bought(system, buyer, cheat.listing, nonce=1)

    with reverts("OrderStateIsNot", order.id_at(system.data_sales), OrderState.DELIVERED, OrderState.PAID):
        cheat.prove_wrong_key(buyer, order=order)


def test_prove_wrong_key_is_refused_when_order_and_listing_do_not_belong_together(buyer, honest, cheat, unchanged):
    """[attack] The order of honest goods with the listing of others."""
    with reverts("OrderNotOfListing", honest.order_id, cheat.listing_id):
        honest.prove_wrong_key(buyer, listing=cheat.listing)


def test_prove_wrong_key_works_to_the_last_second_of_the_window_and_not_in_the_next(buyer, cheat, partly, clock):
    deadline = NOON + cheat.listing.terms.dispute_within
    clock.move_to(deadline - 1)
    cheat.prove_wrong_key(buyer)

    clock.move_to(deadline)
    with reverts("DeadlinePassed", partly.order_id, deadline, deadline):
        partly.prove_wrong_key(buyer, 1)


def test_prove_wrong_key_works_when_seller_buyer_token_and_listing_are_out_of_favour(
    data_sales, institutions, dollar, admin, hospital, patient, buyer, cheat
):
    """[attack] A seller who withdraws the listing as soon as it has paid."""
    data_sales.unlist(cheat.listing, {"from": patient})
    for institution in (hospital, buyer):
        institutions.suspend(institution, {"from": admin})
    data_sales.allowToken(dollar, 0, {"from": admin})

    cheat.prove_wrong_key(buyer)

    assert plain(data_sales.listingStatusOf(cheat.listing_id))[0] == ListingState.FROZEN
    data_sales.withdraw(dollar, buyer, {"from": buyer})


def test_prove_wrong_key_warns_others_and_pays_each_its_own_reward(system, data_sales, dollar, patient, buyer, cheat):
    """A second victim of the same listing has a place of its own in the bond; a third order is stopped."""
    second = delivered(system, patient, GOODS, cheat.listing, bought(system, buyer, cheat.listing, nonce=1), WRONG_KEY)
    waiting = bought(system, buyer, cheat.listing, nonce=2)
    cheat.prove_wrong_key(buyer)
    with reverts("ListingNotLive", cheat.listing_id, ListingState.FROZEN):
        bought(system, buyer, cheat.listing, nonce=3)
    assert data_sales.groundToStop(cheat.listing, buyer) == StopGround.LISTING_FROZEN
    data_sales.stop(waiting, cheat.listing, {"from": buyer})

    second.prove_wrong_key(buyer)

    terms = cheat.listing.terms
    assert data_sales.creditOf(dollar, buyer) == 2 * (PRICE + terms.reward)
    assert plain(data_sales.listingStatusOf(cheat.listing_id))[3:5] == (1, terms.places - 2)
