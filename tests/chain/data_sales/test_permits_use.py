"""The matcher of data-use terms, told in the words of the Data Use Ontology."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import pytest
from sales import Conditions, Use, unlisted

from medibridge.chain.data_use import DuoTerm, Research, UseDecision
from medibridge.ids import PurposeOfUse

D, R, P = DuoTerm, Research, PurposeOfUse
PERMITTED = UseDecision.PERMITTED
BIO, ANCESTRY, METHODS, GENETIC = R.BIOMEDICAL, R.ANCESTRY, R.METHODS, R.GENETIC
HOSPITAL, BUYER = 1, 2**5

ASTHMA, DIABETES = 4_979, 5_148


def asked(*terms: DuoTerm, **others: Any) -> Conditions:
    return Conditions(duo_terms=reduce(or_, (term.bit for term in terms)), **others)


def declared(*kinds: Research, accepted: tuple[DuoTerm, ...] = (), **others: Any) -> Use:
    masks = (reduce(or_, (each.bit for each in group), 0) for group in (kinds, accepted))
    research, undertaken = masks
    return Use(research=research, accepted=undertaken, **others)


CASES: list[tuple[Conditions, Use, UseDecision]] = [
    (asked(D.NRES), declared(), PERMITTED),
    (asked(D.NRES), declared(ANCESTRY, METHODS), PERMITTED),
    (asked(D.GRU), declared(BIO), PERMITTED),
    (asked(D.GRU), declared(ANCESTRY), PERMITTED),
    (asked(D.GRU), declared(), UseDecision.RESEARCH_NOT_COVERED),
    (asked(D.HMB), declared(BIO, R.GENETIC), PERMITTED),
    (asked(D.HMB), declared(BIO, ANCESTRY), UseDecision.RESEARCH_NOT_COVERED),
    (asked(D.POA), declared(ANCESTRY), PERMITTED),
    (asked(D.POA), declared(ANCESTRY, BIO), UseDecision.RESEARCH_NOT_COVERED),
    (asked(D.POA), declared(BIO), UseDecision.RESEARCH_NOT_COVERED),
    (asked(D.DS, disease=DIABETES), declared(BIO, disease=DIABETES), PERMITTED),
    (asked(D.DS, disease=DIABETES), declared(BIO, disease=ASTHMA), UseDecision.DISEASE_NOT_COVERED),
    (asked(D.DS, disease=DIABETES), declared(BIO), UseDecision.DISEASE_NOT_COVERED),
    (asked(D.DS, disease=DIABETES), declared(ANCESTRY, disease=DIABETES), UseDecision.RESEARCH_NOT_COVERED),
    (asked(D.GRU), declared(BIO, disease=ASTHMA), PERMITTED),
    (asked(D.GRU, D.NMDS), declared(BIO, METHODS), UseDecision.METHODS_PROHIBITED),
    (asked(D.GRU, D.NMDS), declared(BIO), PERMITTED),
    (asked(D.GRU, D.GSO), declared(BIO), UseDecision.ONLY_GENETIC_STUDIES),
    (asked(D.GRU, D.GSO), declared(BIO, GENETIC), PERMITTED),
    (asked(D.GRU, D.NPOA), declared(BIO, ANCESTRY), UseDecision.ANCESTRY_PROHIBITED),
    (asked(D.GRU, D.NPOA), declared(BIO), PERMITTED),
    (asked(D.GRU, D.CC), declared(BIO), PERMITTED),
    (asked(D.GRU, D.NPU, D.IRB), declared(BIO, accepted=(D.NPU,)), UseDecision.MODIFIER_NOT_ACCEPTED),
    (asked(D.GRU, D.NPU, D.IRB), declared(BIO, accepted=(D.NPU, D.IRB, D.PUB)), PERMITTED),
    (asked(D.GRU, D.NMDS), declared(BIO, METHODS, accepted=(D.NMDS,)), UseDecision.METHODS_PROHIBITED),
    (asked(D.GRU), declared(BIO, purpose=P.CLINTRCH), PERMITTED),
    (asked(D.GRU), declared(BIO, purpose=P.HMARKT), UseDecision.PURPOSE_NOT_COVERED),
    (asked(D.GRU, purpose=P.CLINTRCH), declared(BIO, purpose=P.HRESCH), UseDecision.PURPOSE_NOT_COVERED),
    (asked(D.GRU), declared(BIO, purpose=P.TREAT), UseDecision.PURPOSE_NOT_COVERED),
    (asked(D.GRU), declared(BIO, purpose=255), UseDecision.PURPOSE_NOT_COVERED),
    (asked(D.GRU, kinds_allowed=BUYER), declared(BIO), PERMITTED),
    (asked(D.GRU, kinds_allowed=1 << HOSPITAL), declared(BIO), UseDecision.BUYER_KIND_NOT_ALLOWED),
    (asked(D.GRU, kinds_denied=BUYER), declared(BIO), UseDecision.BUYER_KIND_NOT_ALLOWED),
    (asked(D.GRU, kinds_denied=1 << HOSPITAL), declared(BIO), PERMITTED),
    (asked(D.GRU, kinds_allowed=2**16 - 1, kinds_denied=BUYER), declared(BIO), UseDecision.BUYER_KIND_NOT_ALLOWED),
]


@pytest.mark.parametrize(("conditions", "use", "decision"), CASES)
def test_permits_use_says_so_or_why_not(data_sales, hospital, buyer, batch, terms, conditions, use, decision):
    listing = unlisted(hospital, batch.records[0], terms._replace(conditions=conditions))

    assert data_sales.permitsUse(listing, use, buyer) == decision


def test_permits_use_takes_an_unknown_account_for_no_kind_of_institution(data_sales, hospital, stranger, batch, terms):
    listing = unlisted(hospital, batch.records[0], terms._replace(conditions=asked(D.GRU, kinds_allowed=BUYER)))

    assert data_sales.permitsUse(listing, Use(), stranger) == UseDecision.BUYER_KIND_NOT_ALLOWED
