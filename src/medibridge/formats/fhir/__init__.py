"""FHIR DSTU2, STU3, R4 and R5 in JSON, XML and NDJSON, as FHIR R4.

`convert` makes R4 of a resource whose version is known; `validate` checks a resource or Bundle against R4.
"""

from medibridge.formats.fhir.definitions import Version
from medibridge.formats.fhir.reading import FORMAT, convert
from medibridge.formats.fhir.validation import validate

__all__ = ["FORMAT", "Version", "convert", "validate"]
