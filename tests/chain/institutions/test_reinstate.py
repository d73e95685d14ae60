from __future__ import annotations

from observed import event_of
from refusals import reverts

UNKNOWN, GOOD, SUSPENDED = 0, 1, 2


def test_reinstate_gives_the_standing_back_when_suspended(institutions, admin, hospital):
    institutions.suspend(hospital, {"from": admin})

    transaction = institutions.reinstate(hospital, {"from": admin})

    assert event_of(transaction) == ("Reinstated", (hospital.address,))
    assert institutions.isInGoodStanding(hospital)


def test_reinstate_is_refused_when_not_suspended(institutions, admin, hospital):
    with reverts("StandingIsNot", hospital, SUSPENDED, GOOD):
        institutions.reinstate(hospital, {"from": admin})


def test_reinstate_is_refused_when_not_enrolled(institutions, admin, clinic):
    with reverts("StandingIsNot", clinic, SUSPENDED, UNKNOWN):
        institutions.reinstate(clinic, {"from": admin})
