"""All or k: the buyer takes answers with enough patients, in one transaction, or nothing happens."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import claim_of
from demand import PER_PATIENT, Volunteer, answer_of
from observed import events_of, plain
from refusals import reverts
from sales import Use, digest, order_of

from medibridge.chain.requests import RequestState
from medibridge.chain.sales import ListingState, OrderState
from medibridge.ids import PurposeOfUse


@pytest.fixture
def second_answer(system: Any, requests: Any, second_hospital: Any, relayer: Any, asked: Any, answered: Any) -> Any:
    """Another custodian answers with one patient of its own."""
    volunteer = Volunteer.named("elsewhere")
    volunteer.consent(system.consents, second_hospital, relayer)
    answer = answer_of(system, second_hospital, [volunteer], asked, "second")
    requests.answer(asked, answer.listing, answer.joiners, {"from": second_hospital})
    return answer


@pytest.fixture
def unchanged(requests: Any, data_sales: Any, dollar: Any, buyer: Any, asked: Any, answered: Any) -> Any:
    """Whatever happens in the test, the request stands as it stood."""

    def state() -> Any:
        request_id = asked.id_at(requests)
        return (
            plain(requests.requestStatusOf(request_id)),
            requests.patientsOf(request_id, answered.listing.id_at(data_sales)),
            [dollar.balanceOf(x) for x in (requests, data_sales, buyer)],
        )

    before = state()
    yield
    assert state() == before


def test_take_buys_an_answer_and_gives_the_rest_of_the_budget_back(
    requests, data_sales, dollar, buyer, asked, answered, purchase
):
    held, had = dollar.balanceOf(data_sales), dollar.balanceOf(buyer)
    price = 3 * PER_PATIENT

    transaction = requests.take(asked, [answered.listing], [purchase], {"from": buyer})

    order = order_of(data_sales, answered.listing, buyer, purchase)
    request_id = asked.id_at(requests)
    happened = events_of(transaction)
    assert happened[0] == ("Taken", (request_id, 3, price))
    assert [values[:3] for name, values in happened if name == "Bought"] == [
        (order.id_at(data_sales), order.listing_id, buyer.address)
    ]
    assert plain(data_sales.orderStatusOf(order.id_at(data_sales)))[0] == OrderState.PAID
    assert plain(requests.requestStatusOf(request_id)) == (RequestState.TAKEN, 3)
    assert requests.patientsOf(request_id, order.listing_id) == 0
    assert dollar.balanceOf(data_sales) == held + price
    assert dollar.balanceOf(buyer) == had + asked.budget - price
    assert dollar.balanceOf(requests) == dollar.allowance(requests, data_sales) == 0


def test_take_buys_answers_of_several_custodians_in_one(
    requests, data_sales, dollar, buyer, asked, answered, second_answer, purchase
):
    purchases = [purchase, purchase._replace(commitment=digest("another"))]

    transaction = requests.take(asked, [answered.listing, second_answer.listing], purchases, {"from": buyer})

    assert events_of(transaction)[0][1][1:] == (4, 4 * PER_PATIENT)
    for listing, each in zip((answered.listing, second_answer.listing), purchases, strict=True):
        order_id = order_of(data_sales, listing, buyer, each).id_at(data_sales)
        assert plain(data_sales.orderStatusOf(order_id))[0] == OrderState.PAID
    assert dollar.balanceOf(requests) == 0


def test_take_ends_with_each_patient_paid_the_same_at_a_fresh_account(
    requests, data_sales, dollar, hospital, buyer, stranger, cohort, asked, answered, purchase, clock
):
    """From a wish to the money: nobody of the patients sent a transaction."""
    requests.take(asked, [answered.listing], [purchase], {"from": buyer})
    order = order_of(data_sales, answered.listing, buyer, purchase)
    data_sales.deliver(order, answered.listing, digest("masked"), {"from": hospital})
    clock.pass_by(answered.listing.terms.dispute_within)
    data_sales.settle(order, answered.listing, {"from": stranger})

    for volunteer in cohort:
        share, proof = claim_of(answered.tree, volunteer.address)
        data_sales.claim(answered.listing, share, proof, {"from": stranger})

    each = data_sales.partsOf(answered.listing)[2] // 3
    assert [data_sales.creditOf(dollar, volunteer.payout) for volunteer in cohort] == [each] * 3
    assert each >= PER_PATIENT // 2


def test_take_works_after_the_end_and_when_the_budget_is_spent_to_the_last_unit(
    requests, data_sales, dollar, system, buyer, hospital, wish, cohort, purchase, answer, asked, clock
):
    exact = wish._replace(budget=3 * PER_PATIENT, nonce=1)
    requests.ask(exact, {"from": buyer})
    requests.answer(exact, answer.listing, answer.joiners, {"from": hospital})
    clock.move_to(exact.until)
    had = dollar.balanceOf(buyer)

    transaction = requests.take(exact, [answer.listing], [purchase], {"from": buyer})

    paid = [values[:2] for name, values in events_of(transaction) if name == "Transfer"]
    assert paid == [(requests.address, data_sales.address)], "nothing goes back"
    assert dollar.balanceOf(buyer) == had


def test_take_is_refused_seven_days_after_the_end(requests, buyer, asked, answered, purchase, clock):
    end = asked.until + 7 * 86_400
    clock.move_to(end)

    with reverts("RequestEnded", asked.id_at(requests), end, end):
        requests.take(asked, [answered.listing], [purchase], {"from": buyer})


def test_take_works_in_the_last_second_of_these_seven_days(requests, buyer, asked, answered, purchase, clock):
    clock.move_to(asked.until + 7 * 86_400 - 1)

    requests.take(asked, [answered.listing], [purchase], {"from": buyer})


def test_answer_is_bought_by_take_alone(requests, data_sales, buyer, asked, answered, purchase):
    """[attack] Around the fewest patients, and around the uses that they allowed."""
    with reverts("ReservedFor", requests, buyer):
        data_sales.buy(answered.listing, purchase, {"from": buyer})


def test_take_is_refused_when_another_sends_it(
    requests, second_buyer, hospital, buyer, asked, answered, purchase, unchanged
):
    """[attack] With a commitment of one's own, the key would be the thief's."""
    for thief in (second_buyer, hospital):
        with reverts("NotTheAsker", thief, buyer):
            requests.take(asked, [answered.listing], [purchase], {"from": thief})


def test_take_is_refused_when_it_was_taken_or_never_asked(requests, buyer, asked, answered, purchase):
    never = asked._replace(nonce=9)
    with reverts("RequestNotOpen", never.id_at(requests), RequestState.NONE):
        requests.take(never, [answered.listing], [purchase], {"from": buyer})
    requests.take(asked, [answered.listing], [purchase], {"from": buyer})
    with reverts("RequestNotOpen", asked.id_at(requests), RequestState.TAKEN):
        requests.take(asked, [answered.listing], [purchase], {"from": buyer})


def test_take_is_refused_when_purchases_are_missing(requests, buyer, asked, answered, purchase, unchanged):
    for purchases in ([], [purchase, purchase]):
        with reverts("PurchasesMissing", 1, len(purchases)):
            requests.take(asked, [answered.listing], purchases, {"from": buyer})


def test_take_is_refused_when_a_listing_is_no_answer_or_stands_twice(
    requests, data_sales, buyer, asked, answered, purchase, unchanged
):
    other = answered.listing.offering(nonce=9)
    with reverts("NotAnAnswer", asked.id_at(requests), other.id_at(data_sales)):
        requests.take(asked, [other], [purchase], {"from": buyer})
    twice = [purchase, purchase._replace(nonce=1)]
    with reverts("NotAnAnswer", asked.id_at(requests), answered.listing.id_at(data_sales)):
        requests.take(asked, [answered.listing] * 2, twice, {"from": buyer})


def test_take_is_refused_when_the_answer_is_to_another_request(
    requests, data_sales, buyer, wish, asked, answered, purchase
):
    """[attack] Patients who joined one request, counted for another."""
    another = wish._replace(nonce=1)
    requests.ask(another, {"from": buyer})

    with reverts("NotAnAnswer", another.id_at(requests), answered.listing.id_at(data_sales)):
        requests.take(another, [answered.listing], [purchase], {"from": buyer})


def test_take_is_refused_when_there_are_too_few_patients(
    requests, buyer, asked, answered, second_answer, purchase, unchanged
):
    """All or k: one patient where two are the fewest, and none at all."""
    with reverts("TooFewPatients", asked.id_at(requests), 1, 2):
        requests.take(asked, [second_answer.listing], [purchase], {"from": buyer})
    with reverts("TooFewPatients", asked.id_at(requests), 0, 2):
        requests.take(asked, [], [], {"from": buyer})


def test_take_is_refused_when_the_answers_cost_more_than_the_budget(
    requests, buyer, hospital, wish, answer, asked, purchase
):
    tight = wish._replace(budget=3 * PER_PATIENT - 1, nonce=1)
    requests.ask(tight, {"from": buyer})
    requests.answer(tight, answer.listing, answer.joiners, {"from": hospital})

    with reverts("BudgetExceeded", tight.id_at(requests), 3 * PER_PATIENT, 3 * PER_PATIENT - 1):
        requests.take(tight, [answer.listing], [purchase], {"from": buyer})


def test_take_is_refused_when_the_buyer_has_not_allowed_it(
    requests, data_sales, buyer, asked, answered, purchase, unchanged
):
    data_sales.allowAgent(requests, False, {"from": buyer})

    with reverts("NotAnAgent", requests, buyer):
        requests.take(asked, [answered.listing], [purchase], {"from": buyer})


def test_take_of_several_is_refused_as_a_whole_when_one_is_gone(
    requests, data_sales, hospital, buyer, asked, answered, second_answer, purchase, unchanged
):
    """[attack] A custodian withdraws at the last moment: nothing is half bought, and the rest can be taken alone."""
    data_sales.unlist(answered.listing, {"from": hospital})

    with reverts("ListingNotLive", answered.listing.id_at(data_sales), ListingState.WITHDRAWN):
        requests.take(
            asked,
            [second_answer.listing, answered.listing],
            [purchase, purchase._replace(nonce=1)],
            {"from": buyer},
        )


@pytest.mark.parametrize("use", [Use(purpose=PurposeOfUse.HMARKT), Use(disease=5148)], ids=["marketing", "a disease"])
def test_take_is_refused_when_the_declared_use_is_another(
    requests, data_sales, buyer, asked, answered, purchase, unchanged, use
):
    """[attack] Asked for one thing, bought for another: also where the terms would permit it."""
    with reverts("UseIsNotAsRequested", asked.id_at(requests), answered.listing.id_at(data_sales)):
        requests.take(asked, [answered.listing], [purchase._replace(use=use)], {"from": buyer})


def test_take_is_refused_when_there_are_more_patients_than_asked_for(
    requests, buyer, hospital, second_hospital, system, relayer, wish, answer, asked, purchase
):
    few = wish._replace(most=3, nonce=1)
    requests.ask(few, {"from": buyer})
    requests.answer(few, answer.listing, answer.joiners, {"from": hospital})
    volunteer = Volunteer.named("one too many")
    volunteer.consent(system.consents, second_hospital, relayer)
    second = answer_of(system, second_hospital, [volunteer], few, "second")
    requests.answer(few, second.listing, second.joiners, {"from": second_hospital})

    with reverts("TooManyPatients", few.id_at(requests), 4, 3):
        both = [purchase, purchase._replace(nonce=1)]
        requests.take(few, [answer.listing, second.listing], both, {"from": buyer})


def test_take_leaves_the_budgets_of_others_alone(
    requests, dollar, admin, second_buyer, buyer, wish, asked, answered, purchase
):
    other = wish._replace(buyer=second_buyer.address)
    dollar.mint(second_buyer, other.budget, {"from": admin})
    dollar.approve(requests, other.budget, {"from": second_buyer})
    requests.ask(other, {"from": second_buyer})

    requests.take(asked, [answered.listing], [purchase], {"from": buyer})

    assert dollar.balanceOf(requests) == other.budget
