"""`records` and `read`, of hospital and patient: what the chain permits, and the reason where it does not."""

from __future__ import annotations

import pytest
from world import DAY, HOUR, LABORATORY, MEDICATIONS, RESEARCH, TREAT, World, laboratory_message, mixed_message

from medibridge import PurposeOfUse
from medibridge.chain import Decision
from medibridge.errors import MediBridgeError, NoKeyForRecord, NotPermitted, RecordUnknown
from medibridge.formats import read as convert
from medibridge.roles import Party

ONLY_LABORATORY = frozenset({LABORATORY})


def deposited(world: World, message: bytes | None = None, **options):
    """One record of the patient's, not a twin."""
    world.hospital.deposit(world.patient.address, message or laboratory_message(), twins=False, **options)
    return world.patient.records()[-1]


def grant(world: World, purposes=TREAT, **times: int):
    times = {"until": world.now() + DAY} | times
    return world.patient.grant(world.second_hospital.address, ONLY_LABORATORY, purposes, **times)


def test_read_gives_back_what_was_converted_when_the_patient_reads(world: World) -> None:
    record = deposited(world)
    assert world.patient.read(record) == convert(laboratory_message()).records[0]


def test_read_needs_no_consent_when_the_record_is_its_own(world: World) -> None:
    record = deposited(world)
    assert world.hospital.records(world.patient.address) == [record]
    assert world.hospital.read(world.patient.address, record) == world.patient.read(record)
    assert world.system.consents.decided(world.patient.address) == []


def test_records_finds_a_custodians_own_in_every_epoch_and_without_a_keyring(world: World) -> None:
    deposited(world, laboratory_message("1"))
    grant(world)
    world.patient.revoke(world.second_hospital.address)
    deposited(world, laboratory_message("2"))
    world.forget([world.system.consents.keyring_of(world.patient.address)])
    deposited(world, laboratory_message("3"))
    epochs = [record.description.epoch for record in world.hospital.records(world.patient.address)]
    assert epochs == [1, 2, 0]


def test_read_writes_the_decision_into_the_audit_trail_when_it_permits(world: World) -> None:
    record = deposited(world)
    grant(world)
    world.second_hospital.read(world.patient.address, record)
    (decided,) = world.system.consents.decided(world.patient.address)
    assert (decided.grantee, decided.asker) == (world.second_hospital.address,) * 2
    assert (decided.data_class, decided.purpose) == (LABORATORY, PurposeOfUse.TREAT)
    assert Decision(decided.decision) is Decision.PERMITTED

    world.second_hospital.read(world.patient.address, record, audit=False)
    assert len(world.system.consents.decided(world.patient.address)) == 1


def consent_for_another_class(world: World) -> None:
    world.patient.grant(world.second_hospital.address, frozenset({MEDICATIONS}), TREAT, until=world.now() + DAY)


def consent_for_another_purpose(world: World) -> None:
    grant(world, frozenset({PurposeOfUse.COVERAGE}))


def consent_that_begins_later(world: World) -> None:
    grant(world, start=world.now() + HOUR)


def consent_that_ended(world: World) -> None:
    grant(world, until=world.now() + HOUR)
    world.travel(HOUR)


def consent_for_research(world: World) -> None:
    grant(world, RESEARCH)


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (lambda world: None, "no consent"),
        (consent_for_another_class, "class not covered"),
        (consent_for_another_purpose, "purpose not covered"),
        (consent_that_begins_later, "not yet started"),
        (consent_that_ended, "ended"),
        (consent_for_research, "no consent"),
    ],
)
@pytest.mark.parametrize("audit", [True, False])
def test_read_refuses_with_the_reason_when(world: World, happens, reason: str, audit: bool) -> None:
    record = deposited(world)
    happens(world)
    sentence = (
        f"{world.patient.address} does not let {world.second_hospital.address} read laboratory for TREAT now: "
        f"{reason}; ask the patient for a consent"
    )
    with pytest.raises(NotPermitted) as caught:
        world.second_hospital.read(world.patient.address, record, audit=audit)
    assert str(caught.value) == sentence
    trail = [Decision(decided.decision).name for decided in world.system.consents.decided(world.patient.address)]
    assert trail == ([reason.upper().replace(" ", "_")] if audit else [])


