"""What a keyring lets a grantee open is what the chain lets it read (protocol, invariant 5)."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from world import HOUR, LABORATORY, MEDICATIONS, RESEARCH, TREAT, BrokenStore, World

from medibridge import DataClass, PurposeOfUse
from medibridge.chain import Decision
from medibridge.ids import Lane

GRANTEES = ("second_hospital", "laboratory")
CLASSES = (LABORATORY, MEDICATIONS)

grants = st.tuples(
    st.just("grant"),
    st.sampled_from(GRANTEES),
    st.sets(st.sampled_from(CLASSES), min_size=1).map(frozenset),
    st.sampled_from([0, 0, 0, 2 * HOUR]),  # begins after
    st.sampled_from([HOUR, 3 * HOUR, 9 * HOUR]),  # lasts
)
research = st.tuples(st.just("research"), st.sampled_from(GRANTEES))
revokes = st.tuples(st.just("revoke"), st.sampled_from(GRANTEES), st.sampled_from(Lane), st.booleans())
others = st.sampled_from([("refresh",), ("wait", HOUR), ("wait", 4 * HOUR), ("lose", 1), ("lose", 2)])
steps = st.lists(st.one_of(grants, grants, revokes, others, research), min_size=1, max_size=7)


def take(world: World, step: tuple) -> None:
    patient = world.patient
    match step:
        case ("grant", name, classes, after, lasts):
            start = world.now() + after
            patient.grant(world.address(name), classes, TREAT, start=start, until=start + lasts)
        case ("research", name):
            patient.grant(world.address(name), frozenset(CLASSES), RESEARCH, until=world.now() + 9 * HOUR)
        case ("revoke", name, lane, store_answers):
            bridge = world.bridge if store_answers else world.with_store(BrokenStore())
            world.as_patient("patient", bridge).revoke(world.address(name), lane)
        case ("refresh",):
            patient.refresh()
        case ("wait", seconds):
            world.travel(seconds)
        case ("lose", count):
            world.forget([digest for _, digest in world.system.consents.keyrings(patient.address)][-count:])


def permitted(world: World, name: str, data_class: DataClass) -> bool:
    decision = world.system.consents.permits(world.patient.address, world.address(name), data_class, PurposeOfUse.TREAT)
    return decision is Decision.PERMITTED


def sealable(world: World) -> set[tuple[int, int]]:
    """The class keys that a hospital seals to now, by class and epoch."""
    keyring = world.bridge.keyring_of(world.patient.address).keyring
    if keyring is None:
        return set()
    keys = {number: keyring.class_key(number) for number in CLASSES}
    return {(number, key.epoch) for number, key in keys.items() if world.now() < key.not_after}


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_keyring_opens_exactly_what_the_chain_permits_after_any_steps(only_world: World, steps) -> None:
    world = only_world.fresh()
    seen = defaultdict(dict)  # everything that a grantee was ever handed, and keeps

    def look() -> None:
        for name in GRANTEES:
            seen[name] |= world.secrets_of(getattr(world, name))
            for key in sealable(world) & seen[name].keys():
                # Invariant, without any client's doing: what is sealed now opens to nobody without consent.
                assert permitted(world, name, key[0]), f"{name} opens class {key[0]} epoch {key[1]}"

    for step in steps:
        note(str(step))
        take(world, step)
        look()
    world.patient.refresh()
    look()

    keyring = world.bridge.keyring_of(world.patient.address).keyring
    assert keyring is not None
    for name in GRANTEES:
        held = world.secrets_of(getattr(world, name))
        for number in CLASSES:
            current = (number, keyring.class_key(number).epoch)
            assert (current in held) == permitted(world, name, number)
            assert {epoch for found, epoch in held if found == number} in (set(), set(range(1, current[1] + 1)))
        assert all(world.patient._identity.class_key(*key) == secret for key, secret in held.items())
    assert world.patient.refresh() is None
