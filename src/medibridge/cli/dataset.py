"""``medibridge dataset``: make a de-identified dataset of many patients, seal it, sell it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import secrets
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from medibridge.cli.answers import add_answers, write_shares
from medibridge.cli.dataset_offers import add_offers
from medibridge.cli.files import make_directory, read_file, write_file
from medibridge.cli.options import NOBODY, command, group
from medibridge.cli.screen import Document, table
from medibridge.cli.session import Session
from medibridge.datasets import About, BuiltDataset, Contributors, ReleaseReport, Terms, build
from medibridge.datasets.archive import private_folder
from medibridge.datasets.quasi import DEFAULT, QUASI, chosen
from medibridge.datasets.surrogates import KEY_SIZE
from medibridge.errors import UsageError
from medibridge.formats.deidentification import POLICIES, Policy
from medibridge.ids import Address, address, cid_of
from medibridge.roles.contributions import Contribution
from medibridge.roles.datasets import DatasetCustodian, SealedDataset

app = group("Datasets: de-identify the records of many patients, report on it, seal and sell them, answer requests.")

_THIS_YEAR = 0


@command(app, NOBODY, name="build")
def build_(
    session: Session,
    source: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE... OUT",
            help="FHIR R4 files, or directories of them, as `convert` writes them; and the folder to make.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The folder to make, where it is not named last."),
    ] = None,
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="POLICY", help="safe-harbor, limited, expert, or a YAML file of your own."),
    ] = "safe-harbor",
    k: Annotated[
        int | None,
        typer.Option("--k", metavar="NUMBER", help="Patients that must be alike; else what the policy asks for."),
    ] = None,
    tell: Annotated[
        str, typer.Option("--tell", metavar="NAMES", help="Quasi-identifiers that the dataset tells, of all there are.")
    ] = ",".join(DEFAULT),
    most_suppressed: Annotated[
        float,
        typer.Option("--most-suppressed", metavar="SHARE", help="Share of patients that may be left out for k."),
    ] = 0.05,
    contributors: Annotated[
        Path | None,
        typer.Option(
            "--contributors",
            metavar="FILE",
            help="CSV system,value,address: only these patients enter. Needed to sell.",
        ),
    ] = None,
    about: Annotated[
        Path | None, typer.Option("--about", metavar="FILE", help="YAML: what you say about it in the datasheet.")
    ] = None,
    as_of: Annotated[
        int, typer.Option("--as-of", metavar="YEAR", help="Count ages to this year; 0 is this year.")
    ] = _THIS_YEAR,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="FILE", help="Your 32 secret bytes; made if not there. Else in the home."),
    ] = None,
) -> None:
    """Make a de-identified dataset: FHIR, tables, a dictionary, a datasheet and a release report.

    The folder must not be there yet. Read `release-report.html` before you hand anything over. Keep the key file: with
    it alone you can find a
    patient again, and the same key gives the same ids.

    For example:

        medibridge dataset build --policy safe-harbor --k 11 converted diabetes-2024
        medibridge dataset build converted diabetes-2024 --contributors consents.csv --about about.yaml
    """
    if output is None:
        *source, output = source
        if not source:
            raise UsageError("name the folder to make after the sources: medibridge dataset build SOURCE OUT")
    named = _policy(policy)
    agreed = None if contributors is None else Contributors.from_csv(_text(contributors, "the contributors' file"))
    said = About() if about is None else About.from_yaml(_text(about, "the file about the dataset"))
    key = _key(key_file or session.options.home.expanduser() / "dataset.key")
    year = {} if as_of == _THIS_YEAR else {"as_of": as_of}
    terms = Terms(named, key, k, chosen(tell), most_suppressed, agreed, said, **year)
    report = build(source, output, terms, progress=lambda doing: session.screen.say(f"{doing}…"))
    for warning in report.warnings:
        session.screen.say(f"note: {warning}")
    session.screen.show(
        json.loads(json.dumps(report.to_document())),
        table("Dataset", ("what", "is"), _rows(report)),
        f"{output} is complete; look at {output / 'release-report.html'} before you hand it over",
    )


@command(app)
def seal(
    session: Session,
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A folder that `dataset build` made.")],
    payouts: Annotated[
        Path | None,
        typer.Option(
            "--payouts",
            metavar="FILE",
            help="CSV address,payout: a fresh account for each patient to be paid at, which names nobody.",
        ),
    ] = None,
    deposit: Annotated[
        bool, typer.Option("--deposit", help="Vouch for it on the chain as well: one transaction.")
    ] = False,
) -> None:
    """Pack a dataset, seal and store it, and prepare its listing with a share for each contributor.

    Writes `listing.json` into the dataset's folder, and beside it, for you alone, a share file for each patient: hand
    each patient its own. What is stored is read back and checked. `dataset offer` then puts it on the market.

    For example:

        medibridge dataset seal diabetes-2024 --key rowan --payouts payouts.csv --deposit
    """
    built = BuiltDataset.at(dataset)
    built.require_salable()
    accounts = built.contributors()
    fresh = {} if payouts is None else _payouts(_text(payouts, "the payouts' file"))
    paid_at = {account: fresh.get(account, account) for account in accounts}
    if known := sum(account == payout for account, payout in paid_at.items()):
        session.screen.say(
            f"note: {known} patients are paid at their own account, and show it when they claim; --payouts"
        )
    custodian = DatasetCustodian(session.bridge(), *session.key())
    with tempfile.TemporaryFile(dir=dataset.parent) as archive:
        session.screen.say("packing…")
        built.pack(archive)
        size = archive.tell()
        archive.seek(0)
        packed = hashlib.file_digest(archive, "sha256").hexdigest()
        archive.seek(0)
        session.screen.say("sealing…")
        sealed = custodian.seal(archive, size, paid_at, built.data_class)
    deposited: Document = None
    if deposit:
        root, _ = custodian.deposit(sealed.description)
        deposited = {"record": sealed.description.record_id.hex(), "batch": root.hex()}
    listing = _listing(built, sealed, custodian.address, packed, deposited)
    private = make_directory(private_folder(dataset))
    write_file(private / "proofs.json", _json(_proofs(sealed)), "the contributors' proofs")
    shares = write_shares(dataset, (Contribution.in_tree(sealed.shares, share) for share in sealed.shares.shares))
    write_file(dataset / "listing.json", _json(listing), "the listing")
    session.screen.show(
        listing,
        table(
            "Sealed dataset",
            ("what", "is"),
            [
                ("seal", sealed.description.seal_id.hex()),
                ("manifest", cid_of(sealed.description.manifest)),
                ("contributors", str(sealed.shares.size)),
                ("subject", sealed.shares.subject.hex()),
                ("deposited", "yes" if deposit else "no"),
            ],
        ),
        f"the listing is in {dataset / 'listing.json'}; hand each patient its own file of {shares}",
    )


add_offers(app)
add_answers(app)


def _policy(text: str) -> Policy:
    path = Path(text)
    if text in POLICIES or path.suffix not in (".yaml", ".yml"):
        return Policy.named(text)
    return Policy.from_yaml(_text(path, "the policy"))


def _text(path: Path, what: str) -> str:
    try:
        return read_file(path, what, limit=2**26).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{what} is not UTF-8; save it as UTF-8") from None


def _payouts(text: str) -> dict[Address, Address]:
    """Where each account is paid. Raises `UsageError`, with the line."""
    found: dict[Address, Address] = {}
    taken: set[Address] = set()
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
        if number == 1 and row != ["address", "payout"]:
            raise UsageError("the payouts' file begins with the heading address,payout")
        if number > 1 and row:
            try:
                account, payout = map(address, row)
            except (UsageError, ValueError):
                raise UsageError(f"line {number} of the payouts' file is not two Ethereum addresses") from None
            if account in found or payout in taken:
                raise UsageError(f"line {number} of the payouts' file repeats an address; each patient has its own")
            found[account] = payout
            taken.add(payout)
    return found


def _key(path: Path) -> bytes:
    """The custodian's key, made on first use for its owner alone."""
    if not path.exists():
        make_directory(path.parent)
        write_file(path, secrets.token_bytes(KEY_SIZE), "the key file")
    key = read_file(path, "the key file", limit=KEY_SIZE + 1)
    if len(key) != KEY_SIZE:
        raise UsageError(f"the key file does not hold {KEY_SIZE} bytes; name the one that dataset build made")
    if path.stat().st_mode & 0o077:
        raise UsageError("others may read the key file, and with it find the patients; chmod 600 it, or make a new one")
    return key


