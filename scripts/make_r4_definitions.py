"""Writes src/medibridge/formats/r4/definitions.json from HL7's StructureDefinitions, ValueSets and CodeSystems.

    python scripts/make_r4_definitions.py [--check]

They come in the npm package hl7.fhir.r4.examples (CC0), which `scripts/set_up dev` installs. The result has
what a check of structure needs and nothing else: of each type its elements with their cardinality, and the codes of
each required binding.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "tools/fhir/node_modules/hl7.fhir.r4.examples"
TARGET = ROOT / "src/medibridge/formats/r4/definitions.json"

OPEN = {
    "mimetypes",
    "languages",
    "all-languages",
    "currencies",
    "expression-language",
    "all-types",
    "operation-outcome",
}
"""Value sets that no list of codes exhausts."""


def main() -> None:
    if not SOURCE.is_dir():
        sys.exit(f"{SOURCE.relative_to(ROOT)} is missing; run: scripts/set_up dev")
    made = _dump(_definitions())
    if "--check" not in sys.argv:
        TARGET.write_text(made)
    elif TARGET.read_text() != made:
        sys.exit(f"{TARGET.relative_to(ROOT)} is not what {Path(__file__).name} makes; run it")


def _dump(definitions: dict) -> str:
    """JSON with a line for each type and each value set, so that a change can be read."""
    parts = []
    for name, members in definitions.items():
        lines = ",\n".join(
            f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in members.items()
        )
        parts.append(f"{json.dumps(name)}:{{\n{lines}\n}}")
    return "{" + ",\n".join(parts) + "}\n"


def _definitions() -> dict:
    structures = _load("StructureDefinition")
    systems = {found["url"]: found for found in _load("CodeSystem")}
    sets = {found["url"]: found for found in _load("ValueSet")}
    types: dict[str, dict] = {}
    primitives: dict[str, str] = {}
    bindings: dict[str, dict] = {}
    for structure in structures:
        if structure.get("derivation") == "constraint" or structure["kind"] == "logical":
            continue
        name = structure["type"]
        if structure["kind"] == "primitive-type":
            primitives[name] = _pattern(structure)
            continue
        for element in structure["snapshot"]["element"][1:]:
            owner, _, last = element["path"].rpartition(".")
            if element["max"] == "0":
                continue
            bound = _binding(element, sets, systems, bindings)
            many = element["max"] != "1"
            for suffix, kind in _kinds(element):
                spec = [kind, element["min"], int(many)]
                group = last if last.endswith("[x]") else ""
                if bound and kind in ("code", "Coding", "CodeableConcept"):
                    spec += [bound]
                elif group:
                    spec += [""]
                if group:
                    spec += [group]
                types.setdefault(owner, {})[last.removesuffix("[x]") + suffix] = spec
    resources = sorted(
        s["type"]
        for s in structures
        if s["kind"] == "resource" and s.get("derivation") != "constraint" and not s["abstract"]
    )
    return {
        "resources": dict.fromkeys(resources, 1),
        "primitives": dict(sorted(primitives.items())),
        "types": dict(sorted(types.items())),
        "bindings": dict(sorted(bindings.items())),
    }


def _load(kind: str) -> list[dict]:
    found = [json.loads(path.read_text()) for path in sorted(SOURCE.glob(f"{kind}-*.json"))]
    found = [one for one in found if one.get("resourceType") == kind]
    if kind == "StructureDefinition":
        return [one for one in found if one["url"].startswith("http://hl7.org/fhir/StructureDefinition/")]
    return found


def _pattern(structure: dict) -> str:
    for element in structure["snapshot"]["element"]:
        for kind in element.get("type", ()):
            for extension in kind.get("extension", ()):
                if extension["url"].endswith("/regex"):
                    return extension["valueString"]
    return ""


def _kinds(element: dict) -> list[tuple[str, str]]:
    """Suffix of the name and type; a backbone element is a type of the name of its path."""
    if reference := element.get("contentReference"):
        return [("", reference.removeprefix("#"))]
    found = []
    for kind in element["type"]:
        code = kind["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            named = [one["valueUrl"] for one in kind.get("extension", ()) if one["url"].endswith("-fhir-type")]
            code = named[0] if named else "string"
            if element["path"].count(".") == 1 and element.get("base", {}).get("path") == "Resource.id":
                code = "id"
        if code in ("BackboneElement", "Element"):
            code = element["path"]
        choice = element["path"].endswith("[x]")
        found.append((code[0].upper() + code[1:] if choice else "", code))
    return found


def _binding(element: dict, sets: dict, systems: dict, bindings: dict) -> str:
    bound = element.get("binding", {})
    if bound.get("strength") != "required" or "valueSet" not in bound:
        return ""
    url = bound["valueSet"].partition("|")[0]
    name = url.rpartition("/")[2]
    if name in OPEN or url not in sets:
        return ""
    codes = _expand(sets[url], sets, systems)
    if not codes:
        return ""
    bindings[name] = {system: sorted(members) for system, members in sorted(codes.items())}
    return name


def _expand(value_set: dict, sets: dict, systems: dict) -> dict[str, set[str]] | None:
    """Codes by system; None where the set cannot be listed from what the package holds."""
    codes: dict[str, set[str]] = {}
    for include in value_set.get("compose", {}).get("include", ()):
        for other in include.get("valueSet", ()):
            found = _expand(sets[other.partition("|")[0]], sets, systems) if other.partition("|")[0] in sets else None
            if found is None:
                return None
            for system, members in found.items():
                codes.setdefault(system, set()).update(members)
        if "system" not in include:
            continue
        if "concept" in include:
            members = {concept["code"] for concept in include["concept"]}
        elif include["system"] in systems and systems[include["system"]].get("concept"):
            members = _members(systems[include["system"]], include.get("filter", ()))
            if members is None:
                return None
        else:
            return None
        codes.setdefault(include["system"], set()).update(members)
    for exclude in value_set.get("compose", {}).get("exclude", ()):
        codes.get(exclude.get("system"), set()).difference_update(c["code"] for c in exclude.get("concept", ()))
    return codes


def _members(system: dict, filters: list[dict]) -> set[str] | None:
    if filters and not (len(filters) == 1 and filters[0]["op"] == "is-a"):
        return None
    found: set[str] = set()

    def walk(concepts: list[dict], inside: bool) -> None:
        for concept in concepts:
            within = inside or concept["code"] == filters[0]["value"] if filters else True
            if within:
                found.add(concept["code"])
            walk(concept.get("concept", []), within)

    walk(system["concept"], False)
    return found


if __name__ == "__main__":
    main()
