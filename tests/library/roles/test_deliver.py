"""`deliver`: the key goes to orders that deserve it, in time, and to no other."""

from __future__ import annotations

import secrets

import pytest
from cheats import money_of
from world import DAY, HOUR, LABORATORY, MONEY, PRICE, RESEARCH, World, sold, twin_of

from medibridge import Buyer, PurposeOfUse
from medibridge.chain import Order, OrderState, Use
from medibridge.chain.events import Bought, Delivered
from medibridge.errors import RecordAltered, RecordUnknown
from medibridge.ids import Cid, Digest, cid_of, digest_of_cid
from medibridge.roles.deliveries import Why
from medibridge.roles.orders import order_info
from medibridge.sealing.hpke import seal_to
from medibridge.sealing.records import WrongChunk, WrongKey, commitment

HALF_AN_HOUR = 1800


def state_of(world: World, order_id: bytes) -> OrderState:
    return world.system.data_sales.order_status(order_id).state


def bought(world: World, buyer: Buyer, listing, *, committed: bytes, sealed: bytes | None = None) -> Bought:
    """A purchase past the buyer's own client. `sealed` is what is sealed to the seller in place of the secret."""
    nonce = secrets.randbits(64)
    account = buyer._account
    market = world.system.data_sales
    listing_id = listing.listing_id(world.chain.chain_id(), market.address)
    order = Order(listing_id, buyer.address, committed, PRICE, nonce)
    order_id = order.order_id(world.chain.chain_id(), market.address)
    seller = world.bridge.card_of(listing.seller).public_key
    digest = Digest(bytes(32))
    if sealed is not None:
        digest = digest_of_cid(world.store.put(seal_to(seller, order_info(order_id), sealed)))
    world.system.token.approve(account, market.address, PRICE)
    return market.buy(account, listing, committed, digest, nonce, Use())


def listing(world: World):
    world.patient.offer(twin_of(world), PRICE)
    return world.buyer.offers()[-1].listing


def test_deliver_hands_the_key_to_a_sound_order_once(world: World) -> None:
    purchase = sold(world)
    (delivered,) = world.patient.deliver()
    assert isinstance(delivered, Delivered)
    assert delivered.order_id == purchase.order_id
    assert delivered.deadline == world.now() + DAY
    assert world.patient.deliver() == []
    assert [sale.state for sale in world.patient.sales()] == [OrderState.DELIVERED]


def test_deliver_passes_over_an_order_whose_secret_does_not_match_its_commitment(world: World) -> None:
    order = bought(world, world.buyer, listing(world), committed=commitment(b"c" * 32), sealed=b"t" * 32)
    assert world.patient.deliver() == []
    assert state_of(world, order.order_id) is OrderState.PAID


@pytest.mark.parametrize("sealed", [None, b"", b"t" * 31, b"t" * 33])
def test_deliver_passes_over_an_order_whose_secret_cannot_be_opened(world: World, sealed) -> None:
    order = bought(world, world.buyer, listing(world), committed=commitment(b"t" * 32), sealed=sealed)
    assert world.patient.deliver() == []
    assert state_of(world, order.order_id) is OrderState.PAID


def test_deliver_passes_over_an_order_whose_secret_was_sealed_for_another_order(world: World) -> None:
    offered = listing(world)
    first = bought(world, world.buyer, offered, committed=commitment(b"t" * 32), sealed=b"t" * 32)
    nonce = 5
    world.system.token.approve(world.accounts["second_buyer"], world.system.data_sales.address, PRICE)
    copied = world.system.data_sales.buy(
        world.accounts["second_buyer"], offered, first.commitment, Digest(first.sealed_secret), nonce, Use()
    )
    delivered = world.patient.deliver()
    assert [one.order_id for one in delivered] == [first.order_id]
    assert state_of(world, copied.order_id) is OrderState.PAID


