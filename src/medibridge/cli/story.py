"""The demo's story: what happens, in which order, and what to look at. Every outcome is tried, none is asserted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from medibridge import samples
from medibridge.cli.amounts import in_words
from medibridge.cli.stage import Stage, attempt
from medibridge.errors import AccessError, MediBridgeError
from medibridge.ids import DataClass, PurposeOfUse
from medibridge.record import Record
from medibridge.roles import DepositedRecord

__all__ = ["CHAPTERS", "COLUMNS", "Chapter", "Step", "readings"]

_DAY = 24 * 60 * 60
_PRICE = 50_000_000  # units: 50.00 test dollars
_TREAT = frozenset({PurposeOfUse.TREAT})

_RESULT, _PRESCRIPTION, _ADMISSION = "oru-r01-laboratory.hl7", "rde-o11-prescription.hl7", "adt-a01-admission.hl7"
_TOLD = {"lab result": DataClass.LABORATORY, "prescription": DataClass.MEDICATIONS, "admission": DataClass.ENCOUNTERS}
_LATER, _TWIN = "later lab result", "lab result, de-identified"


@dataclass(frozen=True)
class Step:
    """One thing that happens: what the audience is told, and what is done; that tells what came of it."""

    told: str
    play: Callable[[Stage], str]


@dataclass(frozen=True)
class Chapter:
    """A few steps that belong together."""

    title: str
    steps: tuple[Step, ...]


def _enrol(stage: Stage) -> str:
    stage.enrol()
    return "two hospitals and a buyer are in the directory; a patient needs nobody's permission"


def _register(stage: Stage) -> str:
    stage.register()
    return "post-quantum hybrid keys (ML-KEM-768 + X25519); the chain holds 32 bytes each, the store the cards"


def _deposit(stage: Stage) -> str:
    count = 0
    for name in (_RESULT, _PRESCRIPTION, _ADMISSION):
        count += len(stage.rowan.deposit(stage.patient.address, samples.read(name)).records)
    again = stage.rowan.deposit(stage.patient.address, samples.read(_RESULT))
    if not again.repeated:
        raise AccessError("the same message was deposited twice; this must not happen")
    return f"{count} sealed records, half of them de-identified twins; depositing a message again changes nothing"


def _patient_reads(stage: Stage) -> str:
    records = stage.patient.records()
    for name, data_class in _TOLD.items():
        stage.records[name] = _one(records, data_class)
    stage.records[_TWIN] = _one(records, DataClass.LABORATORY, deidentified=True)
    classes = Counter(record.description.data_class.label for record in records)
    content = stage.patient.read(stage.records["lab result"])
    return f"finds {', '.join(sorted(classes))}; the lab result says: {_first_result(content)}"


def _grant(stage: Stage) -> str:
    until = stage.system.chain.now() + 30 * _DAY
    stage.patient.grant(stage.lakeside.address, frozenset({DataClass.LABORATORY}), _TREAT, until=until)
    return "one transaction, whatever the number of records; it ends by itself after 30 days"


def _lakeside_reads(stage: Stage) -> str:
    found = stage.lakeside.records(stage.patient.address)
    content = stage.lakeside.read(stage.patient.address, stage.records["lab result"])
    kept = stage.lakeside.keep_keys(stage.patient.address)
    return f"finds {len(found)} records and reads: {_first_result(content)}; it keeps a copy of its {kept} class key"


def _lakeside_is_refused(stage: Stage) -> str:
    for name, record in stage.records.items():
        stage.while_granted[name] = _as_lakeside(stage, record)
    return _refusal(lambda: stage.lakeside.read(stage.patient.address, stage.records["prescription"]))


def _revoke(stage: Stage) -> str:
    stage.patient.revoke(stage.lakeside.address)
    return "one transaction again; the laboratory class has a new key, which Lakeside does not get"


def _deposit_later(stage: Stage) -> str:
    message = samples.read(_RESULT).replace(b"L240307-0042", b"L240404-0017").replace(b"20240307", b"20240404")
    before = {record.name for record in stage.patient.records()}
    stage.rowan.deposit(stage.patient.address, message)
    new = [record for record in stage.patient.records() if record.name not in before]
    stage.records[_LATER] = _one(new, DataClass.LABORATORY)
    return f"sealed to key {stage.records[_LATER].description.epoch} of the class, no longer to key 1"


def _lakeside_tries_old_keys(stage: Stage) -> str:
    refusal = _refusal(lambda: stage.lakeside.force(stage.records[_LATER]))
    again = attempt(lambda: stage.lakeside.force(stage.records["lab result"]))
    return f"the later result: {refusal}. The earlier one it still {again}; what could be read may have been kept"


def _flip_bits(stage: Stage) -> str:
    attempts = list(stage.altered_reads(stage.records["lab result"]))
    noticed = [told for cid, told in attempts if str(cid) in told]
    if len(noticed) < len(attempts):
        raise AccessError("an altered block was not noticed; this must not happen")
    return f"all {len(noticed)} noticed and named: {noticed[-1]}"


def _offer(stage: Stage) -> str:
    stage.patient.offer(stage.records[_TWIN], _PRICE)
    return f"{in_words(stage.system.token, _PRICE)}; the twin says: {_who(stage.patient.read(stage.records[_TWIN]))}"


def _buy(stage: Stage) -> str:
    stage.mint(2 * _PRICE)
    [offer] = stage.buyer.offers()
    inspected = stage.buyer.inspect(offer)
    stage.buyer.buy(inspected)
    return f"{inspected.size} bytes of ciphertext are what the seal promises; the price is in escrow, by one signature"


def _deliver(stage: Stage) -> str:
    delivered = stage.patient.deliver()
    return f"{len(delivered)} key, masked so that this buyer alone can use it"


def _open(stage: Stage) -> str:
    [purchase] = stage.buyer.purchases()
    return f"reads: {_first_result(stage.buyer.open(purchase))}"


def _settle(stage: Stage) -> str:
    stage.system.chain.advance(_DAY + 1)
    [settled] = stage.patient.settle()
    token = stage.system.token
    parts = (settled.patient_in_units, settled.custodian_in_units, settled.fee_in_units)
    patient, custodian, fee = (in_words(token, part) for part in parts)
    return f"{patient} to the patient, {custodian} to Rowan for keeping it, {fee} to the treasury"


def _withdraw(stage: Stage) -> str:
    earned = stage.patient.earnings().credited
    stage.patient.withdraw()
    held = stage.system.token.balance_of(stage.patient.address)
    return (
        f"{in_words(stage.system.token, earned)} earned, {in_words(stage.system.token, held)} in the patient's account"
    )


CHAPTERS = (
    Chapter(
        "Before",
        (
            Step("The administrator verifies the institutions", _enrol),
            Step("Everybody publishes a key card", _register),
        ),
    ),
    Chapter(
        "Care",
        (
            Step("Rowan Hospital deposits a lab result, a prescription and an admission (HL7 v2)", _deposit),
            Step("The patient lists the records and reads", _patient_reads),
            Step("The patient lets Lakeside Clinic read laboratory, to treat, for 30 days", _grant),
            Step("Lakeside reads the lab result", _lakeside_reads),
            Step("Lakeside asks for the prescription, which was not granted", _lakeside_is_refused),
        ),
    ),
    Chapter(
        "Change of mind",
        (
            Step("The patient revokes Lakeside's access", _revoke),
            Step("A month later Rowan deposits another lab result", _deposit_later),
            Step("Lakeside tries its old keys, asking nobody", _lakeside_tries_old_keys),
            Step("Somebody flips one bit in each block of a record, one after the other", _flip_bits),
        ),
    ),
    Chapter(
        "Sale",
        (
            Step("The patient offers the de-identified lab result", _offer),
            Step("Meridian Research inspects and buys it", _buy),
            Step("The patient delivers the key", _deliver),
            Step("Meridian opens what it bought", _open),
            Step("A day passes without a complaint, and the sale is settled", _settle),
            Step("The patient withdraws", _withdraw),
        ),
    ),
)

COLUMNS = ("record", "patient", "Rowan", "Lakeside, granted", "Lakeside, revoked", "with its old keys", "buyer")


def readings(stage: Stage) -> Iterator[tuple[str, ...]]:
    """For each record, in the order of `COLUMNS`: what comes of trying to read it, after the whole story."""
    patient = stage.patient.address
    for name, record in stage.records.items():
        yield (
            name,
            attempt(lambda: stage.patient.read(record)),  # noqa: B023 - called at once, as all of these
            attempt(lambda: stage.rowan.read(patient, record, audit=False)),  # noqa: B023
            stage.while_granted.get(name, "not there yet"),
            _as_lakeside(stage, record),
            attempt(lambda: stage.lakeside.force(record)),  # noqa: B023
            attempt(lambda: _as_buyer(stage, record)),  # noqa: B023
        )


def _as_lakeside(stage: Stage, record: DepositedRecord) -> str:
    return attempt(lambda: stage.lakeside.read(stage.patient.address, record, audit=False))


def _as_buyer(stage: Stage, record: DepositedRecord) -> Record:
    """The record by the buyer's best means: what it bought it opens, on all else it tries its key."""
    for purchase in stage.buyer.purchases():
        if purchase.listing.seal_id == record.description.seal_id:
            return stage.buyer.open(purchase)
    return stage.buyer.force(record)


