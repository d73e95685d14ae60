"""What a test of a reader asks of every conversion, and how it looks at the resources."""

from __future__ import annotations

import json

from medibridge.formats import read
from medibridge.formats.fhir import validate

__all__ = ["converted", "only", "resources"]


def converted(data):
    """The conversion, once it is known to be valid and the same twice."""
    conversion = read(data)
    assert validate(conversion.to_bundle("collection")) == ()
    assert read(data).to_bundle() == conversion.to_bundle()
    return conversion


def resources(conversion, kind):
    """The resources of that type, as plain JSON with numbers as text."""
    found = [json.dumps(one, default=str) for one in conversion.resources if one["resourceType"] == kind]
    return [json.loads(one, parse_float=str, parse_int=str) for one in found]


def only(conversion, kind):
    """The one resource of that type."""
    (found,) = resources(conversion, kind)
    return found
