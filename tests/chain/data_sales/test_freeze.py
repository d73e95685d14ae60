"""A patient stands in a dataset without consent. The security is lost only where consent was missing from the start."""

from __future__ import annotations

from typing import Any

import pytest
from clock import NOON, Clock
from datasets import claim_of, contributor, dataset_of
from observed import event_of, plain
from refusals import reverts
from sales import DAY, Listing, listing_of, order_of
from typed_data import Grant, Revocation

from medibridge.chain.sales import ListingState, OrderState
from medibridge.ids import Lane, PurposeOfUse
from medibridge.sealing.contributors import ShareTree


@pytest.fixture
def freeze(data_sales: Any, tree: ShareTree, stranger: Any) -> Any:
    """Freezes a dataset for one of its patients, by whoever got to know salt and share."""

    def freeze(dataset: Listing, who: Any, sender: Any = stranger) -> Any:
        salt = contributor(who).salt
        return data_sales.freeze(dataset, who, salt, *claim_of(tree, who), {"from": sender})

    return freeze


@pytest.fixture
def revoke(consents: Any, patient: Any, hospital: Any) -> Any:
    lane = Revocation(patient.address, hospital.address, Lane.RESEARCH_AND_SALE, bytes(32), bytes(32))
    return lambda: consents.revoke(lane, {"from": patient})


def state_of(data_sales: Any, listing: Listing) -> int:
    return int(plain(data_sales.listingStatusOf(listing.id_at(data_sales)))[0])


