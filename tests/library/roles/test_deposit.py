"""`Hospital.deposit`: once, whole, to keys that are still good; or not at all."""

from __future__ import annotations

import pytest
from world import DAY, HOUR, LABORATORY, TREAT, BrokenStore, World, laboratory_message, mixed_message

from medibridge import Identity, MemoryJournal, Patient, samples
from medibridge.chain import Revocation
from medibridge.chain.events import BatchDeposited
from medibridge.chain.refusals import NotInGoodStanding
from medibridge.errors import (
    AccessError,
    BlockMissing,
    InvalidCard,
    MalformedDocument,
    MalformedMessage,
    NoKeyForRecord,
    SealingError,
    StoreUnreachable,
    UnknownFormat,
)
from medibridge.formats import read as convert
from medibridge.ids import Digest, Lane, cid_of, subject_of
from medibridge.roles import Deposited, Hospital
from medibridge.sealing.records import stale_keyring, unwrap_key
from medibridge.storage import MemoryStore


def deposits_of(world: World) -> int:
    return len(world.system.records.deposits())


def descriptions(world: World):
    return [record.description for record in world.patient.records()]


def grant_laboratory(world: World, **times: int):
    times = {"until": world.now() + DAY} | times
    return world.patient.grant(world.second_hospital.address, frozenset({LABORATORY}), TREAT, **times)


def test_deposit_anchors_a_record_and_its_twin_when_the_message_has_one_class(world: World) -> None:
    deposited = world.hospital.deposit(world.patient.address, laboratory_message())

    assert isinstance(deposited.event, BatchDeposited)
    assert deposited.event.custodian == world.hospital.address
    assert world.store.has(cid_of(Digest(deposited.event.list)))
    assert not deposited.repeated
    assert world.system.records.count_of(world.hospital.address, deposited.root) == 2
    assert {one.record_id for one in descriptions(world)} == set(deposited.records)
    assert [(one.data_class, one.epoch) for one in descriptions(world)] == [(LABORATORY, 1)] * 2
    assert {one.deidentified for one in descriptions(world)} == {False, True}
    assert all(one.subject == subject_of(world.patient.address) for one in descriptions(world))
    assert deposited.report == convert(laboratory_message()).report


def test_deposit_makes_one_record_for_each_class_and_no_twins_when_told_so(world: World) -> None:
    deposited = world.hospital.deposit(world.patient.address, mixed_message(), twins=False)
    assert len(deposited.records) == 3
    assert {one.data_class.label for one in descriptions(world)} == {"demographics", "laboratory", "medications"}
    assert not any(one.deidentified for one in descriptions(world))


def test_deposit_is_made_once_when_repeated(world: World) -> None:
    first = world.hospital.deposit(world.patient.address, laboratory_message())
    blocks = dict(world.blocks)

    again = world.hospital.deposit(world.patient.address, laboratory_message())

    assert again == Deposited(first.root, first.records, first.report, None, repeated=True)
    assert deposits_of(world) == 1
    assert world.blocks == blocks


def test_deposit_is_made_once_when_the_client_was_started_anew_and_the_keyring_changed(world: World) -> None:
    first = world.hospital.deposit(world.patient.address, laboratory_message())
    grant_laboratory(world)
    world.patient.revoke(world.second_hospital.address)

    again = world.as_hospital("hospital").deposit(world.patient.address, laboratory_message())

    assert (again.root, again.repeated, deposits_of(world)) == (first.root, True, 1)


def test_deposit_is_made_for_each_patient_when_two_have_the_same_message(world: World) -> None:
    one = world.hospital.deposit(world.patient.address, laboratory_message())
    other = world.hospital.deposit(world.second_patient.address, laboratory_message())
    assert one.root != other.root
    assert len(world.patient.records()) == len(world.second_patient.records()) == 2


