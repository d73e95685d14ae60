"""How terms of use are written: what data may be used for, and what a buyer declares (GA4GH Data Use Ontology)."""

from __future__ import annotations

import enum
from typing import Annotated, TypeVar

import typer

from medibridge.chain import Conditions, DuoTerm, Kind, Research, Use
from medibridge.cli.arguments import kind_in, purpose_in
from medibridge.errors import UsageError

__all__ = [
    "AcceptOption",
    "BuyersOption",
    "DiseaseOption",
    "NotBuyersOption",
    "PurposeOption",
    "ResearchOption",
    "TermsOption",
    "conditions_in",
    "kinds_in",
    "use_in",
    "use_in_words",
]

E = TypeVar("E", bound=enum.Enum)

PurposeOption = Annotated[
    str, typer.Option("--purpose", metavar="PURPOSE", help="What for (HL7 purpose of use): HRESCH, DSRCH, PUBHLTH …")
]
ResearchOption = Annotated[
    str,
    typer.Option(
        "--research", metavar="KIND,…", help="Kinds of investigation: biomedical, methods, genetic, disease …"
    ),
]
DiseaseOption = Annotated[
    int, typer.Option("--disease", metavar="NUMBER", help="The disease's number in MONDO, such as 5148; 0 for none.")
]
AcceptOption = Annotated[
    str, typer.Option("--accept", metavar="TERM,…", help="Terms that you undertake to keep: IRB, PUB, NCU … (DUO).")
]
TermsOption = Annotated[
    str,
    typer.Option("--terms", metavar="TERM,…", help="Permission and modifiers of the use: GRU, HMB, DS, IRB … (DUO)."),
]
BuyersOption = Annotated[
    str, typer.Option("--buyers", metavar="KIND,…", help="Kinds of institutions that may buy; without, any may.")
]
NotBuyersOption = Annotated[
    str, typer.Option("--not-buyers", metavar="KIND,…", help="Kinds of institutions that may not: insurer …")
]


def use_in(purpose: str, research: str, disease: int, accept: str) -> Use:
    """What a buyer declares. Raises `UsageError`."""
    kinds = _members(research, Research, "a kind of investigation")
    return Use(purpose_in(purpose), kinds, _disease(disease), _members(accept, DuoTerm, "a term of use"))


def conditions_in(purpose: str, terms: str, disease: int, buyers: str, not_buyers: str) -> Conditions:
    """What data may be used for, and by whom. Raises `UsageError`."""
    found = _members(terms, DuoTerm, "a term of use")
    return Conditions(purpose_in(purpose), found, _disease(disease), kinds_in(buyers), kinds_in(not_buyers))


def kinds_in(text: str) -> frozenset[Kind]:
    """Kinds of institutions, with commas between them; none for nothing. Raises `UsageError`."""
    return frozenset(kind_in(part) for part in text.split(",") if part.strip())


def use_in_words(use: Use | None) -> str:
    """What a buyer declared, for people: ``HRESCH: biomedical; accepts IRB``."""
    if use is None:
        return "a use that this version does not know"
    research = ", ".join(sorted(kind.name.lower().replace("_", "-") for kind in use.research)) or "nothing named"
    disease = f" of MONDO:{use.disease:07}" if use.disease else ""
    accepted = f"; accepts {', '.join(sorted(term.name for term in use.accepted))}" if use.accepted else ""
    return f"{use.purpose.name}: {research}{disease}{accepted}"


def _disease(number: int) -> int:
    if not 0 <= number < 2**32:
        raise UsageError(f"{number} is no number of a disease in MONDO; MONDO:0005148 is written 5148")
    return number


def _members(text: str, kind: type[E], what: str) -> frozenset[E]:
    found = set()
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        try:
            found.add(kind[part.upper().replace("-", "_")])
        except KeyError:
            known = ", ".join(member.name.lower().replace("_", "-") for member in kind)
            raise UsageError(f"{part!r} is not {what}; there are {known}") from None
    return frozenset(found)
