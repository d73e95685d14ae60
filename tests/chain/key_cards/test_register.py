from __future__ import annotations

from observed import event_of, plain
from refusals import reverts
from sales import digest

CARD = digest("card")


def test_register_publishes_the_callers_card_when_it_has_none(key_cards, patient, stranger):
    transaction = key_cards.register(CARD, {"from": patient})

    assert event_of(transaction) == ("CardRegistered", (patient.address, CARD))
    assert plain(key_cards.cardOf(patient)) == CARD
    assert plain(key_cards.cardOf(stranger)) == bytes(32)


def test_register_replaces_the_card_when_there_is_one(key_cards, patient):
    key_cards.register(CARD, {"from": patient})
    key_cards.register(digest("new card"), {"from": patient})

    assert plain(key_cards.cardOf(patient)) == digest("new card")


def test_register_leaves_the_others_card_when_a_copy_is_registered(key_cards, patient, stranger):
    key_cards.register(CARD, {"from": patient})

    key_cards.register(CARD, {"from": stranger})
    key_cards.register(digest("another"), {"from": stranger})

    assert plain(key_cards.cardOf(patient)) == CARD


def test_register_is_refused_when_the_card_is_zero(key_cards, patient):
    key_cards.register(CARD, {"from": patient})

    with reverts("CardMissing"):
        key_cards.register(bytes(32), {"from": patient})
    assert plain(key_cards.cardOf(patient)) == CARD
