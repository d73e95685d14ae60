"""CSV as FHIR R4: every cell accounted for, stable ids, bounded whatever comes."""

from __future__ import annotations

import io
import tracemalloc
from importlib.resources import files

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from medibridge.errors import FormatError, MalformedMessage, UsageError
from medibridge.formats import tables
from medibridge.formats.conversion import Conversion, Finding, Outcome, Piece
from medibridge.formats.fhir import validate
from medibridge.formats.finishing import finish
from medibridge.formats.settings import Profile, Settings
from medibridge.formats.tables.elements import kinds
from medibridge.formats.tables.layout import Layout
from medibridge.record import JsonObject, Number, canonical_json

SAMPLES = ("laboratory.csv", "prescriptions.csv", "symptoms.csv")

LAB = """
tables:
- kind: laboratory
  name: lab
  columns:
    MRN: patient.identifier
    SEX: patient.gender
    TEST: code.text
    LOINC: code.loinc
    RESULT: value
    UNIT: unit
    DRAWN: effective
    NOTE: note
    SKIP: ignore
  systems: {patient.identifier: "urn:oid:2.999.1"}
  always: {status: final}
"""
HEADING = "MRN,SEX,TEST,LOINC,RESULT,UNIT,DRAWN,NOTE,SKIP,EXTRA\n"


def sample(name: str) -> bytes:
    return files("medibridge.samples").joinpath(name).read_bytes()


def with_profile(text: str, source: str = "rowan") -> Settings:
    return Settings(source, False, Profile.from_yaml(text))


def read_all(
    data: bytes | str, profile: str | Settings = LAB
) -> tuple[list[Conversion], list[tuple[Piece, FormatError]]]:
    how = profile if isinstance(profile, Settings) else with_profile(profile)
    found: list[Conversion] = []
    refused: list[tuple[Piece, FormatError]] = []
    stream = io.BytesIO(data if isinstance(data, bytes) else data.encode())
    for piece in tables.FORMAT.pieces(stream, how):
        try:
            found.extend(tables.FORMAT.read(piece, how))
        except FormatError as problem:
            refused.append((piece, problem))
    return found, refused


def one(data: bytes | str, profile: str | Settings = LAB) -> Conversion:
    [conversion], refused = read_all(data, profile)
    assert refused == []
    return conversion


def resources(conversion: Conversion, kind: str) -> list[JsonObject]:
    return [resource for resource in conversion.resources if resource["resourceType"] == kind]


def finding(conversion: Conversion, place: str) -> Finding:
    [found] = [found for found in conversion.report.findings if found.place == place]
    return found


def table(kind: str, columns: str, row: str, more: str = "") -> tuple[JsonObject, Conversion]:
    """The resource of a table of one row; `columns` as in a mapping, the cells of `row` apart by bars."""
    pairs = [line.split(": ", 1) for line in columns.split("; ")]
    lines = "\n".join(f"    {heading}: {what}" for heading, what in pairs)
    profile = f"tables:\n- kind: {kind}\n  columns:\n    MRN: patient.identifier\n{lines}\n{more}"
    conversion = one("MRN|" + "|".join(heading for heading, _ in pairs) + f"\n1|{row}\n", profile)
    found = [resource for resource in conversion.resources if resource["resourceType"] != "Patient"]
    for resource in conversion.resources:
        assert validate(resource) == ()
    return (found[0] if found else conversion.resources[0]), conversion


# --- whole tables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_read_gives_valid_resources_and_accounts_for_every_cell_of_the_samples(name: str) -> None:
    how = with_profile(sample("tables-profile.yaml").decode())
    assert tables.FORMAT.recognise(sample(name))
    conversion = one(sample(name), how)
    assert conversion.report.places(Outcome.INVALID, Outcome.UNMAPPED, Outcome.PARTLY) == ()
    assert len(conversion.records) == 1
    for resource in conversion.resources:
        assert validate(resource) == ()


