"""What the Brownie scripts share: the command line's own session, on the node that Brownie is connected to.

Keys and deployments are those of the command line, below $MEDIBRIDGE_HOME or ~/.medibridge. Blocks go to the IPFS
daemon at $MEDIBRIDGE_IPFS, else to a directory there. Passphrases are asked for, or read from the file that
$MEDIBRIDGE_PASSPHRASE_FILE names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brownie import web3

from medibridge.cli.session import Options, Session, Surroundings
from medibridge.errors import MediBridgeError

__all__ = ["opened"]


@contextmanager
def opened(key: str | None = None) -> Iterator[Session]:
    """A session for the owner of `key`; a refusal ends the script with its sentence, not with a traceback."""
    passphrase_file = os.environ.get("MEDIBRIDGE_PASSPHRASE_FILE")
    options = Options(
        home=Path(os.environ.get("MEDIBRIDGE_HOME", "~/.medibridge")),
        key=key,
        passphrase_file=None if passphrase_file is None else Path(passphrase_file),
        chain=web3.provider.endpoint_uri,
        ipfs=os.environ.get("MEDIBRIDGE_IPFS"),
    )
    try:
        with Session(options, Surroundings()) as session:
            yield session
    except MediBridgeError as exc:
        sys.exit(str(exc))
