"""Terms of use in the words of the GA4GH Data Use Ontology (DUO), and what a buyer declares.

Bit numbers are those of ``contracts/types/DataUse.sol``, which decides.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from medibridge.chain.values import Kind
from medibridge.ids import PurposeOfUse

__all__ = ["Conditions", "DuoTerm", "Research", "Use", "UseDecision"]


class _DuoEntity(enum.Enum):
    """A term of the ontology; the value is its bit in the contract, its DUO number and what it says."""

    @property
    def bit(self) -> int:
        """The term as a one-bit mask."""
        return 1 << int(self.value[0])

    @property
    def code(self) -> str:
        """The ontology's identifier, such as ``DUO:0000042``."""
        return f"DUO:{self.value[1]:07}"

    @property
    def label(self) -> str:
        """What it says."""
        return str(self.value[2])


class DuoTerm(_DuoEntity):
    """A permission (the first five) or a modifier; the value is its bit, its DUO number and what it says."""

    NRES = (0, 4, "no restriction")
    GRU = (1, 42, "general research use")
    HMB = (2, 6, "health, medical or biomedical research")
    DS = (3, 7, "disease-specific research")
    POA = (4, 11, "population origins or ancestry research only")
    RS = (8, 12, "research-specific restrictions")
    NMDS = (9, 15, "no general methods research")
    GSO = (10, 16, "genetic studies only")
    NPUNCU = (11, 18, "not for profit, non-commercial use only")
    PUB = (12, 19, "publication required")
    COL = (13, 20, "collaboration required")
    IRB = (14, 21, "ethics approval required")
    GS = (15, 22, "geographical restriction")
    MOR = (16, 24, "publication moratorium")
    TS = (17, 25, "time limit on use")
    US = (18, 26, "user-specific restriction")
    PS = (19, 27, "project-specific restriction")
    IS = (20, 28, "institution-specific restriction")
    RTN = (21, 29, "return of results required")
    CC = (22, 43, "clinical care use")
    NPOA = (23, 44, "no population origins or ancestry research")
    NPU = (24, 45, "not-for-profit organisation use only")
    NCU = (25, 46, "non-commercial use only")


class Research(_DuoEntity):
    """A kind of investigation; the value is its bit, its DUO number and what it says."""

    CONTROL = (0, 36, "research control")
    METHODS = (1, 31, "method development")
    POPULATION = (2, 32, "population research")
    ANCESTRY = (3, 33, "ancestry research")
    AGE = (4, 34, "age category research")
    GENDER = (5, 35, "gender category research")
    BIOMEDICAL = (6, 37, "health, medical or biomedical research")
    GENETIC = (7, 38, "genetic research")
    DRUG_DEVELOPMENT = (8, 39, "drug development research")
    DISEASE = (9, 40, "disease category research")


class UseDecision(enum.IntEnum):
    """The contract's answer to "may this buyer use it so?", with its reason."""

    PERMITTED = 0
    BUYER_KIND_NOT_ALLOWED = 1
    PURPOSE_NOT_COVERED = 2
    RESEARCH_NOT_COVERED = 3
    DISEASE_NOT_COVERED = 4
    METHODS_PROHIBITED = 5
    ONLY_GENETIC_STUDIES = 6
    ANCESTRY_PROHIBITED = 7
    MODIFIER_NOT_ACCEPTED = 8


@dataclass(frozen=True)
class Conditions:
    """For which use, and to which buyers, data is sold.

    `terms` are one permission and any modifiers; `disease` is a number of MONDO (5148 for ``MONDO:0005148``), with the
    permission `DuoTerm.DS` only; no `kinds_allowed` means any kind of institution, and `kinds_denied` outweigh them.
    """

    purpose: PurposeOfUse = PurposeOfUse.HRESCH
    terms: frozenset[DuoTerm] = frozenset({DuoTerm.GRU})
    disease: int = 0
    kinds_allowed: frozenset[Kind] = frozenset()
    kinds_denied: frozenset[Kind] = frozenset()

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (
            int(self.purpose),
            _bits(self.terms),
            self.disease,
            sum(1 << kind for kind in self.kinds_allowed),
            sum(1 << kind for kind in self.kinds_denied),
        )

    @classmethod
    def from_abi(cls, values: Iterable[Any]) -> Self:
        """Read the contract's struct. Raises `ValueError` for what this version does not know."""
        purpose, terms, disease, allowed, denied = given = tuple(values)
        conditions = cls(
            PurposeOfUse(purpose),
            frozenset(term for term in DuoTerm if terms & term.bit),
            disease,
            kinds_in(allowed),
            kinds_in(denied),
        )
        if conditions.as_abi() != given:
            raise ValueError("terms of use or kinds of institutions that this version does not know")
        return conditions


@dataclass(frozen=True)
class Use:
    """What a buyer declares to do with the data.

    `disease` is a number of MONDO, 0 for none; `accepted` are the modifiers that the buyer meets or undertakes to keep.
    """

    purpose: PurposeOfUse = PurposeOfUse.HRESCH
    research: frozenset[Research] = frozenset({Research.BIOMEDICAL})
    disease: int = 0
    accepted: frozenset[DuoTerm] = frozenset()

    def as_abi(self) -> tuple[Any, ...]:
        """The struct in the order of the contract."""
        return (int(self.purpose), _bits(self.research), self.disease, _bits(self.accepted))

    @classmethod
    def from_abi(cls, values: Iterable[Any]) -> Self:
        """Read the contract's struct. Raises `ValueError` for a purpose that this version does not know."""
        purpose, research, disease, accepted = values
        return cls(
            PurposeOfUse(purpose),
            frozenset(kind for kind in Research if research & kind.bit),
            disease,
            frozenset(term for term in DuoTerm if accepted & term.bit),
        )


def kinds_in(mask: int) -> frozenset[Kind]:
    """The kinds of institutions of a 16-bit mask; bits without a name are left out."""
    return frozenset(kind for kind in Kind if mask & 1 << kind)


def _bits(members: Iterable[DuoTerm] | Iterable[Research]) -> int:
    return sum(member.bit for member in members)
