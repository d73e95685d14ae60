"""``medibridge local``: money for gas and time, on a chain of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from medibridge.cli.amounts import moment, seconds_in, units_in
from medibridge.cli.options import CHAIN, command, group
from medibridge.cli.session import Session

app = group("A chain on your own machine (anvil, ganache): get money for gas, and let time pass.")

_ETHER_DECIMALS = 18


@command(app, CHAIN)
def fund(
    session: Session,
    accounts: Annotated[list[str], typer.Argument(metavar="ACCOUNT...", help="Who is to have money for gas.")],
    ether: Annotated[str, typer.Option("--ether", metavar="AMOUNT", help="How much each.")] = "10",
) -> None:
    """Give accounts money for gas, from the node's own first account.

    For example:

        medibridge local fund rowan lakeside 0x90F7…
    """
    everybody, wei = [session.whom(each) for each in accounts], units_in(ether, _ETHER_DECIMALS)
    chain = session.chain()
    for each in everybody:
        chain.fund(each, wei)
    session.screen.show(
        {"funded": everybody, "ether": ether}, *(f"{each} has {ether} ether more" for each in everybody)
    )


@command(app, CHAIN)
def advance(
    session: Session,
    stretch: Annotated[str, typer.Argument(metavar="STRETCH", help="How long, such as 25h or 30d.")],
) -> None:
    """Let time pass on the chain, to see a window close or a consent end.

    For example:

        medibridge local advance 25h
    """
    seconds = seconds_in(stretch)
    now = session.chain().advance(seconds)
    session.screen.show({"now": now}, f"on the chain it is now {moment(now)}")
