"""``medibridge dataset``: build a dataset, and prepare it for the market."""

import hashlib
import io
import json
import tarfile

import pytest
from eth_account import Account

pytest.importorskip("duckdb")

from patients import IDENTIFIERS, bundles

from medibridge.ids import Digest, SealId, address, cid_of
from medibridge.record import canonical_json
from medibridge.roles.contributions import Contribution
from medibridge.sealing import documents
from medibridge.sealing.contributors import ShareProof, verify_share
from medibridge.sealing.records import Manifest, check_ciphertext

ACCOUNTS = [f"0x{number:040x}" for number in range(1, 51)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """50 patients, all of whom agreed."""
    place = tmp_path_factory.mktemp("datasets")
    (place / "patients.ndjson").write_bytes(b"".join(canonical_json(each) + b"\n" for each in bundles(50, seed=2)))
    rows = [f"{IDENTIFIERS},MRN-{number:04},{account}\n" for number, account in enumerate(ACCOUNTS, 1)]
    (place / "consents.csv").write_text("system,value,address\n" + "".join(rows))
    (place / "about.yaml").write_text("title: Fifty invented people\nuses: To try this out.\n")
    return place


@pytest.fixture(scope="module")
def dataset(town, folder):
    """The folder of a dataset that was built by command, and what the command answered."""
    out = folder / "fifty"
    answer = town.run(
        *("dataset", "build", folder / "patients.ndjson", "-o", out, "--about", folder / "about.yaml"),
        *("--contributors", folder / "consents.csv", "--as-of", "2026"),
        json=True,
    )
    return out, answer


def test_build_answers_with_the_report_and_makes_a_key_for_its_owner_alone(town, dataset):
    out, answer = dataset
    assert answer.document == json.loads((out / "release-report.json").read_text())
    assert answer.document["patients"] == {"in": 50, "without_consent": 0, "suppressed": 0, "out": 50}
    assert answer.document["title"] == "Fifty invented people"
    key = town.run.home / "dataset.key"
    assert (len(key.read_bytes()), key.stat().st_mode & 0o777) == (32, 0o600)


def test_build_says_what_it_did(cli, folder, tmp_path):
    shown = cli(
        "dataset", "build", folder / "patients.ndjson", "-o", tmp_path / "out", "--k", "5", "--tell", "sex,birth"
    )
    assert "smallest class" in shown.out
    assert "below 11" in shown.err
    assert "release-report.html" in shown.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--policy", "none"), "there are safe-harbor, limited, expert"),
        (("--k", "1"), "k = 1 hides nobody"),
        (("--tell", "race"), "no quasi-identifier"),
        (("--contributors", "nothing.csv"), "contributors"),
        (("--most-suppressed", "2"), "share of patients"),
    ],
)
def test_build_refuses_in_one_sentence(cli, folder, tmp_path, options, words):
    refused = cli("dataset", "build", folder / "patients.ndjson", "-o", tmp_path / "out", *options, code=2)
    assert words in refused.err
    assert not (tmp_path / "out").exists()


