"""`examine`, `dispute` and what comes of each way to cheat: who has which money in the end."""

from __future__ import annotations

import secrets

import pytest
from cheats import CHUNKS, CONTENT, Cheat, Sealing, money_of
from hypothesis import given, settings
from hypothesis import strategies as st
from world import DAY, MONEY, PRICE, WatchedStore, World, sold

from medibridge.chain import ListingState, OrderState
from medibridge.chain.deployment import LEAST_REWARD
from medibridge.chain.events import WrongChunkProved, WrongKeyProved
from medibridge.chain.refusals import DeadlinePassed, KeyIsRight, ListingNotLive, NotTheBuyer, OrderStateIsNot
from medibridge.errors import (
    AccessError,
    BlockMissing,
    ChainError,
    MalformedMessage,
    OfferUnsound,
    RecordAltered,
    RecordUnknown,
)
from medibridge.ids import cid_of
from medibridge.roles.disputes import chunk_proof
from medibridge.sealing.chunks import CHUNK_SIZE, chunk_key
from medibridge.sealing.records import WrongChunk, WrongKey

FEE = PRICE * 250 // 10_000
CUSTODIAN = (PRICE - FEE) * 2_000 // 10_000
BOND = 3 * LEAST_REWARD


@pytest.fixture
def cheat(world: World) -> Cheat:
    return Cheat(world)


def paid_back(world: World, purchase) -> None:
    """The buyer has its price and the reward; the seller lost a reward, and nobody else has gained."""
    status = world.system.data_sales.listing_status(purchase.order.listing_id)
    assert world.system.data_sales.order_status(purchase.order_id).state is OrderState.DISPUTED
    assert (status.state, status.open, status.places) == (ListingState.FROZEN, 0, 2)
    assert money_of(world, "buyer", "hospital", "admin") == {
        "buyer": MONEY + LEAST_REWARD, "hospital": MONEY, "admin": 0
    }  # fmt: skip
    assert world.buyer.withdraw().amount_in_units == PRICE + LEAST_REWARD
    world.travel(8 * DAY)
    assert world.patient.release_bond(purchase.listing).amount_in_units == 2 * LEAST_REWARD
    assert money_of(world, "patient") == {"patient": MONEY - LEAST_REWARD}
    token, sales = world.system.token, world.system.data_sales
    assert token.balance_of(sales.address) == sales.credit_of(token.address, world.patient.address)


def seller_is_paid(world: World) -> None:
    world.travel(DAY)
    world.patient.settle()
    world.patient.distribute()
    assert money_of(world, "buyer", "hospital", "admin") == {
        "buyer": MONEY - PRICE, "hospital": MONEY + CUSTODIAN, "admin": FEE
    }  # fmt: skip
    assert money_of(world, "patient") == {"patient": MONEY - BOND + PRICE - FEE - CUSTODIAN}


def test_honest_seller_loses_no_dispute(world: World, cheat: Cheat) -> None:
    sealing, purchase = cheat.sells()
    cheat.delivers(purchase, sealing.key)
    assert world.buyer.examine(purchase) is None
    with pytest.raises(AccessError, match=f"nothing can be proved; .* the custodian {world.hospital.address}"):
        world.buyer.dispute(purchase)
    for index in range(CHUNKS):
        with pytest.raises(KeyIsRight) as caught:
            world.buyer.dispute(purchase, WrongKey(index))
        assert (caught.value.order_id, caught.value.index) == (purchase.order_id, index)
    assert b"".join(world.buyer.content(purchase)) == CONTENT
    seller_is_paid(world)


def test_wrong_key_is_proved(world: World, cheat: Cheat) -> None:
    _, purchase = cheat.sells()
    cheat.delivers(purchase, secrets.token_bytes(32))
    assert world.buyer.examine(purchase) == WrongKey(0)
    with pytest.raises(RecordAltered, match="the delivered key that is wrong: prove it with `buyer dispute`"):
        world.buyer.open(purchase)
    assert "opens nothing of this record" in world.buyer.shown_by(purchase, WrongKey(0))
    assert world.buyer.dispute(purchase) == WrongKeyProved(purchase.order_id, 0, LEAST_REWARD)
    with pytest.raises(AccessError, match="is disputed; only what was delivered"):
        world.buyer.dispute(purchase)
    paid_back(world, purchase)


def test_wrong_key_is_proved_when_rubbish_was_delivered(world: World, cheat: Cheat) -> None:
    _, purchase = cheat.sells()
    cheat.delivers_masked(purchase, bytes(32))
    assert isinstance(world.buyer.dispute(purchase), WrongKeyProved)
    paid_back(world, purchase)


@pytest.mark.parametrize("index", range(CHUNKS))
def test_wrong_key_is_proved_when_a_chunks_key_does_not_derive_from_it(world: World, cheat: Cheat, index: int) -> None:
    def spoil(sealing: Sealing) -> None:
        sealing.keys[index] = secrets.token_bytes(32)
        sealing.encrypt()

    sealing, purchase = cheat.sells(spoil)
    cheat.delivers(purchase, sealing.key)
    fault = world.buyer.examine(purchase)
    assert fault == WrongKey(index)
    assert "can then read the 2 chunks that this key does open" in world.buyer.shown_by(purchase, fault)
    assert world.buyer.dispute(purchase, fault) == WrongKeyProved(purchase.order_id, index, LEAST_REWARD)
    paid_back(world, purchase)


