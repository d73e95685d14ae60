"""The files of one study, as one ImagingStudy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Conversion, Detected, Finding, Outcome, Report
from medibridge.formats.dicom.image import Image
from medibridge.formats.dicom.mapping import union
from medibridge.formats.splitting import key_of
from medibridge.ids import DataClass
from medibridge.record import Json, JsonObject

__all__ = ["conversion_of"]

_ABOUT: Final = frozenset({DataClass.IMAGING, DataClass.VITAL_SIGNS})


def conversion_of(images: Sequence[tuple[str, Image]], broken: Sequence[Finding] = ()) -> Conversion:
    """One conversion of the images of a study. Their order does not matter; each comes with its place in the report.

    What files say differently is taken from the first that says it. Raises `MalformedMessage` where they are of
    several studies or patients.
    """
    ordered = sorted(images, key=lambda one: one[1].order)
    patient, study = dict(ordered[0][1].patient), dict(ordered[0][1].study)
    findings: list[Finding] = []
    defaults: list[Finding] = []
    others: dict[str, JsonObject] = {}
    contained: dict[Json, JsonObject] = {}
    for place, image in ordered:
        if image.study["id"] != study["id"]:
            raise MalformedMessage(f"{place.strip()} is of another study than the others; read each study by itself")
        if image.patient["id"] != patient["id"]:
            raise MalformedMessage(f"{place.strip()} is of another patient than the others; correct (0010,0020)")
        _merge(patient, image.patient)
        _merge(study, image.study)
        for resource in image.others:
            others.setdefault(key_of(resource), resource)
        for resource in image.contained:
            contained.setdefault(resource["id"], resource)
        findings.extend(_at(place, finding) for finding in image.findings)
        defaults.extend(_at(place, finding) for finding in image.defaults)
    series = _series([image for _, image in ordered])
    modalities: list[Json] = []
    for one in series:
        if (modality := one.get("modality")) and modality not in modalities:
            modalities.append(modality)
    counts: dict[str, int] = {
        "numberOfSeries": len(series),
        "numberOfInstances": sum(_length(one.get("instance")) for one in series),
    }
    for name, count in counts.items():
        stated = study.get(name)
        if not isinstance(stated, int) or stated < count:
            study[name] = count
            defaults.append(Finding(f"ImagingStudy.{name}", Outcome.DEFAULT, "not said, or too few; those read count"))
    defaults.append(Finding("ImagingStudy.status", Outcome.DEFAULT, "the files are here; available"))
    study |= {"status": "available", **({"modality": modalities} if modalities else {})}
    if series:
        study["series"] = series
    if contained:
        study["contained"] = list(contained.values())
    kind = "a DICOM file" if len(images) == 1 else f"a DICOM study of {len(images)} files"
    return Conversion(
        Detected("DICOM", f"it holds DICM at byte 128, or begins with a DICOM element; read as {kind}"),
        (patient, study, *others.values()),
        Report((*findings, *broken, *defaults)),
        _ABOUT,
        tuple({image.attachment.digest: image.attachment for _, image in ordered}.values()),
    )


def _at(place: str, finding: Finding) -> Finding:
    return finding._replace(place=place + finding.place) if place else finding


def _merge(into: dict[str, Json], more: Mapping[str, Json]) -> None:
    """Take what is missing; of lists, the items that are missing."""
    for name, value in more.items():
        held = into.get(name)
        if held is None:
            into[name] = value
        elif isinstance(held, list) and isinstance(value, list):
            into[name] = union(held, value)


def _series(images: Sequence[Image]) -> list[dict[str, Json]]:
    found: dict[str, dict[str, Json]] = {}
    instances: dict[str, dict[str, Json]] = {}
    for image in images:
        uid, modality = image.series.get("uid"), image.series.get("modality")
        if not uid or not modality:
            continue
        one = found.setdefault(str(uid), {})
        _merge(one, image.series)
        if image.instance:
            instances.setdefault(str(uid), {}).setdefault(str(image.instance["uid"]), image.instance)
    for uid, one in found.items():
        listed = list(instances.get(uid, {}).values())
        stated = one.get("numberOfInstances")
        one["numberOfInstances"] = max(stated, len(listed)) if isinstance(stated, int) else len(listed)
        if listed:
            one["instance"] = listed
    return list(found.values())


def _length(value: Json) -> int:
    return len(value) if isinstance(value, list) else 0
