"""`Requester`: a buyer asks, reads the answers, takes enough of them at once, or has the budget back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from crowd import PER_PATIENT, Crowd, archive_of
from world import DAY, LABORATORY, MONEY, World

from medibridge.chain import OrderState, RequestState
from medibridge.chain.refusals import (
    AskerNotInGoodStanding,
    BudgetExceeded,
    InvalidRequest,
    NotAnAnswer,
    RequestEnded,
    RequestNotOpen,
    RequestStillOpen,
    ReservedFor,
    TooFewPatients,
)
from medibridge.errors import AccessError, BlockAltered, BlockMissing, NotEnoughFunds, RecordUnknown, UsageError
from medibridge.ids import cid_of, digest_of_cid
from medibridge.roles.inspection import Verdict
from medibridge.roles.matching import AnswerTerms
from medibridge.roles.requests import EVERYBODY, profile_in, wanted_by

TERMS = AnswerTerms(LABORATORY)
GROUP = {
    "resourceType": "Group",
    "type": "person",
    "actual": False,
    "characteristic": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
            "valueRange": {"low": {"value": 7, "unit": "%"}},
            "exclude": False,
        }
    ],
}


@pytest.fixture
def crowd(world: World) -> Crowd:
    crowd = Crowd(world, 7)
    crowd.consent()
    return crowd


def answered(crowd: Crowd, posted, people, note: str = "first"):
    offers = [crowd.offer(person) for person in people]
    return crowd.responder().answer_request(posted, TERMS, offers, archive_of(note), [one.address for one in people])


def test_ask_pays_the_budget_in_and_says_whom_it_is_about(world: World, crowd: Crowd) -> None:
    held = world.system.token.balance_of(world.buyer.address)
    posted = crowd.ask(profile=GROUP)

    assert (posted.state, posted.joined, posted.request.budget) == (RequestState.OPEN, 0, 9 * PER_PATIENT)
    assert world.system.token.balance_of(world.buyer.address) == held - 9 * PER_PATIENT
    assert crowd.requester().requests() == [posted]
    assert crowd.requester().request(posted.name[:10]) == posted
    wanted = wanted_by(world.bridge, posted.request)
    assert (wanted.criteria, dict(wanted.profile)) == ("adults with diabetes", GROUP)
    assert crowd.responder().requests() == [posted]
    with pytest.raises(RecordUnknown, match="0 requests have a name"):
        crowd.requester().request("zz")


def test_ask_refuses_what_the_account_cannot_pay_and_what_is_no_request(world: World, crowd: Crowd) -> None:
    with pytest.raises(NotEnoughFunds, match=f"holds {MONEY}"):
        crowd.ask(budget=MONEY + 1)
    with pytest.raises(InvalidRequest):
        crowd.ask(fewest=5, most=4)
    with pytest.raises(UsageError, match="1 to"):
        crowd.requester().ask("", {LABORATORY}, crowd.ask().request.use, price_per_patient=1, fewest=1, most=1,
                              until=world.now() + DAY)  # fmt: skip
    world.system.institutions.suspend(world.accounts["admin"], world.buyer.address)
    with pytest.raises(AskerNotInGoodStanding) as caught:
        crowd.ask()
    assert caught.value.buyer == world.buyer.address


@pytest.mark.parametrize(
    "profile",
    [
        EVERYBODY | {"resourceType": "List"},
        EVERYBODY | {"actual": True},
        EVERYBODY | {"member": [{"entity": {"reference": "Patient/1"}}]},
        EVERYBODY | {"type": "dreams"},
        EVERYBODY | {"characteristic": [{"colour": "blue"}]},
    ],
)
def test_ask_refuses_a_profile_that_is_none(world: World, crowd: Crowd, profile) -> None:
    with pytest.raises(UsageError, match="the profile"):
        crowd.ask(profile=profile)
    assert crowd.requester().requests() == []


@pytest.mark.parametrize("text", [b"", b"7", b"[]", b"\xff", b'{"resourceType": "Patient"}'])
def test_profile_in_refuses_what_is_no_group(text: bytes) -> None:
    with pytest.raises(UsageError, match="profile"):
        profile_in(text)


def test_wanted_by_tells_when_the_buyer_s_blocks_are_gone_or_no_text(world: World, crowd: Crowd) -> None:
    posted = crowd.ask()
    world.forget([posted.request.criteria])
    with pytest.raises(BlockMissing):
        wanted_by(world.bridge, posted.request)
    block = digest_of_cid(world.store.put(b"\xff\xfe"))
    with pytest.raises(UsageError, match="no text"):
        wanted_by(world.bridge, replace(posted.request, criteria=block))


def test_take_buys_all_answers_at_once_and_the_rest_of_the_budget_comes_back(world: World, crowd: Crowd) -> None:
    """The honest story from the buyer's side: two answers, one transaction, two orders, both delivered and opened."""
    held = world.system.token.balance_of(world.buyer.address)
    posted = crowd.ask()
    answered(crowd, posted, crowd.people[:2], "one")
    answered(crowd, posted, crowd.people[2:5], "two")
    requester = crowd.requester()
    answers = requester.answers(posted)
    assert [answer.patients for answer in answers] == [2, 3]
    assert requester.request(posted.name).joined == 5

    inspected = [requester.inspect_answer(posted, answer) for answer in answers]
    taken = requester.take(posted, inspected)

    assert (taken.patients, taken.paid_in_units) == (5, 5 * PER_PATIENT)
    assert world.system.token.balance_of(world.buyer.address) == held - 5 * PER_PATIENT
    assert requester.request(posted.name).state is RequestState.TAKEN
    purchases = requester.purchases()
    assert [purchase.state for purchase in purchases] == [OrderState.PAID] * 2
    assert len(crowd.responder().deliver()) == 2
    contents = [b"".join(requester.content(purchase)) for purchase in requester.purchases()]
    assert contents == [archive_of("one").getvalue(), archive_of("two").getvalue()]
    with pytest.raises(RequestNotOpen):
        requester.take(posted, inspected)
    with pytest.raises(AccessError, match="places: all 1 are taken"):
        requester.take(posted, [requester.inspect_answer(posted, answers[0])])


