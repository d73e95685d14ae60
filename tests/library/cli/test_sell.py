"""`sell`, and what a buyer does when it is cheated: by commands, on a chain in this process."""

import io
import signal
import threading
import time

import pytest
from command_line import PASSPHRASE
from typer.testing import CliRunner

from medibridge import Bridge, DataClass, Deployment, MemoryStore, Patient, System, address, samples
from medibridge.chain import OrderId, OrderState
from medibridge.chain.events import Delivered, Distributed, Settled
from medibridge.cli import app
from medibridge.cli.key_files import KeyFiles
from medibridge.cli.serve import _Teller
from medibridge.roles.datasets import DatasetCustodian
from medibridge.roles.serving import Trouble


@pytest.fixture(scope="module")
def market(town, tmp_path_factory):
    """Iris has records to sell, and everybody has money."""
    path = tmp_path_factory.mktemp("market") / "adt.hl7"
    path.write_bytes(samples.read("adt-a01-admission.hl7"))
    town.run("hospital", "deposit", path, "--patient", "iris", key="rowan")
    for name in ("iris", "meridian"):
        town.run("admin", "mint", name, "1000", key="admin")
    return town


@pytest.fixture
def offer(market):
    """A function that offers one of Iris's records; the offer's name."""

    def make(**options):
        records = market.run("patient", "records", key="iris", json=True).document
        twin = next(each["record"] for each in records if each["deidentified"])
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        return market.run("patient", "offer", twin, "--price", "50.00", *words, key="iris", json=True).document["offer"]

    return make


def bought(run, offer):
    return run("buyer", "buy", offer, key="meridian", json=True).document["order"]


def role(town, kind, name):
    """The same key's owner through the library, past the commands."""
    account, identity = KeyFiles(town.run.home / "keys").open(name, PASSPHRASE)
    [deployment] = (town.run.home / "deployments").iterdir()
    system = System(town.chain, Deployment.from_json(deployment.read_text()))
    return kind(Bridge(system, MemoryStore(town.blocks)), account, identity), account


def offered(run, name):
    [found] = [each for each in run("sell", "offers", key="iris", json=True).document if each["offer"] == name]
    return found


def test_serve_once_delivers_settles_and_distributes(market, offer):
    run, order = market.run, bought(market.run, offer())
    told = run("sell", "serve", "--once", key="iris", json=True).document
    assert told == {"delivered": 1, "settled": 0, "distributed": 0, "passed_over": 0, "failed": 0}
    assert run("sell", "serve", "--once", key="iris").out == (
        "0 orders delivered, 0 settled, 0 passed over; 0 attempts failed\n"
    )
    run("buyer", "open", order, key="meridian")
    run("local", "advance", "25h")
    told = run("sell", "serve", "--once", key="iris", json=True).document
    assert (told["settled"], told["distributed"]) == (1, 1)
    assert run("sell", "earnings", key="iris", json=True).document["credited"] == "39.00 TUSD"
    assert run("sell", "withdraw", key="iris", json=True).document["withdrawn"] == "39.00 TUSD"


def test_serve_once_says_why_an_order_is_passed_over_and_deliver_too(market, offer):
    run = market.run
    order = bought(run, offer(deliver_within="1h"))
    run("local", "advance", "31m")
    words = f"order {order[:12]} is passed over: less than 30 minutes are left"
    for command in (("sell", "serve", "--once"), ("sell", "deliver"), ("patient", "deliver")):
        answer = run(*command, key="iris", json=True)
        assert words in answer.err
    assert answer.document == []
    run("local", "advance", "30m")
    assert run("buyer", "refund", key="meridian", json=True).document == [{"order": order}]


def test_serve_once_fails_when_something_failed(market, offer):
    run = market.run
    order = bought(run, offer())
    account, _ = KeyFiles(run.home / "keys").open("iris", PASSPHRASE)
    honest = market.chain.send

    def fails(sender, call):
        if sender.address == account.address:
            raise ZeroDivisionError("Iris Fernhollow")
        return honest(sender, call)

    market.chain.send = fails
    try:
        words = ["sell", "serve", "--once", "--key", "iris", "--passphrase-file", str(run.passphrase_file)]
        result = CliRunner().invoke(app, words, obj=run.surroundings, env={"MEDIBRIDGE_HOME": str(run.home)})
    finally:
        market.chain.send = honest
    assert result.exit_code == 1
    assert f"order {order[:12]}: a fault of MediBridge itself (ZeroDivisionError); tried again in 15" in result.stderr
    assert "Fernhollow" not in result.output
    assert run("sell", "serve", "--once", key="iris", json=True).document["delivered"] == 1


