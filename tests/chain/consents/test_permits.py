from __future__ import annotations

import pytest
from clock import NOON
from decisions import (
    CLASS_NOT_COVERED,
    ENDED,
    NO_CONSENT,
    NOT_YET_STARTED,
    PERMITTED,
    PURPOSE_NOT_COVERED,
)

from medibridge.ids import DataClass, PurposeOfUse

LAB, MEDICATIONS, IMAGING = DataClass.LABORATORY, DataClass.MEDICATIONS, DataClass.IMAGING
TREAT, HRESCH = PurposeOfUse.TREAT, PurposeOfUse.HRESCH

CHILDREN = {
    PurposeOfUse.TREAT: {PurposeOfUse.ETREAT, PurposeOfUse.BTG, PurposeOfUse.COC},
    PurposeOfUse.ETREAT: {PurposeOfUse.BTG},
    PurposeOfUse.HPAYMT: {PurposeOfUse.COVERAGE},
    PurposeOfUse.HOPERAT: {PurposeOfUse.HQUALIMP},
    PurposeOfUse.PATRQT: {PurposeOfUse.FAMRQT},
    PurposeOfUse.HRESCH: {
        PurposeOfUse.CLINTRCH,
        PurposeOfUse.BIORCH,
        PurposeOfUse.DSRCH,
        PurposeOfUse.TRANSRCH,
    },
    PurposeOfUse.PUBHLTH: {PurposeOfUse.DISASTER, PurposeOfUse.THREAT},
}


def test_permits_says_no_consent_when_nothing_was_granted(consents, patient, hospital):
    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT


def test_permits_says_no_consent_when_only_the_other_lane_was_granted(consents, patient, hospital, granted):
    assert consents.permits(patient, hospital, LAB, HRESCH) == NO_CONSENT


def test_permits_answers_for_every_class_exactly_as_granted(consents, patient, hospital, granted):
    covered = {LAB, MEDICATIONS}
    for data_class in range(64):
        expected = PERMITTED if data_class in covered else CLASS_NOT_COVERED
        assert consents.permits(patient, hospital, data_class, TREAT) == expected
    assert consents.permits(patient, hospital, 255, TREAT) == CLASS_NOT_COVERED


@pytest.mark.parametrize("purpose", PurposeOfUse, ids=lambda purpose: purpose.name)
def test_permits_covers_a_purpose_and_its_children_and_no_other(consents, patient, hospital, care, purpose):
    """A parent implies its children, never the other way round, in HL7's v3-ActReason."""
    consents.grant(care._replace(purposes=purpose.bit), {"from": patient})
    covered = {purpose} | CHILDREN.get(purpose, set())

    for asked in (*PurposeOfUse, 10, 15, 25, 31):
        same_lane = asked >> 4 == purpose >> 4
        expected = PERMITTED if asked in covered else PURPOSE_NOT_COVERED if same_lane else NO_CONSENT
        assert consents.permits(patient, hospital, LAB, asked) == expected


@pytest.mark.parametrize("purpose", [32, 33, 48, 255])
def test_permits_never_covers_a_purpose_that_there_is_not(consents, patient, hospital, care, purpose):
    consents.grant(care._replace(classes=2**32 - 1, purposes=0xFFFF0000), {"from": patient})

    assert consents.permits(patient, hospital, LAB, purpose) == PURPOSE_NOT_COVERED


def test_permits_holds_from_the_start_and_until_the_end_to_the_very_second(consents, patient, hospital, care, clock):
    consents.grant(care._replace(start=NOON + 10, end=NOON + 20), {"from": patient})

    answers = {}
    for second in (NOON, NOON + 9, NOON + 10, NOON + 19, NOON + 20, NOON + 21):
        clock.move_to(second)
        answers[second - NOON] = consents.permits(patient, hospital, LAB, TREAT)
    assert answers == {
        0: NOT_YET_STARTED,
        9: NOT_YET_STARTED,
        10: PERMITTED,
        19: PERMITTED,
        20: ENDED,
        21: ENDED,
    }


def test_permits_names_the_class_before_the_purpose_and_both_before_the_time(consents, patient, hospital, care, clock):
    consents.grant(care._replace(end=NOON + 1), {"from": patient})
    clock.move_to(NOON + 1)

    assert consents.permits(patient, hospital, IMAGING, PurposeOfUse.HPAYMT) == CLASS_NOT_COVERED
    assert consents.permits(patient, hospital, LAB, PurposeOfUse.HPAYMT) == PURPOSE_NOT_COVERED
    assert consents.permits(patient, hospital, LAB, TREAT) == ENDED


def test_permits_never_multiplies_the_lanes_when_both_were_granted(consents, patient, hospital, granted, research):
    """[attack] {laboratory} x {TREAT} and {imaging} x {HRESCH} never become laboratory x HRESCH."""
    consents.grant(research._replace(grantee=hospital.address), {"from": patient})

    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED
    assert consents.permits(patient, hospital, IMAGING, HRESCH) == PERMITTED
    assert consents.permits(patient, hospital, LAB, HRESCH) == CLASS_NOT_COVERED
    assert consents.permits(patient, hospital, IMAGING, TREAT) == CLASS_NOT_COVERED


def test_permits_is_about_one_grantee_and_one_patient_only(
    consents, patient, second_patient, hospital, second_hospital, granted
):
    assert consents.permits(patient, second_hospital, LAB, TREAT) == NO_CONSENT
    assert consents.permits(second_patient, hospital, LAB, TREAT) == NO_CONSENT
    assert consents.permits(hospital, patient, LAB, TREAT) == NO_CONSENT


@pytest.mark.parametrize(
    ("time", "decision"),
    [(0, NOT_YET_STARTED), (-1, NOT_YET_STARTED), ("start", PERMITTED), ("end - 1", PERMITTED), ("end", ENDED)],
)
def test_permits_at_answers_for_any_second_by_the_consent_that_stands_now(
    consents, patient, hospital, care, granted, time, decision
):
    seconds = {0: 0, -1: care.start - 1, "start": care.start, "end - 1": care.end - 1, "end": care.end}

    assert consents.permitsAt(patient, hospital, LAB, TREAT, seconds[time]) == decision


def test_permits_at_forgets_what_was_revoked(consents, patient, hospital, care, granted, revocation):
    """It keeps no history: see `changedAt`."""
    consents.revoke(revocation, {"from": patient})

    assert consents.permitsAt(patient, hospital, LAB, TREAT, care.start) == NO_CONSENT
