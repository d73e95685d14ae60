"""Every error of MediBridge: one tree, and each message says what to do next.

::

    MediBridgeError
    ├── FormatError              foreign bytes are not what they claim to be
    │   ├── UnknownFormat            no reader knows these bytes
    │   └── MalformedMessage         a known format, broken at a named place
    ├── SealingError             sealed bytes cannot be made or opened
    │   ├── MalformedDocument        a manifest, keyring, card or list that does not parse
    │   ├── RecordAltered            a block or chunk does not match its seal, or the key is wrong
    │   ├── NoKeyForRecord           none of the wrapped keys opens with the keys at hand
    │   ├── InvalidCard              a key card without proof of possession, or somebody else's
    │   └── IdentityLocked           wrong passphrase, or a damaged identity file
    ├── StorageError             a block cannot be kept or had
    │   ├── StoreUnreachable         the store does not answer
    │   ├── BlockMissing             the store answers, but does not have the block
    │   └── BlockAltered             the store returned other bytes than were asked for
    ├── ChainError               the chain cannot be used as asked
    │   ├── ChainUnreachable         no node answers
    │   ├── ContractsMissing         a node answers, but MediBridge is not deployed there
    │   ├── NotEnoughFunds           the account cannot pay for gas, or for the purchase
    │   ├── TransactionLost          sent, but not mined in time
    │   └── Refusal                  a contract said no: one subclass for each of its errors
    ├── AccessError              the story does not allow it
    │   ├── NotPermitted             no consent covers this, with the reason
    │   ├── RecordUnknown            no such record is deposited for this patient
    │   └── OfferUnsound             what is offered is not what the seal promises
    └── UsageError               the call or command itself is wrong

No message holds a key, a name, a code or a value of a patient.
"""

from __future__ import annotations

__all__ = [
    "AccessError",
    "BlockAltered",
    "BlockMissing",
    "ChainError",
    "ChainUnreachable",
    "ContractsMissing",
    "FormatError",
    "IdentityLocked",
    "InvalidCard",
    "MalformedDocument",
    "MalformedMessage",
    "MediBridgeError",
    "NoKeyForRecord",
    "NotEnoughFunds",
    "NotPermitted",
    "OfferUnsound",
    "RecordAltered",
    "RecordUnknown",
    "Refusal",
    "SealingError",
    "StorageError",
    "StoreUnreachable",
    "TransactionLost",
    "UnknownFormat",
    "UsageError",
]


class MediBridgeError(Exception):
    """Base of all errors of this package."""


class FormatError(MediBridgeError):
    """Foreign bytes are not what they claim to be."""


class UnknownFormat(FormatError):
    """No reader knows these bytes."""


class MalformedMessage(FormatError):
    """A known format, broken at a named place (a segment, a line, a JSON path)."""


class SealingError(MediBridgeError):
    """Sealed bytes cannot be made or opened."""


class MalformedDocument(SealingError):
    """A manifest, keyring, card or batch list does not parse."""


class RecordAltered(SealingError):
    """A block or chunk does not match its seal, or the key is wrong (one error for a reader)."""


class NoKeyForRecord(SealingError):
    """None of the wrapped keys opens with the keys at hand."""


class InvalidCard(SealingError):
    """A key card lacks a valid proof of possession, or belongs to another account or place."""


class IdentityLocked(SealingError):
    """The passphrase is wrong or the identity file is damaged."""


class StorageError(MediBridgeError):
    """A block cannot be kept or had."""


class StoreUnreachable(StorageError):
    """The store does not answer."""


class BlockMissing(StorageError):
    """The store answers, but does not have the block."""


class BlockAltered(StorageError):
    """The store returned other bytes than were asked for."""


class ChainError(MediBridgeError):
    """The chain cannot be used as asked."""


class ChainUnreachable(ChainError):
    """No node answers at the given address."""


class ContractsMissing(ChainError):
    """A node answers, but MediBridge is not deployed on its chain."""


class NotEnoughFunds(ChainError):
    """The account cannot pay for gas, or for the purchase."""


class TransactionLost(ChainError):
    """A transaction was sent but not mined in time; it may still be mined later."""


class Refusal(ChainError):
    """A contract refused the call. Subclasses bear the names of the contracts' errors."""


class AccessError(MediBridgeError):
    """The story does not allow it."""


class NotPermitted(AccessError):
    """No consent covers this access; the message gives the contract's reason."""


class RecordUnknown(AccessError):
    """No such record is deposited for this patient."""


class OfferUnsound(AccessError):
    """What is offered is not what its seal promises; it must not be bought."""


class UsageError(MediBridgeError):
    """The call or command itself is wrong."""
