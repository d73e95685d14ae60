from __future__ import annotations

import pytest
from clock import NOON
from decisions import BY_DELEGATE, NO_CONSENT, PERMITTED
from observed import event_of, plain
from refusals import reverts
from sales import DAY
from typed_data import Revocation, keyring

from medibridge.ids import DataClass, Lane, PurposeOfUse

LAB, IMAGING = DataClass.LABORATORY, DataClass.IMAGING
TREAT, HRESCH = PurposeOfUse.TREAT, PurposeOfUse.HRESCH
NOBODY = "0x" + "00" * 20


def test_grant_gives_a_consent_when_it_is_the_first(consents, patient, hospital, care):
    transaction = consents.grant(care, {"from": patient})

    assert event_of(transaction) == (
        "Granted",
        (*care[:6], NOON, care.new_keyring),
    )
    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == (*care[2:6], NOON, NOON, 0)
    assert plain(consents.keyringOf(patient)) == care.new_keyring
    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED


def test_grant_replaces_the_earlier_one_of_its_lane_and_never_merges(consents, patient, hospital, granted):
    narrower = granted._replace(classes=IMAGING.bit, old_keyring=keyring(1), new_keyring=keyring(2))

    consents.grant(narrower, {"from": patient})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[0] == IMAGING.bit
    assert consents.permits(patient, hospital, IMAGING, TREAT) == PERMITTED
    assert consents.permits(patient, hospital, LAB, TREAT) != PERMITTED


def test_grant_leaves_the_other_lane_and_other_grantees_as_they_are(consents, patient, hospital, granted, research):
    before = plain(consents.consentOf(patient, hospital, Lane.CARE))

    consents.grant(research._replace(grantee=hospital.address), {"from": patient})
    consents.grant(research, {"from": patient})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE)) == before
    assert plain(consents.consentOf(patient, hospital, Lane.RESEARCH_AND_SALE))[0] == IMAGING.bit


def test_grant_keeps_the_keyring_when_no_key_changes(consents, patient, granted, research):
    transaction = consents.grant(research, {"from": patient})

    assert event_of(transaction)[1][-1] == keyring(1)
    assert plain(consents.keyringOf(patient)) == keyring(1)


def test_grant_works_without_any_keyring_when_the_patient_has_none(consents, patient, laboratory, research):
    """A grant for research hands out no key, so it needs none."""
    consents.grant(research._replace(old_keyring=bytes(32), new_keyring=bytes(32)), {"from": patient})

    assert consents.permits(patient, laboratory, IMAGING, HRESCH) == PERMITTED
    assert plain(consents.keyringOf(patient)) == bytes(32)


def test_grant_is_refused_for_care_when_there_is_no_keyring(consents, patient, care):
    with reverts("KeyringMissing", patient):
        consents.grant(care._replace(old_keyring=bytes(32), new_keyring=bytes(32)), {"from": patient})


def test_grant_counts_the_version_on_when_it_is_the_second_in_one_second(consents, patient, hospital, granted):
    consents.grant(granted._replace(old_keyring=keyring(1)), {"from": patient})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[4:6] == (NOON + 1, NOON)


def test_grant_takes_the_blocks_time_as_version_when_time_has_passed(consents, patient, hospital, granted, clock):
    clock.move_to(NOON + 99)
    consents.grant(granted._replace(old_keyring=keyring(1)), {"from": patient})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[4:6] == (NOON + 99, NOON + 99)


def test_grant_marks_the_delegate_when_one_made_it(consents, patient, delegate, hospital, care):
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})

    consents.grant(care, {"from": delegate})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[6] == BY_DELEGATE
    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED
    consents.grant(care._replace(old_keyring=keyring(1)), {"from": patient})
    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[6] == 0


@pytest.mark.parametrize("who", ["stranger", "hospital", "admin", "relayer", "second_patient"])
def test_grant_is_refused_when_the_caller_is_not_the_patient(consents, request, patient, hospital, care, who):
    """A stranger grants, a grantee grants on or to itself, the administrator grants: no such power."""
    caller = request.getfixturevalue(who)

    with reverts("NotPatientOrDelegate", caller, patient):
        consents.grant(care, {"from": caller})
    assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT
    assert plain(consents.keyringOf(patient)) == bytes(32)