def test_read_keeps_digits_zone_comparator_and_unit_of_a_result() -> None:
    glucose, _, protein, cells, group = resources(
        one(sample("laboratory.csv"), with_profile(sample("tables-profile.yaml").decode())), "Observation"
    )
    assert canonical_json(glucose["valueQuantity"]) == (
        b'{"code":"mg/dL","system":"http://unitsofmeasure.org","unit":"mg/dl","value":72.50}'
    )
    assert glucose["effectiveDateTime"] == "2024-03-06T08:15:00+01:00"
    assert protein["valueQuantity"]["comparator"] == "<"  # type: ignore[index,call-overload]
    assert cells["valueQuantity"]["code"] == "10*3/uL"  # type: ignore[index,call-overload]
    assert group["valueString"] == "A positive"
    assert group["effectiveDateTime"] == "2024-03-06"


def test_read_says_what_became_of_each_cell() -> None:
    conversion = one(HEADING + '007,F,Glucose,2345-8,"5,5",mg/dL,31.02.2024,,x,y\n')
    outcomes = {found.place: found.outcome for found in conversion.report.findings}
    assert outcomes == {
        "row 2, column 1": Outcome.MAPPED,
        "row 2, column 2": Outcome.MAPPED,
        "row 2, column 3": Outcome.MAPPED,
        "row 2, column 4": Outcome.INVALID,
        "row 2, column 5": Outcome.PARTLY,
        "row 2, column 6": Outcome.UNMAPPED,
        "row 2, column 7": Outcome.INVALID,
        "row 2, column 9": Outcome.IGNORED,
        "row 2, column 10": Outcome.UNMAPPED,
    }
    assert resources(conversion, "Patient")[0]["identifier"] == [{"system": "urn:oid:2.999.1", "value": "007"}]
    assert "2345-8" not in str(conversion.report.findings)


def test_read_gives_one_conversion_a_patient() -> None:
    found, _ = read_all(HEADING + "1,,A,,1,,,,,\n2,,A,,1,,,,,\n1,,B,,1,,,,,\n")
    assert [len(resources(conversion, "Observation")) for conversion in found] == [2, 1]
    assert [conversion.place for conversion in found] == ["row 2", "row 3"]


def test_read_refuses_bad_rows_alone_and_names_row_and_line() -> None:
    rows = [
        '1,,"A\nB",,1,,,,,',
        "1,,A,,1",
        ",,A,,1,,,,,",
        '1,,"A"B,,1,,,,,',
        "1,,C,,1,,,,,",
        "",
        ",,,,,,,,,",
        '1,,D,,1,,,,,"never closed',
    ]
    found, refused = read_all(HEADING + "\n".join(rows))
    assert sum(len(resources(conversion, "Observation")) for conversion in found) == 2
    assert [str(error) for _, error in refused] == [
        "row 3 (line 4) has 5 cells, but the heading has 10; a delimiter or a quote is missing",
        "row 4 (line 5) names no patient (column 1 is empty); fill it in",
        "row 5 (line 6) has text after a closing quote; double the quotes inside a cell",
        "row 9 (line 10) opens a quote that is never closed; close it",
    ]
    assert refused[0][0].data == b"1,,A,,1\n"


def test_read_keeps_what_an_earlier_row_says_of_the_patient_when_a_later_one_differs() -> None:
    conversion = one(HEADING + "1,F,A,,1,,,,,\n1,M,B,,1,,,,,\n")
    assert resources(conversion, "Patient")[0]["gender"] == "female"
    assert finding(conversion, "row 3, column 2").outcome is Outcome.UNMAPPED


def test_read_leaves_out_a_row_when_nothing_says_what_was_measured() -> None:
    conversion = one(HEADING + "1,F,,,1,mg,,,,\n")
    assert resources(conversion, "Observation") == []
    assert finding(conversion, "row 2, column 5").outcome is Outcome.INVALID
    assert finding(conversion, "row 2, column 2").outcome is Outcome.MAPPED


def test_read_reports_a_control_character() -> None:
    conversion = one(HEADING + "1,F,A,,1,,,a\0b,,\n")
    assert finding(conversion, "row 2, column 8").outcome is Outcome.INVALID
    assert "note" not in resources(conversion, "Observation")[0]


