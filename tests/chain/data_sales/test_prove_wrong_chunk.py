"""A seller delivers the promised key, and a chunk that does not hold what was promised. Records sealed by Python."""

from __future__ import annotations

from typing import Any

import pytest
from clock import NOON
from deals import SECRET, WRONG_KEY, Deal, bought, delivered, listing_for
from observed import event_of, plain
from refusals import reverts
from sales import Terms
from sealed import CHUNK_SIZE, Sealed, content_of, sealed

from medibridge.chain.sales import ListingState, OrderState
from medibridge.sealing.chunks import cipher_hash, key_hash
from medibridge.sealing.records import RecordKey, WrongChunk, WrongKey, find_fault, open_record_bytes, unmask

PRICE = 50_000_000

CONTENT = content_of(34_816)
GOODS = sealed(CONTENT)
"""Two full chunks and one of 2 048 bytes."""

SMALL = sealed(content_of(1_024))


@pytest.fixture(scope="module")
def shop(lasting: None, system: Any, people: dict[str, Any]) -> Any:
    """Sells goods of the patient to the buyer, and delivers the key: the goods' own, or another."""
    system.dollar.mint(people["buyer"], 20 * PRICE, {"from": people["admin"]})
    system.dollar.approve(system.data_sales, 20 * PRICE, {"from": people["buyer"]})

    def shop(goods: Sealed, key: RecordKey | None = None) -> Deal:
        terms = Terms(system.dollar.address, PRICE)
        listing = listing_for(system, people["patient"], people["hospital"], goods, terms)
        order = bought(system, people["buyer"], listing)
        return delivered(system, people["patient"], goods, listing, order, key or goods.key)

    return shop


@pytest.fixture(scope="module")
def honest(shop: Any) -> Deal:
    """What was promised."""
    return shop(SMALL)


@pytest.fixture(scope="module")
def cheat(shop: Any) -> Deal:
    """One chunk that holds something else."""
    return shop(SMALL.promising(0, bytes(1_024)))


@pytest.fixture
def unchanged(data_sales: Any, dollar: Any, buyer: Any, honest: Deal, cheat: Deal) -> Any:
    """Whatever happens in the test, nothing has changed."""

    def state() -> Any:
        return [
            plain(status)
            for deal in (honest, cheat)
            for status in (data_sales.orderStatusOf(deal.order_id), data_sales.listingStatusOf(deal.listing_id))
        ], data_sales.creditOf(dollar, buyer)

    before = state()
    yield
    assert state() == before


@pytest.mark.parametrize("index", [0, 1, 2], ids=["first", "middle", "short last"])
def test_prove_wrong_chunk_pays_back_price_and_reward_and_freezes_the_listing(data_sales, dollar, buyer, shop, index):
    other = GOODS.chunks[index].promised[:-1] + b"\xff"
    deal = shop(GOODS.promising(index, other))
    key = unmask(deal.masked, SECRET, deal.order_id)
    assert find_fault(deal.goods.manifest, key, deal.goods.fetch) == WrongChunk(index)

    transaction = deal.prove_wrong_chunk(buyer, index)

    terms = deal.listing.terms
    assert event_of(transaction) == ("WrongChunkProved", (deal.order_id, index, terms.reward))
    assert data_sales.creditOf(dollar, buyer) == PRICE + terms.reward
    assert plain(data_sales.orderStatusOf(deal.order_id))[0] == OrderState.DISPUTED
    status = plain(data_sales.listingStatusOf(deal.listing_id))
    assert status == (ListingState.FROZEN, NOON, NOON, 0, terms.places - 1, 0, 0)


def test_prove_wrong_chunk_is_refused_for_the_chunks_that_are_right(buyer, shop):
    """The right key and one wrong chunk: the others prove nothing."""
    deal = shop(GOODS.promising(1, bytes(CHUNK_SIZE)))

    with reverts("ChunkIsRight", deal.order_id, 2):
        deal.prove_wrong_chunk(buyer, 2)
    deal.prove_wrong_chunk(buyer, 1)


@pytest.mark.parametrize(
    ("index", "size"),
    [(0, CHUNK_SIZE + 1), (0, CHUNK_SIZE - 1), (2, 2_049), (2, 2_047), (2, 0)],
    ids=["oversized", "undersized", "oversized last", "undersized last", "empty last"],
)
def test_prove_wrong_chunk_covers_chunks_of_another_size(buyer, shop, index, size):
    """[attack] What a buyer could not have inspected: all three hashes match, and the length does not."""
    deal = shop(GOODS.resized(index, bytes(size)))

    assert event_of(deal.prove_wrong_chunk(buyer, index))[0] == "WrongChunkProved"


def test_prove_wrong_chunk_is_refused_when_only_the_tag_was_spoiled_and_the_buyer_still_reads(
    data_sales, buyer, shop, clock
):
    """[attack] A client that trusted the tag would reject what the contract calls right."""
    deal = shop(GOODS.with_spoiled_tag(2))
    key = unmask(deal.masked, SECRET, deal.order_id)

    assert find_fault(deal.goods.manifest, key, deal.goods.fetch) is None
    assert open_record_bytes(deal.goods.manifest, key, deal.goods.fetch) == CONTENT
    with reverts("ChunkIsRight", deal.order_id, 2):
        deal.prove_wrong_chunk(buyer, 2)
    clock.pass_by(deal.listing.terms.dispute_within)
    data_sales.settle(deal.order, deal.listing, {"from": buyer})


