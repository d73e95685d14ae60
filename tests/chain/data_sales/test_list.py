from __future__ import annotations

from dataclasses import replace

import pytest
from clock import NOON
from decisions import CLASS_NOT_COVERED, ENDED, NO_CONSENT, NOT_YET_STARTED, PURPOSE_NOT_COVERED
from observed import event_of, plain
from refusals import reverts
from sales import DAY, HOUR, Batch, as_struct, batch_of, digest, record_of, unlisted
from typed_data import keyring

from medibridge.ids import DataClass, PurposeOfUse

LIVE, WITHDRAWN = 1, 2


def test_list_offers_the_record_when_all_is_in_order(data_sales, hospital, batch, sale_consent, terms):
    record = batch.records[2]
    listing = unlisted(hospital, record, terms)

    answer = data_sales.list.call(terms, as_struct(record), batch.proof(2), {"from": hospital})
    transaction = data_sales.list(terms, as_struct(record), batch.proof(2), {"from": hospital})

    assert plain(answer) == listing.id_at(data_sales)
    assert event_of(transaction) == (
        "Listed",
        (listing.id_at(data_sales), hospital.address, tuple(listing)),
    )
    assert plain(data_sales.listingStatusOf(listing.id_at(data_sales))) == (LIVE, NOON)


def test_list_asks_no_consent_when_the_patient_sells_for_himself(data_sales, patient, batch, terms):
    data_sales.list(terms, as_struct(batch.records[0]), batch.proof(0), {"from": patient})

    listing_id = unlisted(patient, batch.records[0], terms).id_at(data_sales)
    assert plain(data_sales.listingStatusOf(listing_id))[0] == LIVE


def test_list_offers_one_record_twice_when_the_nonce_differs(data_sales, hospital, batch, listing, terms):
    second = terms._replace(nonce=1)
    data_sales.list(second, as_struct(batch.records[0]), batch.proof(0), {"from": hospital})

    other = unlisted(hospital, batch.records[0], second)
    assert other.id_at(data_sales) != listing.id_at(data_sales)
    assert plain(data_sales.listingStatusOf(other.id_at(data_sales)))[0] == LIVE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deliver_within", HOUR),
        ("deliver_within", 30 * DAY),
        ("dispute_within", DAY),
        ("dispute_within", 90 * DAY),
        ("custodian_share", 0),
        ("custodian_share", 5_000),
        ("price", 1),
        ("price", 2**128 - 1),
        ("purpose", 31),
        ("duo_terms", 2**32 - 1),
        ("nonce", 2**64 - 1),
    ],
)
def test_list_takes_terms_when_they_are_at_the_limit(data_sales, patient, batch, terms, field, value):
    edge = terms._replace(**{field: value})

    data_sales.list(edge, as_struct(batch.records[0]), batch.proof(0), {"from": patient})


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("price", 0, ("ZeroPrice",)),
        ("deliver_within", HOUR - 1, ("WindowOutOfRange", HOUR - 1, HOUR, 30 * DAY)),
        ("deliver_within", 30 * DAY + 1, ("WindowOutOfRange", 30 * DAY + 1, HOUR, 30 * DAY)),
        ("deliver_within", 0, ("WindowOutOfRange", 0, HOUR, 30 * DAY)),
        ("dispute_within", DAY - 1, ("WindowOutOfRange", DAY - 1, DAY, 90 * DAY)),
        ("dispute_within", 2**32 - 1, ("WindowOutOfRange", 2**32 - 1, DAY, 90 * DAY)),
        ("custodian_share", 5_001, ("CustodianShareTooHigh", 5_001, 5_000)),
        ("custodian_share", 2**16 - 1, ("CustodianShareTooHigh", 2**16 - 1, 5_000)),
        ("purpose", PurposeOfUse.TREAT, ("PurposeNotForSale", PurposeOfUse.TREAT)),
        ("purpose", 15, ("PurposeNotForSale", 15)),
        ("purpose", 32, ("PurposeNotForSale", 32)),
        ("purpose", 255, ("PurposeNotForSale", 255)),
    ],
)
def test_list_is_refused_when_the_terms_are_unsound(data_sales, patient, batch, terms, field, value, error):
    with reverts(*error):
        data_sales.list(
            terms._replace(**{field: value}), as_struct(batch.records[0]), batch.proof(0), {"from": patient}
        )


def test_list_is_refused_when_the_token_is_not_allowed(data_sales, patient, batch, terms):
    for token in ("0x" + "00" * 20, "0x" + "77" * 20):
        with reverts("TokenNotAllowed", token):
            data_sales.list(terms._replace(token=token), as_struct(batch.records[0]), batch.proof(0), {"from": patient})


def test_list_is_refused_when_the_record_is_not_deidentified(data_sales, records, hospital, patient, terms):
    named = Batch((record_of(hospital, patient, deidentified=False),)).deposited(records, hospital)

    with reverts("NotDeidentified", named.records[0].record_id):
        data_sales.list(terms, as_struct(named.records[0]), named.proof(0), {"from": patient})


def test_list_is_refused_when_the_mark_was_forged(data_sales, records, hospital, patient, terms):
    """The mark is the custodian's: it is inside the record's id."""
    named = Batch((record_of(hospital, patient, deidentified=False),)).deposited(records, hospital)
    forged = replace(named.records[0], deidentified=True)

    with reverts("RecordNotDeposited", forged.record_id):
        data_sales.list(terms, as_struct(forged), named.proof(0), {"from": patient})


