"""``medibridge buyer``: look, check, pay, open; or be paid back."""

from __future__ import annotations

from typing import Annotated

import typer

from medibridge.chain import Token
from medibridge.cli.amounts import in_words, moment
from medibridge.cli.arguments import Output
from medibridge.cli.options import command, group
from medibridge.cli.records import SHORT, hand_over
from medibridge.cli.screen import Document, table
from medibridge.cli.selling import Receiver, take_out
from medibridge.cli.session import Session
from medibridge.roles import Inspected, Offer, Purchase

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
            each.listing.terms.purpose.name,
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
def inspect(session: Session, offer: _OfferName) -> None:
    """Fetch the ciphertext of an offer and check that it is what its seal promises. Costs nothing.

    The key you would buy cannot be checked before; but if it then does not open exactly this ciphertext, you can
    prove it and are paid back.

    For example:

        medibridge buyer inspect 26046e
    """
    buyer = session.buyer()
    inspected = buyer.inspect(buyer.offer(offer))
    session.screen.show(
        _inspected_document(inspected, buyer.bridge.system.token),
        f"offer {inspected.offer.name[:SHORT]} is sound: {inspected.size} bytes of {inspected.offer.data_class.label}",
    )


@command(app)
def buy(session: Session, offer: _OfferName) -> None:
    """Inspect an offer once more, and pay its price into escrow.

    One transaction: the approval is signed and sent along with the payment. The seller has until the deadline to
    deliver; else you get the price back.

    For example:

        medibridge buyer buy 26046e
    """
    buyer = session.buyer()
    purchase = buyer.buy(buyer.inspect(buyer.offer(offer)))
    token = buyer.bridge.system.token
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
def open_(session: Session, order: _OrderName, output: Output = None) -> None:
    """Open what you bought, as FHIR JSON, once the seller has delivered.

    For example:

        medibridge buyer open d1cbe4 -o bought.json
    """
    buyer = session.buyer()
    purchase = buyer.purchase(order)
    hand_over(session.screen, lambda _: buyer.open(purchase), output)


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


def _offer_document(offer: Offer, token: Token) -> dict[str, Document]:
    terms = offer.listing.terms
    return {
        "offer": offer.name,
        "class": offer.data_class.label,
        "purpose": terms.purpose.name,
        "seller": offer.listing.seller,
        "custodian": offer.listing.custodian,
        "price": in_words(token, terms.price),
        "deliver_within": terms.deliver_within,
        "dispute_within": terms.dispute_within,
    }


def _inspected_document(inspected: Inspected, token: Token) -> Document:
    return _offer_document(inspected.offer, token) | {"sound": True, "bytes": inspected.size}


def _purchase_document(purchase: Purchase, token: Token) -> Document:
    return {
        "order": purchase.name,
        "offer": purchase.order.listing_id.hex(),
        "class": purchase.listing.data_class.label,
        "price": in_words(token, purchase.order.price),
        "state": purchase.state.name.lower(),
        "deadline": purchase.deadline,
    }
