"""Race and ethnicity as US Core has them (hl7.org/fhir/us/core), where the codes are those of the CDC."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.hl7v2.concepts import concept
from medibridge.formats.hl7v2.message import Part, Segment

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft
    from medibridge.formats.hl7v2.groups import Group

__all__ = ["add_race_and_ethnicity"]

_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
_CDCREC: Final = "urn:oid:2.16.840.1.113883.6.238"
_LOCAL: Final = {
    "race": "https://reportstream.cdc.gov/fhir/StructureDefinition/race",
    "ethnicity": "https://reportstream.cdc.gov/fhir/StructureDefinition/ethnic-group",
}
_CATEGORIES: Final = frozenset({"1002-5", "2028-9", "2054-5", "2076-8", "2106-3", "2135-2", "2186-5"})
_ETHNICITIES: Final = {"H": ("2135-2", "Hispanic or Latino"), "N": ("2186-5", "Not Hispanic or Latino")}
_TARGET: Final = "Patient.extension.extension.valueCoding"


def add_race_and_ethnicity(
    segment: Segment,
    elements: dict[str, Any],
    draft: Draft,
    group: Group,  # noqa: ARG001 - as all that is by hand
) -> None:
    """PID-10 and PID-22: the CDC's codes as US Core has them; codes of others as a concept of the sender."""
    for field, name in ((10, "race"), (22, "ethnicity")):
        core: list[dict[str, Any]] = []
        texts: list[str] = []
        for part in segment.fields.get(field, ()):
            if not part:
                continue
            coding = _standard(part, name)
            if coding is not None:
                kind = "ombCategory" if coding["code"] in _CATEGORIES else "detailed"
                core.append({"url": kind, "valueCoding": coding})
                texts.append(str(coding.get("display") or coding["code"]))
            if coding is None or not all(leaf.is_mapped for leaf in part.leaves()):
                sent = concept("Patient.extension.valueCodeableConcept", "0005" if field == 10 else "0189")(part, draft)
                if sent:
                    elements.setdefault("extension", []).append({"url": _LOCAL[name], "valueCodeableConcept": sent})
        if core:
            core.append({"url": "text", "valueString": ", ".join(texts)})
            elements.setdefault("extension", []).append({"url": _CORE + name, "extension": core})


def _standard(part: Part, name: str) -> dict[str, Any] | None:
    """The CDC's code among the codings of a CWE; None where there is none."""
    for at in (1, 4):
        code, display, system = part[at].text, part[at + 1].text, part[at + 2].text.upper()
        if re.fullmatch(r"\d{4}-\d", code) and system in ("", "CDCREC", "HL70005", "HL70189", "CDCRACE"):
            part[at].mapped(f"{_TARGET}.code")
            part[at + 1].mapped(f"{_TARGET}.display")
            part[at + 2].mapped(f"{_TARGET}.system")
            return {"system": _CDCREC, "code": code, **({"display": display} if display else {})}
        if name == "ethnicity" and code in _ETHNICITIES and system in ("", "HL70189"):
            found, shown = _ETHNICITIES[code]
            return {"system": _CDCREC, "code": found, "display": shown}
    return None
