"""The chain's clock, which stands still unless a test moves it."""

from __future__ import annotations

from typing import Any

from brownie import web3

NOON = 2_000_000_000
"""The second at which every test starts. Time stands still until a test moves it."""


class Clock:
    """The chain's time, in seconds since 1970. Blocks take no time unless told to."""

    def now(self) -> int:
        """The newest block's time."""
        return int(web3.eth.get_block("latest")["timestamp"])

    def move_to(self, second: int) -> None:
        """Mine a block at this very second; what follows happens in it too."""
        if second != self.now():
            self._ask("evm_setNextBlockTimestamp", [second])
            self._ask("evm_mine", [])
            assert self.now() == second

    def pass_by(self, seconds: int) -> int:
        """Let so many seconds go by; the new time."""
        self.move_to(self.now() + seconds)
        return self.now()

    def stand_still(self) -> None:
        self._ask("anvil_setBlockTimestampInterval", [0])

    @staticmethod
    def _ask(method: Any, parameters: list[Any]) -> None:
        response = web3.provider.make_request(method, parameters)
        assert "error" not in response, response
