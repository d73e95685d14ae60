"""A market on a chain, with goods to sell, and the books that somebody keeps who reads only the rules.

The goods are four: a record that its patient sells, one that a custodian sells with a patient's consent, one with a
spoiled chunk, and a dataset of three patients one of whom never consented.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from eth_account import Account
from eth_account.signers.local import LocalAccount
from nodes import MNEMONIC
from sealed import Sealed, sealed

from medibridge import (
    Address,
    Chain,
    DataClass,
    Kind,
    PurposeOfUse,
    System,
    address,
    deploy,
)
from medibridge.chain import Grant, Listing, ListingId, ListingState, Order, OrderId, OrderState, Parts
from medibridge.chain.sales import ChunkProof, ShareProof
from medibridge.chain.sales import Share as ChainShare
from medibridge.chain.values import Revocation
from medibridge.ids import Digest, Lane, RecordDescription, subject_of
from medibridge.sealing import contributors, merkle
from medibridge.sealing.contributors import ShareTree

__all__ = ["DAY", "HOUR", "MONEY", "Deal", "Good", "Market", "Offered"]

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
MONEY: Final = 10**12  # units that each seller and buyer has at the beginning
LABORATORY: Final = DataClass.LABORATORY

SELLERS: Final = ("rowan", "lakeside", "anne")
BUYERS: Final = ("meridian", "atlas")
CONTRIBUTORS: Final = ("carol", "dora", "emil")
CAST: Final = ("admin", *SELLERS, "ben", *CONTRIBUTORS, *BUYERS)


def digest(text: str) -> Digest:
    """Some 32 bytes."""
    return Digest(sha256(text.encode()).digest())


@dataclass(frozen=True)
class Good:
    """What can be sold: a deposited record, with all that its sealer knows."""

    name: str
    seller: str
    record: RecordDescription
    root: bytes
    index: int
    path: tuple[bytes, ...]
    sealed: Sealed
    consenting: str | None = None  # the patient whose consent the seller needs
    tree: ShareTree | None = None

    def chunk_proof(self, index: int) -> ChunkProof:
        """What a dispute over this chunk shows."""
        root, chunks, size, at, *hashes, path = self.sealed.proof(index)
        return ChunkProof(root, chunks, size, at, b"".join(hashes), tuple(path))


@dataclass
class Offered:
    """A listing as the books have it: times in seconds since 1970."""

    listing: Listing
    listing_id: ListingId
    good: Good
    parts: Parts
    listed_at: int
    state: ListingState = ListingState.LIVE
    closed_at: int = 0
    open: int = 0
    places: int = 0
    sold: int = 0
    distributed: int = 0
    disputed: int = 0
    forfeited_to: str = ""  # the patient who never consented
    claimed: dict[bytes, int] = field(default_factory=dict)

    @property
    def frozen(self) -> bool:
        return self.state in {ListingState.FROZEN, ListingState.FORFEITED}

    @property
    def bond(self) -> int:
        """What the market still holds of the bond."""
        if self.state is ListingState.RELEASED:
            return 0
        return (0 if self.forfeited_to else self.listing.terms.security) + self.places * self.listing.terms.reward

    def share_of(self, share: contributors.Share, sales: int) -> int:
        """What a contributor gets of so many sales."""
        assert self.good.tree is not None
        return sales * self.parts.patients * share.share // self.good.tree.total

    @property
    def unpaid(self) -> int:
        """What of its settled prices is credited to nobody yet."""
        each = self.parts.fee + self.parts.custodian
        if self.good.tree is None:
            return (self.sold - self.distributed) * (each + self.parts.patients)
        claimed = sum(self.share_of(share, self.claimed.get(share.leaf, 0)) for share in self.good.tree.shares)
        return (self.sold - self.distributed) * each + self.sold * self.parts.patients - claimed


@dataclass
class Deal:
    """An order as the books have it. `right` says whether the key that was delivered is the right one."""

    order: Order
    order_id: OrderId
    offered: Offered
    buyer: str
    secret: bytes
    deadline: int
    state: OrderState = OrderState.PAID
    masked: bytes = b""
    right: bool = True


class Market:
    """The deployed market and its cast; `reset` brings back the moment in which everything was ready."""

    def __init__(self, chain: Chain) -> None:
        Account.enable_unaudited_hdwallet_features()
        self.chain = chain
        self.accounts: dict[str, LocalAccount] = {
            name: Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{at}") for at, name in enumerate(CAST)
        }
        self.system: System = deploy(chain, self.accounts["admin"])
        self.sales, self.token = self.system.data_sales, self.system.token
        for name, kind in (("rowan", Kind.HOSPITAL), ("lakeside", Kind.HOSPITAL), ("meridian", Kind.BUYER)):
            self.system.institutions.enrol(self.accounts["admin"], self.address(name), kind)
        self.system.institutions.enrol(self.accounts["admin"], self.address("atlas"), Kind.BUYER)
        for name in (*SELLERS, *BUYERS):
            self.token.mint(self.accounts["admin"], self.address(name), MONEY)
            self.token.approve(self.accounts[name], self.sales.address, MONEY)
        for patient, seller in (("ben", "rowan"), ("carol", "lakeside"), ("dora", "lakeside")):
            self.consent(patient, seller)
        self.contributors = ShareTree(
            [
                contributors.Share(self.address(name), self.address(name), share, digest(f"salt of {name}"))
                for share, name in enumerate(CONTRIBUTORS, 1)
            ]
        )
        self.goods = self._deposited()
        self._snapshot = self._ask("evm_snapshot")

    def reset(self) -> None:
        """Forget whatever happened since everything was ready."""
        assert self._ask("evm_revert", self._snapshot) is True
        self._snapshot = self._ask("evm_snapshot")

    def address(self, name: str) -> Address:
        return address(self.accounts[name].address)

    def name(self, account: Address) -> str:
        return next(name for name in CAST if self.address(name) == account)

    def consent(self, patient: str, seller: str) -> int:
        """Let the seller sell laboratory data for research, for a year; the time of the change."""
        consents, who = self.system.consents, self.address(patient)
        keyring = consents.keyring_of(who)
        new = keyring if any(keyring) else digest(f"keyring of {patient}")
        now = self.chain.now()
        given = Grant(
            patient=who,
            grantee=self.address(seller),
            classes=frozenset({LABORATORY}),
            purposes=frozenset({PurposeOfUse.HRESCH}),
            start=now,
            end=now + 365 * DAY,
            old_keyring=keyring,
            new_keyring=new,
        )
        consents.grant(self.accounts[patient], given)
        return self.consent_changed_at(patient, seller)

    def revoke(self, patient: str, seller: str) -> int:
        """Take that back; the time of the change."""
        consents, who = self.system.consents, self.address(patient)
        keyring = consents.keyring_of(who)
        consents.revoke(
            self.accounts[patient],
            Revocation(who, self.address(seller), Lane.RESEARCH_AND_SALE, keyring, keyring),
        )
        return self.consent_changed_at(patient, seller)

    def consent_changed_at(self, patient: str, seller: str) -> int:
        slot = self.system.consents.consent_of(self.address(patient), self.address(seller), Lane.RESEARCH_AND_SALE)
        return slot.changed_at

    def share_proof(self, patient: str) -> tuple[ChainShare, ShareProof]:
        """A contributor's share of the dataset, and the proof of its place."""
        proof = self.contributors.proof(self.address(patient))
        sums, hashes = (tuple(step[part] for step in proof.path) for part in (0, 1))
        share = ChainShare(proof.payout, proof.share, proof.hidden)
        return share, ShareProof(proof.index, proof.size, proof.total, sums, hashes)

    def _deposited(self) -> list[Good]:
        tree = self.contributors
        honest = sealed(b"what a laboratory found out")
        spoiled = honest.altered(0, promised=b"what the seal promises is something else")
        own, entrusted = subject_of(self.address("anne")), subject_of(self.address("ben"))
        goods = [("own", own, honest), ("entrusted", entrusted, honest), ("bad", own, spoiled)]
        first, second, third = self._batch("rowan", goods)
        (dataset,) = self._batch("lakeside", [("dataset", tree.subject, honest)])
        return [
            Good("own", "anne", *first),
            Good("entrusted", "rowan", *second, consenting="ben"),
            Good("bad", "anne", *third),
            Good("dataset", "lakeside", *dataset, tree=tree),
        ]

    def _batch(
        self, custodian: str, goods: list[tuple[str, bytes, Sealed]]
    ) -> list[tuple[RecordDescription, bytes, int, tuple[bytes, ...], Sealed]]:
        records = [
            RecordDescription(
                custodian=self.address(custodian),
                subject=subject,
                data_class=LABORATORY,
                epoch=0,
                deidentified=True,
                seal_id=content.seal_id,
                manifest=digest(f"manifest of {name}"),
                salt=digest(f"salt of {name}"),
            )
            for name, subject, content in goods
        ]
        leaves = [merkle.leaf(record.record_id) for record in records]
        root = merkle.root(leaves)
        self.system.records.deposit(self.accounts[custodian], root, len(leaves), digest("list"))
        return [
            (record, root, at, tuple(merkle.path(leaves, at)), content)
            for at, (record, (_, _, content)) in enumerate(zip(records, goods, strict=True))
        ]

    def _ask(self, method: str, *parameters: object) -> object:
        """A node's own method, which the library has no use for."""
        return self.chain.web3.provider.make_request(method, list(parameters))["result"]  # type: ignore[arg-type]
