"""The map files: YAML, read as the text that is written, each once."""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

import yaml

__all__ = ["load", "names"]

_ROOT = "medibridge.formats.hl7v2.maps"

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TextLoader(_Base):  # type: ignore[misc] # the base is chosen at run time
    """Reads every scalar as text: ``NO`` is a country and ``007`` a code here."""


_TextLoader.yaml_implicit_resolvers = {}


@functools.cache
def load(path: str) -> dict[str, Any]:
    """The content of one map file, by its path below ``maps``. Raises `FileNotFoundError` where there is none."""
    text = importlib.resources.files(_ROOT).joinpath(path).read_text("utf-8")
    loaded: dict[str, Any] = yaml.load(text, _TextLoader) or {}  # noqa: S506 - a safe loader
    return loaded


@functools.cache
def names(folder: str) -> tuple[str, ...]:
    """The map files of a folder below ``maps``, without their endings."""
    entries = importlib.resources.files(_ROOT).joinpath(folder).iterdir()
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml")))
