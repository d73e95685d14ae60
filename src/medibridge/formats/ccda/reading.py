"""One document from its root to its resources and its report."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterator
from typing import Final

import yaml

from medibridge.errors import MalformedMessage
from medibridge.formats.ccda.composition import add_composition
from medibridge.formats.ccda.concepts import Concepts
from medibridge.formats.ccda.datatypes import DATATYPES
from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.draft import Draft
from medibridge.formats.ccda.ledger import Ledger
from medibridge.formats.ccda.mapping import STATEMENTS, Mapper
from medibridge.formats.ccda.maps import load
from medibridge.formats.ccda.narrative import texts_by_id
from medibridge.formats.ccda.paths import Path
from medibridge.formats.ccda.people import People
from medibridge.formats.ccda.quantities import Quantities
from medibridge.formats.ccda.times import Clock
from medibridge.formats.conversion import Origin, Outcome, Report
from medibridge.formats.naming import Names
from medibridge.formats.settings import Settings
from medibridge.record import JsonObject

__all__ = ["kind_of", "read_document"]

_KEEPER: Final = Path.of("custodian/assignedCustodian/representedCustodianOrganization/name")
_UNNAMED: Final = "clinical document"


def read_document(root: Node, settings: Settings, digest: str) -> tuple[tuple[JsonObject, ...], Report, Origin]:
    """The resources, the report and the origin of a document; `digest` names it where it has no id.

    Raises `MalformedMessage` where it is about no or several patients; in strict reading for each invalid value.
    """
    patient = _patient_of(root)
    ledger = Ledger(root, settings.strict)
    clock = Clock(ledger, settings.profile.zone)
    concepts = Concepts(ledger, texts_by_id(root), settings.profile)
    named = [found for node in root.named("id") if (found := concepts.name_of(node))]
    draft = Draft(ledger, Names(settings.source), "\n".join(named[0]) if named else digest)
    mapper = Mapper(
        maps=load(),
        ledger=ledger,
        draft=draft,
        clock=clock,
        concepts=concepts,
        quantities=Quantities(ledger, settings.profile),
        people=People(ledger, clock),
        datatypes=DATATYPES,
        by_id=_statements_by_id(root),
        _made={},
        _claimed=set(),
        subject={},
        root=root,
    )
    if (subject := mapper.make_named("patient", patient)) is None:
        raise MalformedMessage(f"{patient.place} says nothing of the patient; a document needs one")
    mapper.subject["Patient"] = subject
    for name, place in _others(root):
        mapper.make_named(name, place)
    composition = add_composition(mapper, root)
    for author in root.named("author"):
        if author.child("time") is not None:
            mapper.make_provenance(author, [composition])
    return tuple(draft.resources.values()), ledger.report(_rest(mapper)), _origin_of(root, clock, named)


def _origin_of(root: Node, clock: Clock, named: list[tuple[str, str]]) -> Origin:
    keeper = _KEEPER.nodes(root)
    stated = root.child("effectiveTime")
    made = clock.instant(stated) if stated is not None else None
    return Origin(keeper[0].all_text() if keeper else "", named[0][1] if named else "", str(made.value) if made else "")


def kind_of(root: Node) -> str:
    """What kind of document it is: by its templates, else by its LOINC code."""
    kinds = _kinds()
    code = root.child("code")
    for template in root.named("templateId"):
        if name := kinds.get(template["root"]):
            return name
    return kinds.get(code["code"], _UNNAMED) if code is not None else _UNNAMED


@functools.cache
def _kinds() -> dict[str, str]:
    text = importlib.resources.files(__package__).joinpath("maps/documents.yaml").read_text("utf-8")
    lines: dict[str, list[str]] = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - reads texts only
    return {key: name for name, keys in lines.items() for key in keys}


def _patient_of(root: Node) -> Node:
    targets = root.named("recordTarget")
    roles = [role for target in targets for role in target.named("patientRole")]
    if not roles:
        raise MalformedMessage("the document has no recordTarget.patientRole; it is about nobody, send it complete")
    if len(roles) > 1:
        raise MalformedMessage(f"{targets[-1].place} is a further patient; send a document for each")
    return roles[0]


def _others(root: Node) -> Iterator[tuple[str, Node]]:
    """Parts of the header that are resources of their own, with the names of their maps."""
    for component in root.named("component"):
        for body in component.named("nonXMLBody"):
            yield "unstructured", body


def _statements_by_id(root: Node) -> dict[tuple[str, str], Node]:
    """The statements that say something, by the root and extension of their ids."""
    found: dict[tuple[str, str], Node] = {}
    for node in root.walk():
        if node.name in STATEMENTS:
            code = node.child("code")
            if code is not None and code["nullFlavor"] == "NP" and node.name == "act":
                continue
            for name in node.named("id"):
                if name["root"]:
                    found.setdefault((name["root"], name["extension"]), node)
    return found


# --- what no map has read -------------------------------------------------------------------------------------------


@functools.cache
def _structure() -> dict[str, tuple[Outcome, str]]:
    text = importlib.resources.files(__package__).joinpath("maps/structure.yaml").read_text("utf-8")
    lines: dict[str, dict[str, str]] = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - reads texts only
    return {name: (Outcome(outcome), reason) for outcome, names in lines.items() for name, reason in names.items()}


def _rest(mapper: Mapper) -> Iterator[tuple[Leaf, Outcome, str]]:
    known, ledger = _structure(), mapper.ledger
    for leaf in ledger.leaves():
        if ledger.is_settled(leaf):
            continue
        node, attribute = leaf
        grand = node.parent.name if node.parent is not None else ""
        is_part = node.parent is not None and grand in STATEMENTS and mapper.is_part(node.parent)
        keys = [f"{grand}.{node.name}@{attribute}", f"{grand}.{node.name}@*", f"{node.name}@{attribute}",
                f"{node.name}@*", f"@{attribute}"]  # fmt: skip
        if node.name == "reference" and leaf.value.startswith("#"):
            yield leaf, Outcome.IGNORED, "points to the narrative, which stands in the section"
            continue
        for key in ([f"part.{node.name}@*"] if is_part else []) + keys:
            if key in known:
                yield leaf, *known[key]
                break
        else:
            if node.name.startswith("?:") or attribute.startswith("?:"):
                yield leaf, Outcome.UNKNOWN, "CDA does not know it"
            else:
                yield leaf, Outcome.UNMAPPED, "this version has no place for it"
