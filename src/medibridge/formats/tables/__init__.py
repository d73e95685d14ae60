"""Tables: a CSV as FHIR R4 by a mapping of the site, and FHIR R4 as flat tables.

What the columns of a table are, only the site knows. It says so in a mapping, below ``tables:`` of its profile;
``medibridge convert --suggest FILE`` (`suggest`) proposes one::

    tables:
    - kind: laboratory              # or vital-signs, prescriptions, conditions, symptoms, allergies, immunizations,
                                    # procedures, patients
      name: central lab             # for errors
      columns:                      # heading: what the column is
        PATIENT_ID: patient.identifier
        DOB: {is: patient.birthDate, format: "%d.%m.%Y"}
        SEX: {is: patient.gender, values: {M: male, W: female}}
        TEST: code.text
        LOINC: code.loinc           # code.snomed, code.rxnorm …; code.local for codes of the site
        RESULT: value               # 72.50, <5, negative
        UNIT: unit
        DRAWN: {is: effective, format: ["%d.%m.%Y %H:%M", "%d.%m.%Y"], zone: Europe/Vienna}
        PRINTED: ignore             # left out on purpose
      systems:                      # whose numbers and codes these are: a URI, or a name of `authorities` or `codes`
        patient.identifier: urn:oid:1.2.40.0.34.1
        code.local: 99LAB
      always: {status: final}       # what holds for every row that does not say otherwise
      absent: ["-", "n.d."]         # cells that mean that there is no value
      zone: Europe/Vienna           # of times without an offset, where the column names none
      decimal: ","                  # the decimal mark; without it, 1,234 is no number
      delimiter: ";"                # where it is not found by itself: , ; tab |
      encoding: cp1252              # where it is not UTF-8

A table is read by the mapping that has all its columns among the headings. ``elements.yaml`` lists what a column can
be, ``values.yaml`` the words that are understood without `values`. Dates without a `format` are ISO 8601 (or
``YYYYMMDD``); ``%y`` reads 69 to 99 as 19xx. Everything is text: leading zeros stay.

A row is named by its `identifier`, else by all that it says but its state (status, flags, end); so the same row
has the same id in every file, and a later row about the same thing takes its place. A row with too few or too many
cells, a broken quote or no patient is refused alone. Findings name ``row 17, column 3``; the heading is row 1.

The other way, `flat.rows` makes rows of resources, and `files` writes them as CSV or Parquet.
"""

from __future__ import annotations

from typing import Final

from medibridge.formats.conversion import Format
from medibridge.formats.tables.files import write_csv, write_parquet
from medibridge.formats.tables.flat import TABLES, Cell, Column, Table, dictionary, rows
from medibridge.formats.tables.layout import pieces
from medibridge.formats.tables.reading import read
from medibridge.formats.tables.recognition import recognise
from medibridge.formats.tables.suggestion import suggest

__all__ = [
    "FORMAT",
    "TABLES",
    "Cell",
    "Column",
    "Table",
    "dictionary",
    "rows",
    "suggest",
    "write_csv",
    "write_parquet",
]

FORMAT: Final = Format("tables", "tables (CSV with a heading, and a mapping in the profile)", recognise, pieces, read)
