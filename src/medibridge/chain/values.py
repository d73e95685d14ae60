"""The structs and enumerations of the contracts, as Python values.

Numbers and field orders are those of ``contracts/types`` and ``contracts/interfaces``.
"""

from __future__ import annotations

import enum
from dataclasses import astuple, dataclass
from typing import Any, NewType

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from medibridge.ids import Address, DataClass, Digest, Lane, PurposeOfUse, SealId

__all__ = [
    "Consent",
    "Decision",
    "Grant",
    "Institution",
    "Kind",
    "Listing",
    "ListingId",
    "ListingState",
    "Order",
    "OrderId",
    "OrderState",
    "OrderStatus",
    "Revocation",
    "Signed",
    "Standing",
    "Terms",
    "classes_in",
    "mask_of",
    "purposes_in",
]

ListingId = NewType("ListingId", bytes)
"""32 bytes: the keccak id of a listing."""

OrderId = NewType("OrderId", bytes)
"""32 bytes: the keccak id of an order."""


class Kind(enum.IntEnum):
    """What an institution is."""

    UNKNOWN = 0
    HOSPITAL = 1
    LABORATORY = 2
    PRACTICE = 3
    PHARMACY = 4
    BUYER = 5
    INSURER = 6
    AI_SERVICE = 7


class Standing(enum.IntEnum):
    """Whether an institution may act."""

    UNKNOWN = 0
    GOOD = 1
    SUSPENDED = 2


class Decision(enum.IntEnum):
    """The contract's answer to "may it read this now?", with its reason."""

    PERMITTED = 0
    NO_CONSENT = 1
    CLASS_NOT_COVERED = 2
    PURPOSE_NOT_COVERED = 3
    NOT_YET_STARTED = 4
    ENDED = 5


class ListingState(enum.IntEnum):
    """Where a listing stands."""

    NONE = 0
    LIVE = 1
    WITHDRAWN = 2


class OrderState(enum.IntEnum):
    """Where an order stands; the last two are final."""

    NONE = 0
    PAID = 1
    DELIVERED = 2
    SETTLED = 3
    REFUNDED = 4


def mask_of(members: frozenset[DataClass] | frozenset[PurposeOfUse]) -> int:
    """The 32-bit mask of data classes or purposes."""
    return sum(member.bit for member in members)


def classes_in(mask: int) -> frozenset[DataClass]:
    """The data classes of a 32-bit mask; bits without a name are left out."""
    return frozenset(member for member in DataClass if mask & member.bit)


def purposes_in(mask: int) -> frozenset[PurposeOfUse]:
    """The purposes of use of a 32-bit mask; bits without a name are left out."""
    return frozenset(member for member in PurposeOfUse if mask & member.bit)


@dataclass(frozen=True)
class Institution:
    """An entry of the directory; `profile` is the digest of a public block, zero where there is none."""

    kind: Kind
    standing: Standing
    profile: Digest


@dataclass(frozen=True)
class Consent:
    """A consent as it stands. Times are seconds since 1970; it holds while ``start <= now < end``."""

    classes: frozenset[DataClass]
    purposes: frozenset[PurposeOfUse]
    start: int
    end: int
    version: int
    changed_at: int
    by_delegate: bool


@dataclass(frozen=True)
class Grant:
    """A consent to be given. Keyrings are 32-byte digests; zero bytes where there is none yet."""

    patient: Address
    grantee: Address
    classes: frozenset[DataClass]
    purposes: frozenset[PurposeOfUse]
    start: int
    end: int
    old_keyring: Digest
    new_keyring: Digest

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (
            self.patient,
            self.grantee,
            mask_of(self.classes),
            mask_of(self.purposes),
            self.start,
            self.end,
            self.old_keyring,
            self.new_keyring,
        )


@dataclass(frozen=True)
class Revocation:
    """A consent to be taken back; see `Grant` for the keyrings."""

    patient: Address
    grantee: Address
    lane: Lane
    old_keyring: Digest
    new_keyring: Digest

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (self.patient, self.grantee, int(self.lane), self.old_keyring, self.new_keyring)


