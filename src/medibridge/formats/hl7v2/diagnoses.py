"""DG1-2 to DG1-4, which together name a diagnosis, as HL7 v2 before 2.7 wrote it (chapter 6, 6.5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.message import Segment
from medibridge.formats.hl7v2.tables import system_of

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft
    from medibridge.formats.hl7v2.groups import Group

__all__ = ["add_diagnosis"]


def add_diagnosis(segment: Segment, elements: dict[str, Any], draft: Draft, group: Group) -> None:  # noqa: ARG001
    """DG1-2 names the coding system where DG1-3.3 does not; DG1-4 is the text of the diagnosis."""
    code: dict[str, Any] = dict(elements.get("code", {}))
    codings = code.get("coding", [])
    if segment[2].text and not segment[3][3] and codings and "code" in codings[0]:
        system = system_of(segment[2].text)
        if system:
            code["coding"] = [{**codings[0], "system": system}, *codings[1:]]
            segment[2].mapped("Condition.code.coding.system")
        else:
            segment[2].settle(Outcome.UNMAPPED, "a coding system without a known URI")
    if text := segment[4].whole("Condition.code.text"):
        code["text"] = f"{code['text']} {text}" if code.get("text") not in (None, text) else text
    if code:
        elements["code"] = code