@pytest.mark.parametrize("index", range(CHUNKS))
def test_wrong_chunk_is_proved_when_the_first_a_middle_or_the_short_last_one_is_another(
    world: World, cheat: Cheat, index: int
) -> None:
    def spoil(sealing: Sealing) -> None:
        sealing.plain[index] = secrets.token_bytes(len(sealing.plain[index]))
        sealing.encrypt()

    sealing, purchase = cheat.sells(spoil)
    cheat.delivers(purchase, sealing.key)
    fault = world.buyer.examine(purchase)
    assert fault == WrongChunk(index)
    with pytest.raises(RecordAltered, match=f"It is chunk {index} that is wrong: prove it with `buyer dispute`"):
        world.buyer.open(purchase)
    assert f"chunk {index + 1} of {CHUNKS} and its key become public: " in world.buyer.shown_by(purchase, fault)
    assert world.buyer.dispute(purchase) == WrongChunkProved(purchase.order_id, index, LEAST_REWARD)
    paid_back(world, purchase)


def test_spoiled_tag_alone_keeps_nobody_from_reading_and_is_no_fraud(world: World, cheat: Cheat) -> None:
    def spoil(sealing: Sealing) -> None:
        sealing.chunks = [chunk[:-1] + bytes([chunk[-1] ^ 1]) for chunk in sealing.chunks]

    sealing, purchase = cheat.sells(spoil)
    cheat.delivers(purchase, sealing.key)
    assert world.buyer.examine(purchase) is None
    assert b"".join(world.buyer.content(purchase)) == CONTENT
    with pytest.raises(AccessError, match="nothing can be proved"):
        world.buyer.dispute(purchase)
    seller_is_paid(world)


def test_content_that_is_no_record_is_the_custodians_word_and_nothing_a_contract_sees(world, cheat: Cheat) -> None:
    sealing, purchase = cheat.sells()
    cheat.delivers(purchase, sealing.key)
    with pytest.raises(MalformedMessage, match=f"no contract can see this: .* {world.hospital.address}, who vouched"):
        world.buyer.open(purchase)


def test_padding_that_is_none_is_the_custodians_word_and_nothing_a_contract_sees(world, cheat: Cheat) -> None:
    def spoil(sealing: Sealing) -> None:
        sealing.plain[0] = sealing.promised[0] = bytes(7) + b"\1" + sealing.plain[0][8:]
        sealing.encrypt()

    sealing, purchase = cheat.sells(spoil)
    cheat.delivers(purchase, sealing.key)
    assert world.buyer.examine(purchase) is None
    with pytest.raises(RecordAltered, match=f"is not padded .* no contract can see this: .* {world.hospital.address}"):
        world.buyer.open(purchase)


def test_late_delivery_is_refused_and_the_buyer_refunded(world: World, cheat: Cheat) -> None:
    sealing, purchase = cheat.sells()
    world.travel_to(purchase.deadline)
    with pytest.raises(DeadlinePassed):
        cheat.delivers(purchase, sealing.key)
    assert len(world.buyer.refund()) == 1
    assert world.buyer.credit() == PRICE
    assert money_of(world, "buyer", "hospital", "admin") == {"buyer": MONEY, "hospital": MONEY, "admin": 0}


def test_second_delivery_is_refused_whatever_it_is(world: World, cheat: Cheat) -> None:
    sealing, purchase = cheat.sells()
    cheat.delivers(purchase, secrets.token_bytes(32))
    with pytest.raises(OrderStateIsNot):
        cheat.delivers(purchase, sealing.key)
    world.buyer.dispute(purchase)
    paid_back(world, purchase)


def oversized(sealing: Sealing) -> dict[str, int]:
    sealing.chunks[-1] += bytes(16)
    return {}


def too_short(sealing: Sealing) -> dict[str, int]:
    sealing.chunks[-1] = sealing.chunks[-1][:-1]
    return {}


def more_chunks(sealing: Sealing) -> dict[str, int]:
    return {"n": CHUNKS + 1}


def larger(sealing: Sealing) -> dict[str, int]:
    return {"size": sealing.size + 2048}


def no_padded_size(sealing: Sealing) -> dict[str, int]:
    return {"size": sealing.size - 1}


def enormous(sealing: Sealing) -> dict[str, int]:
    return {"size": 1 << 63, "n": 1 << 49}


@pytest.mark.parametrize("lie", [oversized, too_short, more_chunks, larger, no_padded_size, enormous])
def test_inspect_refuses_and_nobody_pays_when_sizes_are_a_lie(world: World, cheat: Cheat, lie) -> None:
    sealing = Sealing.honest()
    cheat.lists(*sealing.manifest(world, **lie(sealing)))
    (offer,) = world.buyer.offers()
    with pytest.raises(OfferUnsound, match="is not what its seal promises"):
        world.buyer.inspect(offer)
    assert money_of(world, "buyer", "patient") == {"buyer": MONEY, "patient": MONEY - BOND}


