"""Passphrases: by prompt or from a file; never from arguments or the environment, where others can see them."""

from __future__ import annotations

import sys
import unicodedata
from getpass import getpass
from pathlib import Path

from medibridge.cli.files import read_file
from medibridge.errors import UsageError

__all__ = ["new_passphrase", "passphrase"]


def passphrase(file: Path | None, name: str) -> str:
    """The passphrase of the key `name`, in normal form NFC, without the newline that ends its file.

    Raises `UsageError` where there is neither a file nor a terminal to ask at.
    """
    if file is not None:
        return _read(file)
    return _asked(f"Passphrase of {name}: ")


def new_passphrase(file: Path | None, name: str) -> str:
    """A passphrase for a new key: asked for twice, or from the file. Raises `UsageError` as `passphrase` does."""
    chosen = passphrase(file, name)
    if file is None and chosen != _asked("The same again: "):
        raise UsageError("the two passphrases differ; run the command again")
    if not chosen:
        raise UsageError("keys are never stored without a passphrase; choose one")
    return chosen


def _read(file: Path) -> str:
    content = read_file(file, "the passphrase file", limit=4096)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UsageError("the passphrase file is not text in UTF-8; save it as UTF-8") from None
    return _normal(text.removesuffix("\n").removesuffix("\r"))


def _asked(question: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the passphrase at; give --passphrase-file")
    return _normal(getpass(question, stream=sys.stderr))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
