"""A first mapping for a table, proposed from its headings and what its cells look like."""

from __future__ import annotations

import functools
import io
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from medibridge.errors import UnknownFormat
from medibridge.formats.tables.dates import DateFormat, local_time, read_date
from medibridge.formats.tables.elements import Kind, definition, kinds, systems, word
from medibridge.formats.tables.layout import MAX_COLUMNS
from medibridge.formats.tables.recognition import delimiter_of, encoding_of
from medibridge.formats.tables.records import heading_of, read_records, split

__all__ = ["suggest"]

_LOOK: Final = 4 * 2**20
_ROWS: Final = 1_000
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_DAYS: Final = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y",
)  # fmt: skip
_TIMES: Final = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_DECIMAL_COMMA: Final = re.compile(
    r"[<>]?=? ?-?([0-9]+,([0-9]{1,2}|[0-9]{4,})|[0-9]{1,3}(\.[0-9]{3})+,[0-9]+|0,[0-9]+)"
)
_DECIMAL_POINT: Final = re.compile(
    r"[<>]?=? ?-?([0-9]+\.([0-9]{1,2}|[0-9]{4,})|[0-9]{1,3}(,[0-9]{3})+\.[0-9]+|0\.[0-9]+)"
)
_EITHER: Final = re.compile(r"[1-9][0-9]{0,2},[0-9]{3}")
_MEASURED: Final = ("value", "dose", "quantity", "range.low", "range.high")
_WORDS: Final = {
    "patient.gender": "gender", "patient.deceased": "boolean", "asNeeded": "boolean",
    "clinicalStatus": "clinical-status", "verificationStatus": "verification-status", "criticality": "criticality",
}  # fmt: skip
_SEXO: Final = ("sexo", "genero")
_STATUS: Final = {
    "Observation": "observation-status", "MedicationRequest": "request-status", "Immunization": "event-status",
    "Procedure": "event-status",
}  # fmt: skip


def suggest(stream: BinaryIO) -> str:
    """A profile in YAML with a mapping for the table, and a comment on each line that says why.

    What the cells leave open (whether 03/04 is in March or April) stays a comment for a person to decide. Comments
    hold no value of the table. Reads at most 4 MiB. Raises `UnknownFormat` for what is no table.
    """
    start = stream.read(_LOOK)
    delimiter = delimiter_of(start)
    if delimiter is None:
        raise UnknownFormat(
            "the input is no table: it needs a first line of headings, and rows of as many cells apart by , ; tab or |"
        )
    encoding = encoding_of(start)
    heading = heading_of(io.BytesIO(start))
    headings = split(heading, encoding, delimiter) or ()
    if len(headings) > MAX_COLUMNS:
        raise UnknownFormat(f"the table has more than {MAX_COLUMNS} columns; leave out what is not read")
    rows = _sample(start[len(heading) :], encoding, delimiter, len(headings))
    columns = [
        _Column(name, tuple(cell for row in rows if (cell := row[position].strip())))
        for position, name in enumerate(headings)
    ]
    return "\n".join(_lines(columns, delimiter, encoding)) + "\n"


@dataclass(frozen=True)
class _Column:
    heading: str
    cells: tuple[str, ...]

    @property
    def name(self) -> str:
        """The heading as ``headings.yaml`` writes one."""
        return _plain(self.heading)


@dataclass(frozen=True)
class _Proposal:
    """What a column may be, and why."""

    element: str
    why: str


def _sample(rest: bytes, encoding: str, delimiter: str, width: int) -> list[tuple[str, ...]]:
    records = itertools.islice(read_records(io.BytesIO(rest), encoding, delimiter), _ROWS)
    return [record.cells for record in records if len(record.cells) == width and not record.problem]


