"""Writes src/medibridge/formats/fhir/versions/{dstu2,stu3,r5}.json: the elements of each type of those versions.

    python scripts/make_fhir_versions.py stu3 DIRECTORY    # npm hl7.fhir.r3.examples 3.0.2 (CC0)
    python scripts/make_fhir_versions.py r5 DIRECTORY      # npm hl7.fhir.r5.core 5.0.0 (CC0)
    python scripts/make_fhir_versions.py dstu2 DIRECTORY   # PyPI fhirclient 1.0.6 (Apache-2.0), see below

DIRECTORY is the package, unpacked. HL7's own package of DSTU2 is in no registry; the models of fhirclient, which were
generated from it, name each element with its type and whether it repeats, which is all that is wanted. They do not
tell a code from another text; PyPI fhir.resources 6.1.0 (BSD), unpacked into the same directory, does. An element is
written ``"name":"HumanName*"``, with the star where it repeats; a backbone element is a type of the name of its path.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/medibridge/formats/fhir/versions"


def main() -> None:
    version, directory = sys.argv[1], Path(sys.argv[2])
    types, resources, primitives = _of_models(directory) if version == "dstu2" else _of_structures(directory)
    parts = [
        f'"resources":{json.dumps(sorted(resources))}',
        f'"primitives":{json.dumps(sorted(primitives))}',
        '"types":{\n' + ",\n".join(_line(name, table) for name, table in sorted(types.items())) + "}",
    ]
    (TARGET / f"{version}.json").write_text("{" + ",\n".join(parts) + "}\n")


def _line(name: str, table: dict) -> str:
    return f"{json.dumps(name)}:{json.dumps(table, separators=(',', ':'))}"


def _of_structures(directory: Path) -> tuple[dict, set, set]:
    types: dict[str, dict] = {}
    resources, primitives = set(), set()
    for path in sorted(directory.glob("StructureDefinition-*.json")):
        structure = json.loads(path.read_text())
        name = structure.get("type", structure["name"])
        if structure.get("derivation") == "constraint" or structure["kind"] == "logical":
            continue
        if not structure["url"].startswith("http://hl7.org/fhir/StructureDefinition/") or structure["id"] != name:
            continue
        if structure["kind"] == "primitive-type":
            primitives.add(name)
            continue
        if structure["kind"] == "resource" and not structure["abstract"]:
            resources.add(name)
        types.setdefault(name, {})
        for element in structure["snapshot"]["element"][1:]:
            if element["max"] == "0":
                continue
            owner, _, last = element["path"].rpartition(".")
            star = "*" if element["max"] != "1" else ""
            for suffix, kind in _kinds(element):
                types.setdefault(owner, {})[last.removesuffix("[x]") + suffix] = kind + star
    return types, resources, primitives


def _kinds(element: dict) -> list[tuple[str, str]]:
    if reference := element.get("contentReference"):
        return [("", reference.rpartition("#")[2])]
    found = []
    for kind in element["type"]:
        code = kind.get("code", "string")
        if code.startswith("http://hl7.org/fhirpath/"):
            code = "id" if element["path"].count(".") == 1 and element["path"].endswith(".id") else "string"
        if code in ("BackboneElement", "Element"):
            code = element["path"]
        found.append((code[0].upper() + code[1:] if element["path"].endswith("[x]") else "", code))
    return list(dict.fromkeys(found))


def _of_models(directory: Path) -> tuple[dict, set, set]:
    """From the classes of ``fhirclient/models``: what their `elementProperties` list."""
    classes: dict[str, tuple[str, list[tuple[str, str, bool, str]], str]] = {}
    for path in sorted((directory / "fhirclient/models").glob("*.py")):
        if path.stem.endswith("_tests"):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                base = getattr(node.bases[0], "attr", getattr(node.bases[0], "id", "")) if node.bases else ""
                classes[node.name] = base, _properties(node), path.stem
    hints = _hints(directory)
    types: dict[str, dict] = {}
    resources, primitives = set(), set()
    for name, (base, _, stem) in classes.items():
        if name.lower() != stem.removeprefix("fhir") and name.lower() != stem:
            continue
        if base in ("DomainResource", "Resource") and name != "DomainResource":
            resources.add(name)
        _walk(name, name.removeprefix("FHIR"), classes, types, {}, primitives, hints)
    wanted = {name: table for name, table in types.items() if table}
    return wanted, resources, primitives | {"xhtml", "time", "instant", "code", "uri", "id"}


def _properties(node: ast.ClassDef) -> list[tuple[str, str, bool, str]]:
    found = []
    for item in ast.walk(node):
        if isinstance(item, ast.Tuple) and len(item.elts) == 6 and isinstance(item.elts[0], ast.Constant):
            _, name, kind, many, choice = item.elts[:5]
            suffix = name.value.removeprefix(choice.value or name.value)
            kind = ast.unparse(kind).rpartition(".")[2]
            found.append((name.value, kind, many.value, suffix[:1].lower() + suffix[1:]))
    return found


def _hints(directory: Path) -> dict[tuple[str, str], str]:
    """What kind of text an element is, where a second set of models beside (``fhir/resources/DSTU2``) says it."""
    found = {}
    for path in sorted(directory.glob("fhir/resources/DSTU2/*.py")):
        for node in ast.parse(path.read_text()).body:
            for item in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    kind = ast.unparse(item.annotation).replace("ListType[", "").replace("Optional[", "").rstrip("]")
                    found[node.name, item.target.id] = PRIMITIVES.get(kind.rpartition(".")[2], "")
    return found


PRIMITIVES = {
    "Boolean": "boolean", "String": "string", "Code": "code", "Uri": "uri", "DateTime": "dateTime", "Date": "date",
    "Instant": "instant", "Integer": "integer", "PositiveInt": "positiveInt", "UnsignedInt": "unsignedInt",
    "Decimal": "decimal", "Base64Binary": "base64Binary", "Id": "id", "Oid": "oid", "Time": "time",
    "Markdown": "markdown", "bool": "boolean",
}  # fmt: skip
FAMILIES = {
    "str": ("string", {"string", "code", "uri", "id", "oid", "markdown", "base64Binary"}),
    "bool": ("boolean", {"boolean"}),
    "int": ("integer", {"integer", "positiveInt", "unsignedInt"}),
    "float": ("decimal", {"decimal"}),
    "FHIRDate": ("dateTime", {"date", "dateTime", "instant", "time"}),
}


def _walk(name: str, path: str, classes: dict, types: dict, paths: dict, primitives: set, hints: dict) -> None:
    paths[name] = path
    base, properties, stem = classes[name]
    table = types.setdefault(path, {})
    for parent in _parents(base, classes):
        properties = [*classes[parent][1], *properties]
    inner = []
    for element, kind, _, _ in properties:
        if kind in classes and classes[kind][2] == stem and kind.lower() != stem and kind not in paths:
            paths[kind] = f"{path}.{element}"
            inner.append(kind)
    for kind in inner:
        _walk(kind, paths[kind], classes, types, paths, primitives, hints)
    for element, kind, many, choice in properties:
        star = "*" if many else ""
        if kind in FAMILIES:
            usual, family = FAMILIES[kind]
            hint = choice if choice in family else hints.get((name, element), "")
            text = hint if hint in family else usual
            if (path, element) == ("Narrative", "div"):
                text = "xhtml"
            elif element == "id":
                text = "id" if "Resource" in (base, *_parents(base, classes)) else "string"
            primitives.add(text)
            table[element] = text + star
            continue
        table[element] = paths.get(kind, kind.removeprefix("FHIR")) + star


def _parents(base: str, classes: dict) -> list[str]:
    found = []
    while base in classes and classes[base][1]:
        found.append(base)
        base = classes[base][0]
    return found


if __name__ == "__main__":
    main()
