"""Invariant 4 of the protocol (section 7): no consent is live that its patient, or a live delegate, has not granted
after the last revoke, for exactly those classes, purposes, lane and period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brownie.exceptions import VirtualMachineError
from clock import NOON
from decisions import PERMITTED
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from isolation import isolated, on_the_chain
from observed import plain
from sales import HOUR
from typed_data import Grant, Revocation, keyring, sign_consent

WHICH = st.integers(0, 2**16)
CLASSES = st.integers(1, 2**21 - 1)
PURPOSE = st.sampled_from([0, 1, 4, 16, 17, 24])
SECONDS = st.sampled_from([0, 1, 12, HOUR])
GOOD = st.booleans()


@dataclass
class Promise:
    """A signed grant, and how many changes its slot had seen when it was signed."""

    grant: Grant
    signed: Any
    changes_before: int


class Consenting(RuleBasedStateMachine):
    """A patient and a delegate grant and revoke, by transaction and by signature; others submit what they find."""

    def __init__(self, system: Any, people: dict[str, Any], clock: Any) -> None:
        super().__init__()
        self.isolation = isolated()
        self.isolation.__enter__()
        self.consents, self.clock, self.people = system.consents, clock, people
        self.patient, self.relayer = people["patient"], people["relayer"]
        self.grantees = [people["hospital"], people["laboratory"]]
        self.consents.appointDelegate(people["delegate"], NOON + 6 * HOUR, {"from": self.patient})
        self.promises: list[Promise] = []
        self.live: dict[tuple[str, int], Grant | None] = {}
        self.changes: dict[tuple[str, int], int] = {}
        self.keyrings = 0

    def key(self, message: Any) -> tuple[str, int]:
        lane = message.lane if isinstance(message, Revocation) else int(message.purposes >= 1 << 16)
        return (message.grantee, lane)

    def actor(self, which: int) -> Any:
        return self.people["delegate"] if which % 3 == 0 else self.patient

    def may_act(self, account: Any) -> bool:
        return account == self.patient or self.clock.now() < NOON + 6 * HOUR

    def new_grant(self, which: int, classes: int, purpose: int) -> Grant:
        old = plain(self.consents.keyringOf(self.patient))
        self.keyrings += 1
        new = old if which % 4 and old != bytes(32) else keyring(self.keyrings)
        start = self.clock.now() + which % 20
        grantee = self.grantees[which % 2].address
        return Grant(self.patient.address, grantee, classes, 1 << purpose, start, start + HOUR, old, new)

    def changed(self, message: Any, now_live: Grant | None) -> None:
        self.live[self.key(message)] = now_live
        self.changes[self.key(message)] = self.changes.get(self.key(message), 0) + 1

    @rule(which=WHICH, classes=CLASSES, purpose=PURPOSE)
    def grant(self, which: int, classes: int, purpose: int) -> None:
        message, who = self.new_grant(which, classes, purpose), self.actor(which)
        if self.tried(lambda: self.consents.grant(message, {"from": who})):
            assert self.may_act(who)
            self.changed(message, message)

    @rule(which=WHICH, classes=CLASSES, purpose=PURPOSE)
    def sign(self, which: int, classes: int, purpose: int) -> None:
        self.clock.pass_by(which % 2)  # in the second of the last change, or after it
        message, who = self.new_grant(which, classes, purpose), self.actor(which)
        signed = sign_consent(who, self.consents, message, self.clock.now())
        self.promises.append(Promise(message, signed, self.changes.get(self.key(message), 0)))

    @rule(which=WHICH)
    def submit(self, which: int) -> None:
        if not self.promises:
            return
        promise = self.promises[-1 - which % min(3, len(self.promises))]  # a late one: the older, the surer it is dead
        for _ in range(2):  # whoever submits, replays
            if self.tried(lambda: self.consents.grantFor(promise.grant, promise.signed, {"from": self.relayer})):
                assert promise.changes_before == self.changes.get(self.key(promise.grant), 0), "signed before a change"
                self.changed(promise.grant, promise.grant)

    @rule(which=WHICH, good=GOOD, by_signature=GOOD)
    def revoke(self, which: int, good: bool, by_signature: bool) -> None:
        current = plain(self.consents.keyringOf(self.patient))
        self.keyrings += 1
        new = keyring(self.keyrings) if good else bytes(32)
        grantee = self.grantees[which % 2].address
        message = Revocation(self.patient.address, grantee, which // 2 % 2, current, new)
        if by_signature:
            version = plain(self.consents.consentOf(self.patient, grantee, message.lane))[4]
            self.clock.move_to(max(self.clock.now(), version))
            signed = sign_consent(self.patient, self.consents, message, self.clock.now())
            self.consents.revokeFor(message, signed, {"from": self.relayer})
        else:
            self.consents.revoke(message, {"from": self.patient})
        self.changed(message, None)

    @rule(seconds=SECONDS)
    def wait(self, seconds: int) -> None:
        self.clock.pass_by(seconds)

    def tried(self, send: Any) -> bool:
        """Whether it went through; a refusal is asserted by what stays, below."""
        try:
            send()
        except VirtualMachineError as exc:
            assert exc.revert_msg, "a refusal without a name"
            return False
        return True

    @invariant()
    def only_what_was_granted_after_the_last_revoke_is_live(self) -> None:
        for grantee in self.grantees:
            for lane in (0, 1):
                granted = self.live.get((grantee.address, lane))
                consent = plain(self.consents.consentOf(self.patient, grantee, lane))
                assert consent[:4] == (granted[2:6] if granted else (0, 0, 0, 0))
                if self.consents.permits(self.patient, grantee, 0, 16 * lane + 1) == PERMITTED:
                    assert granted is not None
                    assert granted.classes & 1
                    assert granted.purposes >> 16 * lane & 3  # the purpose, or its parent
                    assert granted.start <= self.clock.now() < granted.end

    def teardown(self) -> None:
        self.isolation.__exit__(None, None, None)


def test_no_consent_is_live_that_was_not_granted_after_the_last_revoke(
    system: Any, people: dict[str, Any], clock: Any
) -> None:
    run_state_machine_as_test(lambda: Consenting(system, people, clock), settings=on_the_chain(25, steps=25))