@dataclass(frozen=True)
class Signed:
    """What a signature adds: who signed, when (`version`), until when it may be submitted (`deadline`)."""

    signer: Address
    version: int
    deadline: int
    signature: bytes

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (self.signer, self.version, self.deadline, self.signature)


@dataclass(frozen=True)
class Terms:
    """What a seller asks. Prices in the token's smallest unit, windows in seconds, shares in 1/100 %."""

    token: Address
    price: int
    purpose: PurposeOfUse
    duo_terms: int
    deliver_within: int
    dispute_within: int
    custodian_share: int
    nonce: int

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (
            self.token,
            self.price,
            int(self.purpose),
            self.duo_terms,
            self.deliver_within,
            self.dispute_within,
            self.custodian_share,
            self.nonce,
        )


_TERMS = "address,uint128,uint8,uint32,uint32,uint32,uint16,uint64"
_LISTING_TYPEHASH = keccak(
    text="Listing(uint256 chainId,address market,address seller,address custodian,bytes32 subject,uint8 dataClass,"
    "bytes32 sealId,bytes32 manifestDigest,address token,uint128 priceInUnits,uint8 purpose,uint32 duoTerms,"
    "uint32 deliverWithin,uint32 disputeWithin,uint16 custodianShareInBps,uint64 nonce)"
)
_ORDER_TYPEHASH = keccak(
    text="Order(uint256 chainId,address market,bytes32 listingId,address buyer,bytes32 commitment,"
    "uint128 priceInUnits,uint64 nonce)"
)


@dataclass(frozen=True)
class Listing:
    """A sealed record for sale. `subject` is 32 bytes: the patient's address, left-padded."""

    seller: Address
    custodian: Address
    subject: bytes
    data_class: DataClass
    seal_id: SealId
    manifest: Digest
    terms: Terms

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (
            self.seller,
            self.custodian,
            self.subject,
            int(self.data_class),
            self.seal_id,
            self.manifest,
            self.terms.as_abi(),
        )

    @classmethod
    def from_abi(cls, values: Any) -> Listing:
        """Read the struct as web3 returns it: a tuple, or a mapping with the contract's field names."""
        seller, custodian, subject, data_class, seal_id, manifest, terms = _in_order(values)
        token, price, purpose, *rest = _in_order(terms)
        return cls(
            seller=Address(seller),
            custodian=Address(custodian),
            subject=bytes(subject),
            data_class=DataClass(data_class),
            seal_id=SealId(bytes(seal_id)),
            manifest=Digest(bytes(manifest)),
            terms=Terms(Address(token), price, PurposeOfUse(purpose), *rest),
        )

    def listing_id(self, chain_id: int, market: Address) -> ListingId:
        """keccak256(abi.encode(type hash, chain id, market, every field))."""
        return ListingId(
            keccak(
                encode(
                    [
                        "bytes32",
                        "uint256",
                        "address",
                        f"(address,address,bytes32,uint8,bytes32,bytes32,({_TERMS}))",
                    ],
                    [_LISTING_TYPEHASH, chain_id, market, self.as_abi()],
                )
            )
        )


@dataclass(frozen=True)
class Order:
    """One purchase. `commitment` is H(0x0a ‖ t), 32 bytes; the price is in the token's smallest unit."""

    listing_id: ListingId
    buyer: Address
    commitment: bytes
    price: int
    nonce: int

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return astuple(self)

    def order_id(self, chain_id: int, market: Address) -> OrderId:
        """keccak256(abi.encode(type hash, chain id, market, every field)) (protocol, section 6)."""
        return OrderId(
            keccak(
                encode(
                    ["bytes32", "uint256", "address", "(bytes32,address,bytes32,uint128,uint64)"],
                    [_ORDER_TYPEHASH, chain_id, market, self.as_abi()],
                )
            )
        )


@dataclass(frozen=True)
class OrderStatus:
    """An order as it is stored; `deadline` in seconds since 1970, `delivery` 26 bytes."""

    state: OrderState
    deadline: int
    delivery: bytes


def _in_order(values: Any) -> tuple[Any, ...]:
    return tuple(values.values()) if hasattr(values, "values") else tuple(values)
