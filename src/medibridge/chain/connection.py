"""One chain behind one node: nonces, fees, receipts and re-sends, in one place.

This is the door for foreign errors: whatever web3, a node or the wire says about a call
or a transaction leaves here as one of ours.
"""

from __future__ import annotations

import time
from ast import literal_eval
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from eth_account.signers.local import LocalAccount
from eth_typing import HexStr
from web3 import Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import (
    ContractCustomError,
    ContractLogicError,
    TimeExhausted,
    TransactionNotFound,
    Web3Exception,
)
from web3.providers.base import BaseProvider
from web3.types import TxParams, TxReceipt, Wei

from medibridge.chain.facts import refusal_from
from medibridge.chain.refusals import REFUSALS
from medibridge.errors import ChainError, ChainUnreachable, NotEnoughFunds, TransactionLost
from medibridge.ids import Address

__all__ = ["Chain"]

T = TypeVar("T")

_RAISE_FEES = 1.25  # nodes replace a waiting transaction for at least an eighth more (EIP-1559 mempools)
_ATTEMPTS = 3
_LOCAL_CHAINS = {1337, 31337, 131277322940537}  # Ganache, Anvil, eth-tester: one node, no reorganisation
_ETH_TESTER_REVERTED = "execution reverted: "  # what follows is the repr of the revert data, as bytes
_IN_PROCESS = {"eth", "eth_tester", "eth_utils"}  # packages whose errors the chain in this process lets through


