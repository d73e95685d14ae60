from __future__ import annotations

import pytest
from demand import Volunteer
from observed import event_of, plain
from refusals import reverts
from typed_data import offer_id

CANCELLED = 2**32 - 1


@pytest.fixture
def offer(dollar, hospital, patient):
    return Volunteer.of(patient).offer(hospital, dollar)


def test_offer_id_is_the_eip_712_hash_that_wallets_show_and_sign(requests, offer):
    assert plain(requests.offerIdOf(offer)) == offer_id(requests, offer)
    assert plain(requests.eip712Domain())[1:3] == ("MediBridge Requests", "1")


@pytest.mark.parametrize("field", range(12))
def test_offer_id_covers_every_field(requests, stranger, offer, field):
    value = offer[field]
    other = stranger.address if isinstance(value, str) else value + 1
    changed = type(offer)(*offer[:field], other, *offer[field + 1 :])

    assert plain(requests.offerIdOf(changed)) == offer_id(requests, changed) != offer_id(requests, offer)


def test_cancel_offer_makes_it_dead_at_once(requests, patient, offer):
    transaction = requests.cancelOffer(offer, {"from": patient})

    assert event_of(transaction) == ("OfferCancelled", (patient.address, offer_id(requests, offer)))
    assert requests.usedOf(offer_id(requests, offer)) == CANCELLED


def test_cancel_offer_never_makes_it_live_again(requests, patient, asked, answered):
    """[attack] Cancelled after a use, and once more: it stays dead."""
    mine = next(joiner.offer for joiner in answered.joiners if joiner.offer.patient == patient.address)
    assert requests.usedOf(offer_id(requests, mine)) == 1

    for _ in range(2):
        requests.cancelOffer(mine, {"from": patient})
        assert requests.usedOf(offer_id(requests, mine)) == CANCELLED


def test_cancel_offer_is_refused_when_the_caller_is_not_the_patient(requests, patient, hospital, admin, offer):
    for who in (hospital, admin):
        with reverts("NotThePatient", who, patient):
            requests.cancelOffer(offer, {"from": who})
    assert requests.usedOf(offer_id(requests, offer)) == 0


def test_cancel_offers_below_makes_all_of_the_callers_dead(requests, patient, second_patient):
    for nonce in (5, 6, 2**64 - 1):
        transaction = requests.cancelOffersBelow(nonce, {"from": patient})

        assert event_of(transaction) == ("OffersCancelled", (patient.address, nonce))
        assert requests.firstNonceOf(patient) == nonce
    assert requests.firstNonceOf(second_patient) == 0


def test_cancel_offers_below_never_goes_back(requests, patient):
    """[attack] A lower number would make dead offers live."""
    requests.cancelOffersBelow(5, {"from": patient})
    for nonce in (5, 4, 0):
        with reverts("NonceNotLater", nonce, 5):
            requests.cancelOffersBelow(nonce, {"from": patient})
