"""Keys at rest: an account in a keystore (version 3, scrypt), and beside it the encryption identity (Argon2id).

The two are independent secrets. An encryption key that were derived from the account's signatures could
be had by whoever gets the owner to sign one message.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from medibridge.cli.files import make_directory, read_file, write_file
from medibridge.errors import IdentityLocked, UsageError
from medibridge.ids import Address, address
from medibridge.sealing.identity import Identity, KdfCost

__all__ = ["KeyCost", "KeyFiles"]

_ACCOUNT, _IDENTITY = "account.json", "identity"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_MAX_FILE = 16_384
_MAX_SCRYPT_MEMORY = 512 * 2**20  # bytes: 128 n r p (RFC 7914, section 2), times two of what new keys ask for
_DAMAGED = "the key does not open: the passphrase is wrong or a file is damaged; try again, or restore its backup"


@dataclass(frozen=True)
class KeyCost:
    """What trying one passphrase costs: scrypt's n for the account (RFC 7914), Argon2id for the identity."""

    scrypt_n: int = 2**18
    argon2: KdfCost = field(default_factory=KdfCost)


class KeyFiles:
    """The keys in one directory, each in a directory of its own name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        """The names of the keys that are there, in alphabetical order."""
        try:
            return sorted(path.name for path in self._directory.iterdir() if _NAME.fullmatch(path.name))
        except OSError:
            return []

    def chosen(self, name: str | None) -> str:
        """That name, or the only key's where none is given. Raises `UsageError` where there is no such key."""
        names = self.names()
        if name is None and len(names) == 1:
            return names[0]
        if not names:
            raise UsageError(f"there are no keys in {self._directory}; make one with: medibridge keys new")
        if name not in names:
            which = "name one of your keys" if name is None else f"you have no key named {name!r}"
            raise UsageError(f"{which} with --key; there are {', '.join(names)}")
        return name

    def create(self, name: str, passphrase: str, cost: KeyCost) -> Address:
        """Make a new account and a new identity under a passphrase. Raises `UsageError` where the name is taken."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot name a key; use up to 32 lower-case letters, digits and hyphens")
        if name in self.names():
            raise UsageError(f"there is a key named {name!r} already, and keys are never replaced; choose another name")
        account: LocalAccount = Account.create()
        keystore = Account.encrypt(account.key, passphrase, kdf="scrypt", iterations=cost.scrypt_n)
        self._keep(
            name,
            {
                _ACCOUNT: json.dumps(keystore).encode(),
                _IDENTITY: Identity.generate().lock(passphrase, cost=cost.argon2),
            },
        )
        return Address(account.address)

    def address_of(self, name: str) -> Address:
        """The address of a key's account, which its keystore names openly. Raises `IdentityLocked`."""
        return _owner(self._keystore(name))

    def open(self, name: str, passphrase: str) -> tuple[LocalAccount, Identity]:
        """The account and the identity. Raises `IdentityLocked`; a file that asks for absurd work is not computed."""
        keystore = self._keystore(name)
        _require_bounded(keystore)
        try:
            account: LocalAccount = Account.from_key(Account.decrypt(keystore, passphrase))
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, MemoryError):
            raise IdentityLocked(_DAMAGED) from None
        if Address(account.address) != _owner(keystore):
            raise IdentityLocked(_DAMAGED)
        sealed = read_file(self._directory / name / _IDENTITY, f"the identity of key {name!r}", limit=_MAX_FILE)
        return account, Identity.unlock(sealed, passphrase)

    def _keystore(self, name: str) -> dict[str, Any]:
        content = read_file(self._directory / name / _ACCOUNT, f"the keystore of key {name!r}", limit=_MAX_FILE)
        try:
            keystore = json.loads(content)
        except (ValueError, RecursionError):
            raise IdentityLocked(_DAMAGED) from None
        if not isinstance(keystore, dict):
            raise IdentityLocked(_DAMAGED)
        return keystore

    def _keep(self, name: str, files: dict[str, bytes]) -> None:
        """Both files at once: they appear together, by one rename."""
        make_directory(self._directory)
        new = Path(tempfile.mkdtemp(dir=self._directory, prefix=".new-"))
        try:
            for file, content in files.items():
                write_file(new / file, content, f"key {name!r}")
            try:
                os.rename(new, self._directory / name)  # noqa: PTH104 - replaces nothing; Path.replace reads otherwise
            except OSError as exc:
                raise UsageError(f"key {name!r} cannot be kept ({exc.strerror}); choose another name") from None
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _owner(keystore: dict[str, Any]) -> Address:
    try:
        return address("0x" + str(keystore["address"]).removeprefix("0x"))
    except (KeyError, UsageError):
        raise IdentityLocked(_DAMAGED) from None


def _require_bounded(keystore: dict[str, Any]) -> None:
    match keystore.get("crypto"):
        case {
            "cipher": "aes-128-ctr",
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": int(n), "r": int(r), "p": int(p)},
        } if min(n, r, p) > 0 and 128 * n * r * p <= _MAX_SCRYPT_MEMORY:
            return
    raise IdentityLocked("the keystore is not of version 3 with scrypt at a bearable cost; restore it from its backup")