@pytest.mark.parametrize("kept", range(5))
def test_deposit_completes_without_a_duplicate_when_the_store_failed_midway(world: World, kept: int) -> None:
    left = [kept]

    def fail(_: bytes) -> None:
        if not left[0]:
            raise StoreUnreachable("the disk is full; make room")
        left[0] -= 1

    world.store.before_put = fail
    with pytest.raises(StoreUnreachable, match="the disk is full"):
        world.hospital.deposit(world.patient.address, laboratory_message())
    assert deposits_of(world) == 0

    world.store.before_put = lambda block: None
    deposited = world.hospital.deposit(world.patient.address, laboratory_message())

    assert (deposited.repeated, deposits_of(world)) == (False, 1)
    assert [world.patient.read(record).data_class for record in world.patient.records()] == [LABORATORY] * 2


def test_deposit_completes_what_was_sealed_when_the_transaction_was_refused(world: World) -> None:
    world.system.institutions.suspend(world.accounts["admin"], world.hospital.address)
    with pytest.raises(NotInGoodStanding) as caught:
        world.hospital.deposit(world.patient.address, laboratory_message())
    assert caught.value.account == world.hospital.address
    assert deposits_of(world) == 0
    blocks = dict(world.blocks)

    world.system.institutions.reinstate(world.accounts["admin"], world.hospital.address)
    deposited = world.hospital.deposit(world.patient.address, laboratory_message())

    assert world.blocks == blocks  # not sealed a second time
    assert (deposited.repeated, deposits_of(world)) == (False, 1)
    assert world.hospital.deposit(world.patient.address, laboratory_message()).repeated


def refused_once(world: World, message: bytes) -> None:
    """A deposit that is sealed and journalled, but not on the chain."""
    world.system.institutions.suspend(world.accounts["admin"], world.hospital.address)
    with pytest.raises(NotInGoodStanding):
        world.hospital.deposit(world.patient.address, message)
    world.system.institutions.reinstate(world.accounts["admin"], world.hospital.address)


def test_deposit_seals_anew_when_a_revoke_came_before_the_repetition(world: World) -> None:
    grant_laboratory(world)
    old = world.secrets_of(world.second_hospital)
    refused_once(world, laboratory_message())
    world.patient.revoke(world.second_hospital.address)

    world.hospital.deposit(world.patient.address, laboratory_message())

    assert {one.epoch for one in descriptions(world)} == {2}
    assert_closed_to(world, old)


def test_deposit_seals_anew_when_a_class_key_ended_before_the_repetition(world: World) -> None:
    grant_laboratory(world, until=world.now() + HOUR)
    old = world.secrets_of(world.second_hospital)
    refused_once(world, laboratory_message())
    world.travel(HOUR)

    world.hospital.deposit(world.patient.address, laboratory_message())

    assert {one.epoch for one in descriptions(world)} == {0}
    assert_closed_to(world, old)


def test_deposit_seals_anew_when_the_store_lost_the_list_before_the_repetition(world: World) -> None:
    refused_once(world, laboratory_message())
    world.blocks.clear()
    world.blocks.update(world._blocks)
    deposited = world.hospital.deposit(world.patient.address, laboratory_message())
    assert {one.record_id for one in descriptions(world)} == set(deposited.records)


def assert_closed_to(world: World, secrets) -> None:
    """None of these class secrets opens any record of the patient."""
    keys = [secret.private_key() for secret in secrets.values()]
    assert keys
    for record in world.patient.records():
        with pytest.raises(NoKeyForRecord):
            world.bridge.open(record, keys)


def test_deposit_seals_anew_with_a_fresh_key_when_a_revoke_lands_while_sealing(world: World) -> None:
    grant_laboratory(world)
    old = world.secrets_of(world.second_hospital)
    card = cid_of(world.system.key_cards.card_of(world.patient.address))
    kept_before_the_revoke = []

    def revoke_once(cid: str) -> None:
        if cid == card:  # the keyring was read, and sealing begins
            world.store.before_get = lambda cid: None
            kept_before_the_revoke.extend(world.store.kept)
            world.patient.revoke(world.second_hospital.address)

    world.store.kept.clear()
    world.store.before_get = revoke_once
    world.hospital.deposit(world.patient.address, laboratory_message())

    assert kept_before_the_revoke == []
    assert {one.epoch for one in descriptions(world)} == {2}
    assert_closed_to(world, old)
    published = set(world.blocks) - set(world._blocks)
    wanted = {cid_of(one.manifest) for one in descriptions(world)}
    wanted |= {cid_of(block) for one in descriptions(world) for block in world.bridge.manifest(one).blocks}
    wanted |= {cid_of(Digest(past.event.list)) for past in world.system.records.deposits()}
    wanted |= {cid_of(digest) for _, digest in world.system.consents.keyrings(world.patient.address)}
    assert published <= wanted  # nothing that was sealed first is in the store


