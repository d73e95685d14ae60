"""A dataset on the market, by commands: offered, bought, paid to many; a request, answered; a statement; a freeze."""

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest.importorskip("duckdb")

from patients import IDENTIFIERS, bundles

from medibridge.cli.statements import chart, csv_of
from medibridge.ids import address
from medibridge.record import canonical_json
from medibridge.roles.contributions import Contribution
from medibridge.roles.statements import Statement

PATIENTS = ("ines", "joao", "mara")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def square(town, tmp_path_factory):
    """Three patients of Rowan with accounts, who let it sell; Rowan, Meridian with money; and a dataset of theirs."""
    run, place = town.run, tmp_path_factory.mktemp("square")
    run.make_keys(*PATIENTS)
    run("local", "fund", *PATIENTS)
    for name in ("rowan", "meridian"):
        run("admin", "mint", name, "100000.00", key="admin")
    (place / "patients.ndjson").write_bytes(b"".join(canonical_json(each) + b"\n" for each in bundles(40, seed=3)))
    accounts = run("keys", "show", json=True).document
    known = {each["name"]: each["address"] for each in accounts}
    rows = [f"{IDENTIFIERS},MRN-{number:04},{known[PATIENTS[number % 3]]}\n" for number in range(1, 41)]
    (place / "consents.csv").write_text("system,value,address\n" + "".join(rows))
    for name in PATIENTS:
        run("patient", "grant", "rowan", "--classes", "laboratory", "--purposes", "HRESCH", "--for", "90d", key=name)
    return town, place, known


def built(square, name):
    town, place, _ = square
    out = place / name
    options = ("--contributors", place / "consents.csv", "--as-of", "2026", "--k", "2")
    town.run("dataset", "build", place / "patients.ndjson", "-o", out, *options)
    return out


@pytest.fixture(scope="module")
def offered(square):
    """The dataset, sealed with fresh payout accounts, and offered; with the answers of the commands."""
    town, place, known = square
    out = built(square, "many")
    payouts = [town.run("patient", "payout", "rowan", key=name, json=True).document["payout"] for name in PATIENTS]
    lines = [f"{known[name]},{payout}" for name, payout in zip(PATIENTS, payouts, strict=True)]
    (place / "payouts.csv").write_text("\n".join(["address,payout", *lines]))
    town.run("dataset", "seal", out, "--payouts", place / "payouts.csv", key="rowan")
    offer = town.run(
        *("dataset", "offer", out, "--price", "60.00", "--security", "90.00", "--places", "2"),
        *("--buyers", "buyer", "--not-buyers", "insurer"),
        key="rowan",
        json=True,
    ).document
    return out, offer["offer"]


def share_of(out, known, name):
    """The share file of the newest tree."""
    folder = out.with_name(out.name + ".private") / "shares"
    found = folder.glob(f"*/{address(known[name])}.json")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def bought_and_settled(town, offer):
    town.run("buyer", "buy", offer, key="meridian")
    town.run("hospital", "deliver", key="rowan")
    town.run("local", "advance", "25h")
    town.run("hospital", "settle", key="rowan")


def test_offer_puts_a_sealed_dataset_on_the_market(square, offered):
    town, _, known = square
    out, name = offered
    (listed,) = [
        each for each in town.run("buyer", "offers", key="meridian", json=True).document if each["offer"] == name
    ]
    assert (listed["class"], listed["seller"], listed["price"]) == ("laboratory", known["rowan"], "60.00 TUSD")
    shown = town.run("dataset", "offer", out, "--price", "70.00", "--reserved-for", "meridian", key="rowan")
    assert "is live, for 70.00 TUSD" in shown.out


