"""From the source into the staging: each resource by the policy, under its new id, with its patient's dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from medibridge.datasets.contributors import Contributors
from medibridge.datasets.patients import addresses_of, identifiers_of, values_of
from medibridge.datasets.source import Found
from medibridge.datasets.staging import Staging
from medibridge.datasets.surrogates import Surrogates
from medibridge.formats.deidentification import Dates, Places, Policy, Rule, Treatment
from medibridge.formats.deidentification.codes import AGES, RESTATED
from medibridge.formats.deidentification.dates import DateRule, shifted, years
from medibridge.formats.deidentify import kept_of
from medibridge.formats.splitting import SUPPORTING, class_of
from medibridge.record import JsonObject

__all__ = ["OTHER", "Intake"]

OTHER: Final = "other types"
_ALWAYS: Final = 0  # the last year that is not told, where all are


class Intake:
    """Takes a source in.

    `tally` counts the rules that were applied, `kinds` the resources that were met, `about_nobody` the resources whose
    patient is not known.
    """

    def __init__(
        self,
        staging: Staging,
        policy: Policy,
        surrogates: Surrogates,
        contributors: Contributors | None,
        as_of: int,
        k: int,
    ) -> None:
        self.tally: Counter[Rule] = Counter()
        self.kinds: Counter[str] = Counter()
        self.about_nobody = 0
        self._staging, self._policy, self._surrogates = staging, policy, surrogates
        self._contributors = contributors
        self._hides = RESTATED if k else frozenset() if policy.oldest is None else AGES
        self._last_old_year = as_of - 90
        self._last_dropped = self._last_old_year if policy.oldest is not None else _ALWAYS

    def take(self, source: Iterable[Found]) -> None:
        """Take in everything, and settle the staging."""
        for found in source:
            kind = str(found.resource["resourceType"])
            is_known = class_of(found.resource) is not None or kind in SUPPORTING or kind in self._policy.resources
            self.kinds[kind if is_known else OTHER] += 1
            if kind == "Patient":
                self._take_patient(found)
            elif kind in self._policy.resources:
                self._take_resource(found, kind)
        self._staging.settle()

    def prune(self, resource: JsonObject, dead: frozenset[str]) -> JsonObject | None:
        """A resource that passed, without the references that lead nowhere."""
        elements = self._policy.resources[str(resource["resourceType"])]
        treatment = Treatment(
            date=lambda date: date,
            reference=lambda reference: None if reference in dead else reference,
            surrogate=lambda name: name,
            oldest=None,
        )
        subject = resource.get(elements.patient_in)
        patient = str(subject["reference"]) if isinstance(subject, Mapping) else ""
        return kept_of(resource, elements, treatment, str(resource["id"]), patient)

    def _take_patient(self, found: Found) -> None:
        patient = self._surrogates.patient(found.key)
        treatment = self._treatment(found)
        resource, contributors = found.resource, self._contributors
        account = None if contributors is None else contributors.account_of(identifiers_of(resource))
        values = values_of(resource, self._policy, treatment, self._last_old_year)
        kept = self._policy.resources["Patient"].keep(resource, treatment)
        whole: JsonObject | None = None
        if self._policy.places is Places.WHOLE:
            addresses = addresses_of(resource)
            whole = {**(kept if isinstance(kept, Mapping) else {}), **({"address": addresses} if addresses else {})}
        self._staging.add_patient(patient, values, whole, account)

    def _take_resource(self, found: Found, kind: str) -> None:
        if not found.patient:
            self.about_nobody += 1
            return
        patient = self._surrogates.patient(found.patient)
        own_id = self._surrogates.resource(found.patient, found.key)
        elements = self._policy.resources[kind]
        kept = kept_of(found.resource, elements, self._treatment(found), own_id, f"Patient/{patient}")
        if kept is None:
            return
        self._staging.add_resource(patient, kept, _first_code(kept), self._policy.rare)

    def _treatment(self, found: Found) -> Treatment:
        patient = found.patient

        def rename(reference: str) -> str | None:
            key = found.resolve(reference)
            if key is None or (key.startswith("Patient/") and key != patient):
                return None
            return f"{key.partition('/')[0]}/{self._surrogates.resource(patient, key)}"

        return Treatment(
            date=self._dates(patient),
            reference=rename,
            surrogate=lambda name: self._surrogates.part(patient, name),
            oldest=self._policy.oldest,
            hides=self._hides,
            tally=self.tally,
        )

    def _dates(self, patient: str) -> DateRule:
        if self._policy.dates is Dates.YEARS:
            return years(self._last_dropped)
        return shifted(self._surrogates.days(patient), self._last_dropped)


def _first_code(resource: JsonObject) -> str | None:
    concept = resource.get("code")
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    if not isinstance(codings, Sequence) or isinstance(codings, str) or not codings:
        return None
    first = codings[0]
    return f"{first.get('system')}|{first.get('code')}" if isinstance(first, Mapping) else None
