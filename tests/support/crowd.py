"""Patients by the dozen, who let a custodian sell: fresh accounts on a world's chain, with consents and offers.

crowd = Crowd(world, 5)
crowd.consent()
archive, contributors = crowd.dataset()
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3.providers.eth_tester import EthereumTesterProvider
from world import DAY, LABORATORY, RESEARCH, World

from medibridge import Address, Bridge, Chain, Identity, Patient, System, address
from medibridge.chain import Grant, Revocation, Use
from medibridge.ids import DataClass, Digest, Lane
from medibridge.roles.answers import Responder
from medibridge.roles.contributions import Contributor
from medibridge.roles.datasets import DatasetCustodian, SealedDataset
from medibridge.roles.requests import PostedRequest, Requester
from medibridge.roles.standing_offers import Offerer, SignedOffer

PER_PATIENT = 20_000_000
"""What a request pays for each patient, in units: 20 dollars."""


class WatchedChain(Chain):
    """The world's chain, on which something happens before a transaction is sent."""

    def __init__(self, world: World, before_send: Callable[[str], None]) -> None:
        super().__init__(EthereumTesterProvider(world.tester), place="the watched chain of this test")
        self._before_send = before_send

    def send(self, account: LocalAccount, call: Any) -> Any:
        self._before_send(getattr(call, "fn_name", "deploy"))
        return super().send(account, call)


def watched(world: World, before_send: Callable[[str], None]) -> Bridge:
    """The world's bridge; `before_send` is told the name of each function that is to be called, and may raise."""
    return Bridge(System(WatchedChain(world, before_send), world.system.deployment), world.store)


@dataclass(frozen=True)
class Person:
    """A patient with an account and a seed."""

    account: LocalAccount
    identity: Identity

    @property
    def address(self) -> Address:
        return address(self.account.address)


class Crowd:
    """Some patients of the world's hospital, who are known by nothing but an account."""

    def __init__(self, world: World, size: int) -> None:
        self.world = world
        self.people = [self._person(number) for number in range(size)]
        for person in self.people:
            world.chain.fund(person.address, 10**18)

    def __getitem__(self, number: int) -> Person:
        return self.people[number]

    def __len__(self) -> int:
        return len(self.people)

    @staticmethod
    def _person(number: int) -> Person:
        seed = hashlib.sha256(b"seed of somebody %d" % number).digest()
        return Person(Account.from_key(hashlib.sha256(b"key of somebody %d" % number).digest()), Identity(seed))

    def patient(self, person: Person) -> Patient:
        return Patient(self.world.bridge, person.account, person.identity)

    def offerer(self, person: Person) -> Offerer:
        return Offerer(self.world.bridge, person.account, person.identity)

    def contributor(self, person: Person) -> Contributor:
        return Contributor(self.world.bridge, person.account, person.identity)

    def consent(self, *people: Person, classes: frozenset[DataClass] = frozenset({LABORATORY}), days: int = 60) -> None:
        """These, or all, let the hospital sell for research."""
        now = self.world.now()
        for person in people or self.people:
            keyring = self.world.system.consents.keyring_of(person.address)
            given = Grant(
                person.address, self.world.hospital.address, classes, RESEARCH, now, now + days * DAY, keyring, keyring
            )
            self.world.system.consents.grant(person.account, given)

    def revoke(self, person: Person) -> None:
        none = Digest(bytes(32))
        revocation = Revocation(person.address, self.world.hospital.address, Lane.RESEARCH_AND_SALE, none, none)
        self.world.system.consents.revoke(person.account, revocation)

    def offer(self, person: Person, **changes: object) -> SignedOffer:
        """A standing offer to the hospital: laboratory data for research, five dollars and more."""
        given = {"least": 5_000_000, "uses": 3, "until": self.world.now() + 60 * DAY} | changes
        classes = given.pop("classes", frozenset({LABORATORY}))
        purposes = given.pop("purposes", RESEARCH)
        seller = given.pop("seller", self.world.hospital.address)
        return self.offerer(person).offer(seller, classes, purposes, **given)

    def offers(self) -> list[SignedOffer]:
        return [self.offer(person) for person in self.people]

    def custodian(self) -> DatasetCustodian:
        return DatasetCustodian(self.world.bridge, self.world.accounts["hospital"], self.world.identity("hospital"))

    def responder(self, bridge: Bridge | None = None) -> Responder:
        world = self.world
        journal = world.journals["hospital"]
        return Responder(bridge or world.bridge, world.accounts["hospital"], world.identity("hospital"), journal)

    def requester(self) -> Requester:
        return Requester(self.world.bridge, self.world.accounts["buyer"], self.world.identity("buyer"))

    def ask(self, **changes: object) -> PostedRequest:
        """A request for laboratory data of three to nine patients."""
        given = {
            "price_per_patient": PER_PATIENT,
            "fewest": 3,
            "most": 9,
            "until": self.world.now() + 30 * DAY,
        } | changes
        classes, use = given.pop("classes", frozenset({LABORATORY})), given.pop("use", Use())
        return self.requester().ask("adults with diabetes", classes, use, **given)


def archive_of(note: str = "first") -> io.BytesIO:
    """What a dataset's archive is to those who seal it: bytes."""
    return io.BytesIO(hashlib.sha256(note.encode()).digest() * 2_000)


def sealed_by(crowd: Crowd, note: str = "first") -> SealedDataset:
    """A dataset of everybody in the crowd, sealed by the hospital; each is paid at a fresh account."""
    archive = archive_of(note)
    payouts = {
        person.address: address(crowd.contributor(person).payout_account(crowd.world.hospital.address).address)
        for person in crowd.people
    }
    return crowd.custodian().seal(archive, len(archive.getvalue()), payouts, LABORATORY)
