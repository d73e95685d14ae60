"""The attacks of the protocol's sections 2 and 5, each by its name. Those on one function alone stand in its file."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from brownie.exceptions import VirtualMachineError
from clock import NOON
from decisions import CLASS_NOT_COVERED, NO_CONSENT, PERMITTED
from hypothesis import strategies as st
from isolation import given, isolated, on_the_chain
from observed import plain
from refusals import reverts
from typed_data import Revocation, due, keyring, sign_consent

from medibridge.ids import DataClass, Lane, PurposeOfUse

LAB, IMAGING = DataClass.LABORATORY, DataClass.IMAGING
TREAT, HRESCH = PurposeOfUse.TREAT, PurposeOfUse.HRESCH


def test_an_old_signed_grant_to_b_cannot_bring_back_a_keyring_that_still_holds_a(
    consents, patient, hospital, laboratory, relayer, granted, revocation, clock
):
    """A grant names the keyring that it replaces: signed before A was revoked, it is dead after it."""
    holds_both = granted._replace(
        grantee=laboratory.address, old_keyring=keyring(1), new_keyring=keyring("holds A and B")
    )
    clock.move_to(NOON + 10)
    to_b = sign_consent(patient, consents, holds_both, NOON + 10)

    clock.move_to(NOON + 20)
    consents.revoke(revocation, {"from": patient})  # from A, with a keyring that does not hold it

    with reverts("KeyringChanged", keyring(2), keyring(1)):
        consents.grantFor(holds_both, to_b, {"from": relayer})
    assert plain(consents.keyringOf(patient)) == keyring(2)


def test_an_old_signed_grant_to_b_is_dead_too_when_the_revoke_brought_no_keyring(
    consents, patient, laboratory, relayer, granted, revocation
):
    holds_both = granted._replace(
        grantee=laboratory.address, old_keyring=keyring(1), new_keyring=keyring("holds A and B")
    )
    to_b = sign_consent(patient, consents, holds_both, NOON)

    consents.revoke(revocation._replace(new_keyring=bytes(32)), {"from": patient})

    with reverts("KeyringChanged", due(keyring(1)), keyring(1)):
        consents.grantFor(holds_both, to_b, {"from": relayer})


def test_a_revoke_of_what_was_never_granted_kills_what_was_signed(
    consents, patient, hospital, relayer, care, revocation
):
    signed = sign_consent(patient, consents, care, NOON)

    consents.revoke(revocation._replace(old_keyring=bytes(32), new_keyring=bytes(32)), {"from": patient})

    with reverts("VersionSuperseded", NOON, NOON):
        consents.grantFor(care, signed, {"from": relayer})
    renamed = care._replace(old_keyring=due(bytes(32)))
    with reverts("VersionSuperseded", NOON, NOON):
        consents.grantFor(renamed, sign_consent(patient, consents, renamed, NOON), {"from": relayer})


def test_a_direct_grant_kills_what_was_signed_before_it(consents, patient, hospital, relayer, granted):
    wider = granted._replace(classes=2**32 - 1, old_keyring=keyring(1), new_keyring=keyring(1))

    with reverts("VersionSuperseded", NOON, NOON):
        consents.grantFor(wider, sign_consent(patient, consents, wider, NOON), {"from": relayer})


@pytest.mark.parametrize("signed_revocation", [False, True], ids=["transaction", "signature"])
@pytest.mark.parametrize("good_keyring", [True, False], ids=["new keyring", "rotation due"])
@given(order=st.permutations(range(7)), waited=st.sampled_from([0, 1, 5, 40]), data=st.data())
@on_the_chain(16)
def test_what_was_signed_before_a_revoke_is_dead_in_any_order(
    consents: Any,
    patient: Any,
    hospital: Any,
    relayer: Any,
    granted: Any,
    clock: Any,
    signed_revocation: bool,
    good_keyring: bool,
    order: list[int],
    waited: int,
    data: Any,
) -> None:
    """Grants signed before a revoke and submitted after it, also with versions in the future."""
    with isolated():
        clock.move_to(NOON + 20)
        presigned = []
        for offset in (-20, -10, -1, 0, 1, 5, 30):
            old, new = data.draw(
                st.sampled_from(
                    [
                        (keyring(1), keyring(1)),
                        (keyring(1), keyring("wide")),
                        (bytes(32), keyring("wide")),
                    ]
                )
            )
            message = granted._replace(classes=2**32 - 1, old_keyring=old, new_keyring=new)
            presigned.append((message, sign_consent(patient, consents, message, NOON + 20 + offset)))

        new = keyring("rotated") if good_keyring else bytes(32)
        revocation = Revocation(patient.address, hospital.address, Lane.CARE, keyring(1), new)
        if signed_revocation:
            signed = sign_consent(patient, consents, revocation, NOON + 20)
            consents.revokeFor(revocation, signed, {"from": relayer})
        else:
            consents.revoke(revocation, {"from": patient})
        after = plain(consents.keyringOf(patient))

        clock.move_to(NOON + 20 + waited)
        for place in order:
            message, by = presigned[place]
            now = clock.now()
            version = plain(consents.consentOf(patient, hospital, Lane.CARE))[4]
            if by.version > now:
                expected = ("VersionInFuture", by.version, now)
            elif by.version <= version:
                expected = ("VersionSuperseded", by.version, version)
            else:
                expected = ("KeyringChanged", after, message.old_keyring)
            with reverts(*expected):
                consents.grantFor(message, by, {"from": relayer})
        assert consents.permits(patient, hospital, LAB, TREAT) == NO_CONSENT
        assert plain(consents.keyringOf(patient)) == after


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_concurrent_signed_grants_have_one_winner_whatever_their_order(
    consents, patient, hospital, second_hospital, laboratory, relayer, granted, order
):
    grantees = [hospital, second_hospital, laboratory]
    messages = [
        granted._replace(grantee=x.address, purposes=1 << 16 + i, old_keyring=keyring(1), new_keyring=keyring(x))
        for i, x in enumerate(grantees)
    ]
    signed = [sign_consent(patient, consents, message, NOON) for message in messages]

    first, *others = order
    consents.grantFor(messages[first], signed[first], {"from": relayer})
    for late in others:
        with reverts("KeyringChanged", keyring(grantees[first]), keyring(1)):
            consents.grantFor(messages[late], signed[late], {"from": relayer})
    assert plain(consents.keyringOf(patient)) == keyring(grantees[first])


@given(
    care_classes=st.integers(1, 2**32 - 1),
    sale_classes=st.integers(1, 2**32 - 1),
    care_purposes=st.integers(1, 2**16 - 1),
    sale_purposes=st.integers(1, 2**16 - 1),
    asked=st.lists(st.tuples(st.integers(0, 31), st.integers(0, 31)), min_size=5, max_size=5),
)
@on_the_chain(30)
def test_lanes_never_multiply_whatever_was_granted(
    consents: Any,
    patient: Any,
    hospital: Any,
    care: Any,
    care_classes: int,
    sale_classes: int,
    care_purposes: int,
    sale_purposes: int,
    asked: list[tuple[int, int]],
) -> None:
    """A class is permitted for a purpose only by the one grant that names both."""
    with isolated():
        consents.grant(care._replace(classes=care_classes, purposes=care_purposes), {"from": patient})
        consents.grant(
            care._replace(classes=sale_classes, purposes=sale_purposes << 16, old_keyring=keyring(1)), {"from": patient}
        )

        for data_class, purpose in asked:
            classes = care_classes if purpose < 16 else sale_classes
            answer = consents.permits(patient, hospital, data_class, purpose)
            if not classes >> data_class & 1:
                assert answer == CLASS_NOT_COVERED
            elif (care_purposes | sale_purposes << 16) >> purpose & 1:
                assert answer == PERMITTED


def test_the_administrator_has_no_power_over_consents(
    consents, governance, admin, patient, hospital, granted, revocation
):
    """Not as a caller, and not through the access manager either: Consents knows no manager."""
    calls = [
        consents.grant.encode_input(granted._replace(grantee=admin.address, old_keyring=keyring(1))),
        consents.revoke.encode_input(revocation),
        consents.replaceKeyring.encode_input(patient, keyring(1), keyring(2)),
    ]
    for call in calls:
        with reverts("NotPatientOrDelegate", governance, patient):
            governance.execute(consents, call, {"from": admin})
    with pytest.raises(VirtualMachineError):  # updateAuthority calls what Consents does not have
        governance.updateAuthority(consents, admin, {"from": admin})
    assert not hasattr(consents, "authority")
    assert not hasattr(consents, "owner")
    assert consents.permits(patient, hospital, LAB, TREAT) == PERMITTED