def test_take_refuses_below_the_fewest_and_everybody_has_all_back(world: World, crowd: Crowd) -> None:
    """All or k: two of three patients are not bought."""
    held = world.system.token.balance_of(world.buyer.address)
    posted = crowd.ask()
    made = answered(crowd, posted, crowd.people[:2])
    requester = crowd.requester()
    (answer,) = requester.answers(posted)
    inspected = requester.inspect_answer(posted, answer)
    with pytest.raises(TooFewPatients) as caught:
        requester.take(posted, [inspected])
    assert (caught.value.patients, caught.value.fewest) == (2, 3)
    with pytest.raises(RequestStillOpen):
        requester.close(posted)
    world.travel_to(posted.request.until)
    requester.close(posted)
    assert world.system.token.balance_of(world.buyer.address) == held
    assert requester.request(posted.name).state is RequestState.CLOSED
    (released,) = crowd.responder().retire()
    assert released.amount_in_units == made.listing.terms.bond
    assert crowd.responder().retire() == []


def test_take_refuses_twice_the_same_answer_anothers_listing_and_more_than_the_budget(
    world: World, crowd: Crowd
) -> None:
    posted = crowd.ask(budget=4 * PER_PATIENT)
    answered(crowd, posted, crowd.people[:3], "one")
    answered(crowd, posted, crowd.people[3:5], "two")
    requester = crowd.requester()
    first, second = [requester.inspect_answer(posted, answer) for answer in requester.answers(posted)]
    with pytest.raises(NotAnAnswer):
        requester.take(posted, [first, first])
    with pytest.raises(BudgetExceeded) as caught:
        requester.take(posted, [first, second])
    assert caught.value.price_in_units == 5 * PER_PATIENT
    other = crowd.ask()
    with pytest.raises(NotAnAnswer):
        requester.take(other, [first])
    with pytest.raises(UsageError, match="at least one answer"):
        requester.take(posted, [])
    assert requester.take(posted, [first]).patients == 3


