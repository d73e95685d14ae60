"""``medibridge request``: ask for data, look at the answers, take enough of them at once or have the budget back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medibridge.chain import Token
from medibridge.cli.amounts import in_words, moment, seconds_in, units_in
from medibridge.cli.arguments import classes_in
from medibridge.cli.data_use import (
    AcceptOption,
    DiseaseOption,
    PurposeOption,
    ResearchOption,
    use_in,
    use_in_words,
)
from medibridge.cli.files import read_file
from medibridge.cli.options import command, group
from medibridge.cli.records import SHORT
from medibridge.cli.screen import Document, table
from medibridge.cli.session import Session
from medibridge.errors import AccessError, MediBridgeError, SealingError, StorageError, UsageError
from medibridge.roles.bridge import Bridge, called
from medibridge.roles.buyer import Inspected
from medibridge.roles.requests import EVERYBODY, Answer, PostedRequest, Requester, Wanted, profile_in, wanted_by

__all__ = ["COLUMNS", "RequestName", "app", "in_own_words", "request_document", "request_row", "told_by"]

app = group("A buyer asks for data of many patients; custodians answer with those who offered.")

RequestName = Annotated[
    str, typer.Argument(metavar="REQUEST", help="A request's name, as the list shows it; its beginning will do.")
]
COLUMNS = ("request", "classes", "use", "per patient", "patients", "joined", "until", "state")
"""What lists of requests show."""


@command(app)
def ask(
    session: Session,
    criteria: Annotated[str, typer.Argument(metavar="CRITERIA", help="Whom you look for, in words that all can read.")],
    classes: Annotated[str, typer.Option("--classes", metavar="CLASS,…", help="Which classes of data: laboratory …")],
    price: Annotated[
        str, typer.Option("--price", metavar="AMOUNT", help="What you pay for each patient, such as 20.00.")
    ],
    fewest: Annotated[int, typer.Option("--fewest", metavar="NUMBER", help="Fewer patients you do not buy.")],
    most: Annotated[int, typer.Option("--most", metavar="NUMBER", help="More patients do not join.")],
    stretch: Annotated[str, typer.Option("--for", metavar="STRETCH", help="How long patients may join, such as 30d.")],
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="AMOUNT", help="What you pay at most; else the price of all.")
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option("--profile", metavar="FILE", help="The same for machines: a FHIR R4 Group with characteristics."),
    ] = None,
    purpose: PurposeOption = "HRESCH",
    research: ResearchOption = "biomedical",
    disease: DiseaseOption = 0,
    accept: AcceptOption = "",
) -> None:
    """Ask for data of many patients, and pay the budget in.

    All or nothing: you buy data of the fewest patients or more, or you have the whole budget back. Everybody can
    read what you ask for.

    For example:

        medibridge request ask "adults with diabetes" --classes laboratory --price 20.00 --fewest 30 --most 99 --for 30d
    """
    what, use, seconds = classes_in(classes), use_in(purpose, research, disease, accept), seconds_in(stretch)
    group_ = EVERYBODY if profile is None else profile_in(read_file(profile, "the profile", limit=1 << 20))
    requester = _requester(session)
    system = requester.bridge.system
    decimals = system.token.decimals()
    posted = requester.ask(
        criteria,
        what,
        use,
        price_per_patient=units_in(price, decimals),
        fewest=fewest,
        most=most,
        until=system.chain.now() + seconds,
        budget=None if budget is None else units_in(budget, decimals),
        profile=group_,
    )
    session.screen.show(
        request_document(posted, system.token),
        f"request {posted.name[:SHORT]} is open until {moment(posted.request.until)}; "
        f"{in_words(system.token, posted.request.budget)} are paid in",
    )


@command(app, name="list")
def list_(session: Session) -> None:
    """List what you asked for, and where it stands.

    For example:

        medibridge request list
    """
    requester = _requester(session)
    token, found = requester.bridge.system.token, requester.requests()
    rows = [request_row(posted, token) for posted in found]
    session.screen.show(
        [request_document(posted, token) for posted in found],
        table("Requests", COLUMNS, rows, right=("per patient",)) if rows else "you asked for nothing yet",
    )


@command(app)
def show(session: Session, request: RequestName) -> None:
    """Show one of your requests with its words and its answers.

    For example:

        medibridge request show 4a1f09
    """
    requester = _requester(session)
    posted = requester.request(request)
    token, answers = requester.bridge.system.token, requester.answers(posted)
    wanted = told_by(requester.bridge, posted)
    rows = [
        (
            each.name[:SHORT],
            each.offer.listing.seller,
            str(each.patients),
            in_words(token, each.offer.listing.terms.price),
        )
        for each in answers
    ]
    session.screen.show(
        request_document(posted, token)
        | _words(wanted)
        | {"answers": [_answer_document(each, token) for each in answers]},
        in_own_words(wanted),
        table("Request", COLUMNS, [request_row(posted, token)], right=("per patient",)),
        table("Answers", ("answer", "custodian", "patients", "price"), rows, right=("price",))
        if rows
        else "nobody has answered yet",
    )


@command(app)
def take(
    session: Session,
    request: RequestName,
    answers: Annotated[
        list[str] | None, typer.Argument(metavar="ANSWER...", help="Which answers; without any, all that are sound.")
    ] = None,
) -> None:
    """Inspect the answers to a request and buy them, all in one transaction.

    Each is fetched and checked first. Without names, answers that cannot be bought are left out, and why is said.
    What you took stands among your purchases: `buyer purchases`.

    For example:

        medibridge request take 4a1f09
        medibridge request take 4a1f09 77b0 c2d1
    """
    requester = _requester(session)
    posted = requester.request(request)
    inspected = _inspected(session, requester, posted, answers or [])
    taken = requester.take(posted, inspected)
    paid = in_words(requester.bridge.system.token, taken.paid_in_units)
    session.screen.show(
        {
            "request": posted.name,
            "patients": taken.patients,
            "paid": paid,
            "answers": [each.offer.name for each in inspected],
        },
        f"data of {taken.patients} patients in {len(inspected)} datasets; {paid} are in escrow until each is delivered",
    )


@command(app)
def close(session: Session, request: RequestName) -> None:
    """Take the budget of a request back, once its time is over.

    For example:

        medibridge request close 4a1f09
    """
    requester = _requester(session)
    posted = requester.request(request)
    requester.close(posted)
    told = in_words(requester.bridge.system.token, posted.request.budget)
    session.screen.show({"closed": posted.name, "paid_back": told}, f"{told} are back in your account")


def request_row(posted: PostedRequest, token: Token) -> tuple[str, ...]:
    """A request in a list."""
    request = posted.request
    return (
        posted.name[:SHORT],
        ", ".join(sorted(member.label for member in request.classes)),
        use_in_words(request.use),
        in_words(token, request.price_per_patient),
        f"{request.fewest} to {request.most}",
        str(posted.joined),
        moment(request.until),
        posted.state.name.lower(),
    )


def request_document(posted: PostedRequest, token: Token) -> dict[str, Document]:
    """A request for programs."""
    request = posted.request
    return {
        "request": posted.name,
        "buyer": request.buyer,
        "classes": sorted(member.label for member in request.classes),
        "use": use_in_words(request.use),
        "price_per_patient": in_words(token, request.price_per_patient),
        "budget": in_words(token, request.budget),
        "fewest": request.fewest,
        "most": request.most,
        "joined": posted.joined,
        "until": request.until,
        "state": posted.state.name.lower(),
    }


def told_by(bridge: Bridge, posted: PostedRequest) -> Wanted | None:
    """Whom a request is about; None where its words cannot be had, or say nothing sound."""
    try:
        return wanted_by(bridge, posted.request)
    except (StorageError, SealingError, UsageError):
        return None


def in_own_words(wanted: Wanted | None) -> str:
    """Whom a request is about, in the buyer's words, for people: control characters must not steer a terminal."""
    if wanted is None:
        return "the words of this request cannot be had now"
    return "".join(each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in wanted.criteria)


