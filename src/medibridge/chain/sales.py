"""The structs and states of a sale, as Python values.

Numbers and field orders are those of ``contracts/types/Sale.sol``, ``contracts/types/Share.sol`` and
``contracts/interfaces/IDataSales.sol``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any, Final, NewType

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from medibridge.chain.data_use import Conditions
from medibridge.ids import Address, DataClass, Digest, SealId, address

__all__ = [
    "ANYBODY",
    "ChunkProof",
    "Listing",
    "ListingId",
    "ListingState",
    "ListingStatus",
    "Order",
    "OrderId",
    "OrderState",
    "OrderStatus",
    "Parts",
    "Share",
    "ShareProof",
    "StopGround",
    "Terms",
    "in_order",
]

ListingId = NewType("ListingId", bytes)
"""32 bytes: the keccak id of a listing."""

OrderId = NewType("OrderId", bytes)
"""32 bytes: the keccak id of an order."""

ANYBODY: Final = Address("0x" + 40 * "0")
"""Where a listing is reserved for nobody."""


class ListingState(enum.IntEnum):
    """Where a listing stands. Only a live one is sold."""

    NONE = 0
    LIVE = 1
    WITHDRAWN = 2
    FROZEN = 3
    FORFEITED = 4
    RELEASED = 5


class OrderState(enum.IntEnum):
    """Where an order stands; the last three are final."""

    NONE = 0
    PAID = 1
    DELIVERED = 2
    SETTLED = 3
    REFUNDED = 4
    DISPUTED = 5


class StopGround(enum.IntEnum):
    """Why a delivery should not come any more."""

    NONE = 0
    LISTING_FROZEN = 1
    CUSTODIAN_SUSPENDED = 2
    BUYER_SUSPENDED = 3
    CONSENT_WITHDRAWN = 4


@dataclass(frozen=True)
class Terms:
    """What a seller asks.

    Amounts are in the token's smallest unit, windows in seconds, the custodian's share in hundredths of a percent of
    what remains after the fee. The bond is `security` and, for each of the `places` that orders may take at once, a
    `reward` for the buyer who proves a fraud.
    """

    token: Address
    price: int
    conditions: Conditions
    reserved_for: Address
    deliver_within: int
    dispute_within: int
    custodian_share: int
    places: int
    reward: int
    security: int
    nonce: int

    @property
    def bond(self) -> int:
        """All that the seller leaves, in the token's smallest unit."""
        return self.security + self.places * self.reward

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (
            self.token,
            self.price,
            self.conditions.as_abi(),
            self.reserved_for,
            self.deliver_within,
            self.dispute_within,
            self.custodian_share,
            self.places,
            self.reward,
            self.security,
            self.nonce,
        )

    @classmethod
    def from_abi(cls, values: Any) -> Terms:
        """Read the struct as web3 returns it. Raises `ValueError` for a purpose that this version does not know."""
        token, price, conditions, reserved_for, *rest = in_order(values)
        return cls(Address(token), price, Conditions.from_abi(in_order(conditions)), Address(reserved_for), *rest)


_TERMS = (
    "address,uint128,(uint8,uint32,uint32,uint16,uint16),address,uint32,uint32,uint16,uint32,uint128,uint128,uint64"
)
_LISTING_TYPEHASH = keccak(
    text="Listing(uint256 chainId,address market,address seller,address custodian,bytes32 subject,uint8 dataClass,"
    "bytes32 sealId,bytes32 manifestDigest,address token,uint128 priceInUnits,uint8 purpose,uint32 duoTerms,"
    "uint32 disease,uint16 kindsAllowed,uint16 kindsDenied,address reservedFor,uint32 deliverWithin,"
    "uint32 disputeWithin,uint16 custodianShareInBps,uint32 places,uint128 rewardInUnits,uint128 securityInUnits,"
    "uint64 nonce)"
)
_ORDER_TYPEHASH = keccak(
    text="Order(uint256 chainId,address market,bytes32 listingId,address buyer,bytes32 commitment,"
    "uint128 priceInUnits,uint64 nonce)"
)


