"""The README's story, step by step: the command line as processes, on Anvil and a real IPFS daemon."""

import json

import pytest

from medibridge import samples
from medibridge.record import Record

pytestmark = [pytest.mark.ipfs, pytest.mark.slow, pytest.mark.story]


def test_record_goes_from_one_hospital_to_another_and_to_a_buyer(cli, tmp_path):
    # Everybody makes a key; the first in earnest, the others at a lower cost of opening, as is the test's privilege.
    cli("keys", "new", "--name", "admin", "--passphrase-file", cli.passphrase_file)
    cli.make_keys("rowan", "lakeside", "iris", "meridian")
    assert [each["name"] for each in cli("keys", "show")] == ["admin", "iris", "lakeside", "meridian", "rowan"]

    # The administrator deploys, and verifies the institutions.
    cli("local", "fund", "admin", "rowan", "lakeside", "iris", "meridian")
    deployment = cli("admin", "deploy", key="admin")
    assert json.loads((cli.home / "deployments" / "31337.json").read_text()) == deployment
    cli("admin", "enrol", "rowan", "--as", "hospital", key="admin")
    cli("admin", "enrol", "lakeside", "--as", "hospital", key="admin")
    cli("admin", "enrol", "meridian", "--as", "buyer", key="admin")
    cli("hospital", "register", key="rowan")
    cli("hospital", "register", key="lakeside")
    cli("patient", "register", key="iris")
    cli("buyer", "register", key="meridian")

    # Rowan deposits two messages.
    files = []
    for name in ("oru-r01-laboratory.hl7", "rde-o11-prescription.hl7"):
        files.append(tmp_path / name)
        files[-1].write_bytes(samples.read(name))
    deposited = cli("hospital", "deposit", *files, "--patient", "iris", key="rowan")
    assert [len(each["records"]) for each in deposited] == [2, 2]

    # Iris lists her records and reads one.
    records = {(each["class"], each["deidentified"]): each["record"] for each in cli("patient", "records", key="iris")}
    lab, drug, twin = records["laboratory", False], records["medications", False], records["laboratory", True]
    assert cli("patient", "read", lab, key="iris")["resourceType"] == "Bundle"

    # She lets Lakeside read laboratory; that reads it, and nothing else.
    cli(
        *("patient", "grant", "lakeside", "--classes", "laboratory", "--purposes", "TREAT", "--for", "30d"),
        key="iris",
    )
    assert {each["record"] for each in cli("hospital", "records", "--patient", "iris", key="lakeside")} == {lab, twin}
    cli("hospital", "read", lab, "--patient", "iris", "-o", tmp_path / "lab.json", key="lakeside")
    assert Record.from_bytes((tmp_path / "lab.json").read_bytes()).data_class.label == "laboratory"
    assert cli("hospital", "read", drug, "--patient", "iris", key="lakeside", code=7)["error"] == "RecordUnknown"

    # She revokes. What comes later Lakeside neither finds nor reads.
    cli("patient", "revoke", "lakeside", key="iris")
    files[0].write_bytes(samples.read("oru-r01-laboratory.hl7").replace(b"L240307-0042", b"L240404-0017"))
    later = cli("hospital", "deposit", files[0], "--patient", "iris", key="rowan")
    assert cli("hospital", "deposit", files[0], "--patient", "iris", key="rowan")[0]["repeated"]
    refused = cli("hospital", "read", later[0]["records"][0], "--patient", "iris", key="lakeside", code=7)
    assert refused["error"] == "RecordUnknown"
    assert [each["answer"] for each in cli("patient", "audit", key="iris")["trail"]] == ["permitted"]

    # She sells the de-identified twin of the lab result to Meridian.
    cli("admin", "mint", "iris", "30", key="admin")  # the bond, which comes back
    offer = cli("patient", "offer", twin, "--price", "50.00", key="iris")["offer"]
    cli("admin", "mint", "meridian", "100", key="admin")
    assert [each["offer"] for each in cli("buyer", "offers", key="meridian")] == [offer]
    assert cli("buyer", "inspect", offer, key="meridian")["sound"] is True
    order = cli("buyer", "buy", offer, key="meridian")["order"]
    assert [each["order"] for each in cli("patient", "deliver", key="iris")] == [order]
    cli("buyer", "open", order, "-o", tmp_path / "bought.json", key="meridian")
    assert Record.from_bytes((tmp_path / "bought.json").read_bytes()).deidentified

    # A day later she is paid.
    cli("local", "advance", "25h")
    served = cli("sell", "serve", "--once", key="iris")
    assert (served["settled"], served["distributed"]) == (1, 1)
    assert cli("patient", "withdraw", key="iris")["withdrawn"] == "39.00 TUSD"
    assert cli("hospital", "withdraw", key="rowan")["withdrawn"] == "9.75 TUSD"


def test_demo_plays_on_them(cli):
    told = cli("demo", "--chain", cli.chain, "--ipfs", cli.ipfs)
    by_name = {row["record"]: row for row in told["readings"]}
    assert by_name["lab result"]["with its old keys"] == "reads"
    assert by_name["later lab result"]["with its old keys"] == "no key"


def test_demo_is_readable_when_piped(cli):
    told = cli.run("demo", "--chain", cli.chain)
    assert told.code == 0
    assert "\x1b" not in told.out
    assert "── Care" in told.out
    assert "Who can read what" in told.out
    assert max(len(line) for line in told.out.splitlines()) <= 160
