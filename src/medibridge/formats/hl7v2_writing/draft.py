"""A message while it is being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Finding, Outcome
from medibridge.formats.hl7v2_writing.datatypes import Writer, holds, tables
from medibridge.formats.hl7v2_writing.segments import Field, Repetition, segment
from medibridge.formats.hl7v2_writing.source import Ledger, Node
from medibridge.formats.splitting import key_of
from medibridge.record import JsonObject

__all__ = ["Draft", "field_of"]

_SOURCE: Final = "https://reportstream.cdc.gov/fhir/StructureDefinition/note-source"
_SUBJECTS: Final = ("subject", "patient", "beneficiary", "policyHolder", "subscriber", "individual")


def field_of(*repetitions: Repetition) -> Field:
    """A field of the repetitions that hold something."""
    return [repetition for repetition in repetitions if holds(repetition)]


@dataclass
class Draft:
    """Collects segments. `written` are the paths of the resources that are in the message."""

    ledger: Ledger
    nodes: dict[str, Node]
    writer: Writer
    patient: Node
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, resources: Sequence[JsonObject]) -> Draft:
        """Begin a message about the one patient of the resources. Raises `MalformedMessage` where it is not one."""
        ledger = Ledger(resources)
        nodes = {key_of(resource): ledger.node(index) for index, resource in enumerate(resources)}
        patients = [node for key, node in nodes.items() if key.startswith("Patient/")]
        if len(patients) != 1:
            raise MalformedMessage(f"there are {len(patients)} Patients; a message of HL7 v2 is about one")
        draft = cls(ledger, nodes, Writer(nodes), patients[0])
        for node in nodes.values():
            for name in ("resourceType", "id", "meta"):
                node[name].settle(Outcome.USED, "names the resource")
            for name in _SUBJECTS:
                if node[name]["reference"].peek == key_of(resources[patients[0].path[1]]):  # type: ignore[index]
                    node[name].settle(Outcome.USED, "the patient of PID")
        for kind in ("MessageHeader", "Provenance"):
            for node in draft.of_type(kind):
                node.settle(Outcome.IGNORED, "about how the resources came here")
        return draft

    def of_type(self, kind: str) -> list[Node]:
        """The resources of a type, in order."""
        return [node for key, node in self.nodes.items() if key.startswith(kind + "/")]

    def fields(self, name: str, node: Node) -> dict[int, Field]:
        """The fields that the table gives for a segment, from its resource."""
        rows = tables()["segments"][name]
        segment_name = name.partition("-")[0]
        return {number: self.writer.field(node, row, f"{segment_name}-{number}") for number, row in rows.items()}

    def add(self, name: str, fields: dict[int, Field], *holders: Node) -> None:
        """Take in a segment. Fields that are empty are filled from extensions of the holders, where these have them."""
        for holder in holders:
            fields |= self.writer.kept(name, holder, fields)
        self.lines.append(segment(name, fields))

    def default(self, place: str, reason: str) -> None:
        """Say what was chosen where the resources say nothing."""
        self.ledger.defaults.append(Finding(place, Outcome.DEFAULT, reason))

    def notes(self, nodes: Sequence[Node]) -> None:
        """Annotations as NTE, below the segment that was added last."""
        for number, note in enumerate(nodes, 1):
            source = next((one["valueString"] for one in note["extension"].items() if one["url"].peek == _SOURCE), None)
            kind = source.text("NTE-2") if source else "L"
            self.add("NTE", {1: [[str(number)]], 2: [[kind]], 3: [[note["text"].text("NTE-3")]]})
