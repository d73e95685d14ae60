"""Deploy every contract, and write the deployment that the library and the command line read.

brownie run deploy             on a local chain, by a new account that is not kept
brownie run deploy main admin  by your key "admin" (medibridge keys new --name admin)
"""

from __future__ import annotations

from eth_account import Account

from medibridge.chain import System, deploy
from medibridge.ids import Address
from scripts.opened import opened

ETHER = 10**18


def main(key: str | None = None) -> System:
    with opened(key) as session:
        chain = session.chain()
        if key is None:
            deployer = Account.create()
            chain.fund(Address(deployer.address), 10 * ETHER)
        else:
            deployer = session.account()
        system = deploy(chain, deployer)
        path = session.home.keep_deployment(system.deployment)
        print(f"deployed on chain {system.deployment.chain_id} for {chain.gas_used:,} gas; the addresses are in {path}")
        return system