# --- ids ------------------------------------------------------------------------------------------------------------


def ids(conversions: list[Conversion]) -> list[str]:
    return [str(found["id"]) for conversion in conversions for found in resources(conversion, "Observation")]


def test_read_gives_the_same_ids_wherever_a_block_begins() -> None:
    rows = [f"1,,A,,{number},mg,2024-01-01,,,\n" for number in range(1500)]
    whole, _ = read_all(HEADING + "".join(rows))
    half, _ = read_all(HEADING + "".join(rows[777:]))
    assert len(whole) == 2
    assert ids(whole)[777:] == ids(half)
    assert len(set(ids(whole))) == 1500


def test_read_takes_a_later_row_of_the_same_thing_for_its_new_state() -> None:
    profile = LAB.replace("    NOTE: note", "    NOTE: status").replace("  always: {status: final}\n", "")
    conversion = one(HEADING + "1,,A,,1,mg,2024,P,,\n1,,A,,1,mg,2024,F,,\n", profile)
    [observation] = resources(conversion, "Observation")
    assert observation["status"] == "final"
    assert finding(conversion, "row 2, column 5").outcome is Outcome.IGNORED


def test_read_keeps_apart_the_results_of_one_sample() -> None:
    profile = LAB.replace("NOTE: note", "NOTE: identifier")
    conversion = one(HEADING + "1,,A,,1,mg,,S1,,\n1,,B,,1,mg,,S1,,\n", profile)
    assert len(set(ids([conversion]))) == 2
    changed = one(HEADING + "1,,A,,9,mg,,S1,,\n", profile)
    assert ids([changed]) == ids([conversion])[:1]


def test_read_names_the_patient_as_the_other_formats_do() -> None:
    from medibridge.formats.naming import Names

    conversion = one(HEADING + "1,,A,,1,,,,,\n")
    assert resources(conversion, "Patient")[0]["id"] == Names("rowan").by_identifier("Patient", "urn:oid:2.999.1", "1")


# --- kinds ----------------------------------------------------------------------------------------------------------


def test_read_makes_a_medication_request() -> None:
    found, conversion = table(
        "prescriptions",
        "RX: identifier; DRUG: code.text; ATC: code.atc; DOSE: dose; ROUTE: route; HOW: frequency; QTY: quantity; "
        "QU: quantity.unit; DAYS: daysSupply; REP: repeats; WHEN: authored; FROM: start; TO: end; WHY: reason.icd10",
        "R1|Metformin|A10BA02|500 mg|oral|1-0-1|60|Tbl.|30|3|2024-03-07|2024-03-07|2024-06-07|E11.9",
    )
    assert found["dosageInstruction"] == [
        {
            "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}, "code": {"text": "1-0-1"}},
            "route": {"coding": [{"system": "http://snomed.info/sct", "code": "26643006"}], "text": "oral"},
            "doseAndRate": [
                {
                    "doseQuantity": {
                        "value": Number("500"),
                        "unit": "mg",
                        "system": "http://unitsofmeasure.org",
                        "code": "mg",
                    }
                }
            ],
        }
    ]
    assert found["dispenseRequest"]["numberOfRepeatsAllowed"] == 3  # type: ignore[index,call-overload]
    assert conversion.report.places(Outcome.INVALID, Outcome.UNMAPPED, Outcome.PARTLY) == ()


