"""ORU^R01: OBR as DiagnosticReport, OBX as Observation (v2-to-FHIR, message ORU_R01)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from medibridge.errors import UnknownFormat
from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2 import codes
from medibridge.formats.hl7v2 import datatypes as dt
from medibridge.formats.hl7v2.draft import Draft
from medibridge.formats.hl7v2.message import Message, Part, Segment
from medibridge.formats.splitting import class_of
from medibridge.ids import DataClass
from medibridge.record import Json, JsonObject

__all__ = ["read_results"]

_LABORATORY: JsonObject = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]
}
_REPORT_NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"


@dataclass
class _Result:
    observation: Segment
    notes: list[Segment] = field(default_factory=list)


@dataclass
class _Order:
    common: Segment | None
    request: Segment
    notes: list[Segment] = field(default_factory=list)
    results: list[_Result] = field(default_factory=list)


def read_results(draft: Draft) -> None:
    """Make the reports and results of an ORU^R01.

    Sections that are not laboratory work (OBR-24: imaging, cardiology …) are left to later versions: they are of
    other data classes. Raises `MalformedMessage` where OBR, OBX or what they must hold is missing.
    """
    message = draft.message
    orders = list(_orders(message))
    if not orders:
        raise message.missing("OBR")
    read = [order for order in orders if _is_laboratory(order)]
    if not read:
        raise UnknownFormat("OBR[1]-24 names no section of the laboratory; of ORU^R01, laboratory results are read")
    if not any(order.results for order in read):
        raise message.missing("OBX")
    for order in read:
        _report(draft, order)


def _orders(message: Message) -> Iterator[_Order]:
    """Group the segments. NTE belongs to the segment above it; OBX before OBR or after SPM is not a result."""
    order: _Order | None = None
    common: Segment | None = None
    above: list[Segment] | None = None
    in_specimen = False
    for segment in message.segments:
        if segment.name == "NTE":
            if above is not None:
                above.append(segment)
            continue
        above = None
        if segment.name == "ORC":
            common = segment
        elif segment.name == "OBR":
            if order:
                yield order
            order, common, in_specimen = _Order(common, segment), None, False
            above = order.notes
        elif segment.name == "SPM":
            in_specimen = True
        elif segment.name == "OBX" and order and not in_specimen:
            order.results.append(_Result(segment))
            above = order.results[-1].notes
    if order:
        yield order


def _category(order: _Order) -> JsonObject:
    section = order.request[24].peek() or "LAB"
    return {"coding": [{"system": codes.table("0074"), "code": section}]}


def _is_laboratory(order: _Order) -> bool:
    probe: JsonObject = {"resourceType": "DiagnosticReport", "category": [_category(order)]}
    if class_of(probe) is DataClass.LABORATORY:
        return True
    order.request[24].settle(Outcome.UNMAPPED, "a section that is not laboratory work; the results below are not read")
    return False


def _report(draft: Draft, order: _Order) -> None:
    obr = order.request
    obr[1].settle(Outcome.IGNORED, "a set id")
    identifiers = order_identifiers(obr, order.common)
    own_id = (
        draft.name_by_identifier("DiagnosticReport", identifiers[-1])
        if identifiers
        else draft.name_by_place("DiagnosticReport", obr)
    )
    when = _effective(obr)
    status = dt.code(obr[25], codes.REPORT_STATUS)
    if not obr[25]:
        obr[25].default("no status of the report; unknown")
    if not obr[24]:
        obr[24].default("no section; laboratory")
    obr[24].settle(Outcome.MAPPED)
    code = dt.required_concept(obr, 4, "the test that was asked for")
    results: list[Json] = []
    seen: dict[str, int] = {}
    for result in order.results:
        observation = _observation(draft, result, own_id, when, seen)
        results.append(draft.add(observation))
    notes = draft.notes(order.notes)
    draft.add(
        {
            "resourceType": "DiagnosticReport",
            "id": own_id,
            "status": status or "unknown",
            "category": [_category(order)],
            "code": code,
            "subject": draft.subject,
            **when,
            **dt.sparse(
                identifier=identifiers,
                issued=dt.instant(obr[22]),
                result=results,
                extension=[{"url": _REPORT_NOTE, "valueAnnotation": note} for note in notes],
            ),
        }
    )


def order_identifiers(segment: Segment, common: Segment | None) -> list[JsonObject]:
    """Placer and filler order number: fields 2 and 3 of OBR and of the ORC above it, each number once."""
    found: list[JsonObject] = []
    for at, kind in ((2, "PLAC"), (3, "FILL")):
        for holder in (segment, common):
            identifier = dt.entity_identifier(holder[at], kind) if holder else None
            if identifier and identifier not in found:
                found.append(identifier)
    return found


def _effective(obr: Segment) -> dict[str, Json]:
    start, end = dt.date_time(obr[7]), dt.date_time(obr[8])
    if end:
        return {"effectivePeriod": dt.sparse(start=start, end=end)}
    return {"effectiveDateTime": start} if start else {}


def _observation(
    draft: Draft, result: _Result, report_id: str, report_time: dict[str, Json], seen: dict[str, int]
) -> JsonObject:
    obx = result.observation
    obx[1].settle(Outcome.IGNORED, "a set id")
    obx[2].settle(Outcome.USED, "the type of OBX-5")
    if not obx[11] and obx.message.unterminated and obx.message.segments[-1] is obx:
        obx.require(11, "status of the result")
    code = dt.required_concept(obx, 3, "what was observed")
    sub_id = obx[4].whole()
    named = "|".join((obx[3][1].peek() or obx[3][2].peek(), obx[3][3].peek(), sub_id))
    seen[named] = seen.get(named, 0) + 1
    status = dt.code(obx[11], codes.OBSERVATION_STATUS)
    if not obx[11]:
        obx[11].default("no status of the result; unknown")
    unit = dt.units(obx[6])
    when = dt.date_time(obx[14])
    performers = [*draft.practitioners(obx[16])]
    if organization := draft.organization(obx[23]):
        performers.append(organization)
    elements = dt.sparse(
        identifier=[found] if (found := dt.entity_identifier(obx[21], "FILL")) else [],
        interpretation=[found for part in obx[8].repetitions() if (found := _interpretation(part))],
        referenceRange=[found] if (found := _reference_range(obx[7], unit)) else [],
        method=dt.concept(obx[17]),
        bodySite=dt.concept(obx[20]),
        performer=performers,
        note=draft.notes(result.notes),
    )
    if sub_id:
        elements["extension"] = [_sub_id(sub_id)]
    if obx[11].peek() == "N":
        elements["dataAbsentReason"] = {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "not-asked"}]
        }
    value = {} if "dataAbsentReason" in elements else _value(obx, unit, code)
    if not _holds(unit, value) and not _holds(unit, elements.get("referenceRange")):
        obx[6].settle_all(Outcome.UNMAPPED, "no number that the unit belongs to")
    return {
        "resourceType": "Observation",
        "id": draft.name("Observation", report_id, named, str(seen[named])),
        "status": status or "unknown",
        "category": [_LABORATORY],
        "code": code,
        "subject": draft.subject,
        **({"effectiveDateTime": when} if when else report_time),
        **elements,
        **value,
    }


def _holds(unit: JsonObject, value: Json) -> bool:
    if isinstance(value, Mapping):
        return unit.items() <= value.items() or any(_holds(unit, child) for child in value.values())
    return isinstance(value, list) and any(_holds(unit, child) for child in value)


def _sub_id(text: str) -> JsonObject:
    """OBX-4, which tells apart results of one code, by the extension that v2-to-FHIR names for it."""
    return {
        "url": "http://hl7.org/fhir/StructureDefinition/observation-v2-subid",
        "extension": [{"url": "original-sub-identifier", "valueString": text}],
    }


def _interpretation(part: Part) -> JsonObject | None:
    value, system = part[1].peek(), part[3].peek()
    if value in codes.INTERPRETATIONS and system in ("", "HL70078"):
        part[3].settle(Outcome.MAPPED)
        coding = {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
            **dt.sparse(code=part[1].text(), display=part[2].text()),
        }
        return {"coding": [coding], **dt.sparse(text=part[9].text())}
    return dt.concept(part, "0078")


def _reference_range(part: Part, unit: JsonObject) -> JsonObject | None:
    text = part.whole()
    return {"text": text, **dt.range_of(text, unit)} if text else None


def _value(obx: Segment, unit: JsonObject, code: JsonObject) -> dict[str, Json]:
    """OBX-5 as value[x]; where it repeats, lines of text are one, others are components of the same code."""
    repetitions = obx[5].repetitions()
    kind = obx[2].peek().upper()
    if repetitions and not kind:
        obx[2].default("no type of OBX-5; text")
    if len(repetitions) > 1 and kind in ("", "ST", "TX", "FT"):
        return {"valueString": dt.annotation_text(obx[5])}
    read = _VALUES.get(kind, _not_read)
    values = [value for part in repetitions if (value := read(part, unit))]
    if len(values) == 1:
        return values[0]
    return {"component": [{"code": code, **value} for value in values]} if values else {}


def _text(part: Part, _: JsonObject) -> dict[str, Json]:
    return dt.sparse(valueString=part.whole())


def _number(part: Part, unit: JsonObject) -> dict[str, Json]:
    """NM; also ``<5``, which NM does not allow, but laboratories send."""
    found = dt.compared(part.peek())
    if found is None:
        text = _text(part, unit)
        part.settle(Outcome.PARTLY, "not a number; kept as text")
        return text
    part.settle(Outcome.MAPPED)
    return {"valueQuantity": dt.quantity(found[1], unit, found[0])}


def _text_or_number(part: Part, unit: JsonObject) -> dict[str, Json]:
    """ST; a number where it has a comparator or a unit."""
    found = dt.compared(part.peek())
    return _number(part, unit) if found and (found[0] or unit) and not part[2] else _text(part, unit)


def _structured_number(part: Part, unit: JsonObject) -> dict[str, Json]:
    return dt.structured_number(part, unit) or {}


def _concept(part: Part, _: JsonObject) -> dict[str, Json]:
    return dt.sparse(valueCodeableConcept=dt.concept(part))


def _date_time(part: Part, _: JsonObject) -> dict[str, Json]:
    return dt.sparse(valueDateTime=dt.date_time(part))


def _period(part: Part, _: JsonObject) -> dict[str, Json]:
    return dt.sparse(valuePeriod=dt.sparse(start=dt.date_time(part[1]), end=dt.date_time(part[2])))


def _range(part: Part, unit: JsonObject) -> dict[str, Json]:
    low, high = (dt.quantity(dt.number(part[at]), unit) for at in (1, 2))
    return dt.sparse(valueRange=dt.sparse(low=low, high=high))


def _not_read(part: Part, _: JsonObject) -> dict[str, Json]:
    part.settle_all(Outcome.UNMAPPED, "a type of value that is not read (OBX-2)")
    return {}


_VALUES: Final[Mapping[str, Callable[[Part, JsonObject], dict[str, Json]]]] = {
    "NM": _number,
    "SN": _structured_number,
    "NR": _range,
    **dict.fromkeys(("", "ST"), _text_or_number),
    **dict.fromkeys(("TX", "FT", "VR"), _text),
    **dict.fromkeys(("CE", "CWE", "CNE", "CF", "IS", "ID"), _concept),
    **dict.fromkeys(("DT", "DTM", "TS"), _date_time),
    "DR": _period,
}
"""OBX-2 (table 0125) to the reader of OBX-5."""