class Chain:
    """A connection to a chain. Making one does no I/O.

    Args:
        provider: any web3 provider.
        place: how to name the node in messages.
        patience: seconds until a transaction that is not mined is sent again with higher fees.
    """

    def __init__(self, provider: BaseProvider, *, place: str = "the node", patience: float = 60.0) -> None:
        self._web3 = Web3(provider)
        self._place = place
        self._patience = patience
        self._chain_id: int | None = None
        self._sending = Lock()

    @classmethod
    def at(cls, url: str, *, patience: float = 60.0) -> Chain:
        """A chain behind a JSON-RPC endpoint, such as ``http://127.0.0.1:8545``."""
        session = requests.Session()
        session.trust_env = False
        provider = Web3.HTTPProvider(
            url, request_kwargs={"timeout": 30}, session=session, exception_retry_configuration=None
        )
        return cls(provider, place=_without_credentials(url), patience=patience)

    @classmethod
    def in_process(cls) -> Chain:
        """A fresh chain inside this process (eth-tester on py-evm). Needs the extra ``demo``."""
        from eth_tester import EthereumTester, PyEVMBackend  # noqa: PLC0415 - py-evm is an extra, and slow to import
        from web3.providers.eth_tester import EthereumTesterProvider  # noqa: PLC0415

        return cls(EthereumTesterProvider(EthereumTester(PyEVMBackend())), place="the chain in this process")

    def __repr__(self) -> str:
        return f"Chain({self._place!r})"

    @property
    def web3(self) -> Web3:
        """The web3 object, for the contract classes of this package."""
        return self._web3

    def chain_id(self) -> int:
        """The chain's id (EIP-155). Raises `ChainError` if the node has changed chains since."""
        current = self.ask(lambda: self._web3.eth.chain_id)
        if self._chain_id is None:
            self._chain_id = current
        if current != self._chain_id:
            raise ChainError(
                f"{self._place} was on chain {self._chain_id} and is now on {current}; connect again and check the node"
            )
        return current

    def confirmations(self) -> int:
        """Blocks to wait until a purchase is taken as final: 64 (two epochs of Ethereum), none on a local chain."""
        return 0 if self.chain_id() in _LOCAL_CHAINS else 64

    def now(self) -> int:
        """The newest block's time, seconds since 1970: the only clock that contracts know."""
        return int(self.ask(lambda: self._web3.eth.get_block("latest"))["timestamp"])

    def block_number(self) -> int:
        """The newest block's number."""
        return int(self.ask(lambda: self._web3.eth.block_number))

    def balance(self, account: Address) -> int:
        """What the account can pay for gas with, in wei."""
        return int(self.ask(lambda: self._web3.eth.get_balance(self._web3.to_checksum_address(account))))

    def has_code(self, account: Address) -> bool:
        """Whether a contract lives at this address."""
        return bool(self.ask(lambda: self._web3.eth.get_code(self._web3.to_checksum_address(account))))

    def ask(self, question: Callable[[], T]) -> T:
        """Put a question to the node, with foreign errors translated.

        Raises `Refusal` (its subclass for the contract's error), `NotEnoughFunds`, `ChainUnreachable`
        or `ChainError`.
        """
        try:
            return question()
        except (requests.RequestException, ConnectionError) as exc:
            raise ChainUnreachable(
                f"no Ethereum node answers at {self._place}; start one (anvil, ganache) or give another address"
            ) from exc
        except ContractCustomError as exc:
            raise refusal_from(_revert_data(exc), REFUSALS) from exc
        except ContractLogicError as exc:
            raise refusal_from(_revert_data(exc), REFUSALS) from exc
        except Web3Exception as exc:
            raise self._translated(exc) from exc
        except Exception as exc:
            if type(exc).__module__.split(".")[0] not in _IN_PROCESS:
                raise
            raise self._translated(exc) from exc

    def send(self, account: LocalAccount, call: ContractFunction | ContractConstructor) -> TxReceipt:
        """Sign a call, send it and wait until it is mined.

        The call is tried first, so what a contract refuses costs nothing. Raises what `ask` raises, and
        `TransactionLost` if it is not mined in time.
        """
        chain_id = self.chain_id()
        sender = self._web3.to_checksum_address(account.address)
        with self._sending:
            gas = self.ask(lambda: call.estimate_gas({"from": sender}))
            request: TxParams = {
                "from": sender,
                "chainId": chain_id,
                "nonce": self.ask(lambda: self._web3.eth.get_transaction_count(sender, "pending")),
                "gas": gas + gas // 5,
                **self._fees(),
            }
            built = self.ask(lambda: call.build_transaction(request))
            receipt = self._mine(account, built)
        if receipt["status"] != 1:
            self.ask(lambda: self._web3.eth.call(built, receipt["blockNumber"]))
            raise ChainError("the transaction failed on the chain although it had passed before; try again")
        return receipt

    def _fees(self) -> TxParams:
        base = self.ask(lambda: self._web3.eth.get_block("latest")).get("baseFeePerGas", Wei(0))
        tip = Wei(10**9)
        return {"maxFeePerGas": Wei(2 * base + tip), "maxPriorityFeePerGas": tip}

    def _mine(self, account: LocalAccount, built: TxParams) -> TxReceipt:
        """Send until mined: the same nonce with higher fees each time, so it takes effect at most once."""
        hashes: list[HexStr] = []
        for _ in range(_ATTEMPTS):
            signed = account.sign_transaction(dict(built))  # type: ignore[arg-type]
            hashes.append(HexStr(signed.hash.to_0x_hex()))
            self._broadcast(signed.raw_transaction)
            receipt = self._wait(hashes)
            if receipt is not None:
                return receipt
            built["maxFeePerGas"] = _raised(built["maxFeePerGas"])
            built["maxPriorityFeePerGas"] = _raised(built["maxPriorityFeePerGas"])
        raise TransactionLost(
            f"{self._place} took the transaction but did not mine it in {_ATTEMPTS * self._patience:.0f} seconds; "
            "it may still be mined: look again before repeating the command"
        )

    def _broadcast(self, raw: bytes) -> None:
        try:
            self.ask(lambda: self._web3.eth.send_raw_transaction(raw))
        except ChainUnreachable:
            raise
        except ChainError as exc:
            # An earlier sending of the same nonce is known or mined already: its receipt decides.
            if not any(words in str(exc.__cause__).lower() for words in ("nonce too low", "already known")):
                raise

    def _wait(self, hashes: list[HexStr]) -> TxReceipt | None:
        until = time.monotonic() + self._patience
        while time.monotonic() < until:
            for each in hashes:
                try:
                    return self.ask(partial(self._web3.eth.get_transaction_receipt, each))
                except ChainError as exc:
                    if not isinstance(exc.__cause__, TransactionNotFound | TimeExhausted):
                        raise
            time.sleep(0.05)
        return None

    def _translated(self, exc: Exception) -> ChainError:
        text = str(exc).lower()
        if "insufficient funds" in text or "doesn't have enough funds" in text or "cannot afford" in text:
            return NotEnoughFunds("the account cannot pay for this transaction's gas; send it some ether first")
        if isinstance(exc, TransactionNotFound | TimeExhausted):
            return ChainError("the transaction is not mined yet")
        if data := _revert_data(exc):
            return refusal_from(data, REFUSALS)
        return ChainError(f"{self._place} refused the request ({type(exc).__name__}); look at the node's log")


def _raised(fee: Wei | str) -> Wei:
    return Wei(int(int(fee) * _RAISE_FEES) + 1)


def _revert_data(exc: Exception) -> bytes:
    """The revert data inside a foreign error; each node and version puts it elsewhere."""
    for found in _strings(getattr(exc, "data", None), getattr(exc, "rpc_response", None), exc.args):
        if found.startswith("0x") and len(found) >= 10:
            try:
                return bytes.fromhex(found[2:])
            except ValueError:
                continue
    return b""


def _strings(*values: Any) -> list[str]:
    found: list[str] = []
    for value in values:
        if isinstance(value, str) and value.startswith(_ETH_TESTER_REVERTED):
            found += _strings(literal_eval(value.removeprefix(_ETH_TESTER_REVERTED)))
        elif isinstance(value, str):
            found.append(value)
        elif isinstance(value, bytes):
            found.append("0x" + value.hex())
        elif isinstance(value, dict):
            # Ganache: {"hash": …, "result": the revert data}; the transaction's hash is no revert data.
            found += _strings(*(item for key, item in value.items() if key not in {"hash", "id", "jsonrpc"}))
        elif isinstance(value, list | tuple):
            found += _strings(*value)
        elif isinstance(value, Exception):
            found += _strings(*value.args)
    return found


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")
