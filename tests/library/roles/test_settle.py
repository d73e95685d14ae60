"""`settle`, `refund`, `earnings`, `withdraw`: everybody gets out what is his own."""

from __future__ import annotations

import pytest
from world import DAY, MONEY, PRICE, World, sold

from medibridge.chain import OrderState
from medibridge.chain.events import CreditWithdrawn, Refunded, Settled
from medibridge.chain.refusals import DeadlineNotReached, NothingToWithdraw, OrderStateIsNot
from medibridge.roles import Earnings

FEE = PRICE * 250 // 10_000
CUSTODIAN = (PRICE - FEE) * 2_000 // 10_000
PATIENT = PRICE - FEE - CUSTODIAN


def test_settle_pays_everybody_when_the_dispute_window_is_over(world: World) -> None:
    purchase = sold(world)
    (delivered,) = world.patient.deliver()
    assert world.patient.earnings() == Earnings(credited=0, in_escrow=PRICE)
    world.travel_to(delivered.deadline - 1)
    assert world.patient.settle() == []
    with pytest.raises(DeadlineNotReached):
        world.system.data_sales.settle(world.accounts["stranger"], purchase.order, purchase.listing)

    world.travel_to(delivered.deadline)
    assert world.patient.settle() == [Settled(purchase.order_id, FEE, CUSTODIAN, PATIENT)]

    assert world.patient.settle() == []
    assert world.system.data_sales.settled(purchase.order_id).patient_in_units == PATIENT
    assert world.patient.earnings() == Earnings(credited=PATIENT, in_escrow=0)
    assert world.hospital.earnings() == Earnings(credited=CUSTODIAN, in_escrow=0)


def test_withdraw_sends_what_is_credited_when_it_is_the_own_account_or_another(world: World) -> None:
    sold(world)
    world.patient.deliver()
    world.travel(DAY)
    world.patient.settle()
    token, fresh = world.system.token, world.address("stranger")

    withdrawn = world.patient.withdraw(fresh)
    assert withdrawn == CreditWithdrawn(token.address, world.patient.address, fresh, PATIENT)
    assert world.hospital.withdraw().to == world.hospital.address
    assert (token.balance_of(fresh), token.balance_of(world.hospital.address)) == (PATIENT, CUSTODIAN)
    with pytest.raises(NothingToWithdraw) as caught:
        world.patient.withdraw()
    assert (caught.value.token, caught.value.account) == (token.address, world.patient.address)


def test_refund_pays_the_buyer_back_when_nothing_was_delivered(world: World) -> None:
    purchase = sold(world)
    world.travel_to(purchase.deadline - 1)
    assert world.buyer.refund() == []
    world.travel_to(purchase.deadline)
    assert world.patient.deliver() == []
    assert world.buyer.refund() == [Refunded(purchase.order_id)]
    assert world.buyer.refund() == []
    assert world.buyer.purchase(purchase.name).state is OrderState.REFUNDED
    assert world.buyer.withdraw() == CreditWithdrawn(
        world.system.token.address, world.buyer.address, world.buyer.address, PRICE
    )
    assert world.system.token.balance_of(world.buyer.address) == MONEY
    assert world.patient.earnings() == Earnings(0, 0)
    with pytest.raises(OrderStateIsNot):
        world.system.data_sales.settle(world.accounts["patient"], purchase.order, purchase.listing)


def test_refund_leaves_what_was_delivered(world: World) -> None:
    purchase = sold(world)
    world.patient.deliver()
    world.travel(3 * DAY)
    assert world.buyer.refund() == []
    assert world.buyer.purchase(purchase.name).state is OrderState.DELIVERED
