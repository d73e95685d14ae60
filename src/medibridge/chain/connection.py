"""One chain behind one node: nonces, fees, receipts and re-sends, in one place.

This is the door for foreign errors: whatever web3, a node or the wire says about a call
or a transaction leaves here as one of ours.
"""

from __future__ import annotations

import json
import re
import sys
import time
from ast import literal_eval
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from eth_account.signers.local import LocalAccount
from eth_typing import BlockNumber, HexStr
from web3 import Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import (
    BlockNotFound,
    ContractCustomError,
    ContractLogicError,
    MismatchedABI,
    TimeExhausted,
    TransactionNotFound,
    Web3Exception,
)
from web3.providers.base import BaseProvider
from web3.types import RPCEndpoint, TxParams, TxReceipt, Wei

from medibridge.chain.facts import refusal_from
from medibridge.chain.refusals import REFUSALS
from medibridge.errors import ChainError, ChainUnreachable, NotEnoughFunds, TransactionLost, UsageError
from medibridge.ids import Address

__all__ = ["Chain"]

T = TypeVar("T")

_RAISE_FEES = 1.25  # nodes replace a waiting transaction for at least an eighth more (EIP-1559 mempools)
_ATTEMPTS = 3
_ETH_TESTER = 131277322940537
_LOCAL_CHAINS = {1337, 31337, _ETH_TESTER}  # Ganache, Anvil, eth-tester: one node, no reorganisation
_ETH_TESTER_REVERTED = re.compile("execution reverted: (b(['\"]).*\\2)", re.DOTALL)  # the repr of the revert data
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
        self._gas_used = 0
        self._sending = Lock()

    @classmethod
    def at(cls, url: str, *, patience: float = 60.0) -> Chain:
        """A chain behind a JSON-RPC endpoint, such as ``http://127.0.0.1:8545``. Raises `UsageError`."""
        place = _without_credentials(url)
        session = requests.Session()
        session.trust_env = False
        provider = Web3.HTTPProvider(
            url, request_kwargs={"timeout": 30}, session=session, exception_retry_configuration=None
        )
        return cls(provider, place=place, patience=patience)

    @classmethod
    def in_process(cls) -> Chain:
        """A fresh chain inside this process (eth-tester on py-evm). Needs the extra ``demo``."""
        depth = sys.getrecursionlimit()
        from medibridge.chain import in_process  # noqa: PLC0415 - py-evm is an extra, and slow to import

        # py-evm raises the limit so far that deeply nested JSON, from anywhere, would overflow the stack and crash.
        sys.setrecursionlimit(depth)
        return cls(in_process.provider(), place="the chain in this process")

    def __repr__(self) -> str:
        return f"Chain({self._place!r})"

    @property
    def web3(self) -> Web3:
        """The web3 object, for the contract classes of this package."""
        return self._web3

    @property
    def gas_used(self) -> int:
        """Gas of everything that this object has sent so far."""
        return self._gas_used

    def chain_id(self) -> int:
        """The chain's id (EIP-155). Raises `ChainError` if the node has changed chains since."""
        current = self.ask(lambda: int(self._web3.eth.chain_id))
        if self._chain_id is None:
            self._chain_id = current
        if current != self._chain_id:
            raise ChainError(
                f"{self._place} was on chain {self._chain_id} and is now on {current}; connect again and check the node"
            )
        return current

    def is_local(self) -> bool:
        """Whether this is a chain on one's own machine, by its id: Ganache, Anvil or the one in this process."""
        return self.chain_id() in _LOCAL_CHAINS

    def confirmations(self) -> int:
        """Blocks to wait until a purchase is taken as final: 64 (two epochs of Ethereum), none on a local chain."""
        return 0 if self.is_local() else 64

    def now(self) -> int:
        """The newest block's time, seconds since 1970: the only clock that contracts know."""
        return self.ask(lambda: int(self._web3.eth.get_block("latest")["timestamp"]))

    def time_of(self, block: int) -> int:
        """A block's time, seconds since 1970."""
        return self.ask(lambda: int(self._web3.eth.get_block(BlockNumber(block))["timestamp"]))

    def block_number(self) -> int:
        """The newest block's number."""
        return self.ask(lambda: int(self._web3.eth.block_number))

    def block_hash(self, number: int) -> bytes | None:
        """The 32-byte hash of a block, by its number; None where the chain has no such block (any more)."""
        try:
            return self.ask(lambda: bytes(self._web3.eth.get_block(number)["hash"]))
        except ChainError as exc:
            if isinstance(exc.__cause__, BlockNotFound):
                return None
            raise

    def balance(self, account: Address) -> int:
        """What the account can pay for gas with, in wei."""
        return self.ask(lambda: int(self._web3.eth.get_balance(self._web3.to_checksum_address(account))))

    def has_code(self, account: Address) -> bool:
        """Whether a contract lives at this address."""
        return bool(self.ask(lambda: self._web3.eth.get_code(self._web3.to_checksum_address(account))))

    def advance(self, seconds: int) -> int:
        """Let time pass on a local chain; the new time. Raises `UsageError` on any other chain."""
        self._require_local("time passes by itself")
        if self.chain_id() == _ETH_TESTER:
            self._request("testing_timeTravel", self.now() + seconds)
        else:
            self._request("evm_increaseTime", seconds)
            self._request("evm_mine")
        return self.now()

    def fund(self, account: Address, wei: int) -> None:
        """Give an account money for gas, from the node's own first account. Raises `UsageError` as `advance` does."""
        self._require_local("accounts are funded by those who have ether")
        accounts = self.ask(lambda: self._web3.eth.accounts)
        if not accounts:
            raise ChainError(f"{self._place} holds no account of its own to take ether from; start it with some")
        gift: TxParams = {"from": accounts[0], "to": self._web3.to_checksum_address(account), "value": Wei(wei)}
        gift_hash = self.ask(lambda: self._web3.eth.send_transaction(gift))
        self.ask(lambda: self._web3.eth.wait_for_transaction_receipt(gift_hash, self._patience, 0.05))

    def _require_local(self, elsewhere: str) -> None:
        if not self.is_local():
            raise UsageError(
                f"{self._place} is on chain {self.chain_id()}, where {elsewhere}; this works on local chains only "
                "(anvil 31337, ganache 1337)"
            )

    def _request(self, method: str, *parameters: int) -> None:
        self.ask(lambda: self._web3.manager.request_blocking(RPCEndpoint(method), list(parameters)))

    def ask(self, question: Callable[[], T]) -> T:
        """Put a question to the node, with foreign errors translated.

        Raises `Refusal` (its subclass for the contract's error), `NotEnoughFunds`, `ChainUnreachable`,
        `UsageError` for a value that the contract's types do not hold, or `ChainError`.
        """
        try:
            return question()
        except (requests.RequestException, ConnectionError) as exc:
            reason = type(exc).__name__  # its text has the whole URL, and that may hold a password
            raise ChainUnreachable(
                f"no Ethereum node answers at {self._place} ({reason}); start one (anvil, ganache) "
                "or give another address"
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            raise ChainUnreachable(
                f"what answers at {self._place} is no Ethereum node; give the address of a JSON-RPC endpoint"
            ) from None
        except ContractCustomError as exc:
            raise refusal_from(_revert_data(exc), REFUSALS) from exc
        except ContractLogicError as exc:
            raise refusal_from(_revert_data(exc), REFUSALS) from exc
        except Web3Exception as exc:
            raise self._translated(exc) from exc
        except (ValueError, TypeError, AttributeError, LookupError) as exc:
            raise ChainError(
                f"{self._place} answered with something else than was asked for; check that it is an Ethereum node"
            ) from exc
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
            self._gas_used += receipt["gasUsed"]
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
        for attempt in range(_ATTEMPTS):
            signed = account.sign_transaction(dict(built))  # type: ignore[arg-type]
            hashes.append(HexStr(signed.hash.to_0x_hex()))
            self._broadcast(signed.raw_transaction, again=attempt > 0)
            receipt = self._wait(hashes)
            if receipt is not None:
                return receipt
            built["maxFeePerGas"] = _raised(built["maxFeePerGas"])
            built["maxPriorityFeePerGas"] = _raised(built["maxPriorityFeePerGas"])
        raise TransactionLost(
            f"{self._place} took the transaction but did not mine it in {_ATTEMPTS * self._patience:.0f} seconds; "
            "it may still be mined: look again before repeating the command"
        )

    def _broadcast(self, raw: bytes, *, again: bool) -> None:
        try:
            self.ask(lambda: self._web3.eth.send_raw_transaction(raw))
        except ChainUnreachable:
            raise
        except ChainError:
            # What was sent before stands: it is mined meanwhile, or cannot be replaced. Its receipt decides.
            if not again:
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

    def _translated(self, exc: Exception) -> ChainError | UsageError:
        text = str(exc).lower()
        if "insufficient funds" in text or "doesn't have enough funds" in text or "cannot afford" in text:
            return NotEnoughFunds("the account cannot pay for this transaction's gas; send it some ether first")
        if isinstance(exc, TransactionNotFound | TimeExhausted):
            return ChainError("the transaction is not mined yet")
        if isinstance(exc, MismatchedABI):
            return UsageError("a value does not fit the contract's type for it; check amounts, times and addresses")
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
        if isinstance(value, str) and (reverted := _ETH_TESTER_REVERTED.fullmatch(value)):
            found += _strings(_evaluated(reverted[1]))
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


def _evaluated(literal: str) -> bytes:
    try:
        return bytes(literal_eval(literal))
    except (ValueError, SyntaxError):
        return b""


def _without_credentials(url: str) -> str:
    """The endpoint as messages name it: neither user, password, path nor query, which may be secrets."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError("this is not the address of an Ethereum node; expected one as http://127.0.0.1:8545")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"
