"""Required bindings of FHIR R4: elements whose code must come from a fixed set (hl7.org/fhir/R4/terminologies.html).

Those of the resources that MediBridge writes; `fhir.resources` does not check them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["REQUIRED"]

_EVENT = "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"
_COMPARATOR = "< <= >= >"
_UNITS_OF_TIME = "s min h d wk mo a"
_TELECOM_SYSTEM = "phone fax email pager url sms other"
_TELECOM_USE = "home work temp old mobile"

REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    path: frozenset(codes.split())
    for path, codes in {
        "AllergyIntolerance.category": "food medication environment biologic",
        "AllergyIntolerance.criticality": "low high unable-to-assess",
        "AllergyIntolerance.reaction.severity": "mild moderate severe",
        "AllergyIntolerance.type": "allergy intolerance",
        "DiagnosticReport.status": "registered partial preliminary final amended corrected appended cancelled "
        "entered-in-error unknown",
        "Encounter.location.status": "planned active reserved completed",
        "Encounter.status": "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
        "Immunization.status": "completed entered-in-error not-done",
        "Medication.status": "active inactive entered-in-error",
        "MedicationAdministration.status": "in-progress not-done on-hold completed entered-in-error stopped unknown",
        "MedicationDispense.status": "preparation in-progress cancelled on-hold completed entered-in-error stopped "
        "declined unknown",
        "MedicationRequest.dosageInstruction.timing.repeat.periodUnit": _UNITS_OF_TIME,
        "MedicationRequest.intent": "proposal plan order original-order reflex-order filler-order instance-order "
        "option",
        "MedicationRequest.priority": "routine urgent asap stat",
        "MedicationRequest.status": "active on-hold cancelled completed entered-in-error stopped draft unknown",
        "MedicationStatement.status": "active completed entered-in-error intended stopped on-hold unknown not-taken",
        "Observation.component.valueQuantity.comparator": _COMPARATOR,
        "Observation.status": "registered preliminary final amended corrected cancelled entered-in-error unknown",
        "Observation.valueQuantity.comparator": _COMPARATOR,
        "Organization.telecom.system": _TELECOM_SYSTEM,
        "Organization.telecom.use": _TELECOM_USE,
        "Patient.address.type": "postal physical both",
        "Patient.address.use": "home work temp old billing",
        "Patient.gender": "male female other unknown",
        "Patient.identifier.use": "usual official temp secondary old",
        "Patient.name.use": "usual official temp nickname anonymous old maiden",
        "Patient.telecom.system": _TELECOM_SYSTEM,
        "Patient.telecom.use": _TELECOM_USE,
        "Practitioner.gender": "male female other unknown",
        "Procedure.status": _EVENT,
        "Specimen.status": "available unavailable unsatisfactory entered-in-error",
    }.items()
}
"""Path from the resource type down, without positions, to the codes that it may hold."""
