"""OBX-5, which is of the type that OBX-2 names, and the reference range and unit beside it (chapter 7, 7.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.attachments import ATTACHMENTS
from medibridge.formats.hl7v2.concepts import coded_unit, concept
from medibridge.formats.hl7v2.message import Part, Segment
from medibridge.formats.hl7v2.primitives import PRIMITIVES, compared, text_number
from medibridge.formats.hl7v2.quantities import QUANTITIES, quantity, range_of, structured_number
from medibridge.formats.splitting import class_of
from medibridge.ids import DataClass

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft
    from medibridge.formats.hl7v2.groups import Group

__all__ = ["add_category", "add_content", "add_value"]

_TARGET: Final = "Observation.value"
_DATA: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"
_TEXT_TYPES: Final = frozenset({"", "ST", "TX", "FT"})


def add_value(segment: Segment, elements: dict[str, Any], draft: Draft, group: Group) -> None:  # noqa: ARG001
    """OBX-5 as value[x]; where it repeats, lines of text are one, others are components of the same code.

    OBX-6 is the unit of what numbers are found, OBX-7 their reference range.
    """
    kind = segment[2].text.upper()
    segment[2].settle(Outcome.USED, "the type of OBX-5")
    parts = [part for part in segment.fields.get(5, ()) if part]
    unit = coded_unit(segment[6], "Observation.valueQuantity", draft) if segment[6] else {}
    if parts and not kind:
        draft.message.default(f"{segment}-2", "no type of OBX-5; text")
    if elements.get("dataAbsentReason") and not parts:
        values: list[dict[str, Any]] = []
    elif len(parts) > 1 and kind in _TEXT_TYPES:
        values = [{"valueString": "\n".join(part.whole(_TARGET + "String") for part in parts)}]
    else:
        read = _VALUES.get(kind, _text)
        values = [value for part in parts if (value := read(part, unit, draft))]
    if len(values) == 1:
        elements.update(values[0])
    elif values:
        code = elements.get("code", {"text": "value"})
        elements["component"] = [{"code": code, **value} for value in values]
    if not values and "dataAbsentReason" not in elements and elements.get("status") in ("final", "corrected"):
        elements["dataAbsentReason"] = {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]
        }
    _add_range(segment, elements, unit)
    if unit and not _holds(unit, elements):
        segment[6].revoke("no number that the unit belongs to")
        _keep_unit(segment[6], elements)


def _keep_unit(part: Part, elements: dict[str, Any]) -> None:
    """A unit without a number: beside a text, it is a part of what the sender wrote."""
    text = elements.get("valueString")
    if isinstance(text, str) and part.text and "\n" not in text:
        elements["valueString"] = f"{text} {part[1].mapped(_TARGET + 'String')}"


def _holds(unit: dict[str, Any], value: Any) -> bool:
    if isinstance(value, dict):
        if "unit" in value and unit.items() <= value.items():
            return True
        return any(_holds(unit, child) for child in value.values())
    return isinstance(value, list) and any(_holds(unit, child) for child in value)


def _add_range(segment: Segment, elements: dict[str, Any], unit: dict[str, Any]) -> None:
    texts = [part.whole("Observation.referenceRange.text") for part in segment.fields.get(7, ())]
    ranges = [{"text": text, **range_of(text, unit)} for text in texts if text]
    if ranges:
        elements["referenceRange"] = ranges


def _text(part: Part, _unit: dict[str, Any], _draft: Draft) -> dict[str, Any]:
    text = part.whole(_TARGET + "String")
    return {"valueString": text} if text else {}


def _number(part: Part, unit: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """NM; also ``<5``, which NM does not allow, but laboratories send."""
    found = compared(part.text)
    if found is None:
        text = _text(part, unit, draft)
        leaf = next(part.leaves())
        leaf.outcome, leaf.reason = Outcome.PARTLY, "not a number; kept as text"
        return text
    part.mapped(_TARGET + "Quantity.value")
    return {"valueQuantity": quantity(found[1], unit, found[0])}


def _text_or_number(part: Part, unit: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """ST; a number where it has a comparator or a unit."""
    found = compared(part.text) if part.below is None else None
    return _number(part, unit, draft) if found and (found[0] or unit) else _text(part, unit, draft)


def _structured(part: Part, unit: dict[str, Any], _draft: Draft) -> dict[str, Any]:
    found = structured_number(part, _TARGET, unit)
    return {f"value{found[0]}": found[1]} if found else {}


def _converted(name: str, kind: str) -> Callable[[Part, dict[str, Any], Draft], dict[str, Any]]:
    convert = PRIMITIVES[kind][1](_TARGET + name, "")

    def read(part: Part, unit: dict[str, Any], draft: Draft) -> dict[str, Any]:
        found = convert(part, draft)
        return {f"value{name}": found} if found is not None else _text(part, unit, draft)

    return read


_concept = concept(_TARGET + "CodeableConcept", "")


def _coded(part: Part, unit: dict[str, Any], draft: Draft) -> dict[str, Any]:
    found = _concept(part, draft)
    return {"valueCodeableConcept": found} if found else _text(part, unit, draft)


def _period(part: Part, unit: dict[str, Any], draft: Draft) -> dict[str, Any]:
    found = {}
    for at, name in ((1, "start"), (2, "end")):
        value = PRIMITIVES["dateTime"][1](f"{_TARGET}Period.{name}", "")(part[at], draft)
        if value:
            found[name] = value
    return {"valuePeriod": found} if found else _text(part, unit, draft)


def _range(part: Part, unit: dict[str, Any], draft: Draft) -> dict[str, Any]:
    low, high = text_number(part[1].text), text_number(part[2].text)
    if low is None and high is None:
        return _text(part, unit, draft)
    found = {}
    for at, name, value in ((1, "low", low), (2, "high", high)):
        if value is not None:
            part[at].mapped(f"{_TARGET}Range.{name}.value")
            found[name] = quantity(value, unit)
    return {"valueRange": found}


def _composite(part: Part, unit: dict[str, Any], draft: Draft) -> dict[str, Any]:
    found = QUANTITIES["CQ"][1](_TARGET + "Quantity", "")(part, draft)
    return {"valueQuantity": found} if found else _text(part, unit, draft)


def _attachment(name: str) -> Callable[[Part, dict[str, Any], Draft], dict[str, Any]]:
    """R4's Observation has no attachment: it stands in the extension for the one of R5."""
    convert = ATTACHMENTS[name][1]("Observation.extension.valueAttachment", "")

    def read(part: Part, unit: dict[str, Any], draft: Draft) -> dict[str, Any]:
        found = convert(part, draft)
        if not found:
            return _text(part, unit, draft)
        return {"extension": [{"url": _DATA, "valueAttachment": found}]}

    return read