@pytest.mark.parametrize("subject", [digest("contributors"), b"\0" * 11 + b"\1" + b"\x77" * 20])
def test_list_is_refused_when_the_subject_is_no_patient(data_sales, records, hospital, patient, terms, subject):
    many = Batch((replace(record_of(hospital, patient), subject=subject),)).deposited(records, hospital)

    with reverts("SubjectNotAPatient", subject):
        data_sales.list(terms, as_struct(many.records[0]), many.proof(0), {"from": hospital})


def test_list_is_refused_when_the_subject_is_nobody(data_sales, records, hospital, patient, terms):
    nobodys = Batch((replace(record_of(hospital, patient), subject=bytes(32)),)).deposited(records, hospital)

    with reverts("SaleNotPermitted", bytes(32), hospital, NO_CONSENT):
        data_sales.list(terms, as_struct(nobodys.records[0]), nobodys.proof(0), {"from": hospital})


def test_list_is_refused_when_the_record_is_not_deposited(data_sales, hospital, patient, sale_consent, terms):
    never = batch_of(hospital, patient, 4, "never deposited")

    with reverts("RecordNotDeposited", never.records[0].record_id):
        data_sales.list(terms, as_struct(never.records[0]), never.proof(0), {"from": hospital})


def test_list_is_refused_when_the_proof_is_anothers(data_sales, hospital, batch, sale_consent, terms):
    with reverts("RecordNotDeposited", batch.records[0].record_id):
        data_sales.list(terms, as_struct(batch.records[0]), batch.proof(1), {"from": hospital})


def test_list_is_refused_when_another_institution_deposited_a_leaf_that_names_the_custodian(
    data_sales, records, hospital, second_hospital, patient, terms
):
    """[attack] Nobody puts a record into another institution's mouth."""
    planted = batch_of(hospital, patient, 2, "planted").deposited(records, second_hospital)

    with reverts("RecordNotDeposited", planted.records[0].record_id):
        data_sales.list(terms, as_struct(planted.records[0]), planted.proof(0), {"from": patient})


def test_list_is_refused_when_the_custodian_is_suspended(
    data_sales, institutions, admin, hospital, patient, batch, terms
):
    institutions.suspend(hospital, {"from": admin})

    with reverts("CustodianNotInGoodStanding", hospital):
        data_sales.list(terms, as_struct(batch.records[0]), batch.proof(0), {"from": patient})


def test_list_is_refused_when_the_seller_has_no_consent(data_sales, stranger, patient, batch, sale_consent, terms):
    with reverts("SaleNotPermitted", batch.records[0].subject, stranger, NO_CONSENT):
        data_sales.list(terms, as_struct(batch.records[0]), batch.proof(0), {"from": stranger})


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        ({"classes": DataClass.IMAGING.bit}, CLASS_NOT_COVERED),
        ({"purposes": PurposeOfUse.HMARKT.bit}, PURPOSE_NOT_COVERED),
        ({"purposes": PurposeOfUse.CLINTRCH.bit}, PURPOSE_NOT_COVERED),
        ({"start": NOON + 1}, NOT_YET_STARTED),
        ({"purposes": PurposeOfUse.TREAT.bit, "new_keyring": keyring(1)}, NO_CONSENT),
    ],
    ids=["class", "purpose", "a child only", "not started", "care only"],
)
def test_list_is_refused_with_the_reason_when_the_consent_does_not_cover_it(
    data_sales, consents, patient, second_hospital, batch, sale_consent, terms, change, decision
):
    """[attack] A purpose is never widened: TREAT used for a sale."""
    consents.grant(sale_consent._replace(grantee=second_hospital.address, **change), {"from": patient})

    with reverts("SaleNotPermitted", batch.records[0].subject, second_hospital, decision):
        data_sales.list(terms, as_struct(batch.records[0]), batch.proof(0), {"from": second_hospital})


def test_list_is_refused_when_the_consent_has_ended_to_the_second(
    data_sales, hospital, batch, sale_consent, terms, clock
):
    clock.move_to(sale_consent.end - 1)
    data_sales.list(terms, as_struct(batch.records[0]), batch.proof(0), {"from": hospital})

    clock.move_to(sale_consent.end)
    with reverts("SaleNotPermitted", batch.records[1].subject, hospital, ENDED):
        data_sales.list(terms, as_struct(batch.records[1]), batch.proof(1), {"from": hospital})


def test_list_is_refused_when_the_very_listing_exists(data_sales, hospital, batch, listing, terms):
    with reverts("ListingExists", listing.id_at(data_sales)):
        data_sales.list(terms, as_struct(batch.records[0]), batch.proof(0), {"from": hospital})


def test_list_is_refused_when_the_very_listing_was_withdrawn(data_sales, hospital, batch, listing, terms):
    data_sales.unlist(listing, {"from": hospital})

    with reverts("ListingExists", listing.id_at(data_sales)):
        data_sales.list(terms, as_struct(batch.records[0]), batch.proof(0), {"from": hospital})
    assert plain(data_sales.listingStatusOf(listing.id_at(data_sales)))[0] == WITHDRAWN
