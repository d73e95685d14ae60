"""HL7 v2 tables and their FHIR R4 codes, after HL7's v2-to-FHIR concept maps (hl7.org/fhir/uv/v2mappings).

What a table does not list is left out of the record and reported, never guessed.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "ADDRESS_USES",
    "ADMINISTRATION_STATUS",
    "ALLERGY_CATEGORIES",
    "ALLERGY_CRITICALITIES",
    "ENCOUNTER_CLASSES",
    "GENDERS",
    "INTERPRETATIONS",
    "MARITAL_STATUS",
    "NAME_USES",
    "OBSERVATION_STATUS",
    "ORDER_CONTROL_STATUS",
    "ORDER_STATUS",
    "PRIORITIES",
    "REPORT_STATUS",
    "TELECOM_SYSTEMS",
    "TELECOM_USES",
    "TIMINGS",
    "system_of",
    "table",
]

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"

_SYSTEMS: Final = {
    "LN": "http://loinc.org",
    "LOINC": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "SNOMED": "http://snomed.info/sct",
    "SNOMED-CT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "MVX": "http://hl7.org/fhir/sid/mvx",
    "ATC": "http://www.whocc.no/atc",
    "ATCC": "http://www.whocc.no/atc",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9CDX": "http://hl7.org/fhir/sid/icd-9-cm",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "C4": "http://www.ama-assn.org/go/cpt",
    "CPTM": "http://www.ama-assn.org/go/cpt",
    "UNII": "http://fdasis.nlm.nih.gov",
    "ISO3166_1": "urn:iso:std:iso:3166",
    "ISO639": "urn:ietf:bcp:47",
}
"""HL7 table 0396, coding systems, to URIs (terminology.hl7.org)."""


def system_of(name: str) -> str | None:
    """The URI of a coding system of table 0396, of an ``HL7nnnn`` table, or of an OID; None for all others."""
    name = name.strip().upper()
    if match := re.fullmatch(r"HL7-?([0-9]{4})", name):
        return table(match[1])
    if re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*)){3,}", name):
        return f"urn:oid:{name}"
    return _SYSTEMS.get(name)


def table(number: str) -> str:
    """The URI of an HL7 v2 table: ``0203`` gives ``…/v2-0203``."""
    return f"{_TERMINOLOGY}v2-{number}"


GENDERS: Final = {"F": "female", "M": "male", "O": "other", "A": "other", "N": "other", "U": "unknown"}

MARITAL_STATUS: Final = {
    **{code: (_TERMINOLOGY + "v3-MaritalStatus", target) for code, target in
       (("A", "L"), ("D", "D"), ("M", "M"), ("S", "S"), ("W", "W"), ("C", "C"), ("G", "T"), ("P", "T"), ("R", "T"),
        ("E", "L"), ("N", "A"), ("I", "I"), ("B", "U"))},
    "U": (_TERMINOLOGY + "v3-NullFlavor", "UNK"),
    "O": (_TERMINOLOGY + "v3-NullFlavor", "OTH"),
}  # fmt: skip

NAME_USES: Final = {"L": "official", "R": "official", "D": "usual", "M": "maiden", "N": "nickname", "MSK": "anonymous",
                    "NAV": "temp", "TEMP": "temp", "BAD": "old"}  # fmt: skip
ADDRESS_USES: Final = {"H": "home", "B": "work", "O": "work", "C": "temp", "BA": "old", "BI": "billing"}
TELECOM_USES: Final = {"PRN": "home", "WPN": "work", "PRS": "mobile"}
TELECOM_SYSTEMS: Final = {"PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager", "Internet": "email",
                          "X.400": "email", "MD": "other", "SAT": "phone", "TDD": "other", "TTY": "other"}  # fmt: skip

_ACT_CODE = _TERMINOLOGY + "v3-ActCode"
ENCOUNTER_CLASSES: Final = {
    **{code: (_ACT_CODE, target) for code, target in (("E", "EMER"), ("I", "IMP"), ("O", "AMB"), ("P", "PRENC"))},
    **{code: (table("0004"), code) for code in "RBCNU"},
    **{
        code: (_ACT_CODE, code)
        for code in ("EMER", "IMP", "AMB", "PRENC", "FLD", "HH", "ACUTE", "NONAC", "OBSENC", "SS", "VR")
    },
}

OBSERVATION_STATUS: Final = {
    "A": "amended", "B": "amended", "C": "corrected", "D": "entered-in-error", "F": "final", "I": "registered",
    "N": "final", "O": "registered", "P": "preliminary", "R": "preliminary", "S": "preliminary", "U": "final",
    "V": "final", "W": "entered-in-error", "X": "cancelled",
}  # fmt: skip
"""Table 0085 to observation-status. N (not asked) is final with a reason why there is no value."""

REPORT_STATUS: Final = {
    "A": "partial", "C": "corrected", "F": "final", "I": "registered", "M": "amended", "N": "registered",
    "O": "registered", "P": "preliminary", "R": "partial", "S": "registered", "X": "cancelled",
}  # fmt: skip
"""Table 0123 to diagnostic-report-status."""

INTERPRETATIONS: Final = frozenset(
    """< > A AA B CAR D DET E EX EXP H HH HU HX I IE IND L LL LU LX MS N NCL ND NEG NR NS POS R RR S SDD SYN-R SYN-S
    TOX U UNE VS W WR""".split()  # noqa: SIM905 - as a table
)
"""Codes of table 0078 that stand unchanged in v3-ObservationInterpretation."""

ALLERGY_CATEGORIES: Final = {"DA": "medication", "FA": "food", "EA": "environment", "AA": "biologic",
                             "PA": "environment", "LA": "environment"}  # fmt: skip
ALLERGY_CRITICALITIES: Final = {"SV": "high", "MI": "low"}

ORDER_STATUS: Final = {"CA": "cancelled", "CM": "completed", "DC": "stopped", "ER": "entered-in-error", "HD": "on-hold",
                       "IP": "active", "RP": "stopped", "SC": "active", "A": "active"}  # fmt: skip
"""Table 0038 to medicationrequest-status."""

ORDER_CONTROL_STATUS: Final = {
    "AF": "active", "CR": "cancelled", "DC": "stopped", "DF": "cancelled", "DR": "stopped", "HR": "on-hold",
    "NW": "active", "OC": "cancelled", "OD": "stopped", "OH": "on-hold", "OK": "active", "RL": "active",
    "RO": "active", "RQ": "active", "XO": "active", "XR": "active", "XX": "active", "RE": "active", "CA": "cancelled",
    "HD": "on-hold",
}  # fmt: skip
"""Table 0119 to medicationrequest-status."""

ADMINISTRATION_STATUS: Final = {"CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"}

PRIORITIES: Final = {"S": "stat", "A": "asap", "R": "routine"}

TIMINGS: Final = {"BID": (2, 1, "d"), "TID": (3, 1, "d"), "QID": (4, 1, "d"), "QD": (1, 1, "d"), "QOD": (1, 2, "d")}
"""Repeat patterns (table 0335): how often, in how many, of which UCUM unit. ``QnH``, ``QnD`` are read as they say."""
