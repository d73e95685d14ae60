"""Many patients share one sale: a Merkle *sum* tree over their shares (protocol, section 6).

::

    hidden  = H(0x0e ‖ salt ‖ patient)                           says nothing of the patient to who has not the salt
    leaf    = H(0x0c ‖ payout address ‖ u128 share ‖ hidden)
    node    = H(0x0b ‖ u128 sumL ‖ L ‖ u128 sumR ‖ R)            the sums are of the shares below
    subject = H(0x0d ‖ root ‖ u64 size ‖ u128 total)             what a dataset's record is about

in the shape of RFC 9162 (section 2.1): a last node without a sibling moves up as it is. The subject binds size and
total, so that a proof holds for one place only and the shares add up to the whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final

from medibridge.errors import UsageError
from medibridge.ids import Address, address_bytes
from medibridge.sealing import merkle

__all__ = [
    "MAX_TOTAL",
    "Share",
    "ShareProof",
    "ShareTree",
    "equal_shares",
    "proved_subject",
    "subject_over",
    "verify_share",
]

MAX_TOTAL: Final = (1 << 128) - 1
"""All shares together are at most this; sums are checked."""

_Node = tuple[int, bytes]
"""The sum of the shares below, and the hash."""


@dataclass(frozen=True)
class Share:
    """What one patient gets of every sale: `share` parts of the total.

    `payout` is the account that is paid, which becomes public when it claims; `patient` and the 32 bytes of `salt`
    never do, unless the patient shows them.
    """

    patient: Address = field(repr=False)
    payout: Address = field(repr=False)
    share: int
    salt: bytes = field(repr=False)

    @property
    def hidden(self) -> bytes:
        """``H(0x0e ‖ salt ‖ patient)``."""
        return sha256(b"\x0e" + self.salt + address_bytes(self.patient)).digest()

    @property
    def leaf(self) -> bytes:
        """The 32-byte leaf."""
        return leaf_of(self.payout, self.share, self.hidden)


@dataclass(frozen=True)
class ShareProof:
    """Proves that a payout address has a share in the tree of `size` leaves and this `total`; names no patient.

    `path` has the sum and the hash of each sibling, the lowest first.
    """

    payout: Address
    share: int
    hidden: bytes
    index: int
    path: tuple[_Node, ...]
    size: int
    total: int


class ShareTree:
    """The tree over the shares of all contributors, in ascending order of their leaves, which tells nothing.

    Raises `UsageError` for no shares, a share that is not above zero, a patient who stands there twice, salts that are
    not 32 bytes or used twice, or a total above `MAX_TOTAL`.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        if not shares:
            raise UsageError("a dataset that is sold has at least one contributor; name them")
        if len({share.patient for share in shares}) != len(shares):
            raise UsageError("a patient stands twice among the contributors; add up the shares")
        if any(share.share <= 0 for share in shares):
            raise UsageError("a contributor's share is above zero; leave out who gets nothing")
        if len({share.salt for share in shares}) != len(shares) or any(len(share.salt) != 32 for share in shares):
            raise UsageError("each contributor has 32 bytes of salt of his own; draw them anew")
        if sum(share.share for share in shares) > MAX_TOTAL:
            raise UsageError("the shares add up to more than 128 bits hold; give smaller ones in the same proportion")
        self.shares = tuple(sorted(shares, key=lambda share: share.leaf))

    def __repr__(self) -> str:
        return f"<ShareTree of {self.size}>"

    @property
    def size(self) -> int:
        """The number of contributors."""
        return len(self.shares)

    @property
    def total(self) -> int:
        """All shares together."""
        return self._levels[-1][0][0]

    @property
    def root(self) -> bytes:
        """The 32-byte root."""
        return self._levels[-1][0][1]

    @property
    def subject(self) -> bytes:
        """The 32 bytes that a dataset's record names as its subject."""
        return subject_over(self.root, self.size, self.total)

    def proof(self, patient: Address) -> ShareProof:
        """The proof of a patient's share. Raises `UsageError` where the patient is no contributor."""
        index = self._places.get(patient)
        if index is None:
            raise UsageError("this patient is no contributor; give the account that stands in the list")
        share, path = self.shares[index], []
        at = index
        for level in self._levels[:-1]:
            if at ^ 1 < len(level):
                path.append(level[at ^ 1])
            at >>= 1
        return ShareProof(share.payout, share.share, share.hidden, index, tuple(path), self.size, self.total)

    @cached_property
    def _places(self) -> dict[Address, int]:
        """Where each patient's leaf stands: a search for every proof would take the square of their number."""
        return {share.patient: at for at, share in enumerate(self.shares)}

    @cached_property
    def _levels(self) -> list[list[_Node]]:
        """From the leaves to the root."""
        levels: list[list[_Node]] = [[(share.share, share.leaf) for share in self.shares]]
        while len(level := levels[-1]) > 1:
            levels.append(merkle.above(level, _node))
        return levels


def equal_shares(
    payouts: Mapping[Address, Address], salt: Callable[[], bytes] = lambda: secrets.token_bytes(32)
) -> list[Share]:
    """One part for each patient. `payouts` names the account to be paid of each."""
    return [Share(patient, payout, 1, salt()) for patient, payout in payouts.items()]


def verify_share(subject: bytes, root: bytes, proof: ShareProof) -> bool:
    """Whether the proof is one of the tree with this subject and root: of one place, with sums that add up."""
    return _reached(proof) == (proof.total, root) and subject == subject_over(root, proof.size, proof.total)


def proved_subject(proof: ShareProof) -> bytes | None:
    """The subject of the tree that the proof is one of; None where it is one of no tree."""
    reached = _reached(proof)
    if reached is None or reached[0] != proof.total:
        return None
    return subject_over(reached[1], proof.size, proof.total)


def _reached(proof: ShareProof) -> _Node | None:
    """Sum and hash at the end of the proof's path; None where it is out of bounds or has another length."""
    numbers = (proof.share, proof.total, *(number for number, _ in proof.path))
    if not 0 <= proof.index < proof.size < 1 << 64 or not all(0 < number <= MAX_TOTAL for number in numbers):
        return None
    if any(len(part) != 32 for part in (proof.hidden, *(step for _, step in proof.path))):
        return None
    if proof.share + sum(number for number, _ in proof.path) > MAX_TOTAL:
        return None
    node: _Node = (proof.share, leaf_of(proof.payout, proof.share, proof.hidden))
    return merkle.climb(node, proof.index, proof.size, proof.path, _node)


def leaf_of(payout: Address, share: int, hidden: bytes) -> bytes:
    """``H(0x0c ‖ payout address ‖ u128 share ‖ hidden)``."""
    return sha256(b"\x0c" + address_bytes(payout) + share.to_bytes(16, "big") + hidden).digest()


def subject_over(root: bytes, size: int, total: int) -> bytes:
    """``H(0x0d ‖ root ‖ u64 size ‖ u128 total)``."""
    return sha256(b"\x0d" + root + size.to_bytes(8, "big") + total.to_bytes(16, "big")).digest()


def _node(left: _Node, right: _Node) -> _Node:
    parts = (left[0].to_bytes(16, "big"), left[1], right[0].to_bytes(16, "big"), right[1])
    return left[0] + right[0], sha256(b"\x0b" + b"".join(parts)).digest()