def test_deposit_gives_up_and_publishes_nothing_when_the_keyring_changes_again_and_again(world: World) -> None:
    card = cid_of(world.system.key_cards.card_of(world.patient.address))

    def revoke(cid: str) -> None:
        if cid == card:
            account, consents = world.accounts["patient"], world.system.consents
            nothing = Digest(bytes(32))
            stranger = world.address("stranger")
            consents.revoke(account, Revocation(world.patient.address, stranger, Lane.CARE, nothing, nothing))

    world.store.before_get = revoke
    with pytest.raises(SealingError, match="changed 5 times while sealing; try again"):
        world.hospital.deposit(world.patient.address, laboratory_message())
    assert deposits_of(world) == 0
    assert world.blocks == world._blocks


def test_deposit_seals_to_the_registered_key_alone_when_a_class_key_ends_while_sealing(world: World) -> None:
    until = world.now() + HOUR
    grant_laboratory(world, until=until)
    card = cid_of(world.system.key_cards.card_of(world.patient.address))

    def wait(cid: str) -> None:
        if cid == card and world.now() < until:
            world.travel_to(until)

    world.store.before_get = wait
    world.hospital.deposit(world.patient.address, laboratory_message())
    assert {one.epoch for one in descriptions(world)} == {0}


def lose_keyring(world: World) -> None:
    world.forget([world.system.consents.keyring_of(world.patient.address)])


def garble_keyring(world: World) -> None:
    account, consents = world.accounts["patient"], world.system.consents
    garbage = world.bridge.publish(b"not a keyring")
    consents.replace_keyring(account, world.patient.address, consents.keyring_of(world.patient.address), garbage)


def alter_keyring(world: World) -> None:
    cid = cid_of(world.system.consents.keyring_of(world.patient.address))
    world.blocks[cid] = world.blocks[cid][:-1] + bytes([world.blocks[cid][-1] ^ 1])


def cut_off_keyring(world: World) -> None:
    cid = cid_of(world.system.consents.keyring_of(world.patient.address))

    def no_answer(asked: str) -> None:
        if asked == cid:
            raise StoreUnreachable("no answer; try again")

    world.store.before_get = no_answer


def mark_rotation_due(world: World) -> None:
    before = world.system.consents.keyring_of(world.patient.address)
    world.as_patient("patient", world.with_store(BrokenStore())).revoke(world.address("stranger"))
    assert world.system.consents.keyring_of(world.patient.address) == stale_keyring(before)


def let_keys_end(world: World) -> None:
    grant_laboratory(world, until=world.now() + HOUR)
    world.travel(HOUR)


@pytest.mark.parametrize(
    "happens", [lose_keyring, garble_keyring, alter_keyring, cut_off_keyring, mark_rotation_due, let_keys_end]
)
def test_deposit_seals_to_the_registered_key_alone_and_refresh_adopts_when(world: World, happens) -> None:
    happens(world)
    world.hospital.deposit(world.patient.address, laboratory_message(), twins=False)

    if happens is alter_keyring:  # the store has to be healed before anybody can read the keyring again
        lose_keyring(world)
    world.store.before_get = lambda cid: None
    (record,) = world.patient.records()
    assert record.description.epoch == 0
    assert world.patient.read(record).data_class is LABORATORY

    grant_laboratory(world)
    world.patient.refresh()
    (found,) = world.second_hospital.records(world.patient.address)
    assert found == record
    assert world.second_hospital.read(world.patient.address, found) == world.patient.read(record)


def test_deposit_reaches_nobody_but_the_patient_when_a_rotation_is_due(world: World) -> None:
    grant_laboratory(world)
    old = world.secrets_of(world.second_hospital)
    world.as_patient("patient", world.with_store(BrokenStore())).revoke(world.second_hospital.address)
    world.hospital.deposit(world.patient.address, laboratory_message())
    world.patient.refresh()
    assert_closed_to(world, old)
    assert {one.epoch for one in descriptions(world)} == {0}


