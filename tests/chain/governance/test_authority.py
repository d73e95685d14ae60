from __future__ import annotations

import pytest


@pytest.mark.parametrize("name", ["institutions", "data_sales"])
def test_authority_is_the_access_manager(system, name):
    assert getattr(system, name).authority() == system.governance


@pytest.mark.parametrize("name", ["institutions", "data_sales"])
def test_is_consuming_scheduled_op_is_zero_outside_one(system, name):
    assert str(getattr(system, name).isConsumingScheduledOp()) == "0x00000000"


def test_authority_is_handed_on_by_the_access_manager_only(system, Governance, admin, hospital, stranger):
    """The way to a new governance, and all that it changes: the directory stays as it is."""
    successor = admin.deploy(Governance, stranger)

    system.governance.updateAuthority(system.institutions, successor, {"from": admin})

    assert system.institutions.authority() == successor
    assert system.institutions.isInGoodStanding(hospital)
    system.institutions.suspend(hospital, {"from": stranger})
    assert not system.institutions.isInGoodStanding(hospital)
