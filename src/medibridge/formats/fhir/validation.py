"""Whether a resource is valid FHIR R4."""

from __future__ import annotations

from medibridge.errors import UsageError
from medibridge.formats.conversion import Finding, Outcome
from medibridge.formats.r4 import mend
from medibridge.record import JsonObject, canonical_json, place_of

__all__ = ["validate"]


def validate(bundle: JsonObject) -> tuple[Finding, ...]:
    """What keeps a resource or Bundle from being valid FHIR R4, by place and without values; empty when it is valid.

    The structure is checked by `fhir.resources` (R4B models, which accept R4), the required bindings by `formats.r4`.
    Raises `UsageError` where `fhir.resources` is not installed.
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
    except KeyError:  # fhir_core knows no resource of that name
        findings.append(Finding(str(kind), Outcome.INVALID, "holds a resource that is not of FHIR R4"))
    except AttributeError:  # fhir_core fails on a required list that has only `_name`
        findings.append(Finding(str(kind), Outcome.INVALID, "the models cannot check a list of absent values"))
    _, problems = mend(bundle)
    unbound = (problem for problem in problems if problem.is_unbound)
    return (*findings, *(Finding(problem.place, Outcome.INVALID, problem.reason) for problem in unbound))
