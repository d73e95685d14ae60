"""Amounts of money and stretches of time, as people write them and as contracts count them. No floats."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from medibridge.chain import Token
from medibridge.errors import UsageError

__all__ = ["decimal_text", "in_words", "moment", "seconds_in", "units_in"]

_AMOUNT = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,30}))?")
_STRETCH = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def units_in(text: str, decimals: int) -> int:
    """``50.00`` as a whole number of the token's smallest unit, exactly. Raises `UsageError`."""
    found = _AMOUNT.fullmatch(text)
    if found is None or len(found[2] or "") > decimals:
        raise UsageError(f"{text!r} is not an amount; write it as 50 or 50.00, with at most {decimals} decimals")
    units: int = int(found[1]) * 10**decimals + int((found[2] or "").ljust(decimals, "0") or "0")
    if units == 0:
        raise UsageError("an amount of zero is no amount; give more")
    return units


def decimal_text(units: int, decimals: int) -> str:
    """A whole number of units as ``50.00``: at least two decimals, and all that are not zero."""
    whole, fraction = divmod(units, 10**decimals)
    digits = str(fraction).rjust(decimals, "0").rstrip("0") if fraction else ""
    return f"{whole}.{digits.ljust(2, '0')}"


def in_words(token: Token, units: int) -> str:
    """An amount of a token with its name: ``50.00 TUSD``."""
    return f"{decimal_text(units, token.decimals())} {token.symbol()}"


def seconds_in(text: str) -> int:
    """``30d`` as seconds. Raises `UsageError`."""
    found = _STRETCH.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if seconds == 0:
        raise UsageError(f"{text!r} is not a stretch of time; write 30d, 12h, 90m, 45s or 2w")
    return seconds


def moment(seconds: int) -> str:
    """Seconds since 1970 as ``2026-11-22 08:05 UTC``."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "for ever"
