"""Records as commands show them: a list, or one record's content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from medibridge.cli.files import Attachments, write_file
from medibridge.cli.screen import Document, Screen, table
from medibridge.record import Record
from medibridge.roles import DepositedRecord
from medibridge.roles.bridge import Keep

__all__ = ["SHORT", "hand_over", "list_records"]

SHORT = 12
"""Digits of a name in tables. Commands take any beginning that only one name has."""


def list_records(screen: Screen, records: Sequence[DepositedRecord]) -> None:
    """The records, oldest first."""
    rows = [
        (
            record.name[:SHORT],
            record.description.data_class.label,
            "de-identified" if record.description.deidentified else "original",
            str(record.description.epoch),
            record.description.custodian,
            str(record.block),
        )
        for record in records
    ]
    columns = ("record", "class", "kind", "epoch", "deposited by", "block")
    screen.show(
        [_document(record) for record in records],
        table(f"{len(rows)} records", columns, rows) if rows else "no records",
    )


def hand_over(
    screen: Screen, read: Callable[[Keep | None], Record], output: Path | None, attachments: Path | None = None
) -> None:
    """Read a record and give its content: to the file, or else to stdout; its attachments to the directory."""
    kept = None if attachments is None else Attachments(attachments)
    record = read(None if kept is None else kept.keep)
    content = record.to_bytes()
    if kept is not None:
        screen.say(f"{kept.count} attachments are in {attachments}")
    elif b'"ni:///sha-256;' in content:
        screen.say("the record refers to attachments; --attachments DIR keeps them")
    if output is None:
        screen.show_record(record)
        return
    write_file(output, content, "the output file")
    screen.show({"written": str(output), "bytes": len(content)}, f"{len(content)} bytes of FHIR JSON are in {output}")


def _document(record: DepositedRecord) -> Document:
    return {
        "record": record.name,
        "class": record.description.data_class.label,
        "deidentified": record.description.deidentified,
        "epoch": record.description.epoch,
        "custodian": record.description.custodian,
        "block": record.block,
    }
