"""`Responder`: a custodian answers with exactly the patients who offered and consent; nothing is left half done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from crowd import PER_PATIENT, Crowd, archive_of, watched
from world import DAY, HOUR, LABORATORY, MEDICATIONS, World

from medibridge import Kind, PurposeOfUse
from medibridge.chain import Conditions, DuoTerm, ListingState, RequestState, Use
from medibridge.chain.data_use import Research
from medibridge.chain.refusals import (
    ContributorsAreNot,
    JoinedAlready,
    JoinerDoesNotConsent,
    OfferDoesNotFit,
    OfferNotSigned,
    PriceIsNot,
    RequestEnded,
    TooManyPatients,
)
from medibridge.chain.requests import Joiner, OfferFault
from medibridge.errors import MalformedDocument, NotPermitted, UsageError
from medibridge.roles.contributions import Contribution
from medibridge.roles.matching import AnswerTerms
from medibridge.sealing.hpke import Place

TERMS = AnswerTerms(LABORATORY)


@pytest.fixture
def crowd(world: World) -> Crowd:
    crowd = Crowd(world, 5)
    crowd.consent()
    return crowd


def answer(crowd: Crowd, posted, offers, people=None, note: str = "first", terms=TERMS, bridge=None):
    patients = [person.address for person in (crowd.people if people is None else people)]
    return crowd.responder(bridge).answer_request(posted, terms, offers, archive_of(note), patients)


def raw_answer(crowd: Crowd, posted, offers, *, listed=None, price: int | None = None):
    """What a custodian sends who skips every check of this library: seals, lists and answers with these offers."""
    responder, world = crowd.responder(), crowd.world
    staged = archive_of("raw")
    tree = responder._tree(posted, b"raw", listed or offers)
    sealed = responder.seal_for(tree, staged, len(staged.getvalue()), LABORATORY)
    reward = world.system.data_sales.least_reward_of(posted.request.token)
    terms = TERMS.for_request(posted, world.system.requests.address, len(offers), reward=reward, nonce=1)
    terms = terms if price is None else replace(terms, price=price, security=price)
    responder._offer(sealed.description, terms)
    listing = responder._listing(sealed.description, terms)
    by_patient = {signed.offer.patient: signed for signed in offers}
    ordered = offers if listed else [by_patient[share.patient] for share in tree.shares]
    joiners = [Joiner(one.offer, one.signature, responder._salt(posted, b"raw", one)) for one in ordered]
    return world.system.requests.answer(world.accounts["hospital"], posted.request, listing, joiners)


def test_answer_pays_every_joiner_the_same_and_uses_each_offer_once(world: World, crowd: Crowd) -> None:
    posted, offers = crowd.ask(), crowd.offers()
    made = answer(crowd, posted, offers)

    assert made.event is not None
    assert (made.event.patients, made.event.listing_id) == (5, made.listing_id)
    assert made.listing.terms.price == made.listing.terms.security == 5 * PER_PATIENT
    assert made.listing.terms.reserved_for == world.system.requests.address
    assert {one.patient for one in made.contributions} == {person.address for person in crowd.people}
    assert {one.payout for one in made.contributions} == {signed.offer.payout for signed in offers}
    assert [crowd.offerer(crowd[0]).standing(signed.offer).left for signed in offers] == [2] * 5
    requester = crowd.requester()
    requester.take(posted, [requester.inspect_answer(posted, one) for one in requester.answers(posted)])
    crowd.responder().deliver()
    world.travel(DAY + 1)
    crowd.responder().settle()
    each = world.system.data_sales.parts_of(made.listing).patients // 5
    for one in made.contributions:
        (claimed,) = crowd.contributor(crowd[0]).claim(Contribution.from_json(one.to_json()))
        assert (claimed.payout, claimed.amount_in_units) == (one.payout, each)


def test_requests_tell_only_what_can_be_answered_now(world: World, crowd: Crowd) -> None:
    open_, over = crowd.ask(), crowd.ask(until=world.now() + HOUR)
    assert [one.name for one in crowd.responder().requests()] == [open_.name, over.name]
    world.travel(HOUR)
    assert crowd.responder().requests() == [open_]
    assert crowd.responder().request(open_.name[:9]) == open_
    crowd.requester().close(over)
    assert [one.state for one in crowd.requester().requests()] == [RequestState.OPEN, RequestState.CLOSED]


@pytest.mark.parametrize(
    ("asked", "terms", "words"),
    [
        ({"classes": frozenset({MEDICATIONS})}, TERMS, "does not ask for laboratory"),
        ({"use": Use(research=frozenset({Research.ANCESTRY}))},
         AnswerTerms(LABORATORY, Conditions(terms=frozenset({DuoTerm.HMB}))), "research not covered"),
        ({}, AnswerTerms(LABORATORY, Conditions(terms=frozenset({DuoTerm.GRU, DuoTerm.IRB}))), "modifier not accepted"),
        ({}, AnswerTerms(LABORATORY, Conditions(kinds_allowed=frozenset({Kind.HOSPITAL}))), "buyer kind not allowed"),
    ],
)  # fmt: skip
def test_hindrance_says_in_words_why_a_request_cannot_be_answered(crowd: Crowd, asked, terms, words) -> None:
    posted = crowd.ask(**asked)
    assert words in crowd.responder().hindrance(posted, terms)
    with pytest.raises(NotPermitted, match=words):
        answer(crowd, posted, crowd.offers(), terms=terms)


def test_hindrance_is_the_token_when_it_is_another(world: World, crowd: Crowd) -> None:
    posted = crowd.ask()
    other = replace(posted, request=replace(posted.request, token=world.system.records.address))
    assert "another token" in crowd.responder().hindrance(other, TERMS)


def cancelled(crowd: Crowd):
    signed = crowd.offer(crowd[0])
    crowd.offerer(crowd[0]).cancel(signed.offer)
    return signed


def all_cancelled(crowd: Crowd):
    signed = crowd.offer(crowd[0])
    crowd.offerer(crowd[0]).cancel_all()
    return signed


def used_up(crowd: Crowd):
    signed = crowd.offer(crowd[0], uses=1)
    answer(crowd, crowd.ask(), [signed], [crowd[0]], "earlier")
    return signed


def ended(crowd: Crowd):
    signed = crowd.offer(crowd[0], until=crowd.world.now() + HOUR)
    crowd.world.travel(HOUR)
    return signed


def without_consent(crowd: Crowd):
    crowd.world.travel(10)
    crowd.revoke(crowd[0])
    return crowd.offer(crowd[0])


def unsigned(crowd: Crowd):
    return replace(crowd.offer(crowd[0]), signature=crowd.offer(crowd[1]).signature)


FAULTS = [
    (lambda c: c.offer(c[0], seller=c.world.laboratory.address), OfferFault.OTHER_SELLER, "for another custodian"),
    (cancelled, OfferFault.CANCELLED, "cancelled"),
    (all_cancelled, OfferFault.CANCELLED, "cancelled"),
    (used_up, OfferFault.USED_UP, "used up"),
    (ended, OfferFault.ENDED, "time is over"),
    (lambda c: c.offer(c[0], classes=frozenset({MEDICATIONS})), OfferFault.CLASS_NOT_OFFERED, "class of data"),
    (lambda c: c.offer(c[0], purposes=frozenset({PurposeOfUse.HMARKT})), OfferFault.PURPOSE_NOT_OFFERED, "purpose"),
    (lambda c: c.offer(c[0], kinds_allowed=frozenset({Kind.HOSPITAL})), OfferFault.BUYER_KIND_NOT_ALLOWED, "kind"),
    (lambda c: c.offer(c[0], kinds_denied=frozenset({Kind.BUYER})), OfferFault.BUYER_KIND_NOT_ALLOWED, "kind"),
    (lambda c: c.offer(c[0], least=PER_PATIENT), OfferFault.PAYS_TOO_LITTLE, "pays less"),
]


@pytest.mark.parametrize(("make", "fault", "words"), FAULTS)
def test_match_judges_an_offer_as_the_contract_does(world: World, crowd: Crowd, make, fault, words) -> None:
    """Each fault is named before anything is sent; and a custodian who sends it all the same is refused with it."""
    bad = make(crowd)
    posted, good = crowd.ask(), [crowd.offer(person) for person in crowd.people[1:]]
    matches = crowd.responder().match(posted, TERMS, [bad, *good])
    assert [match.fits for match in matches] == [False, True, True, True, True]
    assert (matches[0].fault, matches[0].patient) == (fault, crowd[0].address)
    assert words in matches[0].problem
    before = len(world.system.data_sales.listed())
    with pytest.raises(NotPermitted, match=rf"1 of 5 patients of the dataset cannot join .*{words}"):
        answer(crowd, posted, [bad, *good])
    assert len(world.system.data_sales.listed()) == before
    with pytest.raises(OfferDoesNotFit) as caught:
        raw_answer(crowd, posted, [bad, *good])
    assert (caught.value.patient, caught.value.fault) == (crowd[0].address, fault)


def test_match_leaves_out_who_did_not_sign_or_does_not_consent_or_signed_elsewhere(world: World, crowd: Crowd) -> None:
    posted = crowd.ask()
    forged = unsigned(crowd)
    elsewhere = replace(crowd.offer(crowd[1]), place=Place(1, world.system.requests.address))
    world.travel(10)
    crowd.revoke(crowd[2])
    bad = [forged, elsewhere, crowd.offer(crowd[2])]
    problems = [match.problem for match in crowd.responder().match(posted, TERMS, bad)]
    assert problems == [
        "the patient did not sign it",
        "it was signed for another market",
        "the patient's consent does not let you sell: no consent",
    ]
    with pytest.raises(OfferNotSigned) as unsigned_:
        raw_answer(crowd, posted, [forged])
    assert unsigned_.value.patient == crowd[0].address


def test_answer_with_a_patient_who_revoked_is_refused(world: World, crowd: Crowd) -> None:
    posted = crowd.ask()
    bad = without_consent(crowd)
    with pytest.raises(NotPermitted, match="consent does not let you sell"):
        answer(crowd, posted, [bad, crowd.offer(crowd[1])], crowd.people[:2])
    with pytest.raises(JoinerDoesNotConsent) as caught:
        raw_answer(crowd, posted, [bad])
    assert caught.value.patient == crowd[0].address


def test_answer_with_the_same_patient_twice_is_refused(world: World, crowd: Crowd) -> None:
    """Two offers of one patient count once, in one answer and in several."""
    posted = crowd.ask()
    twice = [crowd.offer(crowd[0]), crowd.offer(crowd[0], least=1)]
    assert [match.problem for match in crowd.responder().match(posted, TERMS, twice)] == [
        "",
        "another offer of this patient is used already",
    ]
    made = answer(crowd, posted, twice, [crowd[0]])
    assert made.listing.terms.price == PER_PATIENT
    with pytest.raises(NotPermitted, match="joined this request already"):
        answer(crowd, posted, [*twice, crowd.offer(crowd[1])], crowd.people[:2], "second")
    with pytest.raises(JoinedAlready) as caught:
        raw_answer(crowd, posted, [twice[1]])
    assert caught.value.patient == crowd[0].address


def test_answer_needs_an_offer_of_each_patient_of_the_dataset_and_no_other(world: World, crowd: Crowd) -> None:
    """The contributors are the joiners: nobody is paid whose data is not in it, and nobody is in it unpaid."""
    posted, offers = crowd.ask(), crowd.offers()
    with pytest.raises(NotPermitted, match=r"1 of 5 patients .*there is no offer"):
        answer(crowd, posted, offers[:4])
    made = answer(crowd, posted, offers, crowd.people[:3])
    assert made.listing.terms.price == 3 * PER_PATIENT
    with pytest.raises(ContributorsAreNot):
        raw_answer(crowd, posted, offers[3:4], listed=offers[4:5])
    with pytest.raises(UsageError, match="1 to 150 patients, not 0"):
        answer(crowd, posted, offers, [])


def test_answer_is_refused_above_the_most_and_after_the_end_and_at_another_price(world: World, crowd: Crowd) -> None:
    posted, offers = crowd.ask(most=4), crowd.offers()
    with pytest.raises(NotPermitted, match="takes at most 4 patients, not 5"):
        answer(crowd, posted, offers)
    with pytest.raises(TooManyPatients) as caught:
        raw_answer(crowd, posted, offers)
    assert (caught.value.patients, caught.value.most) == (5, 4)
    with pytest.raises(PriceIsNot):
        raw_answer(crowd, posted, offers[:2], price=2 * PER_PATIENT + 1)
    world.travel_to(posted.request.until)
    with pytest.raises(RequestEnded):
        raw_answer(crowd, posted, offers[:3])


def test_match_reckons_what_each_gets_for_as_many_as_fit(world: World, crowd: Crowd) -> None:
    """At 7 units for each, three parts of one price round down for all of them."""
    posted = crowd.ask(price_per_patient=7, budget=63)
    fee = world.system.data_sales.fee()[0]
    price = 7 * 5
    rest = price - price * fee // 10_000
    each = (rest - rest * 2_000 // 10_000) // 5
    offers = [crowd.offer(person, least=each) for person in crowd.people]
    assert all(match.fits for match in crowd.responder().match(posted, TERMS, offers))
    offers[0] = crowd.offer(crowd[0], least=each + 1)
    matches = crowd.responder().match(posted, TERMS, offers)
    assert matches[0].fault is OfferFault.PAYS_TOO_LITTLE
    assert crowd.responder().match(posted, TERMS, []) == []


def test_answer_again_answers_once_when_the_call_is_repeated(world: World, crowd: Crowd) -> None:
    posted, offers = crowd.ask(), crowd.offers()
    made = answer(crowd, posted, offers)
    again = answer(crowd, posted, offers)
    assert again.event is None
    assert (again.listing_id, again.contributions) == (made.listing_id, made.contributions)
    assert len(world.system.data_sales.listed()) == len(world.system.requests.answered()) == 1


class Cut(Exception):
    """The process is gone."""


def cut_before(world: World, function: str):
    """A bridge whose process ends before it calls this function of a contract."""

    def cut(name: str) -> None:
        if name == function:
            raise Cut

    return watched(world, cut)


@pytest.mark.parametrize("function", ["deposit", "list", "answer"])
def test_answer_is_completed_when_a_call_was_cut_off(world: World, crowd: Crowd, function: str) -> None:
    """Killed before a transaction: the same call again makes one deposit, one listing and one answer of it."""
    posted, offers = crowd.ask(), crowd.offers()
    with pytest.raises(Cut):
        answer(crowd, posted, offers, bridge=cut_before(world, function))
    made = answer(crowd, posted, offers)
    assert made.event is not None
    assert len(world.system.records.deposits(world.hospital.address)) == 1
    assert len(world.system.data_sales.listed()) == len(world.system.requests.answered()) == 1


def test_answer_that_the_contract_refuses_leaves_no_listing_and_no_bond_behind(world: World, crowd: Crowd) -> None:
    """A patient revokes between the custodian's last look and the answer."""
    posted, offers = crowd.ask(), crowd.offers()
    world.travel(10)

    def revoked_in_between(name: str) -> None:
        if name == "answer":
            crowd.revoke(crowd[3])

    with pytest.raises(JoinerDoesNotConsent):
        answer(crowd, posted, offers, bridge=watched(world, revoked_in_between))
    (listed,) = world.system.data_sales.listed()
    assert world.system.data_sales.listing_status(listed.listing_id).state is ListingState.RELEASED
    earned = crowd.responder().earnings()
    assert (earned.in_bonds, earned.credited) == (0, 5 * PER_PATIENT + 10_000_000)
    with pytest.raises(NotPermitted, match="no consent"):
        answer(crowd, posted, offers)
    crowd.consent(crowd[3])
    assert answer(crowd, posted, offers).event is not None