@pytest.mark.parametrize(
    ("text", "repeat", "as_needed"),
    [
        ("BID", (2, 1, "d"), None),
        ("q8h PRN", (1, 8, "h"), True),
        ("3x daily", (3, 1, "d"), None),
        ("2 mal täglich", (2, 1, "d"), None),
        ("alle 6 Stunden", (1, 6, "h"), None),
        ("cada 12 horas", (1, 12, "h"), None),
        ("weekly", (1, 1, "wk"), None),
        ("1-1-1-1", (4, 1, "d"), None),
        ("2-0-1", None, None),
        ("when it rains", None, None),
    ],
)
def test_read_understands_common_frequencies_and_keeps_others_as_text(
    text: str, repeat: tuple[int, int, str] | None, as_needed: bool | None
) -> None:
    found, _ = table("prescriptions", "DRUG: code.text; HOW: frequency", f"x|{text}")
    [dosage] = found["dosageInstruction"]  # type: ignore[misc]
    assert dosage["timing"]["code"] == {"text": text}  # type: ignore[index,call-overload]
    expected = dict(zip(("frequency", "period", "periodUnit"), repeat, strict=True)) if repeat else None
    assert dosage["timing"].get("repeat") == expected  # type: ignore[index,call-overload,union-attr]
    assert dosage.get("asNeededBoolean") == as_needed  # type: ignore[union-attr]


def test_read_keeps_the_rules_of_r4_on_the_status_of_a_condition() -> None:
    columns = "WHAT: code.text; S: clinicalStatus; V: verificationStatus; END: abatement"
    ended, conversion = table("conditions", columns, "x|||2024-01")
    assert ended["clinicalStatus"]["coding"][0]["code"] == "resolved"  # type: ignore[index,call-overload]
    assert [found.outcome for found in conversion.report.findings].count(Outcome.DEFAULT) == 2
    going_on, conversion = table("conditions", columns, "x|active||2024-01")
    assert "abatementDateTime" not in going_on
    assert finding(conversion, "row 2, column 5").outcome is Outcome.INVALID
    wrong, _ = table("conditions", columns, "x|active|entered-in-error|")
    assert "clinicalStatus" not in wrong


@pytest.mark.parametrize(
    ("kind", "columns", "row"),
    [
        ("vital-signs", "WHAT: code.text; V: value; U: unit", "Weight|72.50|kg"),
        (
            "allergies",
            "WHAT: code.text; R: reaction.text; S: severity; C: criticality; T: type",
            "Penicillin|Hives|mild|high|allergy",
        ),
        (
            "immunizations",
            "WHAT: code.cvx; D: occurrence; L: lot; R: route; A: dose; U: dose.unit",
            "208|2024-01-02|B7|IM|0.3|mL",
        ),
        (
            "procedures",
            "WHAT: code.text; C: code.snomed; A: performed; B: end; S: status",
            "Appendectomy|80146002|2024-01-02|2024-01-03|completed",
        ),
        (
            "patients",
            "F: patient.family; G: patient.given; B: patient.birthDate; Z: patient.postalCode; D: patient.deceased",
            "Fernhollow|Iris Maud|1961|01067|no",
        ),
        ("symptoms", "WHAT: code.text; S: severity; O: onset", "Cough|leicht|2024-03"),
    ],
)
def test_read_reads_every_kind_of_table(kind: str, columns: str, row: str) -> None:
    found, conversion = table(kind, columns, row)
    assert found["resourceType"] == kinds()[kind].resource
    assert conversion.report.places(Outcome.INVALID, Outcome.UNMAPPED) == ()


def test_read_keeps_the_rules_of_r4_on_the_status_of_an_allergy() -> None:
    columns = "WHAT: code.text; S: clinicalStatus; V: verificationStatus"
    silent, _ = table("allergies", columns, "x||suspected")
    assert silent["clinicalStatus"]["coding"][0]["code"] == "active"  # type: ignore[index,call-overload]
    assert silent["verificationStatus"]["coding"][0]["code"] == "unconfirmed"  # type: ignore[index,call-overload]
    wrong, _ = table("allergies", columns, "x|active|error")
    assert "clinicalStatus" not in wrong
    _, conversion = table("allergies", columns, "x|relapse|")
    assert finding(conversion, "row 2, column 3").outcome is Outcome.INVALID


def test_read_leaves_out_an_end_before_the_beginning() -> None:
    _, conversion = table("procedures", "C: code.text; A: performed; B: end", "x|2024-01-02|2023")
    assert finding(conversion, "row 2, column 4").outcome is Outcome.INVALID
    found, _ = table("prescriptions", "C: code.text; A: start; B: end", "x|2024-01-02|2024-01-01")
    assert found["dispenseRequest"] == {"validityPeriod": {"start": "2024-01-02"}}


