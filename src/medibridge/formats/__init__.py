"""Foreign bytes to FHIR R4.

`detect` names the format; `read` converts one message, `read_all` an input of many; `deidentify` makes the twin of a
record that may be sold; `formats.fhir.validate` checks against FHIR R4.
"""

from medibridge.formats.conversion import Conversion, Detected, Finding, Outcome, Refused, Report
from medibridge.formats.deidentify import deidentify
from medibridge.formats.registry import FORMATS, detect, read, read_all
from medibridge.formats.settings import Profile, Settings

__all__ = [
    "FORMATS",
    "Conversion",
    "Detected",
    "Finding",
    "Outcome",
    "Profile",
    "Refused",
    "Report",
    "Settings",
    "deidentify",
    "detect",
    "read",
    "read_all",
]
