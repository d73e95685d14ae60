from __future__ import annotations

from sales import digest


def test_count_of_is_zero_when_there_is_no_such_batch(records, hospital):
    assert records.countOf(hospital, digest("root")) == 0


def test_count_of_is_the_depositors_own_when_two_deposited_one_root(records, hospital, second_hospital, stranger):
    for institution, count in ((hospital, 3), (second_hospital, 4)):
        records.deposit(digest("root"), count, digest("list"), {"from": institution})

    assert [records.countOf(x, digest("root")) for x in (hospital, second_hospital, stranger)] == [3, 4, 0]
