"""Reports and results of an ORU^R01: ORC, OBR, OBX, NTE, SPM (HL7 v2.5.1, chapter 7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2_writing.datatypes import number
from medibridge.formats.hl7v2_writing.draft import Draft, field_of
from medibridge.formats.hl7v2_writing.segments import Field, Repetition
from medibridge.formats.hl7v2_writing.source import Node

__all__ = ["write_observations", "write_results"]

_NOTE: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"
_SUB_ID: Final = "http://hl7.org/fhir/StructureDefinition/observation-v2-subid"
_SECTION: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
_CATEGORIES: Final = ("laboratory", "imaging")
_UCUM: Final = "http://unitsofmeasure.org"
_LIKE_A_NUMBER: Final = re.compile(r"[<>=≤≥+\-.\d]")


def write_results(draft: Draft) -> int:
    """Write each DiagnosticReport with its results, then each result of none under an OBR of its own.

    Gives the number of OBR.
    """
    done: set[tuple[str | int, ...]] = set()
    count = 0
    for report in draft.of_type("DiagnosticReport"):
        if report["status"].peek == "entered-in-error":
            report.settle(Outcome.UNMAPPED, "entered in error; not written")
            continue
        count += 1
        results = [found for one in report["result"].items() if (found := draft.writer.resolved(one))]
        report["result"].settle(Outcome.USED, "the OBX below the OBR")
        _order(draft, report, count)
        _write_all(draft, results, done)
        _specimens(draft, [report, *results])
    observations = draft.of_type("Observation")
    grouped = {member.path for one in observations for member in _members(draft, one)}
    for observation in observations:
        if observation.path in done or observation.path in grouped:
            continue
        count += 1
        members = _members(draft, observation)
        _order(draft, observation, count)
        draft.default(f"OBR[{count}]", "a result without a report; its own code stands for what was asked")
        _write_all(draft, members if members and not _has_value(observation) else [observation, *members], done)
        _specimens(draft, [observation, *members])
    return count


def write_observations(draft: Draft) -> None:
    """Write the results of no report as OBX without an order, as an ADT^A08 has them."""
    reported = {
        found.path
        for report in draft.of_type("DiagnosticReport")
        for one in report["result"].items()
        if (found := draft.writer.resolved(one))
    }
    _write_all(draft, [one for one in draft.of_type("Observation") if one.path not in reported], set())


def _members(draft: Draft, observation: Node) -> list[Node]:
    return [found for one in observation["hasMember"].items() if (found := draft.writer.resolved(one))]


def _has_value(observation: Node) -> bool:
    value = observation.value
    return isinstance(value, Mapping) and any(name.startswith("value") or name == "component" for name in value)


# --- orders ---------------------------------------------------------------------------------------------------------


def _order(draft: Draft, report: Node, count: int) -> None:
    """ORC and OBR, with what the ServiceRequest says that the report is based on."""
    requests = [found for one in report["basedOn"].items() if (found := draft.writer.resolved(one))]
    requests = [one for one in requests if one["resourceType"].peek == "ServiceRequest"][:1]
    report["basedOn"].settle(Outcome.USED, "the order of the OBR")
    numbers = _numbers(draft, [report, *requests])
    requesters = [one["requester"] for one in requests if one["requester"]]
    people = field_of(*(draft.writer.person(one, {}, "OBR-16") for one in requesters))
    draft.add("ORC", {1: [["RE"]], 2: numbers[2], 3: numbers[3], 12: people}, report, *requests)
    is_report = report["resourceType"].peek == "DiagnosticReport"
    fields = draft.fields("OBR", report)
    if not is_report:
        fields.pop(22)
    if requests and not fields[4]:
        fields[4] = field_of(draft.writer.concept(requests[0]["code"], {}, "OBR-4"))
    start, end = _effective(draft, report, "OBR-7")
    table = "report_status" if is_report else "result_status"
    status = draft.writer.code(report["status"], table, "OBR-25") if report["status"].peek != "unknown" else ""
    reasons = [one for request in requests for one in request["reasonCode"].items()]
    fields |= {
        7: start,
        8: end,
        16: people,
        24: _section(draft, report),
        25: field_of([status if is_report else ""]),
        31: field_of(*(draft.writer.concept(one, {}, "OBR-31") for one in reasons)),
    }
    for one in (report, *requests):
        one["encounter"].settle(Outcome.USED, "the visit of PV1")
    for request in requests:
        if request["code"].value == report["code"].value:
            request["code"].settle(Outcome.MAPPED, target="OBR-4")
    draft.add("OBR", {1: [[str(count)]], 2: numbers[2], 3: numbers[3], **fields}, report, *requests)
    notes = [one["valueAnnotation"] for one in report["extension"].items() if is_report and one["url"].peek == _NOTE]
    for one in report["extension"].items():
        if one["url"].peek == _NOTE:
            one["url"].settle(Outcome.USED, "the NTE below the OBR")
    notes += [note for request in requests for note in request["note"].items()]
    draft.notes(notes)
    if report["conclusion"]:
        report["conclusion"].settle(Outcome.PARTLY, "written as a remark below the OBR", "NTE-3")
        draft.add("NTE", {1: [[str(len(notes) + 1)]], 2: [["L"]], 3: [[report["conclusion"].peek]], 4: [["RE"]]})


def _numbers(draft: Draft, holders: Sequence[Node]) -> dict[int, Field]:
    """Placer and filler number: identifiers of the types PLAC and FILL; one without a type is the filler's."""
    found: dict[int, Field] = {2: [], 3: []}
    for identifier in (one for holder in holders for one in holder["identifier"].items()):
        kinds = [coding["code"].peek for coding in identifier.along("type.coding")]
        at = 2 if "PLAC" in kinds else 3
        if ("FILL" in kinds or "PLAC" in kinds or not kinds) and not found[at]:
            found[at] = field_of(draft.writer.entity(identifier, {}, f"OBR-{at}"))
            identifier["type"].settle(Outcome.MAPPED, target=f"OBR-{at}")
    return found


