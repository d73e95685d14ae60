"""DICOM elements as FHIR R4 elements, by the rows of ``elements.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.dicom import codes, identity
from medibridge.formats.dicom.codes import concepts
from medibridge.formats.dicom.dataset import Dataset
from medibridge.formats.dicom.mapping import Draft, Reader, Row, rows, sparse, table, union
from medibridge.record import Json, JsonObject

__all__ = ["fill"]


def fill(part: str, dataset: Dataset, draft: Draft) -> dict[str, Json]:
    """The elements that the rows of a part of the table (patient, study, series, instance, media) give."""
    found: dict[str, Json] = {}
    for row in rows(part):
        name = row.target.rpartition(".")[2]
        if dataset.element(row.keyword) is None:
            continue
        value = _READERS[row.reader](dataset, row, draft)
        if value in (None, "", [], {}):
            continue
        if name.endswith("[]"):
            held = found.get(name[:-2], [])
            found[name[:-2]] = union(held, value if isinstance(value, list) else [value])
        elif name in found:
            dataset.settle(row.keyword, Outcome.UNMAPPED, "another element has its place; the first holds")
        else:
            found[name] = value
    return found


def _text(dataset: Dataset, row: Row, _: Draft) -> Json:
    return dataset.text(row.keyword, row.path)


def _joined(dataset: Dataset, row: Row, _: Draft) -> Json:
    return "\\".join(dataset.texts(row.keyword, row.path))


def _note(dataset: Dataset, row: Row, _: Draft) -> Json:
    return [{"text": text} for text in dataset.texts(row.keyword, row.path)]


def _uid(dataset: Dataset, row: Row, _: Draft) -> Json:
    return dataset.uid(row.keyword, row.path)


def _count(dataset: Dataset, row: Row, _: Draft) -> Json:
    return dataset.integer(row.keyword, row.path)


def _positive(dataset: Dataset, row: Row, _: Draft) -> Json:
    return dataset.integer(row.keyword, row.path, least=1)


def _date(dataset: Dataset, row: Row, _: Draft) -> Json:
    return dataset.date(row.keyword, row.path)


def _date_time(dataset: Dataset, row: Row, _: Draft) -> Json:
    return dataset.date_time(row.keyword, row.beside, row.path)


def _gender(dataset: Dataset, row: Row, _: Draft) -> Json:
    return dataset.code(row.keyword, table()["genders"], row.path)


# --- places and machines --------------------------------------------------------------------------------------------


def organization(dataset: Dataset, draft: Draft) -> JsonObject | None:
    """The institution as a Reference to an Organization."""
    name = dataset.text("InstitutionName", "Organization.name")
    if not name:
        return None
    address = dataset.text("InstitutionAddress", "Organization.address.text")
    codes = concepts(dataset, "InstitutionCodeSequence", "Organization.type", draft)
    addresses: list[Json] = [{"text": address}] if address else []
    elements = sparse(name=name, address=addresses, type=codes)
    return draft.add({"resourceType": "Organization", "id": draft.names.of("Organization", "name", name), **elements})


def _institution(dataset: Dataset, _: Row, draft: Draft) -> Json:
    found = organization(dataset, draft)
    return {"actor": found} if found else None


def _department(dataset: Dataset, row: Row, draft: Draft) -> Json:
    name = dataset.text(row.keyword, "Location.name")
    if not name:
        return None
    owner = organization(dataset, draft)
    own_id = draft.names.of("Location", "name", dataset.peek("InstitutionName"), name)
    return draft.add({"resourceType": "Location", "id": own_id, "name": name, **sparse(managingOrganization=owner)})


def _equipment(dataset: Dataset, _: Row, draft: Draft) -> Json:
    """The machine, inside the ImagingStudy: it is no device of the patient's, and goes where the study goes."""
    maker = dataset.text("Manufacturer", "Device.manufacturer")
    model = dataset.text("ManufacturerModelName", "Device.modelNumber")
    serial = dataset.text("DeviceSerialNumber", "Device.serialNumber")
    station = dataset.text("StationName", "Device.deviceName.name")
    versions: list[Json] = [{"value": text} for text in dataset.texts("SoftwareVersions", "Device.version.value")]
    names: list[Json] = [{"name": station, "type": "user-friendly-name"}] if station else []
    elements = sparse(manufacturer=maker, modelNumber=model, serialNumber=serial, deviceName=names, version=versions)
    own_id = draft.names.of("Device", maker, model, serial, station, *(str(version) for version in versions))
    draft.resources[f"#{own_id}"] = {"resourceType": "Device", "id": own_id, **elements}
    return {"actor": {"reference": f"#{own_id}"}} if elements else None


_READERS: Final[Mapping[str, Reader]] = {
    **codes.READERS,
    **identity.READERS,
    "count": _count,
    "date": _date,
    "date_time": _date_time,
    "department": _department,
    "equipment": _equipment,
    "gender": _gender,
    "institution": _institution,
    "joined": _joined,
    "note": _note,
    "positive": _positive,
    "text": _text,
    "uid": _uid,
}
"""``as`` in the table to its reader. None, or an empty value, where it gives nothing."""
