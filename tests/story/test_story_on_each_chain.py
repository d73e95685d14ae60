"""From a laboratory's message to a paid patient, through the roles, on each kind of chain.

    pytest -p no:pytest-brownie tests/story

Each chain is started here on a free port and ended afterwards.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from medibridge import (
    Bridge,
    Buyer,
    Chain,
    DataClass,
    Hospital,
    Identity,
    Kind,
    Lane,
    MemoryJournal,
    MemoryStore,
    Patient,
    PurposeOfUse,
    System,
    address,
    deploy,
    samples,
)
from medibridge.chain import Grant, OrderState
from medibridge.chain.deployment import LEAST_REWARD
from medibridge.chain.refusals import (
    DeadlineNotReached,
    InvalidSignature,
    NotDeidentified,
    NothingToWithdraw,
    NotInGoodStanding,
    VersionSuperseded,
)
from medibridge.errors import NoKeyForRecord, NotEnoughFunds, NotPermitted
from medibridge.formats import read as convert
from medibridge.ids import Digest
from medibridge.sealing.records import WrongKey

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from nodes import MNEMONIC, NODES

pytestmark = pytest.mark.story

DAY = 86_400
PRICE = 50_000_000
BOND = 3 * LEAST_REWARD
NOTHING = Digest(bytes(32))
LABORATORY = frozenset({DataClass.LABORATORY})
TREATMENT = frozenset({PurposeOfUse.TREAT})


@pytest.fixture(scope="module", params=["in process", *NODES])
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    with ExitStack() as stack:
        if request.param == "in process":
            yield Chain.in_process()
        else:
            yield Chain.at(stack.enter_context(NODES[request.param]()))


def account(number: int) -> LocalAccount:
    """An account that Anvil and Ganache give ether to."""
    Account.enable_unaudited_hdwallet_features()
    return Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")


def identity(name: str) -> Identity:
    return Identity.from_seed(hashlib.sha256(name.encode()).digest())


@pytest.fixture(scope="module")
def system(chain: Chain) -> System:
    admin = account(0)
    if not chain.balance(address(admin.address)):
        for number in range(6):
            chain.fund(address(account(number).address), 10**20)
    return deploy(chain, admin).check()


def test_story_from_hospital_to_buyer(system: System) -> None:
    # The stage: two hospitals, a patient, a buyer, and a relayer who pays for others.
    admin, relayer = account(0), account(5)
    chain, store = system.chain, MemoryStore()
    bridge = Bridge(system, store)
    hospital = Hospital(bridge, account(1), identity("hospital"), MemoryJournal())
    second = Hospital(bridge, account(2), identity("second hospital"), MemoryJournal())
    patient = Patient(bridge, account(3), identity("patient"))
    buyer = Buyer(bridge, account(4), identity("buyer"))
    with pytest.raises(NotInGoodStanding) as unknown:
        system.records.deposit(account(1), bytes(32), 1, NOTHING)
    assert unknown.value.account == hospital.address
    for party, kind in ((hospital, Kind.HOSPITAL), (second, Kind.HOSPITAL), (buyer, Kind.BUYER)):
        system.institutions.enrol(admin, party.address, kind, NOTHING)
    for party in (hospital, second, patient, buyer):
        party.register()
    system.token.mint(admin, buyer.address, PRICE)
    system.token.mint(admin, patient.address, BOND)

    # The hospital deposits a message; whatever it repeats, it is deposited once.
    message = samples.read("oru-r01-laboratory.hl7")
    deposited = hospital.deposit(patient.address, message)
    assert hospital.deposit(patient.address, message).repeated
    original, twin = sorted(patient.records(), key=lambda record: record.description.deidentified)
    assert {original.description.record_id, twin.description.record_id} == set(deposited.records)
    assert patient.read(original) == convert(message).records[0]

    # The second hospital may read nothing, then everything of the class, then nothing new.
    assert second.records(patient.address) == []
    with pytest.raises(NotPermitted, match="no consent"):
        second.read(patient.address, original)
    granted = patient.grant(second.address, LABORATORY, TREATMENT, until=chain.now() + 2 * DAY)
    assert granted.keyring == system.consents.keyring_of(patient.address)
    kept = bridge.keyring_of(patient.address).keyring
    found = second.records(patient.address)
    assert found == patient.records()
    assert [second.read(patient.address, record) for record in found] == [patient.read(record) for record in found]
    patient.revoke(second.address)
    hospital.deposit(patient.address, message + b"\rNTE|9||tomorrow", twins=False)
    with pytest.raises(NotPermitted, match="no consent"):
        second.read(patient.address, original)
    held = kept.held_by(second._identity.registered, second.address, patient.address, bridge.consents_place)
    keys = [secret.private_key() for secret in held.class_secrets.values()]
    (tomorrow,) = [record for record in patient.records() if record.description.epoch == 2]
    assert bridge.open(original, keys) == patient.read(original)
    with pytest.raises(NoKeyForRecord):
        bridge.open(tomorrow, keys)

    # A grant by signature, which a relayer pays; not a word of it can be changed, and it dies with the next revoke.
    signing, keyring = chain.now(), system.consents.keyring_of(patient.address)
    research = frozenset({PurposeOfUse.HRESCH})
    given = Grant(patient.address, second.address, LABORATORY, research, signing, signing + DAY, keyring, keyring)
    signed = system.consents.sign_grant(account(3), given, version=signing, deadline=signing + DAY)
    widened = Grant(**(vars(given) | {"classes": frozenset(DataClass)}))
    with pytest.raises(InvalidSignature) as forged:
        system.consents.grant_for(relayer, widened, signed)
    assert forged.value.signer == patient.address
    assert system.consents.grant_for(relayer, given, signed).version == signing
    with pytest.raises(VersionSuperseded) as replayed:
        system.consents.grant_for(relayer, given, signed)
    assert replayed.value.current == signing
    patient.revoke(second.address, Lane.RESEARCH_AND_SALE)

    # The patient offers the de-identified twin, and nothing else; the buyer looks, pays, opens.
    with pytest.raises(NotDeidentified) as named:
        patient.offer(original, PRICE)
    assert named.value.record_id == original.description.record_id
    patient.offer(twin, PRICE)
    (offer,) = buyer.offers()
    purchase = buyer.buy(buyer.inspect(offer))
    assert system.token.balance_of(buyer.address) == 0
    with pytest.raises(NotEnoughFunds, match="get more of the token first"):
        buyer.buy(buyer.inspect(offer))
    (delivered,) = patient.deliver()
    restored = Buyer(Bridge(system, store), account(4), identity("buyer"))  # from its seed alone
    assert restored.open(restored.purchase(purchase.name)) == patient.read(twin)

    # The window closes, everybody is paid, and the books are empty.
    with pytest.raises(DeadlineNotReached) as early:
        system.data_sales.settle(relayer, purchase.order, purchase.listing)
    assert early.value.order_id == purchase.order_id
    chain.advance(delivered.deadline - chain.now() + 1)
    assert [settled.order_id for settled in patient.settle()] == [purchase.order_id]
    (paid,) = patient.distribute()
    assert paid.fee_in_units + paid.custodian_in_units + paid.patient_in_units == PRICE
    assert buyer.purchase(purchase.name).state is OrderState.SETTLED
    assert patient.withdraw().amount_in_units == system.token.balance_of(patient.address) == paid.patient_in_units
    assert hospital.withdraw().amount_in_units == paid.custodian_in_units
    assert system.data_sales.withdraw(admin, system.token.address, address(admin.address)).amount_in_units == (
        paid.fee_in_units
    )
    with pytest.raises(NothingToWithdraw):
        patient.withdraw()

    # Another buyer's money, and this time a key of nothing: proved, paid back, and the offer is gone.
    system.token.mint(admin, buyer.address, PRICE)
    cheated = buyer.buy(buyer.inspect(offer))
    system.data_sales.deliver(account(3), cheated.order, cheated.listing, bytes(32))
    assert buyer.examine(cheated) == WrongKey(0)
    proved = buyer.dispute(cheated)
    assert buyer.withdraw().amount_in_units == PRICE + proved.reward_in_units
    assert buyer.offers() == []

    # A week later the seller has what is left of the bond, and the books are empty.
    chain.advance(8 * DAY)
    assert patient.release_bond(offer.listing).amount_in_units == BOND - proved.reward_in_units
    patient.withdraw()
    assert system.token.balance_of(system.data_sales.address) == 0


def test_missed_delivery_is_refunded(system: System) -> None:
    bridge = Bridge(system, MemoryStore())
    hospital = Hospital(bridge, account(1), identity("hospital"), MemoryJournal())
    patient = Patient(bridge, account(3), identity("slow patient"))
    buyer = Buyer(bridge, account(4), identity("buyer"))
    admin, chain = account(0), system.chain
    system.institutions.enrol(admin, hospital.address, Kind.HOSPITAL, NOTHING)
    system.institutions.enrol(admin, buyer.address, Kind.BUYER, NOTHING)
    for party in (hospital, patient, buyer):
        party.register()
    system.token.mint(admin, buyer.address, PRICE)
    system.token.mint(admin, patient.address, BOND)
    hospital.deposit(patient.address, samples.read("oru-r01-laboratory.hl7"))
    (twin,) = [record for record in patient.records() if record.description.deidentified]
    patient.offer(twin, PRICE)
    offer = buyer.offers()[-1]
    before = system.token.balance_of(buyer.address)
    purchase = buyer.buy(buyer.inspect(offer))
    assert buyer.refund() == []
    chain.advance(purchase.deadline - chain.now() + 1)
    assert patient.deliver() == []
    assert [refunded.order_id for refunded in buyer.refund()] == [purchase.order_id]
    assert buyer.withdraw().amount_in_units == PRICE
    assert system.token.balance_of(buyer.address) == before


def test_empty_account_is_told_to_get_ether(system: System) -> None:
    poor = Account.create()
    system.institutions.enrol(account(0), address(poor.address), Kind.HOSPITAL, NOTHING)
    with pytest.raises(NotEnoughFunds, match="cannot pay for this transaction's gas; send it some ether first"):
        system.records.deposit(poor, bytes(32), 1, NOTHING)