def _effective(draft: Draft, node: Node, target: str) -> tuple[Field, Field]:
    """When it was observed: start and end."""
    if node["effectivePeriod"]:
        parts = [node["effectivePeriod"][name] for name in ("start", "end")]
        start, end = (field_of(draft.writer.time(part, {}, target)) if part else [] for part in parts)
        return start, end
    for name in ("effectiveDateTime", "effectiveInstant"):
        if node[name]:
            return field_of(draft.writer.time(node[name], {}, target)), []
    return [], []


def _section(draft: Draft, report: Node) -> Field:
    """OBR-24, from the category: a code of table 0074, or the one that stands for an observation category."""
    for coding in report.along("category.coding"):
        if coding["system"].peek == _SECTION:
            for same in report.along("category.coding"):
                if same is coding or same["code"].peek in (coding["code"].peek, *_CATEGORIES):
                    same.settle(Outcome.MAPPED, target="OBR-24")
            return [[coding["code"].peek]]
    for coding in report.along("category.coding"):
        if coding["code"].peek in _CATEGORIES:
            coding["system"].text("OBR-24")
            coding["display"].text("OBR-24")
            return [[draft.writer.code(coding["code"], "section", "OBR-24")]]
    return []


def _specimens(draft: Draft, holders: Sequence[Node]) -> None:
    seen: dict[str, Node] = {}
    for reference in (one for holder in holders for one in holder["specimen"].items()):
        if found := draft.writer.resolved(reference):
            seen[reference["reference"].peek] = found
            reference.settle(Outcome.USED, "the SPM below the OBR")
    for count, specimen in enumerate(seen.values(), 1):
        fields = draft.fields("SPM", specimen)
        start, end = specimen["collection"]["collectedDateTime"], specimen["collection"]["collectedPeriod"]
        parts = [start] if start else [end["start"], end["end"]]
        texts = [str(draft.writer.time(part, {}, "SPM-17")[0]) if part else "" for part in parts]
        draft.add("SPM", {1: [[str(count)]], **fields, 17: field_of(texts)}, specimen)


# --- results --------------------------------------------------------------------------------------------------------


