"""Whether a resource is valid FHIR R4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from medibridge.errors import UsageError
from medibridge.formats.bindings import REQUIRED
from medibridge.formats.conversion import Finding, Outcome
from medibridge.record import Json, JsonObject, canonical_json, place_of

__all__ = ["validate"]


def validate(bundle: JsonObject) -> tuple[Finding, ...]:
    """What keeps a resource or Bundle from being valid FHIR R4, by place and without values; empty when it is valid.

    The structure is checked by `fhir.resources` (R4B models, which accept R4), the required bindings by
    `bindings.REQUIRED`. Raises `UsageError` where `fhir.resources` is not installed.
    """
    try:
        from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - optional, and half a second to import
        from pydantic import ValidationError  # noqa: PLC0415
    except ImportError as problem:
        raise UsageError("FHIR validation needs an extra package; install medibridge[validate]") from problem
    kind = bundle.get("resourceType")
    try:
        model = get_fhir_model_class(str(kind))
    except ValueError:
        return (Finding("resourceType", Outcome.INVALID, "not a FHIR R4 resource"),)
    findings: list[Finding] = []
    try:
        model.model_validate_json(canonical_json(bundle))
    except ValidationError as problem:
        errors = problem.errors(include_input=False, include_context=False, include_url=False)
        findings.extend(Finding(place_of(error["loc"]), Outcome.INVALID, error["type"]) for error in errors)
    except AttributeError:  # fhir_core fails on a required list that has only `_name`
        findings.append(Finding(str(kind), Outcome.INVALID, "the models cannot check a list of absent values"))
    return (*findings, *_unbound(bundle, (), ""))


def _unbound(value: Json, path: tuple[str | int, ...], name: str) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        kind = value.get("resourceType")
        base = kind if isinstance(kind, str) else name
        for key, child in value.items():
            yield from _unbound(child, (*path, key), f"{base}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            yield from _unbound(child, (*path, index), name)
    elif name in REQUIRED and value not in REQUIRED[name]:
        yield Finding(place_of(path), Outcome.INVALID, "a code outside the required value set")