def test_freeze_forfeits_the_security_when_the_patient_never_consented(
    data_sales, dollar, hospital, second_patient, stranger, treasury, dataset, freeze
):
    """A tenth is the patient's, the rest goes where the custodian has no influence. Who told has nothing of it."""
    security = dataset.terms.security

    transaction = freeze(dataset, second_patient)

    assert event_of(transaction) == ("Frozen", (dataset.id_at(data_sales), True))
    assert state_of(data_sales, dataset) == ListingState.FORFEITED
    credited = [data_sales.creditOf(dollar, x) for x in (second_patient, treasury, hospital, stranger)]
    assert credited == [security // 10, security - security // 10, 0, 0]


def test_freeze_leaves_the_security_when_consent_was_taken_back_after_the_listing(
    data_sales, dollar, patient, treasury, dataset, freeze, revoke, clock
):
    """[attack] Revoke and freeze would be free money."""
    clock.pass_by(DAY)
    revoke()

    transaction = freeze(dataset, patient)

    assert event_of(transaction) == ("Frozen", (dataset.id_at(data_sales), False))
    assert state_of(data_sales, dataset) == ListingState.FROZEN
    assert [data_sales.creditOf(dollar, x) for x in (patient, treasury)] == [0, 0]


def test_freeze_leaves_the_security_when_consent_was_taken_back_in_the_second_of_the_listing(
    patient, dataset, freeze, revoke
):
    revoke()

    assert event_of(freeze(dataset, patient))[1][1] is False


@pytest.mark.parametrize(("seconds", "forfeits"), [(1, False), (1800, False), (1801, True)])
def test_freeze_forfeits_when_consent_was_taken_back_half_an_hour_before_the_listing(
    data_sales, hospital, patient, dataset_batch, sale_consent, terms, freeze, revoke, clock, seconds, forfeits
):
    """[attack] A revocation that overtakes the listing: an honest custodian could not have seen it."""
    revoke()
    clock.pass_by(seconds)
    dataset = listing_of(data_sales, hospital, dataset_batch, 0, terms._replace(security=terms.price))

    assert event_of(freeze(dataset, patient))[1][1] is forfeits


def test_freeze_forfeits_when_consent_had_ended_at_the_listing_and_not_when_it_ended_later(
    data_sales, hospital, patient, dataset_batch, sale_consent, terms, freeze, clock
):
    secured = terms._replace(security=terms.price)
    clock.move_to(sale_consent.end - 1)
    in_time = listing_of(data_sales, hospital, dataset_batch, 0, secured)
    clock.move_to(sale_consent.end)
    too_late = listing_of(data_sales, hospital, dataset_batch, 0, secured._replace(nonce=1))

    assert event_of(freeze(in_time, patient))[1][1] is False
    assert event_of(freeze(too_late, patient))[1][1] is True


def test_freeze_leaves_the_security_when_consent_changed_since(
    consents, second_patient, sale_consent, dataset, freeze, clock
):
    """What a consent said before its last change is not kept: the custodian has the benefit of the doubt."""
    clock.pass_by(12)
    marketing = sale_consent._replace(patient=second_patient.address, purposes=PurposeOfUse.HMARKT.bit)
    consents.grant(marketing, {"from": second_patient})

    assert event_of(freeze(dataset, second_patient))[1][1] is False


def test_freeze_is_refused_when_the_patient_consents(data_sales, patient, dataset, freeze):
    """[attack] A false accusation."""
    with reverts("PatientConsents", dataset.id_at(data_sales)):
        freeze(dataset, patient)
    assert state_of(data_sales, dataset) == ListingState.LIVE


def test_freeze_is_refused_when_the_patient_consented_in_time_though_late(
    data_sales, consents, second_patient, sale_consent, dataset, freeze
):
    """Whoever consents now may be sold."""
    consents.grant(sale_consent._replace(patient=second_patient.address), {"from": second_patient})

    with reverts("PatientConsents", dataset.id_at(data_sales)):
        freeze(dataset, second_patient)


@pytest.mark.parametrize("lie", ["salt", "patient", "share", "index", "listing of one patient"])
def test_freeze_is_refused_when_the_patient_does_not_stand_there(
    data_sales, second_patient, stranger, listing, dataset, tree, lie
):
    """[attack] Anybody without consent could freeze anything."""
    share, proof = claim_of(tree, second_patient)
    shown = {"listing": dataset, "patient": second_patient, "salt": contributor(second_patient).salt, "share": share}
    if lie == "salt":
        shown["salt"] = bytes(32)
    elif lie == "patient":
        shown["patient"] = stranger
    elif lie == "share":
        shown["share"] = share._replace(hidden=contributor(stranger).hidden)
        shown |= {"patient": stranger, "salt": contributor(stranger).salt}
    elif lie == "index":
        proof = proof._replace(index=(proof.index + 1) % 3)
    else:
        shown["listing"] = listing

    with reverts("ShareNotInListing", shown["listing"].id_at(data_sales)):
        data_sales.freeze(*shown.values(), proof, {"from": stranger})


def test_freeze_is_refused_when_nothing_is_to_be_frozen(
    data_sales, dollar, patient, second_patient, dataset, treasury, freeze, revoke
):
    """[attack] The security is lost once, however many patients did not consent."""
    never = dataset.offering(nonce=9)
    with reverts("NothingToFreeze", never.id_at(data_sales), ListingState.NONE):
        freeze(never, second_patient)
    revoke()
    freeze(dataset, patient)
    with reverts("NothingToFreeze", dataset.id_at(data_sales), ListingState.FROZEN):
        freeze(dataset, patient)
    lost = data_sales.creditOf(dollar, treasury)
    assert lost == 0


def test_freeze_forfeits_when_frozen_before_for_a_lesser_reason_and_then_no_more(
    data_sales, dollar, delegate, patient, second_patient, treasury, dataset, freeze, revoke
):
    """[attack] A friend of the custodian who takes consent back cannot save the security by freezing first."""
    revoke()
    freeze(dataset, patient)
    freeze(dataset, second_patient)
    assert state_of(data_sales, dataset) == ListingState.FORFEITED

    with reverts("NothingToFreeze", dataset.id_at(data_sales), ListingState.FORFEITED):
        freeze(dataset, delegate)
    credited = data_sales.creditOf(dollar, treasury) + data_sales.creditOf(dollar, second_patient)
    assert credited == dataset.terms.security


def test_freeze_forfeits_when_the_custodian_withdrew_the_listing_and_not_when_the_bond_has_left(
    data_sales, hospital, second_patient, dataset, dataset_batch, terms, freeze
):
    other = listing_of(data_sales, hospital, dataset_batch, 0, terms._replace(security=terms.price, nonce=1))
    for listing in (dataset, other):
        data_sales.unlist(listing, {"from": hospital})
    assert event_of(freeze(dataset, second_patient))[1][1] is True

    data_sales.releaseBond(other, {"from": hospital})
    with reverts("NothingToFreeze", other.id_at(data_sales), ListingState.RELEASED):
        freeze(other, second_patient)


def test_freeze_ends_sales_and_lets_what_was_delivered_run_on(
    data_sales, hospital, buyer, second_patient, dataset, rich_buyers, purchase, freeze, clock: Clock
):
    first, second = purchase, purchase._replace(nonce=1)
    for each in (first, second):
        data_sales.buy(dataset, each, {"from": buyer})
    delivered, waiting = (order_of(data_sales, dataset, buyer, each) for each in (first, second))
    data_sales.deliver(delivered, dataset, bytes(32), {"from": hospital})

    freeze(dataset, second_patient)

    with reverts("ListingNotLive", dataset.id_at(data_sales), ListingState.FORFEITED):
        data_sales.buy(dataset, purchase._replace(nonce=2), {"from": buyer})
    data_sales.stop(waiting, dataset, {"from": second_patient})
    clock.pass_by(dataset.terms.dispute_within)
    data_sales.refund(waiting, dataset, {"from": buyer})
    data_sales.settle(delivered, dataset, {"from": buyer})
    for order, state in ((waiting, OrderState.REFUNDED), (delivered, OrderState.SETTLED)):
        assert plain(data_sales.orderStatusOf(order.id_at(data_sales)))[0] == state


def test_freeze_by_a_custodian_with_a_leaf_of_its_own_brings_a_loss(
    data_sales, records, dollar, hospital, delegate, treasury, terms
):
    """[attack] A planted patient that never consents: nine tenths of the security are gone."""
    planted = contributor(delegate)
    own = ShareTree([planted])
    batch = dataset_of(hospital, own.subject, "planted").deposited(records, hospital)
    dataset = listing_of(data_sales, hospital, batch, 0, terms._replace(security=terms.price))

    data_sales.freeze(dataset, delegate, planted.salt, *claim_of(own, delegate), {"from": delegate})
    data_sales.releaseBond(dataset, {"from": hospital})

    back = data_sales.creditOf(dollar, delegate) + data_sales.creditOf(dollar, hospital)
    assert back == dataset.terms.bond - data_sales.creditOf(dollar, treasury)
    assert data_sales.creditOf(dollar, treasury) == dataset.terms.security * 9 // 10


def test_freeze_looks_at_the_consent_for_the_listings_purpose_and_class(
    consents, second_patient, sale_consent, dataset, freeze
):
    care: Grant = sale_consent._replace(
        patient=second_patient.address,
        purposes=PurposeOfUse.TREAT.bit,
        new_keyring=bytes(range(32)),
        start=NOON,
    )
    consents.grant(care, {"from": second_patient})

    assert event_of(freeze(dataset, second_patient))[1][1] is True
