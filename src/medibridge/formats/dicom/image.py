"""One DICOM file, as what it says of its patient, study, series and instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from medibridge.errors import MalformedMessage, UnknownFormat
from medibridge.formats.conversion import Finding, Outcome
from medibridge.formats.dicom.dataset import Dataset, Ledger
from medibridge.formats.dicom.elements import MAX_HEADER, Element, Header, keyword_of, read_header
from medibridge.formats.dicom.identity import named_by
from medibridge.formats.dicom.mapping import DICOM_UID, Draft, sparse, table, wanted
from medibridge.formats.dicom.reading import fill
from medibridge.formats.dicom.report import SEQUENCES, diagnostic_report
from medibridge.formats.settings import Settings
from medibridge.formats.splitting import key_of
from medibridge.record import Attachment, Json, JsonObject

__all__ = ["MEDIA_TYPE", "Image", "read_image"]

MEDIA_TYPE: Final = "application/dicom"
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_MEDIA_KIND: Final = "http://terminology.hl7.org/CodeSystem/media-type"
_UCUM: Final = "http://unitsofmeasure.org"
_AGE_UNITS: Final = {"D": ("d", "day"), "W": ("wk", "week"), "M": ("mo", "month"), "Y": ("a", "year")}
_VITAL_SIGNS: Final = (
    ("PatientSize", "8302-2", "Body height", "m"),
    ("PatientWeight", "29463-7", "Body weight", "kg"),
)


@dataclass(frozen=True, repr=False)
class Image:
    """What one file says. `study`, `series` and `instance` are parts of an ImagingStudy, without their lower parts."""

    patient: dict[str, Json]
    study: dict[str, Json]
    series: dict[str, Json]
    instance: dict[str, Json]
    others: tuple[JsonObject, ...]
    """Practitioners, organizations, observations, and the Media of the file."""
    contained: tuple[JsonObject, ...]
    attachment: Attachment
    findings: tuple[Finding, ...]
    defaults: tuple[Finding, ...]

    @property
    def order(self) -> tuple[int, str, int, str, bytes]:
        """Where it stands in its study: by the numbers that the modality gave, then by UID."""
        series, instance = self.series, self.instance
        return (
            _number(series),
            str(series.get("uid", "")),
            _number(instance),
            str(instance.get("uid", "")),
            self.attachment.digest,
        )


def _number(part: Mapping[str, Json]) -> int:
    value = part.get("number")
    return value if isinstance(value, int) else 2**31


def read_image(data: bytes, size: int, attachment: Attachment, settings: Settings) -> Image:
    """Read the elements of a file before its pixel data.

    `data` is its beginning, `size` the bytes that it has. Raises `UnknownFormat` for a DICOMDIR, `MalformedMessage`
    where nothing can be read, where the header is longer than `MAX_HEADER`, and in strict mode where a value is
    invalid.
    """
    header = read_header(data[:MAX_HEADER], wanted(*SEQUENCES))
    if header.stopped and size > MAX_HEADER:
        raise MalformedMessage(f"the header of the DICOM file is longer than {MAX_HEADER // 2**20} MiB; split the file")
    ledger = Ledger(settings.strict)
    dataset = Dataset(header, ledger, settings)
    _check_kind(dataset)
    for broken in header.broken:
        ledger.broken(broken.place, broken.reason)
    if header.pixels_end is not None and header.pixels_end > size:
        ledger.broken(header.pixels_place, "is longer than the file, which is cut off")
    elif header.pixels_end is not None and header.pixels_end < size:
        reason = "what follows it is not read; it stands in the attached file"
        ledger.more.append(Finding(f"after {header.pixels_place}", Outcome.UNMAPPED, reason))
    return _Reading(dataset, header, ledger, Draft(settings, schemes=_schemes(dataset)), attachment).image()


def _check_kind(dataset: Dataset) -> None:
    kinds = (dataset.peek("MediaStorageSOPClassUID"), dataset.peek("SOPClassUID"))
    if _DIRECTORY in kinds or dataset.element("DirectoryRecordSequence"):
        raise UnknownFormat("the file is a DICOMDIR, which lists the files of a disc; read the files that it lists")
    if not any(element.tag >> 16 > 2 for element in dataset.elements()):
        raise MalformedMessage("the DICOM file ends before its first element about the patient; send it complete")


def _schemes(dataset: Dataset) -> dict[str, str]:
    """The coding schemes that the file explains (PS3.3, C.12.1.1.1): designator to URI."""
    found = {}
    for item in dataset.items("CodingSchemeIdentificationSequence"):
        uid = item.uid("CodingSchemeUID", "Coding.system")
        named = item.peek("CodingSchemeDesignator")
        if uid and named:
            found[named] = f"urn:oid:{uid}"
            item.settle("CodingSchemeDesignator", Outcome.USED, "names the coding scheme within the file")
    return found


@dataclass
class _Reading:
    dataset: Dataset
    header: Header
    ledger: Ledger
    draft: Draft
    attachment: Attachment

    def image(self) -> Image:
        draft, dataset = self.draft, self.dataset
        patient = fill("patient", dataset, draft)
        study = fill("study", dataset, draft)
        series = fill("series", dataset, draft)
        instance = fill("instance", dataset, draft)
        patient = {"resourceType": "Patient", "id": self._patient_id(patient), **patient}
        study = {"resourceType": "ImagingStudy", "id": self._study_id(), **study}
        subject = {"reference": key_of(patient)}
        if not series.get("uid"):
            self.ledger.default(dataset.place("SeriesInstanceUID"), "no UID of the series; the study has no series")
        if not instance.get("uid") or not instance.get("sopClass"):
            self.ledger.default(dataset.place("SOPInstanceUID"), "no UID of the instance or its class; not listed")
        media = self._media(series, instance, subject, {"reference": key_of(study)})
        observations = self._observations(subject, study)
        links = ({"reference": key_of(one)} for one in (study, media))
        report = diagnostic_report(dataset, draft, str(instance.get("uid", "")), subject, *links)
        others = [one for key, one in draft.resources.items() if not key.startswith("#")]
        contained = [one for key, one in draft.resources.items() if key.startswith("#")]
        return Image(
            patient,
            {**study, "subject": subject},
            series,
            instance if instance.get("uid") and instance.get("sopClass") else {},
            (*others, *observations, *([report] if report else []), media),
            tuple(contained),
            self.attachment,
            tuple(self._findings()),
            tuple(self.ledger.more),
        )

    def _patient_id(self, patient: dict[str, Json]) -> str:
        identifiers = patient.get("identifier")
        for found in identifiers if isinstance(identifiers, list) else []:
            return self.draft.names.by_identifier("Patient", *named_by(found))
        self.ledger.default(self.dataset.place("PatientID"), "no id of the patient; the id holds for this study only")
        return self.draft.names.by_place("Patient", self._study_name(), "PatientID")

    def _study_id(self) -> str:
        if not self.dataset.peek("StudyInstanceUID"):
            self.ledger.default(self.dataset.place("StudyInstanceUID"), "no UID; the id holds for this file only")
            return self.draft.names.by_place("ImagingStudy", self._study_name(), "StudyInstanceUID")
        return self.draft.names.by_identifier("ImagingStudy", DICOM_UID, self._study_name())

    def _study_name(self) -> str:
        return self.dataset.peek("StudyInstanceUID") or self.attachment.digest.hex()

    def _media(
        self, series: Mapping[str, Json], instance: Mapping[str, Json], subject: JsonObject, study: JsonObject
    ) -> JsonObject:
        """The file itself. Media, not DocumentReference: R4 has it for images in DICOM format, with their size in
        pixels, modality and view; and consent to imaging covers it, as consent to notes does not.
        """
        dataset, attachment = self.dataset, self.attachment
        uid = str(instance.get("uid", ""))
        name = (DICOM_UID, uid) if uid else ("sha256", attachment.digest.hex())
        size: Json = attachment.size if attachment.size < 2**31 else None
        if size is None:
            self.ledger.default("the file", "larger than FHIR can say; Media.content has no size")
        modality, site = series.get("modality"), series.get("bodySite")
        kind = "video" if dataset.peek("SOPClassUID").startswith(_VIDEO) else "image"
        identifiers: list[Json] = [{"system": DICOM_UID, "value": f"urn:oid:{uid}"}] if uid else []
        elements = fill("media", dataset, self.draft)
        if "createdDateTime" not in elements:
            for day, time in (("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime")):
                if "createdDateTime" not in elements and dataset.element(day):
                    elements |= sparse(createdDateTime=dataset.date_time(day, time, "Media.createdDateTime"))
        if self.header.pixels_place:
            self.ledger.settle(self.header.pixels_place, Outcome.MAPPED, target="Media.content")
        return {
            "resourceType": "Media",
            "id": self.draft.names.by_identifier("Media", *name),
            "status": "completed",
            "subject": subject,
            "partOf": [study],
            "content": sparse(contentType=attachment.media_type, url=attachment.uri, size=size),
            **sparse(
                type={"coding": [{"system": _MEDIA_KIND, "code": kind}]} if self.header.pixels_place else None,
                identifier=identifiers,
                modality={"coding": [modality]} if modality else None,
                bodySite=_concept_of(site),
                **elements,
            ),
        }

    def _observations(self, subject: JsonObject, study: JsonObject) -> list[JsonObject]:
        found = []
        when = study.get("started")
        for keyword, code, display, unit in _VITAL_SIGNS:
            target = "Observation.valueQuantity.value"
            value = self.dataset.number(keyword, target)
            if value is not None and value <= 0:
                self.dataset.invalid(keyword, "not above zero")
            elif value is not None:
                quantity: JsonObject = {"value": value, "unit": unit, "system": _UCUM, "code": unit}
                found.append(self._observation("vital-signs", code, display, quantity, subject, when))
        age = self.dataset.text("PatientAge", "Observation.valueQuantity.value")
        if age:
            number, unit_letter = age[:-1], age[-1:].upper()
            if number.isascii() and number.isdigit() and unit_letter in _AGE_UNITS:
                unit, name = _AGE_UNITS[unit_letter]
                quantity = {"value": int(number), "unit": name, "system": _UCUM, "code": unit}
                found.append(self._observation("imaging", "30525-0", "Age", quantity, subject, when))
            else:
                self.dataset.invalid("PatientAge", "not an age of DICOM (nnnD, W, M or Y)")
        return found

    def _observation(
        self, category: str, code: str, display: str, quantity: JsonObject, subject: JsonObject, when: Json
    ) -> JsonObject:
        return {
            "resourceType": "Observation",
            "id": self.draft.names.by_place("Observation", self._study_name(), f"{code} {quantity['value']}"),
            "status": "final",
            "category": [{"coding": [{"system": _CATEGORY, "code": category}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}]},
            "subject": subject,
            **sparse(effectiveDateTime=when),
            "valueQuantity": quantity,
        }

    # --- what became of each element

    def _findings(self) -> Iterator[Finding]:
        yield from self._of(self.dataset)
        if self.header.pixels_place:
            place = self.header.pixels_place
            yield self.ledger.outcomes.get(place) or Finding(place, Outcome.MAPPED, target="Media.content")

    def _of(self, dataset: Dataset) -> Iterator[Finding]:
        for element in dataset.elements():
            if element.is_empty:
                continue
            for item in element.items:
                yield from self._of(dataset.below(item))
            if not element.items:
                yield self.ledger.outcomes.get(element.place) or _unread(element)


_VIDEO: Final = tuple(f"1.2.840.10008.5.1.4.1.1.77.1.{one}.1" for one in (1, 2, 4))
"""Video endoscopic, microscopic and photographic image storage."""


def _concept_of(coding: Json) -> JsonObject | None:
    if not isinstance(coding, Mapping):
        return None
    return {"coding": [coding]} if "code" in coding else {"text": coding["display"]}


def _unread(element: Element) -> Finding:
    group = element.tag >> 16
    if group & 1:
        return Finding(element.place, Outcome.UNKNOWN, "a private element; it stands in the attached file only")
    keyword = keyword_of(element.tag)
    if not element.tag & 0xFFFF:
        return Finding(element.place, Outcome.IGNORED, "the length of a group")
    for outcome in (Outcome.USED, Outcome.IGNORED):
        for reason, keywords in table()[outcome.value].items():
            if keyword in keywords:
                return Finding(element.place, outcome, reason)
    if not keyword:
        return Finding(element.place, Outcome.UNKNOWN, "an element that the standard does not know; in the file only")
    count = f", with the {element.below} elements below it" if element.below else ""
    return Finding(element.place, Outcome.UNMAPPED, f"it stands in the attached file only{count}")