def test_read_leaves_out_a_vaccination_without_a_date() -> None:
    _, conversion = table("immunizations", "C: code.cvx; D: occurrence; L: lot", "141||B7")
    assert resources(conversion, "Immunization") == []
    assert finding(conversion, "row 2, column 4").outcome is Outcome.INVALID


@pytest.mark.parametrize(("sign", "expected"), [("<", "<"), ("=", None), ("about", None)])
def test_read_takes_a_comparator_of_its_own_column(sign: str, expected: str | None) -> None:
    found, _ = table("laboratory", "C: code.text; S: comparator; V: value; L: range.low", f"x|{sign}|5|1")
    assert found["valueQuantity"].get("comparator") == expected  # type: ignore[union-attr]
    assert found["referenceRange"] == [{"low": {"value": Number("1")}}]


def test_read_says_that_it_is_the_mapping_when_what_always_holds_is_no_word() -> None:
    with pytest.raises(UsageError, match="mapping 'lab', always, status: a word that is not known here; correct it"):
        one(HEADING + "1,,A,,1,,,,,\n", LAB.replace("status: final", "status: fnial"))


def test_read_reads_a_whole_table_as_one_piece() -> None:
    found = tables.FORMAT.read(Piece((HEADING + "1,,A,,1,,,,,\n").encode()), with_profile(LAB))
    assert len(found) == 1


# --- codes, numbers, dates ------------------------------------------------------------------------------------------


def test_read_puts_what_the_profile_says_before_a_local_code() -> None:
    more = "  systems: {code.local: 99LAB}\ncodes:\n  99LAB:\n    GLU: {system: 'http://loinc.org', code: 2345-7}\n"
    found, _ = table("laboratory", "CODE: code.local; V: value", "GLU|1", more)
    assert found["code"] == {"coding": [{"system": "http://loinc.org", "code": "2345-7"}, {"code": "GLU"}]}


def test_read_reads_a_code_of_the_system_that_a_column_names() -> None:
    found, _ = table("conditions", "C: code.code; S: code.system", "E11.9|ICD-10")
    assert found["code"] == {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "E11.9"}]}
    _, conversion = table("conditions", "C: code.code; S: code.system", "E11.9|house list")
    assert finding(conversion, "row 2, column 3").outcome is Outcome.PARTLY


@pytest.mark.parametrize(
    ("decimal", "text", "value"),
    [
        (".", "1,234.50", "1234.50"),
        (",", "1.234,50", "1234.50"),
        (",", "0,10", "0.10"),
        (".", ".5", "0.5"),
        (".", "007", "7"),
        (".", "+5", "5"),
        ("", "1,234", None),
        (".", "12,34", None),
        (",", "1.5", None),
        (".", "1e5", None),
        (".", "٣", None),
    ],
)
def test_read_reads_numbers_by_the_decimal_mark_and_keeps_others_as_text(
    decimal: str, text: str, value: str | None
) -> None:
    more = f'  decimal: "{decimal}"\n' if decimal else ""
    found, _ = table("laboratory", "T: code.text; V: value", f"x|{text}", more)
    if value is None:
        assert found["valueString"] == text
    else:
        assert str(found["valueQuantity"]["value"]) == value  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("how", "text", "expected"),
    [
        ("effective", "2024-03-06T08:15:30.250+01:00", "2024-03-06T08:15:30.250+01:00"),
        ("effective", "2024-03-06 08:15", "2024-03-06"),
        ("effective", "2024", "2024"),
        ("effective", "20240306", "2024-03-06"),
        ("{is: effective, zone: Europe/Vienna}", "2024-07-06 08:15", "2024-07-06T08:15:00+02:00"),
        ("{is: effective, zone: Europe/Vienna}", "2024-10-27 02:30", "2024-10-27"),
        ("{is: effective, zone: Europe/Vienna}", "2024-03-31 02:30", "2024-03-31"),
        ("{is: effective, zone: Europe/Vienna}", "0001-01-01 00:00", "0001-01-01"),
        ("{is: effective, zone: America/New_York}", "9999-12-31 23:59", "9999-12-31T23:59:00-05:00"),
        (
            '{is: effective, format: "%m/%d/%Y %I:%M %p", zone: America/New_York}',
            "3/6/2024 1:05 PM",
            "2024-03-06T13:05:00-05:00",
        ),
        ('{is: effective, format: "%d. %B %Y"}', "6. März 2024", "2024-03-06"),
        ('{is: effective, format: "%b %Y"}', "Mar 2024", "2024-03"),
        ('{is: effective, format: "%d.%m.%y"}', "06.03.24", "2024-03-06"),
        ("effective", "0000-01-01", None),
        ("effective", "06.03.2024", None),
    ],
)
def test_read_keeps_the_precision_of_a_date(how: str, text: str, expected: str | None) -> None:
    found, _ = table("laboratory", f"T: code.text; D: {how}", f"x|{text}")
    assert found.get("effectiveDateTime") == expected