def test_serve_answers_until_a_signal_ends_it(market, offer):
    run, order = market.run, bought(market.run, offer())

    main = threading.main_thread().ident
    ended = threading.Thread(target=lambda: (wait_for(market, order), signal.pthread_kill(main, signal.SIGTERM)))
    before = signal.getsignal(signal.SIGTERM)
    ended.start()
    answer = run("sell", "serve", "--every", "1s", key="iris", json=True)
    ended.join()
    assert answer.document["delivered"] == 1
    assert answer.err == ""
    assert signal.getsignal(signal.SIGTERM) == before


def market_delivered(market, order):
    listed = market.run("buyer", "purchases", key="meridian", json=True).document
    return next(each["state"] for each in listed if each["order"] == order) == "delivered"


def wait_for(market, order):
    """Wait until an order is delivered, without the command line: it is in use."""
    patient, _ = role(market, Patient, "iris")
    sales = patient.bridge.system.data_sales
    until = time.monotonic() + 30
    while sales.order_status(OrderId(bytes.fromhex(order))).state is OrderState.PAID and time.monotonic() < until:
        time.sleep(0.05)


def test_serve_refuses_a_stretch_that_is_none(market):
    assert "15x" in market.run("sell", "serve", "--every", "15x", key="iris", code=2).err


def test_offers_are_listed_changed_ended_and_their_bond_released(market, offer):
    run, name = market.run, offer()
    assert (offered(run, name)["state"], offered(run, name)["bond"]) == ("live", "30.00 TUSD")
    assert name[:12] in run("sell", "offers", key="iris").out
    assert "give --price, --places, or both" in run("sell", "change", name, key="iris", code=2).err
    changed = run("sell", "change", name, "--price", "40.00", "--places", "2", key="iris", json=True).document
    assert (changed["price"], changed["places"]) == ("40.00 TUSD", 2)
    assert offered(run, name)["state"] == "released"
    assert "BondStays" in run("sell", "release", changed["offer"], key="iris", code=6).err
    assert run("sell", "unlist", changed["offer"][:12], key="iris", json=True).document == {
        "unlisted": changed["offer"]
    }
    assert "ListingNotLive" in run("sell", "unlist", changed["offer"], key="iris", code=6).err
    released = run("sell", "release", changed["offer"], key="iris", json=True).document
    assert released == {"offer": changed["offer"], "released": "20.00 TUSD"}
    assert "0 of your offers have a name" in run("sell", "unlist", "zz", key="iris", code=7).err


def test_offers_are_none_for_who_offered_nothing(market):
    assert market.run("sell", "offers", key="lakeside").out == "you have offered nothing yet\n"


def test_settle_says_what_waits_and_who_got_what(market, offer):
    run, name = market.run, offer()
    order = bought(run, name)
    assert run("sell", "deliver", key="iris", json=True).document[0]["order"] == order
    run("local", "advance", "25h")
    patient, _ = role(market, Patient, "iris")
    patient.settle()
    earned = run("sell", "earnings", key="iris")
    assert "TUSD more are yours once you run: medibridge sell settle" in earned.out
    shown = run("sell", "settle", key="iris").out
    assert "39.00 TUSD" in shown
    assert "left for patients to claim" in shown


# --- the buyer


def test_inspect_shows_what_speaks_against_it_and_buy_refuses(market, offer):
    run, name = market.run, offer()
    words = (name, "--purpose", "HMARKT", "--research", "", "--accept", "IRB")
    shown = run("buyer", "inspect", *words, key="meridian")
    assert "it cannot be bought: see what is refused (use)" in shown.out
    document = run("buyer", "inspect", *words, key="meridian", json=True).document
    assert document["sound"] is False
    [use] = [each for each in document["findings"] if each["about"] == "use"]
    assert use["verdict"] == "refused"
    refused = run("buyer", "buy", *words, key="meridian", code=7, json=True).document
    assert (refused["error"], "cannot be bought: use" in refused["message"]) == ("AccessError", True)
    assert (
        "is not a kind of investigation" in run("buyer", "inspect", name, "--research", "x", key="meridian", code=2).err
    )


def test_buy_notes_what_the_inspection_warns_of(market, offer):
    told = market.run("buyer", "buy", offer(), key="meridian")
    assert "note: custodian: " in told.err
    assert "has published no profile" in told.err


def cheated(market, offer, masked=bytes(32)):
    """An order that was answered with a key of nothing."""
    order = bought(market.run, offer())
    patient, account = role(market, Patient, "iris")
    [sale] = [each for each in patient.sales() if each.order_id.hex() == order]
    patient.bridge.system.data_sales.deliver(account, sale.order, sale.listing, masked)
    return order


