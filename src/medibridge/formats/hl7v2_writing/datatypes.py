"""FHIR R4 data types as data types of HL7 v2.5.1 (chapter 2.A)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final

import yaml

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2_writing.segments import Component, Field, Repetition
from medibridge.formats.hl7v2_writing.source import Node

__all__ = ["Writer", "date_time", "holds", "number", "tables"]

_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?", re.ASCII
)
_NUMBER: Final = re.compile(r"[+-]?\d{1,60}(\.\d{1,60})?([eE][+-]?\d{1,2})?", re.ASCII)
_TABLE: Final = re.compile(r"http://terminology\.hl7\.org/CodeSystem/v2-(\d{4})")
_OID: Final = re.compile(r"urn:oid:([0-2](?:\.(?:0|[1-9]\d*))+)", re.ASCII)
_V3: Final = "http://terminology.hl7.org/CodeSystem/v3-"
_TABLED: Final = "HL7"
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


@functools.cache
def tables() -> dict[str, Any]:
    """``fields.yaml``."""
    loaded: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("fields.yaml").read_text("utf-8"))
    return loaded


def holds(repetition: Repetition) -> bool:
    """Whether there is any text in a repetition."""
    return any(component if isinstance(component, str) else any(component) for component in repetition)


def date_time(text: str) -> str | None:
    """A date, dateTime or instant as TS: no more precise than it is. None where it is none."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    zone = "+0000" if offset == "Z" else (offset or "").replace(":", "")
    return "".join(part or "" for part in (year, month, day, hour, minute, second)) + (fraction or "")[:5] + zone


def number(node: Node, target: str) -> str:
    """A decimal as NM, its digits as they are; without an exponent, which NM does not have."""
    text = node.text(target)
    if text and not _NUMBER.fullmatch(text):
        node.ledger.outcomes.pop(node.path, None)
        node.settle(Outcome.INVALID, "not a number; left out")
        return ""
    return format(Decimal(text), "f") if "e" in text.lower() else text


