"""`Patient.refresh`: whatever fell due, and nothing where nothing did."""

from __future__ import annotations

import pytest
from world import DAY, HOUR, LABORATORY, MEDICATIONS, TREAT, World, laboratory_message

from medibridge.chain.events import KeyringReplaced
from medibridge.errors import BlockAltered, SealingError
from medibridge.ids import DataClass, Digest, cid_of
from medibridge.roles.patient import FOREVER

ONLY_LABORATORY = frozenset({LABORATORY})


def current(world: World) -> Digest:
    return world.system.consents.keyring_of(world.patient.address)


def epochs(world: World) -> set[int]:
    keyring = world.bridge.keyring(current(world))
    return {keyring.class_key(member).epoch for member in DataClass}


def test_refresh_does_nothing_when_nothing_is_due(world: World) -> None:
    before = current(world)
    assert world.patient.refresh() is None
    assert current(world) == before


def test_refresh_publishes_the_first_keyring_when_there_was_none(world: World) -> None:
    world.as_hospital("stranger").register()
    patient = world.as_patient("stranger")
    replaced = patient.refresh()
    assert replaced == KeyringReplaced(patient.address, world.system.consents.keyring_of(patient.address))
    key = world.bridge.keyring_of(patient.address).keyring.class_key(LABORATORY)
    assert (key.epoch, key.not_after) == (1, FOREVER)


def test_refresh_rotates_the_classes_of_a_consent_that_ended(world: World) -> None:
    until = world.now() + HOUR
    world.patient.grant(world.second_hospital.address, ONLY_LABORATORY, TREAT, until=until)
    world.travel_to(until - 1)
    assert world.patient.refresh() is None
    world.travel_to(until)
    assert world.patient.refresh() is not None
    keyring = world.bridge.keyring(current(world))
    assert (keyring.class_key(LABORATORY).epoch, keyring.class_key(MEDICATIONS).epoch) == (2, 1)
    assert keyring.class_key(LABORATORY).not_after == FOREVER
    assert keyring.grantees == frozenset()


def test_refresh_takes_in_what_was_sealed_to_the_registered_key_alone(world: World) -> None:
    world.forget([current(world)])
    world.hospital.deposit(world.patient.address, laboratory_message("one"), twins=False)
    world.patient.refresh()
    world.patient.grant(world.second_hospital.address, ONLY_LABORATORY, TREAT, until=world.now() + DAY)
    (record,) = world.second_hospital.records(world.patient.address)
    assert record.description.epoch == 0
    assert world.second_hospital.read(world.patient.address, record) == world.patient.read(record)
    assert record in world.patient.records()
    assert world.patient.refresh() is None


def test_refresh_waits_with_what_it_cannot_open_yet(world: World) -> None:
    world.forget([current(world)])
    world.hospital.deposit(world.patient.address, laboratory_message(), twins=False)
    (record,) = world.patient.records()
    manifest = cid_of(record.description.manifest)
    block = world.blocks.pop(manifest)
    world.patient.refresh()
    assert world.patient.refresh() is None
    world.blocks[manifest] = block
    assert world.patient.refresh() is not None
    assert world.patient.refresh() is None


def test_refresh_recovers_from_the_seed_when_every_keyring_document_is_lost(world: World) -> None:
    world.patient.grant(world.second_hospital.address, ONLY_LABORATORY, TREAT, until=world.now() + DAY)
    world.hospital.deposit(world.patient.address, laboratory_message("epoch 1"), twins=False)
    held = world.secrets_of(world.second_hospital)
    world.patient.revoke(world.second_hospital.address)
    world.hospital.deposit(world.patient.address, laboratory_message("epoch 2"), twins=False)
    world.patient.grant(world.laboratory.address, ONLY_LABORATORY, TREAT, until=world.now() + DAY)
    records = world.patient.records()
    world.forget(digest for _, digest in world.system.consents.keyrings(world.patient.address))

    restored = world.as_patient("patient")
    assert restored.records() == records
    restored.refresh()

    assert min(epochs(world)) > max(epoch for _, epoch in held)
    for record in records:
        assert world.laboratory.read(world.patient.address, record) == restored.read(record)
    assert world.laboratory.records(world.patient.address) == records


def test_refresh_begins_no_epoch_a_second_time_when_the_newest_documents_are_lost(world: World) -> None:
    """[attack] Somebody who held keys of a keyring that was lost since must not hold keys of its successor."""
    first = current(world)
    world.patient.grant(world.second_hospital.address, ONLY_LABORATORY, TREAT, until=world.now() + DAY)
    world.patient.revoke(world.second_hospital.address)
    world.patient.grant(world.second_hospital.address, ONLY_LABORATORY, TREAT, until=world.now() + DAY)
    stolen = world.secrets_of(world.second_hospital)
    world.patient.revoke(world.second_hospital.address)
    lost = [digest for _, digest in world.system.consents.keyrings(world.patient.address) if digest != first]
    world.forget(lost)

    world.patient.refresh()

    keyring = world.bridge.keyring(current(world))
    assert (LABORATORY, keyring.class_key(LABORATORY).epoch) not in stolen
    held = {secret.private_key().public_key for secret in stolen.values()}
    assert keyring.class_key(LABORATORY).public_key not in held
    world.hospital.deposit(world.patient.address, laboratory_message(), twins=False)
    (record,) = world.patient.records()
    with pytest.raises(SealingError):
        world.bridge.open(record, [secret.private_key() for secret in stolen.values()])


def test_refresh_keeps_what_was_adopted_when_the_newest_documents_are_lost(world: World) -> None:
    world.forget([current(world)])
    world.hospital.deposit(world.patient.address, laboratory_message(), twins=False)
    world.patient.refresh()
    world.forget([current(world)])
    world.patient.refresh()
    world.patient.grant(world.second_hospital.address, ONLY_LABORATORY, TREAT, until=world.now() + DAY)
    (record,) = world.second_hospital.records(world.patient.address)
    assert world.second_hospital.read(world.patient.address, record) == world.patient.read(record)


def test_refresh_names_the_block_when_the_keyrings_document_was_altered(world: World) -> None:
    cid = cid_of(current(world))
    world.blocks[cid] = bytes(10)
    with pytest.raises(BlockAltered, match=cid):
        world.patient.refresh()


def test_refresh_makes_a_new_keyring_when_somebody_elses_stands_there(world: World) -> None:
    other = world.system.consents.keyring_of(world.second_patient.address)
    world.system.consents.replace_keyring(world.accounts["patient"], world.patient.address, current(world), other)
    world.patient.refresh()
    assert epochs(world) == {3}  # past every epoch that any value so far can have brought
    assert world.bridge.keyring(current(world)).state(
        world.patient._identity, world.patient.address, world.bridge.consents_place
    )