def test_take_needs_what_inspect_made_and_inspect_finds_what_is_gone_or_false(world: World, crowd: Crowd) -> None:
    """Nobody takes without inspecting: only `inspect_answer` makes what `take` takes, and it reads every byte."""
    posted = crowd.ask()
    answered(crowd, posted, crowd.people[:3])
    requester = crowd.requester()
    (answer,) = requester.answers(posted)
    manifest = world.bridge.sealed(answer.offer.listing.manifest, answer.offer.listing.seal_id)
    cid = cid_of(manifest.blocks[0])
    block = world.blocks.pop(cid)
    with pytest.raises(BlockMissing):
        requester.inspect_answer(posted, answer)
    world.blocks[cid] = block[:-1] + bytes([block[-1] ^ 1])
    with pytest.raises(BlockAltered):
        requester.inspect_answer(posted, answer)


def test_take_refuses_an_answer_that_was_frozen_meanwhile(world: World, crowd: Crowd) -> None:
    posted = crowd.ask()
    made = answered(crowd, posted, crowd.people[:3])
    requester = crowd.requester()
    (answer,) = requester.answers(posted)
    world.travel(10)
    crowd.revoke(crowd[0])
    mine = next(one for one in made.contributions if one.patient == crowd[0].address)
    crowd.contributor(crowd[0]).freeze(made.listing, mine)
    with pytest.raises(AccessError, match="listing: frozen"):
        requester.take(posted, [requester.inspect_answer(posted, answer)])


@pytest.mark.parametrize(("field", "value"), [(7, 1 << 30), (8, (31, 0, 0, 0)), (8, (16, 1 << 31, 0, 0))])
def test_requests_stop_for_nobody_when_one_has_a_number_without_a_name(
    world: World, crowd: Crowd, field: int, value
) -> None:
    """[attack] The contract takes classes, purposes and kinds of research without a name from any enrolled buyer."""
    posted = crowd.ask()
    requests, token = world.system.requests, world.system.token
    strange = list(posted.request.as_abi())
    strange[field] = value
    token.approve(world.accounts["buyer"], requests.address, posted.request.budget)
    world.chain.send(world.accounts["buyer"], requests._contract.functions.ask(tuple(strange)))
    assert len(requests.requested()) == 2
    assert crowd.requester().requests() == [posted] == crowd.responder().requests()


def test_take_alone_buys_an_answer_and_inspect_says_so(world: World, crowd: Crowd) -> None:
    posted = crowd.ask()
    made = answered(crowd, posted, crowd.people[:3])
    requester = crowd.requester()
    (answer,) = requester.answers(posted)
    inspected = requester.inspect_answer(posted, answer)
    (found,) = [finding for finding in inspected.findings if finding.about == "reserved"]
    assert (found.verdict, "request take" in found.seen) == (Verdict.WARNING, True)
    with pytest.raises(ReservedFor):
        requester.buy(inspected)
    assert world.system.requests.patients_of(posted.request_id, made.listing_id) == 3


def test_take_is_refused_from_seven_days_after_the_end_on(world: World, crowd: Crowd) -> None:
    posted = crowd.ask()
    answered(crowd, posted, crowd.people[:3])
    requester = crowd.requester()
    (answer,) = requester.answers(posted)
    inspected = requester.inspect_answer(posted, answer)
    world.travel_to(posted.request.until + 7 * DAY)
    with pytest.raises(RequestEnded) as caught:
        requester.take(posted, [inspected])
    assert caught.value.until == posted.request.until + 7 * DAY
