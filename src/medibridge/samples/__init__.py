"""Messages about a patient who does not exist, to try MediBridge with."""

from __future__ import annotations

from importlib.resources import files

from medibridge.errors import UsageError

__all__ = ["NAMES", "PROFILE", "read"]

NAMES = (
    "adt-a01-admission.hl7",
    "ccda-ccd.xml",
    "ct-study.dcm",
    "laboratory.csv",
    "oru-r01-laboratory.hl7",
    "prescriptions.csv",
    "r4-bundle-visit.json",
    "ras-o17-administration.hl7",
    "rde-o11-prescription.hl7",
    "stu3-bundle.xml",
    "symptoms.csv",
    "vxu-v04-immunization.hl7",
)
PROFILE = "tables-profile.yaml"
"""What a site says of its tables; the CSV samples are read with it."""


def read(name: str) -> bytes:
    """The bytes of the sample `name`, one of `NAMES`, or of `PROFILE`. Raises `UsageError` for other names."""
    if name not in (*NAMES, PROFILE):
        raise UsageError(f"{name!r} is not a sample; there are {', '.join(NAMES)}")
    return files(__name__).joinpath(name).read_bytes()
