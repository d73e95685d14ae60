"""What patients and buyers sign: EIP-712 messages of `Consents` and `Requests`, ERC-2612 permits, and their structs."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.constants import SECPK1_N
from eth_utils.crypto import keccak

NEVER = 2**40 - 1
"""The latest second that a 40-bit clock can name."""

_GRANT = (
    ("patient", "address"),
    ("grantee", "address"),
    ("classes", "uint32"),
    ("purposes", "uint32"),
    ("start", "uint40"),
    ("end", "uint40"),
    ("oldKeyring", "bytes32"),
    ("newKeyring", "bytes32"),
    ("version", "uint40"),
    ("deadline", "uint40"),
)
_REVOCATION = (
    ("patient", "address"),
    ("grantee", "address"),
    ("lane", "uint8"),
    ("oldKeyring", "bytes32"),
    ("newKeyring", "bytes32"),
    ("version", "uint40"),
    ("deadline", "uint40"),
)
_PERMIT = (
    ("owner", "address"),
    ("spender", "address"),
    ("value", "uint256"),
    ("nonce", "uint256"),
    ("deadline", "uint256"),
)
_STANDING_OFFER = (
    ("patient", "address"),
    ("seller", "address"),
    ("classes", "uint32"),
    ("purposes", "uint32"),
    ("kindsAllowed", "uint16"),
    ("kindsDenied", "uint16"),
    ("token", "address"),
    ("leastInUnits", "uint128"),
    ("uses", "uint32"),
    ("until", "uint40"),
    ("payout", "address"),
    ("nonce", "uint64"),
)


class Grant(NamedTuple):
    """`IConsents.Grant`, field by field."""

    patient: str
    grantee: str
    classes: int
    purposes: int
    start: int
    end: int
    old_keyring: bytes
    new_keyring: bytes


class Revocation(NamedTuple):
    """`IConsents.Revocation`, field by field."""

    patient: str
    grantee: str
    lane: int
    old_keyring: bytes
    new_keyring: bytes


class Signed(NamedTuple):
    """`IConsents.Signed`, field by field."""

    signer: str
    version: int
    deadline: int
    signature: bytes


class StandingOffer(NamedTuple):
    """`StandingOffer`, field by field."""

    patient: str
    seller: str
    classes: int
    purposes: int
    kinds_allowed: int
    kinds_denied: int
    token: str
    least: int
    uses: int
    until: int
    payout: str
    nonce: int


def keyring(name: object) -> bytes:
    """A keyring's digest: any 32 bytes that are never the same for two names."""
    return sha256(f"keyring {name}".encode()).digest()


def due(digest: bytes) -> bytes:
    """The mark that a rotation is due: H(0x09 ‖ earlier)."""
    return sha256(b"\x09" + digest).digest()


def sign_consent(
    signer: Any,
    consents: Any,
    message: Grant | Revocation,
    version: int,
    deadline: int = NEVER,
    *,
    signed_as: str | None = None,
    chain_id: int | None = None,
    contract: str | None = None,
) -> Signed:
    """The signature of a local account over a grant or a revocation.

    `signed_as` names the wallet contract where the account signs for one; `chain_id` and `contract`
    are for signatures that belong elsewhere.
    """
    name, fields = ("Grant", _GRANT) if isinstance(message, Grant) else ("Revocation", _REVOCATION)
    signature = _sign(
        signer,
        {
            "name": "MediBridge Consents",
            "version": "1",
            "chainId": chain_id or _chain_id(),
            "verifyingContract": contract or consents.address,
        },
        name,
        fields,
        (*message, version, deadline),
    )
    return Signed(signed_as or signer.address, version, deadline, signature)


def sign_permit(owner: Any, token: Any, spender: str, value: int, deadline: int, nonce: int = 0) -> tuple[Any, ...]:
    """`IDataSales.Permit`: deadline, v, r, s of an ERC-2612 approval."""
    domain = {"name": token.name(), "version": "1", "chainId": _chain_id(), "verifyingContract": token.address}
    signature = _sign(owner, domain, "Permit", _PERMIT, (owner.address, spender, value, nonce, deadline))
    return (deadline, signature[64], signature[:32], signature[32:64])


def sign_offer(
    signer: Any, requests: Any, offer: StandingOffer, *, chain_id: int | None = None, contract: str | None = None
) -> bytes:
    """The signature of a local account over a standing offer; another chain or contract is elsewhere."""
    return _sign(signer, _offer_domain(requests, chain_id, contract), "StandingOffer", _STANDING_OFFER, offer)


def offer_id(requests: Any, offer: StandingOffer) -> bytes:
    """The EIP-712 hash that names a standing offer, computed apart from the contract."""
    types = _types("StandingOffer", _STANDING_OFFER)
    message = encode_typed_data(_offer_domain(requests), types, _message(_STANDING_OFFER, offer))
    return keccak(b"\x19" + message.version + message.header + message.body)


def with_high_s(signature: bytes) -> bytes:
    """The other signature that plain ECDSA takes for the same message: n - s, v turned."""
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    return r + (SECPK1_N - s).to_bytes(32, "big") + bytes((27 + 28 - v,))


def compact(signature: bytes) -> bytes:
    """The 64-byte form of EIP-2098."""
    s = int.from_bytes(signature[32:64], "big") | ((signature[64] - 27) << 255)
    return signature[:32] + s.to_bytes(32, "big")


def _offer_domain(requests: Any, chain_id: int | None = None, contract: str | None = None) -> dict[str, Any]:
    return {
        "name": "MediBridge Requests",
        "version": "1",
        "chainId": chain_id or _chain_id(),
        "verifyingContract": contract or requests.address,
    }


def _sign(signer: Any, domain: Any, name: str, fields: Any, values: tuple[Any, ...]) -> bytes:
    message = _message(fields, values)
    return bytes(Account.sign_typed_data(signer.private_key, domain, _types(name, fields), message).signature)


def _types(name: str, fields: Any) -> dict[str, Any]:
    return {name: [{"name": field, "type": kind} for field, kind in fields]}


def _message(fields: Any, values: tuple[Any, ...]) -> dict[str, Any]:
    return {field: value for (field, _), value in zip(fields, values, strict=True)}


def _chain_id() -> int:
    import brownie

    return int(brownie.chain.id)
