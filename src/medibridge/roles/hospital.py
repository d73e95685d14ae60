"""The hospital: converts, seals and vouches for what it has; reads what patients let it read."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from eth_account.signers.local import LocalAccount

from medibridge.chain import Decision
from medibridge.chain.events import BatchDeposited
from medibridge.content import content_of
from medibridge.errors import MalformedDocument, MalformedMessage, NotPermitted, SealingError, StorageError, UsageError
from medibridge.formats import Conversion, Report, deidentify
from medibridge.formats import read as convert
from medibridge.ids import (
    Address,
    DataClass,
    Digest,
    PurposeOfUse,
    RecordDescription,
    RecordId,
    address_bytes,
    cid_of,
    subject_of,
)
from medibridge.record import Attachment, Record
from medibridge.roles.bridge import Bridge, CurrentKeyring, Deposit, DepositedRecord, Keep, records_in
from medibridge.roles.patient import FOREVER, only
from medibridge.roles.selling import Seller
from medibridge.sealing import documents, merkle
from medibridge.sealing.batches import FeedSubkey, feed_subkey, introduce, introduce_to_class, make_batch
from medibridge.sealing.hpke import PublicKey
from medibridge.sealing.identity import Identity
from medibridge.sealing.keyrings import HeldKeys, PublicClassKey
from medibridge.sealing.records import seal, wrap_key
from medibridge.storage import Journal

__all__ = ["Deposited", "Hospital"]

_ATTEMPTS = 5
_JOURNAL_SEAL = 32  # bytes of authentication before an entry
_NOTHING_HELD = HeldKeys({}, {}, {})


@dataclass(frozen=True)
class Deposited:
    """What one message became on the chain.

    `records` are their ids in the order of conversion, each record before its twin; `repeated` tells
    that an earlier call had deposited it already, and then there is no `event`.
    """

    root: bytes
    records: tuple[RecordId, ...]
    report: Report = field(repr=False)
    event: BatchDeposited | None
    repeated: bool


@dataclass(frozen=True)
class _Staged:
    """A sealed batch, ready to be published: blocks in the order in which they are kept.

    `until` is the earliest end of the class keys that it was sealed to, in seconds since 1970.
    """

    root: bytes
    count: int
    list_digest: Digest
    keyring: Digest
    until: int
    records: tuple[RecordId, ...]
    blocks: tuple[bytes, ...] = field(repr=False, default=())

    def encode(self) -> bytes:
        return documents.encode([self.root, self.count, self.list_digest, self.keyring, self.until, list(self.records)])

    @classmethod
    def decode(cls, data: bytes) -> _Staged:
        root, count, list_digest, keyring, until, records = documents.decode(data)
        return cls(root, count, list_digest, keyring, until, tuple(records))


@dataclass(frozen=True)
class _Content:
    """What is sealed as one record."""

    record: Record = field(repr=False)
    attachments: tuple[Attachment, ...] = ()

    @property
    def digest(self) -> bytes:
        """32 bytes that tell this content from any other."""
        parts = (self.record.to_bytes(), *(attachment.digest for attachment in self.attachments))
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


def _contents(conversion: Conversion, *, twins: bool) -> Iterator[_Content]:
    """The records of a conversion with their attachments, each before its twin, if it has one."""
    for record in conversion.records:
        own = tuple(one for one in conversion.attachments if one.data_class is record.data_class)
        yield _Content(record, own)
        if twins:
            try:
                yield _Content(deidentify(record))
            except UsageError:
                continue  # notes, say: nothing of them may be sold


class Hospital(Seller):
    """A verified institution that holds records.

    Args:
        journal: remembers what was deposited, so that a repeated command completes the work and
            does not duplicate it.
    """

    def __init__(self, bridge: Bridge, account: LocalAccount, identity: Identity, journal: Journal) -> None:
        super().__init__(bridge, account, identity)
        self._journal = journal

    def deposit(
        self, patient: Address, message: bytes | Conversion, *, twins: bool = True, source: str = ""
    ) -> Deposited:
        """Convert a message, seal one record for each data class, publish them and vouch for them.

        Args:
            patient: whom the message is about, as this hospital knows it.
            message: foreign bytes in any of `medibridge.formats`, or what they were converted to. Attachments are
                sealed with the record of their class, in memory that does not grow with them.
            twins: deposit a de-identified twin of each record too, which the patient may sell: without attachments,
                and of no record of which nothing may be sold.
            source: the system that sent the message; keeps apart ids of systems that number alike.

        The same message for the same patient is deposited once, however often this is called. Raises
        `FormatError` before anything is published, `AccessError` or `InvalidCard` where the patient has no sound
        key card, `NotInGoodStanding`, `StorageError`, and `MalformedDocument` where the journal was altered.
        """
        conversion = message if isinstance(message, Conversion) else convert(message, source=source)
        contents = list(_contents(conversion, twins=twins))
        if not contents:
            raise MalformedMessage(
                "nothing of the message belongs to a class of data; it may be cut off, send it again"
            )
        key = self._journal_key(patient, contents)
        staged = self._staged(key)
        if staged is not None and self._is_deposited(staged):
            return Deposited(staged.root, staged.records, conversion.report, None, repeated=True)
        if staged is None or not self._may_be_completed(staged, patient):
            staged = self._seal_current(patient, contents)
            self._bridge.store.put_many(staged.blocks)
            body = staged.encode()
            self._journal.put(key, self._journal_seal(key, body) + body)
        event = self._bridge.system.records.deposit(self._account, staged.root, staged.count, staged.list_digest)
        return Deposited(staged.root, staged.records, conversion.report, event, repeated=False)

    def records(self, patient: Address) -> list[DepositedRecord]:
        """The patient's records that this hospital can find: its own, and those its keys open; oldest first."""
        held, own = self._held(patient), list(self._own_subkeys(patient))
        return [record for deposit in self._bridge.deposits() for record in self._found(deposit, patient, held, own)]

    def record(self, patient: Address, name: str) -> DepositedRecord:
        """One of `records`, by its name or a beginning of it. Raises `RecordUnknown`."""
        return only(name, self.records(patient))

    def read(
        self,
        patient: Address,
        record: DepositedRecord,
        purpose: PurposeOfUse = PurposeOfUse.TREAT,
        *,
        audit: bool = True,
        keep: Keep | None = None,
    ) -> Record:
        """The content of a record that the patient lets this hospital read for this purpose; `keep` takes attachments.

        Its own records a custodian reads without asking. `audit` writes the question and the answer, permit or
        deny, into the patient's audit trail: one transaction. Raises `NotPermitted` with the contract's
        reason, `NoKeyForRecord` where consent was given but no key (yet), and `RecordAltered` or `StorageError`.
        """
        description = record.description
        if description.custodian == self.address:
            return self._bridge.open(record, [self._identity.registered], keep)
        self._require_permit(patient, description.data_class, purpose, audit=audit)
        held = self._held(patient)
        for adopted in held.adopted.get(int(description.data_class), ()):
            if adopted.description == description:
                return self._bridge.open_with(self._bridge.manifest(description), adopted.key, description, keep)
        secret = held.class_secrets.get((int(description.data_class), description.epoch))
        return self._bridge.open(record, [] if secret is None else [secret.private_key()], keep)

    def _require_permit(self, patient: Address, data_class: DataClass, purpose: PurposeOfUse, *, audit: bool) -> None:
        consents = self._bridge.system.consents
        if audit:
            decided = consents.decide(self._account, patient, self.address, data_class, purpose)
            decision = Decision(decided.decision)
        else:
            decision = consents.permits(patient, self.address, data_class, purpose)
        if decision is not Decision.PERMITTED:
            reason = decision.name.lower().replace("_", " ")
            raise NotPermitted(
                f"{patient} does not let {self.address} read {data_class.label} for {purpose.name} now: {reason}; "
                "ask the patient for a consent"
            )

    def _held(self, patient: Address) -> HeldKeys:
        """What the patient's keyring hands to this hospital: nothing, where it is not meant for it or not sound."""
        keyring = self._bridge.keyring_of(patient).keyring
        if keyring is None or self.address not in keyring.grantees:
            return _NOTHING_HELD
        try:
            return keyring.held_by(self._identity.registered, self.address, patient, self._bridge.consents_place)
        except SealingError:
            return _NOTHING_HELD

    def _found(
        self, deposit: Deposit, patient: Address, held: HeldKeys, own: list[FeedSubkey]
    ) -> Iterator[DepositedRecord]:
        if deposit.custodian == self.address:
            subkeys = own
        else:
            subkeys = held.subkeys_of(deposit.custodian) or list(self._introduced(deposit, patient, held))
        subject = subject_of(patient)
        yield from records_in(deposit, subject, subkeys)
        for adopted in (one for records in held.adopted.values() for one in records):
            description = adopted.description
            leaf = merkle.leaf(description.record_id)
            if description.custodian == deposit.custodian != self.address and leaf in deposit.batch.leaves:
                index = deposit.batch.leaves.index(leaf)
                path = tuple(merkle.path(deposit.batch.leaves, index))
                yield DepositedRecord(description, deposit.batch.root, index, path, deposit.block)

    def _introduced(self, deposit: Deposit, patient: Address, held: HeldKeys) -> Iterator[FeedSubkey]:
        """Sub-keys that an institution which is new to the keyring hands to the holders of a class."""
        for (data_class, epoch), secret in held.class_secrets.items():
            subkey = deposit.batch.introduced_to_class(
                secret.private_key(), deposit.custodian, patient, data_class, epoch, self._bridge.records_place
            )
            if subkey is not None:
                yield subkey

    def _own_subkeys(self, patient: Address) -> Iterator[FeedSubkey]:
        """Of every epoch that this hospital can have sealed to; each keyring so far brought one more at most."""
        feed = self._identity.feed_key(patient)
        keyring = self._bridge.keyring_of(patient).keyring
        newest = len(self._bridge.system.consents.keyrings(patient))
        for member in DataClass:
            current = None if keyring is None else keyring.class_key(int(member))
            for epoch in range(max(newest, 0 if current is None else current.epoch) + 1):
                yield feed_subkey(feed, int(member), epoch)

    def _journal_key(self, patient: Address, contents: Sequence[_Content]) -> str:
        told = address_bytes(patient) + b"".join(content.digest for content in contents)
        return self._identity.journal_tag(bytes(self._bridge.records_place) + told).hex()

    def _staged(self, key: str) -> _Staged | None:
        entry = self._journal.get(key)
        if entry is None:
            return None
        seal, body = entry[:_JOURNAL_SEAL], entry[_JOURNAL_SEAL:]
        if not hmac.compare_digest(seal, self._journal_seal(key, body)):
            raise MalformedDocument(
                "the journal's entry for this message is not what this hospital wrote; look among the records "
                "whether the message is deposited, and remove the entry"
            )
        return _Staged.decode(body)

    def _journal_seal(self, key: str, body: bytes) -> bytes:
        """Whoever can write to the journal must not make this hospital vouch for a batch of his."""
        return self._identity.journal_tag(b"entry" + bytes.fromhex(key) + body)

    def _is_deposited(self, staged: _Staged) -> bool:
        return self._bridge.system.records.count_of(self.address, staged.root) == staged.count

    def _may_be_completed(self, staged: _Staged, patient: Address) -> bool:
        """Whether what an earlier call sealed may still be deposited: no key rotated or ended, and it is all there."""
        return self._is_current(staged, patient) and self._bridge.store.has(cid_of(staged.list_digest))

    def _is_current(self, staged: _Staged, patient: Address) -> bool:
        system = self._bridge.system
        return system.consents.keyring_of(patient) == staged.keyring and system.chain.now() < staged.until

    def _seal_current(self, patient: Address, contents: Sequence[_Content]) -> _Staged:
        """Seal until no rotation came in between: what a revoked key opens must not be published."""
        for _ in range(_ATTEMPTS):
            staged = self._seal(patient, contents, self._current_keyring(patient))
            if self._is_current(staged, patient):
                return staged
        raise SealingError(f"the patient's keyring changed {_ATTEMPTS} times while sealing; try again in a minute")

    def _current_keyring(self, patient: Address) -> CurrentKeyring:
        """The keyring to seal by. Where it cannot be had, for whatever reason, there is none."""
        try:
            return self._bridge.keyring_of(patient)
        except StorageError:
            return CurrentKeyring(self._bridge.system.consents.keyring_of(patient), None)

    def _seal(self, patient: Address, contents: Sequence[_Content], current: CurrentKeyring) -> _Staged:
        patient_key = self._bridge.card_of(patient).public_key
        feed = self._identity.feed_key(patient)
        place = self._bridge.records_place
        introductions = [introduce(patient_key, self.address, patient, feed, place)]
        class_keys = self._class_keys([content.record for content in contents], current)
        introductions += [
            introduce_to_class(key.public_key, self.address, patient, int(member), key.epoch, feed, place)
            for member, key in class_keys.items()
        ]
        blocks: list[bytes] = []
        sealed = [
            self._seal_record(patient, patient_key, content, class_keys.get(content.record.data_class), blocks)
            for content in contents
        ]
        batch = make_batch([(description, feed) for description in sealed], introductions)
        list_digest, pages = documents.split(batch.document)
        ids = tuple(description.record_id for description in sealed)
        until = min((key.not_after for key in class_keys.values()), default=FOREVER)
        return _Staged(batch.root, batch.count, list_digest, current.digest, until, ids, (*blocks, *pages))

    def _class_keys(self, records: Sequence[Record], current: CurrentKeyring) -> dict[DataClass, PublicClassKey]:
        """The class keys to seal to. Past its end a key is nobody's: then the registered key alone is used."""
        if current.keyring is None:
            return {}
        now = self._bridge.system.chain.now()
        keys = {record.data_class: current.keyring.class_key(int(record.data_class)) for record in records}
        return {member: key for member, key in keys.items() if key is not None and now < key.not_after}

    def _seal_record(
        self,
        patient: Address,
        patient_key: PublicKey,
        content: _Content,
        class_key: PublicClassKey | None,
        blocks: list[bytes],
    ) -> RecordDescription:
        stream, size = content_of(content.record, content.attachments)
        with stream:  # ciphertext of images goes to the store at once: without the manifest it is nobody's
            keep = self._bridge.store.put if content.attachments else blocks.append
            sealed = seal(stream, size, keep)
        readers = [patient_key, self._identity.registered.public_key]
        if class_key is not None:
            readers.append(class_key.public_key)
        seal_id = sealed.seal.seal_id
        wraps = sorted(wrap_key(sealed.key, seal_id, reader) for reader in readers)
        manifest, pages = documents.split(sealed.manifest(wraps).encode())
        blocks += pages
        return RecordDescription(
            custodian=self.address,
            subject=subject_of(patient),
            data_class=content.record.data_class,
            epoch=0 if class_key is None else class_key.epoch,
            deidentified=content.record.deidentified,
            seal_id=seal_id,
            manifest=manifest,
            salt=secrets.token_bytes(32),
        )
