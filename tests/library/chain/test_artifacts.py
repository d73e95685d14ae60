"""What the wheel carries of the contracts is what the sources say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import solcx
import yaml
from eth_utils.abi import event_abi_to_log_topic

from medibridge.chain import events
from medibridge.chain.contract import artifact

ROOT = Path(__file__).resolve().parents[3]
CONTRACTS = ("Institutions", "KeyCards", "Records", "Consents", "DataSales", "TestDollar")


@pytest.mark.slow
def test_artifacts_are_fresh_when_the_sources_are_compiled_again() -> None:
    wanted = yaml.safe_load((ROOT / "brownie-config.yaml").read_text())["compiler"]["solc"]["version"]
    if wanted not in [str(version) for version in solcx.get_installed_solc_versions()] and not os.environ.get("CI"):
        pytest.skip(f"solc {wanted} is not installed; scripts/install_solc.py gets it")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/export_artifacts.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("contract", [*CONTRACTS, "Governance"])
def test_bytecode_fits_a_block_and_is_linked(contract: str) -> None:
    bytecode = artifact(contract)["bytecode"]
    assert re.fullmatch("0x[0-9a-f]+", bytecode)
    assert len(bytecode) // 2 < 49_152  # EIP-3860


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_event_of_the_contract_has_a_class_with_its_topic(contract: str) -> None:
    for entry in artifact(contract)["abi"]:
        if entry["type"] == "event":
            assert event_abi_to_log_topic(entry) == getattr(events, entry["name"]).TOPIC
