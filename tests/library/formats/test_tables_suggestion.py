"""A mapping proposed for a table: it is one, it guesses nothing, and its comments hold no value."""

from __future__ import annotations

import io
from importlib.resources import files

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from medibridge.errors import UnknownFormat
from medibridge.formats import tables
from medibridge.formats.settings import Profile
from medibridge.formats.tables.elements import definition, kinds
from medibridge.formats.tables.mapping import TableMap


def suggest(data: str | bytes) -> str:
    return tables.suggest(io.BytesIO(data if isinstance(data, bytes) else data.encode()))


def mapped(text: str) -> TableMap:
    [values] = Profile.from_yaml(text).tables
    return TableMap.of(values)


@pytest.mark.parametrize("name", ["laboratory.csv", "prescriptions.csv", "symptoms.csv"])
def test_suggest_knows_every_column_of_the_samples(name: str) -> None:
    sample = files("medibridge.samples").joinpath(name).read_bytes()
    found = mapped(suggest(sample))
    assert found.kind.name == name.removesuffix(".csv")
    assert len(found.columns) == len(sample.split(b"\n")[0].replace(b";", b",").split(b","))


@pytest.mark.parametrize(
    ("data", "kind", "elements"),
    [
        (
            "Patientennummer;Untersuchung;Ergebnis;Einheit;Abnahmedatum;Referenzbereich\n1;Natrium;140,5;mmol/l;06.03.2024;135-145\n",
            "laboratory",
            ["patient.identifier", "code.text", "value", "unit", "effective", "range"],
        ),
        (
            "NHC\tMedicamento\tDosis\tVía\tFrecuencia\tFecha inicio\n1\tX\t1\toral\tdiario\t2024-03-06\n",
            "prescriptions",
            ["patient.identifier", "code.text", "dose", "route", "frequency", "start"],
        ),
        (
            "patientId|Diagnosis|ICD10|onsetDate\n1|Diabetes|E11.9|2024\n",
            "conditions",
            ["patient.identifier", "code.text", "code.icd10", "onset"],
        ),
        (
            "MRN,Last Name,ZIP\n1,Fernhollow,01067\n",
            "patients",
            ["patient.identifier", "patient.family", "patient.postalCode"],
        ),
        (
            "MRN,Vaccine,CVX,Date given\n1,Flu,141,2024-01-02\n",
            "immunizations",
            ["patient.identifier", "code.text", "code.cvx", "occurrence"],
        ),
    ],
)
def test_suggest_knows_headings_of_three_languages(data: str, kind: str, elements: list[str]) -> None:
    found = mapped(suggest(data))
    assert found.kind.name == kind
    assert [column.element for column in found.columns.values()] == elements


def test_suggest_leaves_the_order_of_day_and_month_to_a_person() -> None:
    text = suggest("MRN,Test,Result,Date\n1,A,1,03/04/2024\n")
    assert '    Date: effective  # the heading says so; DECIDE: its dates fit "%d/%m/%Y" or "%m/%d/%Y"' in text
    assert not mapped(text).columns["Date"].formats
    clear = suggest("MRN,Test,Result,Date\n1,A,1,03/04/2024\n1,A,1,13/04/2024\n")
    assert 'Date: {is: effective, format: "%d/%m/%Y"}' in clear


def test_suggest_gives_every_form_of_a_column_of_dates() -> None:
    text = suggest("MRN;Test;Datum\n1;A;06.03.2024 08:15\n1;B;06.03.2024\n")
    assert 'format: ["%d.%m.%Y", "%d.%m.%Y %H:%M"]' in text
    assert "# zone: Europe/Vienna  # DECIDE" in text


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["1,5", "2,25"], 'decimal: ","'),
        (["1,234"], "# decimal: ?  # DECIDE"),
        (["1,5", "2.5"], "# decimal: ?  # DECIDE"),
        (["1.5"], ""),
    ],
)
def test_suggest_tells_the_decimal_mark_only_where_it_is_clear(cells: list[str], line: str) -> None:
    text = suggest("MRN;Test;Result\n" + "".join(f"1;A;{cell}\n" for cell in cells))
    assert line in text
    assert ("decimal" in text) == bool(line)


def test_suggest_asks_what_a_letter_means_where_it_is_another_in_spanish() -> None:
    assert "values: {H: male, M: female}" in suggest("NHC,Sexo\n1,H\n2,M\n")
    assert "DECIDE: say in 'values' whether M is male" in suggest("NHC,Sexo\n2,M\n")
    assert "DECIDE" not in suggest("MRN,Sex,Name\n2,M,x\n").split("systems")[0].split("columns:")[1]


def test_suggest_proposes_each_element_once_and_leaves_the_unknown_open() -> None:
    text = suggest("MRN,Patient ID,Test,Foo: bar\n1,2,A,x\n")
    assert '    # "Patient ID": ?  # another column is patient.identifier already' in text
    assert '    # "Foo: bar": ?  # not known; say what it is' in text


def test_suggest_knows_loinc_by_its_check_digit_whatever_the_heading() -> None:
    assert "Whatever: code.loinc" in suggest("MRN,Whatever,Result\n1,2345-7,5\n1,1988-5,5\n")
    assert "LOINC: code.local" in suggest("MRN,LOINC,Result\n1,2345-8,5\n")


def test_suggest_refuses_what_is_no_table() -> None:
    for data in ("hello", '{"a": 1}', "", "1,2\n3,4\n"):
        with pytest.raises(UnknownFormat, match="no table"):
            suggest(data)


def test_headings_name_only_elements_that_are_there() -> None:
    defined = definition("headings")
    assert isinstance(defined, dict)
    shared = {name for name, values in defined.items() if isinstance(values, list)}
    assert all(any(name in kind.elements for kind in kinds().values()) for name in shared)
    for name, lines in defined.items():
        if isinstance(lines, dict):
            assert lines.keys() <= kinds()[name].elements.keys()


secret = st.text(st.sampled_from("qzjxv"), min_size=8, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(secret, min_size=7, max_size=7),
    st.sampled_from(["laboratory", "prescriptions", "symptoms"]),
)
def test_suggest_shows_no_cell_and_gives_a_mapping_that_reads(cells: list[str], kind: str) -> None:
    headings = {
        "laboratory": "MRN,Sex,Test,LOINC,Result,Date,Status",
        "prescriptions": "MRN,Sex,Drug,RxNorm,Dose,Written,PRN",
        "symptoms": "MRN,Sex,Symptom,SNOMED,Severity,Onset,Status",
    }[kind]
    text = suggest(headings + "\n" + ",".join(cells) + "\n")
    assert not any(cell in text for cell in cells)
    assert mapped(text).kind.name == kind


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80) | st.lists(st.text(max_size=8), min_size=3, max_size=6).map(",".join))
def test_suggest_gives_yaml_or_says_that_it_is_no_table(heading: str) -> None:
    try:
        text = suggest(heading + "\n1,2,3\n")
    except UnknownFormat:
        return
    assert len(Profile.from_yaml(text).tables) == 1
