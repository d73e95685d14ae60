"""``medibridge dataset``: keep patients' standing offers, see which requests they fit, and answer with a dataset."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from medibridge.cli.amounts import in_words, moment, seconds_in
from medibridge.cli.arguments import DeliverWithinOption, DisputeWithinOption, ShareOption, classes_in
from medibridge.cli.data_use import (
    BuyersOption,
    DiseaseOption,
    NotBuyersOption,
    TermsOption,
    conditions_in,
)
from medibridge.cli.files import make_directory, read_file, write_file
from medibridge.cli.options import command
from medibridge.cli.records import SHORT
from medibridge.cli.requests import COLUMNS, RequestName, in_own_words, request_document, request_row, told_by
from medibridge.cli.screen import Document, table
from medibridge.cli.session import Session
from medibridge.cli.standing_offers import OffersOption, keep_offer, offers_in, read_offer
from medibridge.datasets import BuiltDataset, Contributors
from medibridge.datasets.archive import private_folder
from medibridge.errors import UsageError
from medibridge.ids import Address, DataClass, digest_of_cid
from medibridge.roles.answers import Responder
from medibridge.roles.contributions import Contribution
from medibridge.roles.matching import AnswerTerms, Match
from medibridge.roles.requests import PostedRequest
from medibridge.roles.standing_offers import SignedOffer
from medibridge.storage import DirectoryJournal

__all__ = ["add_answers", "write_shares"]

_DatasetFolder = Annotated[Path, typer.Argument(metavar="DATASET", help="A folder that `dataset build` made.")]
_ClassOption = Annotated[
    str, typer.Option("--class", metavar="CLASS", help="The class of data that you would answer with.")
]


def add_answers(app: typer.Typer) -> None:
    """Add the commands to those for datasets."""
    command(app)(keep_offers)
    command(app)(requests)
    command(app)(match)
    command(app)(answer)
    command(app)(retire)


def keep_offers(
    session: Session,
    given: Annotated[
        list[str],
        typer.Argument(metavar="OFFER...", help="Files that patients handed over, or CIDs of theirs."),
    ],
    offers: OffersOption = None,
) -> None:
    """Keep standing offers that patients handed over, or put into the store for you.

    For example:

        medibridge dataset keep-offers offer.json
        medibridge dataset keep-offers bafkrei…
    """
    responder = _responder(session)
    signed = [
        read_offer(Path(each)) if Path(each).exists() else responder.receive(digest_of_cid(each)) for each in given
    ]
    unsound = [one for one in signed if one.offer.seller != responder.address]
    if unsound:
        raise UsageError(f"{len(unsound)} of {len(signed)} offers are for another custodian; nothing was kept")
    requests = responder.bridge.system.requests
    if unsigned := sum(not requests.is_signed(one.offer, one.signature) for one in signed):
        told = f"{unsigned} of {len(signed)} offers are not signed by their patients for this market"
        raise UsageError(f"{told}; nothing was kept")
    paths = [keep_offer(session, offers, one, requests.offer_id(one.offer)) for one in signed]
    session.screen.show({"kept": [str(path) for path in paths]}, f"{len(paths)} offers are kept in {paths[0].parent}")


def requests(session: Session, offers: OffersOption = None) -> None:
    """List the requests that are open now, and how many of the offers that you keep are for what they ask.

    Which of these fit in all else, `dataset match` says.

    For example:

        medibridge dataset requests --key rowan
    """
    responder = _responder(session)
    token, found = responder.bridge.system.token, responder.requests()
    kept = offers_in(session, offers, must_exist=False)
    counts = [sum(_is_about(posted, one) for one in kept) for posted in found]
    rows = [(*request_row(posted, token), str(count)) for posted, count in zip(found, counts, strict=True)]
    session.screen.show(
        [
            request_document(posted, token) | {"criteria": _criteria(responder, posted), "offers": count}
            for posted, count in zip(found, counts, strict=True)
        ],
        table("Open requests", (*COLUMNS, "your offers"), rows, right=("per patient",)) if rows else "nobody asks now",
    )


def match(
    session: Session,
    request: RequestName,
    data_class: _ClassOption,
    offers: OffersOption = None,
    contributors: Annotated[
        Path | None,
        typer.Option("--contributors", metavar="FILE", help="CSV system,value,address of all your patients."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write those of them whose offers fit, for `build`."),
    ] = None,
    terms: TermsOption = "GRU",
    disease: DiseaseOption = 0,
    buyers: BuyersOption = "",
    not_buyers: NotBuyersOption = "",
) -> None:
    """Show whom a request is about, and which of the offers that you keep fit it; and why others do not.

    Then build the dataset of exactly these patients, and answer with it.

    For example:

        medibridge dataset match 4a1f09 --class laboratory --contributors consents.csv -o joiners.csv
        medibridge dataset build converted answer --contributors joiners.csv
    """
    if (contributors is None) != (output is None):
        raise UsageError("give both, --contributors and -o, or none of them")
    responder = _responder(session)
    posted = responder.request(request)
    asked = AnswerTerms(_class_in(data_class), conditions_in(
        posted.request.use.purpose.name, terms, disease, buyers, not_buyers
    ))  # fmt: skip
    hindrance = responder.hindrance(posted, asked)
    found = responder.match(posted, asked, offers_in(session, offers))
    fitting = frozenset(each.patient for each in found if each.fits)
    if output is not None and contributors is not None:
        write_file(output, _only(contributors, fitting), "the contributors' file")
    rows = [(each.patient, "fits" if each.fits else each.problem) for each in found]
    session.screen.show(
        {
            "criteria": _criteria(responder, posted),
            "hindrance": hindrance or None,
            "offers": [_match_document(each) for each in found],
        },
        in_own_words(told_by(responder.bridge, posted)),
        table(f"{len(fitting)} of {len(rows)} offers fit", ("patient", "offer"), rows),
        *([f"but you cannot answer it so: {hindrance}"] if hindrance else []),
    )


def answer(
    session: Session,
    request: RequestName,
    dataset: _DatasetFolder,
    offers: OffersOption = None,
    terms: TermsOption = "GRU",
    disease: DiseaseOption = 0,
    buyers: BuyersOption = "",
    not_buyers: NotBuyersOption = "",
    share: ShareOption = 2_000,
    deliver_within: DeliverWithinOption = "1d",
    dispute_within: DisputeWithinOption = "1d",
) -> None:
    """Answer a request with a dataset of patients who offered: seal, deposit, list for that buyer, answer.

    Each patient of the dataset needs an offer that fits and a consent; each gets the same. The market takes a bond of
    the price and one reward, which comes back. Repeat a command that was interrupted: it completes what was begun.
    Hand every patient its own share file.

    For example:

        medibridge dataset answer 4a1f09 answer --key rowan
    """
    built = BuiltDataset.at(dataset)
    built.require_salable()
    patients = list(built.contributors())
    responder = _responder(session)
    posted = responder.request(request)
    asked = AnswerTerms(
        built.data_class,
        conditions_in(posted.request.use.purpose.name, terms, disease, buyers, not_buyers),
        share,
        seconds_in(deliver_within),
        seconds_in(dispute_within),
    )
    kept = offers_in(session, offers)
    with tempfile.TemporaryFile(dir=dataset.parent) as archive:
        session.screen.say("packing…")
        built.pack(archive)
        archive.seek(0)
        made = responder.answer_request(
            posted, asked, kept, archive, patients, progress=lambda doing: session.screen.say(f"{doing}…")
        )
    folder = write_shares(dataset, made.contributions)
    token = responder.bridge.system.token
    name = made.listing_id.hex()
    session.screen.show(
        {"answer": name, "patients": len(patients), "repeated": made.event is None, "shares": str(folder)},
        f"answer {name[:SHORT]}: {len(patients)} patients for {in_words(token, made.listing.terms.price)}; the request "
        f"is open until {moment(posted.request.until)}",
        f"hand each patient its own file of {folder}",
    )


def retire(session: Session) -> None:
    """Take answers off the market whose request is over and that nobody bought. Their bonds are credited to you.

    For example:

        medibridge dataset retire --key rowan
    """
    responder = _responder(session)
    released = responder.retire()
    token = responder.bridge.system.token
    rows = [(each.listing_id.hex()[:SHORT], in_words(token, each.amount_in_units)) for each in released]
    session.screen.show(
        [{"answer": each.listing_id.hex(), "bond": in_words(token, each.amount_in_units)} for each in released],
        table("Taken off the market", ("answer", "bond"), rows, right=("bond",)) if rows else "nothing to take off",
    )


def write_shares(dataset: Path, contributions: Iterable[Contribution]) -> Path:
    """Write a share file for each patient, for the custodian alone to hand over; the folder beside the dataset.

    It is named by the tree that the shares are of: a dataset is sealed anew for each answer.
    """
    given = list(contributions)
    (subject,) = {each.subject for each in given}
    folder = make_directory(private_folder(dataset) / "shares" / subject.hex()[:SHORT])
    for each in given:
        write_file(folder / f"{each.patient}.json", each.to_json().encode(), "a share file")
    return folder


def _only(contributors: Path, patients: frozenset[Address]) -> bytes:
    """The contributors' file with these patients only."""
    try:
        text = read_file(contributors, "the contributors' file", limit=2**26).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("the contributors' file is not UTF-8; save it as UTF-8") from None
    written = io.StringIO(newline="")
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(("system", "value", "address"))
    accounts = Contributors.from_csv(text).accounts
    rows.writerows((system, value, who) for (system, value), who in accounts.items() if who in patients)
    return written.getvalue().encode()


def _is_about(posted: PostedRequest, signed: SignedOffer) -> bool:
    """Whether an offer is of the classes, and for the purpose, that a request asks for."""
    offer, request = signed.offer, posted.request
    return bool(offer.classes & request.classes and request.use.purpose.covered_by & offer.purposes)


def _class_in(text: str) -> DataClass:
    found = classes_in(text)
    if len(found) != 1:
        raise UsageError("a dataset is of one class; name it")
    return next(iter(found))


def _criteria(responder: Responder, posted: PostedRequest) -> str | None:
    wanted = told_by(responder.bridge, posted)
    return None if wanted is None else wanted.criteria


def _match_document(found: Match) -> Document:
    return {"patient": found.patient, "fits": found.fits, "problem": found.problem or None}


def _responder(session: Session) -> Responder:
    bridge = session.bridge()
    return Responder(bridge, *session.key(), DirectoryJournal(session.home.journal))
