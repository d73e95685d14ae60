"""People and identifiers: PN, issuers, and the UIDs and numbers of studies and orders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.dicom.dataset import Dataset
from medibridge.formats.dicom.mapping import DICOM_UID, Draft, Reader, Row, sparse
from medibridge.record import Json, JsonObject

__all__ = ["READERS", "named_by"]

_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_OID: Final = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


# --- people ---------------------------------------------------------------------------------------------------------


def human_names(text: str) -> list[dict[str, Json]]:
    """PN (PS3.5, 6.2.1): alphabetic, ideographic and phonetic, each ``family^given^middle^prefix^suffix``."""
    names = []
    groups = text.split("=")[:3]
    for group, kind in zip(groups, ("ABC", "IDE", "SYL"), strict=False):
        family, given, middle, prefix, suffix = ([part.strip() for part in group.split("^")] + [""] * 5)[:5]
        name = sparse(
            family=family,
            given=[part for part in (given, middle) if part],
            prefix=[prefix] if prefix else [],
            suffix=[suffix] if suffix else [],
        )
        if name and len(groups) > 1:
            name["extension"] = [{"url": _REPRESENTATION, "valueCode": kind}]
        if name:
            names.append(name)
    return names


def _names(dataset: Dataset, row: Row, _: Draft) -> Json:
    texts = dataset.texts(row.keyword, row.path)
    if any(text.count("=") > 2 or any(group.count("^") > 4 for group in text.split("=")) for text in texts):
        dataset.settle(row.keyword, Outcome.PARTLY, "more parts than a name has; the first are kept", row.path)
    return [{"use": row.options["use"], **name} for text in texts for name in human_names(text)]


def people(dataset: Dataset, row: Row, draft: Draft) -> list[Json]:
    """References to the Practitioners that a PN names, with what their identification says beside it."""
    identified = dataset.items(row.beside) if row.beside else ()
    texts = dataset.texts(row.keyword, "Practitioner.name")
    found: list[Json] = []
    for number, text in enumerate(texts):
        names: list[Json] = list(human_names(text))
        beside = identified[number] if number < len(identified) else None
        identifiers = _person_identifiers(beside, draft) if beside else []
        if not names and not identifiers:
            continue
        if identifiers:
            own_id = draft.names.by_identifier("Practitioner", *named_by(identifiers[0]))
        else:
            own_id = draft.names.of("Practitioner", "name", text)
        elements = sparse(identifier=identifiers, name=names)
        found.append(draft.add({"resourceType": "Practitioner", "id": own_id, **elements}))
    return found


def _person_identifiers(item: Dataset, draft: Draft) -> list[JsonObject]:
    """The codes by which an institution knows a person (PS3.3, 10.1): a scheme is the system of an Identifier."""
    found: list[JsonObject] = []
    for code in item.items("PersonIdentificationCodeSequence"):
        value = code.text("CodeValue", "Practitioner.identifier.value")
        scheme = code.text("CodingSchemeDesignator", "Practitioner.identifier.assigner.display")
        code.settle("CodeMeaning", Outcome.IGNORED, "the meaning of the id of a person")
        system = draft.schemes.get(scheme) or draft.settings.profile.authorities.get(scheme, "")
        if value:
            found.append(_identifier(value, system, scheme))
    return found


def named_by(identifier: JsonObject) -> tuple[str, str]:
    """The system, or else the authority, and the value of an Identifier: what ids are made of."""
    assigner = identifier.get("assigner")
    name = assigner.get("display") if isinstance(assigner, Mapping) else ""
    return str(identifier.get("system") or name or ""), str(identifier["value"])


def _person(dataset: Dataset, row: Row, draft: Draft) -> Json:
    found = people(dataset, row, draft)
    if len(found) > 1:
        dataset.settle(row.keyword, Outcome.PARTLY, "several people; the first is kept", row.path)
    return found[0] if found else None


def _people(dataset: Dataset, row: Row, draft: Draft) -> Json:
    return people(dataset, row, draft)


def _performers(dataset: Dataset, row: Row, draft: Draft) -> Json:
    function: Json = {"coding": [{"system": _PARTICIPATION, "code": row.options["function"]}]}
    return [{"function": function, "actor": actor} for actor in people(dataset, row, draft)]


def _mothers_name(dataset: Dataset, row: Row, _: Draft) -> Json:
    url = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
    text = dataset.text(row.keyword, row.path).replace("^", " ").replace("=", " ").strip()
    return {"url": url, "valueString": text} if text else None


def _address(dataset: Dataset, row: Row, _: Draft) -> Json:
    return [{"text": text} for text in dataset.texts(row.keyword, row.path)]


def _phones(dataset: Dataset, row: Row, _: Draft) -> Json:
    return [{"system": "phone", "value": text} for text in dataset.texts(row.keyword, row.path)]


# --- identifiers ----------------------------------------------------------------------------------------------------


def authority(dataset: Dataset, draft: Draft, name: str, qualifiers: str, target: str) -> tuple[str, str]:
    """The URI and the name of who issued an identifier (PS3.3, 10.14): its universal id, else that of the profile."""
    named = dataset.text(name, target) if name else ""
    for item in dataset.items(qualifiers) if qualifiers else ():
        named = named or item.text("LocalNamespaceEntityID", target)
        value, kind = item.text("UniversalEntityID", target), item.peek("UniversalEntityIDType").upper()
        item.settle("UniversalEntityIDType", Outcome.USED, "the kind of the universal id")
        if kind == "ISO" and _OID.fullmatch(value):
            return f"urn:oid:{value}", named
        if kind == "UUID" and _UUID.fullmatch(value):
            return f"urn:uuid:{value.lower()}", named
        if kind == "URI" and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", value):
            return value, named
        if value:
            item.settle("UniversalEntityID", Outcome.UNMAPPED, "a universal id that is no URI")
    return draft.settings.profile.authorities.get(named, ""), named


def _identifier(value: str, system: str, name: str, kind: str = "") -> dict[str, Json]:
    coding: list[Json] = [{"system": _TYPE, "code": kind}]
    return sparse(
        type={"coding": coding} if kind else None,
        system=system,
        value=value,
        assigner={"display": name} if name else None,
    )


def _patient_identifier(dataset: Dataset, row: Row, draft: Draft) -> Json:
    value = dataset.text(row.keyword, row.path)
    system, name = authority(dataset, draft, "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", row.path)
    dataset.settle("TypeOfPatientID", Outcome.IGNORED, "how the id is read by machines")
    return {"use": "usual", **_identifier(value, system, name)} if value else None


def _other_identifiers(dataset: Dataset, row: Row, draft: Draft) -> Json:
    return [
        found
        for item in dataset.items(row.keyword)
        if (found := _patient_identifier(item, Row("PatientID", row.target, "", "", {}), draft))
    ]


def _plain_identifiers(dataset: Dataset, row: Row, _: Draft) -> Json:
    return [{"value": value} for value in dataset.texts(row.keyword, row.path)]


def _secondary_identifiers(dataset: Dataset, row: Row, _: Draft) -> Json:
    return [{"use": "secondary", "value": value} for value in dataset.texts(row.keyword, row.path)]


def _uid_identifier(dataset: Dataset, row: Row, _: Draft) -> Json:
    value = dataset.uid(row.keyword, row.path)
    return {"system": DICOM_UID, "value": f"urn:oid:{value}"} if value else None


def _accession(dataset: Dataset, row: Row, draft: Draft) -> Json:
    value = dataset.text(row.keyword, row.path)
    return _identifier(value, *authority(dataset, draft, "", row.beside, row.path), "ACSN") if value else None


def _encounter(dataset: Dataset, row: Row, draft: Draft) -> Json:
    value = dataset.text(row.keyword, row.path)
    system, name = authority(dataset, draft, "IssuerOfAdmissionID", row.beside, row.path)
    return {"type": "Encounter", "identifier": _identifier(value, system, name)} if value else None


def _requests(dataset: Dataset, row: Row, draft: Draft) -> Json:
    """The orders that a series came from, as logical references: the numbers of their placer and filler."""
    found: list[Json] = []
    for item in dataset.items(row.keyword):
        for keyword, issuer, kind in (
            ("PlacerOrderNumberImagingServiceRequest", "OrderPlacerIdentifierSequence", "PLAC"),
            ("FillerOrderNumberImagingServiceRequest", "OrderFillerIdentifierSequence", "FILL"),
            ("RequestedProcedureID", "", ""),
        ):
            if value := item.text(keyword, "ImagingStudy.basedOn.identifier"):
                issued = authority(item, draft, "", issuer, "ImagingStudy.basedOn.identifier")
                found.append({"type": "ServiceRequest", "identifier": _identifier(value, *issued, kind)})
    return found


READERS: Final[Mapping[str, Reader]] = {
    "accession": _accession,
    "address": _address,
    "encounter": _encounter,
    "mothers_name": _mothers_name,
    "names": _names,
    "other_identifiers": _other_identifiers,
    "patient_identifier": _patient_identifier,
    "people": _people,
    "performers": _performers,
    "person": _person,
    "phones": _phones,
    "plain_identifiers": _plain_identifiers,
    "requests": _requests,
    "secondary_identifiers": _secondary_identifiers,
    "uid_identifier": _uid_identifier,
}
"""Ways of reading, by their name in the table."""