def test_build_refuses_a_key_that_others_may_read(cli, folder, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    refused = cli("dataset", "build", folder / "patients.ndjson", "-o", tmp_path / "out", "--key-file", key, code=2)
    assert "others may read" in refused.err


def test_build_takes_a_policy_of_ones_own(cli, folder, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("name: ours\nextends: safe-harbor\nleave-out: [Encounter]\nk: 12\n")
    report = cli(
        "dataset", "build", folder / "patients.ndjson", "-o", tmp_path / "out", "--policy", own, json=True
    ).document
    assert report["policy"]["name"] == "ours"
    assert report["policy"]["changes"] == ["Encounter does not pass"]
    assert report["resources"]["Encounter"]["out"] == 0
    assert any("must not be called" in warning for warning in report["warnings"])


def test_seal_stores_an_archive_that_its_listing_names_and_every_contributor_can_prove(town, dataset):
    out, answer = dataset
    sealed = town.run("dataset", "seal", out, "--deposit", key="rowan", json=True)
    listing = sealed.document
    assert listing == json.loads((out / "listing.json").read_text())
    assert listing["dataset_sha256"] == answer.document["sha256"]
    assert listing["datasheet_sha256"] == hashlib.sha256((out / "datasheet.md").read_bytes()).hexdigest()
    assert (listing["patients"], listing["contributors"]["size"]) == (50, 50)
    assert listing["deposited"]["record"]
    assert not any(account[2:] in json.dumps(listing).lower() for account in ACCOUNTS)
    private = out.with_name(out.name + ".private")
    proofs = json.loads((private / "proofs.json").read_text())
    assert (private / "proofs.json").stat().st_mode & 0o777 == 0o600
    assert set(proofs["proofs"]) == {address(account) for account in ACCOUNTS}
    shares = [Contribution.from_json(path.read_text()) for path in (private / "shares").rglob("*.json")]
    assert {share.patient for share in shares} == set(proofs["proofs"])
    assert {share.subject.hex() for share in shares} == {listing["contributors"]["subject"]}
    assert {(path.stat().st_mode & 0o777) for path in (private / "shares").rglob("*.json")} == {0o600}
    subject, root = (bytes.fromhex(listing["contributors"][name]) for name in ("subject", "root"))
    for proof in proofs["proofs"].values():
        path = tuple((step["sum"], bytes.fromhex(step["hash"])) for step in proof["path"])
        hidden = bytes.fromhex(proof["hidden"])
        assert verify_share(
            subject, root, ShareProof(proof["payout"], proof["share"], hidden, proof["index"], path, 50, 50)
        )

    def fetch(digest):
        return town.blocks[cid_of(Digest(digest))]

    document = documents.join(Digest(bytes.fromhex(listing["manifest"])), fetch)
    check_ciphertext(Manifest.decode(document, seal_id=SealId(bytes.fromhex(listing["seal"]))), fetch)


def test_seal_pays_at_fresh_accounts_where_it_is_given_them(town, dataset, tmp_path):
    out, _ = dataset
    fresh = [Account.create().address for _ in ACCOUNTS]
    lines = [f"{account},{payout}" for account, payout in zip(ACCOUNTS, fresh, strict=True)]
    payouts = tmp_path / "payouts.csv"
    payouts.write_text("\n".join(["address,payout", *lines]))
    told = town.run("dataset", "seal", out, "--payouts", payouts, key="rowan", json=True)
    assert "paid at their own account" not in told.err
    proofs = json.loads((out.with_name(out.name + ".private") / "proofs.json").read_text())["proofs"]
    assert {account: proof["payout"] for account, proof in proofs.items()} == {
        address(account): payout for account, payout in zip(ACCOUNTS, fresh, strict=True)
    }
    for text, words in (("a,b", "the heading"), ("address,payout\nx,y", "line 2"), (
        "\n".join(["address,payout", lines[0], lines[0]]), "line 3 of the payouts' file repeats"
    )):  # fmt: skip
        payouts.write_text(text)
        assert words in town.run("dataset", "seal", out, "--payouts", payouts, key="rowan", code=2).err


def test_archive_is_the_same_whenever_it_is_packed(dataset):
    from medibridge.datasets import BuiltDataset

    out, _ = dataset
    first, second = io.BytesIO(), io.BytesIO()
    BuiltDataset.at(out).pack(first)
    (out / "datasheet.md").touch()
    BuiltDataset.at(out).pack(second)
    assert first.getvalue() == second.getvalue()
    first.seek(0)
    with tarfile.open(fileobj=first) as archive:
        names = archive.getnames()
        assert names == sorted(names)
        assert "dataset/release-report.json" in names
        assert not any("listing" in name or "private" in name for name in names)
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}


def test_seal_refuses_what_nobody_agreed_to_what_was_altered_and_what_is_limited(town, folder, tmp_path):
    run = town.run
    for name, options in (("open", ()), ("limited", ("--policy", "limited"))):
        run("dataset", "build", folder / "patients.ndjson", "-o", tmp_path / name, *options)
    assert "built without --contributors" in run("dataset", "seal", tmp_path / "open", key="rowan", code=2).err
    assert "never sold" in run("dataset", "seal", tmp_path / "limited", key="rowan", code=2).err
    private = tmp_path / "open.private"
    private.mkdir()
    (private / "contributors.json").write_text(json.dumps({"sha256": "another", "patients": {ACCOUNTS[0]: ["a"]}}))
    assert "of another dataset" in run("dataset", "seal", tmp_path / "open", key="rowan", code=2).err
    with (tmp_path / "open" / "ndjson" / "Patient.ndjson").open("a") as file:
        file.write("{}\n")
    assert "altered" in run("dataset", "seal", tmp_path / "open", key="rowan", code=2).err
    assert "is no dataset" in run("dataset", "seal", tmp_path / "nothing", key="rowan", code=2).err
