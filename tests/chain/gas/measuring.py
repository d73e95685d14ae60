"""What one transaction costs."""

from __future__ import annotations

from typing import Any

from brownie import web3

Cost = dict[str, int]


def cost_of(transaction: Any) -> Cost:
    """Gas used, and slots that held zero before and do not after."""
    tracer = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    difference = web3.provider.make_request("debug_traceTransaction", [transaction.txid, tracer])["result"]
    new = 0
    for account, after in difference["post"].items():
        before = difference["pre"].get(account, {}).get("storage", {})
        for slot, value in after.get("storage", {}).items():
            new += int(value, 16) != 0 and int(before.get(slot, "0x0"), 16) == 0
    return {"gas": transaction.gas_used, "new slots": new}


def sum_of(*costs: Cost) -> Cost:
    return {unit: sum(cost[unit] for cost in costs) for unit in ("gas", "new slots")}
