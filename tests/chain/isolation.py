"""A chain that forgets. Brownie's own isolation deploys anew for every module, and its `given` mixes up the
snapshots of parametrised tests; this one does neither."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brownie import chain, web3
from exercised import EXERCISED
from hypothesis import HealthCheck, settings
from hypothesis.core import given
from web3.middleware import Web3Middleware
from web3.types import MakeRequestFn, RPCEndpoint, RPCResponse

__all__ = ["MinedAtOnce", "given", "isolated", "on_the_chain"]


@contextmanager
def isolated() -> Iterator[None]:
    """Whatever happens inside has not happened afterwards."""
    start = web3.provider.make_request("evm_snapshot", [])["result"]
    try:
        yield
    finally:
        EXERCISED.take_transactions()
        assert web3.provider.make_request("evm_revert", [start])["result"] is True
        chain.snapshot()
        chain.revert()  # tells Brownie that its transactions and contracts are gone


def on_the_chain(max_examples: int, steps: int = 1) -> settings:
    """Settings of a property test whose every example runs in `isolated`: the same examples in every run.

    Hypothesis keeps the first ten examples small, so ask for more than ten.
    """
    return settings(
        max_examples=max_examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


class MinedAtOnce(Web3Middleware):
    """Answers a transaction only when it is mined: a moment. Brownie asks once, and sleeps a second if it is not."""

    def wrap_make_request(self, make_request: MakeRequestFn) -> MakeRequestFn:
        def waiting(method: RPCEndpoint, params: Any) -> RPCResponse:
            response = make_request(method, params)
            if method in ("eth_sendTransaction", "eth_sendRawTransaction") and "result" in response:
                patience = time.monotonic() + 10
                while not make_request(RPCEndpoint("eth_getTransactionReceipt"), [response["result"]]).get("result"):
                    assert time.monotonic() < patience, "the chain mines nothing"
                    time.sleep(0.002)
            return response

        return waiting
