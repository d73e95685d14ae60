"""Codes: code sequences, modalities, parts of the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.dicom.dataset import Dataset
from medibridge.formats.dicom.mapping import Draft, Reader, Row, sparse, table
from medibridge.record import Json, JsonObject

__all__ = ["READERS", "concepts"]

_CODE: Final = re.compile(r"\S+( \S+)*")


def _codings(concept: JsonObject) -> list[JsonObject]:
    codings = concept.get("coding")
    return [coding for coding in codings if isinstance(coding, Mapping)] if isinstance(codings, list) else []


def concepts(dataset: Dataset, keyword: str, target: str, draft: Draft) -> list[JsonObject]:
    """A code sequence (PS3.3, section 8) as CodeableConcepts."""
    return [found for item in dataset.items(keyword) if (found := _concept_of(item, target, draft))]


def _concept_of(item: Dataset, target: str, draft: Draft) -> dict[str, Json]:
    keyword = next((name for name in ("CodeValue", "LongCodeValue", "URNCodeValue") if item.element(name)), "CodeValue")
    value, display = item.text(keyword, target), item.text("CodeMeaning", target)
    scheme, version = item.text("CodingSchemeDesignator", target), item.text("CodingSchemeVersion", target)
    meaning = draft.settings.profile.codes.get(scheme, {}).get(value)
    codings: list[Json] = []
    if meaning:
        codings.append(sparse(system=meaning.system, code=meaning.code, display=meaning.display))
    system = table()["schemes"].get(scheme) or draft.schemes.get(scheme)
    if _CODE.fullmatch(value):
        codings.append(sparse(system=system, version=version if system else "", code=value, display=display))
        if scheme and not system:
            item.settle("CodingSchemeDesignator", Outcome.UNMAPPED, "a coding scheme without a known URI")
            item.settle("CodingSchemeVersion", Outcome.UNMAPPED, "of a coding scheme without a known URI")
    elif value:
        item.invalid(keyword, "not a code")
    return sparse(coding=codings, text=display if not codings else "")


def _concepts(dataset: Dataset, row: Row, draft: Draft) -> Json:
    return list(concepts(dataset, row.keyword, row.path, draft))


def _concept(dataset: Dataset, row: Row, draft: Draft) -> Json:
    found = concepts(dataset, row.keyword, row.path, draft)
    return found[0] if found else None


def _coding_of(dataset: Dataset, row: Row, draft: Draft) -> Json:
    found = [coding for concept in concepts(dataset, row.keyword, row.path, draft) for coding in _codings(concept)]
    return found[0] if found else None


def _meaning(dataset: Dataset, row: Row, draft: Draft) -> Json:
    for concept in concepts(dataset, row.keyword, row.path, draft):
        for coding in _codings(concept):
            return coding.get("display") or coding.get("code")
        return concept.get("text")
    return None


def _text_concepts(dataset: Dataset, row: Row, _: Draft) -> Json:
    return [{"text": text} for text in dataset.texts(row.keyword, row.path)]


def _modality(dataset: Dataset, row: Row, _: Draft) -> Json:
    value = dataset.text(row.keyword, row.path)
    if value and not _CODE.fullmatch(value):
        dataset.invalid(row.keyword, "not a code")
        return None
    return {"system": table()["schemes"]["DCM"], "code": value} if value else None


def _sop_class(dataset: Dataset, row: Row, _: Draft) -> Json:
    value = dataset.uid(row.keyword, row.path)
    return {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{value}"} if value else None


def _snomed(dataset: Dataset, row: Row, codes: Mapping[str, Mapping[str, str]]) -> Json:
    value = dataset.text(row.keyword, row.path)
    if not value:
        return None
    found = codes.get(re.sub(r"[ _-]", "", value.upper()))
    return {"system": table()["schemes"]["SCT"], **found} if found else {"display": value}


def _body_part(dataset: Dataset, row: Row, _: Draft) -> Json:
    return _snomed(dataset, row, table()["body_parts"])


def _laterality(dataset: Dataset, row: Row, _: Draft) -> Json:
    return _snomed(dataset, row, table()["lateralities"])


READERS: Final[Mapping[str, Reader]] = {
    "body_part": _body_part,
    "coding_of": _coding_of,
    "concept": _concept,
    "concepts": _concepts,
    "laterality": _laterality,
    "meaning": _meaning,
    "modality": _modality,
    "sop_class": _sop_class,
    "text_concepts": _text_concepts,
}
"""Ways of reading, by their name in the table."""
