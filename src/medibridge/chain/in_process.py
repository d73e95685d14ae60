"""The chain inside this process: eth-tester on py-evm, quick enough for a story of a hundred transactions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from eth_tester import EthereumTester, PyEVMBackend
from web3.providers.eth_tester import EthereumTesterProvider

__all__ = ["provider"]


class _Remembering(EthereumTester):  # type: ignore[misc]  # eth-tester ships no types
    """Reads each mined block and each receipt once: py-evm looks for them through the whole chain each time."""

    def __init__(self, backend: PyEVMBackend) -> None:
        self._known: dict[object, Any] = {}
        super().__init__(backend)

    def get_block_by_number(self, block_number: int | str = "latest", full_transactions: bool = False) -> Any:
        """See `EthereumTester`; block names such as ``latest`` are looked up each time."""
        ask = partial(super().get_block_by_number, block_number, full_transactions)
        return self._once((block_number, full_transactions), ask) if isinstance(block_number, int) else ask()

    def get_transaction_receipt(self, transaction_hash: str) -> Any:
        """See `EthereumTester`."""
        return self._once(transaction_hash, partial(super().get_transaction_receipt, transaction_hash))

    def revert_to_snapshot(self, snapshot_id: int) -> None:
        """See `EthereumTester`; nothing is known any more."""
        super().revert_to_snapshot(snapshot_id)
        self._known.clear()

    def _once(self, question: object, ask: Callable[[], Any]) -> Any:
        if question not in self._known:
            self._known[question] = ask()
        return self._known[question]


def provider() -> EthereumTesterProvider:
    """A web3 provider of a fresh chain."""
    return EthereumTesterProvider(_Remembering(PyEVMBackend()))