_VALUES: Final[Mapping[str, Callable[[Part, dict[str, Any], Draft], dict[str, Any]]]] = {
    "NM": _number,
    "SN": _structured,
    "NR": _range,
    "CQ": _composite,
    **dict.fromkeys(("", "ST"), _text_or_number),
    **dict.fromkeys(("TX", "FT", "VR"), _text),
    **dict.fromkeys(("CE", "CWE", "CNE", "CF", "IS", "ID"), _coded),
    **dict.fromkeys(("DT", "DTM", "TS"), _converted("DateTime", "dateTime")),
    "TM": _converted("Time", "time"),
    "DR": _period,
    "ED": _attachment("ED"),
    "RP": _attachment("RP"),
}
"""OBX-2 (table 0125) to the reader of OBX-5; other types are kept as text."""


def add_content(segment: Segment, elements: dict[str, Any], draft: Draft, group: Group) -> None:  # noqa: ARG001
    """OBX-5 as content of a DocumentReference: lines of text are one attachment, encapsulated data one each."""
    kind = segment[2].text.upper()
    segment[2].settle(Outcome.USED, "the type of OBX-5")
    target = "DocumentReference.content.attachment"
    content = elements.setdefault("content", [])
    if kind in ("ED", "RP"):
        convert = ATTACHMENTS[kind][1](target, "")
        for part in segment.fields.get(5, ()):
            if found := convert(part, draft):
                content.append({"attachment": found})
    else:
        lines = [part.whole(f"{target}.data") for part in segment.fields.get(5, ())]
        if any(lines):
            draft.add_text(content, "\n".join(lines))
    if not content:
        del elements["content"]


_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_SECTIONS: Final[Mapping[DataClass, str]] = {
    DataClass.LABORATORY: "laboratory",
    DataClass.GENOMICS: "laboratory",
    DataClass.IMAGING: "imaging",
}
_VITAL_SIGNS: Final = frozenset(
    """85353-1 9279-1 8867-4 2708-6 59408-5 8310-5 8302-2 9843-4 8287-5 29463-7 3141-9 39156-5 85354-9 8480-6 8462-4
    8306-3 8328-7 8331-1 8478-0""".split()  # noqa: SIM905 - as a table
)
"""LOINC codes of vital signs (hl7.org/fhir/R4/observation-vitalsigns.html)."""


def add_category(segment: Segment, elements: dict[str, Any], draft: Draft, group: Group) -> None:  # noqa: ARG001
    """The category of a result, by what it is or the section of its report; and the time of the report where it has
    none of its own.
    """
    code = elements.get("code", {})
    codes = {coding.get("code") for coding in code.get("coding", ()) if coding.get("system") == "http://loinc.org"}
    report = group.nearest("DiagnosticReport")
    category = "vital-signs" if codes & _VITAL_SIGNS else ""
    if report is not None:
        for name in ("effectiveDateTime", "effectivePeriod"):
            if name in report.elements and "effectiveDateTime" not in elements:
                elements[name] = report.elements[name]
        section = {"resourceType": "DiagnosticReport", "category": report.elements.get("category") or _laboratory()}
        category = category or _SECTIONS.get(class_of(section) or DataClass.NOTES, "")
    if category:
        coding = {"system": _CATEGORY, "code": category}
        elements.setdefault("category", []).insert(0, {"coding": [coding]})


def _laboratory() -> list[dict[str, Any]]:
    return [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}]
