from __future__ import annotations

import pytest
from observed import event_of, plain
from refusals import reverts

UNKNOWN, HOSPITAL, LABORATORY = 0, 1, 2
GOOD, SUSPENDED = 1, 2
NOBODY = "0x" + "00" * 20


def test_enrol_gives_good_standing_when_new(institutions, admin, clinic, profile):
    transaction = institutions.enrol(clinic, HOSPITAL, profile, {"from": admin})

    assert event_of(transaction) == ("Enrolled", (clinic.address, HOSPITAL, profile))
    assert plain(institutions.institutionOf(clinic)) == (HOSPITAL, GOOD, profile)
    assert institutions.isInGoodStanding(clinic)


def test_enrol_changes_kind_and_profile_when_enrolled_already(institutions, admin, hospital, profile):
    institutions.enrol(hospital, LABORATORY, profile, {"from": admin})

    assert plain(institutions.institutionOf(hospital)) == (LABORATORY, GOOD, profile)


def test_enrol_leaves_an_institution_suspended_when_it_was(institutions, admin, hospital, profile):
    institutions.suspend(hospital, {"from": admin})

    institutions.enrol(hospital, LABORATORY, profile, {"from": admin})

    assert plain(institutions.institutionOf(hospital)) == (LABORATORY, SUSPENDED, profile)
    assert not institutions.isInGoodStanding(hospital)


def test_enrol_is_refused_when_the_account_is_zero(institutions, admin, profile):
    with reverts("InvalidInstitution", NOBODY, HOSPITAL):
        institutions.enrol(NOBODY, HOSPITAL, profile, {"from": admin})


def test_enrol_is_refused_when_the_kind_is_unknown(institutions, admin, clinic, profile):
    with reverts("InvalidInstitution", clinic, UNKNOWN):
        institutions.enrol(clinic, UNKNOWN, profile, {"from": admin})


@pytest.mark.parametrize("who", ["stranger", "hospital", "patient"])
def test_enrol_is_refused_when_the_caller_is_not_the_administrator(institutions, request, clinic, profile, who):
    caller = request.getfixturevalue(who)
    with reverts("AccessManagedUnauthorized", caller):
        institutions.enrol(clinic, HOSPITAL, profile, {"from": caller})
    assert plain(institutions.institutionOf(clinic)) == (UNKNOWN, 0, bytes(32))


def test_enrol_may_be_given_to_a_registrar_when_the_administrator_grants_the_role(
    governance, institutions, admin, relayer, clinic, profile
):
    registrar = 7
    governance.setTargetFunctionRole(institutions, [institutions.signatures["enrol"]], registrar, {"from": admin})
    governance.grantRole(registrar, relayer, 0, {"from": admin})

    institutions.enrol(clinic, HOSPITAL, profile, {"from": relayer})

    assert institutions.isInGoodStanding(clinic)
    with reverts("AccessManagedUnauthorized", relayer):
        institutions.suspend(clinic, {"from": relayer})
