"""What buyers ask for, and what patients offer once for many buyers: the structs of `Requests`, and real answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import brownie
from clock import NOON
from datasets import dataset_of
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak
from sales import DAY, Listing, Terms, Use, as_struct, digest, unlisted
from typed_data import Grant, StandingOffer, sign_consent, sign_offer

from medibridge.ids import Address, DataClass, PurposeOfUse
from medibridge.sealing.contributors import Share, ShareTree

PER_PATIENT = 20_000_000
"""Twenty dollars for each patient's data."""

_REQUEST = (
    "(address,address,uint128,uint128,uint32,uint32,uint40,uint32,(uint8,uint32,uint32,uint32),bytes32,bytes32,uint64)"
)
_REQUEST_TYPE = (
    "Request(uint256 chainId,address requests,address buyer,address token,uint128 pricePerPatientInUnits,"
    "uint128 budgetInUnits,uint32 fewest,uint32 most,uint40 until,uint32 classes,uint8 purpose,uint32 research,"
    "uint32 disease,uint32 accepted,bytes32 criteria,bytes32 profile,uint64 nonce)"
)


class Request(NamedTuple):
    """What a buyer asks for, field by field."""

    buyer: str
    token: str
    price_per_patient: int = PER_PATIENT
    budget: int = 10 * PER_PATIENT
    fewest: int = 2
    most: int = 10
    until: int = NOON + 7 * DAY
    classes: int = DataClass.LABORATORY.bit
    use: Use = Use()
    criteria: bytes = digest("criteria")
    profile: bytes = digest("profile")
    nonce: int = 0

    def id_at(self, requests: Any) -> bytes:
        """keccak256(abi.encode(type hash, chain, contract, every field in order))."""
        types = ["bytes32", "uint256", "address", _REQUEST]
        return keccak(encode(types, [keccak(text=_REQUEST_TYPE), brownie.chain.id, requests.address, self]))


class Joiner(NamedTuple):
    """`IRequests.Joiner`, field by field."""

    offer: StandingOffer
    signature: bytes
    salt: bytes


@dataclass(frozen=True)
class Volunteer:
    """A patient: an address, and the key that signs for it."""

    address: Address
    private_key: str

    @classmethod
    def named(cls, name: object) -> Volunteer:
        """The same account for the same name."""
        key = "0x" + digest(f"volunteer {name}").hex()
        return cls(Address(Account.from_key(key).address), key)

    @classmethod
    def of(cls, account: Any) -> Volunteer:
        """An account of the tests, which can send transactions too."""
        return cls(Address(account.address), account.private_key)

    @property
    def payout(self) -> Address:
        """A fresh account, which is paid."""
        return Address(Account.from_key(digest(f"payout of {self.address}")).address)

    @property
    def salt(self) -> bytes:
        return digest(f"salt of {self.address}")

    @property
    def share(self) -> Share:
        return Share(self.address, self.payout, 1, self.salt)

    def consent(self, consents: Any, seller: Any, relayer: Any) -> Grant:
        """Lets the seller sell laboratory data for research, by a signature that somebody else sends."""
        classes, purposes = DataClass.LABORATORY.bit, PurposeOfUse.HRESCH.bit
        period, no_keyring = (NOON, NOON + 30 * DAY), bytes(32)
        grant = Grant(self.address, seller.address, classes, purposes, *period, no_keyring, no_keyring)
        consents.grantFor(grant, sign_consent(self, consents, grant, NOON), {"from": relayer})
        return grant

    def offer(self, seller: Any, paid_in: Any, **changes: Any) -> StandingOffer:
        """Laboratory data for research, to anybody, twice, for ten dollars at least."""
        return StandingOffer(
            patient=self.address,
            seller=seller.address,
            classes=DataClass.LABORATORY.bit,
            purposes=PurposeOfUse.HRESCH.bit,
            kinds_allowed=0,
            kinds_denied=0,
            token=paid_in.address,
            least=PER_PATIENT // 2,
            uses=2,
            until=NOON + 30 * DAY,
            payout=self.payout,
            nonce=5,
        )._replace(**changes)

    def joiner(self, requests: Any, seller: Any, paid_in: Any, **changes: Any) -> Joiner:
        """The offer, signed, and the salt."""
        offer = self.offer(seller, paid_in, **changes)
        return Joiner(offer, sign_offer(self, requests, offer), self.salt)


@dataclass(frozen=True)
class Answer:
    """A dataset listed for the asker, and its patients in the order of the tree's leaves."""

    listing: Listing
    joiners: tuple[Joiner, ...]
    tree: ShareTree

    def with_joiner(self, joiner: Joiner) -> list[Joiner]:
        """The joiners, but for what one patient brings."""
        return [joiner if each.offer.patient == joiner.offer.patient else each for each in self.joiners]


def answer_of(
    system: Any, seller: Any, volunteers: Sequence[Volunteer], request: Request, name: object = 0, **terms: Any
) -> Answer:
    """Deposits and lists a dataset of these patients for the asker; they consented before."""
    tree = ShareTree([volunteer.share for volunteer in volunteers])
    batch = dataset_of(seller, tree.subject, f"answer {name}").deposited(system.records, seller)
    price = len(volunteers) * request.price_per_patient
    asked = Terms(request.token, price, reserved_for=system.requests.address, security=price)._replace(**terms)
    system.data_sales.fund(asked.token, asked.bond, {"from": seller})
    system.data_sales.list(asked, as_struct(batch.records[0]), batch.proof(0), {"from": seller})
    by_address = {volunteer.address: volunteer for volunteer in volunteers}
    joiners = (by_address[share.patient].joiner(system.requests, seller, system.dollar) for share in tree.shares)
    return Answer(unlisted(seller, batch.records[0], asked), tuple(joiners), tree)