def _inspected(session: Session, requester: Requester, posted: PostedRequest, names: list[str]) -> list[Inspected]:
    """The answers of these names, or all that can be bought, inspected."""
    answers = requester.answers(posted)
    if names:
        return [requester.inspect_answer(posted, _named(name, answers)) for name in names]
    found = []
    for answer in answers:
        try:
            inspected = requester.inspect_answer(posted, answer)
            problem = "; ".join(f"{finding.about}: {finding.seen}" for finding in inspected.refused)
        except MediBridgeError as exc:
            inspected, problem = None, str(exc)
        if inspected is None or problem:
            session.screen.say(f"note: answer {answer.name[:SHORT]} is left out: {problem}")
        else:
            found.append(inspected)
    if not found:
        raise AccessError(f"request {posted.name[:SHORT]} has no answer that can be bought; wait for more")
    return found


def _named(name: str, answers: list[Answer]) -> Answer:
    found = called(name, answers)
    if len(found) != 1:
        raise UsageError(f"{len(found)} answers have a name that begins with {name!r}; show the request to see them")
    return found[0]


def _words(wanted: Wanted | None) -> dict[str, Document]:
    return {"criteria": None if wanted is None else wanted.criteria}


def _answer_document(answer: Answer, token: Token) -> Document:
    listing = answer.offer.listing
    return {
        "answer": answer.name,
        "custodian": listing.seller,
        "patients": answer.patients,
        "price": in_words(token, listing.terms.price),
    }


def _requester(session: Session) -> Requester:
    bridge = session.bridge()
    return Requester(bridge, *session.key())
