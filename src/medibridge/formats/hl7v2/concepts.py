"""Coded HL7 v2 data types (CWE, CE, CNE, CF, IS, ID) as CodeableConcept and Coding, and units of measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.message import Part
from medibridge.formats.hl7v2.primitives import Convert, is_code
from medibridge.formats.hl7v2.tables import Table, system_of, system_of_table, table
from medibridge.record import Json

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["CONCEPTS", "coded_unit", "concept"]

UCUM: Final = "http://unitsofmeasure.org"
_SYSTEM_NAME: Final = "https://reportstream.cdc.gov/fhir/StructureDefinition/cwe-coding-system"
"""The extension in which CDC's ReportStream keeps the name of a coding system that has no URI."""

_CODINGS: Final = ((1, 7, 14), (4, 8, 17), (10, 13, 20))
"""CWE: where a coding begins (code, text, system) and where its version and the OID of its system stand."""


class _Paths:
    """The names of the elements of a coding, for the report."""

    def __init__(self, target: str) -> None:
        self.system = f"{target}.system"
        self.version = f"{target}.version"
        self.code = f"{target}.code"
        self.display = f"{target}.display"
        self.name = f"{target}.extension.valueString"


def _coding(part: Part, at: tuple[int, int, int], paths: _Paths, default: str) -> dict[str, Any] | None:
    """One coding of a CWE; None where it has neither a code nor a display."""
    first, version_at, oid_at = at
    code, display, named = part[first], part[first + 1], part[first + 2]
    if not code and not display:
        return None
    coding: dict[str, Any] = {}
    system = _system(named, part[oid_at], paths, coding)
    if system or (default and not named.text):
        coding["system"] = system or default
    if part[version_at].text:
        coding["version"] = part[version_at].whole(paths.version)
    if code:
        value = code.text if code.below is None else " ".join(code.words())
        if is_code(value):
            coding["code"] = value
            code.whole(paths.code)
        else:
            coding["display"] = code.whole(paths.display)
    if display:
        shown = display.whole(paths.display)
        coding["display"] = f"{coding['display']} {shown}" if "display" in coding else shown
    return coding


def _system(named: Part, oid: Part, paths: _Paths, coding: dict[str, Any]) -> str | None:
    """The URI of a coding system, by its name or OID. A name without a URI is kept in an extension."""
    system = None
    if named.text:
        system = system_of(named.text)
        if system:
            named.mapped(paths.system)
        else:
            coding["extension"] = [{"url": _SYSTEM_NAME, "valueString": named.mapped(paths.name)}]
    if oid.text:
        by_oid = system_of(oid.text)
        if by_oid is not None and system in (None, by_oid):
            oid.mapped(paths.system)
            return by_oid
        oid.settle(Outcome.UNMAPPED, "a second system of the same code, or one without a URI")
    return system


def _site(coding: dict[str, Any], named: str, draft: Draft) -> dict[str, Any] | None:
    """What the site's profile says that a local code means."""
    codes = draft.profile.codes.get(named)
    meaning = codes.get(coding.get("code", "")) if codes else None
    if meaning is None:
        return None
    found = {"system": meaning.system, "code": meaning.code}
    return {**found, "display": meaning.display} if meaning.display else found


def _standard(coding: dict[str, Any], mapping: Table, default: str) -> dict[str, Any] | None:
    """What the code is in FHIR, by the table of the map."""
    if coding.get("system", default) != default or "extension" in coding:
        return None
    found = mapping.codes.get(coding.get("code", ""))
    if found is None or (found.system, found.code) == (coding.get("system"), coding.get("code")):
        return None
    standard = {"system": found.system, "code": found.code}
    return {**standard, "display": found.display} if found.display else standard


