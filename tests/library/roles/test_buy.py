"""`Buyer.buy`, `purchases` and `open`: paid once, opened from the seed alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world import DAY, LABORATORY, MONEY, PRICE, RESEARCH, WatchedStore, World, sold, twin_of

from medibridge import address
from medibridge.chain import OrderState
from medibridge.chain.refusals import BuyerNotInGoodStanding, ListingNotLive, SaleNotPermitted
from medibridge.errors import (
    AccessError,
    BlockMissing,
    InvalidCard,
    NotEnoughFunds,
    RecordAltered,
    RecordUnknown,
    UsageError,
)
from medibridge.ids import cid_of
from medibridge.roles.buyer import Inspected
from medibridge.sealing.records import commitment, mask


def inspected(world: World, **terms) -> Inspected:
    world.patient.offer(twin_of(world), **({"price": PRICE} | terms))
    return world.buyer.inspect(world.buyer.offers()[-1])


def test_buy_pays_the_price_into_escrow(world: World) -> None:
    what = inspected(world)
    purchase = world.buyer.buy(what)

    token, market = world.system.token, world.system.data_sales.address
    assert token.balance_of(world.buyer.address) == MONEY - PRICE
    assert token.balance_of(market) == PRICE + what.offer.listing.terms.bond
    assert purchase.state is OrderState.PAID
    assert purchase.deadline == world.now() + DAY
    assert (purchase.listing, purchase.order.buyer) == (what.offer.listing, world.buyer.address)
    assert purchase.order.order_id(world.chain.chain_id(), market) == purchase.order_id
    assert world.buyer.purchases() == [purchase]
    assert world.buyer.purchase(purchase.name[:12]) == purchase
    assert world.patient.earnings().in_escrow == PRICE


def test_buy_makes_a_new_order_each_time(world: World) -> None:
    what = inspected(world)
    one, other = world.buyer.buy(what), world.buyer.buy(what)
    assert one.order_id != other.order_id
    assert one.order.commitment != other.order.commitment


def test_buy_refuses_when_the_buyer_has_too_little(world: World) -> None:
    what = inspected(world, price=MONEY + 1)
    with pytest.raises(NotEnoughFunds, match=f"the price is {MONEY + 1} units and the account holds {MONEY}"):
        world.buyer.buy(what)
    assert world.buyer.purchases() == []


def test_buy_refuses_when_the_offer_was_withdrawn(world: World) -> None:
    what = inspected(world)
    world.patient.unlist(what.offer.listing)
    with pytest.raises(ListingNotLive) as caught:
        world.buyer.buy(what)
    assert caught.value.listing_id == what.offer.listing_id
    assert world.system.token.balance_of(world.buyer.address) == MONEY


def test_buy_refuses_when_the_buyer_is_suspended(world: World) -> None:
    what = inspected(world)
    world.system.institutions.suspend(world.accounts["admin"], world.buyer.address)
    with pytest.raises(BuyerNotInGoodStanding) as caught:
        world.buyer.buy(what)
    assert caught.value.buyer == world.buyer.address


def test_buy_refuses_when_consent_was_withdrawn_from_the_seller(world: World) -> None:
    world.patient.grant(world.hospital.address, frozenset({LABORATORY}), RESEARCH, until=world.now() + DAY)
    twin_of(world)
    (twin,) = [one for one in world.hospital.records(world.patient.address) if one.description.deidentified]
    world.hospital.offer(twin, PRICE)
    what = world.buyer.inspect(world.buyer.offers()[0])
    world.patient.revoke(world.hospital.address, next(iter(RESEARCH)).lane)
    with pytest.raises(SaleNotPermitted) as caught:
        world.buyer.buy(what)
    assert caught.value.seller == world.hospital.address


def test_buy_refuses_when_the_price_is_in_another_token(world: World) -> None:
    what = inspected(world)
    other = replace(what.offer.listing.terms, token=address("0x" + "11" * 20))
    listing = replace(what.offer.listing, terms=other)
    with pytest.raises(UsageError, match="priced in token 0x1111"):
        world.buyer.buy(replace(what, offer=replace(what.offer, listing=listing)))


@pytest.mark.parametrize("card", ["copied", "lost"])
def test_buy_pays_nothing_when_the_sellers_card_is(world: World, card: str) -> None:
    what = inspected(world)
    cards = world.system.key_cards
    if card == "copied":
        cards.register(world.accounts["patient"], cards.card_of(world.hospital.address))
    else:
        world.forget([cards.card_of(world.patient.address)])
    with pytest.raises((InvalidCard, AccessError, BlockMissing)):
        world.buyer.buy(what)
    assert world.system.token.balance_of(world.buyer.address) == MONEY


def test_open_gives_what_was_sold_when_it_is_delivered(world: World) -> None:
    purchase = sold(world)
    with pytest.raises(RecordUnknown, match="the seller has not delivered yet; wait, or ask for a refund"):
        world.buyer.open(purchase)
    world.patient.deliver()
    (twin,) = [one for one in world.patient.records() if one.description.deidentified]
    assert world.buyer.open(purchase) == world.patient.read(twin)
    assert world.buyer.purchase(purchase.name).state is OrderState.DELIVERED


def test_open_works_when_the_buyer_has_nothing_left_but_its_seed(world: World) -> None:
    sold(world)
    world.patient.deliver()
    restored = world.as_buyer("buyer", world.with_store(WatchedStore(world.blocks)))
    (purchase,) = restored.purchases()
    assert restored.open(purchase).deidentified


def test_open_gives_nobody_else_anything(world: World) -> None:
    purchase = sold(world)
    world.patient.deliver()
    with pytest.raises(RecordAltered):
        world.second_buyer.open(purchase)


def test_open_says_so_when_the_delivered_key_is_wrong(world: World) -> None:
    purchase = sold(world)
    wrong = bytes(range(32))
    world.system.data_sales.deliver(world.accounts["patient"], purchase.order, purchase.listing, wrong)
    (block,) = world.bridge.sealed(purchase.listing.manifest, purchase.listing.seal_id).blocks
    with pytest.raises(RecordAltered, match=f"chunk 0 in block 0 .*{cid_of(block)}"):
        world.buyer.open(purchase)


def test_masks_differ_when_one_key_is_sold_twice(world: World) -> None:
    first = sold(world)
    second = world.second_buyer.buy(world.second_buyer.inspect(world.second_buyer.offers()[-1]))
    one, other = world.patient.deliver()
    assert one.masked_key != other.masked_key
    assert world.buyer.open(first) == world.second_buyer.open(second)
    secret = world.buyer._secret(first.order.listing_id, first.order.nonce)
    assert commitment(secret) == first.order.commitment
    (record,) = [one for one in world.patient.records() if one.description.deidentified]
    from medibridge.sealing.records import unwrap_key

    key = unwrap_key(world.bridge.manifest(record.description), [world.patient._identity.registered])
    assert mask(key, secret, first.order_id) == one.masked_key


@pytest.mark.parametrize("name", ["", "0x", "zz"])
def test_purchase_is_unknown_when_the_name_is_nobodys_or_anybodys(world: World, name: str) -> None:
    sold(world)
    with pytest.raises(RecordUnknown, match="0 purchases have a name"):
        world.buyer.purchase(name)


def test_refund_goes_on_when_somebody_was_faster(world: World, monkeypatch) -> None:
    what = inspected(world)
    one, other = world.buyer.buy(what), world.buyer.buy(what)
    world.travel_to(other.deadline)
    purchases = world.buyer.purchases()
    world.system.data_sales.refund(world.accounts["stranger"], one.order, one.listing)
    monkeypatch.setattr(world.buyer, "purchases", lambda: purchases)
    assert [each.order_id for each in world.buyer.refund()] == [other.order_id]
