"""How a refusal is expected: by its name *and its values*. The only place that knows how Brownie shows one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import brownie
from brownie.exceptions import decode_typed_error
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from exercised import EXERCISED, signature_of


@contextmanager
def reverts(error: str, *values: Any) -> Iterator[None]:
    """Expect the custom error ``error`` with exactly these values, in a transaction or a call.

    Brownie shows one as the text ``Name: value, value``; so the expected one is encoded as the
    contracts encode it, and shown by Brownie itself.
    """
    definition = _definition_of(error)
    types = [field["type"] for field in definition["inputs"]]
    assert len(types) == len(values), f"{signature_of(definition)} takes {len(types)} values; give them all"
    data = keccak(text=signature_of(definition))[:4] + encode(types, [_plain(value) for value in values])
    with brownie.reverts(decode_typed_error("0x" + data.hex())):
        yield
    EXERCISED.errors.add(signature_of(definition))


def _definition_of(error: str) -> dict[str, Any]:
    """The error of this name in the compiled contracts; errors are unique in the project by name."""
    (project,) = brownie.project.get_loaded_projects()
    found = {
        signature_of(item): item
        for container in project
        for item in container.abi
        if item["type"] == "error" and item["name"] == error
    }
    assert len(found) == 1, f"{error} is {sorted(found) or 'no error'} of the contracts"
    return next(iter(found.values()))


def _plain(value: Any) -> Any:
    """Accounts and contracts as their addresses."""
    return value.address if hasattr(value, "address") else value
