"""``medibridge buyer``: look, check, pay, open; or be paid back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from medibridge.chain import Token
from medibridge.cli.amounts import in_words, moment
from medibridge.cli.data_use import AcceptOption, DiseaseOption, PurposeOption, ResearchOption, use_in
from medibridge.cli.files import write_pieces
from medibridge.cli.options import command, group
from medibridge.cli.records import SHORT, hand_over
from medibridge.cli.screen import Document, table
from medibridge.cli.selling import Receiver, take_out
from medibridge.cli.session import Session
from medibridge.errors import UsageError
from medibridge.roles import Inspected, Offer, Purchase
from medibridge.sealing.records import WrongKey

app = group("A buyer: looks, checks, pays, opens what was promised or is paid back.")

_OfferName = Annotated[
    str, typer.Argument(metavar="OFFER", help="An offer's name, as the list shows it; its beginning will do.")
]
_OrderName = Annotated[
    str, typer.Argument(metavar="ORDER", help="An order's name, as `purchases` shows it; its beginning will do.")
]


@command(app)
def register(session: Session) -> None:
    """Publish your key card, so that sellers can deliver to you.

    For example:

        medibridge buyer register --key meridian
    """
    buyer = session.buyer()
    buyer.register()
    session.screen.show({"registered": buyer.address}, f"the key card of {buyer.address} is published")


@command(app)
def offers(session: Session) -> None:
    """List everything that is for sale now.

    For example:

        medibridge buyer offers
    """
    buyer = session.buyer()
    token, found = buyer.bridge.system.token, buyer.offers()
    rows = [
        (
            each.name[:SHORT],
            each.data_class.label,
            each.listing.terms.conditions.purpose.name,
            each.listing.seller,
            in_words(token, each.listing.terms.price),
        )
        for each in found
    ]
    session.screen.show(
        [_offer_document(each, token) for each in found],
        table("Offers", ("offer", "class", "purpose", "seller", "price"), rows, right=("price",))
        if rows
        else "nothing is for sale",
    )


@command(app)
def inspect(
    session: Session,
    offer: _OfferName,
    purpose: PurposeOption = "HRESCH",
    research: ResearchOption = "biomedical",
    disease: DiseaseOption = 0,
    accept: AcceptOption = "",
) -> None:
    """Look at everything about an offer that can be seen before paying, and say what it means. Costs nothing.

    Fetches the ciphertext and checks that it is what the seal promises; and looks at the custodian's standing, the
    terms, the patient's consent, the seller and the bond. The key you would buy cannot be checked before; but if it
    then does not open exactly this ciphertext, you prove it with `medibridge buyer dispute` and are paid back.

    For example:

        medibridge buyer inspect 26046e
        medibridge buyer inspect 26046e --purpose DSRCH --research disease --disease 5148 --accept IRB
    """
    buyer, use = session.buyer(), use_in(purpose, research, disease, accept)
    token = buyer.bridge.system.token
    inspected = buyer.inspect(buyer.offer(offer), use, told=partial(in_words, token))
    session.screen.show(_inspected_document(inspected, token), _findings_table(inspected), _conclusion(inspected))


@command(app)
def buy(
    session: Session,
    offer: _OfferName,
    purpose: PurposeOption = "HRESCH",
    research: ResearchOption = "biomedical",
    disease: DiseaseOption = 0,
    accept: AcceptOption = "",
) -> None:
    """Inspect an offer once more, declare what you will do with it, and pay its price into escrow.

    One transaction: the approval is signed and sent along with the payment. What you declare stands on the chain.
    The seller has until the deadline to deliver; else you get the price back.

    For example:

        medibridge buyer buy 26046e
        medibridge buyer buy 26046e --purpose DSRCH --research disease --disease 5148 --accept IRB
    """
    buyer, use = session.buyer(), use_in(purpose, research, disease, accept)
    token = buyer.bridge.system.token
    inspected = buyer.inspect(buyer.offer(offer), use, told=partial(in_words, token))
    for finding in inspected.warnings:
        session.screen.say(f"note: {finding.about}: {finding.seen}")
    purchase = buyer.buy(inspected)
    session.screen.show(
        _purchase_document(purchase, token),
        f"order {purchase.name[:SHORT]}: {in_words(token, purchase.order.price)} are in escrow; "
        f"the seller delivers until {moment(purchase.deadline)}",
    )


@command(app)
def purchases(session: Session) -> None:
    """List everything you ever bought, and where it stands.

    For example:

        medibridge buyer purchases
    """
    buyer = session.buyer()
    token, found = buyer.bridge.system.token, buyer.purchases()
    rows = [
        (
            each.name[:SHORT],
            each.listing.data_class.label,
            in_words(token, each.order.price),
            each.state.name.lower(),
            moment(each.deadline),
        )
        for each in found
    ]
    session.screen.show(
        [_purchase_document(each, token) for each in found],
        table("Purchases", ("order", "class", "price", "state", "deadline"), rows, right=("price",))
        if rows
        else "nothing was bought yet",
    )


@command(app)
def open_(
    session: Session,
    order: _OrderName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there, whole or not at all.")
    ] = None,
) -> None:
    """Open what you bought, once the seller has delivered: a record as FHIR JSON, or a dataset's archive.

    Where something is wrong with it you are told what, and whether you can prove it. Do so before the time for
    complaints is over.

    For example:

        medibridge buyer open d1cbe4 -o bought.json
        medibridge buyer open 77a0c1 -o dataset.tar
    """
    buyer = session.buyer()
    purchase = buyer.purchase(order)
    if purchase.listing.patient is not None:
        hand_over(session.screen, lambda _: buyer.open(purchase), output)
        return
    if output is None:
        raise UsageError("this is a dataset of many patients; give -o FILE to write its archive to")
    with session.screen.counting("bytes opened") as count:
        size = write_pieces(output, _counted(buyer.content(purchase), count), "the output file")
    session.screen.show({"written": str(output), "bytes": size}, f"{size} bytes of the archive are in {output}")


@command(app)
def dispute(
    session: Session,
    order: _OrderName,
    yes: Annotated[bool, typer.Option("--yes", help="Prove it without asking what becomes public.")] = False,
) -> None:
    """Prove that you were cheated: the price comes back, and a reward from the seller's bond.

    Finds out by itself whether the delivered key or a part of the content is wrong, and proves it to the market's
    contract, which judges by itself. Something becomes public by a proof; you are told what, and asked. It takes the
    ciphertext that was kept when you inspected the offer, and nothing from the seller.

    For example:

        medibridge buyer dispute d1cbe4
    """
    buyer = session.buyer()
    purchase = buyer.purchase(order)
    buyer.require_disputable(purchase)
    fault = buyer.examine(purchase)
    if fault is not None:
        wrong = "the delivered key is wrong" if isinstance(fault, WrongKey) else "the key is right, the content is not"
        session.screen.say(f"{wrong} (chunk {fault.index}). If you prove it, {buyer.shown_by(purchase, fault)}.")
        if not yes:
            typer.confirm("Prove it?", abort=True, err=True)
    proved = buyer.dispute(purchase, fault)
    token = buyer.bridge.system.token
    back = in_words(token, purchase.order.price)
    reward = in_words(token, proved.reward_in_units)
    session.screen.show(
        {
            "order": purchase.name,
            "proved": type(proved).__name__,
            "chunk": proved.index,
            "price": back,
            "reward": reward,
        },
        f"proved: {back} are credited to you again, and {reward} of the seller's bond; the offer is frozen. Take the "
        "money out with: medibridge buyer withdraw",
    )


@command(app)
def refund(session: Session) -> None:
    """Take back the price of every order that was not delivered in time.

    For example:

        medibridge buyer refund
    """
    refunded = [each.order_id.hex() for each in session.buyer().refund()]
    session.screen.show(
        [{"order": name} for name in refunded],
        *(f"order {name[:SHORT]} is refunded; take the money out with: medibridge buyer withdraw" for name in refunded),
        *([] if refunded else ["nothing to refund"]),
    )


@command(app)
def withdraw(session: Session, to: Receiver = None) -> None:
    """Take out everything that is credited to you, such as refunds.

    For example:

        medibridge buyer withdraw
    """
    take_out(session, session.buyer(), to)


def _counted(pieces: Iterator[bytes], count: Callable[[int], None]) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        count(total)
        yield piece


def _offer_document(offer: Offer, token: Token) -> dict[str, Document]:
    terms = offer.listing.terms
    return {
        "offer": offer.name,
        "class": offer.data_class.label,
        "purpose": terms.conditions.purpose.name,
        "seller": offer.listing.seller,
        "custodian": offer.listing.custodian,
        "price": in_words(token, terms.price),
        "deliver_within": terms.deliver_within,
        "dispute_within": terms.dispute_within,
    }


def _inspected_document(inspected: Inspected, token: Token) -> Document:
    findings: list[Document] = [
        {"about": each.about, "verdict": each.verdict.value, "seen": each.seen} for each in inspected.findings
    ]
    own: dict[str, Document] = {"sound": not inspected.refused, "bytes": inspected.size, "findings": findings}
    return _offer_document(inspected.offer, token) | own


def _findings_table(inspected: Inspected) -> Table:
    rows = [(each.about, each.verdict.value, each.seen) for each in inspected.findings]
    return table(f"Offer {inspected.offer.name[:SHORT]}", ("about", "verdict", "what was seen"), rows)


def _conclusion(inspected: Inspected) -> str:
    what = f"{inspected.size} bytes of {inspected.offer.data_class.label}"
    if inspected.refused:
        return f"it cannot be bought: see what is refused ({', '.join(each.about for each in inspected.refused)})"
    noted = f", with {len(inspected.warnings)} warnings" if inspected.warnings else ""
    return f"the offer is sound{noted}: {what} can be bought"


def _purchase_document(purchase: Purchase, token: Token) -> Document:
    return {
        "order": purchase.name,
        "offer": purchase.order.listing_id.hex(),
        "class": purchase.listing.data_class.label,
        "price": in_words(token, purchase.order.price),
        "state": purchase.state.name.lower(),
        "deadline": purchase.deadline,
    }
