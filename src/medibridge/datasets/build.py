"""Build a de-identified dataset: FHIR R4 in, a folder of files out, and a report of all that was done."""

from __future__ import annotations

import csv
import datetime
import fcntl
import glob
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO, Final, Self

from medibridge.datasets import anonymity
from medibridge.datasets.archive import private_folder
from medibridge.datasets.contributors import Contributors
from medibridge.datasets.datasheet import About, datasheet_html, datasheet_markdown
from medibridge.datasets.files import digest_of, files_of
from medibridge.datasets.intake import OTHER, Intake
from medibridge.datasets.quasi import DEFAULT, elements_of
from medibridge.datasets.release_page import release_page
from medibridge.datasets.report import Counts, ReleaseReport
from medibridge.datasets.source import Source, files_in
from medibridge.datasets.staging import Staging, object_in
from medibridge.datasets.surrogates import Surrogates
from medibridge.datasets.tables import Cohort, dictionary_of
from medibridge.errors import UsageError
from medibridge.formats.deidentification import Policy, Rule
from medibridge.formats.splitting import class_of
from medibridge.formats.tables.files import write_parquet
from medibridge.record import Json, JsonObject, canonical_json

__all__ = ["Terms", "build"]

_RARE: Final = "resources with a code of a diagnosis that fewer than k patients have: left out"
_PRUNED: Final = "resources that lost what they cannot be without: left out"
_RECOMMENDED_K: Final = 11
_YEARS: Final = range(2000, 2200)


@dataclass(frozen=True)
class Terms:
    """How a dataset is made.

    Args:
        policy: what passes.
        key: 32 bytes that the custodian keeps; new ids and the shift of dates are drawn from it.
        k: patients that must be alike in the quasi-identifiers; by default what the policy asks for.
        quasi: the quasi-identifiers that the dataset tells; the others it does not tell.
        most_suppressed: the share of patients that may be left out, rather than to make values coarser.
        contributors: who may be in the dataset; by default everybody, and then it cannot be sold.
        about: what the custodian says of it.
        as_of: the year that ages are counted to; by default this year.

    Raises `UsageError` where these make no sense together.
    """

    policy: Policy
    key: bytes = field(repr=False)
    k: int | None = None
    quasi: tuple[str, ...] = DEFAULT
    most_suppressed: float = 0.05
    contributors: Contributors | None = None
    about: About = field(default_factory=About)
    as_of: int = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).year)

    def __post_init__(self) -> None:
        k = self.smallest_class
        if k < anonymity.LEAST_K and (k or self.k is not None):  # 0 only where a policy says so, which then warns
            raise UsageError(f"k = {k} hides nobody; ask for at least {anonymity.LEAST_K}, better {_RECOMMENDED_K}")
        if self.policy.k_needed and not self.smallest_class:
            raise UsageError(f"the policy {self.policy.name} needs k-anonymity; give --k")
        if self.as_of not in _YEARS:
            raise UsageError(f"ages are counted to a year from {_YEARS.start} on, not to {self.as_of}")
        if not 0 <= self.most_suppressed < 1:
            raise UsageError("the share of patients that may be left out is from 0 to below 1, such as 0.05")

    @property
    def smallest_class(self) -> int:
        """The k that is asked for; 0 where none is."""
        return self.policy.k if self.k is None else self.k