def _one(records: list[DepositedRecord], data_class: DataClass, *, deidentified: bool = False) -> DepositedRecord:
    [found] = [
        record
        for record in records
        if (record.description.data_class, record.description.deidentified) == (data_class, deidentified)
    ]
    return found


def _refusal(read: Callable[[], object]) -> str:
    """Why reading was refused. Raises `AccessError` where it was not."""
    told = attempt(read, told=lambda refusal: f"refused ({type(refusal).__name__}: {_reason(refusal)})")
    if told == "reads":
        raise AccessError("something could be read that must not be readable; this must not happen")
    return told


def _reason(refusal: MediBridgeError) -> str:
    """The reason in an error's sentence, without what to do about it."""
    return str(refusal).partition(";")[0].rpartition(" now: ")[2]


def _first_result(record: Record) -> str:
    """The first measured value of a record; the samples' patient does not exist."""
    for resource in record.resources:
        match resource:
            case {"code": {"coding": [{"code": code, **coding}, *_]}, "valueQuantity": {"value": value, "code": unit}}:
                return f"{coding.get('display', code)} {value} {unit}"
            case _:
                continue
    return f"{len(record.resources)} resources"


def _who(record: Record) -> str:
    """What a record says about who it is about."""
    [patient] = [resource for resource in record.resources if resource["resourceType"] == "Patient"]
    known = sorted(patient.keys() - {"resourceType", "id", "meta"})
    return ", ".join(f"{name} {patient[name]}" for name in known) + ", and no name, number or address"
