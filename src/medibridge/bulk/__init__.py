"""Whole folders of foreign bytes to FHIR R4: in parallel, in flat memory, and without loss when it is stopped.

`convert_folder` converts, with a crew: `Inline` (this process), `Processes`, or a Dask `Cluster`.
"""

from medibridge.bulk.crews import Crew, Inline, Processes
from medibridge.bulk.folders import Summary, convert_folder
from medibridge.bulk.jobs import Job, Plan
from medibridge.bulk.reports import Reports
from medibridge.bulk.shapes import Shape

__all__ = ["Crew", "Inline", "Job", "Plan", "Processes", "Reports", "Shape", "Summary", "convert_folder"]
