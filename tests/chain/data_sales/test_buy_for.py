from __future__ import annotations

import pytest
from observed import event_of, events_of, plain
from refusals import reverts
from sales import order_of

from medibridge.chain.sales import OrderState


@pytest.fixture
def agent(data_sales, dollar, admin, buyer, relayer, listing):
    """A relayer with the price, whom the buyer allows; no institution."""
    dollar.mint(relayer, listing.terms.price, {"from": admin})
    dollar.approve(data_sales, listing.terms.price, {"from": relayer})
    data_sales.allowAgent(relayer, True, {"from": buyer})
    return relayer


def test_allow_agent_allows_it_and_no_longer(data_sales, buyer, relayer):
    for allowed in (True, False):
        transaction = data_sales.allowAgent(relayer, allowed, {"from": buyer})

        assert event_of(transaction) == ("AgentAllowed", (buyer.address, relayer.address, allowed))
        assert data_sales.isAgentOf(buyer, relayer) is allowed
        assert data_sales.isAgentOf(relayer, buyer) is False


def test_buy_for_pays_with_the_agents_money_and_the_order_is_the_buyers(
    data_sales, dollar, buyer, agent, listing, purchase, clock
):
    order = order_of(data_sales, listing, buyer, purchase)
    assert plain(data_sales.buyFor.call(buyer, listing, purchase, {"from": agent})) == order.id_at(data_sales)

    transaction = data_sales.buyFor(buyer, listing, purchase, {"from": agent})

    bought, paid = events_of(transaction)
    assert bought[1][:3] == (order.id_at(data_sales), order.listing_id, buyer.address)
    assert paid == ("Transfer", (agent.address, data_sales.address, order.price))
    clock.pass_by(listing.terms.deliver_within)
    data_sales.refund(order, listing, {"from": agent})
    assert (data_sales.creditOf(dollar, buyer), data_sales.creditOf(dollar, agent)) == (order.price, 0)


def test_buy_for_is_refused_when_the_buyer_has_not_allowed_it_or_no_longer_does(
    data_sales, buyer, second_buyer, agent, listing, purchase
):
    """[attack] An order in another's name would use up places, and nonces."""
    with reverts("NotAnAgent", agent, second_buyer):
        data_sales.buyFor(second_buyer, listing, purchase, {"from": agent})
    with reverts("NotAnAgent", buyer, agent):
        data_sales.buyFor(agent, listing, purchase, {"from": buyer})
    data_sales.allowAgent(agent, False, {"from": buyer})
    with reverts("NotAnAgent", agent, buyer):
        data_sales.buyFor(buyer, listing, purchase, {"from": agent})


def test_buy_for_never_spends_the_buyers_money(data_sales, dollar, buyer, agent, listing, purchase, rich_buyers):
    dollar.approve(data_sales, 0, {"from": agent})
    before = dollar.balanceOf(buyer)

    with reverts("ERC20InsufficientAllowance", data_sales, 0, listing.terms.price):
        data_sales.buyFor(buyer, listing, purchase, {"from": agent})
    assert dollar.balanceOf(buyer) == before


def test_buy_for_is_refused_when_the_buyer_may_not_buy(
    data_sales, institutions, admin, buyer, agent, listing, purchase
):
    """The buyer's standing counts, not the agent's."""
    institutions.suspend(buyer, {"from": admin})

    with reverts("BuyerNotInGoodStanding", buyer):
        data_sales.buyFor(buyer, listing, purchase, {"from": agent})


def test_buy_for_lets_the_buyer_dispute_and_not_the_agent(
    data_sales, hospital, buyer, agent, listing, purchase, masked
):
    data_sales.buyFor(buyer, listing, purchase, {"from": agent})
    order = order_of(data_sales, listing, buyer, purchase)
    data_sales.deliver(order, listing, masked, {"from": hospital})
    assert plain(data_sales.orderStatusOf(order.id_at(data_sales)))[0] == OrderState.DELIVERED
    proof = (bytes(32), 1, 1, 0, bytes(32), bytes(32), bytes(32), [])

    with reverts("NotTheBuyer", agent, buyer):
        data_sales.proveWrongKey(order, listing, masked, bytes(32), proof, {"from": agent})