def _plain(heading: str) -> str:
    """Lower case, without marks, spaces and accents: ``PatientID`` and ``PATIENT_ID`` are ``patientid``."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", heading.casefold()) if letter.isalnum())


# --- which kind, which element --------------------------------------------------------------------------------------


@functools.cache
def _headings() -> tuple[Mapping[str, str], Mapping[str, Mapping[str, str]]]:
    """Heading to element: of every kind, and of each."""
    defined = cast("dict[str, object]", definition("headings"))
    shared = {_plain(name): element for element, names in defined.items() if isinstance(names, list) for name in names}
    own = {
        kind: {_plain(name): element for element, names in lines.items() for name in names}
        for kind, lines in defined.items()
        if isinstance(lines, dict)
    }
    return shared, own


def _kind_of(columns: Sequence[_Column]) -> Kind:
    """The kind whose headings are met most; a heading that few kinds have, or a code of its systems, weighs more."""
    _, own = _headings()
    weights = dict.fromkeys(own, 0.0)
    for column in columns:
        met = [kind for kind, names in own.items() if column.name in names]
        for kind in met:
            weights[kind] += 3 / len(met) if own[kind][column.name].startswith("code.") else 1 / len(met)
        if _holds_all("loinc", column.cells):
            weights["laboratory"] += 1
    best = max(weights, key=lambda kind: weights[kind])
    return kinds()[best if weights[best] >= 1 else "patients"]


def _holds_all(system: str, cells: Sequence[str]) -> bool:
    return bool(cells) and all(systems()[system].holds(cell) for cell in cells)


def _proposal(column: _Column, kind: Kind) -> _Proposal | None:
    """By a heading that is known, corrected by what the cells look like."""
    shared, own = _headings()
    element = own.get(kind.name, {}).get(column.name, "") or shared.get(column.name, "")
    if element not in kind.elements:
        element = ""
    why = "the heading says so"
    if element in ("", "code.local", "code.text", "code.loinc") and "code.loinc" in kind.elements:
        if _holds_all("loinc", column.cells):
            return _Proposal("code.loinc", "every cell has the form and check digit of LOINC")
        if element == "code.loinc" and column.cells:
            return _Proposal("code.local", "the heading says LOINC, but not every cell is a code of it")
    if element.startswith("code.") and element.removeprefix("code.") in systems() and column.cells:
        system = element.removeprefix("code.")
        if not _holds_all(system, column.cells):
            return _Proposal(
                element, f"the heading says so, but not every cell is a code of {systems()[system].names[0]}"
            )
        why = f"the heading says so, and every cell has the form of {systems()[system].names[0]}"
    return _Proposal(element, why) if element else None


# --- what the cells look like ---------------------------------------------------------------------------------------


@functools.cache
def _formats() -> tuple[tuple[str, DateFormat], ...]:
    found = [f"{day}{time}" for time in _TIMES for day in _DAYS]
    return tuple((text, DateFormat.of(text)) for text in found)


def _date_formats(cells: Sequence[str]) -> list[list[str]]:
    """Each reading of the cells as dates, as its formats; one empty list where all are ISO 8601; none where no."""
    if all(read_date(cell) for cell in cells):
        return [[]]
    readings = []
    for day in _DAYS:
        fitting = [(text, one) for text, one in _formats() if text.startswith(day) and any(map(one.read, cells))]
        if all(any(one.read(cell) for _, one in fitting) for cell in cells):
            readings.append([text for text, _ in fitting])
    return readings


def _decimal(columns: Sequence[_Column], elements: Sequence[str]) -> tuple[str, str]:
    """The decimal mark, and why; with a why alone where it is to be decided."""
    cells = [
        cell for column, element in zip(columns, elements, strict=True) if element in _MEASURED for cell in column.cells
    ]
    comma = any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
    point = any(_DECIMAL_POINT.fullmatch(cell) for cell in cells)
    if comma and not point:
        return ",", "numbers have a comma before their last digits"
    if comma:
        return "", 'DECIDE: some numbers have a decimal comma, others a point; "," or "."'
    if any(_EITHER.fullmatch(cell) for cell in cells):
        return "", 'DECIDE: a comma before three digits may set off decimals (",") or thousands (".")'
    return "", ""


# --- the YAML -------------------------------------------------------------------------------------------------------


def _lines(columns: Sequence[_Column], delimiter: str, encoding: str) -> Iterator[str]:
    kind = _kind_of(columns)
    taken: set[str] = set()
    elements = []
    lines = []
    for column in columns:
        proposal = _proposal(column, kind)
        if proposal is not None and proposal.element in taken:
            lines.append(_unknown(column, f"another column is {proposal.element} already; say what this one is"))
            proposal = None
        elif proposal is None:
            lines.append(_unknown(column, "not known; say what it is, or 'ignore'"))
        else:
            taken.add(proposal.element)
            lines.append(_line(column, proposal, kind))
        elements.append(proposal.element if proposal else "")
    yield "# A proposal. Check every line; lines with DECIDE need a person. See 'medibridge convert --help'."
    yield "tables:"
    yield f"- kind: {kind.name}  # {kind.about}; or {', '.join(name for name in kinds() if name != kind.name)}"
    if delimiter != ",":
        yield f"  delimiter: {json.dumps(delimiter)}  # it makes the most columns"
    if encoding != "utf-8":
        yield f"  encoding: {encoding}  # the bytes are not UTF-8"
    mark, why = _decimal(columns, elements)
    if why:
        yield f"  decimal: {json.dumps(mark)}  # {why}" if mark else f"  # decimal: ?  # {why}"
    if any("%H" in line or "%I" in line for line in lines) or "effective.time" in taken:
        yield "  # zone: Europe/Vienna  # DECIDE: the IANA zone of the times; without it only their dates are kept"
    yield "  columns:"
    yield from lines
    if "patient.identifier" not in taken:
        yield "    # DECIDE: no column looks like the number of the patient; one must be patient.identifier"
    yield "  # systems: {patient.identifier: 'urn:oid:…'}  # DECIDE: whose patient numbers these are"
    if "code.local" in taken:
        yield "  #   code.local: …  # and whose codes: the name that 'codes' of the profile has for them"
    if "status" in kind.elements and "status" not in taken:
        usual = {"Observation": "final", "MedicationRequest": "active"}.get(kind.resource, "completed")
        yield f"  # always: {{status: {usual}}}  # DECIDE: the table has no status; so it would be unknown"


def _unknown(column: _Column, why: str) -> str:
    return f"    # {_quoted(column.heading)}: ?  # {why}"


def _line(column: _Column, proposal: _Proposal, kind: Kind) -> str:
    parts, why = [f"is: {proposal.element}"], proposal.why
    if kind.elements[proposal.element].is_date:
        more, note = _dates(column.cells)
        parts += more
        why += note
    elif proposal.element.endswith(".time") and not all(map(local_time, column.cells)):
        why += "; but not every cell is a time of day"
    elif proposal.element == "patient.gender" and {"H"} <= {cell.upper() for cell in column.cells} <= {"H", "M"}:
        parts.append("values: {H: male, M: female}")
        why += ", and its letters are those of hombre and mujer"
    elif proposal.element == "patient.gender" and column.name in _SEXO and "M" in map(str.upper, column.cells):
        parts.append("values: {}")
        why += "; DECIDE: say in 'values' whether M is male (masculino) or female (mujer)"
    elif (table := _table(proposal.element, kind)) and not all(word(table, cell) for cell in column.cells):
        parts.append("values: {}")
        why += "; DECIDE: say in 'values' what each word means that is not known"
    value = proposal.element if len(parts) == 1 else "{" + ", ".join(parts) + "}"
    return f"    {_quoted(column.heading)}: {value}  # {why}"


def _table(element: str, kind: Kind) -> str:
    """The table of ``values.yaml`` that the words of an element stand in; empty where any text will do."""
    return _STATUS.get(kind.resource, "") if element == "status" else _WORDS.get(element, "")


def _dates(cells: Sequence[str]) -> tuple[list[str], str]:
    """The format of a column of dates, and a remark."""
    if not cells:
        return [], "; DECIDE: no cell shows how its dates are written; ISO 8601 without a format"
    readings = _date_formats(cells)
    if not readings:
        return [], "; DECIDE: not every cell is a date of one known form; give its format"
    if len(readings) > 1:
        choices = " or ".join(json.dumps(one[0]) for one in readings)
        return [], f"; DECIDE: its dates fit {choices}; add one as format"
    [formats] = readings
    if not formats:
        return [], ", and its dates are ISO 8601"
    written = json.dumps(formats[0]) if len(formats) == 1 else json.dumps(formats)
    two = "; a year of two digits is taken for one from 1969 to 2068" if "%y" in formats[0] else ""
    return [f"format: {written}"], f", and its dates are all written so{two}"


def _quoted(heading: str) -> str:
    return heading if _PLAIN.fullmatch(heading) else json.dumps(heading, ensure_ascii=not heading.isprintable())