def test_answer_takes_its_listing_back_when_a_patient_left_before_it_was_completed(world: World, crowd: Crowd) -> None:
    posted, offers = crowd.ask(), crowd.offers()
    with pytest.raises(Cut):
        answer(crowd, posted, offers, bridge=cut_before(world, "answer"))
    (listed,) = world.system.data_sales.listed()
    assert world.system.data_sales.listing_status(listed.listing_id).state is ListingState.LIVE
    crowd.offerer(crowd[4]).cancel_all()
    with pytest.raises(NotPermitted, match="cancelled"):
        answer(crowd, posted, offers)
    assert world.system.data_sales.listing_status(listed.listing_id).state is ListingState.RELEASED
    fresh = [*offers[:4], crowd.offer(crowd[4])]
    assert answer(crowd, posted, fresh).event is not None


def test_answer_is_sealed_anew_when_its_blocks_are_gone(world: World, crowd: Crowd) -> None:
    posted, offers = crowd.ask(), crowd.offers()
    with pytest.raises(Cut):
        answer(crowd, posted, offers, bridge=cut_before(world, "list"))
    world.blocks.clear()
    made = answer(crowd, posted, offers)
    assert made.event is not None
    assert len(world.system.records.deposits(world.hospital.address)) == 2


def test_answer_refuses_a_journal_that_somebody_else_wrote_to(world: World, crowd: Crowd) -> None:
    posted, offers = crowd.ask(), crowd.offers()
    journal = world.journals["hospital"]
    answer(crowd, posted, offers)
    for key, value in journal._values.items():
        journal._values[key] = value[:-1] + bytes([value[-1] ^ 1])
    with pytest.raises(MalformedDocument, match="look among your listings"):
        answer(crowd, posted, offers)


