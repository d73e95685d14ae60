"""The custodian's key, and what is drawn from it: new ids, and the days by which a patient's dates move."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from medibridge.errors import UsageError
from medibridge.formats.deidentification.dates import days_for

__all__ = ["KEY_SIZE", "Surrogates"]

KEY_SIZE = 32
"""Bytes of a custodian's key."""


class Surrogates:
    """New ids by HMAC-SHA256 (RFC 2104): who has the key can find a patient again, nobody else can.

    Each policy has a key of its own, drawn from the custodian's: else who has a limited data set, with dates and ZIP
    codes, could find its patients in a dataset that is sold.

    *Warning*: two datasets that are made with one key by one policy name a patient alike, so that who has both can join
    them. Use a key for each dataset, or for each buyer, where that must not be.
    """

    def __init__(self, key: bytes, policy: str) -> None:
        if len(key) != KEY_SIZE:
            raise UsageError(f"a custodian's key has {KEY_SIZE} bytes, not {len(key)}; let dataset build make one")
        self._key = hmac.digest(key, f"policy\0{policy}".encode(), hashlib.sha256)
        self.patient = lru_cache(maxsize=65_536)(self._patient)
        self.days = lru_cache(maxsize=65_536)(self._days)

    def __repr__(self) -> str:
        return "<Surrogates>"

    def resource(self, patient: str, key: str) -> str:
        """The new id of the resource ``Type/id`` in the data of a patient: 64 hexadecimal digits.

        It belongs to the patient as well: what two patients share, a Medication say, is no link between them.
        """
        return self.patient(key) if key == patient else self._hmac("resource", f"{patient}\0{key}")

    def part(self, patient: str, name: str) -> str:
        """A new name for a part of a resource that must have one."""
        return self._hmac("part", f"{patient}\0{name}")

    def _patient(self, key: str) -> str:
        return self._hmac("patient", key)

    def _days(self, patient: str) -> int:
        return days_for(patient, self._key)

    def _hmac(self, purpose: str, text: str) -> str:
        return hmac.digest(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).hex()
