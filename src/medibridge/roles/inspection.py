"""What a buyer can see of an offer before paying, and what it says about buying."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from medibridge.chain import (
    Kind,
    Listing,
    ListingId,
    ListingState,
    Standing,
    StopGround,
    Use,
    UseDecision,
)
from medibridge.chain.sales import ANYBODY
from medibridge.errors import AccessError, SealingError, StorageError
from medibridge.ids import Address, DataClass, cid_of
from medibridge.roles.bridge import Bridge
from medibridge.roles.orders import listings_in
from medibridge.sealing.records import Manifest

__all__ = ["Finding", "Inspected", "Offer", "Verdict", "findings_on"]

_NEWEST_LISTINGS = 50  # of a seller's others, as many are looked at


class Verdict(enum.Enum):
    """What a finding says about buying."""

    OK = "ok"
    WARNING = "warning"
    REFUSED = "refused"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, what it says about buying, and what was seen, as a clause of a sentence."""

    about: str
    verdict: Verdict
    seen: str


@dataclass(frozen=True)
class Offer:
    """A record for sale, as its listing says. Not checked yet: see `Buyer.inspect`."""

    listing_id: ListingId
    listing: Listing

    @property
    def name(self) -> str:
        """The listing's id in hexadecimal, as commands take it."""
        return self.listing_id.hex()

    @property
    def data_class(self) -> DataClass:
        """What kind of data it is."""
        return self.listing.data_class


@dataclass(frozen=True)
class Inspected:
    """An offer whose every block was fetched, kept and found to be what the seal promises.

    Only `Buyer.inspect` makes one. `use` is what it was inspected for, `size` the bytes of its padded content, and
    `findings` all that was looked at, in the order in which one would ask.
    """

    offer: Offer
    use: Use
    size: int
    findings: tuple[Finding, ...]
    manifest: Manifest = field(repr=False)

    @property
    def refused(self) -> tuple[Finding, ...]:
        """What speaks against buying; nothing, if it can be bought."""
        return tuple(finding for finding in self.findings if finding.verdict is Verdict.REFUSED)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What to think of before buying."""
        return tuple(finding for finding in self.findings if finding.verdict is Verdict.WARNING)


def findings_on(
    bridge: Bridge, buyer: Address, offer: Offer, use: Use, manifest: Manifest, told: Callable[[int], str]
) -> Iterator[Finding]:
    """Everything about an offer that can be seen before paying. The ciphertext was checked before.

    `told` writes an amount of the deployment's token. Raises `ChainError`.
    """
    look = _Look(bridge, buyer, offer, use, told)
    yield _ok(
        "ciphertext",
        f"{manifest.size} bytes in {len(manifest.blocks)} blocks are what the seal promises; they are kept here until "
        "the sale is settled",
    )
    yield look.listing_id()
    yield look.state()
    yield look.places()
    yield look.custodian()
    yield look.consent()
    yield look.seller()
    yield look.key_card()
    yield look.reservation()
    yield look.buyer()
    yield look.use()
    yield look.token()
    yield look.price()
    yield look.bond()
    yield look.windows()


class _Look:
    """One look at one offer."""

    def __init__(self, bridge: Bridge, buyer: Address, offer: Offer, use: Use, told: Callable[[int], str]) -> None:
        self._bridge = bridge
        self._system = bridge.system
        self._buyer = buyer
        self._listing = offer.listing
        self._listing_id = offer.listing_id
        self._use = use
        self._told = told
        self._status = self._system.data_sales.listing_status(offer.listing_id)

    def listing_id(self) -> Finding:
        """The market judged every field at listing; so it is enough that these are the fields."""
        actual = self._listing.listing_id(self._system.chain.chain_id(), self._system.data_sales.address)
        if actual != self._listing_id or self._status.state is ListingState.NONE:
            return _refused("deposit", "the market knows no listing with these fields; look up the offers again")
        return _ok(
            "deposit",
            "at listing, the market saw that the custodian had deposited this very record, marked as de-identified",
        )

    def state(self) -> Finding:
        if self._status.state is ListingState.LIVE:
            return _ok("listing", "live")
        return _refused("listing", f"{self._status.state.name.lower()}: nothing of it is sold any more")

    def places(self) -> Finding:
        free = self._status.places - self._status.open
        if free > 0:
            return _ok("places", f"{free} of {self._status.places} are free")
        return _refused("places", f"all {self._status.places} are taken by open orders; wait until one is closed")

    def custodian(self) -> Finding:
        """Whoever vouches for the content."""
        custodian = self._listing.custodian
        institution = self._system.institutions.institution_of(custodian)
        kind = institution.kind.name.lower().replace("_", " ")
        if institution.standing is not Standing.GOOD:
            return _refused("custodian", f"{custodian} ({kind}) may not vouch for anything at present")
        if not any(institution.profile):
            return _warning("custodian", f"{custodian} is a {kind} in good standing, and has published no profile")
        return _ok(
            "custodian", f"{custodian} is a {kind} in good standing; its profile is block {cid_of(institution.profile)}"
        )

    def consent(self) -> Finding:
        """A single patient's can be asked for; those of a dataset are hidden, and freeze it where they object."""
        ground = self._system.data_sales.ground_to_stop(self._listing, self._buyer)
        if ground is StopGround.CONSENT_WITHDRAWN:
            return _refused("consent", "the patient does not let this seller sell it for this purpose any more")
        patient = self._listing.patient
        if patient is None:
            return _ok("consent", "the patients are hidden; one who does not consent can freeze the listing")
        if patient == self._listing.seller:
            return _ok("consent", "the patient sells it himself")
        return _ok("consent", "the patient lets this seller sell it for this purpose")

    def seller(self) -> Finding:
        """What became of the seller's other listings."""
        sales = self._system.data_sales
        ids = list(listings_in(sales.listed(seller=self._listing.seller)))[-_NEWEST_LISTINGS:]
        statuses = [sales.listing_status(listing_id) for listing_id in ids]
        sold = sum(status.sold for status in statuses)
        told = f"{self._listing.seller} has settled {sold} sales of its newest {len(ids)} listings"
        bad = sum(status.state in {ListingState.FROZEN, ListingState.FORFEITED} for status in statuses)
        if bad:
            return _warning("seller", f"{told}, and {bad} of these are frozen: for a proved fraud, or by a patient")
        return _ok("seller", told)

    def key_card(self) -> Finding:
        """Without it the secret of the purchase reaches nobody."""
        try:
            self._bridge.card_of(self._listing.seller)
        except (AccessError, SealingError, StorageError) as exc:
            return _refused("key card", f"the seller's cannot be used ({exc}); the seller could not deliver")
        return _ok("key card", "the seller has a sound one, and can deliver")

    def reservation(self) -> Finding:
        reserved_for = self._listing.terms.reserved_for
        if reserved_for == ANYBODY:
            return _ok("reserved", "for nobody")
        if reserved_for == self._buyer:
            return _ok("reserved", "for you")
        if reserved_for == self._system.requests.address:
            return _warning("reserved", "for whoever asked for it: take it with `request take`")
        return _refused("reserved", f"for {reserved_for}")

    def buyer(self) -> Finding:
        institution = self._system.institutions.institution_of(self._buyer)
        if institution.standing is Standing.GOOD:
            return _ok("you", f"are a {institution.kind.name.lower().replace('_', ' ')} in good standing")
        return _refused("you", "are no verified institution in good standing; have the account enrolled or reinstated")

    def use(self) -> Finding:
        decision = self._system.data_sales.permits_use(self._listing, self._use, self._buyer)
        if decision is UseDecision.PERMITTED:
            return _ok("use", f"{self._use.purpose.name} as declared is what the terms permit: {self._terms()}")
        return _refused("use", f"{_AGAINST[decision]}; the terms are: {self._terms()}")

    def _terms(self) -> str:
        conditions = self._listing.terms.conditions
        told = [conditions.purpose.name]
        told += [f"{term.code} {term.label}" for term in sorted(conditions.terms, key=lambda term: term.bit)]
        if conditions.disease:
            told.append(f"MONDO:{conditions.disease:07}")
        if conditions.kinds_allowed:
            told.append(f"for {_kinds(conditions.kinds_allowed)} only")
        if conditions.kinds_denied:
            told.append(f"not for {_kinds(conditions.kinds_denied)}")
        return ", ".join(told)

    def token(self) -> Finding:
        token, ours = self._listing.terms.token, self._system.token.address
        if token != ours:
            return _refused("token", f"it is priced in {token}, which this deployment does not use")
        if not self._system.data_sales.least_reward_of(token):
            return _refused("token", f"the market does not take {token} any more")
        return _ok("token", f"{token}, which the market takes")

    def price(self) -> Finding:
        price = self._listing.terms.price
        if self._listing.terms.token != self._system.token.address:
            return _warning("price", f"{price} units of a token that this deployment does not use")
        held = self._system.token.balance_of(self._buyer)
        if held < price:
            missing = self._told(price - held)
            return _warning("price", f"{self._told(price)}, and you hold {self._told(held)}; get {missing} more first")
        return _ok("price", f"{self._told(price)}, and you hold {self._told(held)}")

    def bond(self) -> Finding:
        """What a buyer who is cheated gets beside the price."""
        terms = self._listing.terms
        least = self._system.data_sales.least_reward_of(terms.token)
        told = f"{self._told(terms.reward)} of it are yours, beside the price, if you prove a fraud"
        if terms.reward < least:
            return _warning("bond", f"{told}; new listings leave {self._told(least)}, so a proof may cost you more")
        return _ok("bond", told)

    def windows(self) -> Finding:
        terms = self._listing.terms
        return _ok(
            "windows",
            f"the seller has {_stretch(terms.deliver_within)} to deliver, else you are refunded; then you have "
            f"{_stretch(terms.dispute_within)} to open it and to complain",
        )


