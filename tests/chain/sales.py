"""A sale's structs as `contracts/types/Sale.sol` has them, their ids, and a batch to sell from."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import brownie
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from medibridge.chain.data_use import DuoTerm, Research
from medibridge.ids import Address, DataClass, Digest, PurposeOfUse, RecordDescription, SealId, subject_of
from medibridge.sealing import merkle

HOUR, DAY = 3600, 86_400

NOBODY = "0x" + 40 * "0"

LEAST_REWARD = 10_000_000
"""Ten dollars: what a bond pays for a proof at least."""

_TERMS = (
    "address,uint128,(uint8,uint32,uint32,uint16,uint16),address,uint32,uint32,uint16,uint32,uint128,uint128,uint64"
)
_LISTING = f"(address,address,bytes32,uint8,bytes32,bytes32,({_TERMS}))"
_ORDER = "(bytes32,address,bytes32,uint128,uint64)"
_LISTING_TYPE = (
    "Listing(uint256 chainId,address market,address seller,address custodian,bytes32 subject,uint8 dataClass,"
    "bytes32 sealId,bytes32 manifestDigest,address token,uint128 priceInUnits,uint8 purpose,uint32 duoTerms,"
    "uint32 disease,uint16 kindsAllowed,uint16 kindsDenied,address reservedFor,uint32 deliverWithin,"
    "uint32 disputeWithin,uint16 custodianShareInBps,uint32 places,uint128 rewardInUnits,uint128 securityInUnits,"
    "uint64 nonce)"
)
_ORDER_TYPE = (
    "Order(uint256 chainId,address market,bytes32 listingId,address buyer,bytes32 commitment,"
    "uint128 priceInUnits,uint64 nonce)"
)


class Conditions(NamedTuple):
    """For which use and to which buyers it is sold, field by field."""

    purpose: int = PurposeOfUse.HRESCH
    duo_terms: int = DuoTerm.GRU.bit
    disease: int = 0
    kinds_allowed: int = 0
    kinds_denied: int = 0


class Use(NamedTuple):
    """What a buyer declares to do, field by field."""

    purpose: int = PurposeOfUse.HRESCH
    research: int = Research.BIOMEDICAL.bit
    disease: int = 0
    accepted: int = 0


class Terms(NamedTuple):
    """What the seller asks, field by field."""

    token: str
    price: int
    conditions: Conditions = Conditions()
    reserved_for: str = NOBODY
    deliver_within: int = DAY
    dispute_within: int = 2 * DAY
    custodian_share: int = 3_000
    places: int = 4
    reward: int = LEAST_REWARD
    security: int = 0
    nonce: int = 0

    @property
    def bond(self) -> int:
        """The security, and a reward for each place."""
        return self.security + self.places * self.reward


class Listing(NamedTuple):
    """A sealed record for sale, field by field."""

    seller: str
    custodian: str
    subject: bytes
    data_class: int
    seal_id: bytes
    manifest: bytes
    terms: Terms

    def id_at(self, market: Any) -> bytes:
        """keccak256(abi.encode(type hash, chain, market, every field in order))."""
        types = ["bytes32", "uint256", "address", _LISTING]
        return keccak(encode(types, [keccak(text=_LISTING_TYPE), brownie.chain.id, market.address, self]))

    def offering(self, **terms: Any) -> Listing:
        """The same listing with other terms."""
        return self._replace(terms=self.terms._replace(**terms))


class Order(NamedTuple):
    """One purchase, field by field."""

    listing_id: bytes
    buyer: str
    commitment: bytes
    price: int
    nonce: int

    def id_at(self, market: Any) -> bytes:
        """keccak256(abi.encode(type hash, chain, market, every field in order))."""
        types = ["bytes32", "uint256", "address", _ORDER]
        return keccak(encode(types, [keccak(text=_ORDER_TYPE), brownie.chain.id, market.address, self]))


class Purchase(NamedTuple):
    """What a buyer gives, field by field."""

    commitment: bytes
    sealed_secret: bytes
    nonce: int = 0
    use: Use = Use()


@dataclass(frozen=True)
class Batch:
    """Records that one institution deposits together."""

    records: tuple[RecordDescription, ...]

    @property
    def leaves(self) -> list[bytes]:
        return [merkle.leaf(record.record_id) for record in self.records]

    @property
    def root(self) -> bytes:
        return merkle.root(self.leaves)

    @property
    def list_digest(self) -> bytes:
        return digest(f"list {self.root.hex()}")

    def proof(self, index: int) -> tuple[bytes, int, list[bytes]]:
        """`BatchProof` of the record at this place."""
        return (self.root, index, merkle.path(self.leaves, index))

    def deposited(self, records: Any, custodian: Any) -> Batch:
        """The batch itself, after its deposit."""
        records.deposit(self.root, len(self.records), self.list_digest, {"from": custodian})
        return self


def digest(name: object) -> bytes:
    """32 bytes that stand for a digest of something of this name."""
    return sha256(str(name).encode()).digest()


def record_of(
    custodian: Any,
    patient: Any,
    name: object = 0,
    data_class: DataClass = DataClass.LABORATORY,
    deidentified: bool = True,
) -> RecordDescription:
    """A record of this patient; another for each name."""
    return RecordDescription(
        custodian=Address(custodian.address),
        subject=subject_of(Address(patient.address)),
        data_class=data_class,
        epoch=1,
        deidentified=deidentified,
        seal_id=SealId(digest(f"seal {name}")),
        manifest=Digest(digest(f"manifest {name}")),
        salt=digest(f"salt {name}"),
    )


def as_struct(record: RecordDescription) -> tuple[Any, ...]:
    """`RecordDescription` as the contracts take it."""
    return (
        record.custodian,
        record.subject,
        int(record.data_class),
        record.epoch,
        record.deidentified,
        record.seal_id,
        record.manifest,
        record.salt,
    )


def batch_of(custodian: Any, patient: Any, size: int, name: object = "batch") -> Batch:
    """A batch of this many records of one patient."""
    return Batch(tuple(record_of(custodian, patient, f"{name} {index}") for index in range(size)))


def listing_of(data_sales: Any, seller: Any, batch: Batch, index: int, terms: Terms) -> Listing:
    """Lists the record at this place of a deposited batch; the seller, who has the money, leaves the bond."""
    record = batch.records[index]
    data_sales.fund(terms.token, terms.bond, {"from": seller})
    data_sales.list(terms, as_struct(record), batch.proof(index), {"from": seller})
    return unlisted(seller, record, terms)


def unlisted(seller: Any, record: RecordDescription, terms: Terms) -> Listing:
    """The listing as it would be."""
    return Listing(
        seller=seller.address,
        custodian=record.custodian,
        subject=record.subject,
        data_class=int(record.data_class),
        seal_id=record.seal_id,
        manifest=record.manifest,
        terms=terms,
    )


def order_of(data_sales: Any, listing: Listing, buyer: Any, purchase: Purchase) -> Order:
    """The order that a purchase of this listing makes."""
    return Order(listing.id_at(data_sales), buyer.address, purchase.commitment, listing.terms.price, purchase.nonce)


def parts_of(price: int, fee_in_bps: int, custodian_share_in_bps: int) -> tuple[int, int, int]:
    """Fee, custodian's and patient's part of a price: the first two round down, the rest is the patient's."""
    fee = price * fee_in_bps // 10_000
    custodian = (price - fee) * custodian_share_in_bps // 10_000
    return fee, custodian, price - fee - custodian
