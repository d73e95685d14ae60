"""Codes and identifiers: CD, CE, CV, CS as CodeableConcept and Coding; II as Identifier; ED and ST as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, DraftedObject, Ledger, Taken
from medibridge.formats.ccda.narrative import Texts
from medibridge.formats.ccda.systems import is_oid, uri_of, uri_of_name
from medibridge.formats.conversion import Outcome
from medibridge.formats.settings import Profile

__all__ = ["ABSENT_REASON", "NULL_FLAVORS", "Concepts"]

ABSENT_REASON: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

NULL_FLAVORS: Final = {
    "UNK": "unknown", "NI": "unknown", "NAV": "temp-unknown", "ASKU": "asked-unknown", "NASK": "not-asked",
    "NA": "not-applicable", "MSK": "masked", "OTH": "unsupported", "NINF": "negative-infinity",
    "PINF": "positive-infinity", "NP": "unknown", "INV": "error", "DER": "unknown", "QS": "unknown", "TRC": "unknown",
    "UNC": "unsupported",
}  # fmt: skip
"""NullFlavor (2.16.840.1.113883.5.1008) to data-absent-reason (hl7.org/fhir/R4/valueset-data-absent-reason.html)."""

_SPACES_IN_CODE: Final = "a code with white space in it"


@dataclass(frozen=True)
class Concepts:
    """Reads codes, identifiers and texts. `texts` are the parts of the narrative by their ID."""

    ledger: Ledger
    texts: Texts
    profile: Profile

    # --- text -------------------------------------------------------------------------------------------------------

    def text(self, node: Node) -> Taken | None:
        """ED or ST as string: what stands in it, else what its reference points to in the narrative."""
        own = node.all_text()
        if node["representation"].upper() == "B64":
            return None
        leaves = tuple(leaf for below in node.walk() if (leaf := Leaf(below, "")).value)
        if own and node.name != "reference":
            self._resolve(node)
            return Taken(own, leaves)
        reference = node if node.name == "reference" else node.child("reference")
        return self._pointed(reference) if reference is not None else None

    def _resolve(self, node: Node) -> None:
        """A reference beside the text itself says nothing more."""
        reference = node.child("reference")
        if reference is not None and reference["value"]:
            self.ledger.settle(Leaf(reference, "value"), Outcome.USED, "points to the narrative; the text stands here")

    def _pointed(self, reference: Node) -> Taken | None:
        leaf = Leaf(reference, "value")
        if text := self.texts.find(leaf.value.removeprefix("#")):
            return Taken(text, (leaf,))
        if leaf.value.startswith("#"):
            self.ledger.settle(leaf, Outcome.UNKNOWN, "points to no part of the narrative that has a text")
        return None

    def string(self, node: Node) -> Taken | None:
        """The text of an element, on one line."""
        return self.text(node)

    # --- codes ------------------------------------------------------------------------------------------------------

    def codings(self, node: Node) -> list[DraftedObject]:
        """The code and its translations, each once."""
        found: list[DraftedObject] = []
        seen: set[tuple[object, object]] = set()
        for place in (node, *node.named("translation")):
            for coding in self._coding(place):
                key = (_plain(coding.get("system")), _plain(coding.get("code")) or _plain(coding.get("display")))
                if key in seen:
                    self._settle_again(place)
                else:
                    seen.add(key)
                    found.append(coding)
        return found

    def _settle_again(self, node: Node) -> None:
        for name in ("code", "codeSystem", "displayName"):
            if node[name]:
                self.ledger.settle(Leaf(node, name), Outcome.IGNORED, "the same code stands before it")

    def _coding(self, node: Node) -> list[DraftedObject]:
        code, display = Leaf(node, "code"), Leaf(node, "displayName")
        if not code.value and not display.value:
            return []
        found: dict[str, Drafted] = {}
        system = self._system(node)
        if system:
            found["system"] = system
        if code.value:
            if len(code.value.split()) > 1:
                self.ledger.refuse(code, _SPACES_IN_CODE)
            else:
                found["code"] = Taken(code.value, (code,))
        if display.value:
            found["display"] = Taken(display.value, (display,))
        if system and node["codeSystemVersion"]:
            found["version"] = Taken(node["codeSystemVersion"], (Leaf(node, "codeSystemVersion"),))
        if not found.keys() - {"system", "version"}:
            return []
        return [found, *self._local(node)]

    def _system(self, node: Node) -> Taken | None:
        leaf, named = Leaf(node, "codeSystem"), Leaf(node, "codeSystemName")
        if leaf.value:
            if uri := uri_of(leaf.value) or uri_of_name(leaf.value):
                return Taken(uri, (leaf,))
            self.ledger.refuse(leaf, "not an OID")
        if named.value and (uri := uri_of_name(named.value)):
            return Taken(uri, (named,))
        return None

    def _local(self, node: Node) -> list[DraftedObject]:
        """What a local code means by the site's profile."""
        for system in (node["codeSystem"], node["codeSystemName"]):
            meaning = self.profile.codes.get(system, {}).get(node["code"]) if system else None
            if meaning:
                shown: dict[str, Drafted] = {"display": meaning.display} if meaning.display else {}
                return [{"system": meaning.system, "code": meaning.code, **shown}]
        return []

    def coding(self, node: Node) -> DraftedObject | None:
        """The first code as Coding."""
        return next(iter(self.codings(node)), None)

    def concept(self, node: Node) -> DraftedObject | None:
        """A coded value as CodeableConcept; of a value of another type, its text."""
        found: dict[str, Drafted] = {}
        if codings := self.codings(node):
            found["coding"] = codings
        text = self._original(node)
        if text:
            found["text"] = text
        elif not codings and (own := self.text(node)):
            found["text"] = own
        if found and node["nullFlavor"]:
            self.ledger.settle(
                Leaf(node, "nullFlavor"), Outcome.USED, "no code fits; text or translations stand for it"
            )
        return found or None

    def _original(self, node: Node) -> Taken | None:
        for original in (*node.named("originalText"), *(t.child("originalText") for t in node.named("translation"))):
            if original is not None and (text := self.text(original)):
                return text
        return None

    def required_concept(self, node: Node) -> DraftedObject:
        """A CodeableConcept; where there is no code, one that says why (data-absent-reason)."""
        return self.concept(node) or {"extension": [self.absent(node)]}

    def absent(self, node: Node) -> DraftedObject:
        """The extension that says why there is no value."""
        return {"url": ABSENT_REASON, "valueCode": self.absent_code(node) or "unknown"}

    def absent_code(self, node: Node) -> Taken | None:
        """NullFlavor as a code of data-absent-reason."""
        leaf = Leaf(node, "nullFlavor")
        return Taken(NULL_FLAVORS.get(leaf.value, "unknown"), (leaf,)) if leaf.value else None

    def absent_concept(self, node: Node) -> DraftedObject | None:
        """NullFlavor as a CodeableConcept of data-absent-reason."""
        code = self.absent_code(node)
        system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
        return {"coding": [{"system": system, "code": code}]} if code else None

    # --- identifiers ------------------------------------------------------------------------------------------------

    def identifier(self, node: Node) -> DraftedObject | None:
        """II as Identifier: `root` is the system and `extension` the value; a root alone is a value itself."""
        root, extension, assigner = Leaf(node, "root"), Leaf(node, "extension"), Leaf(node, "assigningAuthorityName")
        uri = uri_of(root.value) if root.value else None
        found: dict[str, Drafted] = {}
        if extension.value:
            found["value"] = Taken(extension.value, (extension,))
            if uri:
                found["system"] = Taken(uri, (root,))
            elif assigner.value in self.profile.authorities:
                found["system"] = Taken(self.profile.authorities[assigner.value], (assigner,))
        elif uri:
            found["system"] = "urn:ietf:rfc3986"
            found["value"] = Taken(f"urn:oid:{root.value}" if is_oid(root.value) else uri, (root,))
        if root.value and not uri:
            self.ledger.refuse(root, "not an OID, UUID or URI")
        if found and assigner.value:
            found["assigner"] = {"display": Taken(assigner.value, (assigner,))}
        return found or None

    def name_of(self, node: Node) -> tuple[str, str] | None:
        """System and value of an II; None where it names nothing."""
        uri = uri_of(node["root"]) if node["root"] else None
        if node["extension"]:
            return uri or node["assigningAuthorityName"], node["extension"]
        return ("urn:ietf:rfc3986", f"urn:oid:{node['root']}" if is_oid(node["root"]) else uri) if uri else None


def _plain(value: Drafted) -> object:
    return value.value if isinstance(value, Taken) else value