def test_retire_leaves_answers_that_can_still_be_taken_and_those_that_were(world: World, crowd: Crowd) -> None:
    first, second = crowd.ask(fewest=1), crowd.ask(fewest=1)
    answer(crowd, first, [crowd.offer(crowd[0])], [crowd[0]], "one")
    answer(crowd, first, [crowd.offer(crowd[1])], [crowd[1]], "two")
    answer(crowd, second, [crowd.offer(crowd[2])], [crowd[2]], "three")
    assert crowd.responder().retire() == []
    requester = crowd.requester()
    requester.take(first, [requester.inspect_answer(first, requester.answers(first)[0])])
    assert len(crowd.responder().retire()) == 1
    assert [one.state for one in requester.requests()] == [RequestState.TAKEN, RequestState.OPEN]


def test_answer_takes_its_listing_back_when_it_is_repeated_on_other_terms(world: World, crowd: Crowd) -> None:
    posted, offers = crowd.ask(), crowd.offers()
    with pytest.raises(Cut):
        answer(crowd, posted, offers, bridge=cut_before(world, "answer"))
    (first,) = world.system.data_sales.listed()
    other = AnswerTerms(LABORATORY, custodian_share=1_000)
    made = answer(crowd, posted, offers, terms=other)
    assert made.listing.terms.custodian_share == 1_000
    assert world.system.data_sales.listing_status(first.listing_id).state is ListingState.RELEASED
    assert world.system.data_sales.listing_status(made.listing_id).state is ListingState.LIVE
    assert crowd.responder().earnings().in_bonds == made.listing.terms.bond
    assert len(world.system.records.deposits(world.hospital.address)) == 1


def test_answer_that_stands_is_kept_when_it_is_repeated_on_other_terms(world: World, crowd: Crowd) -> None:
    posted, offers = crowd.ask(), crowd.offers()
    made = answer(crowd, posted, offers)
    with pytest.raises(NotPermitted, match="stands on other terms"):
        answer(crowd, posted, offers, terms=AnswerTerms(LABORATORY, custodian_share=1_000))
    assert world.system.data_sales.listing_status(made.listing_id).state is ListingState.LIVE
    assert len(world.system.data_sales.listed()) == 1
