"""The release report: what went into a dataset, what came out, by which rules, and how well it hides people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medibridge.datasets.anonymity import Risks
from medibridge.datasets.files import DatasetFile
from medibridge.datasets.quasi import QUASI
from medibridge.formats.deidentification import Policy

__all__ = ["UNSEEN", "Counts", "ReleaseReport"]

UNSEEN: Final = (
    "What the figures of the release report do not see: who knows of a patient's diagnoses, results or years of care "
    "knows more than the quasi-identifiers, and may find that patient by them. Years of care bound the years of birth "
    "and death that are told as a span; diagnoses may tell the sex; a rare one may be known to others. A person who "
    "stands in the source as two patients counts as two. So hand the dataset only to who agrees not to look for "
    "patients in it."
)
"""What no measure of the report covers; it belongs beside them."""


@dataclass(frozen=True)
class Counts:
    """Patients and resources that went in, and those that came out."""

    patients_in: int
    patients_without_consent: int
    patients_suppressed: int
    patients_out: int
    resources_in: tuple[tuple[str, int], ...]
    resources_out: tuple[tuple[str, int], ...]
    unreadable: int
    """Lines or files of the source that are no FHIR."""


@dataclass(frozen=True)
class ReleaseReport:
    """All that a custodian, an expert or a buyer has to know of how a dataset was made. Counts only, no values.

    Args:
        title: the dataset's.
        policy: by which it was de-identified.
        as_of: the year that ages are counted to.
        k: patients that are alike at least; 0 where that was not asked for.
        quasi: the quasi-identifiers that the dataset tells, with the level of each.
        most_suppressed: the share of patients that was allowed to be left out.
        tried: combinations of levels that were tried.
        loss: what the chosen one loses, from 0 to 1.
        counts: what went in and what came out.
        rules: how often each rule was applied.
        risks: of re-identification.
        people: patients that came out, by year of birth and sex, as the dataset tells them.
        data_classes: resources that came out, by data class.
        contributors: patients who stand in the list of contributors and came out; None where there is no list.
        files: of the dataset.
        digest: SHA-256 over what ``sha256sum`` writes for all files, sorted by path.
        versions: of the programs that made it.
        warnings: what somebody should think about before this is released.
    """

    title: str
    policy: Policy
    as_of: int
    k: int
    quasi: tuple[tuple[str, int], ...]
    most_suppressed: float
    tried: int
    loss: float
    counts: Counts
    rules: tuple[tuple[str, int], ...]
    risks: Risks
    people: tuple[tuple[str, str, int], ...]
    data_classes: tuple[tuple[str, int], ...]
    contributors: int | None
    files: tuple[DatasetFile, ...] = field(repr=False)
    digest: str
    versions: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    def to_document(self) -> dict[str, object]:
        """The report for programs: what ``release-report.json`` holds."""
        counts, risks, policy = self.counts, self.risks, self.policy
        came_out = dict(counts.resources_out)
        return {
            "title": self.title,
            "policy": {
                "name": policy.name,
                "extends": policy.extends,
                "basis": policy.basis,
                "says": policy.says,
                "changes": list(policy.changes),
                "dates": policy.dates.value,
                "ages_counted_to": self.as_of,
            },
            "k": self.k,
            "quasi_identifiers": [
                {"name": name, "level": level, "is": QUASI[name].levels[level][0]} for name, level in self.quasi
            ],
            "search": {
                "most_suppressed": self.most_suppressed,
                "combinations_tried": self.tried,
                "information_loss": _rounded(self.loss),
            },
            "patients": {
                "in": counts.patients_in,
                "without_consent": counts.patients_without_consent,
                "suppressed": counts.patients_suppressed,
                "out": counts.patients_out,
            },
            "resources": {kind: {"in": number, "out": came_out.get(kind, 0)} for kind, number in counts.resources_in},
            "unreadable": counts.unreadable,
            "rules": dict(self.rules),
            "classes": {
                "count": risks.classes,
                "smallest": risks.smallest,
                "histogram": {str(size): number for size, number in risks.histogram},
                "l_diversity": risks.diversity,
            },
            "risks": {
                "prosecutor_most": _rounded(risks.prosecutor_most),
                "prosecutor_mean": _rounded(risks.prosecutor_mean),
                "journalist_most": _rounded(risks.journalist_most),
                "marketer": _rounded(risks.marketer),
                "not_measured": UNSEEN,
            },
            "people": [{"birth": birth, "sex": sex, "patients": number} for birth, sex, number in self.people],
            "data_classes": dict(self.data_classes),
            "contributors": self.contributors,
            "files": [{"path": each.path, "size": each.size, "sha256": each.sha256} for each in self.files],
            "sha256": self.digest,
            "versions": dict(self.versions),
            "warnings": list(self.warnings),
        }

    def write(self, path: Path) -> None:
        """Write it for programs."""
        path.write_text(json.dumps(self.to_document(), indent=2, ensure_ascii=False) + "\n", "utf-8")


def _rounded(share: float) -> float:
    return round(share, 6)
