"""The release report for people: one page with charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medibridge.datasets import charts, pages
from medibridge.datasets.quasi import HIDDEN, OLD, QUASI
from medibridge.datasets.report import UNSEEN, ReleaseReport

__all__ = ["release_page"]

_MOST_COLUMNS = 14


def release_page(report: ReleaseReport) -> str:
    """The report as HTML in one file."""
    counts, risks = report.counts, report.risks
    parts = [
        pages.tiles(
            (
                (f"{counts.patients_out:,}", "patients in the dataset"),
                (f"{sum(number for _, number in counts.resources_out):,}", "resources in the dataset"),
                (f"{risks.smallest:,}" if report.k else "—", "patients in the smallest class (k)"),
                (f"{risks.prosecutor_most:.1%}", "greatest risk to be found"),
                (f"{counts.patients_suppressed:,}", "patients left out for k"),
            )
        ),
        *(pages.note(warning) for warning in report.warnings),
        _policy(report),
        _people(report),
        _anonymity(report),
        _records(report),
        _rules(report),
        _files(report),
    ]
    return pages.page(report.title, f"Release report · policy {report.policy.name}", parts)


def _policy(report: ReleaseReport) -> str:
    policy = report.policy
    name = policy.name if policy.name == policy.extends else f"{policy.name}, which extends {policy.extends}"
    pairs = [
        ("Policy", name),
        ("Rule", policy.basis),
        ("What it does", policy.says),
        ("Ages are counted to", str(report.as_of)),
    ]
    pairs += [("Changed by the custodian", change) for change in policy.changes]
    return pages.section("Policy", pages.definitions(pairs))


def _people(report: ReleaseReport) -> str:
    bands: dict[str, Counter[str]] = {}
    for birth, sex, number in report.people:
        bands.setdefault(_band(birth), Counter())[sex] += number
    ordered = sorted(bands.items(), key=lambda each: (each[0] != OLD, each[0]))
    rows = [(band, sexes["female"], sexes["male"]) for band, sexes in ordered]
    if any(first or second for _, first, second in rows):
        chart = charts.pyramid("Patients by year of birth and sex", rows, ("female", "male"))
        others = sum(number for _, sex, number in report.people if sex not in ("female", "male"))
        told = f"{others:,} more are of another, an unknown or an untold sex." if others else ""
    else:
        totals = [(band, sexes.total()) for band, sexes in ordered]
        chart, told = charts.columns("Patients by year of birth", totals, "year of birth"), ""
    return pages.section("Who is in it", chart, pages.paragraphs(told))


def _band(birth: str) -> str:
    """Decades, where the dataset tells them or more; else what it tells."""
    first, _, last = birth.partition("-")
    if not first.isdigit():
        return "not told" if birth == HIDDEN else birth
    return f"{first[:3]}0s" if int(last or first) - int(first) < 10 else f"{first}–{last}"


def _anonymity(report: ReleaseReport) -> str:
    risks = report.risks
    levels = [(QUASI[name].title, QUASI[name].levels[level][0]) for name, level in report.quasi]
    why = (
        f"Each patient is alike with at least {report.k - 1} others in everything below. Of {report.tried} "
        f"combinations tried, this is the first that leaves out at most {report.most_suppressed:.0%} of the patients; "
        f"it loses {report.loss:.0%} of what the quasi-identifiers told."
        if report.k
        else "Nobody asked for k-anonymity: the classes below are as the data are."
    )
    measures = (
        ("Prosecutor, at most", f"{risks.prosecutor_most:.2%}", "who knows that a person is in the dataset"),
        ("Prosecutor, on average", f"{risks.prosecutor_mean:.2%}", "the same, over all patients"),
        (
            "Journalist, at most",
            f"{risks.journalist_most:.2%}",
            "who does not know it, among all patients of the source",
        ),
        ("Marketer", f"{risks.marketer:.2%}", "the share that is matched rightly when all are matched"),
        ("Different diagnoses (l)", str(risks.diversity), "in the class where they are fewest"),
    )
    return pages.section(
        "How well it hides people",
        pages.paragraphs(why),
        pages.table(("what others may know too", "how exactly it is told"), levels),
        charts.columns("Classes by their size", _sizes(risks.histogram), "patients in the class"),
        pages.table(("risk", "is", "of whom"), measures, right=("is",)),
        pages.paragraphs(UNSEEN),
    )


def _sizes(histogram: Sequence[tuple[int, int]]) -> list[tuple[str, int]]:
    """Classes by size; sizes that are many are put together, each span twice as wide as the one before."""
    if len(histogram) <= _MOST_COLUMNS:
        return [(str(size), number) for size, number in histogram]
    spans: dict[tuple[int, int], int] = {}
    least = histogram[0][0]
    for size, number in histogram:
        first, width = least, max(1, least // 2)
        while size >= first + width:
            first, width = first + width, width * 2
        spans[first, first + width - 1] = spans.get((first, first + width - 1), 0) + number
    return [
        (f"{first}–{last}" if last > first else str(first), number) for (first, last), number in sorted(spans.items())
    ]


def _records(report: ReleaseReport) -> str:
    counts = report.counts
    patients = [
        ("in the source", counts.patients_in),
        ("without consent", counts.patients_without_consent),
        (f"in classes below k = {report.k}", counts.patients_suppressed),
        ("in the dataset", counts.patients_out),
    ]
    everybody, agreed = counts.patients_in, counts.patients_in - counts.patients_without_consent
    steps = [
        ("agreed, or not asked", everybody, agreed),
        ("enough are alike", everybody, counts.patients_out),
    ]
    out = dict(counts.resources_out)
    rows = [(kind, number, out.get(kind, 0)) for kind, number in counts.resources_in]
    return pages.section(
        "What went in, what came out",
        pages.table(("patients", "number"), [(what, f"{number:,}") for what, number in patients], right=("number",)),
        charts.bars("Patients of the source who remain, step by step", steps, ("all", "remain")),
        charts.bars("Resources in and out, by type", rows, ("in", "out")),
    )


def _rules(report: ReleaseReport) -> str:
    rows = [(rule, f"{number:,}") for rule, number in report.rules]
    return pages.section("What was changed", pages.table(("rule", "times"), rows, right=("times",)))


def _files(report: ReleaseReport) -> str:
    rows = [(each.path, f"{each.size:,}", each.sha256) for each in report.files]
    made = ", ".join(f"{name} {version}" for name, version in report.versions)
    return pages.section(
        "The files",
        pages.paragraphs(f"SHA-256 of the dataset: {report.digest}\n\nMade by {made}."),
        pages.table(("file", "bytes", "SHA-256"), rows, right=("bytes",)),
    )
