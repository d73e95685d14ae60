"""The patient: reads, decides who else may read, sells, is paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import pairwise

from medibridge.chain import Grant, Revocation
from medibridge.chain.events import CardRegistered, Granted, KeyringReplaced, Revoked
from medibridge.errors import AccessError, RecordUnknown, SealingError, StorageError, UsageError
from medibridge.ids import Address, DataClass, Digest, Lane, PurposeOfUse, subject_of
from medibridge.record import Record
from medibridge.roles.bridge import DepositedRecord, Keep, called, records_in
from medibridge.roles.selling import Seller
from medibridge.sealing.batches import FeedKey, feed_subkey
from medibridge.sealing.hpke import PublicKey
from medibridge.sealing.keyrings import Adopted, ClassState, Holder, KeyringState, make_keyring
from medibridge.sealing.records import stale_keyring, unwrap_key

__all__ = ["FOREVER", "Patient", "only"]

FOREVER = 2**40 - 1
"""The end of a class key that nobody else holds."""

_NO_KEYRING = Digest(bytes(32))


@dataclass(frozen=True)
class _Known:
    """The keyring's value on the chain, the newest state that can be read, and whether a rotation is due."""

    digest: Digest
    state: KeyringState = field(repr=False)
    rotation_due: bool


@dataclass(frozen=True)
class _Reader:
    """Who may read what by the chain's word, and until when."""

    classes: frozenset[DataClass]
    until: int


