"""What it costs to prove a fraud: a wrong key, and wrong chunks of several sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deals import WRONG_KEY, Deal, bought, delivered, listing_for
from gas.measuring import Cost, cost_of
from sales import Terms
from sealed import CHUNK_SIZE, Sealed, content_of, sealed

from medibridge.sealing.records import RecordKey

PRICE = 50_000_000


def dispute_costs(system: Any, people: dict[str, Any]) -> Iterator[tuple[str, Cost]]:
    """A wrong key and a wrong full chunk of a large record; then smaller chunks."""
    system.dollar.mint(people["buyer"], 10 * PRICE, {"from": people["admin"]})
    system.dollar.approve(system.data_sales, 10 * PRICE, {"from": people["buyer"]})

    large = Cheat(system, people, sealed(content_of(64 * CHUNK_SIZE)))
    yield "prove a wrong key of a record of 1 MiB, for the first time", large.wrong_key()
    yield "prove a wrong key of a record of 1 MiB", large.wrong_key()
    yield "prove a wrong chunk of 16 384 bytes of a record of 1 MiB", large.wrong_chunk()
    yield "prove a wrong chunk of 8 192 bytes", Cheat(system, people, sealed(content_of(8_192))).wrong_chunk()
    yield "prove a wrong chunk of 1 024 bytes", Cheat(system, people, sealed(content_of(1_024))).wrong_chunk()


@dataclass
class Cheat:
    """A patient who sells goods and delivers something else, to a buyer who proves it."""

    system: Any
    people: dict[str, Any]
    goods: Sealed
    frauds: int = 0

    def wrong_key(self) -> Cost:
        """The right chunks, and another key."""
        return cost_of(self.deal(self.goods, WRONG_KEY).prove_wrong_key(self.people["buyer"]))

    def wrong_chunk(self) -> Cost:
        """The right key, and another plaintext than the seal's."""
        goods = self.goods.promising(0, bytes(len(self.goods.chunks[0].promised)))
        return cost_of(self.deal(goods, goods.key).prove_wrong_chunk(self.people["buyer"]))

    def deal(self, goods: Sealed, key: RecordKey) -> Deal:
        """Listed, bought, and delivered with this key."""
        self.frauds += 1
        seller, custodian = self.people["patient"], self.people["hospital"]
        terms = Terms(self.system.dollar.address, PRICE)
        listing = listing_for(self.system, seller, custodian, goods, terms, f"fraud {self.frauds}")
        order = bought(self.system, self.people["buyer"], listing)
        return delivered(self.system, seller, goods, listing, order, key)
