from __future__ import annotations

from observed import events_of, plain
from refusals import reverts

from medibridge.chain.requests import RequestState


def test_close_gives_the_budget_back_from_the_end_on_and_not_a_second_before(requests, dollar, buyer, asked, clock):
    had = dollar.balanceOf(buyer)
    clock.move_to(asked.until - 1)
    with reverts("RequestStillOpen", asked.id_at(requests), asked.until, asked.until - 1):
        requests.close(asked, {"from": buyer})

    clock.move_to(asked.until)
    transaction = requests.close(asked, {"from": buyer})

    assert events_of(transaction) == [
        ("Closed", (asked.id_at(requests),)),
        ("Transfer", (requests.address, buyer.address, asked.budget)),
    ]
    assert plain(requests.requestStatusOf(asked.id_at(requests)))[0] == RequestState.CLOSED
    assert dollar.balanceOf(buyer) == had + asked.budget
    assert dollar.balanceOf(requests) == 0


def test_close_works_though_enough_patients_joined(requests, buyer, asked, answered, clock):
    """The buyer has inspected the answers and wants none: who takes is the buyer's choice."""
    clock.move_to(asked.until)

    requests.close(asked, {"from": buyer})

    assert plain(requests.requestStatusOf(asked.id_at(requests))) == (RequestState.CLOSED, 3)


def test_close_works_when_buyer_and_token_are_out_of_favour(
    requests, institutions, data_sales, dollar, admin, buyer, asked, clock
):
    institutions.suspend(buyer, {"from": admin})
    data_sales.allowToken(dollar, 0, {"from": admin})
    clock.pass_by(10 * 365 * 86_400)

    requests.close(asked, {"from": buyer})

    assert dollar.balanceOf(requests) == 0


def test_close_is_refused_when_another_sends_it(requests, buyer, hospital, stranger, asked, clock):
    clock.move_to(asked.until)
    for who in (hospital, stranger):
        with reverts("NotTheAsker", who, buyer):
            requests.close(asked, {"from": who})


def test_close_is_refused_when_it_is_closed_taken_or_never_asked(
    requests, buyer, wish, asked, answered, purchase, clock
):
    """[attack] The budget twice, or once more after the purchase, out of another's."""
    requests.take(asked, [answered.listing], [purchase], {"from": buyer})
    other, never = wish._replace(nonce=1), wish._replace(nonce=2)
    requests.ask(other, {"from": buyer})
    clock.move_to(asked.until)
    with reverts("RequestNotOpen", asked.id_at(requests), RequestState.TAKEN):
        requests.close(asked, {"from": buyer})
    with reverts("RequestNotOpen", never.id_at(requests), RequestState.NONE):
        requests.close(never, {"from": buyer})

    requests.close(other, {"from": buyer})
    with reverts("RequestNotOpen", other.id_at(requests), RequestState.CLOSED):
        requests.close(other, {"from": buyer})


def test_close_inside_close_is_refused(requests, data_sales, ReenteringToken, institutions, admin, wish, clock):
    """[attack] The token is the buyer itself, and calls back while it is paid: the state was written before."""
    token = admin.deploy(ReenteringToken)
    data_sales.allowToken(token, 1, {"from": admin})
    institutions.enrol(token, 5, bytes(32), {"from": admin})
    own = wish._replace(buyer=token.address, token=token.address)
    token.mint(token, own.budget, {"from": admin})
    token.mint(requests, own.budget, {"from": admin})  # somebody else's
    token.execute(token, token.approve.encode_input(requests, own.budget), {"from": admin})
    token.execute(requests, requests.ask.encode_input(own), {"from": admin})
    clock.move_to(own.until)
    token.plan(requests, requests.close.encode_input(own), True, {"from": admin})

    transaction = token.execute(requests, requests.close.encode_input(own), {"from": admin})

    answers = [values[1] for name, values in events_of(transaction) if name == "Reentered"]
    assert answers == [False, True]
    assert token.balanceOf(requests) == own.budget
