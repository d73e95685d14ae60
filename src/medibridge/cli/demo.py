"""``medibridge demo``: the whole story, played on a fresh deployment."""

from __future__ import annotations

import tempfile
import textwrap
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from medibridge.chain import Chain
from medibridge.cli.options import command
from medibridge.cli.screen import Document, Screen, table
from medibridge.cli.session import Session
from medibridge.cli.stage import Stage
from medibridge.cli.story import CHAPTERS, COLUMNS, readings
from medibridge.errors import UsageError
from medibridge.storage import BlobStore

__all__ = ["add_demo", "play"]

_WIDTH = 100  # columns of prose


@dataclass(frozen=True)
class Played:
    """A step that was played: what was told, what came of it, and the gas of all its transactions."""

    told: str
    outcome: str
    gas: int

    def document(self) -> Document:
        """For programs."""
        return {"step": self.told, "outcome": self.outcome, "gas": self.gas}


def play(screen: Screen, chain: Chain, store: BlobStore) -> None:
    """Play every chapter and say what happens; at the end, who can read what.

    Raises `UsageError` on a chain that is not local, and `AccessError` where somebody can read what must not
    be readable.
    """
    if not chain.is_local():
        raise UsageError(
            f"the demo deploys, and makes money and time, which it may only on a local chain (anvil, ganache); "
            f"this is chain {chain.chain_id()}"
        )
    began, played = time.monotonic(), list[Played]()
    stage = Stage.raised(chain, store)
    played.append(Played("The contracts are deployed", "nine contracts on a fresh deployment", chain.gas_used))
    _tell(screen, "MediBridge, the whole story", played[-1])
    for chapter in CHAPTERS:
        title: str | None = chapter.title
        for step in chapter.steps:
            before = chain.gas_used
            outcome = step.play(stage)
            played.append(Played(step.told, outcome, chain.gas_used - before))
            _tell(screen, title, played[-1])
            title = None
    _conclude(screen, played, list(readings(stage)), time.monotonic() - began)


def _tell(screen: Screen, title: str | None, played: Played) -> None:
    if screen.as_json:
        screen.say(played.told)
        return
    head = Text(played.told, style="bold").append(f"   {played.gas:,} gas" if played.gas else "", style="not bold dim")
    outcome = textwrap.indent(textwrap.fill(played.outcome, _WIDTH - 3), "   ")
    if title is not None:
        screen.show(None, Text(f"\n── {title}", style="cyan"))
    screen.show(None, head, outcome)


def _conclude(screen: Screen, played: list[Played], tried: list[tuple[str, ...]], seconds: float) -> None:
    gas = sum(step.gas for step in played)
    document: Document = {
        "steps": [step.document() for step in played],
        "readings": [dict(zip(COLUMNS, row, strict=True)) for row in tried],
        "gas": gas,
    }
    built = table("Who can read what, each one tried after the whole story", COLUMNS, tried)
    screen.show(
        document,
        "",
        built,
        "",
        f"{len(played)} steps, {gas:,} gas, {seconds:.1f} s",
    )


def add_demo(app: typer.Typer) -> None:
    """Add ``demo`` to the outermost commands."""
    command(app, ("as_json",))(demo)


def demo(
    session: Session,
    chain: Annotated[
        str | None, typer.Option("--chain", metavar="URL", help="A local node, anvil or ganache; else in this process.")
    ] = None,
    ipfs: Annotated[
        str | None, typer.Option("--ipfs", metavar="MULTIADDR", help="An IPFS daemon; else a temporary directory.")
    ] = None,
) -> None:
    """Play the whole story: a record goes from one hospital to another and to a buyer, and the patient is paid.

    Then a seller cheats and is caught, and three patients share one sale.

    Everything is fresh: accounts, keys and contracts. Nothing is read from or written to your home directory.
    Each step says what it cost in gas. At the end everybody tries to read everything, and the table shows what
    came of it.

    For example:

        medibridge demo
        medibridge demo --chain http://127.0.0.1:8545 --ipfs /ip4/127.0.0.1/tcp/5001
    """
    around = session.surroundings
    with ExitStack() as opened:
        store: BlobStore
        if ipfs is None:
            directory = opened.enter_context(tempfile.TemporaryDirectory(prefix="medibridge-demo-"))
            store = around.directory(Path(directory, "blocks"))
        else:
            store = opened.enter_context(around.ipfs(ipfs))
        play(session.screen, _in_process(session) if chain is None else around.connect(chain), store)


def _in_process(session: Session) -> Chain:
    try:
        return session.surroundings.chain_in_process()
    except ModuleNotFoundError:
        raise UsageError(
            "the chain in this process is an extra; get it with: pip install 'medibridge[demo]', or give --chain"
        ) from None