def test_deposit_refuses_when_the_patient_has_no_card(world: World) -> None:
    with pytest.raises(AccessError, match=f"{world.address('stranger')} has registered no key card"):
        world.hospital.deposit(world.address("stranger"), laboratory_message())
    assert (deposits_of(world), world.blocks) == (0, world._blocks)


def test_deposit_refuses_when_the_card_is_a_copy_of_another_patients(world: World) -> None:
    card = world.system.key_cards.card_of(world.second_patient.address)
    world.system.key_cards.register(world.accounts["patient"], card)
    with pytest.raises(InvalidCard, match="not for 0x"):
        world.hospital.deposit(world.patient.address, laboratory_message())
    assert (deposits_of(world), world.blocks) == (0, world._blocks)


def test_deposit_names_the_block_when_the_patients_card_is_lost(world: World) -> None:
    card = world.system.key_cards.card_of(world.patient.address)
    world.forget([card])
    with pytest.raises(BlockMissing, match=cid_of(card)):
        world.hospital.deposit(world.patient.address, laboratory_message())
    assert deposits_of(world) == 0


@pytest.mark.parametrize("stranger", ["stranger", "patient"])
def test_deposit_refuses_a_stranger_when_nobody_enrolled_it(world: World, stranger: str) -> None:
    with pytest.raises(NotInGoodStanding) as caught:
        world.as_hospital(stranger).deposit(world.patient.address, laboratory_message())
    assert caught.value.account == world.address(stranger)
    assert deposits_of(world) == 0


@pytest.mark.parametrize(
    ("message", "error"),
    [(b"%PDF-1.7 rubbish", UnknownFormat), (samples.read("oru-r01-laboratory.hl7")[:150], MalformedMessage)],
)
def test_deposit_publishes_nothing_when_the_message_is_not_one(world: World, message: bytes, error) -> None:
    with pytest.raises((error, UnknownFormat, MalformedMessage)):
        world.hospital.deposit(world.patient.address, message)
    assert (deposits_of(world), world.blocks) == (0, world._blocks)


class ForgedJournal(MemoryJournal):
    """Whatever was put, somebody else's bytes come back."""

    def __init__(self, forged: bytes) -> None:
        super().__init__()
        self._forged = forged

    def get(self, key: str) -> bytes | None:
        return self._forged


@pytest.mark.parametrize("forged", [b"", b"rubbish", bytes(200)])
def test_deposit_says_so_when_the_journal_was_altered(world: World, forged: bytes) -> None:
    hospital = Hospital(world.bridge, world.accounts["hospital"], world.identity("hospital"), ForgedJournal(forged))
    with pytest.raises(MalformedDocument, match="journal's entry for this message is not what this hospital wrote"):
        hospital.deposit(world.patient.address, laboratory_message())
    assert deposits_of(world) == 0


def test_deposit_vouches_for_no_other_batch_when_a_journal_entry_is_moved(world: World) -> None:
    """Who can write to the journal cannot make the hospital anchor one message's batch for another."""

    class Keeping(MemoryJournal):
        def put(self, key: str, value: bytes) -> None:
            self.last = value
            super().put(key, value)

    journal = Keeping()
    hospital = Hospital(world.bridge, world.accounts["hospital"], world.identity("hospital"), journal)
    hospital.deposit(world.patient.address, laboratory_message("one"))
    moved = Hospital(world.bridge, world.accounts["hospital"], world.identity("hospital"), ForgedJournal(journal.last))
    with pytest.raises(MalformedDocument, match="journal's entry"):
        moved.deposit(world.patient.address, laboratory_message("other"))


def test_deposit_is_read_by_the_patient_when_only_his_seed_is_left(world: World) -> None:
    world.hospital.deposit(world.patient.address, laboratory_message(), twins=False)
    seed = Identity.from_seed(world.identity("patient").expose())
    restored = Patient(world.with_store(MemoryStore(world.blocks)), world.accounts["patient"], seed)
    (record,) = restored.records()
    assert restored.read(record) == convert(laboratory_message()).records[0]
    assert unwrap_key(world.bridge.manifest(record.description), [restored._identity.registered])
