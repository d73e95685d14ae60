"""Which of the patients' standing offers fit a request, and what keeps the others out, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from medibridge.chain import Conditions, Decision, Kind, Listing, Terms, UseDecision
from medibridge.chain.requests import OfferFault
from medibridge.ids import Address, DataClass, Digest, SealId
from medibridge.roles.bridge import Bridge
from medibridge.roles.requests import PostedRequest
from medibridge.roles.selling import DAY
from medibridge.roles.standing_offers import CANCELLED, SignedOffer, offers_place

__all__ = ["AnswerTerms", "Match", "hindrance_of", "match_offers"]

_PROBLEMS: Final = {
    OfferFault.NONE: "",
    OfferFault.OTHER_SELLER: "it is for another custodian",
    OfferFault.CANCELLED: "the patient has cancelled it",
    OfferFault.USED_UP: "it is used up",
    OfferFault.ENDED: "its time is over",
    OfferFault.CLASS_NOT_OFFERED: "it does not offer this class of data",
    OfferFault.PURPOSE_NOT_OFFERED: "it does not offer this purpose",
    OfferFault.BUYER_KIND_NOT_ALLOWED: "it is not for buyers of this kind",
    OfferFault.OTHER_TOKEN: "it asks for another token",
    OfferFault.PAYS_TOO_LITTLE: "the request pays less than it asks for",
}
_NOWHERE: Final = bytes(32)


@dataclass(frozen=True)
class AnswerTerms:
    """What a custodian asks of whoever made a request, beside the price that the request names.

    `data_class` is that of the dataset, `custodian_share` in hundredths of a percent of what remains after the fee;
    windows in seconds. `conditions` are, without any, research in general for the purpose of the request.
    """

    data_class: DataClass
    conditions: Conditions | None = None
    custodian_share: int = 2_000
    deliver_within: int = DAY
    dispute_within: int = DAY

    def for_request(
        self, posted: PostedRequest, requests: Address, patients: int, *, reward: int = 0, nonce: int = 0
    ) -> Terms:
        """The terms of a listing that answers with so many patients, with a place for one order.

        It is kept for the contract of the `requests`, so that who asked buys it there or not at all.
        """
        request = posted.request
        price = patients * request.price_per_patient
        return Terms(
            token=request.token,
            price=price,
            conditions=self.conditions or Conditions(purpose=request.use.purpose),
            reserved_for=requests,
            deliver_within=self.deliver_within,
            dispute_within=self.dispute_within,
            custodian_share=self.custodian_share,
            places=1,
            reward=reward,
            security=price,
            nonce=nonce,
        )


@dataclass(frozen=True)
class Match:
    """A standing offer beside a request: `problem` says in words why it does not fit, and nothing where it does.

    `fault` is the contract's reason, where it is one of the offer itself.
    """

    signed: SignedOffer = field(repr=False)
    fault: OfferFault
    problem: str

    @property
    def fits(self) -> bool:
        """Whether the offer can be used now."""
        return not self.problem

    @property
    def patient(self) -> Address:
        """Whose offer it is."""
        return self.signed.offer.patient


@dataclass(frozen=True)
class _Judge:
    """What all offers are held against: a request, and the terms on which one custodian would answer it."""

    bridge: Bridge
    custodian: Address
    posted: PostedRequest
    terms: AnswerTerms
    kind: Kind

    def draft(self, patients: int) -> Listing:
        """The listing that would answer with so many patients, as far as price and use go."""
        return Listing(
            seller=self.custodian,
            custodian=self.custodian,
            subject=_NOWHERE,
            data_class=self.terms.data_class,
            seal_id=SealId(_NOWHERE),
            manifest=Digest(_NOWHERE),
            terms=self.terms.for_request(self.posted, self.bridge.system.requests.address, patients),
        )

    def judge(self, signed: SignedOffer) -> Match:
        """An offer by itself, whatever it pays."""
        if signed.place != offers_place(self.bridge):
            return Match(signed, OfferFault.NONE, "it was signed for another market")
        fault = self._fault(signed)
        return Match(signed, fault, _PROBLEMS[fault] or self._hindered(signed))

    def _fault(self, signed: SignedOffer) -> OfferFault:
        """As the contract judges, but for the price: the first fault of the offer that there is."""
        system, offer = self.bridge.system, signed.offer
        used = system.requests.used_of(system.requests.offer_id(offer))
        cancelled = used == CANCELLED or offer.nonce < system.requests.first_nonce_of(offer.patient)
        purpose = self.draft(1).terms.conditions.purpose
        kind_allowed = (not offer.kinds_allowed or self.kind in offer.kinds_allowed) and (
            self.kind not in offer.kinds_denied
        )
        faults = {
            OfferFault.OTHER_SELLER: offer.seller != self.custodian,
            OfferFault.CANCELLED: cancelled,
            OfferFault.USED_UP: used >= offer.uses,
            OfferFault.ENDED: system.chain.now() >= offer.until,
            OfferFault.CLASS_NOT_OFFERED: self.terms.data_class not in offer.classes,
            OfferFault.PURPOSE_NOT_OFFERED: not purpose.covered_by & offer.purposes,
            OfferFault.BUYER_KIND_NOT_ALLOWED: not kind_allowed,
            OfferFault.OTHER_TOKEN: offer.token != self.posted.request.token,
        }
        return next((fault for fault, applies in faults.items() if applies), OfferFault.NONE)

    def _hindered(self, signed: SignedOffer) -> str:
        """What keeps a patient out whose offer would fit."""
        system, patient = self.bridge.system, signed.offer.patient
        if not system.requests.is_signed(signed.offer, signed.signature):
            return "the patient did not sign it"
        purpose = self.draft(1).terms.conditions.purpose
        decision = system.consents.permits(patient, self.custodian, self.terms.data_class, purpose)
        if decision is not Decision.PERMITTED:
            return f"the patient's consent does not let you sell: {decision.name.lower().replace('_', ' ')}"
        joined = system.requests.has_joined(self.posted.request_id, patient)
        return "the patient has joined this request already" if joined else ""


def hindrance_of(bridge: Bridge, custodian: Address, posted: PostedRequest, terms: AnswerTerms) -> str:
    """Why a custodian cannot answer with a dataset on these terms, whatever the patients say; nothing where it can."""
    request = posted.request
    if request.token != bridge.system.token.address:
        return "it pays in another token than this deployment's"
    if terms.data_class not in request.classes:
        return f"it does not ask for {terms.data_class.label}"
    draft = _Judge(bridge, custodian, posted, terms, Kind.UNKNOWN).draft(1)
    decision = bridge.system.data_sales.permits_use(draft, request.use, request.buyer)
    if decision is not UseDecision.PERMITTED:
        return f"the conditions do not permit its use: {decision.name.lower().replace('_', ' ')}"
    return ""


def match_offers(
    bridge: Bridge, custodian: Address, posted: PostedRequest, terms: AnswerTerms, offers: Iterable[SignedOffer]
) -> list[Match]:
    """Which offers fit, as the contract will judge them, in their order; of one patient's the first that fits.

    The price of an answer is that of its patients, so what each gets is reckoned for as many as fit.
    """
    kind = bridge.system.institutions.institution_of(posted.request.buyer).kind
    judge = _Judge(bridge, custodian, posted, terms, kind)
    found, patients = list[Match](), set[Address]()
    for signed in offers:
        match = judge.judge(signed)
        if match.fits and match.patient in patients:
            match = replace(match, problem="another offer of this patient is used already")
        if match.fits:
            patients.add(match.patient)
        found.append(match)
    return _well_paid(judge, found)


def _well_paid(judge: _Judge, matches: list[Match]) -> list[Match]:
    """Leave out who gets too little, until what each gets is enough for all who are left."""
    fault = OfferFault.PAYS_TOO_LITTLE
    while fitting := sum(match.fits for match in matches):
        each = judge.bridge.system.data_sales.parts_of(judge.draft(fitting)).patients // fitting
        if all(match.signed.offer.least <= each for match in matches if match.fits):
            break
        matches = [
            replace(match, fault=fault, problem=_PROBLEMS[fault])
            if match.fits and match.signed.offer.least > each
            else match
            for match in matches
        ]
    return matches
