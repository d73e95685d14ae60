"""What every conversion goes through last: Provenance, and a check that all of it is valid FHIR R4."""

from __future__ import annotations

from medibridge.formats.conversion import Conversion, Piece
from medibridge.formats.settings import Settings

__all__ = ["finish"]


def finish(piece: Piece, conversion: Conversion, settings: Settings) -> Conversion:  # noqa: ARG001 - to come
    """The conversion with its Provenance and valid resources only."""
    return conversion
