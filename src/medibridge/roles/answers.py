"""A custodian answers a request: with a dataset of exactly those patients whose offers fit, and nothing half done."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final

from eth_account.signers.local import LocalAccount

from medibridge.chain import Listing, ListingId, ListingState, RequestId, RequestState, Terms
from medibridge.chain.events import Answered, BondReleased
from medibridge.chain.requests import Joiner
from medibridge.errors import MalformedDocument, NotPermitted, Refusal, UsageError
from medibridge.ids import Address, Digest, RecordDescription, cid_of
from medibridge.roles.bridge import Bridge
from medibridge.roles.contributions import Contribution
from medibridge.roles.datasets import DatasetCustodian
from medibridge.roles.matching import AnswerTerms, Match, hindrance_of, match_offers
from medibridge.roles.orders import listings_in
from medibridge.roles.requests import PostedRequest, only_request, posted_requests
from medibridge.roles.standing_offers import SignedOffer, open_offer
from medibridge.sealing import documents
from medibridge.sealing.batches import decode_description, encode_description
from medibridge.sealing.contributors import Share, ShareTree
from medibridge.sealing.identity import Identity
from medibridge.storage import Journal

__all__ = ["MOST_JOINERS", "AnswerMade", "Responder"]

MOST_JOINERS: Final = 150
"""Patients of one answer: each costs 72 000 gas, and a transaction has at most 2**24 (EIP-7825)."""

_TAG_SIZE: Final = 32


def _silent(_: str) -> None:
    """Tell nobody what is done."""


@dataclass(frozen=True)
class AnswerMade:
    """An answer that stands on the chain, and what each of its patients is to be handed.

    There is no `event` where an earlier call had answered with it.
    """

    listing_id: ListingId
    listing: Listing
    contributions: tuple[Contribution, ...] = field(repr=False)
    event: Answered | None


@dataclass(frozen=True)
class _Staged:
    """An answer that is sealed: its joiners in the order of the tree, its record, and the terms of its listing."""

    joiners: tuple[SignedOffer, ...] = field(repr=False)
    description: RecordDescription = field(repr=False)
    terms: Terms

    def encode(self) -> bytes:
        joiners = [signed.to_json() for signed in self.joiners]
        return documents.encode([joiners, encode_description(self.description), json.dumps(self.terms.as_abi())])

    @classmethod
    def decode(cls, data: bytes) -> _Staged:
        joiners, description, terms = documents.decode(data)
        return cls(
            tuple(map(SignedOffer.from_json, joiners)),
            decode_description(description),
            Terms.from_abi(json.loads(terms)),
        )


class Responder(DatasetCustodian):
    """A custodian that answers requests with patients who offered, and who consent.

    Args:
        journal: remembers what was sealed and listed, so that a repeated call completes an answer and makes no other.
    """

    def __init__(self, bridge: Bridge, account: LocalAccount, identity: Identity, journal: Journal) -> None:
        super().__init__(bridge, account, identity)
        self._journal = journal

    def requests(self) -> list[PostedRequest]:
        """Every request that can be answered now, oldest first."""
        system = self._bridge.system
        now = system.chain.now()
        found = posted_requests(self._bridge, system.requests.requested())
        return [one for one in found if one.state is RequestState.OPEN and now < one.request.until]

    def request(self, name: str) -> PostedRequest:
        """One of `requests`, by its name or a beginning of it. Raises `RecordUnknown`."""
        return only_request(name, self.requests())

    def hindrance(self, posted: PostedRequest, terms: AnswerTerms) -> str:
        """Why no dataset on these terms can answer, whatever the patients say; nothing where it can."""
        return hindrance_of(self._bridge, self.address, posted, terms)

    def match(self, posted: PostedRequest, terms: AnswerTerms, offers: Iterable[SignedOffer]) -> list[Match]:
        """Which offers fit, as the contract will judge them, in their order; of one patient's the first that fits."""
        return match_offers(self._bridge, self.address, posted, terms, offers)

    def receive(self, digest: Digest) -> SignedOffer:
        """A standing offer that its patient put into the store for this custodian.

        Raises `SealingError` where it is for somebody else, `UsageError` where it is no offer, and `StorageError`.
        """
        return open_offer(self._bridge, self._identity.registered, self.address, digest)

    def answer_request(
        self,
        posted: PostedRequest,
        terms: AnswerTerms,
        offers: Sequence[SignedOffer],
        archive: BinaryIO,
        contributors: Iterable[Address],
        progress: Callable[[str], None] = _silent,
    ) -> AnswerMade:
        """Answer a request with a dataset: seal, deposit, list for the requests' contract, answer.

        Args:
            posted: the request.
            terms: what this custodian asks.
            offers: one for each patient of the dataset, at least; others are left aside.
            archive: the dataset, from its beginning; it can be read twice.
            contributors: the accounts of the patients who are in it; each needs an offer that fits.
            progress: is told what is done now.

        All is checked before anything is sent, and what the contract refuses then is taken off the market again. A
        call that was interrupted completes the answer when it is repeated; on other terms, it first takes back what it
        had listed.

        Raises `NotPermitted` with what keeps patients out, `UsageError`, `SealingError`, `StorageError`, a `Refusal`,
        and `MalformedDocument` where the journal was altered.
        """
        patients = frozenset(contributors)
        progress("reading")
        packed, size = _measured(archive)
        key = self._journal_key(posted, packed, patients)
        staged = self._staged(key)
        if staged is not None and (made := self._made(posted, terms, packed, staged)) is not None:
            return made
        try:
            chosen = self._chosen(posted, terms, offers, patients)
        except NotPermitted:
            self._drop(staged)
            raise
        tree = self._tree(posted, packed, chosen)
        if staged is None or staged.description.subject != tree.subject or not self._is_kept(staged):
            self._drop(staged)
            progress("sealing")
            sealed = self.seal_for(tree, archive, size, terms.data_class)
            by_patient = {signed.offer.patient: signed for signed in chosen}
            joiners = tuple(by_patient[share.patient] for share in tree.shares)
            staged = self._stage(key, _Staged(joiners, sealed.description, self._terms(posted, terms, len(joiners))))
        elif staged.terms != self._terms(posted, terms, len(staged.joiners), staged.terms.nonce):
            self._drop(staged)
            staged = self._stage(key, replace(staged, terms=self._terms(posted, terms, len(staged.joiners))))
        listing = self._listing(staged.description, staged.terms)
        if self._state(listing) not in {ListingState.NONE, ListingState.LIVE}:  # it was taken back
            staged = self._stage(key, replace(staged, terms=replace(staged.terms, nonce=secrets.randbits(64))))
            listing = self._listing(staged.description, staged.terms)
        if self._state(listing) is ListingState.NONE:
            progress("listing")
            self._offer(staged.description, listing.terms)
        progress("answering")
        event = self._send(posted, listing, [self._joiner(posted, packed, signed) for signed in staged.joiners])
        return self._answer_made(listing, tree, event)

    def retire(self) -> list[BondReleased]:
        """Take answers off the market whose request is over and that were not bought; their bonds are credited."""
        system = self._bridge.system
        answered = {each.listing_id: each.request_id for each in system.requests.answered(seller=self.address)}
        listings = listings_in(system.data_sales.listed(seller=self.address))
        over = [
            listing
            for listing_id, listing in listings.items()
            if listing_id in answered
            and system.requests.status_of(RequestId(answered[listing_id])).state is not RequestState.OPEN
            and self._state(listing) is ListingState.LIVE
            and not system.data_sales.bought(listingId=listing_id)
        ]
        return [self._take_back(listing) for listing in over]

    def _chosen(
        self, posted: PostedRequest, terms: AnswerTerms, offers: Sequence[SignedOffer], patients: frozenset[Address]
    ) -> list[SignedOffer]:
        """An offer that fits for each of these patients, and the request takes them all."""
        if not 0 < len(patients) <= MOST_JOINERS:
            raise UsageError(f"an answer has 1 to {MOST_JOINERS} patients, not {len(patients)}; make several of it")
        most, hindrance = posted.request.most, self.hindrance(posted, terms)
        if not hindrance and len(patients) > most:
            hindrance = f"it takes at most {most} patients, not {len(patients)}"
        if hindrance:
            raise NotPermitted(f"request {posted.name[:12]} cannot be answered so: {hindrance}")
        matches = self.match(posted, terms, [signed for signed in offers if signed.offer.patient in patients])
        chosen = {match.patient: match.signed for match in matches if match.fits}
        if missing := sorted(patients - chosen.keys()):
            problems = {match.patient: match.problem for match in matches}
            told = "; ".join(f"{who}: {problems.get(who, 'there is no offer')}" for who in missing[:3])
            raise NotPermitted(
                f"{len(missing)} of {len(patients)} patients of the dataset cannot join ({told}); build it without them"
            )
        return list(chosen.values())

    def _tree(self, posted: PostedRequest, packed: bytes, joiners: Iterable[SignedOffer]) -> ShareTree:
        """The tree that the contract will rebuild: a share of one for each."""
        return ShareTree(
            [
                Share(signed.offer.patient, signed.offer.payout, 1, self._salt(posted, packed, signed))
                for signed in joiners
            ]
        )

    def _joiner(self, posted: PostedRequest, packed: bytes, signed: SignedOffer) -> Joiner:
        return Joiner(signed.offer, signed.signature, self._salt(posted, packed, signed))

    def _salt(self, posted: PostedRequest, packed: bytes, signed: SignedOffer) -> bytes:
        """Drawn from the seed, so that a repeated call makes the same tree."""
        return self._identity.journal_tag(b"share salt" + posted.request_id + packed + signed.to_json().encode())

    def _send(self, posted: PostedRequest, listing: Listing, joiners: Sequence[Joiner]) -> Answered:
        try:
            return self._bridge.system.requests.answer(self._account, posted.request, listing, joiners)
        except Refusal:
            self._take_back(listing)
            raise

    def _made(self, posted: PostedRequest, terms: AnswerTerms, packed: bytes, staged: _Staged) -> AnswerMade | None:
        """The answer, where an earlier call has made it. Raises `NotPermitted` where it stands on other terms."""
        listing = self._listing(staged.description, staged.terms)
        name = self._id(listing)
        if not self._bridge.system.requests.answered(requestId=posted.request_id, listingId=name):
            return None
        asked = self._terms(posted, terms, len(staged.joiners), staged.terms.nonce)
        if staged.terms == replace(asked, reward=staged.terms.reward):  # the market may ask for another one by now
            return self._answer_made(listing, self._tree(posted, packed, staged.joiners), None)
        if self._state(listing) is ListingState.LIVE:
            told = f"answer {name.hex()[:12]} with this dataset stands on other terms"
            raise NotPermitted(f"{told}; end that offer first, or repeat its terms")
        return None

    def _answer_made(self, listing: Listing, tree: ShareTree, event: Answered | None) -> AnswerMade:
        contributions = tuple(Contribution.in_tree(tree, share) for share in tree.shares)
        return AnswerMade(self._id(listing), listing, contributions, event)

    def _drop(self, staged: _Staged | None) -> None:
        """Take back what an earlier call had listed and cannot be answered with any more."""
        if staged is None:
            return
        listing = self._listing(staged.description, staged.terms)
        if self._state(listing) is ListingState.LIVE:
            self._take_back(listing)

    def _take_back(self, listing: Listing) -> BondReleased:
        self.unlist(listing)
        return self.release_bond(listing)

    def _terms(self, posted: PostedRequest, terms: AnswerTerms, patients: int, nonce: int | None = None) -> Terms:
        """Of a listing that answers now; with a fresh nonce, where none is given."""
        system = self._bridge.system
        reward = system.data_sales.least_reward_of(posted.request.token)
        drawn = secrets.randbits(64) if nonce is None else nonce
        return terms.for_request(posted, system.requests.address, patients, reward=reward, nonce=drawn)

    def _id(self, listing: Listing) -> ListingId:
        system = self._bridge.system
        return listing.listing_id(system.chain.chain_id(), system.data_sales.address)

    def _state(self, listing: Listing) -> ListingState:
        return self._bridge.system.data_sales.listing_status(self._id(listing)).state

    def _is_kept(self, staged: _Staged) -> bool:
        return self._bridge.store.has(cid_of(staged.description.manifest))

    def _journal_key(self, posted: PostedRequest, packed: bytes, patients: frozenset[Address]) -> str:
        told = "".join(sorted(patients)).encode()
        return self._identity.journal_tag(b"answer" + posted.request_id + packed + told).hex()

    def _staged(self, key: str) -> _Staged | None:
        entry = self._journal.get(key)
        if entry is None:
            return None
        tag, body = entry[:_TAG_SIZE], entry[_TAG_SIZE:]
        if not hmac.compare_digest(tag, self._entry_tag(key, body)):
            raise MalformedDocument(
                "the journal's entry for this answer is not what this custodian wrote; look among your listings "
                "whether it stands, and remove the entry"
            )
        return _Staged.decode(body)

    def _stage(self, key: str, staged: _Staged) -> _Staged:
        body = staged.encode()
        self._journal.put(key, self._entry_tag(key, body) + body)
        return staged

    def _entry_tag(self, key: str, body: bytes) -> bytes:
        """Whoever can write to the journal must not make this custodian list a record of his."""
        return self._identity.journal_tag(b"answer entry" + bytes.fromhex(key) + body)


def _measured(archive: BinaryIO) -> tuple[bytes, int]:
    """The SHA-256 and the size of an archive, which is wound back to its beginning."""
    digest, size = hashlib.sha256(), 0
    while piece := archive.read(1 << 20):
        digest.update(piece)
        size += len(piece)
    archive.seek(0)
    return digest.digest(), size