def test_read_joins_a_date_and_its_time() -> None:
    found, _ = table(
        "laboratory", "T: code.text; D: effective; C: effective.time", "x|2024-03-06|8:15", "  zone: UTC\n"
    )
    assert found["effectiveDateTime"] == "2024-03-06T08:15:00+00:00"


# --- mappings -------------------------------------------------------------------------------------------------------


def test_pieces_say_how_to_get_a_mapping_when_there_is_none() -> None:
    with pytest.raises(MalformedMessage, match=r"no mapping for this table; .*convert --suggest FILE > map\.yaml"):
        read_all("A,B\n1,2\n", "zone: UTC")
    with pytest.raises(MalformedMessage, match=r"none of the mappings .* has all its columns"):
        read_all("A,B\n1,2\n")


def test_pieces_name_both_mappings_when_two_fit() -> None:
    with pytest.raises(MalformedMessage, match=r"'lab' and 'second' both read this table"):
        read_all(HEADING, LAB + LAB.replace("tables:\n", "").replace("name: lab", "name: second"))


def test_pieces_refuse_a_heading_that_stands_twice() -> None:
    with pytest.raises(MalformedMessage, match="two columns are headed 'MRN'"):
        read_all("MRN," + HEADING)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("{kind: lab}", "no kind that is known; write one of patients, laboratory"),
        ("{kind: laboratory, colums: {}}", "'colums' that is not known"),
        ("{kind: laboratory, columns: {A: value}}", "no column that is patient.identifier"),
        ("{kind: laboratory, columns: {A: patient.identifier, B: valeu}}", "has no 'valeu'; write one of"),
        ("{kind: laboratory, columns: {A: patient.identifier, B: value, C: value}}", "gives value twice"),
        ("{kind: laboratory, columns: {A: {is: patient.identifier, format: '%Y'}}}", "is no date"),
        ("{kind: patients, columns: {A: patient.identifier, B: {is: patient.birthDate, format: '%d.%Q'}}}", "%Q"),
        (
            "{kind: patients, columns: {A: patient.identifier, B: {is: patient.birthDate, format: '%d.%m.'}}}",
            "without a year",
        ),
        (
            "{kind: patients, columns: {A: patient.identifier, B: {is: patient.birthDate, format: '%b %m %Y %B'}}}",
            "twice",
        ),
        ("{kind: patients, columns: {A: patient.identifier}, zone: Mars}", "no IANA time zone"),
        ("{kind: patients, columns: {A: patient.identifier}, decimal: x}", "decimal is not one of"),
        ("{kind: patients, columns: {A: patient.identifier}, values: {B: {x: y}}}", "names 'B', which is none"),
        ("{kind: patients, columns: [A]}", "'name: value' lines"),
        ("{columns: {A: patient.identifier}}", "kind is not a text"),
        ("{kind: patients, columns: {A: [x]}}", "'name: value' lines"),
    ],
)
def test_pieces_name_the_place_when_a_mapping_is_wrong(mapping: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_all("A,B\n1,2\n", f"tables:\n- {mapping}\n")
    assert words in str(caught.value)
    assert "mapping" in str(caught.value)


def test_read_takes_the_encoding_of_the_mapping_or_of_the_mark() -> None:
    text = HEADING + "1,,Größe,,1,,,,,\n"
    for data, profile in (
        (text.encode("cp1252"), LAB + "  encoding: cp1252\n"),
        (b"\xef\xbb\xbf" + text.encode(), LAB + "  encoding: cp1252\n"),
        (b"sep=,\r\n" + text.replace("\n", "\r\n").encode(), LAB),
        (text.replace(",", "\t").encode(), LAB),
    ):
        [observation] = resources(one(data, profile), "Observation")
        assert observation["code"] == {"text": "Größe"}
    _, [(_, error)] = read_all(text.encode("cp1252"))
    assert "encoding" in str(error)


# --- attacks --------------------------------------------------------------------------------------------------------


class Endless(io.RawIOBase):
    """A heading, then `size` bytes of one character."""

    def __init__(self, start: bytes, letter: bytes, size: int) -> None:
        self.start, self.letter, self.left = start, letter, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data, self.start = self.start[: len(buffer)], self.start[len(buffer) :]
        if not data:
            data = self.letter * min(len(buffer), self.left)
            self.left -= len(data)
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("beginning", [b"", b'1,,"'])
def test_pieces_stay_small_when_a_line_is_a_hundred_megabytes(beginning: bytes) -> None:
    stream = io.BufferedReader(Endless(HEADING.encode() + beginning, b"x", 100 * 2**20))
    how = with_profile(LAB)
    tracemalloc.start()
    sizes = []
    for piece in tables.FORMAT.pieces(stream, how):
        sizes.append(len(piece.data))
        with pytest.raises(MalformedMessage, match="a quote may not be closed"):
            tables.FORMAT.read(piece, how)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == 100 * 2**20 + len(beginning)
    assert max(sizes) <= 4 * 2**20 + 1
    assert peak < 40 * 2**20


def test_pieces_go_on_after_a_quote_that_is_never_closed() -> None:
    lines = '1,,"A,,1,,,,,\n' + "1,,B,,1,,,,,\n" * 90_000
    found, refused = read_all(HEADING + lines)
    assert len(refused) == 1
    assert "cell of more than 1048576 characters" in str(refused[0][1])
    assert found


def test_pieces_refuse_a_million_columns() -> None:
    with pytest.raises(MalformedMessage, match="heading is longer"):
        read_all(",".join(f"c{number}" for number in range(1_000_000)) + "\n1,2\n")
    assert tables.FORMAT.recognise(b"a," * 30_000 + b"b\n") is None
    names = "".join(f",c{number}" for number in range(5000))
    with pytest.raises(MalformedMessage, match="more than 4096 columns"):
        read_all(HEADING.strip() + names + "\n1,2\n")


def test_pieces_of_many_rows_stay_in_flat_memory() -> None:
    how = with_profile(LAB)

    def peak_of(count: int) -> int:
        data = HEADING.encode() + b"1,,A,,1,mg,2024-01-01,,,\n" * count
        tracemalloc.start()
        for piece in tables.FORMAT.pieces(io.BytesIO(data), how):
            assert len(piece.data) < 100_000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak_of(20_000) < 2 * peak_of(2_000)


cell = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["2345-7", "<5", "72.50", "mg/dL", "2024-03-06", "F", "=1+1", '"', "1,234", "NULL", "\x00", "2024-03-31 02:30"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(cell, min_size=10, max_size=10), min_size=1, max_size=4))
def test_read_accounts_for_every_cell_and_gives_valid_resources_whatever_stands_there(rows: list[list[str]]) -> None:
    import csv

    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([["1", *row[1:]] for row in rows])
    found, refused = read_all(HEADING + text.getvalue())
    again, _ = read_all(HEADING + text.getvalue())
    assert [conversion.resources for conversion in found] == [conversion.resources for conversion in again]
    reported = [
        place for conversion in found for place in conversion.report.places(*(set(Outcome) - {Outcome.DEFAULT}))
    ]
    if not refused:
        expected = [
            f"row {number}, column {position}"
            for number, row in enumerate(rows, 2)
            for position, text_ in enumerate(["1", *row[1:]], 1)
            if text_.strip()
        ]
        assert sorted(reported) == sorted(expected)
    for conversion in found:
        mended = finish(Piece(b""), conversion, with_profile(LAB)).report
        assert [found.place for found in mended.findings if found.place.startswith("output")] == []
        for resource in conversion.resources:
            assert validate(resource) == ()