def test_grant_by_the_grantee_to_another_is_refused_when_it_holds_a_consent(
    consents, patient, hospital, second_hospital, granted
):
    onward = granted._replace(grantee=second_hospital.address, old_keyring=keyring(1))

    with reverts("NotPatientOrDelegate", hospital, patient):
        consents.grant(onward, {"from": hospital})


def test_grant_is_refused_when_the_grantee_is_nobody(consents, patient, care):
    with reverts("InvalidGrantee", NOBODY):
        consents.grant(care._replace(grantee=NOBODY), {"from": patient})


def test_grant_is_refused_when_the_grantee_is_the_patient(consents, patient, care):
    with reverts("InvalidGrantee", patient):
        consents.grant(care._replace(grantee=patient.address), {"from": patient})


@pytest.mark.parametrize(("classes", "purposes"), [(0, TREAT.bit), (LAB.bit, 0), (0, 0)])
def test_grant_is_refused_when_it_covers_nothing(consents, patient, care, classes, purposes):
    with reverts("EmptyConsent", classes, purposes):
        consents.grant(care._replace(classes=classes, purposes=purposes), {"from": patient})


@pytest.mark.parametrize("purposes", [TREAT.bit | HRESCH.bit, 1 << 15 | 1 << 16, 2**32 - 1])
def test_grant_is_refused_when_its_purposes_span_the_lanes(consents, patient, care, purposes):
    with reverts("PurposesSpanLanes", purposes):
        consents.grant(care._replace(purposes=purposes), {"from": patient})


@pytest.mark.parametrize(
    ("start", "end"),
    [(NOON, NOON), (NOON + 2, NOON + 1), (NOON - 9, NOON), (0, 1), (2**40 - 1, 2**40 - 1)],
)
def test_grant_is_refused_when_its_period_is_empty_or_over(consents, patient, care, start, end):
    with reverts("InvalidPeriod", start, end, NOON):
        consents.grant(care._replace(start=start, end=end), {"from": patient})


@pytest.mark.parametrize(("start", "end"), [(0, NOON + 1), (NOON - 9, 2**40 - 1), (2**40 - 2, 2**40 - 1)])
def test_grant_takes_any_period_when_it_ends_after_now(consents, patient, hospital, care, start, end):
    consents.grant(care._replace(start=start, end=end), {"from": patient})

    assert plain(consents.consentOf(patient, hospital, Lane.CARE))[2:4] == (start, end)


@pytest.mark.parametrize("named", [bytes(32), keyring("other"), keyring(2)])
def test_grant_is_refused_when_it_names_another_keyring_than_the_standing_one(consents, patient, granted, named):
    with reverts("KeyringChanged", keyring(1), named):
        consents.grant(granted._replace(old_keyring=named, new_keyring=keyring(2)), {"from": patient})
    assert plain(consents.keyringOf(patient)) == keyring(1)


def test_grant_is_refused_when_it_would_take_the_keyring_away(consents, patient, granted):
    with reverts("KeyringMissing", patient):
        consents.grant(granted._replace(old_keyring=keyring(1), new_keyring=bytes(32)), {"from": patient})


def test_grant_wins_alone_when_two_were_made_from_one_keyring(consents, patient, delegate, hospital, laboratory, care):
    """[attack] Concurrent grants: one wins, the other is refused by name, and nothing of it stays."""
    consents.appointDelegate(delegate, NOON + DAY, {"from": patient})
    mine = care._replace(new_keyring=keyring("mine"))
    theirs = care._replace(grantee=laboratory.address, new_keyring=keyring("theirs"))

    consents.grant(mine, {"from": patient})
    with reverts("KeyringChanged", keyring("mine"), bytes(32)):
        consents.grant(theirs, {"from": delegate})

    assert plain(consents.keyringOf(patient)) == keyring("mine")
    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED
    assert consents.permits(patient, laboratory, LAB, TREAT) == NO_CONSENT


@pytest.mark.parametrize("suspended", ["hospital", "laboratory"])
def test_grant_asks_no_institution_when_one_is_suspended(
    consents, institutions, admin, request, patient, hospital, care, suspended
):
    institutions.suspend(request.getfixturevalue(suspended), {"from": admin})

    consents.grant(care, {"from": patient})
    consents.revoke(Revocation(patient.address, hospital.address, Lane.CARE, *care[6:]), {"from": patient})
