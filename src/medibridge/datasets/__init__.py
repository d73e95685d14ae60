"""De-identified datasets: many patients' records, made alike enough that nobody stands out, with a report for all.

`build` makes one of FHIR R4 files, on `Terms`; a `BuiltDataset` is one that is there, and packs itself for sealing.
"""

from medibridge.datasets.archive import BuiltDataset
from medibridge.datasets.build import Terms, build
from medibridge.datasets.contributors import Contributors
from medibridge.datasets.datasheet import About
from medibridge.datasets.report import ReleaseReport

__all__ = ["About", "BuiltDataset", "Contributors", "ReleaseReport", "Terms", "build"]