odd = st.sampled_from(
    ["", "1", "0", "-3", "5 mg", "<5", "1e9", "99999", "2024-03-06", "2024-03-06T08:15:00Z", "2025", "0001", "active",
     "resolved", "entered in error", "provisional", "completed", "refused", "final", "food", "high", "moderate", "yes",
     "no", "male", "BID", "q8h prn", "PO", "E11.9", "2345-7", "44054006", "860975", "a  b", "relapse", "mg", "4-10"]
)  # fmt: skip


@pytest.mark.parametrize("kind", list(kinds()))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_read_gives_what_r4_allows_whatever_a_table_of_any_kind_holds(kind: str, data: st.DataObject) -> None:
    columns = [name for name in kinds()[kind].elements if name != "patient.identifier"]
    columns = data.draw(st.lists(st.sampled_from(columns), min_size=5, max_size=40, unique=True))
    if "code.text" in kinds()[kind].elements:
        columns = ["code.text", *(name for name in columns if name != "code.text")]
    cells = [data.draw(odd) for _ in columns]
    lines = "".join(f"    {name}: {name}\n" for name in ("patient.identifier", *columns))
    profile = f"tables:\n- kind: {kind}\n  columns:\n{lines}"
    text = "|".join(["patient.identifier", *columns]) + "\n" + "|".join(["1", *cells]) + "\n"
    conversion = one(text, profile)
    mended = finish(Piece(b""), conversion, with_profile(profile)).report
    assert [found for found in mended.findings if found.place.startswith("output")] == []
    assert all(validate(resource) == () for resource in conversion.resources)
    assert len(conversion.report.places(*(set(Outcome) - {Outcome.DEFAULT}))) == 1 + sum(map(bool, cells))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_read_never_fails_otherwise_than_it_says(data: bytes, has_heading: bool) -> None:
    tables.FORMAT.recognise(data)
    try:
        read_all(HEADING.encode() + data if has_heading else data)
    except FormatError as problem:
        assert "\n" not in str(problem)