class Patient(Seller):
    """A patient with an account and a seed. All else is found on the chain and in the store."""

    def register(self) -> CardRegistered:
        """Publish the key card, and a first keyring with a key for every data class."""
        registered = super().register()
        self.refresh()
        return registered

    def records(self) -> list[DepositedRecord]:
        """Every record about this patient that a custodian has deposited, oldest first."""
        state = self._known().state
        return list(self._records(replace(state, feeds=self._feeds(state))))

    def record(self, name: str) -> DepositedRecord:
        """One of `records`, by its name or a beginning of it. Raises `RecordUnknown`."""
        return only(name, self.records())

    def read(self, record: DepositedRecord, keep: Keep | None = None) -> Record:
        """The content of a record; `keep` takes its attachments. Raises `SealingError` or `StorageError`."""
        return self._bridge.open(record, [self._identity.registered], keep)

    def grant(
        self,
        grantee: Address,
        classes: AbstractSet[DataClass],
        purposes: AbstractSet[PurposeOfUse],
        *,
        until: int,
        start: int | None = None,
    ) -> Granted:
        """Let somebody read all records of these classes, today's and tomorrow's: one transaction.

        Replaces what the grantee had in the purposes' lane. Times are seconds since 1970; without a `start`
        it begins now. Keys are handed out for care only, and not before the start: `refresh` hands out what
        begins later. Who can read now can read the history of the class too.

        Raises a `Refusal` (`InvalidPeriod`, `PurposesSpanLanes`, `KeyringChanged` …), and `AccessError` or
        `InvalidCard` where the grantee has no sound key card.
        """
        now = self._bridge.system.chain.now()
        start = now if start is None else start
        known = self._known()
        keyring = known.digest
        if _lane_of(purposes) is Lane.CARE:
            readers = self._readers(now)
            readers.pop(grantee, None)
            if start <= now < until:
                self._bridge.card_of(grantee)
                readers[grantee] = _Reader(frozenset(classes), until)
            keyring = self._publish(self._next(known, readers))
        given = Grant(
            self.address, grantee, frozenset(classes), frozenset(purposes), start, until, known.digest, keyring
        )
        return self._bridge.system.consents.grant(self._account, given)

    def revoke(self, grantee: Address, lane: Lane = Lane.CARE) -> Revoked:
        """Shut somebody out of everything deposited from now on: one transaction, whatever the number of records.

        Works even where the store is out of reach: then a rotation stays due, and `refresh` makes it.
        What the grantee has read, or could read, it may have kept.
        """
        consents = self._bridge.system.consents
        current = consents.keyring_of(self.address)
        try:
            known = self._known()
            readers = self._readers(self._bridge.system.chain.now())
            if lane is Lane.CARE:
                readers.pop(grantee, None)
            current, keyring = known.digest, self._publish(self._next(known, readers))
        except (StorageError, SealingError, AccessError, UsageError):
            keyring = _NO_KEYRING
        return consents.revoke(self._account, Revocation(self.address, grantee, lane, current, keyring))

    def refresh(self) -> KeyringReplaced | None:
        """Publish a new keyring where one is due, and None where none is.

        It is due for the first time; after a revocation that brought none; when a consent has begun or
        ended; and when records were sealed to the registered key alone, which are taken into their class.
        """
        known = self._known()
        state = self._next(known, self._readers(self._bridge.system.chain.now()))
        if any(known.digest) and not known.rotation_due and _says_the_same(state, known.state):
            return None
        consents = self._bridge.system.consents
        return consents.replace_keyring(self._account, self.address, known.digest, self._publish(state))

    def _publish(self, state: KeyringState) -> Digest:
        return self._bridge.publish(make_keyring(self._identity, self.address, self._bridge.consents_place, state))

    def _known(self) -> _Known:
        """The newest keyring of the patient's own that can still be read, whatever the chain says now."""
        consents = self._bridge.system.consents
        current = consents.keyring_of(self.address)
        values = [digest for _, digest in consents.keyrings(self.address)]
        for position, digest in reversed(list(enumerate(values))):
            keyring = self._bridge.keyring(digest)
            if keyring is None:
                continue
            try:
                state = keyring.state(self._identity, self.address, self._bridge.consents_place)
            except SealingError:
                continue
            if not _are_marks(values[position:]):
                state = replace(state, classes=_at_epoch(len(values)))
            return _Known(current, state, rotation_due=digest != current)
        return _Known(current, KeyringState(_at_epoch(len(values)) if values else {}), rotation_due=bool(values))

    def _readers(self, now: int) -> dict[Address, _Reader]:
        """Who may read for care by the chain's word, now."""
        consents = self._bridge.system.consents
        readers = {}
        for grantee in {granted.grantee for granted in consents.granted(patient=self.address)}:
            consent = consents.consent_of(self.address, grantee, Lane.CARE)
            if consent.start <= now < consent.end and consent.classes:
                readers[grantee] = _Reader(consent.classes, consent.end)
        return readers

    def _next(self, known: _Known, readers: Mapping[Address, _Reader]) -> KeyringState:
        """The state in which exactly these readers hold keys; classes that somebody lost have a new epoch.

        A reader whose key card cannot be had, and could not before, gets his keys at a later refresh.
        """
        before = {holder.grantee: holder for holder in known.state.holders}
        keys = {grantee: key for grantee in readers if (key := self._key_of(grantee, before)) is not None}
        readers = {grantee: reader for grantee, reader in readers.items() if grantee in keys}
        lost = {
            number
            for grantee, holder in before.items()
            for number in holder.classes
            if grantee not in readers or DataClass(number) not in readers[grantee].classes
        }
        classes = {}
        for member in DataClass:
            epoch = known.state.classes[member].epoch if member in known.state.classes else 1
            rotates = (known.rotation_due or member in lost) and member in known.state.classes
            ends = [reader.until for reader in readers.values() if member in reader.classes]
            classes[int(member)] = ClassState(epoch + rotates, min(ends, default=FOREVER))
        holders = tuple(
            Holder(grantee, keys[grantee], frozenset(map(int, reader.classes)), reader.until)
            for grantee, reader in sorted(readers.items())
        )
        feeds = self._feeds(known.state)
        return KeyringState(
            classes, holders, feeds, self._adopted(KeyringState(classes, holders, feeds, known.state.adopted))
        )

    def _key_of(self, grantee: Address, before: Mapping[Address, Holder]) -> PublicKey | None:
        """The grantee's registered key; the one it had, if any, where its card cannot be had now."""
        try:
            return self._bridge.card_of(grantee).public_key
        except (StorageError, SealingError, AccessError):
            return before[grantee].public_key if grantee in before else None

    def _feeds(self, state: KeyringState) -> dict[Address, FeedKey]:
        """The feed keys of every institution that has introduced itself."""
        feeds = dict(state.feeds)
        for deposit in self._bridge.deposits():
            if deposit.custodian not in feeds:
                introduced = deposit.batch.introduced_to(
                    self._identity.registered, deposit.custodian, self.address, self._bridge.records_place
                )
                if introduced is not None:
                    feeds[deposit.custodian] = introduced
        return feeds

    def _records(self, state: KeyringState) -> Iterator[DepositedRecord]:
        """The patient's records that the state's own feed keys find."""
        subkeys = {
            institution: [
                feed_subkey(feed, int(member), epoch)
                for member in DataClass
                for epoch in range((state.classes[member].epoch if member in state.classes else 0) + 1)
            ]
            for institution, feed in state.feeds.items()
        }
        for deposit in self._bridge.deposits():
            yield from records_in(deposit, subject_of(self.address), subkeys.get(deposit.custodian, ()))

    def _adopted(self, state: KeyringState) -> dict[int, tuple[Adopted, ...]]:
        """What the classes have taken in, and what was sealed to the registered key alone since."""
        adopted = {number: list(records) for number, records in state.adopted.items()}
        known = {one.description.record_id for records in adopted.values() for one in records}
        for record in self._records(state):
            description = record.description
            if description.epoch == 0 and description.record_id not in known:
                try:
                    key = unwrap_key(self._bridge.manifest(description), [self._identity.registered])
                except (StorageError, SealingError):
                    continue  # it cannot be had now; the next keyring takes it in
                adopted.setdefault(int(description.data_class), []).append(Adopted(description, key))
        return {number: tuple(records) for number, records in adopted.items()}


