"""The datasheet: the questions of Gebru et al., Datasheets for Datasets (2021), answered as far as can be known.

What only the custodian knows stands in a YAML file of his; what he does not say is said to be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import yaml

from medibridge.datasets import pages
from medibridge.datasets.quasi import QUASI
from medibridge.datasets.report import UNSEEN, ReleaseReport
from medibridge.errors import UsageError

__all__ = ["About", "Answers", "answers", "datasheet_html", "datasheet_markdown"]

_SECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "motivation": ("Motivation", "For which purpose was the dataset made, by whom, and who paid for it?"),
    "composition": ("Composition", "What do the instances stand for, how many are there, and what is missing?"),
    "collection": ("Collection", "How were the data acquired, over which time, and did the people agree?"),
    "preprocessing": ("Preprocessing", "What was done with the data before they came here?"),
    "uses": ("Uses", "What may it be used for, and what must it not be used for?"),
    "distribution": ("Distribution", "How is it handed over, and under which terms?"),
    "maintenance": ("Maintenance", "Who keeps it, how are errors reported, and will it be updated?"),
}
_MISSING: Final = "The custodian does not say."
_MAX_FILE: Final = 2**20

Answers = tuple[tuple[str, str, str], ...]
"""Title, question and answer of each section."""


@dataclass(frozen=True)
class About:
    """What the custodian says of the dataset.

    Written in YAML (every part may be left out)::

        title: Laboratory results of adults with diabetes, 2015–2024
        custodian: Rowan Hospital
        contact: data@rowan.example
        motivation: |
          To let others study …
        collection: …                # and composition, preprocessing, uses, distribution, maintenance
    """

    title: str = "A de-identified dataset"
    custodian: str = ""
    contact: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read it. Raises `UsageError` for what is not one."""
        if len(text) > _MAX_FILE:
            raise UsageError("the file about the dataset is longer than such a file is; check which file it is")
        try:
            found = yaml.safe_load(text) or {}
        except (yaml.YAMLError, RecursionError, ValueError):
            raise UsageError("the file about the dataset is not YAML; check its indentation") from None
        known = {"title", "custodian", "contact", *_SECTIONS}
        if not isinstance(found, dict) or not set(found) <= known:
            raise UsageError(f"the file about the dataset may have {', '.join(sorted(known))}, each a text")
        texts = {str(name): str(value).strip() for name, value in found.items()}
        head = {name: texts.pop(name) for name in ("title", "custodian", "contact") if name in texts}
        return cls(**head, texts=texts)


def answers(about: About, report: ReleaseReport) -> Answers:
    """Each section: what the custodian says, then what is known."""
    known = {
        "composition": _composition(report),
        "uses": UNSEEN,
        "collection": _collection(report),
        "preprocessing": _preprocessing(report),
        "distribution": _distribution(report),
        "maintenance": f"Questions go to {about.contact}." if about.contact else "",
    }
    return tuple(
        (
            title,
            question,
            "\n\n".join(part for part in (about.texts.get(name, ""), known.get(name, "")) if part) or _MISSING,
        )
        for name, (title, question) in _SECTIONS.items()
    )


def datasheet_markdown(about: About, report: ReleaseReport) -> str:
    """The datasheet in Markdown."""
    lines = [f"# {_line(about.title)}", "", _subtitle(about, report), ""]
    for title, question, answer in answers(about, report):
        lines += [f"## {title}", "", f"*{question}*", "", answer, ""]
    return "\n".join(lines)


def datasheet_html(about: About, report: ReleaseReport, dictionary: list[dict[str, str]]) -> str:
    """The datasheet as a page, with the dictionary of the tables."""
    parts = [
        pages.section(title, f'<p class="quiet">{question}</p>', pages.paragraphs(answer))
        for title, question, answer in answers(about, report)
    ]
    rows = [(each["table"], each["column"], each["type"], each["description"]) for each in dictionary]
    parts.append(pages.section("Dictionary", pages.table(("table", "column", "type", "what it says"), rows)))
    return pages.page(about.title, _subtitle(about, report), parts)


def _subtitle(about: About, report: ReleaseReport) -> str:
    by = f"by {_line(about.custodian)} · " if about.custodian else ""
    return f"Datasheet · {by}policy {report.policy.name} · SHA-256 {report.digest}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _composition(report: ReleaseReport) -> str:
    counts = report.counts
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in counts.resources_out)
    levels = ", ".join(f"{QUASI[name].title.lower()} ({QUASI[name].levels[level][0]})" for name, level in report.quasi)
    told = levels if report.k else "what the policy lets through"
    left_out = (
        f"{counts.patients_suppressed:,} patients were left out because fewer than {report.k} patients were alike; who "
        "is unlike others is therefore rarer here than in the source."
        if counts.patients_suppressed
        else "No patient was left out for being unlike the others."
    )
    return (
        f"{counts.patients_out:,} patients, with these resources of HL7 FHIR R4: {kinds}. Of a patient it tells "
        f"{told}. {left_out} There is no free text, no image and no name in it."
    )


def _collection(report: ReleaseReport) -> str:
    if report.contributors is None:
        return "The dataset was not limited to patients who agreed to its sale."
    return f"Only patients who agreed are in it: {report.contributors:,}, each of whom has a share in its sale."


def _preprocessing(report: ReleaseReport) -> str:
    policy = report.policy
    k = f" Each patient is alike with at least {report.k - 1} others in these." if report.k else ""
    changes = f" The custodian changed the policy: {'; '.join(policy.changes)}." if policy.changes else ""
    return (
        f"De-identified by the policy {policy.name} ({policy.basis}). {policy.says}{changes}{k} What is on no list of "
        "elements was left out. Ids are HMAC-SHA256 of those of the source, with a key that the custodian keeps. The "
        "release report counts what every rule did."
    )


def _distribution(report: ReleaseReport) -> str:
    return (
        "As newline-delimited FHIR R4 (one file for each type) and as Parquet tables. Whoever gets it must not try to "
        f"find out who the patients are. Its SHA-256 is {report.digest}: over the lines that sha256sum writes for all "
        "its files, sorted by path."
    )