# --- recognition ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"a,b\n1,2\n",
        b"a;b;c\n1;2;3\n1;2\n1;2;3\n",
        b"\xef\xbb\xbfa\tb\n1\t2\n",
        b"a|b\r\n1|2\r\n",
        b"a,b,c\n",
        b'a,"b"\n1,"x\ny"\n',
    ],
)
def test_recognise_knows_a_table(data: bytes) -> None:
    assert tables.FORMAT.recognise(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"Dear Sir, hello\nworld\n",
        b'{"a": 1, "b": 2}',
        b"[1, 2]",
        b"<a b='1,2'/>",
        b"MSH|^~\\&|A|B\nPID|1|2|3\n",
        b"1,2\n3,4\n",
        b"a,a\n1,2\n",
        b"a,b\0\n1,2",
        bytes(128) + b"DICM",
        b"a,b\n",
    ],
)
def test_recognise_leaves_others_alone(data: bytes) -> None:
    assert tables.FORMAT.recognise(data) is None


def test_layout_is_found_once_for_the_pieces_of_a_table():
    site = Settings(profile=Profile.from_yaml(LAB))
    start = b"MRN,SEX,TEST,LOINC,RESULT,UNIT,DRAWN,NOTE,SKIP\n"
    assert Layout.of(start, site) is Layout.of(start, site)
    assert Layout.of(start, Settings(profile=Profile.from_yaml(LAB))) is not Layout.of(start, site)
