from __future__ import annotations

from observed import plain


def test_institution_of_is_all_zero_when_not_enrolled(institutions, clinic):
    assert plain(institutions.institutionOf(clinic)) == (0, 0, bytes(32))


def test_is_in_good_standing_is_false_when_not_enrolled(institutions, clinic):
    assert institutions.isInGoodStanding(clinic) is False


def test_is_in_good_standing_is_true_when_enrolled(institutions, hospital):
    assert institutions.isInGoodStanding(hospital) is True
