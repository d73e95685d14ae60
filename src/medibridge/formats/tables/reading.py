"""A block of rows as conversions, one for each patient in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from medibridge.formats.conversion import Conversion, Detected, Finding, Outcome, Piece, Report
from medibridge.formats.naming import Names
from medibridge.formats.settings import Settings
from medibridge.formats.tables.layout import Layout, pieces, rows_of
from medibridge.formats.tables.patients import add_patient, read_patient
from medibridge.formats.tables.prescriptions import read_prescription
from medibridge.formats.tables.problems import read_allergy, read_condition
from medibridge.formats.tables.results import read_result
from medibridge.formats.tables.row import Row
from medibridge.formats.tables.table import Reading
from medibridge.formats.tables.treatments import read_immunization, read_procedure
from medibridge.record import Json, JsonObject

__all__ = ["read"]

_READERS: Final[Mapping[str, Callable[[Row], dict[str, Json] | None]]] = {
    "Observation": read_result,
    "MedicationRequest": read_prescription,
    "Condition": read_condition,
    "AllergyIntolerance": read_allergy,
    "Immunization": read_immunization,
    "Procedure": read_procedure,
}
"""What a row becomes, and what reads it. A Patient is read from every row."""

_SUBJECTS: Final = {"AllergyIntolerance": "patient", "Immunization": "patient"}
_REPEATED: Final = "a later row says the same, or what has become of it; that one is kept"


def read(piece: Piece, settings: Settings) -> list[Conversion]:
    """The rows of each patient as FHIR R4, in the order in which the patients first occur.

    Raises `MalformedMessage`, naming the row, for one that is broken.
    """
    if not piece.start:  # a whole table
        return [found for part in pieces(io.BytesIO(piece.data), settings) for found in read(part, settings)]
    layout = Layout.of(piece.start, settings)
    reading = Reading(layout, settings)
    patients: dict[str, _PatientRows] = {}
    for numbered in rows_of(piece, layout):
        row = Row(reading, numbered)
        number = row.peek("patient.identifier")
        if number not in patients:
            patients[number] = _PatientRows(number, reading, Names(settings.source))
        patients[number].add(row)
    return [rows.conversion() for rows in patients.values()]


class _PatientRows:
    """The rows of one patient, and the resources that they become."""

    def __init__(self, number: str, reading: Reading, names: Names) -> None:
        self._number = number
        self._system = reading.authority("patient.identifier")
        self._reading = reading
        self._names = names
        self._id = names.by_identifier("Patient", self._system, number)
        self._patient: dict[str, Json] = {}
        self._resources: dict[str, tuple[Row, JsonObject]] = {}
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        self._rows.append(row)
        name = self._name(row)
        reader = _READERS.get(self._reading.kind.resource)
        if len(self._rows) == 1 or not row.agrees_on_patient(self._rows[0]):
            add_patient(self._patient, read_patient(row), row)
        elements = reader(row) if reader else None
        if elements is None:
            return
        kind = self._reading.kind.resource
        earlier = self._resources.get(name)
        if earlier:
            earlier[0].drop(Outcome.IGNORED, _REPEATED)
        subject = {"reference": f"Patient/{self._id}"}
        self._resources[name] = (
            row,
            {"resourceType": kind, "id": name, **elements, _SUBJECTS.get(kind, "subject"): subject},
        )

    def _name(self, row: Row) -> str:
        """The id of the row's resource: by its identifier, where it has one, else by what it says.

        Several results may have one number, that of the sample: there the code belongs to the name.
        """
        kind, value = self._reading.kind.resource, row.peek("identifier")
        if not value:
            return self._names.of(kind, "row", self._reading.kind.name, self._system, self._number, *row.name())
        system = self._reading.authority("identifier")
        if kind != "Observation":
            return self._names.by_identifier(kind, system, value)
        return self._names.of(kind, "identifier", system, value, *row.name("code."))

    def conversion(self) -> Conversion:
        kind = self._reading.kind
        patient: JsonObject = {"resourceType": "Patient", "id": self._id, **self._patient}
        findings = [finding for row in self._rows for finding in row.findings()]
        findings.extend(self._defaults())
        about = frozenset({kind.data_class})
        detected = Detected(f"table of {kind.name}", f"its headings are those of mapping {self._reading.map.name!r}")
        return Conversion(
            detected,
            (patient, *(resource for _, resource in self._resources.values())),
            Report(tuple(findings)),
            about,
            place=f"row {self._rows[0].number}",
        )

    def _defaults(self) -> Iterator[Finding]:
        """Each default once, with the rows that it was chosen for."""
        rows: dict[tuple[str, str], list[int]] = {}
        for row in self._rows:
            for element, reason in row.defaults.items():
                rows.setdefault((element, reason), []).append(row.number)
        for (element, reason), numbers in rows.items():
            target = self._reading.kind.elements[element].target
            place = f"row {numbers[0]}" + (f" and {len(numbers) - 1} more" if len(numbers) > 1 else "")
            yield Finding(place, Outcome.DEFAULT, reason, target)
