"""One bit changed in any block: who reads it says so, names it, and hands out nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import DAY, LABORATORY, PRICE, TREAT, WatchedStore, World, laboratory_message

from medibridge import Patient
from medibridge.errors import AccessError, BlockAltered, MediBridgeError, RecordAltered
from medibridge.ids import Cid
from medibridge.storage import MemoryStore


class LyingStore(MemoryStore):
    """A store that does not hash what it returns."""

    def __init__(self, blocks: dict[Cid, bytes]) -> None:
        super().__init__(blocks)
        self.contents = blocks

    def get(self, cid: Cid) -> bytes:
        return self.contents[cid] if cid in self.contents else super().get(cid)


@dataclass(frozen=True)
class Reading:
    """Somebody who reads all there is for him, and the blocks that he needs for it."""

    name: str
    read: Callable[[World], object]
    needs: tuple[Cid, ...]


def patient_reads(world: World) -> object:
    return [world.patient.read(record).to_bytes() for record in world.patient.records()]


def custodian_reads(world: World) -> object:
    hospital, patient = world.hospital, world.patient.address
    return [hospital.read(patient, record).to_bytes() for record in hospital.records(patient)]


def grantee_reads(world: World) -> object:
    hospital, patient = world.second_hospital, world.patient.address
    return [hospital.read(patient, record, audit=False).to_bytes() for record in hospital.records(patient)]


def buyer_reads(world: World) -> object:
    (offer,) = world.buyer.offers()
    (purchase,) = world.buyer.purchases()
    inspected = world.buyer.inspect(offer)
    if inspected.refused:  # such as for the seller's key card, which is no part of the record
        raise AccessError("; ".join(finding.seen for finding in inspected.refused))
    return inspected.size, world.buyer.open(purchase).to_bytes()


def patient_seals(world: World) -> object:
    return world.bridge.card_of(world.patient.address), world.bridge.card_of(world.second_hospital.address)


READERS = (patient_reads, custodian_reads, grantee_reads, buyer_reads, patient_seals)


def plugged_into(world: World, store: MemoryStore) -> World:
    """The same people and the same chain, behind another store."""
    world.store = store
    world.bridge = world.with_store(store)
    world.hospital, world.second_hospital = world.as_hospital("hospital"), world.as_hospital("second_hospital")
    world.patient, world.buyer = world.as_patient("patient"), world.as_buyer("buyer")
    return world


@pytest.fixture
def readings(world: World) -> list[Reading]:
    """A record that was deposited, granted, sold and delivered."""
    world.patient.grant(world.second_hospital.address, frozenset({LABORATORY}), TREAT, until=world.now() + DAY)
    world.hospital.deposit(world.patient.address, laboratory_message())
    (twin,) = [record for record in world.patient.records() if record.description.deidentified]
    world.patient.offer(twin, PRICE)
    world.buyer.buy(world.buyer.inspect(world.buyer.offers()[0]))
    assert len(world.patient.deliver()) == 1
    found = []
    for read in READERS:
        store = WatchedStore(world.blocks)
        plugged_into(world, store)
        assert read(world)
        found.append(Reading(read.__name__, read, tuple(dict.fromkeys(store.asked))))
    return found


def altered(block: bytes, bit: int) -> bytes:
    at = bit % (8 * len(block))
    changed = bytearray(block)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@pytest.mark.parametrize(("kind", "error"), [(WatchedStore, BlockAltered), (LyingStore, RecordAltered)])
def test_every_reader_names_the_block_when_one_bit_of_it_is_changed(
    world: World, readings: list[Reading], kind: type[MemoryStore], error: type[MediBridgeError]
) -> None:
    sound = dict(world.blocks)
    assert [len(reading.needs) > 1 for reading in readings] == [True] * len(READERS)

    @settings(max_examples=8)
    @given(number=st.integers(0, 10**6), bit=st.integers(0, 10**9))
    def check(number: int, bit: int) -> None:
        for reading in readings:
            cid = reading.needs[number % len(reading.needs)]
            plugged_into(world, kind(sound | {cid: altered(sound[cid], bit)}))
            with pytest.raises(MediBridgeError, match=cid) as caught:
                reading.read(world)
            if reading.read is not buyer_reads:
                assert type(caught.value) is error, reading.name

    check()


def test_every_block_of_a_record_is_read_by_somebody(world: World, readings: list[Reading]) -> None:
    """So the test above reaches cards, keyring, list, manifests and ciphertext alike."""
    needed = {cid for reading in readings for cid in reading.needs}
    written_since = set(world.blocks) - set(world._blocks)
    sealed_secret = 1  # of the buyer, for the seller alone
    assert len(written_since - needed) == sealed_secret


def test_reader_meets_no_error_when_the_altered_block_is_none_of_its_own(world: World, readings: list[Reading]) -> None:
    sound = dict(world.blocks)
    for reading in readings:
        (other, *_) = [cid for cid in sound if cid not in reading.needs]
        plugged_into(world, WatchedStore(sound | {other: altered(sound[other], 77)}))
        assert reading.read(world)
    assert isinstance(world.patient, Patient)
