from __future__ import annotations

from observed import event_of, plain
from refusals import reverts

UNKNOWN, GOOD, SUSPENDED = 0, 1, 2


def test_suspend_takes_the_standing_when_it_was_good(institutions, admin, hospital):
    transaction = institutions.suspend(hospital, {"from": admin})

    assert event_of(transaction) == ("Suspended", (hospital.address,))
    assert plain(institutions.institutionOf(hospital))[1] == SUSPENDED
    assert not institutions.isInGoodStanding(hospital)


def test_suspend_is_refused_when_suspended_already(institutions, admin, hospital):
    institutions.suspend(hospital, {"from": admin})

    with reverts("StandingIsNot", hospital, GOOD, SUSPENDED):
        institutions.suspend(hospital, {"from": admin})


def test_suspend_is_refused_when_not_enrolled(institutions, admin, clinic):
    with reverts("StandingIsNot", clinic, GOOD, UNKNOWN):
        institutions.suspend(clinic, {"from": admin})