def concept(target: str, named: str) -> Convert:
    """CWE as CodeableConcept. `named` is a table of ``tables.yaml``, or the number of the HL7 table that holds where
    no system is given.

    What the site's profile or the table says that a code means comes first; the code that was sent stays.
    """
    mapping = table(named) if named and not named.isdigit() else None
    number = mapping.number if mapping else named
    default = system_of_table(number) if number else ""
    paths = _Paths(f"{target}.coding")
    text_path = f"{target}.text"

    def convert(part: Part, draft: Draft) -> Json:
        if part.below is None:
            return simple(part, draft)
        codings: list[dict[str, Any]] = []
        meanings: list[dict[str, Any]] = []
        for at in _CODINGS:
            if (coded := _coding(part, at, paths, default)) is not None:
                codings.append(coded)
                meanings.extend(meanings_of(coded, part[at[0] + 2].text, draft))
        text = part[9].whole(text_path) if part[9] else ""
        if not text and len(codings) == 1 and codings[0].keys() == {"display"}:  # a text alone is no coding
            for leaf in part.leaves():
                if leaf.outcome is Outcome.MAPPED:
                    leaf.target = text_path
            return {"text": codings[0]["display"]}
        found: dict[str, Any] = {}
        if codings:
            found["coding"] = [*(one for one in meanings if one not in codings), *codings]
        if text:
            found["text"] = text
        return found or None

    def simple(part: Part, draft: Draft) -> Json:
        if not part.text:
            return None
        if (" " in part.text and not default) or not is_code(part.text):
            return {"text": part.mapped(text_path)}
        coding: dict[str, Any] = {"code": part.mapped(paths.code)}
        if default:
            coding["system"] = default
        return {"coding": [*meanings_of(coding, "", draft), coding]}

    def meanings_of(coding: dict[str, Any], named: str, draft: Draft) -> list[dict[str, Any]]:
        standard = _standard(coding, mapping, default) if mapping else None
        return [found for found in (_site(coding, named, draft), standard) if found]

    return convert


def _one_coding(target: str, named: str) -> Convert:
    """CWE as Coding: what the table says, else what was sent."""
    mapping = table(named) if named and not named.isdigit() else None
    number = mapping.number if mapping else named
    default = system_of_table(number) if number else ""
    paths = _Paths(target)

    def convert(part: Part, _draft: Draft) -> Json:
        coding = _coding(part, _CODINGS[0], paths, default)
        if coding is None:
            return None
        return (mapping and _standard(coding, mapping, default)) or coding

    return convert


def _concept_text(target: str, _: str) -> Convert:
    """CWE as text: the original text, else the display, else the code."""

    def convert(part: Part, _draft: Draft) -> Json:
        for at in (9, 2, 5, 1, 4):
            if part[at]:
                return part[at].whole(target)
        return None

    return convert


def _concept_whole(target: str, _: str) -> Convert:
    """CWE as CodeableConcept of its text alone."""

    def convert(part: Part, _draft: Draft) -> Json:
        text = part.whole(f"{target}.text")
        return {"text": text} if text else None

    return convert


def coded_unit(part: Part, target: str, draft: Draft) -> dict[str, Any]:
    """CWE as the unit of a Quantity: with a code where the code system or the profile says UCUM, else the text."""
    for first in (1, 4):
        value, display, system = part[first].text, part[first + 1].text, part[first + 2].text
        if value and is_code(value) and system_of(system) == UCUM:
            part[first].mapped(f"{target}.code")
            part[first + 1].mapped(f"{target}.unit")
            part[first + 2].mapped(f"{target}.system")
            found: dict[str, Any] = {"unit": display or value, "system": UCUM, "code": value}
            break
    else:
        value = part[1].whole(f"{target}.unit")
        display = part[2].text
        if not value and not display:
            return {}
        found = {"unit": value or display}
        known = system_of(part[3].text) if part[3].text else None
        if not value or display == value:
            part[2].mapped(f"{target}.unit")
        elif known and is_code(value):  # FHIR asks for a system beside a code
            found = {"unit": display or value, "system": known, "code": value}
            part[1].mapped(f"{target}.code")
            part[2].mapped(f"{target}.unit")
            part[3].mapped(f"{target}.system")
        else:
            part[2].settle(Outcome.UNMAPPED, "the code stands as the unit")
        if ucum := draft.profile.units.get(value):
            found |= {"system": UCUM, "code": ucum}
    return found


CONCEPTS: Final = {
    "CWE": ("CodeableConcept", concept),
    "CWE[Coding]": ("Coding", _one_coding),
    "CWE[text]": ("string", _concept_text),
    "CWE[whole]": ("CodeableConcept", _concept_whole),
}