_AGAINST = {
    UseDecision.BUYER_KIND_NOT_ALLOWED: "it is not sold to institutions of your kind",
    UseDecision.PURPOSE_NOT_COVERED: "your purpose is none that it is sold for",
    UseDecision.RESEARCH_NOT_COVERED: "your kind of research is not permitted, or none is declared",
    UseDecision.DISEASE_NOT_COVERED: "it is sold for research on one disease, and you declared none or another",
    UseDecision.METHODS_PROHIBITED: "it may not be used to develop methods",
    UseDecision.ONLY_GENETIC_STUDIES: "it is for genetic studies only",
    UseDecision.ANCESTRY_PROHIBITED: "it may not be used for ancestry research",
    UseDecision.MODIFIER_NOT_ACCEPTED: "it has terms that you must accept expressly",
}


def _kinds(kinds: frozenset[Kind]) -> str:
    return ", ".join(sorted(kind.name.lower().replace("_", " ") for kind in kinds))


def _stretch(seconds: int) -> str:
    days, rest = divmod(seconds, 24 * 60 * 60)
    return f"{days} days" if days and not rest else f"{seconds / 3600:g} hours"


def _ok(about: str, seen: str) -> Finding:
    return Finding(about, Verdict.OK, seen)


def _warning(about: str, seen: str) -> Finding:
    return Finding(about, Verdict.WARNING, seen)


def _refused(about: str, seen: str) -> Finding:
    return Finding(about, Verdict.REFUSED, seen)
