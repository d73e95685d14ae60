"""``medibridge hospital``: deposit what you hold, read what patients let you read, collect your share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from medibridge.cli.arguments import AttachmentsOption, Output, PatientOption, RecordName, purpose_in
from medibridge.cli.files import read_file
from medibridge.cli.options import command, group
from medibridge.cli.records import SHORT, hand_over, list_records
from medibridge.cli.screen import Document, table
from medibridge.cli.selling import add_selling
from medibridge.cli.session import Session
from medibridge.errors import MediBridgeError
from medibridge.formats import read as convert
from medibridge.formats.registry import MAX_SIZE
from medibridge.roles import Deposited

app = group("A hospital, laboratory or practice: deposits records and reads those of its patients.")


@command(app)
def register(session: Session) -> None:
    """Publish your key card, so that others can seal records to you. Once, and after a new deployment.

    For example:

        medibridge hospital register --key rowan
    """
    hospital = session.hospital()
    hospital.register()
    session.screen.show({"registered": hospital.address}, f"the key card of {hospital.address} is published")


@command(app)
def deposit(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="HL7 v2 messages or FHIR R4 JSON.")],
    patient: PatientOption,
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="The system that sent them; keeps equal ids of two apart.")
    ] = "",
    twins: Annotated[
        bool, typer.Option("--twins/--no-twins", help="Deposit a de-identified twin of each record too, for sale.")
    ] = True,
    report: Annotated[
        bool, typer.Option("--report", help="List every place of the messages that did not go over whole.")
    ] = False,
) -> None:
    """Convert messages, seal a record for each class of data in them, publish and vouch for them.

    All files are read and converted before anything is sent, so a broken one stops the command while nothing
    has happened. Repeat a command that was interrupted: it completes what was begun and deposits nothing twice.

    For example:

        medibridge hospital deposit result.hl7 --patient 0x90F7…
        medibridge hospital deposit *.hl7 visit.json --patient 0x90F7… --source st-mary/lab
    """
    whom = session.whom(patient)
    messages = [_message(index, files, source) for index in range(len(files))]
    hospital = session.hospital()
    deposits = []
    for index, message in session.screen.track(list(enumerate(messages)), "depositing"):
        with _told(index, files):
            deposits.append(hospital.deposit(whom, message, twins=twins, source=source))
    numbered = list(enumerate(deposits))
    rows = [
        (
            str(index + 1),
            str(len(each.records)),
            "was there already" if each.repeated else "deposited",
            each.root.hex()[:SHORT],
            str(len(each.report.notable)),
        )
        for index, each in numbered
    ]
    findings = [(str(index + 1), str(finding)) for index, each in numbered for finding in each.report.notable]
    session.screen.show(
        [_deposit_document(index, each, report=report) for index, each in numbered],
        table("Deposits", ("file", "records", "outcome", "batch", "places not whole"), rows),
        *([table("Places that did not go over whole", ("file", "place"), findings)] if report else []),
    )


@command(app)
def records(session: Session, patient: PatientOption) -> None:
    """List the records of a patient that you can find: your own, and those the patient lets you find.

    For example:

        medibridge hospital records --patient 0x90F7…
    """
    whom = session.whom(patient)
    list_records(session.screen, session.hospital().records(whom))


@command(app)
def read(
    session: Session,
    record: RecordName,
    patient: PatientOption,
    purpose: Annotated[
        str, typer.Option("--purpose", metavar="PURPOSE", help="What you need it for (HL7 purpose of use).")
    ] = "TREAT",
    output: Output = None,
    attachments: AttachmentsOption = None,
) -> None:
    """Read a record as FHIR JSON.

    Whether you may is asked of the contract, and the answer goes into the patient's audit trail, permit or deny.
    What you deposited yourself you read without asking.

    For example:

        medibridge hospital read 4a1f09 --patient 0x90F7…
        medibridge hospital read 4a1f09 --patient 0x90F7… --purpose ETREAT -o record.json
    """
    whom, why = session.whom(patient), purpose_in(purpose)
    hospital = session.hospital()
    found = hospital.record(whom, record)
    hand_over(session.screen, lambda keep: hospital.read(whom, found, why, keep=keep), output, attachments)


add_selling(app, Session.hospital, "hospital")


def _message(index: int, files: list[Path], source: str) -> bytes:
    """A file's content, seen to convert."""
    with _told(index, files):
        message = read_file(files[index], "the file", limit=MAX_SIZE)
        convert(message, source=source)
    return message


@contextmanager
def _told(index: int, files: list[Path]) -> Iterator[None]:
    """Say which file an error is about, by its number: a file's name may tell whose record it is."""
    try:
        yield
    except MediBridgeError as exc:
        if len(files) > 1:
            exc.add_note(f"file {index + 1} of {len(files)}")
        raise


def _deposit_document(index: int, deposited: Deposited, *, report: bool) -> Document:
    document: dict[str, Document] = {
        "file": index + 1,
        "batch": deposited.root.hex(),
        "records": [record.hex() for record in deposited.records],
        "repeated": deposited.repeated,
        "not_whole": len(deposited.report.notable),
    }
    if report:
        document["report"] = [str(finding) for finding in deposited.report.notable]
    return document
