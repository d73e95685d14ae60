"""Codes that pass: those of public code systems, recognised by their shape or listed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["is_public", "is_ucum"]

_SHAPES: Final[Mapping[str, re.Pattern[str]]] = {
    system: re.compile(shape, re.ASCII)
    for system, shape in {
        "http://loinc.org": r"\d{1,7}-\d|L[APG]\d{1,7}-\d",
        "http://snomed.info/sct": r"[1-9]\d{5,17}",
        "http://www.nlm.nih.gov/research/umls/rxnorm": r"[1-9]\d{0,7}",
        "http://hl7.org/fhir/sid/ndc": r"\d{4,5}-\d{3,4}-\d{1,2}|\d{10,11}",
        "http://hl7.org/fhir/sid/cvx": r"\d{1,3}",
        "http://hl7.org/fhir/sid/icd-9-cm": r"(\d{3}|V\d\d|E\d{3})(\.\d{1,2})?",
        "http://hl7.org/fhir/sid/icd-10": r"[A-Z]\d\d(\.\d{1,2})?",
        "http://hl7.org/fhir/sid/icd-10-cm": r"[A-Z]\d[0-9AB](\.[0-9A-Z]{1,4})?",
        "http://www.cms.gov/Medicare/Coding/ICD10": r"[0-9A-HJ-NP-Z]{7}",
        "http://www.whocc.no/atc": r"[A-Z](\d\d([A-Z]([A-Z](\d\d)?)?)?)?",
        "http://www.ama-assn.org/go/cpt": r"\d{4}[0-9FTU]",
        "http://www.ada.org/cdt": r"D\d{4}",
        "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": r"[A-V]\d{4}",
        "http://fdasis.nlm.nih.gov": r"[0-9A-Z]{10}",
        "http://dicom.nema.org/resources/ontology/DCM": r"1[0-3]\d{4}",
    }.items()
}
"""Code systems whose codes are recognised by their shape."""

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_LISTED: Final[Mapping[str, frozenset[str]]] = {
    system if "//" in system else _TERMINOLOGY + system: frozenset(codes.split())
    for system, codes in {
        "v3-ObservationInterpretation": "< > A AA B CAR D DET E EX EXP H HH HU HX I IE IND L LL LU LX MS N NCL ND NEG "
        "NR NS POS R RR S SDD SYN-R SYN-S TOX U UNE VS W WR",
        "v3-ActCode": "AMB EMER FLD HH IMP ACUTE NONAC OBSENC PRENC SS VR",
        "v3-NullFlavor": "UNK OTH NI NA NASK ASKU NAV",
        "v3-RoleCode": "FTH MTH NFTH NMTH PRN SIB SIS NSIS BRO NBRO HSIB HBRO HSIS TWIN CHILD SON NCHILD DAU GRPRN "
        "GRMTH GRFTH MGRMTH MGRFTH PGRMTH PGRFTH AUNT MAUNT PAUNT UNCLE MUNCLE PUNCLE COUSN MCOUSN PCOUSN NIECE NEPHEW "
        "FAMMEMB",
        "observation-category": "social-history vital-signs imaging laboratory procedure survey exam therapy activity",
        "condition-category": "problem-list-item encounter-diagnosis",
        "condition-clinical": "active recurrence relapse inactive remission resolved",
        "condition-ver-status": "unconfirmed provisional differential confirmed refuted entered-in-error",
        "allergyintolerance-clinical": "active inactive resolved",
        "allergyintolerance-verification": "unconfirmed confirmed refuted entered-in-error",
        "goal-achievement": "in-progress improving worsening no-change achieved sustaining not-achieved no-progress "
        "not-attainable",
        "diagnosis-role": "AD DD CC CM pre-op post-op billing",
        "data-absent-reason": "unknown asked-unknown temp-unknown not-asked asked-declined masked not-applicable "
        "unsupported as-text error not-a-number negative-infinity positive-infinity not-performed not-permitted",
        "medicationrequest-category": "inpatient outpatient community discharge",
        "v2-0004": "E I O P R B C N U",
        "v2-0007": "A C E L N R U",
        "v2-0074": "AU BG BLB CG CH CP CT CTH CUS EC EN GE HM ICU IMM LAB MB MCB MYC NMR NMS NRS OSL OT OTH OUS PAR "
        "PAT PF PHR PHY PT RAD RC RT RUS RX SP SR TX URN VR VUS XRC",
        "v2-0078": "< > A AA B D H HH HM HX I IND L LL MS N NEG NR ND POS R RR S SDD TOX U VS W WR",
        "v2-0112": "01 02 03 04 05 06 07 08 09 20 30 40 41 42",
        "v2-0162": "AP B DT EP ET GTT GU IA IB IC ICV ID IH IHA IM IMR IN IO IP IS IT IU IV MTH MM NB NG NP NT OP OT "
        "OTH PF PO PR RM SC SD SL SOAK TD TL TP TRA UR VA VM WND",
        "http://dicom.nema.org/resources/ontology/DCM": "AR AU BDUS BI BMD CR CT DG DX ECG EPS ES GM HC HD IO IVOCT "
        "IVUS KER LEN LS MG MR NM OAM OCT OP OPM OPT OPV OT PT PX RF RG RTDOSE RTIMAGE RTPLAN RTRECORD RTSTRUCT SM SMR "
        "SR TG US VA XA XC",
    }.items()
}
"""Code systems that are small enough to list."""


def is_public(system: object, code: object) -> bool:
    """Whether the code has the shape of its system, or is on its list. Codes of all other systems are not public."""
    if not isinstance(system, str) or not isinstance(code, str):
        return False
    shape = _SHAPES.get(system)
    return (shape is not None and shape.fullmatch(code) is not None) or code in _LISTED.get(system, ())


# UCUM (ucum.org): units joined by '.' and '/', each with prefix and exponent. Annotations in braces are free text, so
# only well-known ones pass.
_ATOM = (
    r"(?:10[*^]-?\d{1,2}|%|\[(?:iU|IU|arb'U|pH|degF|in_i|ft_i|lb_av|oz_av|HPF|LPF|drp|tbs_us|tsp_us|CFU|ppm|ppb)\]"
    r"|m\[(?:H2O|Hg)\]|mm\[(?:H2O|Hg)\]|cm\[H2O\]|k?\[(?:iU|IU)\]|[mu]\[(?:iU|IU)\]"
    r"|(?:da|[YZEPTGMkhdcmunpf])?(?:g|L|l|mol|osm|eq|m|s|Hz|Pa|J|W|V|A|K|N|cd|kat|cal|bar|Bq|Gy|Sv|lm|lx|T|F|U|rad|Ohm)"
    r"|Cel|min|h|d|wk|mo|a|deg|\{1\.73_m2\}|\{(?:score|ratio|INR|cells|count|copies|RBC|WBC|beats|breaths|pH|index|tablet|capsule|puff|dose)\})"
)
_TERM = rf"(?:{_ATOM}(?:[+-]?\d)?(?:\{{(?:creat|protein|total|RBCs|WBCs|beats|breaths)\}})?|1)"
_UCUM = re.compile(rf"/?{_TERM}(?:[./]{_TERM}){{0,3}}|1", re.ASCII)


def is_ucum(unit: object) -> bool:
    """Whether a text is a unit of UCUM without free text in it."""
    return isinstance(unit, str) and _UCUM.fullmatch(unit) is not None