def test_read_takes_a_consent_for_the_purpose_above_when_a_child_is_asked_for(world: World) -> None:
    record = deposited(world)
    grant(world)
    assert world.second_hospital.read(world.patient.address, record, PurposeOfUse.ETREAT)
    with pytest.raises(NotPermitted, match="purpose not covered"):
        world.second_hospital.read(world.patient.address, record, PurposeOfUse.COVERAGE)


def test_read_has_no_key_when_consent_was_given_for_research_only(world: World) -> None:
    record = deposited(world)
    grant(world, RESEARCH)
    with pytest.raises(NoKeyForRecord, match="ask the patient for access to its class"):
        world.second_hospital.read(world.patient.address, record, PurposeOfUse.HRESCH)


def test_read_opens_no_other_patients_record_when_one_patient_consented(world: World) -> None:
    world.hospital.deposit(world.second_patient.address, laboratory_message(), twins=False)
    (others,) = world.second_patient.records()
    grant(world)
    with pytest.raises(NoKeyForRecord):
        world.second_hospital.read(world.patient.address, others)


def test_records_is_empty_for_a_stranger_and_after_a_revoke(world: World) -> None:
    deposited(world)
    assert world.second_hospital.records(world.patient.address) == []
    grant(world)
    assert len(world.second_hospital.records(world.patient.address)) == 1
    world.patient.revoke(world.second_hospital.address)
    assert world.second_hospital.records(world.patient.address) == []


def test_records_of_two_patients_stay_apart_in_one_hospital(world: World) -> None:
    world.hospital.deposit(world.patient.address, laboratory_message(), twins=False)
    world.hospital.deposit(world.second_patient.address, laboratory_message(), twins=False)
    assert world.hospital.records(world.patient.address) == world.patient.records()
    assert world.hospital.records(world.second_patient.address) == world.second_patient.records()
    assert world.patient.records() != world.second_patient.records()


def test_record_is_found_by_a_beginning_of_its_name(world: World) -> None:
    record = deposited(world)
    assert world.patient.record(record.name) == record
    assert world.patient.record("0x" + record.name[:12].upper()) == record
    assert world.hospital.record(world.patient.address, record.name[:12]) == record


@pytest.mark.parametrize("name", ["", "0x", "zz"])
def test_record_says_unknown_when_the_name_is_nobodys_or_anybodys(world: World, name: str) -> None:
    deposited(world, mixed_message())
    for find in (world.patient.record, lambda name: world.hospital.record(world.patient.address, name)):
        with pytest.raises(RecordUnknown, match="no record has a name that begins with"):
            find(name)


def test_record_says_so_when_two_names_begin_alike(world: World) -> None:
    for number in range(6):
        deposited(world, mixed_message(str(number)))
    names = [record.name for record in world.patient.records()]
    twice = next(name[0] for name in names if sum(other[0] == name[0] for other in names) > 1)
    with pytest.raises(RecordUnknown, match="more than one record has a name"):
        world.patient.record(twice)


def test_parties_show_their_address_and_nothing_else(world: World) -> None:
    for party in (world.patient, world.hospital, world.buyer):
        assert repr(party) == f"{type(party).__name__}({party.address!r})"
        assert isinstance(party, Party)
        assert party.is_registered
        assert party.bridge is world.bridge
    assert not world.as_patient("stranger").is_registered
    assert repr(world.bridge) == f"Bridge({world.system!r})"


def test_read_changes_its_answer_at_the_second_in_which_the_contract_does(world: World) -> None:
    """The client's clock is the chain's: no early access, no late one."""
    record = deposited(world)
    start = world.now() + HOUR
    grant(world, start=start, until=start + HOUR)
    answers = []
    for moment in (start - 1, start, start + HOUR - 1, start + HOUR):
        world.travel_to(moment)
        world.patient.refresh()
        try:
            world.second_hospital.read(world.patient.address, record, audit=False)
            answers.append("read")
        except MediBridgeError as problem:
            answers.append(type(problem).__name__)
    assert answers == ["NotPermitted", "read", "read", "NotPermitted"]
