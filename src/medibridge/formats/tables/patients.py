"""The columns about the patient, as Patient."""

from __future__ import annotations

from medibridge.formats.conversion import Outcome
from medibridge.formats.tables.row import Row, sparse
from medibridge.record import Json

__all__ = ["add_patient", "read_patient"]


def read_patient(row: Row) -> dict[str, Json]:
    """What a row says of its patient, without an id."""
    name = sparse(
        text=row.text("patient.name"), family=row.text("patient.family"), given=row.text("patient.given").split()
    )
    address = sparse(
        line=row.text("patient.address").splitlines(),
        city=row.text("patient.city"),
        state=row.text("patient.state"),
        postalCode=row.text("patient.postalCode"),
        country=row.text("patient.country"),
    )
    telecom: list[Json] = [
        {"system": system, "value": value} for system in ("phone", "email") if (value := row.text(f"patient.{system}"))
    ]
    return {
        **sparse(
            identifier=[*row.identifiers("patient.identifier"), *row.identifiers("patient.otherIdentifier")],
            name=[name] if name else [],
            telecom=telecom,
            gender=row.word("patient.gender", "gender"),
            birthDate=row.date("patient.birthDate"),
            address=[address] if address else [],
        ),
        **_death(row),
    }


def _death(row: Row) -> dict[str, Json]:
    when, flag = row.date_time("patient.deceasedDate"), row.boolean("patient.deceased")
    if when and flag is False:
        row.refuse(
            "patient.deceasedDate", "a date of death, but patient.deceased says that the patient lives; left out"
        )
        when = None
    if when:
        return {"deceasedDateTime": when}
    return {} if flag is None else {"deceasedBoolean": flag}


def add_patient(patient: dict[str, Json], found: dict[str, Json], row: Row) -> None:
    """Take over what an earlier row did not say. What contradicts one is left out and reported."""
    for name, value in found.items():
        if patient.setdefault(name, value) != value:
            for element in row.reading.columns:
                known = row.reading.kind.elements.get(element)
                if known and known.target.startswith(f"Patient.{name}") and row.peek(element):
                    row.settle(element, Outcome.UNMAPPED, "an earlier row of the patient says otherwise; that is kept")