def test_offer_refuses_what_is_not_sealed_and_terms_that_are_none(square, offered, tmp_path):
    town, _, _ = square
    out, _ = offered
    assert "cannot be read" in town.run("dataset", "offer", tmp_path, "--price", "1", key="rowan", code=2).err
    (tmp_path / "listing.json").write_text("{}")
    private = tmp_path.with_name(tmp_path.name + ".private")
    private.mkdir()
    (private / "proofs.json").write_text("{}")
    assert "not sealed" in town.run("dataset", "offer", tmp_path, "--price", "1", key="rowan", code=2).err
    for options, words in (
        (("--terms", "FREE"), "is not a term of use"),
        (("--disease", "-1"), "no number of a disease"),
        (("--buyers", "friend"), "kind of institution"),
    ):
        assert words in town.run("dataset", "offer", out, "--price", "1", *options, key="rowan", code=2).err


def test_many_patients_are_paid_and_see_it_in_their_statements(square, offered, tmp_path):
    """The honest story: one sale, three patients, three ways to claim, a statement as table, CSV and chart."""
    town, _, known = square
    out, name = offered
    assert "nothing was sold yet" in town.run("patient", "statement", key="ines").out
    town.run("buyer", "buy", name, key="meridian")
    share = share_of(out, known, "ines")
    escrow = town.run("patient", "statement", "--share", share, key="ines", json=True).document
    assert [(sale["stage"], sale["yours"], sale["patients"]) for sale in escrow["sales"]] == [("in escrow", "15.60", 3)]
    assert escrow["sales"][0]["use"] == "HRESCH: biomedical"
    assert town.run("patient", "claim", share, key="ines", json=True).document == []
    town.run("hospital", "deliver", key="rowan")
    town.run("local", "advance", "25h")
    town.run("hospital", "settle", key="rowan")

    # Ines claims by her own key, and is told what that shows.
    claimed = town.run("patient", "claim", share, key="ines", json=True)
    assert "the chain shows" in claimed.err
    assert [(each["offer"], each["sales"], each["amount"]) for each in claimed.document] == [(name, 1, "15.60 TUSD")]
    # Joao's payout account has money for gas, and claims by itself.
    payout = town.run("patient", "payout", "rowan", key="joao", json=True).document["payout"]
    town.run("local", "fund", payout)
    claimed = town.run("patient", "claim", share_of(out, known, "joao"), key="joao")
    assert "the chain shows" not in claimed.err
    assert "15.60 TUSD" in claimed.out
    # Rowan claims for everybody who has not.
    rest = town.run("dataset", "claims", out, key="rowan", json=True).document
    assert rest == {"claims": 1, "amount": "15.60 TUSD"}
    taken = town.run("patient", "collect", "rowan", "--to", "joao", key="joao", json=True).document
    assert taken == {"withdrawn": "15.60 TUSD", "to": known["joao"]}
    assert "0.00 TUSD can be withdrawn" in town.run("patient", "payout", "rowan", key="joao").out

    table, picture = tmp_path / "sales.csv", tmp_path / "sales.svg"
    options = ("--share", share_of(out, known, "joao"), "--csv", table, "--chart", picture)
    statement = town.run("patient", "statement", *options, key="joao", json=True).document
    assert statement["totals"] == {
        "in escrow": "0.00", "to be collected": "0.00", "credited": "15.60", "refunded": "0.00", "disputed": "0.00"
    }  # fmt: skip
    assert (statement["withdrawable"], statement["withdrawn"]) == ("0.00", "15.60")
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert (row["buyer"], row["yours"], row["stage"], row["token"]) == (known["meridian"], "15.60", "credited", "TUSD")
    assert row["time"].endswith("+00:00")
    root = ET.fromstring(picture.read_text())
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "Your part of what was sold, by month of purchase"
    assert "15.60 TUSD" in root.find(f"{SVG}desc").text
    shown = town.run("patient", "statement", "--share", share_of(out, known, "joao"), key="joao")
    assert "credited: 15.60 TUSD" in shown.out
    assert "Sales, in TUSD" in shown.out


