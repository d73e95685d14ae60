"""Messages about a patient who does not exist, to try MediBridge with."""

from __future__ import annotations

from importlib.resources import files

from medibridge.errors import UsageError

__all__ = ["NAMES", "read"]

NAMES = (
    "adt-a01-admission.hl7",
    "oru-r01-laboratory.hl7",
    "ras-o17-administration.hl7",
    "rde-o11-prescription.hl7",
    "r4-bundle-visit.json",
)


def read(name: str) -> bytes:
    """The bytes of the sample `name`, one of `NAMES`. Raises `UsageError` for other names."""
    if name not in NAMES:
        raise UsageError(f"{name!r} is not a sample; there are {', '.join(NAMES)}")
    return files(__name__).joinpath(name).read_bytes()