def test_deliver_passes_over_a_secret_that_the_buyer_used_before(world: World) -> None:
    offered = listing(world)
    first = bought(world, world.buyer, offered, committed=commitment(b"t" * 32), sealed=b"t" * 32)
    again = bought(world, world.buyer, offered, committed=commitment(b"t" * 32), sealed=b"t" * 32)
    shared = bought(world, world.second_buyer, offered, committed=commitment(b"t" * 32), sealed=b"t" * 32)
    assert [one.order_id for one in world.patient.deliver()] == [first.order_id]
    assert world.patient.deliver() == []
    assert state_of(world, again.order_id) is state_of(world, shared.order_id) is OrderState.PAID


@pytest.mark.parametrize("order", ["before", "after"])
def test_deliver_is_stopped_by_nobody_who_copies_a_commitment(world: World, order: str) -> None:
    """[attack] Commitments are public. Who copies one pays and is refunded; the honest buyer is served."""
    offered = listing(world)
    honest, copy = commitment(b"t" * 32), None
    if order == "before":
        copy = bought(world, world.second_buyer, offered, committed=honest, sealed=b"guessed" * 4 + b"....")
    purchase = bought(world, world.buyer, offered, committed=honest, sealed=b"t" * 32)
    if order == "after":
        copy = bought(world, world.second_buyer, offered, committed=honest)
    assert [one.order_id for one in world.patient.deliver()] == [purchase.order_id]
    assert state_of(world, copy.order_id) is OrderState.PAID


def test_deliver_serves_the_others_when_one_order_is_rubbish(world: World) -> None:
    offered = listing(world)
    bought(world, world.second_buyer, offered, committed=bytes(32))
    purchase = world.buyer.buy(world.buyer.inspect(world.buyer.offers()[-1]))
    bought(world, world.second_buyer, offered, committed=bytes(32), sealed=b"x" * 32)
    assert [one.order_id for one in world.patient.deliver()] == [purchase.order_id]


def test_deliver_serves_the_others_and_then_tells_when_one_order_fails(world: World) -> None:
    offered = listing(world)
    failing = bought(world, world.second_buyer, offered, committed=commitment(b"t" * 32), sealed=b"t" * 32)
    purchase = world.buyer.buy(world.buyer.inspect(world.buyer.offers()[-1]))
    cid = cid_of(Digest(failing.sealed_secret))

    def broken(asked: Cid) -> None:
        if asked == cid:
            raise ZeroDivisionError

    world.store.before_get = broken
    with pytest.raises(ZeroDivisionError):
        world.patient.deliver()
    assert state_of(world, purchase.order_id) is OrderState.DELIVERED
    assert state_of(world, failing.order_id) is OrderState.PAID


def test_deliver_serves_the_others_when_somebody_was_faster(world: World) -> None:
    """As where the same seller also serves: the first order is delivered while its secret is fetched."""
    offered = listing(world)
    first = bought(world, world.second_buyer, offered, committed=commitment(b"t" * 32), sealed=b"t" * 32)
    purchase = world.buyer.buy(world.buyer.inspect(world.buyer.offers()[-1]))
    (sale,) = [each for each in world.patient.sales() if each.order_id == first.order_id]

    def faster(asked: Cid) -> None:
        world.store.before_get = lambda asked: None
        market, account = world.system.data_sales, world.accounts["patient"]
        market.deliver(account, sale.order, sale.listing, bytes(32))

    world.store.before_get = faster
    assert [one.order_id for one in world.patient.deliver()] == [purchase.order_id]
    assert state_of(world, first.order_id) is OrderState.DELIVERED


@pytest.mark.parametrize(("left", "deliveries"), [(HALF_AN_HOUR, 1), (HALF_AN_HOUR - 1, 0), (0, 0)])
def test_deliver_sends_nothing_when_less_than_half_an_hour_is_left(world: World, left: int, deliveries: int) -> None:
    purchase = sold(world)
    world.travel_to(purchase.deadline - left)
    assert len(world.patient.deliver()) == deliveries


