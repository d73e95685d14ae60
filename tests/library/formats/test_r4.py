"""r4.mend: what FHIR R4 allows stays, what it does not is left out and named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from medibridge import samples
from medibridge.formats.r4 import RESOURCE_TYPES, Problem, checking, elements_of, mend
from medibridge.formats.r4.soundness import is_sound
from medibridge.record import Number, canonical_json, parse_json

EXAMPLES = Path(__file__).parents[3] / "tools/fhir/node_modules/hl7.fhir.r4.examples"

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "gender": "female",
    "birthDate": "1950-03",
    "name": [{"family": "Canary", "given": ["Ann", "Lee"], "_given": [None, {"id": "second"}]}],
    "multipleBirthInteger": Number("2"),
}


def changed(**elements: Any) -> dict[str, Any]:
    return {**PATIENT, **elements}


@pytest.mark.parametrize(
    ("elements", "place", "reason"),
    [
        ({"gender": "malee"}, "gender", "required value set"),
        ({"species": "dog"}, "species", "no such element"),
        ({"birthDate": "1950-02-30"}, "birthDate", "calendar"),
        ({"birthDate": "30.02.1950"}, "birthDate", "not a date"),
        ({"active": "true"}, "active", "not true or false"),
        ({"multipleBirthInteger": Number("2.5")}, "multipleBirthInteger", "not a integer"),
        ({"multipleBirthInteger": Number("4e12")}, "multipleBirthInteger", "not a integer"),
        ({"multipleBirthBoolean": True}, "multipleBirthBoolean", "multipleBirth[x] is there already"),
        ({"name": {"family": "Canary"}}, "name", "not a list"),
        ({"gender": ["female"]}, "gender", "a list where one"),
        ({"gender": ["female", "male"]}, "gender", "only one"),
        ({"name": [{"family": " "}]}, "name[0].family", "empty text"),
        ({"name": []}, "name", "empty"),
        ({"contact": [{}]}, "contact[0]", "empty"),
        ({"link": [{"type": "refer"}]}, "link[0]", "Patient.link needs other"),
        ({"photo": [{"data": "§§"}]}, "photo[0].data", "not base64"),
        ({"contained": [{"resourceType": "Canary"}]}, "contained[0]", "not a resource"),
        ({"extension": [{"valueString": "x"}]}, "extension[0]", "Extension needs url"),
        ({"_name": [{"id": "x"}]}, "_name", "no such element"),
        ({"deceasedDateTime": "2020-01-01T00:00:00"}, "deceasedDateTime", "not a dateTime"),
        ({"managingOrganization": "Organization/1"}, "managingOrganization", "which is an object"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_mend_leaves_out_and_names_what_r4_does_not_allow(elements, place, reason):
    mended, problems = mend(changed(**elements))
    assert mended is not None
    assert problems[0].place == place
    assert reason in problems[0].reason
    assert "Canary" not in str(problems)
    assert mend(mended) == (mended, ())
    assert {key: mended[key] for key in ("id", "resourceType")} == {"id": "p1", "resourceType": "Patient"}


def test_mend_gives_a_valid_resource_back_as_it_is():
    mended, problems = mend(PATIENT)
    assert mended is PATIENT
    assert problems == ()


def test_mend_keeps_values_and_their_extensions_side_by_side():
    names = [{"given": ["Ann", " ", "Lee"], "_given": [None, None, {"id": "third"}]}]
    mended, problems = mend(changed(name=names))
    assert [problem.place for problem in problems] == ["name[0].given[1]"]
    assert mended is not None
    assert mended["name"] == [{"given": ["Ann", None, "Lee"], "_given": [None, None, {"id": "third"}]}]


def test_mend_gives_nothing_when_the_resource_lacks_what_it_must_have():
    mended, problems = mend({"resourceType": "Observation", "id": "o", "status": "final"})
    assert mended is None
    assert problems[0].reason == "Observation needs code"


def test_mend_bounds_the_depth():
    value: dict[str, Any] = {"url": "x", "valueString": "y"}
    for _ in range(90):
        value = {"url": "x", "extension": [value]}
    mended, problems = mend(changed(extension=[value]))
    assert mended is not None
    assert "nested too deep" in problems[0].reason


@pytest.mark.parametrize(
    ("element", "value", "sound"),
    [
        ("clinicalStatus", [("condition-clinical", "active")], True),
        ("clinicalStatus", [("condition-clinical", "activ")], False),
        ("clinicalStatus", [("elsewhere", "active")], False),
        ("clinicalStatus", [("elsewhere", "a"), ("condition-clinical", "remission")], True),
    ],
)
def test_mend_asks_a_bound_concept_for_one_code_of_the_required_set(element, value, sound):
    codings = [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code} for system, code in value]
    condition = {"resourceType": "Condition", "id": "c", "subject": {"display": "x"}, element: {"coding": codings}}
    mended, problems = mend(condition)
    assert mended is not None
    assert (element in mended) is sound
    assert (not problems) is sound


def test_elements_know_choices_and_backbones():
    patient = elements_of("Patient")
    assert patient is not None
    assert patient["deceasedBoolean"].choice == "deceased[x]"
    assert patient["contact"].kind == "Patient.contact"
    assert len(RESOURCE_TYPES) == 146


def resources_of(name: str) -> list[dict[str, Any]]:
    bundle = parse_json(samples.read(name))
    assert isinstance(bundle, dict)
    return [entry["resource"] for entry in bundle["entry"]]


def is_valid(resource: Any) -> bool:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(canonical_json(resource))
    except ValidationError:
        return False
    return True


STRANGE = st.sampled_from(
    [None, "", " ", "x", "2020-13-01", Number("-1"), Number("1.50"), True, [], {}, ["x"], [None], {"a": "b"}, [{}],
     {"reference": "Patient/1"}, {"coding": [{"code": "x"}]}, "1950", "a b", [{"url": "u"}]]
)  # fmt: skip


def spoiled(data: Any) -> Any:
    """A resource of the samples with some values exchanged for strange ones."""
    resource: Any = copy.deepcopy(data.draw(st.sampled_from(resources_of("r4-bundle-visit.json"))))
    for _ in range(data.draw(st.integers(1, 4))):
        target: Any = resource
        while True:
            key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
            below = target[key]
            if isinstance(below, (dict, list)) and below and data.draw(st.booleans()):
                target = below
                continue
            break
        if key == "resourceType":
            continue
        target[key] = copy.deepcopy(data.draw(STRANGE))
    return resource


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_is_sound_says_yes_only_to_what_the_slow_check_finds_nothing_wrong_with(data):
    resource = spoiled(data)
    problems: list[Problem] = []
    checking._resource(resource, (), problems)
    assert not (is_sound(resource) and problems)


@pytest.mark.parametrize("name", ["r4-bundle-visit.json"])
def test_is_sound_says_yes_to_what_is_valid(name):
    assert all(is_sound(resource) for resource in resources_of(name))
    assert is_sound({"resourceType": "Patient", "_birthDate": {"extension": [{"url": "x", "valueCode": "unknown"}]}})


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mend_gives_what_the_models_accept_whatever_was_spoiled(data):
    resource = spoiled(data)
    mended, problems = mend(resource)
    if mended is None:
        assert problems
    else:
        assert is_valid(mended)
        assert mend(mended) == (mended, ())


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="scripts/set_up dev installs HL7's examples")
@pytest.mark.parametrize("kind", ["Patient", "Observation", "MedicationRequest", "Condition", "DiagnosticReport"])
def test_mend_changes_nothing_in_official_examples(kind):
    for path in sorted(EXAMPLES.glob(f"{kind}-*.json")):
        resource = parse_json(path.read_bytes())
        assert isinstance(resource, dict)
        assert mend(resource) == (resource, ()), path.name


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="scripts/set_up dev installs HL7's examples")
def test_mend_knows_every_code_of_a_required_binding():
    element = (elements_of("Observation") or {})["status"]
    top = json.loads((EXAMPLES / "CodeSystem-observation-status.json").read_text())["concept"]
    codes = {code["code"] for one in top for code in (one, *one.get("concept", ()))}
    assert codes == set(element.any_code)
    assert "corrected" in codes, "which stands below amended"
