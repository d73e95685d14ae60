"""FHIR R4 as flat tables: rows, files, dictionary; nothing lost on the way from a CSV."""

from __future__ import annotations

import csv
import io
from importlib.resources import files
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from medibridge import samples
from medibridge.errors import UsageError
from medibridge.formats import read, tables
from medibridge.formats.settings import Profile, Settings
from medibridge.formats.tables import TABLES
from medibridge.formats.units import ucum
from medibridge.record import Json, JsonObject, Number


def rows_of(*resources: JsonObject) -> list[tuple[str, dict[str, object]]]:
    return [
        (name, {key: value for key, value in row.items() if value is not None}) for name, row in tables.rows(resources)
    ]


def test_rows_of_the_sample_bundle() -> None:
    found = rows_of(*read(samples.read("r4-bundle-visit.json")).resources)
    by_name = dict(found)
    assert list(by_name) == ["demographics", "encounters", "labs", "conditions"]
    patient = by_name["demographics"]["patient"]
    assert by_name["demographics"] == {
        "patient": patient,
        "sex": "female",
        "birth_date": "1961-05-14",
        "birth_year": "1961",
        "zip3": "900",
    }
    weight = next(row for name, row in found if row.get("code") == "29463-7")
    assert str(weight["value"]) == "72.50"
    assert weight["unit"] == "kg"
    assert weight["patient"] == patient


def test_rows_have_every_column_of_their_table() -> None:
    for name, row in tables.rows(read(samples.read("r4-bundle-visit.json")).resources):
        assert tuple(row) == TABLES[name].names


def observation(**elements: Json) -> JsonObject:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    category: Json = [{"coding": [{"system": system, "code": "vital-signs"}]}]
    return {"resourceType": "Observation", "id": "o", "category": category, "status": "final", **elements}


def test_rows_give_each_component_a_row_of_its_own() -> None:
    pressure = observation(
        code={"text": "Blood pressure"},
        component=[
            {"code": {"text": "systolic"}, "valueQuantity": {"value": Number("120")}},
            {"code": {"text": "diastolic"}, "valueQuantity": {"value": 80}},
        ],
    )
    found = rows_of(pressure)
    assert [(row["code_display"], str(row["value"]), str(row["component"])) for _, row in found] == [
        ("systolic", "120", "1"),
        ("diastolic", "80", "2"),
    ]


def test_rows_prefer_the_best_known_code_system() -> None:
    codings: Json = [{"system": "urn:x", "code": "A"}, {"system": "http://loinc.org", "code": "2345-7"}]
    [(_, row)] = rows_of(observation(code={"coding": codings, "text": "Glucose"}))
    assert (row["code_system"], row["code"], row["code_display"]) == ("http://loinc.org", "2345-7", "Glucose")


def test_rows_take_the_code_of_a_medication_wherever_it_stands() -> None:
    def request(name: str, **more: Json) -> JsonObject:
        reference: Json = {"reference": f"{'' if name == '#m' else 'Medication/'}{name}"}
        return {"resourceType": "MedicationRequest", "id": f"r{name}", "medicationReference": reference, **more}

    def medication(name: str) -> JsonObject:
        return {"resourceType": "Medication", "id": name, "code": {"coding": [{"system": "s", "code": f"code-{name}"}]}}

    contained = {**medication("m")}
    found = rows_of(request("1"), medication("1"), request("1"), request("#m", contained=[contained]), request("2"))
    assert [row.get("medication") for _, row in found] == ["code-1", "code-1", "code-m", None]


def test_rows_of_other_observations_are_in_a_table_of_their_own() -> None:
    [(name, _)] = rows_of({"resourceType": "Observation", "id": "o", "code": {"text": "Smoking"}})
    assert name == "observations"


json_values: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["code", "coding", "value", "system", "text", "reference", "component", "unit", "low", "id"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["Observation", "Patient", "MedicationRequest", "Condition", "Nothing"]),
    st.dictionaries(
        st.sampled_from(
            [
                "code",
                "subject",
                "valueQuantity",
                "component",
                "medicationReference",
                "birthDate",
                "address",
                "category",
                "id",
                "contained",
            ]
        ),
        json_values,
    ),
)
def test_rows_never_fail_whatever_a_resource_holds(kind: str, elements: dict[str, Json]) -> None:
    for name, row in tables.rows([{"resourceType": kind, **elements}]):
        assert tuple(row) == TABLES[name].names
        assert all(cell is None or isinstance(cell, (str, Number)) for cell in row.values())


def test_dictionary_has_a_line_for_each_column() -> None:
    lines = tables.dictionary()
    assert [(line["table"], line["column"]) for line in lines] == [
        (table.name, name) for table in TABLES.values() for name in table.names
    ]
    assert all(line["description"] and line["source"] and line["type"] for line in lines)
    sources = {line["source"] for line in lines if line["table"] == "labs" and line["column"] == "value"}
    assert sources == {"Observation.valueQuantity.value; Observation.valueInteger"}


