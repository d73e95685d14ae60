"""OIDs and the URIs that FHIR uses instead (hl7.org/fhir/R4/terminologies-systems.html)."""

from __future__ import annotations

import functools
import importlib.resources
import re
from typing import Final

import yaml

__all__ = ["SSN", "is_oid", "uri_of", "uri_of_name"]

SSN: Final = "http://hl7.org/fhir/sid/us-ssn"
"""The social security number: an identifier that names a person last, as few senders mean to send it."""

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_URI = re.compile(r"(https?://|urn:)[^\s]+")


@functools.cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    text = importlib.resources.files(__package__).joinpath("maps/systems.yaml").read_text("utf-8")
    lines: dict[str, list[str]] = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - reads texts only
    return (
        {oid: uri for oid, (uri, *_) in lines.items()},
        {name: uri for uri, *names in lines.values() for name in names},
    )


def is_oid(root: str) -> bool:
    """Whether a root is an OID."""
    return len(root) <= 128 and _OID.fullmatch(root) is not None


def uri_of(root: str) -> str | None:
    """The URI for an OID, a UUID or a URI; None for what is none of them."""
    if is_oid(root):
        return _table()[0].get(root, f"urn:oid:{root}")
    if _UUID.fullmatch(root):
        return f"urn:uuid:{root.lower()}"
    return root if len(root) <= 512 and _URI.fullmatch(root) else None


def uri_of_name(name: str) -> str | None:
    """The URI of a code system by what people call it: ``SNOMED CT``; None where that is not known."""
    return _table()[1].get(re.sub(r"[\s.,_-]", "", name[:80]).upper())
