"""``medibridge keys``: make keys, and show whose they are."""

from __future__ import annotations

from typing import Annotated

import typer

from medibridge.cli.options import NOBODY, command, group
from medibridge.cli.passphrases import new_passphrase
from medibridge.cli.screen import table
from medibridge.cli.session import Session

app = group("Your keys: an Ethereum account, and beside it an encryption identity.")


@command(app, ("passphrase_file", *NOBODY))
def new(
    session: Session,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What you call the key.")] = "default",
) -> None:
    """Make a key under a passphrase that you choose.

    A key is two files below `keys/NAME` in the home directory, both readable by you alone: `account.json`, an
    Ethereum keystore (version 3, scrypt), and `identity`, the seed of all your encryption keys (Argon2id). Back
    up both. Nobody can restore them, and a lost identity is lost records.

    The passphrase is asked for twice, or read from a file. It is never taken from the arguments or the
    environment, where other programs could see it.

    For example:

        medibridge keys new
        medibridge keys new --name rowan --passphrase-file rowan.passphrase
    """
    cost, file = session.surroundings.key_cost, session.options.passphrase_file
    owner = session.home.keys.create(name, new_passphrase(file, name), cost)
    session.screen.show({"name": name, "address": owner}, f"{name}  {owner}")


@command(app, NOBODY)
def show(session: Session) -> None:
    """List your keys and their addresses. No secret is shown, and no passphrase needed.

    For example:

        medibridge keys show
    """
    files = session.home.keys
    rows = [(name, files.address_of(name)) for name in files.names()]
    session.screen.show(
        [{"name": name, "address": owner} for name, owner in rows],
        table("Your keys", ("name", "address"), rows) if rows else "no keys yet; make one with: medibridge keys new",
    )