def only(name: str, records: list[DepositedRecord]) -> DepositedRecord:
    """The one record of that name, or whose name begins so. Raises `RecordUnknown`."""
    found = called(name, records)
    if len(found) != 1:
        problem = "no record" if not found else "more than one record"
        raise RecordUnknown(f"{problem} has a name that begins with {name!r}; list the records to see their names")
    return found[0]


def _are_marks(values: Sequence[Digest]) -> bool:
    """Whether no keyring came after the first of these values: nothing, or marks that a rotation is due."""
    return all(later in {earlier, stale_keyring(earlier)} for earlier, later in pairwise(values))


def _at_epoch(number: int) -> dict[int, ClassState]:
    """Every class at this epoch. Each value of a keyring brought at most one: none is later than the number of values.

    So an epoch whose document is lost is never begun again, for its key may be in the hands of somebody who lost it.
    """
    return {int(member): ClassState(number, FOREVER) for member in DataClass}


def _lane_of(purposes: AbstractSet[PurposeOfUse]) -> Lane:
    lanes = {purpose.lane for purpose in purposes}
    if len(lanes) != 1:
        raise UsageError("a grant has at least one purpose, and all of one lane: care, or research and sale")
    return lanes.pop()


def _says_the_same(new: KeyringState, old: KeyringState) -> bool:
    return (
        new.classes == old.classes
        and [(holder.grantee, holder.public_key, holder.classes, holder.until) for holder in new.holders]
        == [(holder.grantee, holder.public_key, holder.classes, holder.until) for holder in old.holders]
        and new.feeds.keys() == old.feeds.keys()
        and {number: len(records) for number, records in new.adopted.items()}
        == {number: len(records) for number, records in old.adopted.items()}
    )
