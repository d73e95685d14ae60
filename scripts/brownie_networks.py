"""Teach this user's Brownie the network `ganache`: Ganache 7 at Shanghai. Anvil it knows already.

Brownie keeps its networks in ~/.brownie/network-config.yaml. Does nothing when it is there already.

    python scripts/brownie_networks.py
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import yaml

GANACHE = {
    "name": "Ganache 7",
    "id": "ganache",
    "cmd": "ganache",  # by name, not by path: Brownie tells its nodes apart by it
    "host": "http://127.0.0.1",
    "cmd_settings": {"port": 8545, "gas_limit": 12_000_000, "accounts": 10, "evm_version": "shanghai"},
}


def main() -> None:
    home = Path.home() / ".brownie" / "network-config.yaml"
    networks = yaml.safe_load((home if home.is_file() else brownies_own()).read_text())
    if GANACHE in networks["development"]:
        return
    networks["development"] = [known for known in networks["development"] if known["id"] != GANACHE["id"]]
    networks["development"].append(GANACHE)
    home.parent.mkdir(exist_ok=True)
    home.write_text(yaml.safe_dump(networks, sort_keys=False))
    print(f"added the network ganache to {home}")


def brownies_own() -> Path:
    """The file that Brownie copies to HOME when it starts for the first time."""
    brownie = importlib.util.find_spec("brownie")
    if brownie is None or brownie.origin is None:
        sys.exit("brownie is not installed; run scripts/set_up dev")
    return Path(brownie.origin).parent / "data" / "network-config.yaml"


if __name__ == "__main__":
    main()
