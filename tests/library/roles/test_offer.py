"""`offer`, `unlist`, `Buyer.offers` and `inspect`: what is listed is what the seal promises, or it is not bought."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import pytest
from world import DAY, LABORATORY, MONEY, PRICE, RESEARCH, World, laboratory_message, twin_of

from medibridge import PurposeOfUse
from medibridge.chain import Conditions, DuoTerm, Kind, ListingState, Terms
from medibridge.chain.deployment import LEAST_REWARD
from medibridge.chain.events import Listed, Unlisted
from medibridge.chain.refusals import (
    CustodianShareTooHigh,
    InvalidDataUse,
    ListingNotLive,
    NoPlaces,
    NotDeidentified,
    NotTheSeller,
    PurposeNotForSale,
    RewardTooLow,
    SaleNotPermitted,
    WindowOutOfRange,
    ZeroPrice,
)
from medibridge.chain.sales import ANYBODY
from medibridge.errors import (
    BlockAltered,
    BlockMissing,
    NoKeyForRecord,
    NotEnoughFunds,
    OfferUnsound,
    RecordUnknown,
    UsageError,
)
from medibridge.ids import Digest, RecordDescription, cid_of, subject_of
from medibridge.sealing import documents, merkle
from medibridge.sealing.batches import make_batch
from medibridge.sealing.records import Manifest, seal


def test_offer_lists_a_twin_when_the_patient_sells(world: World) -> None:
    twin = twin_of(world)
    listed = world.patient.offer(twin, PRICE)

    assert isinstance(listed, Listed)
    assert listed.seller == world.patient.address
    (offer,) = world.buyer.offers()
    assert (offer.listing.seller, offer.listing.subject) == (listed.seller, subject_of(world.patient.address))
    assert (offer.listing_id, offer.name, offer.data_class) == (listed.listing_id, listed.listing_id.hex(), LABORATORY)
    terms = offer.listing.terms
    assert (terms.price, terms.conditions, terms.token) == (PRICE, Conditions(), world.system.token.address)
    assert (terms.places, terms.reward, terms.security, terms.bond) == (3, LEAST_REWARD, 0, 3 * LEAST_REWARD)
    assert world.system.token.balance_of(world.patient.address) == MONEY - terms.bond
    market = world.system.data_sales.address
    assert offer.listing.listing_id(world.chain.chain_id(), market) == listed.listing_id
    assert world.buyer.offer(offer.name[:10]) == offer


def test_offer_lists_one_record_twice_when_told_so(world: World) -> None:
    twin = twin_of(world)
    assert world.patient.offer(twin, PRICE).listing_id != world.patient.offer(twin, PRICE).listing_id
    assert len(world.buyer.offers()) == 2


def test_offer_refuses_when_the_record_names_the_patient(world: World) -> None:
    world.hospital.deposit(world.patient.address, laboratory_message(), twins=False)
    (record,) = world.patient.records()
    with pytest.raises(NotDeidentified) as caught:
        world.patient.offer(record, PRICE)
    assert caught.value.record_id == record.description.record_id


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"price": 0}, ZeroPrice),
        ({"deliver_within": 60}, WindowOutOfRange),
        ({"dispute_within": DAY - 1}, WindowOutOfRange),
        ({"conditions": Conditions(PurposeOfUse.TREAT)}, PurposeNotForSale),
        ({"conditions": Conditions(terms=frozenset({DuoTerm.GRU, DuoTerm.HMB}))}, InvalidDataUse),
        ({"conditions": Conditions(disease=5148)}, InvalidDataUse),
        ({"custodian_share": 5_001}, CustodianShareTooHigh),
        ({"places": 0}, NoPlaces),
        ({"reward": LEAST_REWARD - 1}, RewardTooLow),
        ({"price": -1}, UsageError),
        ({"price": 2**128}, UsageError),
    ],
)
def test_offer_refuses_when_the_terms_are_unsound(world: World, terms, error) -> None:
    with pytest.raises(error):
        world.patient.offer(twin_of(world), **({"price": PRICE} | terms))
    assert world.buyer.offers() == []
    assert world.system.token.balance_of(world.patient.address) == MONEY, "no money moves for terms that are refused"


def test_offer_by_the_hospital_needs_the_patients_consent_for_that_purpose(world: World) -> None:
    twin_of(world)
    (twin,) = [one for one in world.hospital.records(world.patient.address) if one.description.deidentified]
    with pytest.raises(SaleNotPermitted) as caught:
        world.hospital.offer(twin, PRICE)
    assert caught.value.seller == world.hospital.address

    world.patient.grant(world.hospital.address, frozenset({LABORATORY}), RESEARCH, until=world.now() + DAY)
    assert world.hospital.offer(twin, PRICE).seller == world.hospital.address
    with pytest.raises(SaleNotPermitted):
        world.hospital.offer(twin, PRICE, conditions=Conditions(PurposeOfUse.HMARKT))


def test_offer_refuses_when_the_seller_could_not_deliver(world: World) -> None:
    twin = twin_of(world)
    with pytest.raises(NoKeyForRecord):
        world.second_patient.offer(twin, PRICE)
    manifest = world.bridge.manifest(twin.description)
    world.forget(manifest.blocks)
    with pytest.raises(BlockMissing, match=cid_of(manifest.blocks[0])):
        world.patient.offer(twin, PRICE)
    assert world.buyer.offers() == []


def test_unlist_ends_the_offer(world: World) -> None:
    listed = world.patient.offer(twin_of(world), PRICE)
    (offer,) = world.buyer.offers()
    with pytest.raises(NotTheSeller) as caught:
        world.second_patient.unlist(offer.listing)
    assert (caught.value.account, caught.value.seller) == (world.second_patient.address, world.patient.address)
    assert world.patient.unlist(offer.listing) == Unlisted(listed.listing_id)
    assert world.system.data_sales.listing_status(offer.listing_id).state is ListingState.WITHDRAWN
    assert world.buyer.offers() == []


def test_offer_puts_in_only_what_the_bond_lacks(world: World) -> None:
    twin, token, sales = twin_of(world), world.system.token, world.system.data_sales
    world.patient.offer(twin, PRICE)
    (offer,) = world.buyer.offers()
    world.patient.unlist(offer.listing)
    world.patient.release_bond(offer.listing)
    assert sales.credit_of(token.address, world.patient.address) == 3 * LEAST_REWARD

    world.patient.offer(twin, PRICE, places=4)
    assert sales.credit_of(token.address, world.patient.address) == 0
    assert token.balance_of(world.patient.address) == MONEY - 4 * LEAST_REWARD


def test_offer_says_how_much_is_missing_when_the_bond_cannot_be_paid(world: World) -> None:
    twin, token = twin_of(world), world.system.token
    places = MONEY // LEAST_REWARD + 1
    with pytest.raises(
        NotEnoughFunds,
        match=f"the bond is {MONEY + LEAST_REWARD} units; 0 are credited in the market and the account holds {MONEY}; "
        f"get {LEAST_REWARD} units more",
    ):
        world.patient.offer(twin, PRICE, places=places)
    assert token.balance_of(world.patient.address) == MONEY
    assert world.buyer.offers() == []


def test_offer_keeps_its_conditions_and_whom_it_is_reserved_for(world: World) -> None:
    kinds = {"kinds_allowed": frozenset({Kind.BUYER}), "kinds_denied": frozenset({Kind.INSURER})}
    conditions = Conditions(PurposeOfUse.DSRCH, frozenset({DuoTerm.DS, DuoTerm.IRB}), 5148, **kinds)
    world.patient.offer(twin_of(world), PRICE, conditions=conditions, reserved_for=world.buyer.address)
    (offer,) = world.buyer.offers()
    assert (offer.listing.terms.conditions, offer.listing.terms.reserved_for) == (conditions, world.buyer.address)


def test_change_offers_the_same_record_under_other_terms(world: World) -> None:
    world.patient.offer(twin_of(world), PRICE)
    (first,) = world.buyer.offers()
    changed = world.patient.change(first.listing, replace(first.listing.terms, price=2 * PRICE, places=5))
    (second,) = world.buyer.offers()
    assert second.listing_id == changed.listing_id != first.listing_id
    assert (second.listing.terms.price, second.listing.seal_id) == (2 * PRICE, first.listing.seal_id)
    assert world.system.token.balance_of(world.patient.address) == MONEY - 5 * LEAST_REWARD
    with pytest.raises(ListingNotLive):
        world.patient.change(first.listing, first.listing.terms)
    world.patient.change(second.listing, first.listing.terms)
    (back,) = world.buyer.offers()
    assert back.listing.terms.price == PRICE
    states = [offered.status.state for offered in world.patient.listings()]
    assert states == [ListingState.RELEASED, ListingState.RELEASED, ListingState.LIVE]


@pytest.mark.parametrize("name", ["", "0x", "zz"])
def test_offer_is_unknown_when_the_name_is_nobodys_or_anybodys(world: World, name: str) -> None:
    world.patient.offer(twin_of(world), PRICE)
    with pytest.raises(RecordUnknown, match="0 offers have a name"):
        world.buyer.offer(name)


@pytest.mark.parametrize("field", ["purpose", "dataClass"])
def test_offers_stops_for_nobody_when_a_listing_has_a_number_without_a_name(world: World, field: str) -> None:
    """[attack] Purposes 25 to 31 and classes above 20 have no name; the contract takes a listing with them."""
    twin = twin_of(world)
    world.patient.offer(twin, PRICE)
    purpose = 31 if field == "purpose" else int(PurposeOfUse.HRESCH)
    record, root, index, path = twin.description, twin.root, twin.index, twin.path
    if field == "dataClass":
        record, root, index, path = deposited_in_class_200(world, twin.description)
    raw_record = tuple(vars(record).values())
    market = world.system.data_sales
    terms = Terms(world.system.token.address, PRICE, Conditions(), ANYBODY, DAY, DAY, 0, 3, LEAST_REWARD, 0, 7).as_abi()
    terms = (*terms[:2], (purpose, *terms[2][1:]), *terms[3:])
    world.system.token.approve(world.accounts["patient"], market.address, 3 * LEAST_REWARD)
    market.fund(world.accounts["patient"], world.system.token.address, 3 * LEAST_REWARD)
    call = world.system.data_sales._contract.functions.list(terms, raw_record, (root, index, list(path)))
    world.chain.send(world.accounts["patient"], call)

    assert len(world.system.data_sales.listed()) == 2
    (offer,) = world.buyer.offers()
    purchase = world.buyer.buy(world.buyer.inspect(offer))
    assert world.buyer.purchases() == [purchase]
    assert len(world.patient.sales()) == 1
    assert len(world.patient.deliver()) == 1


def deposited_in_class_200(world: World, like: RecordDescription):
    record = RecordDescription(**(vars(like) | {"data_class": 200}))
    leaf = merkle.leaf(record.record_id)
    world.system.records.deposit(world.accounts["hospital"], merkle.root([leaf]), 1, Digest(bytes(32)))
    return record, merkle.root([leaf]), 0, ()


def test_inspect_fetches_and_keeps_every_block(world: World) -> None:
    twin = twin_of(world)
    world.patient.offer(twin, PRICE)
    (offer,) = world.buyer.offers()
    world.store.kept.clear()
    inspected = world.buyer.inspect(offer)
    manifest = world.bridge.manifest(twin.description)
    assert inspected.offer == offer
    assert inspected.size == manifest.size
    assert set(map(cid_of, manifest.blocks)) <= set(world.store.kept)


def test_inspect_says_missing_when_a_block_cannot_be_fetched(world: World) -> None:
    twin = twin_of(world)
    world.patient.offer(twin, PRICE)
    (offer,) = world.buyer.offers()
    (block,) = world.bridge.manifest(twin.description).blocks
    world.forget([block])
    with pytest.raises(BlockMissing, match=cid_of(block)):
        world.buyer.inspect(offer)
    world.forget([twin.description.manifest])
    with pytest.raises(BlockMissing, match=cid_of(twin.description.manifest)):
        world.buyer.inspect(offer)


def test_inspect_names_the_block_when_the_store_returns_others(world: World) -> None:
    twin = twin_of(world)
    world.patient.offer(twin, PRICE)
    (block,) = world.bridge.manifest(twin.description).blocks
    world.blocks[cid_of(block)] = bytes(100)
    with pytest.raises(BlockAltered, match=cid_of(block)):
        world.buyer.inspect(world.buyer.offers()[0])


def vouched_for(world: World, manifest: bytes, seal_id: bytes) -> None:
    """A custodian deposits, and a seller lists, whatever they please, past their own clients' checks."""
    digest = world.bridge.publish(manifest)
    record = RecordDescription(
        custodian=world.hospital.address,
        subject=subject_of(world.patient.address),
        data_class=LABORATORY,
        epoch=1,
        deidentified=True,
        seal_id=seal_id,
        manifest=digest,
        salt=hashlib.sha256(manifest).digest(),
    )
    batch = make_batch([(record, world.hospital._identity.feed_key(world.patient.address))])
    system = world.system
    system.records.deposit(world.accounts["hospital"], batch.root, 1, world.bridge.publish(batch.document))
    terms = Terms(system.token.address, PRICE, Conditions(), ANYBODY, DAY, DAY, 0, 3, LEAST_REWARD, 0, 1)
    world.patient._list(terms, record, batch.root, 0, [])


