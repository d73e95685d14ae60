from __future__ import annotations

from typing import Any

import pytest
from clock import NOON
from datasets import claim_of, contributor
from observed import event_of, plain
from refusals import reverts
from sales import order_of
from typed_data import Revocation

from medibridge.chain.sales import OrderState, StopGround
from medibridge.ids import Lane

ON_ITS_WAY = 30 * 60


@pytest.fixture
def withdraw_consent(consents: Any, patient: Any, hospital: Any) -> Any:
    lane = Revocation(patient.address, hospital.address, Lane.RESEARCH_AND_SALE, bytes(32), bytes(32))
    return lambda: consents.revoke(lane, {"from": patient})


@pytest.mark.parametrize(
    "ground", [StopGround.CUSTODIAN_SUSPENDED, StopGround.BUYER_SUSPENDED, StopGround.CONSENT_WITHDRAWN]
)
def test_stop_leaves_half_an_hour_when_there_is_a_ground(
    data_sales, institutions, admin, hospital, buyer, stranger, listing, order, withdraw_consent, ground
):
    assert data_sales.groundToStop(listing, buyer) == StopGround.NONE
    if ground is StopGround.CONSENT_WITHDRAWN:
        withdraw_consent()
    else:
        who = hospital if ground is StopGround.CUSTODIAN_SUSPENDED else buyer
        institutions.suspend(who, {"from": admin})
    assert data_sales.groundToStop(listing, buyer) == ground

    transaction = data_sales.stop(order, listing, {"from": stranger})

    assert event_of(transaction) == ("Stopped", (order.id_at(data_sales), ground, NOON + ON_ITS_WAY))
    status = plain(data_sales.orderStatusOf(order.id_at(data_sales)))
    assert status == (OrderState.PAID, NOON + ON_ITS_WAY, bytes(26))


def test_stop_lets_a_delivery_on_its_way_arrive(
    data_sales, hospital, patient, listing, order, masked, withdraw_consent, clock
):
    """[attack] A buyer who watches the mempool and stops the order just before: the delivery must not fail."""
    withdraw_consent()
    data_sales.stop(order, listing, {"from": patient})
    clock.pass_by(ON_ITS_WAY - 1)

    data_sales.deliver(order, listing, masked, {"from": hospital})

    assert plain(data_sales.orderStatusOf(order.id_at(data_sales)))[0] == OrderState.DELIVERED


def test_stop_is_followed_by_a_refund_and_no_delivery(
    data_sales, hospital, patient, buyer, listing, order, masked, withdraw_consent, clock
):
    withdraw_consent()
    data_sales.stop(order, listing, {"from": patient})
    deadline = clock.pass_by(ON_ITS_WAY)

    with reverts("DeadlinePassed", order.id_at(data_sales), deadline, deadline):
        data_sales.deliver(order, listing, masked, {"from": hospital})
    data_sales.refund(order, listing, {"from": buyer})


def test_stop_of_a_dataset_needs_a_freeze_for_its_patients_are_hidden(
    data_sales, buyer, patient, dataset, rich_buyers, purchase, tree, withdraw_consent
):
    data_sales.buy(dataset, purchase, {"from": buyer})
    order = order_of(data_sales, dataset, buyer, purchase)
    withdraw_consent()
    with reverts("NoGroundToStop", order.id_at(data_sales)):
        data_sales.stop(order, dataset, {"from": patient})
    data_sales.freeze(dataset, patient, contributor(patient).salt, *claim_of(tree, patient), {"from": patient})

    transaction = data_sales.stop(order, dataset, {"from": patient})

    assert event_of(transaction)[1][1] == StopGround.LISTING_FROZEN == data_sales.groundToStop(dataset, buyer)


def test_stop_is_refused_when_nothing_stands_against_the_delivery(data_sales, hospital, buyer, listing, order):
    """[attack] A buyer who would shorten the seller's time. A withdrawn listing is no ground either."""
    with reverts("NoGroundToStop", order.id_at(data_sales)):
        data_sales.stop(order, listing, {"from": buyer})
    data_sales.unlist(listing, {"from": hospital})
    with reverts("NoGroundToStop", order.id_at(data_sales)):
        data_sales.stop(order, listing, {"from": buyer})
    assert plain(data_sales.orderStatusOf(order.id_at(data_sales)))[1] == NOON + listing.terms.deliver_within


def test_stop_never_moves_a_deadline_back(data_sales, patient, listing, order, withdraw_consent, clock):
    """[attack] Stopped again and again, so that the refund never comes."""
    withdraw_consent()
    data_sales.stop(order, listing, {"from": patient})
    for _ in range(2):
        with reverts("EndsSoonAnyway", order.id_at(data_sales), NOON + ON_ITS_WAY):
            data_sales.stop(order, listing, {"from": patient})
        clock.pass_by(60)


def test_stop_is_refused_when_the_order_ends_in_half_an_hour_anyway(
    data_sales, patient, listing, order, withdraw_consent, clock
):
    withdraw_consent()
    deadline = NOON + listing.terms.deliver_within
    clock.move_to(deadline - ON_ITS_WAY)
    with reverts("EndsSoonAnyway", order.id_at(data_sales), deadline):
        data_sales.stop(order, listing, {"from": patient})


def test_stop_works_a_second_earlier(data_sales, patient, listing, order, withdraw_consent, clock):
    withdraw_consent()
    deadline = NOON + listing.terms.deliver_within
    clock.move_to(deadline - ON_ITS_WAY - 1)

    _, values = event_of(data_sales.stop(order, listing, {"from": patient}))

    assert values[2] == deadline - 1


def test_stop_is_refused_when_delivered_or_never_bought(data_sales, patient, listing, delivered, withdraw_consent):
    withdraw_consent()
    never = delivered._replace(nonce=9)
    for order, state in ((delivered, OrderState.DELIVERED), (never, OrderState.NONE)):
        with reverts("OrderStateIsNot", order.id_at(data_sales), OrderState.PAID, state):
            data_sales.stop(order, listing, {"from": patient})


def test_stop_is_refused_when_the_listing_is_another(data_sales, second_patient, buyer, listing, order, dataset, tree):
    """[attack] A ground that stands against another listing of the same seller."""
    salt = contributor(second_patient).salt
    data_sales.freeze(dataset, second_patient, salt, *claim_of(tree, second_patient), {"from": second_patient})
    assert data_sales.groundToStop(dataset, buyer) == StopGround.LISTING_FROZEN

    with reverts("OrderNotOfListing", order.id_at(data_sales), dataset.id_at(data_sales)):
        data_sales.stop(order, dataset, {"from": second_patient})