def test_dispute_needs_nothing_from_the_seller_when_the_ciphertext_was_inspected(world: World, cheat: Cheat) -> None:
    """[attack] The seller unpins everything once he has delivered a wrong key."""
    own = WatchedStore({})
    own.get = lambda cid: WatchedStore.get(own, cid) if own.has(cid) else world.store.get(cid)  # its network
    buyer = world.as_buyer("buyer", world.with_store(own))
    sealing = Sealing.honest()
    sealing.plain[1] = bytes(CHUNK_SIZE)
    sealing.encrypt()
    cheat.lists(*sealing.manifest(world))
    purchase = buyer.buy(buyer.inspect(buyer.offers()[-1]))
    cheat.seller.bridge.store.put_many(own._blocks.values())  # the secret reaches the seller
    cheat.delivers(purchase, sealing.key)
    world.blocks.clear()
    with pytest.raises(BlockMissing, match=cid_of(purchase.listing.manifest)):
        world.buyer.examine(purchase)
    assert buyer.dispute(purchase) == WrongChunkProved(purchase.order_id, 1, LEAST_REWARD)


def test_dispute_is_too_late_when_the_window_is_over(world: World, cheat: Cheat) -> None:
    _, purchase = cheat.sells()
    with pytest.raises(RecordUnknown, match="has not delivered yet"):
        world.buyer.dispute(purchase)
    delivered = cheat.delivers(purchase, bytes(32))
    world.travel_to(delivered.deadline - 1)
    assert world.buyer.examine(purchase) == WrongKey(0)
    world.travel_to(delivered.deadline)
    with pytest.raises(AccessError, match=r"the time to complain .* is over; the price is the seller's"):
        world.buyer.dispute(purchase)
    world.patient.settle()
    with pytest.raises(AccessError, match="is settled; only what was delivered"):
        world.buyer.dispute(purchase)


def test_dispute_is_the_buyers_own(world: World, cheat: Cheat) -> None:
    _, purchase = cheat.sells(content=b"small")
    cheat.delivers(purchase, bytes(32))
    with pytest.raises(NotTheBuyer) as caught:
        world.second_buyer.dispute(purchase)
    assert (caught.value.account, caught.value.buyer) == (world.second_buyer.address, world.buyer.address)
    assert isinstance(world.buyer.dispute(purchase), WrongKeyProved)


def test_dispute_freezes_the_listing_for_others_and_stops_their_deliveries(world: World, cheat: Cheat) -> None:
    _, purchase = cheat.sells()
    inspected = world.second_buyer.inspect(world.second_buyer.offers()[-1])
    other = world.second_buyer.buy(inspected)
    cheat.delivers(purchase, bytes(32))
    world.buyer.dispute(purchase)
    with pytest.raises(ListingNotLive):
        world.second_buyer.buy(inspected)
    world.system.data_sales.stop(world.accounts["second_buyer"], other.order, other.listing)
    world.travel(1800)
    assert len(world.second_buyer.refund()) == 1
    assert money_of(world, "second_buyer") == {"second_buyer": MONEY}


def test_open_notices_a_node_that_tells_of_another_delivery(world: World) -> None:
    purchase = sold(world)
    world.patient.deliver()
    market = world.system.data_sales
    honest = market.delivered

    class Lying:
        """A market behind a node that changes one event."""

        def __getattr__(self, name: str):
            return getattr(market, name)

        def delivered(self, order_id):
            event = honest(order_id)
            return type(event)(event.order_id, bytes(32), event.deadline)

    world.system.data_sales = Lying()
    try:
        with pytest.raises(ChainError, match="another delivery than the market knows"):
            world.buyer.open(purchase)
    finally:
        world.system.data_sales = market


@settings(max_examples=8, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_anywhere_is_proved(only_world: World, content: bytes, at: int, change: int) -> None:
    world = only_world.fresh()

    def spoil(sealing: Sealing) -> None:
        plain = bytearray(sealing.plain[0])
        plain[at % len(plain)] ^= change
        sealing.plain[0] = bytes(plain)
        sealing.encrypt()

    cheat = Cheat(world)
    sealing, purchase = cheat.sells(spoil, content)
    cheat.delivers(purchase, sealing.key)
    assert world.buyer.dispute(purchase) == WrongChunkProved(purchase.order_id, 0, LEAST_REWARD)


def test_chunk_proof_is_of_the_manifests_hashes_and_path(world: World, cheat: Cheat) -> None:
    sealing, purchase = cheat.sells()
    manifest = world.bridge.sealed(purchase.listing.manifest, purchase.listing.seal_id)
    proof = chunk_proof(manifest, 1)
    assert (proof.chunks, proof.size, proof.index) == (CHUNKS, sealing.size, 1)
    assert proof.hashes == manifest.chunk_hashes(1)
    assert chunk_key(sealing.key, 1) == sealing.keys[1]