def sealed(world: World) -> Manifest:
    content = b"x" * 20_000
    return seal(io.BytesIO(content), len(content), world.store.put).manifest([])


def other_ciphertext(world: World, manifest: Manifest) -> tuple[bytes, bytes]:
    (block,) = manifest.blocks
    original = world.blocks[cid_of(block)]
    other = Digest(hashlib.sha256(original[:-1] + b"?").digest())
    world.store.put(original[:-1] + b"?")
    return Manifest(manifest.size, manifest.hashes, (other,), ()).encode(), manifest.seal.seal_id


def shorter_ciphertext(world: World, manifest: Manifest) -> tuple[bytes, bytes]:
    (block,) = manifest.blocks
    other = Digest(hashlib.sha256(world.blocks[cid_of(block)][:-1]).digest())
    world.store.put(world.blocks[cid_of(block)][:-1])
    return Manifest(manifest.size, manifest.hashes, (other,), ()).encode(), manifest.seal.seal_id


def other_seal(world: World, manifest: Manifest) -> tuple[bytes, bytes]:
    return manifest.encode(), bytes(32)


def no_manifest(world: World, manifest: Manifest) -> tuple[bytes, bytes]:
    return documents.encode({"not": "a manifest"}), manifest.seal.seal_id


@pytest.mark.parametrize("unsound", [other_ciphertext, shorter_ciphertext, other_seal, no_manifest])
def test_inspect_says_unsound_when_the_seller_offers(world: World, unsound) -> None:
    vouched_for(world, *unsound(world, sealed(world)))
    (offer,) = world.buyer.offers()
    with pytest.raises(OfferUnsound, match=f"offer {offer.name[:16]} is not what its seal promises .*; do not buy it"):
        world.buyer.inspect(offer)


def test_inspect_takes_it_when_the_seal_is_kept(world: World) -> None:
    manifest = sealed(world)
    vouched_for(world, manifest.encode(), manifest.seal.seal_id)
    assert world.buyer.inspect(world.buyer.offers()[0]).size == manifest.size
