"""``medibridge admin``: deploy the contracts, and keep the directory of verified institutions."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from medibridge.chain import Chain, System, deploy
from medibridge.cli.amounts import in_words, units_in
from medibridge.cli.arguments import kind_in
from medibridge.cli.home import Home
from medibridge.cli.options import ACCOUNT, command, group
from medibridge.cli.session import Session
from medibridge.errors import ContractsMissing, UsageError

app = group("The administrator: deploys the contracts and verifies institutions. May not read or grant anything.")

_Institution = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="The institution: an address, or one of your keys.")
]


@command(app, ACCOUNT, name="deploy")
def deploy_(
    session: Session,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="ACCOUNT", help="An ERC-20 with permit to be paid in; else a test dollar."),
    ] = None,
    treasury: Annotated[
        str | None, typer.Option("--treasury", metavar="ACCOUNT", help="Who gets the fee; else you.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Deploy again where contracts are already.")] = False,
) -> None:
    """Deploy every contract, and become the administrator.

    Writes `deployments/CHAIN-ID.json` in the home directory, which all other commands read. Hand that file to
    everybody who is to use this deployment.

    For example:

        medibridge admin deploy --key admin
    """
    paid_in, fee_to = (None if text is None else session.whom(text) for text in (token, treasury))
    chain = session.chain()
    if not anew and _is_deployed(session.home, chain):
        raise UsageError(f"MediBridge is deployed on chain {chain.chain_id()} already; to start afresh give --anew")
    account = session.account()
    session.screen.say("deploying…")
    system = deploy(chain, account, token=paid_in, treasury=fee_to)
    path = session.home.keep_deployment(system.deployment)
    session.screen.show(
        json.loads(system.deployment.to_json()),
        f"deployed on chain {system.deployment.chain_id} for {chain.gas_used:,} gas; the addresses are in {path}",
    )


@command(app, ACCOUNT)
def enrol(
    session: Session,
    institution: _Institution,
    kind: Annotated[
        str, typer.Option("--as", metavar="KIND", help="hospital, laboratory, practice, pharmacy, buyer …")
    ],
) -> None:
    """Verify an institution: only then may it deposit, vouch and buy. Patients need no verification.

    For example:

        medibridge admin enrol 0x7099… --as hospital --key admin
    """
    whom, what = session.whom(institution), kind_in(kind)
    system = session.system()
    system.institutions.enrol(session.account(), whom, what)
    label = what.name.lower().replace("_", "-")
    session.screen.show({"account": whom, "kind": label, "standing": "good"}, f"{whom} is a verified {label}")


@command(app, ACCOUNT)
def suspend(session: Session, institution: _Institution) -> None:
    """Stop an institution from depositing, vouching and buying, until it is reinstated.

    For example:

        medibridge admin suspend 0x7099… --key admin
    """
    whom = session.whom(institution)
    system = session.system()
    system.institutions.suspend(session.account(), whom)
    session.screen.show({"account": whom, "standing": "suspended"}, f"{whom} is suspended")


@command(app, ACCOUNT)
def reinstate(session: Session, institution: _Institution) -> None:
    """Let a suspended institution act again.

    For example:

        medibridge admin reinstate 0x7099… --key admin
    """
    whom = session.whom(institution)
    system = session.system()
    system.institutions.reinstate(session.account(), whom)
    session.screen.show({"account": whom, "standing": "good"}, f"{whom} may act again")


@command(app, ACCOUNT)
def mint(
    session: Session,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Who gets the money.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="How much, such as 100 or 99.50.")],
) -> None:
    """Make test dollars, on a chain where the token is the test dollar that `deploy` made.

    For example:

        medibridge admin mint 0x90F7… 100.00 --key admin
    """
    whom, system = session.whom(account), session.system()
    units = units_in(amount, system.token.decimals())
    system.token.mint(session.account(), whom, units)
    told = in_words(system.token, units)
    session.screen.show({"account": whom, "minted": told}, f"{whom} has {told} more")


def _is_deployed(home: Home, chain: Chain) -> bool:
    if not home.knows_deployment(chain.chain_id()):
        return False
    try:
        System(chain, home.deployment(chain.chain_id())).check()
    except ContractsMissing:
        return False  # the local chain was started afresh since
    return True