def test_a_request_is_answered_out_of_standing_offers_and_taken(square, tmp_path):
    """Demand first: Meridian asks; Rowan's patients have offered; nobody is in it who did not."""
    town, place, known = square
    run = town.run
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"resourceType": "Group", "type": "person", "actual": False}))
    asked = run(
        *(
            "request",
            "ask",
            "adults with \x1b[31mdiabetes",
            "--classes",
            "laboratory",
            "--price",
            "20.00",
            "--fewest",
            2,
        ),
        *("--most", 9, "--for", "30d", "--profile", profile, "--budget", "100.00"),
        key="meridian",
        json=True,
    ).document
    name = asked["request"]
    assert (asked["state"], asked["budget"], asked["price_per_patient"]) == ("open", "100.00 TUSD", "20.00 TUSD")
    assert "nobody has answered yet" in run("request", "show", name[:8], key="meridian").out
    assert "no answer that can be bought" in run("request", "take", name, key="meridian", code=7).err
    assert "no standing offers in" in run("dataset", "match", name, "--class", "laboratory", key="rowan", code=2).err
    assert run("dataset", "requests", key="rowan", json=True).document[0]["offers"] == 0

    cids = []
    for each in PATIENTS:
        options = ("--least", "5.00", "--uses", 2, "--for", "90d", "-o", tmp_path / f"{each}.json", "--sealed")
        given = run("patient", "standing-offer", "rowan", "--classes", "laboratory", *options, key=each, json=True)
        cids.append(given.document["cid"])
    foreign = run(
        *("patient", "standing-offer", "lakeside", "--classes", "laboratory", "--least", "5.00", "--for", "90d"),
        *("-o", tmp_path / "foreign.json", "--payout", "iris"),
        key="ines",
    )
    assert "adds to your consent" in foreign.out
    refused = run("dataset", "keep-offers", tmp_path / "foreign.json", key="rowan", code=2)
    assert "for another custodian" in refused.err
    run("dataset", "keep-offers", tmp_path / "ines.json", *cids[1:], key="rowan")
    assert run("dataset", "requests", key="rowan", json=True).document[0]["offers"] == 3
    assert "Open requests" in run("dataset", "requests", key="rowan").out

    run("patient", "cancel-offers", tmp_path / "mara.json", key="mara")
    joiners = tmp_path / "joiners.csv"
    only = ("--contributors", place / "consents.csv", "-o", joiners)
    matched = run("dataset", "match", name, "--class", "laboratory", *only, key="rowan")
    assert "2 of 3 offers fit" in matched.out
    assert "the patient has cancelled it" in matched.out
    assert "\\u001b[31mdiabetes" in matched.out
    assert "give both" in run("dataset", "match", name, "--class", "laboratory", "-o", joiners, key="rowan", code=2).err
    hindered = run("dataset", "match", name, "--class", "imaging", key="rowan", json=True).document
    assert hindered["hindrance"] == "it does not ask for imaging"
    assert known["mara"] not in joiners.read_text()
    assert known["ines"] in joiners.read_text()

    everybody = built(square, "everybody")
    refused = run("dataset", "answer", name, everybody, key="rowan", code=7)
    assert "1 of 3 patients of the dataset cannot join" in refused.err
    two = place / "two"
    run("dataset", "build", place / "patients.ndjson", "-o", two, "--contributors", joiners, "--as-of", 2026, "--k", 2)
    answer = run("dataset", "answer", name, two, key="rowan", json=True).document
    assert (answer["patients"], answer["repeated"]) == (2, False)
    assert run("dataset", "answer", name, two, key="rowan", json=True).document["repeated"] is True
    shown = run("request", "show", name, key="meridian", json=True).document
    assert [(each["answer"], each["patients"], each["price"]) for each in shown["answers"]] == [
        (answer["answer"], 2, "40.00 TUSD")
    ]
    assert "Answers" in run("request", "show", name, key="meridian").out
    assert "0 answers have a name" in run("request", "take", name, "zz", key="meridian", code=2).err
    taken = run("request", "take", name, key="meridian", json=True).document
    assert (taken["patients"], taken["paid"], taken["answers"]) == (2, "40.00 TUSD", [answer["answer"]])
    assert run("request", "list", key="meridian", json=True).document[-1]["state"] == "taken"
    assert "taken" in run("request", "list", key="meridian").out

    uses = run("patient", "standing-offers", tmp_path / "ines.json", key="ines", json=True).document
    assert uses == {"offers": [{"file": str(tmp_path / "ines.json"), "used": 1, "left": 1, "state": "live"}], "uses": 1}
    assert "cancelled" in run("patient", "standing-offers", tmp_path / "mara.json", key="mara").out
    contribution = Contribution.from_json(share_of(two, known, "ines").read_text())
    assert contribution.proof.size == 2
    run("hospital", "deliver", key="rowan")
    run("local", "advance", "25h")
    run("hospital", "settle", key="rowan")
    claimed = run("patient", "claim", share_of(two, known, "ines"), key="ines", json=True).document
    assert [each["amount"] for each in claimed] == ["15.60 TUSD"]


