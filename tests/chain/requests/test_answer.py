"""A custodian answers with patients who offered. Nobody is joined who did not sign, consent and fit; everybody who is
joined is paid."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from datasets import dataset_of
from decisions import ENDED, NO_CONSENT
from demand import PER_PATIENT, Joiner, Volunteer, answer_of
from observed import events_of, plain
from refusals import reverts
from sales import Conditions, listing_of, parts_of
from typed_data import NEVER, Grant, Revocation, offer_id, sign_offer, with_high_s

from medibridge.chain.data_use import UseDecision
from medibridge.chain.requests import OfferFault, RequestState
from medibridge.chain.sales import ListingState
from medibridge.ids import Address, DataClass, Lane, PurposeOfUse
from medibridge.sealing import contributors
from medibridge.sealing.contributors import Share, ShareTree

EACH = parts_of(3 * PER_PATIENT, 250, 3_000)[2] // 3
"""What each of three patients gets of their sale."""


@pytest.fixture
def send(requests: Any, hospital: Any, asked: Any, answer: Any) -> Any:
    """Answers the request; with other joiners, another listing or by another, if named."""

    def send(
        joiners: Any = answer.joiners, listing: Any = answer.listing, request: Any = asked, by: Any = hospital
    ) -> Any:
        return requests.answer(request, listing, list(joiners), {"from": by})

    return send


@pytest.fixture
def listing_id(data_sales: Any, answer: Any) -> bytes:
    return answer.listing.id_at(data_sales)


@pytest.fixture
def other_answer(system: Any, hospital: Any, cohort: Any, asked: Any) -> Any:
    """Lists another dataset of the cohort, under other terms."""
    names = iter(range(1, 100))
    return lambda **terms: answer_of(system, hospital, cohort, asked, next(names), **terms)


def test_answer_joins_every_patient_and_uses_every_offer_once(requests, hospital, asked, answer, listing_id, send):
    transaction = send()

    request_id = asked.id_at(requests)
    used = [("OfferUsed", (joiner.offer.patient, offer_id(requests, joiner.offer), 1)) for joiner in answer.joiners]
    assert events_of(transaction) == [*used, ("Answered", (request_id, listing_id, hospital.address, 3))]
    assert plain(requests.requestStatusOf(request_id)) == (RequestState.OPEN, 3)
    assert requests.patientsOf(request_id, listing_id) == 3
    for joiner in answer.joiners:
        assert requests.hasJoined(request_id, joiner.offer.patient) is True
        assert requests.usedOf(offer_id(requests, joiner.offer)) == 1


def test_answer_takes_the_offer_of_a_contract_wallet(
    system, requests, ContractWallet, consents, hospital, patient, asked, cohort
):
    wallet = patient.deploy(ContractWallet, patient)
    owner = Volunteer(wallet.address, patient.private_key)
    research = (DataClass.LABORATORY.bit, PurposeOfUse.HRESCH.bit)
    consent = Grant(wallet.address, hospital.address, *research, 0, NEVER, bytes(32), bytes(32))
    wallet.execute(consents, consents.grant.encode_input(consent), {"from": patient})
    answer = answer_of(system, hospital, [owner, cohort[2]], asked, "wallet")

    requests.answer(asked, answer.listing, answer.joiners, {"from": hospital})

    assert requests.hasJoined(asked.id_at(requests), wallet) is True


def test_answer_is_refused_when_there_is_no_such_request(requests, asked, send):
    forged = asked._replace(price_per_patient=1)

    with reverts("RequestNotOpen", forged.id_at(requests), RequestState.NONE):
        send(request=forged)


def test_answer_is_refused_from_the_end_on_to_the_second(requests, asked, send, clock):
    clock.move_to(asked.until)
    with reverts("RequestEnded", asked.id_at(requests), asked.until, asked.until):
        send()


def test_answer_works_in_the_last_second(asked, send, clock):
    clock.move_to(asked.until - 1)
    send()


def test_answer_is_refused_when_the_request_is_closed(requests, buyer, asked, send, clock):
    clock.move_to(asked.until)
    requests.close(asked, {"from": buyer})
    with reverts("RequestNotOpen", asked.id_at(requests), RequestState.CLOSED):
        send()


def test_answer_is_refused_when_the_listing_is_anothers_or_not_live(
    data_sales, hospital, second_hospital, answer, listing_id, send
):
    """[attack] Another custodian answers with it first, or with one that nobody can buy."""
    with reverts("ListingNotOffered", listing_id, ListingState.LIVE, hospital):
        send(by=second_hospital)
    never = answer.listing.offering(nonce=9)
    with reverts("ListingNotOffered", never.id_at(data_sales), ListingState.NONE, hospital):
        send(listing=never)
    data_sales.unlist(answer.listing, {"from": hospital})
    with reverts("ListingNotOffered", listing_id, ListingState.WITHDRAWN, hospital):
        send()


@pytest.mark.parametrize("kept_for", ["nobody", "the asker"])
def test_answer_is_refused_when_the_listing_is_not_kept_for_requests(
    requests, data_sales, buyer, asked, other_answer, send, kept_for
):
    """[attack] Sold to others as well, or to the asker with fewer patients than the request needs, or again."""
    reserved = "0x" + 40 * "0" if kept_for == "nobody" else buyer.address
    other = other_answer(reserved_for=reserved)

    with reverts("ListingDoesNotAnswer", asked.id_at(requests), other.listing.id_at(data_sales)):
        send(other.joiners, other.listing)


def test_answer_is_refused_when_the_class_is_not_asked_for(requests, buyer, wish, send, listing_id):
    notes = wish._replace(classes=DataClass.NOTES.bit)
    requests.ask(notes, {"from": buyer})

    with reverts("ListingDoesNotAnswer", notes.id_at(requests), listing_id):
        send(request=notes)


def test_answer_is_refused_when_the_token_is_another(
    requests, data_sales, NoReturnToken, admin, buyer, wish, listing_id, send
):
    token = admin.deploy(NoReturnToken)
    data_sales.allowToken(token, 1, {"from": admin})
    token.mint(buyer, wish.budget, {"from": admin})
    token.approve(requests, wish.budget, {"from": buyer})
    other = wish._replace(token=token.address)
    requests.ask(other, {"from": buyer})

    with reverts("ListingDoesNotAnswer", other.id_at(requests), listing_id):
        send(request=other)


def test_answer_is_refused_when_the_terms_do_not_permit_the_use(requests, asked, other_answer, send):
    narrow = other_answer(conditions=Conditions(purpose=PurposeOfUse.CLINTRCH))

    with reverts("RequestedUseNotPermitted", asked.id_at(requests), UseDecision.PURPOSE_NOT_COVERED):
        send(narrow.joiners, narrow.listing)


@pytest.mark.parametrize("surplus", [-1, 1])
def test_answer_is_refused_when_the_price_is_not_that_of_so_many(data_sales, other_answer, send, surplus):
    price = 3 * PER_PATIENT
    other = other_answer(price=price + surplus, security=2 * price)

    with reverts("PriceIsNot", other.listing.id_at(data_sales), price, price + surplus):
        send(other.joiners, other.listing)


def test_answer_is_refused_with_fewer_or_no_patients_for_the_price_of_all(answer, listing_id, send):
    """[attack] One patient left out of the offers, and paid nothing."""
    for joiners in (answer.joiners[:2], ()):
        with reverts("PriceIsNot", listing_id, len(joiners) * PER_PATIENT, 3 * PER_PATIENT):
            send(joiners)


def test_answer_is_refused_when_it_was_given_already(requests, asked, listing_id, send):
    send()

    with reverts("AnsweredAlready", asked.id_at(requests), listing_id):
        send()


def test_answer_is_refused_when_more_join_than_are_asked_for(requests, system, buyer, wish, send):
    few = wish._replace(most=2)
    requests.ask(few, {"from": buyer})

    with reverts("TooManyPatients", few.id_at(requests), 3, 2):
        send(request=few)


def test_answer_is_refused_when_a_patient_joined_in_another_answer(requests, other_answer, asked, send):
    """[attack] One person counted twice."""
    send()
    again = other_answer()
    first = again.joiners[0].offer.patient

    with reverts("JoinedAlready", asked.id_at(requests), first):
        send(again.joiners, again.listing)


def test_answer_takes_a_patient_anew_when_the_first_answer_was_withdrawn(
    requests, data_sales, hospital, other_answer, asked, answer, send
):
    """A custodian who must change an answer, or leaves, locks nobody out."""
    send()
    again = other_answer()
    patient = again.joiners[0].offer.patient
    data_sales.unlist(answer.listing, {"from": hospital})
    assert requests.hasJoined(asked.id_at(requests), patient) is False

    send(again.joiners, again.listing)

    assert requests.hasJoined(asked.id_at(requests), patient) is True


def test_answer_is_refused_when_a_patient_stands_twice_in_it(requests, answer, asked, send):
    """[attack] The same patient under two salts, or in two places."""
    first, _, third = answer.joiners

    with reverts("JoinedAlready", asked.id_at(requests), first.offer.patient):
        send([first, first, third])


FAULTS: dict[OfferFault, dict[str, Any]] = {
    OfferFault.USED_UP: {"uses": 0},
    OfferFault.ENDED: {"until": 2_000_000_000},
    OfferFault.CLASS_NOT_OFFERED: {"classes": DataClass.NOTES.bit},
    OfferFault.PURPOSE_NOT_OFFERED: {"purposes": PurposeOfUse.CLINTRCH.bit},
    OfferFault.BUYER_KIND_NOT_ALLOWED: {"kinds_denied": 1 << 5},
    OfferFault.OTHER_TOKEN: {"token": "0x" + 40 * "1"},
    OfferFault.PAYS_TOO_LITTLE: {"least": EACH + 1},
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_answer_is_refused_with_the_reason_when_an_offer_does_not_fit(
    requests, dollar, hospital, cohort, answer, send, fault
):
    """[attack] For a use, a buyer or a price that the patient did not offer."""
    patient = cohort[1]
    joiner = patient.joiner(requests, hospital, dollar, **FAULTS[fault])

    with reverts("OfferDoesNotFit", patient.address, fault):
        send(answer.with_joiner(joiner))


def test_answer_is_refused_when_only_other_kinds_of_buyers_are_allowed(
    requests, dollar, hospital, cohort, answer, send
):
    joiner = cohort[1].joiner(requests, hospital, dollar, kinds_allowed=1 << 1)

    with reverts("OfferDoesNotFit", cohort[1].address, OfferFault.BUYER_KIND_NOT_ALLOWED):
        send(answer.with_joiner(joiner))


def test_answer_takes_an_offer_at_its_limits(requests, dollar, hospital, cohort, answer, clock, send):
    joiner = cohort[1].joiner(
        requests,
        hospital,
        dollar,
        uses=1,
        until=clock.now() + 1,
        least=EACH,
        purposes=2**32 - 1,
        kinds_allowed=1 << 5,
        kinds_denied=~(1 << 5) & 0xFFFF,
    )

    send(answer.with_joiner(joiner))


def test_answer_is_refused_when_the_offer_is_to_another_seller(requests, dollar, second_hospital, cohort, answer, send):
    """[attack] A custodian uses an offer that the patient made to another."""
    joiner = cohort[1].joiner(requests, second_hospital, dollar)

    with reverts("OfferDoesNotFit", cohort[1].address, OfferFault.OTHER_SELLER):
        send(answer.with_joiner(joiner))


def test_answer_is_refused_when_the_offer_was_cancelled(requests, patient, answer, send):
    """[attack] Cancelled on chain, at once: by itself, or with all below a number."""
    mine = next(joiner for joiner in answer.joiners if joiner.offer.patient == patient.address)
    requests.cancelOffersBelow(mine.offer.nonce, {"from": patient})
    requests.cancelOffer(mine.offer._replace(nonce=mine.offer.nonce + 1), {"from": patient})
    for offer in (mine.offer._replace(nonce=mine.offer.nonce - 1), mine.offer._replace(nonce=mine.offer.nonce + 1)):
        joiner = mine._replace(offer=offer, signature=sign_offer(patient, requests, offer))
        with reverts("OfferDoesNotFit", patient, OfferFault.CANCELLED):
            send(answer.with_joiner(joiner))
    send()


def test_answer_is_refused_when_the_offer_was_used_as_often_as_it_says(
    requests, system, dollar, buyer, hospital, cohort, wish, asked, send, answer
):
    """[attack] A replay for another request."""
    once = [volunteer.joiner(requests, hospital, dollar, uses=1) for volunteer in cohort]
    in_order = sorted(once, key=lambda joiner: [x.offer.patient for x in answer.joiners].index(joiner.offer.patient))
    send(in_order)
    another = wish._replace(nonce=1)
    requests.ask(another, {"from": buyer})

    with reverts("OfferDoesNotFit", in_order[0].offer.patient, OfferFault.USED_UP):
        send(in_order, request=another)


@pytest.mark.parametrize("wrong", ["signer", "field", "chain", "contract", "high s", "empty"])
def test_answer_is_refused_when_the_patient_did_not_sign_the_offer(requests, data_sales, cohort, answer, send, wrong):
    """[attack] Forged, altered by the relayer, or signed for elsewhere."""
    patient, other = cohort[1], cohort[2]
    mine = next(joiner for joiner in answer.joiners if joiner.offer.patient == patient.address)
    offer, signature = mine.offer, mine.signature
    if wrong == "signer":
        signature = sign_offer(other, requests, offer)
    elif wrong == "field":
        offer = offer._replace(least=0)
    elif wrong == "chain":
        signature = sign_offer(patient, requests, offer, chain_id=1)
    elif wrong == "contract":
        signature = sign_offer(patient, requests, offer, contract=data_sales.address)
    elif wrong == "high s":
        signature = with_high_s(signature)
    else:
        signature = b""

    with reverts("OfferNotSigned", patient.address):
        send(answer.with_joiner(mine._replace(offer=offer, signature=signature)))


def test_answer_is_refused_when_a_patient_took_consent_back(consents, patient, hospital, send):
    """The offer adds to the consent and never replaces it."""
    lane = Revocation(patient.address, hospital.address, Lane.RESEARCH_AND_SALE, bytes(32), bytes(32))
    consents.revoke(lane, {"from": patient})

    with reverts("JoinerDoesNotConsent", patient, NO_CONSENT):
        send()


def test_answer_is_refused_when_a_consent_has_ended(
    requests, buyer, dollar, hospital, cohort, answer, wish, send, clock
):
    long = wish._replace(until=wish.until + 30 * 86_400)
    requests.ask(long, {"from": buyer})
    clock.pass_by(30 * 86_400)
    first = answer.joiners[0].offer
    lasting = [
        next(each for each in cohort if each.address == joiner.offer.patient).joiner(
            requests, hospital, dollar, until=2**40 - 1
        )
        for joiner in answer.joiners
    ]

    with reverts("JoinerDoesNotConsent", first.patient, ENDED):
        send(lasting, request=long)


@pytest.mark.parametrize("lie", ["order", "salt", "payout"])
def test_answer_is_refused_when_the_dataset_pays_others(
    requests, dollar, hospital, stranger, cohort, answer, send, lie
):
    """[attack] Joined by their offers, while the tree that is paid is another."""
    joiners = list(answer.joiners)
    if lie == "order":
        joiners.reverse()
    elif lie == "salt":
        joiners[0] = joiners[0]._replace(salt=bytes(32))
    else:
        first = next(each for each in cohort if each.address == joiners[0].offer.patient)
        joiners[0] = first.joiner(requests, hospital, dollar, payout=stranger.address)
    leaves = [share_of(joiner) for joiner in joiners]

    with reverts("ContributorsAreNot", answer.listing.subject, subject_over(leaves)):
        send(joiners)


def test_answer_is_refused_when_the_shares_are_not_equal(
    requests, data_sales, records, system, dollar, hospital, cohort, asked, answer, send
):
    """[attack] A tree that gives one patient, a friend of the custodian, nearly all."""
    unequal = ShareTree([replace(volunteer.share, share=98 if at == 0 else 1) for at, volunteer in enumerate(cohort)])
    batch = dataset_of(hospital, unequal.subject, "unequal").deposited(records, hospital)
    listing = listing_of(data_sales, hospital, batch, 0, answer.listing.terms)
    joiners = [
        next(each for each in cohort if each.address == share.patient).joiner(requests, hospital, dollar)
        for share in unequal.shares
    ]

    with reverts("ContributorsAreNot", unequal.subject, subject_over([share_of(joiner) for joiner in joiners])):
        send(joiners, listing)


def share_of(joiner: Joiner) -> bytes:
    """The leaf that the contract makes of a joiner: one part for everybody."""
    return Share(Address(joiner.offer.patient), Address(joiner.offer.payout), 1, joiner.salt).leaf


def subject_over(leaves: list[bytes]) -> bytes:
    """The subject of a tree of three equal shares in this very order."""
    left = sha256(b"\x0b" + part(1) + leaves[0] + part(1) + leaves[1]).digest()
    root = sha256(b"\x0b" + part(2) + left + part(1) + leaves[2]).digest()
    return contributors.subject_over(root, 3, 3)


def part(share: int) -> bytes:
    return share.to_bytes(16, "big")
