from __future__ import annotations

from observed import plain


def test_card_of_is_zero_when_nothing_was_registered(key_cards, stranger):
    assert plain(key_cards.cardOf(stranger)) == bytes(32)
