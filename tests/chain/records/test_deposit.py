from __future__ import annotations

import pytest
from observed import event_of
from refusals import reverts
from sales import as_struct, batch_of, digest, record_of

ROOT, LIST = digest("root"), digest("list")


def test_deposit_anchors_a_batch_when_the_institution_is_in_good_standing(records, hospital):
    transaction = records.deposit(ROOT, 1_000, LIST, {"from": hospital})

    assert event_of(transaction) == ("BatchDeposited", (hospital.address, LIST))
    assert records.countOf(hospital, ROOT) == 1_000


def test_deposit_of_a_single_record_is_a_batch_of_one(records, hospital, patient):
    batch = batch_of(hospital, patient, 1).deposited(records, hospital)

    assert records.countOf(hospital, batch.root) == 1
    assert records.isDeposited(as_struct(batch.records[0]), (batch.root, 0, []))


def test_deposit_takes_no_root_away_when_another_institution_was_first(records, hospital, second_hospital, batch):
    """[attack] The slot is keyed by the depositor: front-running a batch has no effect on its owner."""
    records.deposit(batch.root, 1, LIST, {"from": second_hospital})

    batch.deposited(records, hospital)

    assert records.countOf(hospital, batch.root) == 7
    assert records.countOf(second_hospital, batch.root) == 1
    for index, record in enumerate(batch.records):
        assert records.isDeposited(as_struct(record), batch.proof(index))


def test_deposit_puts_no_record_into_anothers_mouth_when_its_leaf_names_another(
    records, hospital, second_hospital, patient
):
    """[attack] Whoever deposits a leaf that names another custodian vouches for nothing in its name."""
    planted = batch_of(second_hospital, patient, 3).deposited(records, hospital)

    assert not any(records.isDeposited(as_struct(r), planted.proof(i)) for i, r in enumerate(planted.records))
    renamed = [record_of(hospital, patient, f"batch {index}") for index in range(3)]
    assert not any(records.isDeposited(as_struct(r), planted.proof(i)) for i, r in enumerate(renamed))


def test_deposit_is_refused_when_the_depositor_is_not_enrolled(records, stranger):
    with reverts("NotInGoodStanding", stranger):
        records.deposit(ROOT, 1, LIST, {"from": stranger})
    assert records.countOf(stranger, ROOT) == 0


def test_deposit_is_refused_when_the_depositor_is_suspended(records, institutions, admin, hospital):
    institutions.suspend(hospital, {"from": admin})

    with reverts("NotInGoodStanding", hospital):
        records.deposit(ROOT, 1, LIST, {"from": hospital})

    institutions.reinstate(hospital, {"from": admin})
    records.deposit(ROOT, 1, LIST, {"from": hospital})


def test_deposit_is_refused_when_the_batch_is_empty(records, hospital):
    with reverts("EmptyBatch", ROOT):
        records.deposit(ROOT, 0, LIST, {"from": hospital})


@pytest.mark.parametrize("count", [1, 2, 2**256 - 1])
def test_deposit_is_refused_when_the_same_batch_was_deposited(records, hospital, count):
    records.deposit(ROOT, 2, LIST, {"from": hospital})

    with reverts("BatchAlreadyDeposited", hospital, ROOT):
        records.deposit(ROOT, count, digest("another list"), {"from": hospital})
    assert records.countOf(hospital, ROOT) == 2
