"""Invented studies: DICOM files of a person who does not exist, to be read in tests and shown to users."""

from __future__ import annotations

import io
import struct

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

__all__ = ["STUDY", "code", "ct_slice", "element", "file_of", "item", "raw_file"]

ROOT = "2.999.4711.7"
STUDY = f"{ROOT}.1"


def item(**elements: object) -> Dataset:
    """A dataset with elements by keyword."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def ct_slice(series: int = 1, instance: int = 1, **changed: object) -> Dataset:
    """A slice of a CT of the chest. What is `changed` to None is left out."""
    elements: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"{ROOT}.2.{series}.{instance}",
        "StudyDate": "20240311",
        "SeriesDate": "20240311",
        "ContentDate": "20240311",
        "StudyTime": "101500",
        "SeriesTime": "101702.5",
        "ContentTime": "101703",
        "AccessionNumber": "R-2403-77",
        "Modality": "CT",
        "Manufacturer": "Alder Imaging",
        "InstitutionName": "Rowan Hospital",
        "InstitutionAddress": "1 Rowan Road, Wychbury",
        "ReferringPhysicianName": "Okonkwo^Adaeze^^Dr",
        "ReferringPhysicianIdentificationSequence": Sequence(
            [item(PersonIdentificationCodeSequence=Sequence([code("D-207", "99ROWAN", "Okonkwo")]))]
        ),
        "TimezoneOffsetFromUTC": "+0100",
        "StationName": "CT-2",
        "StudyDescription": "CT of the chest",
        "ProcedureCodeSequence": Sequence([code("24627-2", "LN", "CT Chest")]),
        "SeriesDescription": f"Chest, axial {series}",
        "InstitutionalDepartmentName": "Radiology",
        "PerformingPhysicianName": "Lindqvist^Torben^^Dr",
        "OperatorsName": "Haugen^Silje",
        "ManufacturerModelName": "AX-16",
        "PatientName": "Fernhollow^Iris^Maud^Ms",
        "PatientID": "4711-0815",
        "IssuerOfPatientID": "ROWAN",
        "IssuerOfPatientIDQualifiersSequence": Sequence(
            [item(UniversalEntityID="2.999.4711", UniversalEntityIDType="ISO")]
        ),
        "PatientBirthDate": "19610514",
        "PatientSex": "F",
        "PatientAge": "062Y",
        "PatientSize": "1.68",
        "PatientWeight": "64.50",
        "BodyPartExamined": "CHEST",
        "KVP": "120",
        "DeviceSerialNumber": "AX-0042",
        "SoftwareVersions": ["7.1", "7.1b"],
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": f"{ROOT}.1.{series}",
        "StudyID": "77",
        "SeriesNumber": str(series),
        "InstanceNumber": str(instance),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 16,
        "Columns": 16,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "RequestAttributesSequence": Sequence([item(RequestedProcedureID="RP-12", ScheduledProcedureStepID="SPS-1")]),
        "PixelData": b"".join(
            struct.pack("<H", 1024 + 60 * ((x - 8) ** 2 + (y - 8) ** 2 < 30) + instance)
            for x in range(16)
            for y in range(16)
        ),
    }
    return item(**{keyword: value for keyword, value in {**elements, **changed}.items() if value is not None})


def file_of(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The file (PS3.10) of a dataset."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", f"{ROOT}.9")
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = f"{ROOT}.99"
    dataset.file_meta = meta
    out = io.BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def raw_file(*elements: tuple[int, str, bytes], syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A file of elements as they are given: tag, VR and bytes, explicit and little endian, whatever they say."""
    meta = element(0x00020010, "UI", syntax.encode())
    return bytes(128) + b"DICM" + meta + b"".join(element(*one) for one in elements)


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One element, explicit VR, little endian."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    value += b"\0" * (len(value) % 2)
    if vr in ("OB", "OW", "SQ", "UN", "UT", "UC"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value
