from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from sales import as_struct, batch_of, digest

from medibridge.ids import DataClass
from medibridge.sealing import merkle


@pytest.mark.parametrize("size", [*range(1, 18), 31, 32, 33])
def test_is_deposited_holds_for_every_record_and_no_other_place_when_the_batch_has_this_size(
    records, hospital, patient, size
):
    batch = batch_of(hospital, patient, size, f"size {size}").deposited(records, hospital)
    everywhere = range(size) if size < 18 else (0, 1, size // 2, size - 2, size - 1)

    for index in everywhere:
        record = as_struct(batch.records[index])
        root, _, path = batch.proof(index)
        assert records.isDeposited(record, (root, index, path))
        for other in {index ^ 1, index + 1, size, 2**32 - 1} - {index}:
            assert not records.isDeposited(record, (root, other, path))


def test_is_deposited_is_false_when_nothing_was_deposited(records, batch):
    assert not records.isDeposited(as_struct(batch.records[0]), batch.proof(0))


@pytest.mark.parametrize(
    "change",
    [
        {"subject": digest("another subject")},
        {"data_class": DataClass.IMAGING},
        {"epoch": 2},
        {"deidentified": False},
        {"seal_id": digest("another seal")},
        {"manifest": digest("another manifest")},
        {"salt": digest("another salt")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_is_deposited_is_false_when_one_field_of_the_record_differs(records, hospital, batch, change):
    batch.deposited(records, hospital)

    assert not records.isDeposited(as_struct(replace(batch.records[3], **change)), batch.proof(3))


def test_is_deposited_is_false_when_the_record_names_another_custodian(records, hospital, second_hospital, batch):
    batch.deposited(records, hospital)
    records.deposit(batch.root, 7, digest("list"), {"from": second_hospital})

    stolen = replace(batch.records[3], custodian=second_hospital.address)

    assert not records.isDeposited(as_struct(stolen), batch.proof(3))


def test_is_deposited_is_false_when_the_deposited_size_is_another(records, hospital, batch):
    """[attack] The proof uses the count of the deposit: the lone last leaf has no place in a tree of eight."""
    records.deposit(batch.root, 8, digest("list"), {"from": hospital})

    assert not records.isDeposited(as_struct(batch.records[6]), batch.proof(6))


def test_is_deposited_is_false_when_the_path_is_too_short_or_too_long(records, hospital, batch):
    batch.deposited(records, hospital)
    record, (root, index, path) = as_struct(batch.records[3]), batch.proof(3)

    assert records.isDeposited(record, (root, index, path))
    for wrong in ([], path[:-1], path[1:], [*path, digest("more")], [*path, root], path[::-1], path * 20):
        assert not records.isDeposited(record, (root, index, wrong))


def test_is_deposited_is_false_when_an_inner_node_is_given_as_the_record(records, hospital, patient):
    """[attack] A tree of four, deposited as a tree of two: the tags keep inner nodes from passing for leaves."""
    batch = batch_of(hospital, patient, 4)
    left, right = (sha256(b"\x01" + batch.leaves[i] + batch.leaves[i + 1]).digest() for i in (0, 2))
    assert sha256(b"\x01" + left + right).digest() == batch.root
    records.deposit(batch.root, 2, digest("list"), {"from": hospital})

    for place, record in enumerate(batch.records):
        assert not records.isDeposited(as_struct(record), batch.proof(place))
        assert not records.isDeposited(as_struct(record), (batch.root, 0, [right]))
        assert not records.isDeposited(as_struct(record), (batch.root, 1, [left]))


def test_is_deposited_is_false_when_the_root_is_a_leaf_without_its_tag(records, hospital, batch):
    record = batch.records[0]
    records.deposit(record.record_id, 1, digest("list"), {"from": hospital})

    assert not records.isDeposited(as_struct(record), (record.record_id, 0, []))
    assert merkle.leaf(record.record_id) != record.record_id
