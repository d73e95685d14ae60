"""What FHIR R4 allows, from HL7's own definitions, and a fast check against it.

`definitions.json` is made by ``scripts/make_r4_definitions.py``.
"""

from medibridge.formats.r4.checking import RESOURCE_TYPES, Problem, mend
from medibridge.formats.r4.definitions import Element, elements_of

__all__ = ["RESOURCE_TYPES", "Element", "Problem", "elements_of", "mend"]