# --- files ----------------------------------------------------------------------------------------------------------


def nasty() -> list[JsonObject]:
    texts = ["=1+1", "+x", "-x", "@x", "\t=1", "＝1", 'a"b', "a,b", "a\nb", "plain", "-5"]
    found: list[JsonObject] = [
        {**observation(valueString=text, code={"text": "x"}), "id": str(at)} for at, text in enumerate(texts)
    ]
    return [*found, observation(code={"text": "x"}, valueQuantity={"value": Number("-5.50")})]


def test_write_csv_guards_text_but_no_number(tmp_path: Path) -> None:
    assert tables.write_csv(tmp_path / "out", nasty()) == {"labs": 12}
    with (tmp_path / "out" / "labs.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["value_text"] for row in written[:-1]] == [
        "'=1+1", "'+x", "'-x", "'@x", "'\t=1", "'＝1", 'a"b', "a,b", "a\nb", "plain", "'-5",
    ]  # fmt: skip
    assert written[-1]["value"] == "-5.50"


def test_write_parquet_keeps_every_digit_and_text(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert tables.write_parquet(tmp_path, nasty()) == {"labs": 12}
    written = parquet.read_table(tmp_path / "labs.parquet")
    assert written.column_names == list(TABLES["labs"].names)
    assert written.column("value").to_pylist()[-1] == "-5.50"
    assert written.column("value_text").to_pylist()[:2] == ["=1+1", "+x"]
    assert written.schema.field("value").metadata[b"type"] == b"number"


def test_write_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for write, name in ((tables.write_csv, "labs.csv"), (tables.write_parquet, "labs.parquet")):
        write(tmp_path / "a", nasty())
        write(tmp_path / "b", nasty())
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_write_says_when_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (tables.write_csv, tables.write_parquet):
        with pytest.raises(UsageError, match="cannot be written"):
            write(tmp_path / "file" / "x", nasty())


# --- there and back -------------------------------------------------------------------------------------------------

PROFILE = """
zone: Europe/Vienna
tables:
- kind: laboratory
  decimal: ","
  columns: {ID: patient.identifier, CODE: code.loinc, VALUE: value, UNIT: unit, AT: effective}
  systems: {patient.identifier: "urn:oid:2.999.1"}
"""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("0123456789"), min_size=1, max_size=6),
            st.sampled_from(["2345-7", "2160-0", "1988-5", "6690-2"]),
            st.builds(
                "{}{}{}".format,
                st.sampled_from(["", "<"]),
                st.integers(0, 99999),
                st.sampled_from(["", ",0", ",50", ",00001"]),
            ),
            st.sampled_from(["mg/dl", "K/uL", "mmol/L", "%", "bananas"]),
            st.dates().map(lambda day: day.isoformat()),
        ),
        max_size=5,
        unique=True,
    )
)
def test_a_result_keeps_code_digits_unit_time_and_patient_from_csv_to_flat_table(
    results: list[tuple[str, str, str, str, str]],
) -> None:
    from medibridge.formats.naming import Names

    how = Settings("rowan", False, Profile.from_yaml(PROFILE))
    data = "ID;CODE;VALUE;UNIT;AT\n" + "".join(";".join(result) + "\n" for result in results)
    found = []
    for piece in tables.FORMAT.pieces(io.BytesIO(data.encode()), how):
        for conversion in tables.FORMAT.read(piece, how):
            for name, row in tables.rows(conversion.resources):
                if name == "labs":
                    written = f"{row['comparator'] or ''}{row['value']}".replace(".", ",")
                    found.append((row["patient"], row["code"], written, row["unit"], row["effective"]))
    expected = [
        (Names("rowan").by_identifier("Patient", "urn:oid:2.999.1", number), code, value, ucum(unit) or unit, at)
        for number, code, value, unit, at in results
    ]
    assert sorted(map(str, found)) == sorted(map(str, expected))


def test_rows_of_a_table_of_prescriptions() -> None:
    folder = files("medibridge.samples")
    how = Settings("rowan", False, Profile.from_yaml(folder.joinpath("tables-profile.yaml").read_text()))
    data = folder.joinpath("prescriptions.csv").read_bytes()
    [piece] = tables.FORMAT.pieces(io.BytesIO(data), how)
    [conversion] = tables.FORMAT.read(piece, how)
    first = next(row for name, row in tables.rows(conversion.resources) if name == "prescriptions")
    assert {
        key: str(first[key]) for key in ("medication", "dose", "dose_unit", "frequency", "repeats", "authored")
    } == {
        "medication": "860975",
        "dose": "1",
        "dose_unit": "{tablet}",
        "frequency": "2",
        "repeats": "3",
        "authored": "2024-03-07",
    }