@dataclass(frozen=True)
class Listing:
    """A sealed record for sale.

    `subject` is 32 bytes: the patient's address, left-padded; or, for many patients, what commits to their shares.
    """

    seller: Address
    custodian: Address
    subject: bytes
    data_class: DataClass
    seal_id: SealId
    manifest: Digest
    terms: Terms

    @property
    def patient(self) -> Address | None:
        """The patient of a record about a single one; None for a dataset of many."""
        return None if any(self.subject[:12]) else address("0x" + self.subject[12:].hex())

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
        """Read the struct as web3 returns it: a tuple, or a mapping with the contract's field names.

        Raises `ValueError` for a class or purpose that this version does not know.
        """
        seller, custodian, subject, data_class, seal_id, manifest, terms = in_order(values)
        return cls(
            seller=Address(seller),
            custodian=Address(custodian),
            subject=bytes(subject),
            data_class=DataClass(data_class),
            seal_id=SealId(bytes(seal_id)),
            manifest=Digest(bytes(manifest)),
            terms=Terms.from_abi(terms),
        )

    def listing_id(self, chain_id: int, market: Address) -> ListingId:
        """keccak256(abi.encode(type hash, chain id, market, every field))."""
        types = ["bytes32", "uint256", "address", f"(address,address,bytes32,uint8,bytes32,bytes32,({_TERMS}))"]
        return ListingId(keccak(encode(types, [_LISTING_TYPEHASH, chain_id, market, self.as_abi()])))


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
        types = ["bytes32", "uint256", "address", "(bytes32,address,bytes32,uint128,uint64)"]
        return OrderId(keccak(encode(types, [_ORDER_TYPEHASH, chain_id, market, self.as_abi()])))


@dataclass(frozen=True)
class ListingStatus:
    """A listing as it is stored: times in seconds since 1970, `closed_at` 0 before the first order was closed.

    Of its orders, `open` are not closed, `sold` settled, `distributed` paid out; the bond still covers `places`.
    """

    state: ListingState
    listed_at: int
    closed_at: int
    open: int
    places: int
    sold: int
    distributed: int


@dataclass(frozen=True)
class OrderStatus:
    """An order as it is stored; `deadline` in seconds since 1970, `delivery` 26 bytes."""

    state: OrderState
    deadline: int
    delivery: bytes

    def is_of(self, masked_key: bytes) -> bool:
        """Whether these 32 bytes are what was delivered: the contract keeps the beginning of their keccak hash."""
        return keccak(masked_key)[: len(self.delivery)] == self.delivery


@dataclass(frozen=True)
class Parts:
    """How one price is shared out, in the token's smallest unit."""

    fee: int
    custodian: int
    patients: int


@dataclass(frozen=True)
class ChunkProof:
    """One chunk of a sealed record, and where it stands in the seal's tree: what a dispute shows.

    `hashes` are its 96 bytes ``keyHash ‖ cipherHash ‖ plainHash``, `path` 32 bytes a step, leaf to root.
    """

    tree_root: bytes
    chunks: int
    size: int
    index: int
    hashes: bytes
    path: tuple[bytes, ...]

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        each = (self.hashes[:32], self.hashes[32:64], self.hashes[64:])
        return (self.tree_root, self.chunks, self.size, self.index, *each, list(self.path))


@dataclass(frozen=True)
class Share:
    """A contributor's part of every sale, as the contract takes it; `hidden` is ``H(0x0e ‖ salt ‖ patient)``."""

    payout: Address
    share: int
    hidden: bytes

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return astuple(self)


@dataclass(frozen=True)
class ShareProof:
    """Where a share stands in the tree of contributors; `sums` and `hashes` are those of the siblings, lowest first."""

    index: int
    size: int
    total: int
    sums: tuple[int, ...]
    hashes: tuple[bytes, ...]

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (self.index, self.size, self.total, list(self.sums), list(self.hashes))


def in_order(values: Any) -> Iterable[Any]:
    """The fields of a struct as web3 returns it: a tuple, or a mapping with the contract's field names."""
    return tuple(values.values()) if hasattr(values, "values") else tuple(values)