def _write_all(draft: Draft, results: Sequence[Node], done: set[tuple[str | int, ...]]) -> None:
    count = 0
    pending = list(reversed(results))
    while pending:
        observation = pending.pop()
        if observation.path in done or observation["resourceType"].peek != "Observation":
            continue
        done.add(observation.path)
        members = _members(draft, observation)
        observation["hasMember"].settle(Outcome.USED, "the OBX below")
        pending.extend(reversed(members))
        if not members or _has_value(observation):
            count = _result(draft, observation, count)
        draft.notes(observation["note"].items())


def _result(draft: Draft, observation: Node, count: int) -> int:
    """The OBX of an observation, and those of its components, which share its sub-id."""
    fields = draft.fields("OBX", observation)
    for coding in observation.along("category.coding"):
        coding.settle(Outcome.USED, "the section of OBR-24")
    sub_id = _sub_id(observation)
    people: list[Repetition] = []
    companies: list[Repetition] = []
    for one in observation["performer"].items():
        is_company = one["reference"].peek.startswith("Organization/")
        found = (draft.writer.organization if is_company else draft.writer.person)(
            one, {}, "OBX-23" if is_company else "OBX-16"
        )
        (companies if is_company else people).append(found)
    if not fields[14]:
        fields[14] = _effective(draft, observation, "OBX-14")[0]
        observation["effectivePeriod"]["end"].settle(Outcome.PARTLY, "OBX-14 has the start alone")
    fields |= {11: _status(draft, observation), 16: field_of(*people), 23: field_of(*companies[:1])}
    if observation["encounter"]:
        observation["encounter"].settle(Outcome.USED, "the visit of PV1")
    components = observation["component"].items()
    code = observation["code"]
    one_code = bool(components) and all(one["code"].value == code.value for one in components)
    values = [_value(draft, one) for one in (components if one_code else [observation])]
    if one_code and len({value[0] for value in values}) > 1:
        one_code, values = False, [_value(draft, observation)]
    if components and not one_code and not sub_id:
        sub_id = str(count + 1)
    count += 1
    kind, _, units = values[0]
    for one in components if one_code else []:
        one["code"].settle(Outcome.MAPPED, target="OBX-3")
    fields |= {
        1: [[str(count)]],
        2: field_of([kind]),
        3: field_of(draft.writer.concept(code, {}, "OBX-3")),
        4: field_of([sub_id]),
        5: field_of(*(value[1] for value in values)),
        6: units,
        7: _range(observation),
    }
    draft.add("OBX", fields, observation)
    for position, component in enumerate([] if one_code else components, 1):
        count += 1
        kind, value, units = _value(draft, component)
        further: dict[int, Field] = {
            1: [[str(count)]],
            2: field_of([kind]),
            3: field_of(draft.writer.concept(component["code"], {}, "OBX-3")),
            4: field_of([f"{sub_id}.{position}"]),
            5: field_of(value),
            6: units,
            7: _range(component),
            8: field_of(
                *(draft.writer.concept(one, {"table": "0078"}, "OBX-8") for one in component["interpretation"].items())
            ),
        }
        draft.add("OBX", {**further, 11: fields[11], 14: fields[14]})
    return count


def _sub_id(observation: Node) -> str:
    for extension in observation["extension"].items():
        if extension["url"].peek == _SUB_ID:
            extension.settle(Outcome.MAPPED, target="OBX-4")
            found = [one["valueString"].peek for one in extension["extension"].items()]
            return " ".join(text for text in found if text)
    return ""


def _status(draft: Draft, observation: Node) -> Field:
    reason = observation["dataAbsentReason"]
    if any(coding["code"].peek == "not-asked" for coding in reason["coding"].items()):
        reason.settle(Outcome.MAPPED, target="OBX-11")
        observation["status"].settle(Outcome.PARTLY, "not asked, which OBX-11 says instead", "OBX-11")
        return [["N"]]
    if observation["status"].peek == "unknown":
        return []
    return field_of([draft.writer.code(observation["status"], "result_status", "OBX-11")])


