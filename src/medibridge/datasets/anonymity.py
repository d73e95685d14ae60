"""k-anonymity: everybody in the dataset is one of at least k who are alike in all quasi-identifiers.

(Sweeney 2002.) Values are made coarser, all of a quasi-identifier alike; then the patients in classes that are still
smaller than k are left out. Of all combinations of levels the one is taken that loses least while it leaves out at
most a given share of the patients. What is lost is the mean over the quasi-identifiers of level / highest level, that
is one minus Sweeney's precision, each weighed by what it is worth to research (`Quasi.weight`); among equals, fewest
patients left out, then the order of the quasi-identifiers. With four of them there are 144 combinations, so they are
simply tried in this order.
"""

# ruff: noqa: S608 - what goes into these queries is in the code, none of it is from outside

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, product
from typing import TYPE_CHECKING, Final

from medibridge.datasets.quasi import ALL, QUASI
from medibridge.errors import UsageError

if TYPE_CHECKING:
    import duckdb

__all__ = ["LEAST_K", "Generalisation", "Risks", "release", "risks"]

LEAST_K: Final = 2
"""Smaller classes protect nobody."""


@dataclass(frozen=True)
class Generalisation:
    """What was chosen: a level for each quasi-identifier, and what it costs."""

    levels: tuple[tuple[str, int], ...]
    loss: float
    suppressed: int
    tried: int


@dataclass(frozen=True)
class Risks:
    """How well the classes hide a patient.

    `smallest` is the k that was reached, `histogram` counts classes by size, `diversity` is l: the fewest different
    diagnoses among the patients of a class (Machanavajjhala et al. 2007, distinct l-diversity; no diagnosis counts as
    one). The risks are El Emam's (Guide to the De-Identification of Personal Health Information, 2013): *prosecutor*,
    who knows that a person is in the dataset: 1 / size of the class, at most and on average; *journalist*, who does
    not: 1 / size of the class among all patients of the source, at most; *marketer*, who wants many: the share that is
    matched rightly when each patient is matched with somebody of the source.
    """

    patients: int
    classes: int
    smallest: int
    histogram: tuple[tuple[int, int], ...]
    diversity: int
    prosecutor_most: float
    prosecutor_mean: float
    journalist_most: float
    marketer: float


def release(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], k: int, most_suppressed: float, candidates: str
) -> Generalisation:
    """Make the table `released`, of those in the table `people` that fulfil the SQL condition `candidates`.

    It has the columns of `people`, the quasi-identifiers at their levels (`HIDDEN` where one is not among `names`), and
    the `size` of each patient's class. k = 0 leaves everybody in, and all values as they are.

    Raises `UsageError` where fewer than k patients are there.
    """
    _levels(connection)
    [(count,)] = connection.execute(f"SELECT count(*) FROM people WHERE {candidates}").fetchall()
    if count < max(k, 1):
        raise UsageError(
            f"the source has fewer patients who may be in the dataset ({count}) than k = {k}; add patients"
        )
    chosen = _chosen(connection, names, k, most_suppressed, candidates, int(count))
    values = ", ".join(
        f"{name}_levels.l{level} AS {name}" for name, level in zip(ALL, _all_levels(chosen.levels), strict=True)
    )
    joins = " ".join(f"JOIN {name}_levels ON people.{name} = {name}_levels.l0" for name in ALL)
    connection.execute(
        f"""CREATE TABLE coarse AS SELECT people.patient, {values}, whole, account, ({candidates}) AS candidate
        FROM people {joins}"""
    )
    keys = ", ".join(ALL)
    connection.execute(
        f"""CREATE TABLE released AS SELECT * EXCLUDE (candidate) FROM
        (SELECT *, count(*) OVER (PARTITION BY {keys}) AS size FROM coarse WHERE candidate) WHERE size >= {int(k)}"""
    )
    return chosen