def test_a_request_that_too_few_answer_is_closed_and_the_answer_retired(square, tmp_path):
    town, place, known = square
    run = town.run
    asked = run(
        *("request", "ask", "anybody", "--classes", "laboratory", "--price", "20.00", "--fewest", 5, "--most", 9),
        *("--for", "2d"),
        key="meridian",
        json=True,
    ).document
    name = asked["request"]
    one = place / "one"
    lines = (place / "consents.csv").read_text().splitlines()
    (tmp_path / "one.csv").write_text("\n".join([lines[0], *(line for line in lines if known["joao"] in line)]))
    source = place / "patients.ndjson"
    run("dataset", "build", source, "-o", one, "--contributors", tmp_path / "one.csv", "--as-of", 2026, "--k", 2)
    run("dataset", "answer", name, one, key="rowan")
    answer = run("request", "show", name, key="meridian", json=True).document["answers"][0]["answer"]
    assert "TooFewPatients" in run("request", "take", name, answer[:9], key="meridian", code=6).err
    assert "RequestStillOpen" in run("request", "close", name, key="meridian", code=6).err
    assert "nothing to take off" in run("dataset", "retire", key="rowan").out
    blocks = dict(town.blocks)
    town.blocks.clear()
    left_out = run("request", "take", name, key="meridian", code=7)
    assert f"answer {answer[:12]} is left out" in left_out.err
    assert "cannot be had now" in run("request", "show", name, key="meridian").out
    town.blocks.update(blocks)
    run("local", "advance", "3d")
    assert "180.00 TUSD are back" in run("request", "close", name, key="meridian").out
    (retired,) = run("dataset", "retire", key="rowan", json=True).document
    assert retired == {"answer": answer, "bond": "30.00 TUSD"}
    assert "nobody asks now" in run("dataset", "requests", key="rowan").out


def test_cancel_offers_wants_files_or_all(square, tmp_path):
    town, _, _ = square
    assert "say --all" in town.run("patient", "cancel-offers", key="mara", code=2).err
    assert "all offers" in town.run("patient", "cancel-offers", "--all", key="mara").out
    assert "were used 0 times" in town.run("patient", "standing-offers", key="mara").out
    rubbish = tmp_path / "rubbish.json"
    rubbish.write_bytes(b"\xff")
    for words in (("patient", "cancel-offers", rubbish), ("patient", "claim", rubbish)):
        assert "ask the" in town.run(*words, key="mara", code=2).err


def test_keep_offers_keeps_what_its_patient_signed_under_the_whole_id(square, tmp_path):
    """[attack] A signature of somebody else's choice neither gets in nor takes the place of a patient's offer."""
    town, _, _ = square
    options = ("--classes", "laboratory", "--least", "5.00", "--for", "90d", "-o", tmp_path / "offer.json")
    town.run("patient", "standing-offer", "rowan", *options, key="joao")
    kept = tmp_path / "kept"
    (path,) = town.run(
        "dataset", "keep-offers", tmp_path / "offer.json", "--offers", kept, key="rowan", json=True
    ).document["kept"]
    assert len(Path(path).stem) == 64
    document = json.loads((tmp_path / "offer.json").read_text())
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(document | {"least_in_units": 1}))
    refused = town.run("dataset", "keep-offers", forged, "--offers", kept, key="rowan", code=2)
    assert "1 of 1 offers are not signed by their patients" in refused.err
    assert len(list(kept.iterdir())) == 1


