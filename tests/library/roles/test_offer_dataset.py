"""`seal`, `deposit`, `offer_dataset`: a custodian sells what many patients let it sell, and delivers as ever."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from crowd import Crowd, archive_of, sealed_by
from world import DAY, LABORATORY, PRICE, World

from medibridge.chain import Conditions, DuoTerm, Kind, ListingState, OrderState, Use
from medibridge.chain.events import Delivered, Listed
from medibridge.chain.refusals import NotTheCustodian, SecurityTooLow
from medibridge.errors import AccessError, BlockAltered, SealingError, UsageError
from medibridge.roles.datasets import DatasetCustodian
from medibridge.sealing.records import Manifest, Seal, unwrap_key, wrap_key


def test_offer_dataset_lists_with_the_price_as_security_and_deposits_once(world: World) -> None:
    crowd = Crowd(world, 3)
    custodian, dataset = crowd.custodian(), sealed_by(crowd)
    listed = custodian.offer_dataset(dataset.description, PRICE)

    assert isinstance(listed, Listed)
    (offer,) = world.buyer.offers()
    assert (offer.listing.subject, offer.listing.patient) == (dataset.shares.subject, None)
    assert (offer.listing.terms.security, offer.listing.terms.places) == (PRICE, 3)
    root, event = custodian.deposit(dataset.description)
    assert event is None
    assert world.system.records.count_of(world.hospital.address, root) == 1
    again = custodian.offer_dataset(dataset.description, PRICE)
    assert again.listing_id != listed.listing_id


def test_deliver_hands_over_a_datasets_key_as_that_of_any_record(world: World) -> None:
    """The key is wrapped to the custodian's registered key, so nothing of a dataset is special to who delivers."""
    crowd = Crowd(world, 3)
    archive = archive_of()
    dataset = sealed_by(crowd)
    crowd.custodian().offer_dataset(dataset.description, PRICE)
    purchase = world.buyer.buy(world.buyer.inspect(world.buyer.offers()[0]))

    (delivered,) = crowd.custodian().deliver()

    assert isinstance(delivered, Delivered)
    assert b"".join(world.buyer.content(purchase)) == archive.getvalue()
    world.travel(DAY + 1)
    crowd.custodian().settle()
    assert world.buyer.purchases()[0].state is OrderState.SETTLED


def test_offer_dataset_is_kept_for_one_buyer_and_for_one_use_where_it_says_so(world: World) -> None:
    crowd = Crowd(world, 2)
    dataset = sealed_by(crowd)
    conditions = Conditions(terms=frozenset({DuoTerm.GRU, DuoTerm.IRB}), kinds_allowed=frozenset({Kind.BUYER}))
    crowd.custodian().offer_dataset(
        dataset.description, PRICE, conditions=conditions, reserved_for=world.buyer.address, security=2 * PRICE
    )
    (offer,) = world.buyer.offers()
    approved = Use(accepted=frozenset({DuoTerm.IRB}))
    with pytest.raises(AccessError, match=f"reserved: for {world.buyer.address}"):
        world.second_buyer.buy(world.second_buyer.inspect(offer, approved))
    with pytest.raises(AccessError, match="use: it has terms"):
        world.buyer.buy(world.buyer.inspect(offer))
    assert world.buyer.buy(world.buyer.inspect(offer, approved)).state is OrderState.PAID


def test_offer_dataset_refuses_when_the_security_is_below_the_price(world: World) -> None:
    dataset = sealed_by(Crowd(world, 2))
    with pytest.raises(SecurityTooLow) as caught:
        Crowd(world, 0).custodian().offer_dataset(dataset.description, PRICE, security=PRICE - 1)
    assert (caught.value.security_in_units, caught.value.least_in_units) == (PRICE - 1, PRICE)
    assert world.buyer.offers() == []


def test_offer_dataset_refuses_when_its_custodian_is_another(world: World) -> None:
    """A dataset is sold by its custodian only; and who cannot open it does not get so far."""
    dataset = sealed_by(Crowd(world, 2))
    other = DatasetCustodian(world.bridge, world.accounts["second_hospital"], world.identity("second_hospital"))
    with pytest.raises(SealingError):
        other.offer_dataset(dataset.description, PRICE)
    batch = other._batch(dataset.description)
    Crowd(world, 0).custodian().offer_dataset(dataset.description, PRICE)
    terms = world.buyer.offers()[0].listing.terms
    root, _ = Crowd(world, 0).custodian().deposit(dataset.description)
    assert batch.root == root
    with pytest.raises(NotTheCustodian) as caught:
        other._list(terms, dataset.description, root, 0, ())
    assert (caught.value.account, caught.value.custodian) == (other.address, world.hospital.address)


def test_offer_dataset_refuses_when_a_block_is_not_what_was_sealed(world: World) -> None:
    dataset = sealed_by(Crowd(world, 2))
    manifest = world.bridge.manifest(dataset.description)
    cid = next(cid for cid, block in world.blocks.items() if len(block) > 60_000)
    world.blocks[cid] = bytes(len(world.blocks[cid]))
    with pytest.raises(BlockAltered):
        Crowd(world, 0).custodian().offer_dataset(dataset.description, PRICE)
    assert world.system.data_sales.listed() == []
    assert manifest.seal.chunks == 4


def test_offer_dataset_refuses_what_does_not_open_with_its_key(world: World) -> None:
    """A fraud that a buyer would prove is not listed, whoever sealed it so."""
    dataset = sealed_by(Crowd(world, 2))
    manifest, card = world.bridge.manifest(dataset.description), world.bridge.card_of(world.hospital.address)
    key = unwrap_key(manifest, [world.hospital._identity.registered])
    hashes = manifest.hashes[:-32] + bytes(32)  # the seal promises another last chunk than there is
    seal_id = Seal.over(hashes, manifest.size).seal_id
    wrong = Manifest(manifest.size, hashes, manifest.blocks, (wrap_key(key, seal_id, card.public_key),))
    record = replace(dataset.description, seal_id=seal_id, manifest=world.bridge.publish(wrong.encode()))
    with pytest.raises(SealingError, match="does not open; nothing is offered"):
        Crowd(world, 0).custodian().offer_dataset(record, PRICE)
    assert world.system.data_sales.listed() == []


def test_seal_refuses_a_dataset_of_nobody(world: World) -> None:
    with pytest.raises(UsageError, match="at least one contributor"):
        Crowd(world, 0).custodian().seal(io.BytesIO(b"x"), 1, {}, LABORATORY)


def test_unlist_and_release_bond_give_the_security_back(world: World) -> None:
    crowd = Crowd(world, 2)
    custodian, dataset = crowd.custodian(), sealed_by(crowd)
    custodian.offer_dataset(dataset.description, PRICE)
    (offer,) = world.buyer.offers()
    custodian.unlist(offer.listing)
    released = custodian.release_bond(offer.listing)
    assert released.amount_in_units == offer.listing.terms.bond == PRICE + 3 * offer.listing.terms.reward
    assert world.system.data_sales.listing_status(offer.listing_id).state is ListingState.RELEASED