def risks(connection: duckdb.DuckDBPyConnection) -> Risks:
    """Measure the table `released` against everybody in the source."""
    keys = ", ".join(ALL)
    same = " AND ".join(f"c.{name} = g.{name}" for name in ALL)
    connection.execute(
        f"""CREATE OR REPLACE TABLE classes AS
        SELECT g.*, (SELECT count(*) FROM coarse c WHERE {same}) AS population
        FROM (SELECT {keys}, count(*) AS size FROM released GROUP BY ALL) g"""
    )
    row = connection.execute(
        "SELECT sum(size), count(*), min(size), min(population), sum(size / population) FROM classes"
    ).fetchall()[0]
    patients, classes, smallest, least_population, matched = row
    histogram = connection.execute("SELECT size, count(*) FROM classes GROUP BY size ORDER BY size").fetchall()
    [(diversity,)] = connection.execute(
        f"""SELECT min(l) FROM (SELECT count(DISTINCT coalesce(d.code, '')) AS l FROM released r
        LEFT JOIN (SELECT DISTINCT patient, code FROM alive WHERE kind = 'Condition') d ON r.patient = d.patient
        GROUP BY {", ".join(f"r.{name}" for name in ALL)})"""
    ).fetchall()
    return Risks(
        patients=int(patients),
        classes=int(classes),
        smallest=int(smallest),
        histogram=tuple((int(size), int(number)) for size, number in histogram),
        diversity=int(diversity),
        prosecutor_most=1 / smallest,
        prosecutor_mean=classes / int(patients),
        journalist_most=1 / least_population,
        marketer=float(matched) / int(patients),
    )


def _levels(connection: duckdb.DuckDBPyConnection) -> None:
    """For each quasi-identifier a table of its values at every level; ``c`` columns number them."""
    import pyarrow as pa  # noqa: PLC0415 - optional

    for name in ALL:
        quasi = QUASI[name]
        values = [value for (value,) in connection.execute(f"SELECT DISTINCT {name} FROM people").fetchall()]
        columns: dict[str, list[object]] = {}
        for level in range(quasi.highest + 1):
            coarse = [quasi.at(level, value) for value in values]
            numbers = {value: number for number, value in enumerate(sorted(set(coarse)))}
            columns[f"l{level}"] = list(coarse)
            columns[f"c{level}"] = [numbers[value] for value in coarse]
        connection.register("levels", pa.table(columns) if values else pa.table({"l0": pa.array([], pa.string())}))
        connection.execute(f"CREATE OR REPLACE TABLE {name}_levels AS SELECT * FROM levels")
        connection.unregister("levels")


def _chosen(
    connection: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    k: int,
    most_suppressed: float,
    candidates: str,
    count: int,
) -> Generalisation:
    if k == 0:
        return Generalisation(tuple((name, 0) for name in names), 0.0, 0, 0)
    columns = ", ".join(
        f"{name}_levels.c{level} AS {name}{level}" for name in names for level in range(QUASI[name].highest + 1)
    )
    joins = " ".join(f"JOIN {name}_levels ON people.{name} = {name}_levels.l0" for name in names)
    connection.execute(
        f"""CREATE OR REPLACE TABLE base AS SELECT {columns}, count(*) AS n
        FROM people {joins} WHERE {candidates} GROUP BY ALL"""
    )
    tried = 0
    for loss, combinations in groupby(_combinations(names), key=lambda each: each[0]):
        fits = []
        for _, levels in combinations:
            tried += 1
            keys = ", ".join(f"{name}{level}" for name, level in zip(names, levels, strict=True))
            [(suppressed,)] = connection.execute(
                f"""SELECT coalesce(sum(size), 0) FROM (SELECT sum(n) AS size FROM base GROUP BY {keys})
                WHERE size < {int(k)}"""
            ).fetchall()
            if suppressed <= most_suppressed * count:
                fits.append((int(suppressed), levels))
        if fits:
            suppressed, levels = min(fits)
            return Generalisation(tuple(zip(names, levels, strict=True)), float(loss), suppressed, tried)
    raise AssertionError("with nothing told, everybody is in one class")  # pragma: no cover


def _combinations(names: Sequence[str]) -> Iterator[tuple[Fraction, tuple[int, ...]]]:
    """Every combination of levels with what it loses, the least first."""
    quasis = [QUASI[name] for name in names]
    whole = sum(quasi.weight for quasi in quasis)
    yield from sorted(
        (sum((quasi.loss(level) for quasi, level in zip(quasis, levels, strict=True)), Fraction(0)) / whole, levels)
        for levels in product(*(range(quasi.highest + 1) for quasi in quasis))
    )


def _all_levels(levels: Sequence[tuple[str, int]]) -> list[int]:
    """A level for every quasi-identifier that is known; what was not chosen is not told."""
    chosen = dict(levels)
    return [chosen.get(name, QUASI[name].highest) for name in ALL]