@dataclass(frozen=True)
class Writer:
    """Writes data types. `resources` are those that references may name, by ``Type/id``."""

    resources: Mapping[str, Node]

    def field(self, node: Node, row: Mapping[str, Any], target: str) -> Field:
        """The field that a row of the table describes, from the resource of the segment."""
        values = node.along(row["from"])
        if row.get("one"):
            for more in values[1:]:
                more.settle(Outcome.UNMAPPED, f"{target} does not repeat")
            values = values[:1]
        write = _WRITERS[row["as"]]
        return [found for value in values if holds(found := write(self, value, row, target))]

    def extensions(self, node: Node) -> dict[int, Field]:
        """The fields of PID that stand in known extensions of the Patient."""
        found: dict[int, Field] = {}
        for extension in node["extension"].items():
            row = tables()["extensions"].get(extension["url"].peek)
            if row is None:
                continue
            target = f"PID-{row['to']}"
            inner = extension["extension"].items() if "parts" in row else [extension]
            for part in inner:
                named = (
                    next((key for key in part.value if key.startswith("value")), "")
                    if isinstance(part.value, Mapping)
                    else ""
                )
                if "parts" in row and part["url"].peek not in row["parts"]:
                    continue
                repetition = _WRITERS[row["as"]](self, part[named], {}, target)
                if holds(repetition):
                    found[row["to"]] = [*found.get(row["to"], ()), repetition]
                    for url in (extension["url"], part["url"]):
                        url.settle(Outcome.USED, f"names {target}")
        return found

    def kept(self, segment: str, node: Node, filled: Mapping[int, Field]) -> dict[int, Field]:
        """The fields that extensions named ``DG1.6`` hold, where the reader keeps what FHIR has no place for.

        Those that are filled are left out.
        """
        found: dict[int, Field] = {}
        for extension in node["extension"].items():
            for part in extension["extension"].items():
                match = re.fullmatch(r"([A-Z][A-Z0-9]{2})\.(\d{1,2})", part["url"].peek)
                if (
                    match is None
                    or match[1] != segment
                    or filled.get(int(match[2]))
                    or not isinstance(part.value, Mapping)
                ):
                    continue
                name = next((key for key in part.value if key in _KEPT), "")
                target = f"{segment}-{match[2]}"
                if name and holds(repetition := _KEPT[name](self, part[name], {}, target)):
                    found[int(match[2])] = [*found.get(int(match[2]), ()), repetition]
                    for url in (extension["url"], part["url"]):
                        url.settle(Outcome.USED, f"names {target}")
        return found

    def code(self, node: Node, table: str, target: str) -> str:
        """The HL7 v2 code for a FHIR code; reported where there is none, or where it says less."""
        found = tables()["codes"][table].get(node.peek)
        if found is None:
            node.settle(Outcome.UNMAPPED, f"a code that has no counterpart in {target}")
            return ""
        node.settle(Outcome.MAPPED, target=target)
        if less := tables()["partly"].get(table, {}).get(node.peek):
            node.ledger.outcomes.pop(node.path)
            node.settle(Outcome.PARTLY, less, target)
        return str(found)

    # --- text, dates

    def text(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """ST."""
        return [node.text(target)]

    def coded(self, node: Node, row: Mapping[str, Any], target: str) -> Repetition:
        """ID or IS."""
        return [self.code(node, row["codes"], target)]

    def time(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """TS."""
        found = date_time(node.text(target))
        if found is None:
            node.ledger.outcomes.pop(node.path, None)
            node.settle(Outcome.INVALID, "not a date or time of FHIR; left out")
        elif re.search(r"\.\d{5}", node.peek):
            node.ledger.outcomes.pop(node.path, None)
            node.settle(Outcome.PARTLY, "HL7 v2 has four digits after the second", target)
        return [found or ""]

    # --- codes

    def concept(self, node: Node, row: Mapping[str, Any], target: str) -> Repetition:
        """CodeableConcept, Coding or code as CWE: two codings, and the text."""
        table = row.get("table", "")
        if not isinstance(node.value, Mapping):
            code = self.code(node, row["codes"], target) if "codes" in row else node.text(target)
            return [code, "", f"HL7{table}" if code and table else ""]
        codings = node["coding"].items() if "coding" in node.value or "text" in node.value else [node]
        written: list[tuple[str, str, str, str]] = []
        for coding in sorted(codings, key=lambda one: bool(table) and _table_of(one) != table):
            if written and table and coding["system"].peek.startswith(_V3) and _TABLED in written[0][2]:
                coding.settle(Outcome.IGNORED, "the code of the HL7 table stands for it")
                continue
            found = self._coding(coding, target)
            same = next((one for one in written if one[0] == found[0] and one[2] == found[2]), None)
            if same or len(written) == 2:
                outcome = Outcome.MAPPED if same else Outcome.UNMAPPED
                coding.settle(outcome, "" if same else f"{target} has two codings", target if same else "")
                continue
            written.append(found)
        first, second = ([*written, ("", "", "", ""), ("", "", "", "")])[:2]
        text = node["text"].text(target) if "coding" in node.value or "text" in node.value else ""
        return [*first[:3], *second[:3], first[3], second[3], text]

    def _coding(self, coding: Node, target: str) -> tuple[str, str, str, str]:
        """Code, text, system and version."""
        code, display, system = coding["code"].text(target), coding["display"].text(target), coding["system"]
        if system.peek in tables()["same_codes"]:
            same = tables()["same_codes"][system.peek]
            system.text(target)
            return same["except"].get(code, code), display, f"HL7{same['table']}", coding["version"].text(target)
        return code, display, self.system(system, target) if code else "", coding["version"].text(target)

    def system(self, system: Node, target: str) -> str:
        """The name of a code system in table 0396; ``L`` for one without, which is reported."""
        uri = system.peek
        if not uri:
            return ""
        named = tables()["systems"].get(uri)
        if match := _TABLE.fullmatch(uri):
            named = f"HL7{match[1]}"
        elif not named and (match := _OID.fullmatch(uri)):
            named = match[1]
        if named:
            system.text(target)
            return str(named)
        system.settle(Outcome.PARTLY, "a system without a name in table 0396; written as L, local", target)
        return "L"

    # --- identifiers

    def authority(self, node: Node, target: str) -> list[str]:
        """The system and assigner of an Identifier as HD."""
        name = node["assigner"]["display"].text(target)
        uri = node["system"].text(target)
        if not uri:
            return [name]
        if match := _OID.fullmatch(uri):
            return [name, match[1], "ISO"]
        if uri.startswith("urn:uuid:"):
            return [name, uri.removeprefix("urn:uuid:"), "UUID"]
        return [name, uri, "URI"]

    def identifier(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """CX."""
        value = node["value"].text(target)
        kind = self._kind(node, target)
        start, end = (self.time(node["period"][name], {}, target)[0] for name in ("start", "end"))
        return [value, "", "", self.authority(node, target), kind, "", start, end] if value else [""]

    def _kind(self, node: Node, target: str) -> str:
        for coding in node["type"]["coding"].items():
            if _table_of(coding) == "0203":
                coding["system"].text(target)
                return coding["code"].text(target)
        return node["type"]["text"].text(target)

    def entity(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """EI."""
        self._kind(node, target)
        return [node["value"].text(target), *self.authority(node, target)]

    def entity_pair(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """EIP, with the identifier of the filler."""
        return ["", [str(part) for part in self.entity(node, {}, target)]]

    # --- people and places

    def name(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """HumanName as XPN."""
        family, *rest = self._parts(node, target)
        kind = ""
        for extension in node["extension"].items():
            if extension["url"].peek == _REPRESENTATION:
                extension["url"].text(target)
                kind = self.code(extension["valueCode"], "name_representation", target)
        use = self.code(node["use"], "name_use", target) if node["use"] else ""
        period = [self.time(node["period"][name], {}, target)[0] for name in ("start", "end")]
        return [family, *rest, "", use, kind, "", "", "", *period]

    def _parts(self, node: Node, target: str) -> list[str]:
        """Family, given, further given, suffix, prefix."""
        family = node["family"].text(target)
        given = [one.text(target) for one in node["given"].items()]
        suffix = " ".join(one.text(target) for one in node["suffix"].items())
        prefix = " ".join(one.text(target) for one in node["prefix"].items())
        if not family and not given and node["text"]:
            node["text"].settle(Outcome.PARTLY, "a name without parts; written as the family name", target)
            family = node["text"].peek
        elif node["text"]:
            node["text"].settle(Outcome.IGNORED, "the parts of the name are written")
        return [family, given[0] if given else "", " ".join(given[1:]), suffix, prefix]

    def address(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """XAD."""
        lines = [one.text(target) for one in node["line"].items()]
        rest = [node[name].text(target) for name in ("city", "state", "postalCode", "country")]
        if not lines and not any(rest) and node["text"]:
            node["text"].settle(Outcome.PARTLY, "an address without parts; written as the street", target)
            lines = [node["text"].peek]
        elif node["text"]:
            node["text"].settle(Outcome.IGNORED, "the parts of the address are written")
        use = self.code(node["use"], "address_use", target) if node["use"] else ""
        if not use and node["type"].peek == "postal":
            use = "M"
            node["type"].text(target)
        for line in node["line"].items()[2:]:
            line.settle(Outcome.PARTLY, "XAD has two lines; it stands in the second", target)
        found = [lines[0] if lines else "", ", ".join(lines[1:]), *rest, use, "", node["district"].text(target)]
        period = [self.time(node["period"][name], {}, target)[0] for name in ("start", "end")]
        return [*found, "", "", "", *period] if any(found[:6]) or found[8] else [""]

    def telecom(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """ContactPoint as XTN."""
        value, system = node["value"].text(target), node["system"]
        use = self.code(node["use"], "telecom_use", target) if node["use"] else ""
        if system.peek == "email":
            system.text(target)
            return ["", "NET", "Internet", value] if value else [""]
        equipment = "CP" if use == "PRS" and system.peek == "phone" else ""
        if equipment:
            system.text(target)
        elif system:
            equipment = self.code(system, "telecom_system", target)
        return [value, use, equipment] if value else [""]

    def resolved(self, reference: Node) -> Node | None:
        """The resource that a Reference names, where it is among the resources."""
        return self.resources.get(reference["reference"].peek)

    def person(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """A Reference to a Practitioner, or a PractitionerRole, as XCN."""
        resource = self.resolved(node)
        if resource is not None and resource["resourceType"].peek == "PractitionerRole":
            node["reference"].text(target)
            return self.person(resource["practitioner"], {}, target)
        if resource is None or resource["resourceType"].peek != "Practitioner":
            return self._named(node, target)
        node["reference"].text(target)
        node["display"].settle(Outcome.IGNORED, "the resource is written")
        identifier, names = resource["identifier"], resource["name"].items()
        value = next(iter(identifier.items()), identifier)
        family, given, further, suffix, prefix = self._parts(names[0], target) if names else [""] * 5
        authority = self.authority(value, target) if value else [""]
        return [
            value["value"].text(target) if value else "",
            family,
            given,
            further,
            suffix,
            prefix,
            "",
            "",
            authority,
            self.code(names[0]["use"], "name_use", target) if names and names[0]["use"] else "",
            "",
            "",
            self._kind(value, target) if value else "",
            *[""] * 5,
            *(self.time(names[0]["period"][name], {}, target)[0] if names else "" for name in ("start", "end")),
        ]

    def _named(self, node: Node, target: str) -> Repetition:
        """A Reference to nothing that is here: its display as the family name."""
        if node["display"]:
            node["display"].settle(Outcome.PARTLY, "a name without parts; written as the family name", target)
        return ["", node["display"].peek]

    def organization(self, node: Node, _: Mapping[str, Any], target: str) -> Repetition:
        """A Reference to an Organization as XON."""
        resource = self.resolved(node)
        if resource is None or resource["resourceType"].peek != "Organization":
            return [node["display"].text(target)]
        node["reference"].text(target)
        node["display"].settle(Outcome.IGNORED, "the resource is written")
        identifier = next(iter(resource["identifier"].items()), resource["identifier"])
        if not identifier:
            return [resource["name"].text(target)]
        authority, kind = self.authority(identifier, target), self._kind(identifier, target)
        value = identifier["value"].text(target)
        return [resource["name"].text(target), "", "", "", "", authority, kind, "", "", value]

    def place(self, node: Node, __: Mapping[str, Any], target: str) -> Repetition:
        """A Reference to a Location as PL: it and the places that it is part of, each at its level."""
        levels: dict[int, Component] = {}
        resource = self.resolved(node)
        if resource is None:
            return [*[""] * 8, node["display"].text(target)]
        for _ in range(8):  # levels of PL; and a bound, should places be part of each other
            if resource is None:
                break
            node["reference"].text(target)
            node["display"].settle(Outcome.IGNORED, "the resource is written")
            at = next(
                (tables()["place_levels"].get(one["code"].peek) for one in resource.along("physicalType.coding")), 1
            )
            if at and at not in levels:
                identifier = next(iter(resource["identifier"].items()), resource["identifier"])
                levels[at] = [resource["name"].text(target), *self.authority(identifier, target)[1:]]
                if identifier["value"].peek == resource["name"].peek:
                    identifier["value"].text(target)
                resource["physicalType"].settle(Outcome.MAPPED, target=target)
                resource["mode"].settle(Outcome.USED, "a place that exists")
                if resource["description"]:
                    levels.setdefault(9, resource["description"].text(target))
            node = resource["partOf"]
            resource = self.resolved(node)
        return [levels.get(at, "") for at in range(1, 10)]


def _table_of(coding: Node) -> str:
    """The number of the HL7 table that a Coding is of."""
    match = _TABLE.fullmatch(coding["system"].peek)
    return match[1] if match else ""


_WRITERS: Final[Mapping[str, Callable[[Writer, Node, Mapping[str, Any], str], Repetition]]] = {
    "CWE": Writer.concept,
    "CX": Writer.identifier,
    "EI": Writer.entity,
    "EIP": Writer.entity_pair,
    "ID": Writer.coded,
    "PL": Writer.place,
    "ST": Writer.text,
    "TS": Writer.time,
    "XAD": Writer.address,
    "XCN": Writer.person,
    "XON": Writer.organization,
    "XPN": Writer.name,
    "XTN": Writer.telecom,
}
"""`as` in the table to its writer. A repetition of empty texts is left out."""

_KEPT: Final[Mapping[str, Callable[[Writer, Node, Mapping[str, Any], str], Repetition]]] = {
    "valueCode": Writer.text,
    "valueCodeableConcept": Writer.concept,
    "valueCoding": Writer.concept,
    "valueDate": Writer.time,
    "valueDateTime": Writer.time,
    "valueDecimal": Writer.text,
    "valueIdentifier": Writer.identifier,
    "valueInteger": Writer.text,
    "valueString": Writer.text,
}
"""Values of extensions that hold a field."""