def build(
    source: Path | Sequence[Path], out: Path, terms: Terms, *, progress: Callable[[str], None] = lambda _: None
) -> ReleaseReport:
    """Make a dataset of FHIR R4 files, in memory that does not grow with them.

    Args:
        source: files or directories; see `medibridge.datasets.source`.
        out: the folder to make. It appears when it is complete, or not at all.
        terms: how.
        progress: is told what is being done.

    The same source, terms and key give the same bytes. With contributors, their accounts are kept in
    `private_folder(out)`, for sealing.

    Raises `UsageError` where `out` exists, where there is nothing to build from, or too few patients for k.
    """
    if out.exists():
        raise UsageError(f"{out} is there already, and datasets are never overwritten; name another folder")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is no folder; make it first")
    files = files_in([source] if isinstance(source, Path) else source)
    with _unfinished(out) as place, Staging(place) as staging:
        progress("reading")
        read = Source(files)
        intake = Intake(
            staging,
            terms.policy,
            Surrogates(terms.key, terms.policy.name),
            terms.contributors,
            terms.as_of,
            terms.smallest_class,
        )
        intake.take(read)
        progress("making patients alike")
        chosen = _release(staging, terms)
        rules = Counter({rule.value: number for rule, number in intake.tally.items()})
        staging.keep_only_released()
        if terms.smallest_class and terms.policy.rare:
            rules[_RARE] = staging.drop_rare(terms.smallest_class)
        pruned, rules[_PRUNED] = staging.drop_dangling(intake.prune)
        rules[Rule.DANGLING.value] += pruned
        risks = anonymity.risks(staging.connection)
        progress("writing")
        dataset = place / "dataset"
        dataset.mkdir(mode=0o700 if terms.policy.extends == "limited" else 0o777)  # and what the umask leaves of it
        written = _write(staging, dataset, terms)
        found = tuple(files_of(dataset))
        report = ReleaseReport(
            title=terms.about.title,
            policy=terms.policy,
            as_of=terms.as_of,
            k=terms.smallest_class,
            quasi=chosen.levels,
            most_suppressed=terms.most_suppressed,
            tried=chosen.tried,
            loss=chosen.loss,
            counts=_counts(staging, intake, read, written, chosen.suppressed),
            rules=tuple(sorted((rule, number) for rule, number in rules.items() if number)),
            risks=risks,
            people=tuple(staging.run("SELECT birth, sex, count(*) FROM released GROUP BY ALL ORDER BY ALL")),
            data_classes=tuple(sorted(written.classes.items())),
            contributors=None if terms.contributors is None else len(written.contributors),
            files=found,
            digest=digest_of(found),
            versions=_versions(),
            warnings=tuple(_warnings(terms, intake, read)),
        )
        _describe(dataset, report, terms.about, written.dictionary)
        if terms.contributors is not None:
            _keep_private(out, report.digest, written.contributors)
        _publish(dataset, out)
    return report


@dataclass
class _Written:
    """What was written."""

    kinds: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    contributors: dict[str, list[str]] = field(default_factory=dict)
    dictionary: list[dict[str, str]] = field(default_factory=list)


def _release(staging: Staging, terms: Terms) -> anonymity.Generalisation:
    candidates = "TRUE" if terms.contributors is None else "account IS NOT NULL"
    return anonymity.release(staging.connection, terms.quasi, terms.smallest_class, terms.most_suppressed, candidates)