def _rows(report: ReleaseReport) -> list[tuple[str, str]]:
    counts = report.counts
    told = ", ".join(f"{QUASI[name].title.lower()}: {QUASI[name].levels[level][0]}" for name, level in report.quasi)
    return [
        ("policy", report.policy.name),
        ("patients in, out", f"{counts.patients_in}, {counts.patients_out}"),
        ("without consent", str(counts.patients_without_consent)),
        ("left out for k", str(counts.patients_suppressed)),
        ("resources out", str(sum(number for _, number in counts.resources_out))),
        ("tells", told),
        ("smallest class", str(report.risks.smallest)),
        ("greatest risk", f"{report.risks.prosecutor_most:.2%}"),
        ("SHA-256", report.digest),
    ]


def _listing(
    built: BuiltDataset, sealed: SealedDataset, custodian: Address, packed: str, deposited: Document
) -> dict[str, Document]:
    """What a listing of the dataset says. Nothing in it names a patient."""
    report, shares = built.report, sealed.shares
    datasheet = hashlib.sha256((built.path / "datasheet.md").read_bytes()).hexdigest()
    return {
        "title": report["title"],
        "custodian": custodian,
        "seal": sealed.description.seal_id.hex(),
        "manifest": sealed.description.manifest.hex(),
        "cid": cid_of(sealed.description.manifest),
        "size": sealed.size,
        "archive_sha256": packed,
        "dataset_sha256": report["sha256"],
        "datasheet_sha256": datasheet,
        "contributors": {
            "subject": shares.subject.hex(),
            "root": shares.root.hex(),
            "size": shares.size,
            "total": shares.total,
        },
        "policy": report["policy"]["name"],
        "k": report["k"],
        "patients": report["patients"]["out"],
        "resources": {kind: counts["out"] for kind, counts in report["resources"].items() if counts["out"]},
        "data_class": sealed.description.data_class.label,
        "data_classes": list(report["data_classes"]),
        "deposited": deposited,
    }


def _proofs(sealed: SealedDataset) -> dict[str, Document]:
    """What each contributor needs to claim, by account; and the salt of the record, to list it later."""
    shares = sealed.shares
    found: dict[str, Document] = {}
    for share in shares.shares:
        proof = shares.proof(share.patient)
        found[share.patient] = {
            "payout": proof.payout,
            "share": proof.share,
            "salt": share.salt.hex(),
            "hidden": proof.hidden.hex(),
            "index": proof.index,
            "path": [{"sum": number, "hash": step.hex()} for number, step in proof.path],
        }
    tree: Document = {"subject": shares.subject.hex(), "root": shares.root.hex(), "size": shares.size}
    return {"tree": tree, "total": shares.total, "record_salt": sealed.description.salt.hex(), "proofs": found}


def _json(document: Document) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
