"""k-anonymity against the plain definition, counted in Python."""

from __future__ import annotations

from collections import Counter
from itertools import product

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge.datasets.anonymity import release, risks
from medibridge.datasets.quasi import ALIVE, ALL, DEAD, DEFAULT, HIDDEN, OLD, QUASI, UNKNOWN, chosen, elements_of
from medibridge.errors import UsageError
from medibridge.formats.fhir import validate

PEOPLE = st.tuples(
    st.sampled_from(["male", "female", UNKNOWN]),
    st.sampled_from(["1950", "1951", "1955", "1962", "1990", OLD, UNKNOWN]),
    st.sampled_from(["021", "024", "606", "000", UNKNOWN]),
    st.sampled_from([ALIVE, DEAD, "2019", "2020"]),
)


def database(people, conditions=()):
    """A database with these people, as staging leaves them."""
    connection = duckdb.connect()
    rows = [
        {"patient": str(number), **dict(zip(ALL, values, strict=True)), "whole": None, "account": None}
        for number, values in enumerate(people)
    ]
    columns = ["patient", *ALL, "whole", "account"]
    table = pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in columns]))
    connection.register("given", table)
    connection.execute("CREATE TABLE people AS SELECT * FROM given")
    connection.execute("CREATE TABLE alive (patient VARCHAR, kind VARCHAR, code VARCHAR)")
    for patient, code in conditions:
        connection.execute("INSERT INTO alive VALUES (?, 'Condition', ?)", [patient, code])
    return connection


def plain(people, names, k, most):
    """The same search, as one would do it by hand: levels and how many are left out."""
    best = None
    for levels in product(*(range(QUASI[name].highest + 1) for name in names)):
        weights = [QUASI[name].weight for name in names]
        loss = sum(QUASI[name].loss(level) for name, level in zip(names, levels, strict=True)) / sum(weights)
        coarse = [
            tuple(QUASI[name].at(level, person[ALL.index(name)]) for name, level in zip(names, levels, strict=True))
            for person in people
        ]
        sizes = Counter(coarse)
        left_out = sum(sizes[each] < k for each in coarse)
        if left_out <= most * len(people) and (best is None or (loss, left_out, levels) < best):
            best = (loss, left_out, levels)
    return best


@settings(max_examples=40)
@given(
    st.lists(PEOPLE, min_size=6, max_size=40),
    st.integers(2, 6),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from([DEFAULT, ("sex", "birth"), ("zip",), ("birth", "death")]),
)
def test_release_is_what_the_plain_search_finds_and_every_class_has_k(people, k, most, names):
    connection = database(people)
    found = release(connection, names, k, most, "TRUE")
    loss, left_out, levels = plain(people, names, k, most)
    assert (found.loss, found.suppressed, found.levels) == (
        float(loss),
        left_out,
        tuple(zip(names, levels, strict=True)),
    )
    rows = connection.execute(f"SELECT {', '.join(ALL)}, size FROM released").fetchall()
    sizes = Counter(row[:-1] for row in rows)
    assert all(sizes[row[:-1]] == row[-1] >= k for row in rows)
    assert len(rows) == len(people) - left_out
    assert all(row[ALL.index(name)] == HIDDEN for row in rows for name in ALL if name not in names)


def test_release_counts_only_who_may_be_in_it():
    connection = database([("male", "1950", "021", ALIVE)] * 3 + [("female", "1950", "021", ALIVE)] * 3)
    release(connection, ("sex",), 3, 0.0, "sex = 'male'")
    assert connection.execute("SELECT count(*) FROM released").fetchall() == [(3,)]


def test_release_refuses_fewer_than_k():
    with pytest.raises(UsageError, match=r"fewer patients .*\(2\) than k = 3"):
        release(database([("male", "1950", "021", ALIVE)] * 2), DEFAULT, 3, 0.05, "TRUE")


def test_risks_are_those_of_the_definitions():
    people = [("male", "1950", "021", ALIVE)] * 4 + [("female", "1950", "021", ALIVE)] * 2
    connection = database(people, [("0", "a"), ("1", "b"), ("4", "a"), ("5", "a")])
    release(connection, ("sex",), 2, 0.0, "people.patient <> '3'")
    found = risks(connection)
    assert (found.patients, found.classes, found.smallest) == (5, 2, 2)
    assert found.histogram == ((2, 1), (3, 1))
    assert found.diversity == 1  # both women have the same diagnosis
    assert found.prosecutor_most == 1 / 2
    assert found.prosecutor_mean == 2 / 5
    assert found.journalist_most == 1 / 2
    assert found.marketer == pytest.approx((3 / 4 + 2 / 2) / 5)


@given(PEOPLE, st.data())
def test_every_level_tells_less_and_is_valid_fhir(person, data):
    values = {}
    for name, value in zip(ALL, person, strict=True):
        quasi = QUASI[name]
        level = data.draw(st.integers(0, quasi.highest))
        values[name] = quasi.at(level, value)
        assert quasi.at(quasi.highest, value) == HIDDEN
        assert quasi.at(0, value) == value
    told = elements_of(values, 1936)
    assert validate({"resourceType": "Patient", "id": "p", **told}) == ()
    assert "1936" in str(told) or values["birth"] != OLD


def test_chosen_reads_names_and_refuses_others():
    assert chosen("zip, sex") == ("sex", "zip")
    with pytest.raises(UsageError, match="'race' is no quasi-identifier"):
        chosen("race")
    with pytest.raises(UsageError, match="at least one"):
        chosen(",")
