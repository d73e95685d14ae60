"""What of an input goes where: for each field of each type of message, how often it was met and what became of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from medibridge.bulk.converting import contents_of
from medibridge.bulk.crews import Crew, Inline, Lost, each
from medibridge.bulk.jobs import Job, Plan
from medibridge.formats import Conversion, Outcome, Settings

__all__ = ["LOST", "Coverage", "Field", "cover", "field_of", "kept", "lost"]

LOST: Final = (Outcome.UNMAPPED, Outcome.UNKNOWN, Outcome.INVALID)
"""What is not in the output although it may say something about the patient."""
_KEPT: Final = (Outcome.MAPPED, Outcome.PARTLY)
_POSITION = re.compile(r"\[[0-9]+\]")
_COUNTED = re.compile(r"\b(line|row|file|message|record)s? [0-9]+(?: to [0-9]+)?\b")


@dataclass(frozen=True, order=True)
class Field:
    """A field of a type of message, wherever it stands: ``OBX-5.2`` of ``HL7 v2.5.1 ORU^R01``."""

    kind: str
    place: str


def field_of(place: str) -> str:
    """A place without positions: ``OBX[3]-5[2].2`` is of the field ``OBX-5.2``."""
    return _COUNTED.sub(r"\1", _POSITION.sub("", place))


@dataclass
class Coverage:
    """What was counted.

    Attributes:
        messages: how many there were of each type; `refused` are pieces that could not be read.
        fields: how many values of each field met each outcome. Values that the reader chose itself do not count.
    """

    messages: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    fields: dict[Field, Counter[Outcome]] = field(default_factory=dict)

    def add(self, conversion: Conversion) -> None:
        """Count a message."""
        kind = conversion.format.name
        self.messages[kind] += 1
        for finding in conversion.report.findings:
            if finding.outcome is not Outcome.DEFAULT:
                self.fields.setdefault(Field(kind, field_of(finding.place)), Counter())[finding.outcome] += 1

    def merge(self, other: Coverage) -> None:
        """Count what another has counted."""
        self.messages.update(other.messages)
        self.refused += other.refused
        for name, outcomes in other.fields.items():
            self.fields.setdefault(name, Counter()).update(outcomes)

    def by_loss(self) -> list[tuple[Field, Counter[Outcome]]]:
        """The fields, those first of which most is lost."""
        return sorted(self.fields.items(), key=lambda item: (-lost(item[1]), -item[1].total(), item[0]))

    def outcomes(self, kind: str | None = None) -> Counter[Outcome]:
        """How many values met each outcome, of all or of one type of message."""
        found: Counter[Outcome] = Counter()
        for name, outcomes in self.fields.items():
            if kind in (None, name.kind):
                found.update(outcomes)
        return found


def lost(outcomes: Counter[Outcome]) -> int:
    """How many values are in no output although they may say something."""
    return sum(outcomes[outcome] for outcome in LOST)


def kept(outcomes: Counter[Outcome]) -> int:
    """How many values are in the output, whole or in part."""
    return sum(outcomes[outcome] for outcome in _KEPT)


def cover(
    inputs: Sequence[Path],
    settings: Settings,
    *,
    crew: Crew | None = None,
    progress: Callable[[Coverage], None] = lambda _: None,
) -> Coverage:
    """Read files and folders, and count. Raises `UsageError` where the inputs are not there."""
    whole = Coverage()
    plan = Plan(inputs)
    for _, counted in each(partial(_cover_job, settings), plan, crew or Inline()):
        if isinstance(counted, Lost):
            whole.refused += 1
        else:
            whole.merge(counted)
        progress(whole)
    return whole


def _cover_job(settings: Settings, job: Job) -> Coverage:
    counted = Coverage()
    for found in contents_of(job, settings):
        if isinstance(found, Conversion):
            counted.add(found)
        else:
            counted.refused += 1
    return counted
