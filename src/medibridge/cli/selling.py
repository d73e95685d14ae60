"""What a patient and a hospital do alike when they sell: deliver, settle, see earnings, withdraw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from medibridge.cli.amounts import in_words, moment
from medibridge.cli.options import command
from medibridge.cli.records import SHORT
from medibridge.cli.screen import table
from medibridge.cli.session import Session
from medibridge.roles import Buyer
from medibridge.roles.selling import Seller

__all__ = ["Receiver", "add_selling", "take_out"]

Receiver = Annotated[
    str | None, typer.Option("--to", metavar="ACCOUNT", help="Where the money goes; else to your own account.")
]


def add_selling(app: typer.Typer, seller_of: Callable[[Session], Seller], role: str) -> None:
    """Add the selling half to a role's commands."""

    def deliver(session: Session) -> None:
        seller = seller_of(session)
        delivered = seller.deliver()
        rows = [(each.order_id.hex()[:SHORT], moment(each.deadline)) for each in delivered]
        session.screen.show(
            [{"order": each.order_id.hex(), "complaints_until": each.deadline} for each in delivered],
            table("Keys delivered", ("order", "complaints until"), rows) if rows else "nothing to deliver",
        )

    def settle(session: Session) -> None:
        seller = seller_of(session)
        token = seller.bridge.system.token
        settled = [
            (each.order_id.hex(), each.patient_in_units, each.custodian_in_units, each.fee_in_units)
            for each in seller.settle()
        ]
        columns = ("order", "patient", "custodian", "fee")
        rows = [(order, *(in_words(token, part) for part in parts)) for order, *parts in settled]
        session.screen.show(
            [dict(zip(columns, row, strict=True)) for row in rows],
            table("Sales settled", columns, [(row[0][:SHORT], *row[1:]) for row in rows], right=columns[1:])
            if rows
            else "nothing to settle yet",
        )

    def earnings(session: Session) -> None:
        seller = seller_of(session)
        token, earned = seller.bridge.system.token, seller.earnings()
        credited, in_escrow = in_words(token, earned.credited), in_words(token, earned.in_escrow)
        session.screen.show(
            {"credited": credited, "in_escrow": in_escrow},
            f"{credited} can be withdrawn; {in_escrow} are in escrow for open orders",
        )

    def withdraw(session: Session, to: Receiver = None) -> None:
        take_out(session, seller_of(session), to)

    for function, text in (
        (deliver, _DELIVER),
        (settle, _SETTLE),
        (earnings, _EARNINGS),
        (withdraw, _WITHDRAW),
    ):
        function.__doc__ = text.format(role=role)
        command(app)(function)


def take_out(session: Session, party: Seller | Buyer, to: str | None) -> None:
    """Withdraw everything that is credited to a party."""
    receiver = None if to is None else session.whom(to)
    withdrawn = party.withdraw(receiver)
    told = in_words(party.bridge.system.token, withdrawn.amount_in_units)
    session.screen.show({"withdrawn": told, "to": withdrawn.to}, f"{told} went to {withdrawn.to}")


_DELIVER = """Hand over the key of everything that was bought from you and paid.

Run it once a day: what is not delivered in its window is refunded. An order that does not deserve a key, or
comes too close to its deadline, is passed over.

For example:

    medibridge {role} deliver
"""

_SETTLE = """Settle every delivered sale whose time for complaints is over. Then the price is yours.

For example:

    medibridge {role} settle
"""

_EARNINGS = """Show what you can withdraw, and what open orders hold.

For example:

    medibridge {role} earnings
"""

_WITHDRAW = """Take out everything that is credited to you.

For example:

    medibridge {role} withdraw
"""