def test_deliver_looks_at_the_clock_after_fetching_when_there_are_many(world: World) -> None:
    """Fetching takes time: what was early enough when it began need not be so at its end."""
    offered = listing(world)
    first = world.buyer.buy(world.buyer.inspect(world.buyer.offers()[-1]))
    bought(world, world.second_buyer, offered, committed=commitment(b"t" * 32), sealed=b"t" * 32)
    world.travel_to(first.deadline - HALF_AN_HOUR - 10)
    manifest = offered.manifest

    def dawdle(cid: str) -> None:
        if digest_of_cid(cid) == manifest:
            world.travel(10)

    world.store.before_get = dawdle
    delivered, passed_over = world.patient.answer_orders()
    assert delivered.order_id == first.order_id
    assert passed_over.why is Why.TOO_LATE
    assert world.patient.deliver() == []


def hospital_sells(world: World) -> None:
    world.patient.grant(world.hospital.address, frozenset({LABORATORY}), RESEARCH, until=world.now() + 2 * HOUR)
    twin_of(world)
    (twin,) = [one for one in world.hospital.records(world.patient.address) if one.description.deidentified]
    world.hospital.offer(twin, PRICE)
    world.buyer.buy(world.buyer.inspect(world.buyer.offers()[-1]))


def test_deliver_works_when_a_hospital_sells_with_consent(world: World) -> None:
    hospital_sells(world)
    assert len(world.hospital.deliver()) == 1
    (purchase,) = world.buyer.purchases()
    assert world.buyer.open(purchase).deidentified


def test_deliver_sends_nothing_when_consent_was_withdrawn(world: World) -> None:
    hospital_sells(world)
    world.patient.revoke(world.hospital.address, PurposeOfUse.HRESCH.lane)
    assert world.hospital.deliver() == []


def test_deliver_sends_nothing_when_consent_has_ended(world: World) -> None:
    hospital_sells(world)
    world.travel(2 * HOUR)
    assert world.hospital.deliver() == []


def test_deliver_runs_on_when_the_offer_was_withdrawn(world: World) -> None:
    sold(world)
    world.patient.unlist(world.buyer.offers()[-1].listing)
    assert len(world.patient.deliver()) == 1


@pytest.mark.parametrize(
    ("why", "committed", "sealed"),
    [
        (Why.SECRET_MISSING, b"t" * 32, None),
        (Why.SECRET_UNSOUND, b"t" * 32, b"t" * 31),
        (Why.SECRET_UNSOUND, b"c" * 32, b"t" * 32),
    ],
)
def test_buyer_that_cheats_gets_its_price_back_no_key_and_nothing_else(world: World, why, committed, sealed) -> None:
    offered = listing(world)
    order = bought(world, world.buyer, offered, committed=commitment(committed), sealed=sealed)
    (answer,) = world.patient.answer_orders()
    assert (answer.sale.order_id, answer.why) == (order.order_id, why)
    world.travel_to(order.deadline)
    (purchase,) = world.buyer.purchases()
    for proof in (WrongKey(0), WrongChunk(0)):
        with pytest.raises(RecordUnknown, match="has not delivered yet"):
            world.buyer.dispute(purchase, proof)
    assert len(world.buyer.refund()) == 1
    assert money_of(world, "buyer", "admin") == {"buyer": MONEY, "admin": 0}
    world.patient.unlist(offered)
    world.travel(7 * DAY)
    world.patient.release_bond(offered)
    assert money_of(world, "patient") == {"patient": MONEY}


def test_buyer_that_copies_a_commitment_cannot_read_what_another_was_delivered(world: World) -> None:
    honest = sold(world)
    copied = bought(world, world.second_buyer, honest.listing, committed=honest.order.commitment)
    assert [one.order_id for one in world.patient.deliver()] == [honest.order_id]
    world.travel_to(copied.deadline)
    assert len(world.second_buyer.refund()) == 1
    with pytest.raises(RecordAltered):
        world.second_buyer.open(honest)
