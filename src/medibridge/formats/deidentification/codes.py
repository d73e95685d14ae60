"""Codes that pass: those of public code systems, recognised by their shape or listed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final

from medibridge.formats.tables.elements import CodeSystem, systems

__all__ = ["AGES", "RESTATED", "is_public", "is_ucum"]

_SHAPES: Final[Mapping[str, re.Pattern[str]]] = {
    system: re.compile(shape, re.ASCII)
    for system, shape in {
        "http://loinc.org": r"\d{1,7}-\d|L[APG]\d{1,7}-\d",
        "http://snomed.info/sct": r"[1-9]\d{5,17}",
        "http://www.nlm.nih.gov/research/umls/rxnorm": r"[1-9]\d{0,7}",
        "http://hl7.org/fhir/sid/ndc": r"\d{4,5}-\d{3,4}-\d{1,2}|\d{11}",
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
    """Whether the code has the shape of its system and its check digit, or is on its list.

    Codes of all other systems are not public. The check digit keeps out most dates, telephone numbers and numbers of
    patients that a sender put where a code belongs.
    """
    return isinstance(system, str) and isinstance(code, str) and _is_public(system, code)


@lru_cache(maxsize=65_536)
def _is_public(system: str, code: str) -> bool:
    shape = _SHAPES.get(system)
    if shape is None or shape.fullmatch(code) is None:
        return code in _LISTED.get(system, ())
    checked = _checked().get(system)
    return checked is None or not code[0].isdigit() or checked.holds(code)


@cache
def _checked() -> Mapping[str, CodeSystem]:
    """The code systems whose codes end in a check digit."""
    return {system.uri: system for system in systems().values() if system.check}


def _coded(system: str, codes: str) -> frozenset[str]:
    return frozenset(f"{system}|{code}" for code in codes.split())


_LOINC, _SNOMED = "http://loinc.org", "http://snomed.info/sct"
_ICD = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")

AGES: Final = (
    _coded(_LOINC, "21112-8 30525-0 29553-5 21611-9 21612-7 63900-5 39016-1")
    | _coded(_SNOMED, "184099003 397669002 424144002 263495000 184100006 399753006 433151006 432213005")
)  # fmt: skip
"""What says the age or the date of birth, as ``system|code``. With the year of the observation, an age of 85 tells one
above 89 today; an age that has no unit would pass as any number does."""

RESTATED: Final = frozenset().union(
    AGES,
    _coded(_LOINC, "46098-0 46607-8 76689-9 21840-4 72143-1 99502-7 45401-7 56799-0"),
    _coded(_SNOMED, "184102003 248152002 248153007"),
    _coded(_LOINC, "81954-0 31211-6 80616-6 81956-5 69453-9 69409-1"),
    _coded(_SNOMED, "419099009 371828006 419620001 308646001 397709008 16983000 75004002"),
    _coded("http://terminology.hl7.org/CodeSystem/v2-0112", "20 40 41 42"),
    *(_coded(system, "R95 R96 R96.0 R96.1 R98 R99") for system in _ICD),
    *(_coded(system, "Z38.0 Z38.00 Z38.01 Z38.1 Z38.2 Z38.3 Z38.30 Z38.31 Z38.4 Z38.5 Z38.8") for system in _ICD),
    *(_coded(system, "Z38.6 Z38.61 Z38.62 Z38.63 Z38.64 Z38.65 Z38.66 Z38.68 Z38.69 Z38.7") for system in _ICD),
)
"""What says a quasi-identifier once more (age, birth, sex, ZIP code, death), and would undo that it was made coarser: a
death in the hospital or a live birth tells the year of it by the date beside it."""


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
