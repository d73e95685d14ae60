"""What a transaction or a call did, as plain Python values that compare as they look."""

from __future__ import annotations

from typing import Any

from brownie.convert.datatypes import HexString


def plain(value: Any) -> Any:
    """Structs as tuples, bytes as bytes, addresses as text, numbers as int."""
    if isinstance(value, HexString):
        return bytes.fromhex(str(value)[2:])
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return bytes(value)
    if hasattr(value, "address"):
        return str(value.address)
    return tuple(plain(item) for item in value)


def events_of(transaction: Any) -> list[tuple[str, Any]]:
    """Every event of a transaction in its order: its name, then its values in the order of its definition."""
    return [(event.name, plain(tuple(event.values()))) for event in transaction.events]


def event_of(transaction: Any) -> tuple[str, Any]:
    """The only event of a transaction: one change, one event."""
    (event,) = events_of(transaction)
    return event
