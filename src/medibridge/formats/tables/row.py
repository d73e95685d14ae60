"""One row of a table, element by element, and what became of each of its cells."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from medibridge.errors import UsageError
from medibridge.formats.conversion import Finding, Outcome
from medibridge.formats.tables.amounts import number, number_and_unit
from medibridge.formats.tables.dates import Moment, local_time, offset_of, read_date
from medibridge.formats.tables.elements import CodeSystem, system_named, word
from medibridge.formats.tables.layout import NumberedRow
from medibridge.formats.tables.table import Reading
from medibridge.formats.units import UCUM, ucum
from medibridge.record import Json, JsonObject, Number

__all__ = ["Row", "concept_of", "sparse"]

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CODE: Final = re.compile(r"\S+( \S+)*")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


def sparse(**elements: Json) -> dict[str, Json]:
    """A FHIR object without its empty elements; ``class_`` stands for ``class``."""
    return {
        name.rstrip("_"): value
        for name, value in elements.items()
        if value or value is False or isinstance(value, (int, Decimal))
    }


class Row:
    """A row. Each method reads an element, and says what became of its cell."""

    def __init__(self, reading: Reading, numbered: NumberedRow) -> None:
        self.reading = reading
        self.number = numbered.number
        self._cells = numbered.cells
        self.defaults: dict[str, str] = {}
        self._outcomes: dict[int, tuple[Outcome, str, str]] = {}
        self._texts = dict(reading.map.always)
        for element, position in reading.columns.items():
            text = self._cells[position].strip()
            if text in reading.map.absent:
                continue
            values = reading.column_maps[element].values
            self._texts[element] = values.get(text, text) if values else text
            if _CONTROL.search(text):
                self.refuse(element, "a control character; left out")

    # --- what became of the cells -----------------------------------------------------------------------------------

    def settle(self, element: str, outcome: Outcome, reason: str = "", target: str = "") -> None:
        """Say what became of an element's cell; `target` is where the mapping's kind puts it, if it is not said."""
        position = self.reading.columns.get(element)
        if position is not None:
            is_kept = outcome in (Outcome.MAPPED, Outcome.PARTLY)
            to = (target or self.reading.kind.elements[element].target) if is_kept else ""
            self._outcomes[position] = (outcome, reason, to)

    def refuse(self, element: str, reason: str) -> None:
        """Leave an element out as invalid. Raises `UsageError` where it is not the table that says it."""
        if element not in self.reading.columns:
            raise UsageError(
                f"mapping {self.reading.map.name!r}, always, {element}: {reason.partition(';')[0]}; correct it"
            )
        self._texts.pop(element, None)
        self.settle(element, Outcome.INVALID, reason)

    def drop(self, outcome: Outcome, reason: str, *, keep: str = "patient.") -> None:
        """Say that nothing of the row is kept, but for the elements that begin with `keep`."""
        for element in self.reading.columns:
            if self.peek(element) and not (element.startswith(keep) and keep):
                self.settle(element, outcome, reason)

    def findings(self) -> list[Finding]:
        """One finding for each cell that has a value."""
        reading = self.reading
        found = []
        for position, cell in enumerate(self._cells):
            if not cell.strip():
                continue
            place = f"row {self.number}, column {position + 1}"
            if position in reading.elements and cell.strip() in reading.map.absent:
                found.append(Finding(place, Outcome.IGNORED, "it says that there is no value"))
            elif position in self._outcomes:
                outcome, reason, target = self._outcomes[position]
                found.append(Finding(place, outcome, reason, target))
            elif position in reading.ignored:
                found.append(Finding(place, Outcome.IGNORED, "the mapping leaves this column out"))
            elif position not in reading.elements:
                found.append(Finding(place, Outcome.UNMAPPED, "the mapping does not name this column"))
            else:
                found.append(Finding(place, Outcome.UNMAPPED, f"no place for {reading.elements[position]} in this row"))
        return found

    def name(self, beginning: str = "") -> list[str]:
        """What the row says that does not change later: it makes the id of its resource.

        Only of the elements that begin with `beginning`.
        """
        return [
            f"{element}={text}"
            for element in self.reading.naming
            if element.startswith(beginning) and (text := self.peek(element))
        ]

    def agrees_on_patient(self, other: Row) -> bool:
        """Whether another row has the same cells about the patient; then the same became of them."""
        positions = self.reading.about_patient
        if any(self._cells[position] != other._cells[position] for position in positions):
            return False
        self._outcomes.update({at: other._outcomes[at] for at in positions if at in other._outcomes})
        return True

    # --- text and words ---------------------------------------------------------------------------------------------

    def peek(self, element: str) -> str:
        """The text of an element, or what the mapping says it always is; empty where there is none."""
        return self._texts.get(element, "")

    def text(self, element: str, target: str = "") -> str:
        """The text of an element, mapped."""
        text = self.peek(element)
        if text:
            self.settle(element, Outcome.MAPPED, "", target)
        return text

    def word(self, element: str, table: str) -> str | None:
        """The FHIR code that a word means, by a table of ``values.yaml``."""
        text = self.peek(element)
        if not text:
            return None
        found = word(table, text)
        if found is None:
            self.refuse(element, "a word that is not known here; say in 'values' of the mapping what it means")
        else:
            self.settle(element, Outcome.MAPPED)
        return found

    def boolean(self, element: str) -> bool | None:
        """Yes or no."""
        found = self.word(element, "boolean")
        return None if found is None else found == "true"

    # --- numbers ----------------------------------------------------------------------------------------------------

    def decimal(self, element: str) -> Number | None:
        """A number, or nothing."""
        text = self.peek(element)
        if not text:
            return None
        found = number(text, self.reading.map.decimal)
        if found is None:
            self.refuse(element, "not a number as the mapping's 'decimal' says; left out")
        else:
            self.settle(element, Outcome.MAPPED)
        return found

    def count(self, element: str) -> int | None:
        """A whole number from 0 to 9 999."""
        found = self.decimal(element)
        if found is None:
            return None
        if found != int(found) or not 0 <= found < 10_000:
            self.refuse(element, "not a count; left out")
            return None
        return int(found)

    def unit_of(self, text: str) -> JsonObject:
        """A unit: as it is written, with its UCUM code where that is known."""
        if not text:
            return {}
        code = ucum(text, self.reading.profile)
        return {"unit": text, "system": UCUM, "code": code} if code else {"unit": text}

    def unit(self, element: str) -> JsonObject:
        """The unit in a column."""
        found = self.unit_of(self.text(element))
        if found and "code" not in found:
            self.settle(
                element, Outcome.PARTLY, "no UCUM code is known for it; kept as it is written ('units' of the profile)"
            )
        return found

    def amount(self, element: str, unit_element: str) -> JsonObject | None:
        """A Quantity in one column (``500 mg``) or two."""
        text = self.peek(element)
        if not text:
            self._orphan(unit_element)
            return None
        value, unit = number(text, self.reading.map.decimal), self.unit(unit_element)
        if value is None and not unit and (both := number_and_unit(text, self.reading.map.decimal)) and not both[0]:
            value, unit = both[1], self.unit_of(both[2])
        if value is None:
            self.refuse(element, "not a number, nor a number and a unit; left out")
            self._orphan(unit_element)
            return None
        self.settle(element, Outcome.MAPPED)
        return {"value": value, **unit}

    def _orphan(self, unit_element: str) -> None:
        if self.peek(unit_element):
            self.settle(unit_element, Outcome.UNMAPPED, "no number that the unit belongs to")

    # --- dates ------------------------------------------------------------------------------------------------------

    def _moment(self, element: str) -> Moment | None:
        text = self.peek(element)
        if not text:
            return None
        column = self.reading.column_maps.get(element)
        found = read_date(text, column.formats if column else ())
        if found is None:
            self.refuse(
                element, "not a date of the format that the mapping gives (ISO 8601 where it gives none); left out"
            )
        else:
            self.settle(element, Outcome.MAPPED)
        return found

    def date(self, element: str) -> str | None:
        """A date; a time after it is reported, where it is not midnight."""
        found = self._moment(element)
        if found and found.time and not found.is_midnight:
            self.settle(element, Outcome.PARTLY, "FHIR has a date here; the time is left out")
        return found.day if found else None

    def date_time(self, element: str) -> str | None:
        """A date, with its time where that has an offset or the zone is known. Nothing is made up."""
        found = self._moment(element)
        time_element = f"{element}.time"
        if found and len(found.day) == 10 and not found.time and self.peek(time_element):
            time = local_time(self.peek(time_element))
            if time is None:
                self.refuse(time_element, "not a time of day (hours and minutes); left out")
            else:
                found = Moment(found.day, time, found.offset)
                self.settle(time_element, Outcome.MAPPED)
        if found is None or not found.time:
            return found.day if found else None
        if len(found.day) < 10:
            self.settle(element, Outcome.PARTLY, "a time without a day; left out")
            return found.day
        zone = self.reading.moment_zone(element)
        offset = found.offset or (offset_of(found, zone) if zone else "")
        if not offset:
            why = "it occurs twice or never in its zone" if zone else "no zone is known for it ('zone' of the mapping)"
            for one in (time_element if self.peek(time_element) else element,):
                self.settle(one, Outcome.PARTLY, f"only the date of the time is kept: {why}")
            return found.day
        return f"{found.day}T{found.time}{offset}"

    def instant(self, element: str) -> str | None:
        """A time with its offset; nothing where only the date is known."""
        found = self.date_time(element)
        if found is not None and "T" not in found:
            self.settle(element, Outcome.UNMAPPED, "FHIR asks for a time with its zone here; left out")
            return None
        return found

    # --- codes ------------------------------------------------------------------------------------------------------

    def concept(self, element: str) -> JsonObject | None:
        """A CodeableConcept from the columns of a group of codes; the site's own codes with what the profile says."""
        codings: list[Json] = []
        for name, system in self.reading.codes(element):
            codings.extend(self._coding(name, system))
        codings.extend(self._named_coding(element))
        codings.extend(self._local_coding(element))
        return sparse(coding=codings, text=self.text(f"{element}.text")) or None

    def _coding(self, element: str, system: CodeSystem) -> list[JsonObject]:
        code = self.peek(element)
        if not code:
            return []
        if not system.holds(code):
            self.refuse(element, f"not a code of {system.names[0]} (its form, or its check digit); left out")
            return []
        self.settle(element, Outcome.MAPPED)
        return [{"system": system.uri, "code": code}]

    def _named_coding(self, element: str) -> list[JsonObject]:
        """A code whose system stands in a column beside it, or in the mapping."""
        code, name = self.peek(f"{element}.code"), self.peek(f"{element}.system")
        if not code:
            if name:
                self.settle(f"{element}.system", Outcome.UNMAPPED, "no code that is of this system")
            return []
        name = name or self.reading.map.systems.get(f"{element}.code", "")
        known = system_named(name)
        if known:
            self.settle(f"{element}.system", Outcome.MAPPED)
            return self._coding(f"{element}.code", known)
        return self._site_codings(f"{element}.code", code, name, f"{element}.system")

    def _local_coding(self, element: str) -> list[JsonObject]:
        code = self.peek(f"{element}.local")
        if not code:
            return []
        return self._site_codings(f"{element}.local", code, self.reading.map.systems.get(f"{element}.local", ""), "")

    def _site_codings(self, element: str, code: str, name: str, system_element: str) -> list[JsonObject]:
        """The code of a site as it is, after what the profile says it means."""
        if not _CODE.fullmatch(code):
            self.refuse(element, "not a code of FHIR (single spaces only); left out")
            return []
        uri = self.reading.uri(name) if name else ""
        self.settle(element, Outcome.MAPPED)
        if system_element:
            if uri:
                self.settle(system_element, Outcome.MAPPED)
            else:
                self.settle(system_element, Outcome.PARTLY, "no URI is known for it ('authorities' of the profile)")
        own = sparse(system=uri, code=code)
        meaning = self.reading.profile.codes.get(name, {}).get(code)
        if meaning is None:
            return [own]
        return [sparse(system=meaning.system, code=meaning.code, display=meaning.display), own]

    # --- what many resources have -----------------------------------------------------------------------------------

    def identifiers(self, element: str = "identifier") -> list[Json]:
        """The number of the row, as a list of Identifiers."""
        value = self.text(element)
        if not value:
            return []
        system = self.reading.authority(element)
        named = {"system": system} if _URI.fullmatch(system) else {"assigner": {"display": system}} if system else {}
        return [{**named, "value": value}]

    def encounter(self) -> JsonObject | None:
        """A Reference to the visit, by its number: the table does not tell more of it."""
        found = self.identifiers("encounter")
        return {"identifier": found[0]} if found else None

    def who(self, element: str) -> JsonObject | None:
        """A Reference to a person or body, by name."""
        return sparse(display=self.text(element)) or None

    def notes(self) -> list[Json]:
        """A comment as a list of Annotations."""
        text = self.text("note")
        return [{"text": text}] if text else []

    def default(self, element: str, reason: str) -> None:
        """A value was chosen, since there is none. Told once for a patient's rows."""
        self.defaults.setdefault(element, reason)


def concept_of(system: str, code: str, text: str = "") -> JsonObject:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}], **sparse(text=text)}