def _write(staging: Staging, dataset: Path, terms: Terms) -> _Written:
    written = _Written()
    for name in ("ndjson", "tables"):
        (dataset / name).mkdir(parents=True)
    with Cohort(dataset / "tables") as cohort, _Lines(dataset / "ndjson") as lines:
        resources = _patients_and_resources(staging, terms, cohort, written)
        tables = write_parquet(dataset / "tables", _noted(resources, lines, written))
    written.dictionary = dictionary_of(tables)
    with (dataset / "dictionary.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("table", "column", "type", "description", "source"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(written.dictionary)
    return written


def _patients_and_resources(
    staging: Staging, terms: Terms, cohort: Cohort, written: _Written
) -> Iterator[tuple[str, bytes, JsonObject]]:
    """Each patient of the dataset, followed by what is about him; both come sorted by patient."""
    resources = staging.resources()
    following = next(resources, None)
    for patient, values, content, account, size in staging.released():
        is_whole = content is not None and not terms.smallest_class
        told = object_in(content or "{}") if is_whole else elements_of(values, terms.as_of - 90)
        whole: dict[str, Json] = {"resourceType": "Patient", "id": patient, "meta": _meta(terms.policy), **told}
        yield "Patient", canonical_json(whole), whole
        cohort.add(patient, values, size)
        if account is not None:
            written.contributors.setdefault(account, []).append(patient)
        while following is not None and following[0] == patient:
            _, kind, text = following
            yield kind, text.encode(), object_in(text)
            following = next(resources, None)


def _meta(policy: Policy) -> JsonObject:
    """The mark of the policy. A limited data set is not marked as anonymized: it is not."""
    tag: Json = {"system": "https://medibridge.invalid/policy", "code": policy.name.replace(" ", "-")}
    if policy.extends == "limited":
        return {"tag": [tag]}
    system = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
    return {"security": [{"system": system, "code": "ANONYED"}], "tag": [tag]}


def _noted(
    resources: Iterator[tuple[str, bytes, JsonObject]], lines: _Lines, written: _Written
) -> Iterator[JsonObject]:
    for kind, content, resource in resources:
        lines.add(kind, content)
        written.kinds[kind] += 1
        data_class = class_of(resource)
        if data_class is not None:
            written.classes[data_class.label] += 1
        yield resource


class _Lines:
    """Newline-delimited JSON, one file for each resource type."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def add(self, kind: str, content: bytes) -> None:
        if kind not in self._files:
            self._files[kind] = self._opened.enter_context((self._folder / f"{kind}.ndjson").open("wb"))
        self._files[kind].write(content + b"\n")


def _counts(staging: Staging, intake: Intake, read: Source, written: _Written, suppressed: int) -> Counts:
    [(everybody, candidates, released)] = staging.run(
        """SELECT (SELECT count(*) FROM coarse), (SELECT count(*) FROM coarse WHERE candidate),
        (SELECT count(*) FROM released)"""
    )
    kinds = sorted(intake.kinds.items(), key=lambda each: (each[0] == OTHER, each[0]))
    return Counts(
        patients_in=int(everybody),
        patients_without_consent=int(everybody - candidates),
        patients_suppressed=int(suppressed),
        patients_out=int(released),
        resources_in=tuple(kinds),
        resources_out=tuple(sorted(written.kinds.items())),
        unreadable=read.refused,
    )


def _versions() -> tuple[tuple[str, str], ...]:
    def of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "from its sources"

    return tuple((package, of(package)) for package in ("medibridge", "duckdb", "pyarrow"))


def _warnings(terms: Terms, intake: Intake, read: Source) -> Iterator[str]:
    k = terms.smallest_class
    if terms.policy.extends == "limited":
        yield "This is a limited data set: it is still protected health information, and needs a data use agreement."
    if terms.policy.extends == "expert":
        yield "Shifted dates are not Safe Harbor. A named expert has to find, before a release, that risks are small."
    if not k and terms.policy.extends != "limited":
        yield "k-anonymity was not asked for: a patient may be the only one of a year of birth, sex and place."
    if terms.policy.oldest is not None and terms.as_of < datetime.datetime.now(datetime.UTC).year:
        yield f"Ages are counted to {terms.as_of}: who became 90 since then is told with the year of birth."
    if terms.policy.changes:
        yield f"The policy differs from {terms.policy.extends}, so it must not be called by that name."
    if 0 < k < _RECOMMENDED_K:
        yield f"k = {k} is below {_RECOMMENDED_K}, which most publishers of health data ask for."
    if terms.contributors is None:
        yield "There is no list of contributors: whether the patients agreed is not known, and this cannot be sold."
    if read.refused:
        yield f"{read.refused:,} lines or files of the source could not be read, and are not in the dataset."
    if intake.about_nobody:
        yield f"{intake.about_nobody:,} resources say about no patient, and are not in the dataset."


def _describe(dataset: Path, report: ReleaseReport, about: About, dictionary: list[dict[str, str]]) -> None:
    report.write(dataset / "release-report.json")
    for name, text in (
        ("release-report.html", release_page(report)),
        ("datasheet.md", datasheet_markdown(about, report)),
        ("datasheet.html", datasheet_html(about, report, dictionary)),
    ):
        (dataset / name).write_text(text, "utf-8")


def _keep_private(out: Path, digest: str, contributors: Mapping[str, Sequence[str]]) -> None:
    folder = private_folder(out)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "contributors.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"sha256": digest, "patients": dict(sorted(contributors.items()))}, file, indent=2)


@contextmanager
def _unfinished(out: Path) -> Iterator[Path]:
    """A folder beside `out` to work in, for its owner alone, which is gone afterwards.

    A build that is killed leaves it behind; the next one for the same `out` takes it away.
    """
    prefix = f".{out.name}.unfinished-"
    for left in out.parent.glob(f"{glob.escape(prefix)}*"):
        _remove_unless_in_use(left)
    place = Path(tempfile.mkdtemp(dir=out.parent, prefix=prefix))
    lock = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place
    except OSError as problem:
        raise UsageError(f"the dataset cannot be written ({problem.strerror}); see that the disk has room") from None
    finally:
        os.close(lock)
        shutil.rmtree(place, ignore_errors=True)


def _remove_unless_in_use(place: Path) -> None:
    """A build that runs holds its folder locked."""
    with suppress(OSError):
        lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place, ignore_errors=True)
        finally:
            os.close(lock)


def _publish(dataset: Path, out: Path) -> None:
    try:
        os.rename(dataset, out)  # noqa: PTH104 - replaces nothing that is there; Path.replace reads otherwise
    except OSError as problem:
        raise UsageError(f"{out} cannot be made ({problem.strerror}); name another folder") from None