def _range(node: Node) -> Field:
    """OBX-7: the text of the range, else its limits."""
    ranges = node["referenceRange"].items()
    for more in ranges[1:]:
        more.settle(Outcome.UNMAPPED, "OBX-7 has one range")
    if not ranges:
        return []
    found = ranges[0]
    low, high = found["low"]["value"], found["high"]["value"]
    for limit in (found["low"], found["high"]):
        for name in ("unit", "system", "code"):
            limit[name].settle(Outcome.USED, "the unit of OBX-6")
    if found["text"]:
        for limit in (low, high):
            limit.settle(Outcome.MAPPED, target="OBX-7")
        return [[found["text"].text("OBX-7")]]
    if low and high:
        return [[f"{number(low, 'OBX-7')}-{number(high, 'OBX-7')}"]]
    if low or high:
        return [[(">" if low else "<") + number(low or high, "OBX-7")]]
    return []


def _units(quantity: Node) -> Field:
    """OBX-6: the UCUM code, else the unit as it is written."""
    unit, code = quantity["unit"].text("OBX-6"), quantity["code"]
    if quantity["system"].peek == _UCUM and code:
        quantity["system"].text("OBX-6")
        return [[code.text("OBX-6"), unit if unit != code.peek else "", "UCUM"]]
    return field_of([unit])


Value: TypeAlias = tuple[str, Repetition, Field]
"""OBX-2, OBX-5 and OBX-6."""


def _value(draft: Draft, node: Node) -> Value:
    """The value of an observation or a component."""
    value = node.value
    name = next((key for key in value if key.startswith("value")), "") if isinstance(value, Mapping) else ""
    if name in _VALUES:
        return _VALUES[name](draft, node[name])
    node[name].settle(Outcome.UNMAPPED, "a type of value that has no place in OBX-5 here")
    return "", [""], []


def _quantity(draft: Draft, found: Node) -> Value:
    text, sign = number(found["value"], "OBX-5"), found["comparator"]
    if sign:
        return "SN", [draft.writer.code(sign, "comparator", "OBX-5"), text], _units(found)
    return ("NM" if text else ""), [text], _units(found)


def _limits(_: Draft, found: Node) -> Value:
    low, high = found["low"], found["high"]
    units = _units(low)
    units = _units(high) or units
    if low and high:
        return "SN", ["", number(low["value"], "OBX-5"), "-", number(high["value"], "OBX-5")], units
    return "SN", [">=" if low else "<=", number((low or high)["value"], "OBX-5")], units


def _ratio(_: Draft, found: Node) -> Value:
    parts = [number(found[part]["value"], "OBX-5") for part in ("numerator", "denominator")]
    return "SN", ["", parts[0], ":", parts[1]], []


def _concept(draft: Draft, found: Node) -> Value:
    return "CWE", draft.writer.concept(found, {}, "OBX-5"), []


def _boolean(_: Draft, found: Node) -> Value:
    return "CWE", ["Y" if found.text("OBX-5") == "true" else "N", "", "HL70136"], []


def _integer(_: Draft, found: Node) -> Value:
    return "NM", [found.text("OBX-5")], []


def _date_time(draft: Draft, found: Node) -> Value:
    text = str(draft.writer.time(found, {}, "OBX-5")[0])
    return ("DT" if len(text) == 8 else "TS"), [text], []


def _time(_: Draft, found: Node) -> Value:
    return "TM", [found.text("OBX-5").replace(":", "")], []


def _period(draft: Draft, found: Node) -> Value:
    ends = [str(draft.writer.time(found[part], {}, "OBX-5")[0]) if found[part] else "" for part in ("start", "end")]
    return "DR", ends, []


def _string(_: Draft, found: Node) -> Value:
    """ST, but TX for what is long, has lines, or would be read as a number."""
    text = found.text("OBX-5")
    is_text = "\n" in text or len(text) > 199 or bool(_LIKE_A_NUMBER.match(text))
    return ("TX" if is_text else "ST"), [text], []


_VALUES: Final[Mapping[str, Callable[[Draft, Node], Value]]] = {
    "valueBoolean": _boolean,
    "valueCodeableConcept": _concept,
    "valueDateTime": _date_time,
    "valueInteger": _integer,
    "valuePeriod": _period,
    "valueQuantity": _quantity,
    "valueRange": _limits,
    "valueRatio": _ratio,
    "valueString": _string,
    "valueTime": _time,
}