def test_dispute_pays_back_when_the_buyer_says_yes(market, offer):
    run, order = market.run, cheated(market, offer)
    failed = run("buyer", "open", order, key="meridian", code=4)
    assert "prove it with `buyer dispute`" in failed.err
    proved = run("buyer", "dispute", order[:12], "--yes", key="meridian", json=True)
    assert "the delivered key is wrong (chunk 0). If you prove it, the delivered key becomes public" in proved.err
    assert proved.document == {
        "order": order,
        "proved": "WrongKeyProved",
        "chunk": 0,
        "price": "50.00 TUSD",
        "reward": "10.00 TUSD",
    }
    assert "is disputed; only what was delivered" in run("buyer", "dispute", order, key="meridian", code=7).err


def test_dispute_asks_first_and_proves_nothing_when_the_answer_is_no(market, offer):
    run, order = market.run, cheated(market, offer)
    words = ["buyer", "dispute", order, "--key", "meridian", "--passphrase-file", str(run.passphrase_file)]
    around = {"obj": run.surroundings, "env": {"MEDIBRIDGE_HOME": str(run.home), "COLUMNS": "200"}}
    refused = CliRunner().invoke(app, words, input="n\n", **around)
    assert refused.exit_code == 130
    assert "Prove it?" in refused.stderr
    assert market_delivered(market, order)
    agreed = CliRunner().invoke(app, words, input="y\n", **around)
    assert agreed.exit_code == 0, agreed.output
    assert "proved: 50.00 TUSD are credited to you again, and 10.00 TUSD of the seller's bond" in agreed.stdout


def test_dispute_says_so_when_nothing_can_be_proved(market, offer):
    run, order = market.run, bought(market.run, offer())
    assert "has not delivered yet" in run("buyer", "dispute", order, key="meridian", code=7).err
    run("sell", "deliver", key="iris")
    told = run("buyer", "dispute", order, key="meridian", code=7).err
    assert "so nothing can be proved" in told


def test_dataset_that_was_bought_is_written_as_it_is(market, tmp_path):
    """A custodian's dataset, of which only the archive's bytes matter here."""
    run = market.run
    run("admin", "mint", "rowan", "100", key="admin")
    custodian, _ = role(market, DatasetCustodian, "rowan")
    archive = bytes(range(256)) * 100
    mine = {address("0x" + "11" * 20): address("0x" + "12" * 20)}
    sealed = custodian.seal(io.BytesIO(archive), len(archive), mine, DataClass.LABORATORY)
    custodian.deposit(sealed.description)
    custodian.offer_dataset(sealed.description, 20_000_000)
    name = run("buyer", "offers", key="meridian", json=True).document[-1]["offer"]
    assert "can freeze the listing" in run("buyer", "inspect", name, key="meridian").out
    order = bought(run, name)
    run("sell", "deliver", key="rowan")
    assert "give -o FILE" in run("buyer", "open", order, key="meridian", code=2).err
    told = run("buyer", "open", order, "-o", tmp_path / "dataset", key="meridian", json=True).document
    assert told["bytes"] == len(archive)
    assert (tmp_path / "dataset").read_bytes() == archive
    run("local", "advance", "25h")
    [paid] = run("sell", "settle", key="rowan", json=True).document
    assert (paid["patient"], paid["patients_claim"]) == ("0.00 TUSD", "15.60 TUSD")


def test_teller_speaks_on_a_terminal(market):
    patient, _ = role(market, Patient, "iris")
    said = []

    class Terminal:
        is_terminal = True

        def say(self, sentence):
            said.append(sentence)

    teller = _Teller(Terminal(), patient.bridge.system.token)
    teller.tell(Delivered(b"o" * 32, bytes(32), 0))
    teller.tell(Settled(b"o" * 32, b"l" * 32))
    teller.tell(Distributed(b"l" * 32, 1, 1_250_000, 9_750_000, 39_000_000))
    teller.tell(Trouble(None, ConnectionError("https://password@"), 15.0))
    assert said == [
        "order 6f6f6f6f6f6f: the key is delivered; complaints until 1970-01-01 00:00 UTC",
        "order 6f6f6f6f6f6f is settled",
        "offer 6c6c6c6c6c6c: 39.00 TUSD to the patient, 9.75 TUSD to the custodian, 1.25 TUSD to the treasury",
        "a fault of MediBridge itself (ConnectionError); tried again in 15 seconds",
    ]
    assert teller.summary == "1 orders delivered, 1 settled, 0 passed over; 1 attempts failed"
