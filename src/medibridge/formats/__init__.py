"""Foreign bytes to records.

`read` detects the format and converts; `deidentify` makes the twin of a record that may be sold;
`formats.fhir.validate` checks against FHIR R4.
"""

from medibridge.formats.conversion import Conversion, Detected, Finding, Outcome, Report
from medibridge.formats.deidentify import deidentify
from medibridge.formats.registry import FORMATS, read

__all__ = ["FORMATS", "Conversion", "Detected", "Finding", "Outcome", "Report", "deidentify", "read"]
