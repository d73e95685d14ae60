"""What is said of the patient alone: race and ethnicity (US Core), language, birth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, Taken
from medibridge.formats.ccda.mapping import Mapper, Typed

__all__ = ["birth_time", "language", "language_code", "multiple_birth", "proficiency", "race", "sex"]

_US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/"
_OMB: Final = {
    "us-core-race": frozenset({"1002-5", "2028-9", "2054-5", "2076-8", "2106-3"}),
    "us-core-ethnicity": frozenset({"2135-2", "2186-5"}),
}
_LANGUAGES: Final = {"eng": "en", "spa": "es", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "ita": "it",
                     "por": "pt", "zho": "zh", "chi": "zh", "jpn": "ja", "kor": "ko", "rus": "ru", "ara": "ar",
                     "vie": "vi", "hin": "hi", "pol": "pl", "nld": "nl", "dut": "nl"}  # fmt: skip
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def race(mapper: Mapper, node: Node, url: str) -> Drafted:
    """Race or ethnicity, with all further ones of the patient (US Core)."""
    further = "raceCode" if url == "us-core-race" else "ethnicGroupCode"
    nodes = [node, *(node.parent.named(f"sdtc:{further}") if node.parent else [])]
    parts: list[Drafted] = []
    texts: list[str] = []
    for other in nodes:
        for coding in mapper.concepts.codings(other):
            code = other["code"]
            kind = "ombCategory" if code in _OMB[url] else "detailed"
            parts.append({"url": kind, "valueCoding": coding})
            texts.append(other["displayName"] or code)
        if not other["code"] and other["nullFlavor"]:
            leaf = Leaf(other, "nullFlavor")
            flavor = "ASKU" if leaf.value == "ASKU" else "UNK"
            system = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
            parts.append({"url": "ombCategory", "valueCoding": {"system": system, "code": Taken(flavor, (leaf,))}})
            texts.append("Unknown")
    if not parts:
        return None
    omb = [part for part in parts if isinstance(part, Mapping) and part["url"] == "ombCategory"]
    for extra in omb[5 if url == "us-core-race" else 1 :]:
        parts.remove(extra)
    return {
        "url": _US_CORE + url,
        "extension": [*parts, {"url": "text", "valueString": ", ".join(dict.fromkeys(texts))}],
    }


def language(mapper: Mapper, node: Node) -> Drafted:
    """A language (RFC 4646, with the three letters of ISO 639-2) as CodeableConcept of BCP 47."""
    leaf = Leaf(node, "code")
    if not _LANGUAGE.fullmatch(leaf.value):
        return mapper.concepts.concept(node)
    code = Taken(_language_tag(leaf.value), (leaf,))
    shown: dict[str, Drafted] = (
        {"display": Taken(node["displayName"], (Leaf(node, "displayName"),))} if node["displayName"] else {}
    )
    return {"coding": [{"system": "urn:ietf:bcp:47", "code": code, **shown}]}


def _language_tag(text: str) -> str:
    first, separator, rest = text.partition("-")
    return _LANGUAGES.get(first.lower(), first.lower()) + separator + rest


def language_code(node: Node) -> Drafted:
    """A language as a code of BCP 47."""
    leaf = Leaf(node, "code")
    return Taken(_language_tag(leaf.value), (leaf,)) if _LANGUAGE.fullmatch(leaf.value) else None


def birth_time(mapper: Mapper, node: Node) -> Drafted:
    """The time of birth, where it is known to the minute."""
    if len(node["value"]) < 12:
        return None
    found = mapper.clock.date_time(node)
    if found is None or found.lost:
        return None
    return {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": found}


def multiple_birth(mapper: Mapper, node: Node) -> Typed | None:
    """The order among the children of a birth."""
    found = mapper.quantities.integer(node)
    return Typed("Integer", found) if found else None


def proficiency(mapper: Mapper, node: Node) -> Drafted:
    """How well, and in which way, the patient uses a language."""
    parts: list[Drafted] = []
    for name, url in (("proficiencyLevelCode", "level"), ("modeCode", "type")):
        place = node.child(name)
        if place is not None and (coding := mapper.concepts.coding(place)):
            parts.append({"url": url, "valueCoding": coding})
    if not parts:
        return None
    return {"url": "http://hl7.org/fhir/StructureDefinition/patient-proficiency", "extension": parts}


def sex(mapper: Mapper, node: Node) -> Drafted:
    """The sex of a relative as CodeableConcept."""
    leaf = Leaf(node, "code")
    code = mapper.maps.tables["gender"].codes.get(leaf.value)
    system = "http://hl7.org/fhir/administrative-gender"
    if code is None:
        return mapper.concepts.concept(node)
    shown = {"display": Taken(node["displayName"], (Leaf(node, "displayName"),))} if node["displayName"] else {}
    return {"coding": [{"system": system, "code": Taken(code, (leaf,)), **shown}]}
