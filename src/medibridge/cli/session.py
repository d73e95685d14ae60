"""What one command works with: who, where, and on which chain and store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from eth_account.signers.local import LocalAccount

from medibridge.chain import Chain, System
from medibridge.cli.home import Home
from medibridge.cli.key_files import KeyCost
from medibridge.cli.passphrases import passphrase
from medibridge.cli.screen import Screen
from medibridge.errors import UsageError
from medibridge.ids import Address, address
from medibridge.roles import Bridge, Buyer, Hospital, Patient
from medibridge.sealing.identity import Identity
from medibridge.storage import BlobStore, DirectoryJournal, DirectoryStore, IpfsStore

__all__ = ["Options", "Session", "Surroundings"]


@dataclass(frozen=True)
class Surroundings:
    """What lies outside of the process. Tests put chains and stores of their own here."""

    connect: Callable[[str], Chain] = Chain.at
    chain_in_process: Callable[[], Chain] = Chain.in_process
    ipfs: Callable[[str], AbstractContextManager[BlobStore]] = IpfsStore
    directory: Callable[[Path], BlobStore] = DirectoryStore
    key_cost: KeyCost = field(default_factory=KeyCost)


@dataclass(frozen=True)
class Options:
    """The options that most commands share; a command that has no use for one leaves it as it is here."""

    home: Path = Path()
    key: str | None = None
    passphrase_file: Path | None = None
    chain: str | None = None
    ipfs: str | None = None
    store: Path | None = None
    as_json: bool = False


class Session:
    """One command's means. Nothing is opened before it is asked for; leaving it closes what was opened."""

    def __init__(self, options: Options, surroundings: Surroundings) -> None:
        self.screen = Screen(as_json=options.as_json)
        self.home = Home(options.home)
        self.options = options
        self.surroundings = surroundings
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def chain(self) -> Chain:
        """The chain behind ``--chain``."""
        return self.surroundings.connect(str(self.options.chain))

    def system(self) -> System:
        """The contracts on that chain, seen there. Raises `ContractsMissing`, `ChainUnreachable`."""
        chain = self.chain()
        return System(chain, self.home.deployment(chain.chain_id())).check()

    def store(self) -> BlobStore:
        """The IPFS daemon, or the directory of blocks. Raises `UsageError` where both are named."""
        if self.options.ipfs is None:
            return self.surroundings.directory(self.options.store or self.home.blocks)
        if self.options.store is not None:
            raise UsageError("--ipfs and --store name two stores; give one of them")
        return self._opened.enter_context(self.surroundings.ipfs(self.options.ipfs))

    def bridge(self) -> Bridge:
        """The contracts and the store."""
        return Bridge(self.system(), self.store())

    def key(self) -> tuple[LocalAccount, Identity]:
        """The key that was chosen, opened. Raises `UsageError`, `IdentityLocked`."""
        name = self.home.keys.chosen(self.options.key)
        return self.home.keys.open(name, passphrase(self.options.passphrase_file, name))

    def whom(self, text: str) -> Address:
        """The account that is meant: an address, or the name of one of one's own keys. Raises `UsageError`."""
        if text in self.home.keys.names():
            return self.home.keys.address_of(text)
        return address(text)

    def account(self) -> LocalAccount:
        """The account of the key that was chosen."""
        account, _ = self.key()
        return account

    def hospital(self) -> Hospital:
        """The chosen key's owner as a hospital."""
        bridge = self.bridge()
        return Hospital(bridge, *self.key(), DirectoryJournal(self.home.journal))

    def patient(self) -> Patient:
        """The chosen key's owner as a patient."""
        bridge = self.bridge()
        return Patient(bridge, *self.key())

    def buyer(self) -> Buyer:
        """The chosen key's owner as a buyer."""
        bridge = self.bridge()
        return Buyer(bridge, *self.key())