def test_claim_is_sent_by_a_payout_account_of_any_number_and_shares_of_two_trees_are_kept(square):
    town, place, known = square
    run = town.run
    out = built(square, "numbered")
    run("dataset", "seal", out, key="rowan")
    payouts = [run("patient", "payout", "rowan", "--number", 3, key=each, json=True).document["payout"]
               for each in PATIENTS]  # fmt: skip
    lines = [f"{known[name]},{payout}" for name, payout in zip(PATIENTS, payouts, strict=True)]
    (place / "numbered.csv").write_text("\n".join(["address,payout", *lines]))
    first = share_of(out, known, "ines")
    before = first.read_text()
    run("dataset", "seal", out, "--payouts", place / "numbered.csv", key="rowan")
    second = share_of(out, known, "ines")
    assert second != first
    assert first.read_text() == before
    offer = run("dataset", "offer", out, "--price", "60.00", key="rowan", json=True).document["offer"]
    run("local", "fund", payouts[0])
    bought_and_settled(town, offer)
    claimed = run("patient", "claim", second, key="ines")
    assert "the chain shows" not in claimed.err
    assert "15.60 TUSD" in claimed.out
    assert run("dataset", "claims", out, key="rowan", json=True).document["claims"] == 2


def test_freeze_goes_on_after_a_listing_to_which_the_patient_consents(square):
    """[attack] A custodian lists for what is consented to first, and then for what is not."""
    town, _, known = square
    out = built(square, "twice")
    town.run("dataset", "seal", out, key="rowan")
    town.run("local", "advance", "1h")
    offers = [
        town.run("dataset", "offer", out, "--price", "9.00", "--purpose", why, key="rowan", json=True).document["offer"]
        for why in ("HRESCH", "HMARKT")
    ]
    frozen = town.run("patient", "freeze", share_of(out, known, "joao"), "--yes", key="joao", json=True).document
    assert [(each["offer"], each["now"]) for each in frozen] == [
        (offers[0], "not frozen: you consent to it"),
        (offers[1], "forfeited"),
    ]


def test_freeze_says_what_becomes_public_and_does_nothing_without_a_yes(square, offered):
    """Mara takes her consent back; the dataset goes off the market, and Rowan keeps its security."""
    town, _, known = square
    out, _ = offered
    share = share_of(out, known, "mara")
    town.run("patient", "revoke", "rowan", "--lane", "research-and-sale", key="mara")
    asked = town.run("patient", "freeze", share, key="mara", code=130)
    assert "everybody will see, for ever" in asked.err
    assert known["mara"] in asked.err
    frozen = town.run("patient", "freeze", share, "--yes", key="mara", json=True).document
    assert {each["now"] for each in frozen} == {"frozen"}
    assert {each["credited"] for each in frozen} == {"0.00 TUSD"}
    again = town.run("patient", "freeze", share, "--yes", key="mara")
    assert "frozen before" in again.out


def test_freeze_has_nothing_to_do_where_nothing_is_listed(square, offered, tmp_path):
    town, _, known = square
    out = built(square, "unlisted")
    town.run("dataset", "seal", out, key="rowan")
    refused = town.run("patient", "freeze", share_of(out, known, "ines"), "--yes", key="ines", code=7)
    assert "nothing to freeze" in refused.err
    assert "no share files" in town.run("dataset", "claims", tmp_path, key="rowan", code=2).err


def test_chart_and_csv_of_nobody_say_so():
    empty = Statement(address("0x" + "11" * 20), (), 0, 0, 0)
    root = ET.fromstring(chart(empty, 6, "<TUSD>"))
    assert root.find(f"{SVG}desc").text == "Nothing was sold yet."
    heading = "time,offer,order,class,seller,buyer,use,patients,token,price,yours,stage\r\n"
    assert csv_of(empty, 6, "TUSD") == heading