def test_prove_wrong_chunk_is_refused_when_the_chunk_is_right(buyer, honest, unchanged):
    """[attack] A false accusation: it only shows the chunk."""
    with reverts("ChunkIsRight", honest.order_id, 0):
        honest.prove_wrong_chunk(buyer)


def test_prove_wrong_chunk_is_refused_when_the_shown_key_is_another(buyer, honest, unchanged):
    """[attack] With another key, any chunk looks wrong."""
    promised = key_hash(SMALL.chunks[0].key)

    with reverts("ChunkKeyIsNot", 0, promised, key_hash(bytes(32))):
        honest.prove_wrong_chunk(buyer, key=bytes(32))


@pytest.mark.parametrize("change", [b"", b"\0" * 1_040, None], ids=["nothing", "zeros", "a bit of the tag"])
def test_prove_wrong_chunk_is_refused_when_the_shown_bytes_are_others(buyer, honest, unchanged, change):
    """[attack] With other bytes, any chunk looks wrong."""
    right = SMALL.chunks[0].ciphertext
    shown = right[:-1] + bytes([right[-1] ^ 1]) if change is None else change

    with reverts("CiphertextIsNot", 0, cipher_hash(right), cipher_hash(shown)):
        honest.prove_wrong_chunk(buyer, ciphertext=shown)


def test_prove_wrong_chunk_is_refused_when_the_proof_is_forged(buyer, honest, cheat, unchanged):
    own = honest.goods.proof(0)
    with reverts("ChunkNotInSeal", honest.goods.seal_id, 0):
        honest.prove_wrong_chunk(buyer, proof=own._replace(plain_hash=bytes(32)))
    with reverts("SealIsNot", honest.goods.seal_id, cheat.goods.seal_id):
        honest.prove_wrong_chunk(buyer, proof=cheat.goods.proof(0))


def test_prove_wrong_chunk_needs_a_wrong_key_to_be_proved_as_such(buyer, shop):
    """The chunk is what the seal promised; it is the delivered key that is not."""
    deal = shop(GOODS, WRONG_KEY)
    key = unmask(deal.masked, SECRET, deal.order_id)
    assert find_fault(deal.goods.manifest, key, deal.goods.fetch) == WrongKey(0)

    with reverts("ChunkIsRight", deal.order_id, 2):
        deal.prove_wrong_chunk(buyer, 2)
    deal.prove_wrong_key(buyer)


def test_prove_wrong_chunk_is_refused_when_another_sends_it(stranger, patient, buyer, cheat, unchanged):
    """[attack] Copied from the mempool."""
    for thief in (stranger, patient):
        with reverts("NotTheBuyer", thief, buyer):
            cheat.prove_wrong_chunk(thief)


def test_prove_wrong_chunk_is_refused_when_it_is_done_again(data_sales, dollar, buyer, cheat):
    """[attack] A replay."""
    cheat.prove_wrong_chunk(buyer)

    with reverts("OrderStateIsNot", cheat.order_id, OrderState.DELIVERED, OrderState.DISPUTED):
        cheat.prove_wrong_chunk(buyer)
    assert data_sales.creditOf(dollar, buyer) == PRICE + cheat.listing.terms.reward


def test_prove_wrong_chunk_is_refused_when_nothing_was_delivered_or_it_is_settled(
    system, data_sales, patient, buyer, cheat, clock
):
    waiting = bought(system, buyer, cheat.listing, nonce=1)
    with reverts("OrderStateIsNot", waiting.id_at(data_sales), OrderState.DELIVERED, OrderState.PAID):
        cheat.prove_wrong_chunk(buyer, order=waiting)

    deadline = NOON + cheat.listing.terms.dispute_within
    clock.move_to(deadline)
    with reverts("DeadlinePassed", cheat.order_id, deadline, deadline):
        cheat.prove_wrong_chunk(buyer)
    data_sales.settle(cheat.order, cheat.listing, {"from": patient})
    with reverts("OrderStateIsNot", cheat.order_id, OrderState.DELIVERED, OrderState.SETTLED):
        cheat.prove_wrong_chunk(buyer)


def test_prove_wrong_chunk_is_refused_when_order_and_listing_do_not_belong_together(buyer, honest, cheat, unchanged):
    """[attack] The order of honest goods, with a listing of spoiled ones."""
    with reverts("OrderNotOfListing", honest.order_id, cheat.listing_id):
        honest.prove_wrong_chunk(buyer, listing=cheat.listing, proof=cheat.goods.proof(0))


def test_prove_wrong_chunk_works_in_the_last_second_of_the_window(buyer, cheat, clock):
    clock.move_to(NOON + cheat.listing.terms.dispute_within - 1)

    cheat.prove_wrong_chunk(buyer)
