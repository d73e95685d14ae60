"""Batch lists: readers find what is theirs, and nothing else tells anything."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge.errors import MalformedDocument, UsageError
from medibridge.ids import Address, DataClass, Digest, RecordDescription, SealId, address, subject_of
from medibridge.sealing import documents, merkle
from medibridge.sealing.batches import (
    Batch,
    BatchList,
    FeedKey,
    decode_description,
    encode_description,
    feed_subkey,
    introduce,
    introduce_to_class,
    make_batch,
    read_batch,
)
from medibridge.sealing.cards import Place
from medibridge.sealing.hpke import PrivateKey, seal_to
from medibridge.sealing.identity import Identity

CLINIC, CONTRACT, ANNE, BERT, OTHER_CLINIC = (address(f"0x{number:040x}") for number in range(1, 6))
HERE = Place(1337, CONTRACT)
INSTITUTION = Identity.from_seed(b"i" * 32)
FEEDS = {patient: INSTITUTION.feed_key(patient) for patient in (ANNE, BERT)}
KEYS = {ANNE: PrivateKey(b"a" * 32), BERT: PrivateKey(b"b" * 32)}
LAB, MEDS = DataClass.LABORATORY, DataClass.MEDICATIONS


def described(patient: Address, data_class: DataClass = LAB, epoch: int = 1, salt: int = 0) -> RecordDescription:
    return RecordDescription(
        CLINIC,
        subject_of(patient),
        data_class,
        epoch,
        False,
        SealId(b"s" * 32),
        Digest(b"m" * 32),
        salt.to_bytes(32, "big"),
    )


def listed(batch: Batch) -> BatchList:
    return read_batch(batch.document)


def changed(batch: Batch, **fields: object) -> bytes:
    content = cbor2.loads(batch.document)
    content.update({int(name[1:]): value for name, value in fields.items()})
    return cbor2.dumps(content, canonical=True)


DESCRIPTIONS = st.lists(
    st.builds(
        described,
        st.sampled_from([ANNE, BERT]),
        st.sampled_from(list(DataClass)),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**256 - 1),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda description: description.record_id,
)


def entries_of(descriptions: list[RecordDescription]) -> list[tuple[RecordDescription, FeedKey]]:
    return [
        (description, FEEDS[ANNE if description.subject == subject_of(ANNE) else BERT]) for description in descriptions
    ]


@given(DESCRIPTIONS)
@settings(max_examples=50, deadline=None)
def test_find_gives_a_reader_his_records_with_their_proof_and_no_others(descriptions: list[RecordDescription]) -> None:
    batch = make_batch(entries_of(descriptions))
    assert batch.count == len(descriptions)
    for patient, feed in FEEDS.items():
        mine = [description for description in descriptions if description.subject == subject_of(patient)]
        subkeys = [feed_subkey(feed, description.data_class, description.epoch) for description in mine]
        found = listed(batch).find(subkeys)
        assert {record.description.record_id for record in found} == {description.record_id for description in mine}
        assert [record.index for record in found] == sorted(record.index for record in found)
        for record in found:
            leaf = merkle.leaf(record.description.record_id)
            assert merkle.verify(batch.root, batch.count, record.index, leaf, record.path)


def test_find_gives_a_grantee_only_the_class_and_epoch_of_his_sub_keys() -> None:
    records = [described(ANNE, data_class, epoch) for data_class in (LAB, MEDS) for epoch in (0, 1, 2)]
    batch_list = listed(make_batch(entries_of(records)))
    found = batch_list.find([feed_subkey(FEEDS[ANNE], LAB, 2)])
    assert [record.description for record in found] == [described(ANNE, LAB, 2)]
    assert batch_list.find([]) == []
    assert batch_list.find([feed_subkey(FEEDS[BERT], LAB, 2)]) == []


def test_feed_subkey_differs_by_feed_class_and_epoch() -> None:
    subkeys = [feed_subkey(feed, number, epoch) for feed in FEEDS.values() for number in range(3) for epoch in range(3)]
    assert len({subkey.expose() for subkey in subkeys}) == 18
    assert subkeys[0].expose().hex() not in repr(subkeys[0])


def test_make_batch_is_the_same_whatever_the_order_of_its_records() -> None:
    entries = entries_of([described(patient, salt=salt) for patient in (ANNE, BERT) for salt in range(5)])
    batch = make_batch(entries)
    assert make_batch(entries[::-1]) == batch
    assert make_batch(entries, [b"2", b"1"]) == make_batch(entries, [b"1", b"2"])
    leaves = listed(batch).leaves
    assert list(leaves) == sorted(leaves)


def test_make_batch_makes_entries_of_one_length() -> None:
    records = [described(ANNE), described(BERT, DataClass.GENOMICS, 2**32 - 1), described(BERT, MEDS, 300)]
    entries = cbor2.loads(make_batch(entries_of(records)).document)[1]
    assert len({tuple(map(len, entry)) for entry in entries}) == 1


def test_make_batch_shows_nothing_of_a_record() -> None:
    record = described(ANNE, salt=2**255)
    document = make_batch(entries_of([record])).document
    for part in (record.subject[12:], record.salt, record.seal_id, record.manifest, bytes(record.record_id)):
        assert part not in document


@pytest.mark.parametrize("count", [0, 2])
def test_make_batch_refuses_no_record_or_one_twice(count: int) -> None:
    with pytest.raises(UsageError, match="at least one record" if count == 0 else "stands twice"):
        make_batch(entries_of([described(ANNE)] * count))


def test_read_batch_gives_the_root_and_count_to_compare_with_the_chain() -> None:
    batch = make_batch(entries_of([described(ANNE, salt=salt) for salt in range(3)]))
    assert (read_batch(batch.document).root, read_batch(batch.document).count) == (batch.root, 3)


def test_read_batch_gives_another_root_or_refuses_where_entries_are_left_out_added_or_swapped() -> None:
    batch = make_batch(entries_of([described(ANNE, salt=salt) for salt in range(4)]))
    entries = cbor2.loads(batch.document)[1]
    for bad in (entries[1:], entries[:-1]):
        assert read_batch(changed(batch, f1=bad)).root != batch.root
    for bad in (entries[::-1], [*entries, entries[0]], [], [entries[0]] * 4):
        with pytest.raises(MalformedDocument):
            read_batch(changed(batch, f1=bad))


def test_introduced_to_class_hands_the_sub_key_to_holders_of_that_class_and_epoch_only() -> None:
    secret, later = PrivateKey(b"1" * 32), PrivateKey(b"2" * 32)
    handed = introduce_to_class(secret.public_key, CLINIC, ANNE, LAB, 1, FEEDS[ANNE], HERE)
    batch_list = read_batch(make_batch(entries_of([described(ANNE)]), [handed]).document)
    assert batch_list.introduced_to_class(secret, CLINIC, ANNE, LAB, 1, HERE) == feed_subkey(FEEDS[ANNE], LAB, 1)
    assert batch_list.introduced_to_class(later, CLINIC, ANNE, LAB, 1, HERE) is None
    assert batch_list.introduced_to_class(secret, CLINIC, ANNE, LAB, 2, HERE) is None
    assert batch_list.introduced_to_class(secret, CLINIC, BERT, LAB, 1, HERE) is None
    assert batch_list.introduced_to(secret, CLINIC, ANNE, HERE) is None


def test_read_batch_refuses_leaves_out_of_order_though_the_root_fits() -> None:
    batch = make_batch(entries_of([described(ANNE, salt=salt) for salt in range(4)]))
    entries = cbor2.loads(batch.document)[1][::-1]
    with pytest.raises(MalformedDocument, match="ascend"):
        read_batch(changed(batch, f1=entries))


@pytest.mark.parametrize(
    "fields",
    [
        {"f0": 2},
        {"f1": {}},
        {"f1": [[bytes(32), bytes(16)]]},
        {"f1": [[bytes(31), bytes(16), b""]]},
        {"f1": [[bytes(32), bytes(15), b""]]},
        {"f1": [[bytes(32), bytes(16), 0]]},
        {"f2": [0]},
        {"f2": None},
        {"f3": 0},
    ],
    ids=str,
)
def test_read_batch_refuses_what_is_no_batch_list(fields: dict[str, object]) -> None:
    batch = make_batch(entries_of([described(ANNE)]))
    with pytest.raises(MalformedDocument):
        read_batch(changed(batch, **fields))


def test_find_passes_over_an_entry_that_is_altered() -> None:
    batch = make_batch(entries_of([described(ANNE, salt=0), described(ANNE, salt=1)]))
    subkeys = [feed_subkey(FEEDS[ANNE], LAB, 1)]
    (leaf, tag, body), second = cbor2.loads(batch.document)[1]
    for bad in ([leaf, bytes(16), body], [leaf, tag, body[:-1] + bytes([body[-1] ^ 1])], [leaf, tag, b""]):
        found = read_batch(changed(batch, f1=[bad, second])).find(subkeys)
        assert [record.index for record in found] == [1]


def test_find_passes_over_a_description_of_another_record_than_its_leaf() -> None:
    """Somebody who holds the sub-key (another grantee) seals another description to a leaf."""
    batch = make_batch(entries_of([described(ANNE)]))
    ((leaf, tag, _),) = cbor2.loads(batch.document)[1]
    subkey = feed_subkey(FEEDS[ANNE], LAB, 1)
    cipher = ChaCha20Poly1305(sha256(b"\x11" + subkey.expose() + leaf).digest())
    for lie in (encode_description(replace(described(ANNE), manifest=Digest(bytes(32)))), [], 1):
        body = cipher.encrypt(bytes(12), documents.encode(lie), None)
        assert read_batch(changed(batch, f1=[[leaf, tag, body]])).find([subkey]) == []


def test_introduced_to_gives_the_patient_his_feed_key_and_nobody_else_any() -> None:
    introductions = [
        introduce(KEYS[patient].public_key, CLINIC, patient, feed, HERE) for patient, feed in FEEDS.items()
    ]
    batch_list = listed(make_batch(entries_of([described(ANNE)]), introductions))
    for patient, feed in FEEDS.items():
        assert batch_list.introduced_to(KEYS[patient], CLINIC, patient, HERE) == feed
    stranger = PrivateKey.generate()
    assert batch_list.introduced_to(stranger, CLINIC, ANNE, HERE) is None
    assert batch_list.introduced_to(KEYS[BERT], CLINIC, ANNE, HERE) is None
    assert batch_list.introduced_to(KEYS[ANNE], OTHER_CLINIC, ANNE, HERE) is None
    assert batch_list.introduced_to(KEYS[ANNE], CLINIC, BERT, HERE) is None
    assert batch_list.introduced_to(KEYS[ANNE], CLINIC, ANNE, Place(1, CONTRACT)) is None
    assert batch_list.introduced_to(KEYS[ANNE], CLINIC, ANNE, Place(1337, BERT)) is None
    assert all(len(introduction) == len(introductions[0]) for introduction in introductions)


def test_introduced_to_passes_over_rubbish() -> None:
    key = KEYS[ANNE].public_key
    info = b"MediBridge feed key" + bytes(HERE) + bytes.fromhex(CLINIC[2:] + ANNE[2:])
    message = [bytes.fromhex(CLINIC[2:]), bytes.fromhex(ANNE[2:]), bytes(31)]
    rubbish = [b"", bytes(1250), seal_to(key, info, b"\xff"), seal_to(key, info, documents.encode(message))]
    sound = introduce(key, CLINIC, ANNE, FEEDS[ANNE], HERE)
    batch_list = listed(make_batch(entries_of([described(ANNE)]), [*rubbish, sound]))
    assert batch_list.introduced_to(KEYS[ANNE], CLINIC, ANNE, HERE) == FEEDS[ANNE]


@given(DESCRIPTIONS, st.booleans())
@settings(max_examples=30, deadline=None)
def test_decode_description_returns_what_was_encoded(descriptions: list[RecordDescription], mark: bool) -> None:
    for description in (replace(one, deidentified=mark) for one in descriptions):
        assert decode_description(documents.decode(documents.encode(encode_description(description)))) == description


@pytest.mark.parametrize(
    ("index", "value"),
    [(0, bytes(19)), (1, bytes(31)), (2, b"\xff"), (2, b""), (3, bytes(3)), (4, 1), (5, None), (6, "x"), (7, b"")],
)
def test_decode_description_refuses_other_values(index: int, value: object) -> None:
    row = encode_description(described(ANNE))
    row[index] = value
    with pytest.raises(MalformedDocument, match="description of a record"):
        decode_description(row)


def test_found_records_do_not_print_what_they_describe() -> None:
    batch_list = listed(make_batch(entries_of([described(ANNE)])))
    (found,) = batch_list.find([feed_subkey(FEEDS[ANNE], LAB, 1)])
    assert "subject" not in repr(found) and "salt" not in repr(found) and ANNE[2:].lower() not in repr(found)
