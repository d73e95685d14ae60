"""Keys at rest: made once, opened with the right passphrase only, never shown."""

import json
import os
import pty
import stat
import subprocess
import sys

import pytest
from command_line import CHEAP, PASSPHRASE

from medibridge.cli.files import write_file
from medibridge.cli.key_files import KeyCost, KeyFiles
from medibridge.errors import IdentityLocked, UsageError


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def files(tmp_path):
    return KeyFiles(tmp_path / "keys")


def test_new_makes_two_files_that_only_the_owner_can_read(cli):
    told = cli("keys", "new", "--name", "iris", "--passphrase-file", cli.passphrase_file, json=True).document
    folder = cli.home / "keys" / "iris"
    assert {path.name: mode(path) for path in folder.iterdir()} == {"account.json": 0o600, "identity": 0o600}
    assert {mode(path) for path in (cli.home, cli.home / "keys", folder)} == {0o700}
    assert told["name"] == "iris"
    keystore = json.loads((folder / "account.json").read_text())
    assert keystore["version"] == 3
    assert keystore["crypto"]["kdf"] == "scrypt"
    assert "0x" + keystore["address"].lower() == told["address"].lower()


def test_new_costs_what_the_standards_ask_for_unless_a_test_says_otherwise():
    assert KeyCost().scrypt_n == 2**18
    assert (KeyCost().argon2.iterations, KeyCost().argon2.memory_kib) == (3, 64 * 1024)


def test_show_tells_addresses_and_no_secret(cli, files):
    assert "no keys yet" in cli("keys", "show").out
    cli.make_keys("iris", "rowan")
    shown = cli("keys", "show", json=True).document
    assert [each["name"] for each in shown] == ["iris", "rowan"]
    account, identity = KeyFiles(cli.home / "keys").open("iris", PASSPHRASE)
    assert account.address == shown[0]["address"]
    told = cli("keys", "show").out
    assert account.address in told
    assert account.key.hex() not in told
    assert identity.expose().hex() not in told


def test_open_strips_the_newline_of_a_passphrase_file(cli, tmp_path):
    for index, ending in enumerate(("", "\n", "\r\n")):
        (tmp_path / "file").write_bytes(PASSPHRASE.encode() + ending.encode())
        cli("keys", "new", "--name", f"key-{index}", "--passphrase-file", tmp_path / "file")
        KeyFiles(cli.home / "keys").open(f"key-{index}", PASSPHRASE)


def test_new_replaces_no_key(cli):
    cli.make_keys("iris")
    before = (cli.home / "keys/iris/identity").read_bytes()
    again = cli("keys", "new", "--name", "iris", "--passphrase-file", cli.passphrase_file, code=2)
    assert "never replaced" in again.err
    assert (cli.home / "keys/iris/identity").read_bytes() == before


@pytest.mark.parametrize("name", ["", "Iris", "../iris", "a/b", ".hidden", "x" * 33, "iris fernhollow"])
def test_new_refuses_names_that_are_no_file_names(cli, name):
    assert (
        "cannot name a key" in cli("keys", "new", "--name", name, "--passphrase-file", cli.passphrase_file, code=2).err
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "choose one"), (b"\n", "choose one"), (b"\xff\xfe", "UTF-8"), (b"x" * 5000, "more than")],
)
def test_new_refuses_passphrase_files_that_hold_none(cli, tmp_path, content, words):
    (tmp_path / "file").write_bytes(content)
    assert words in cli("keys", "new", "--passphrase-file", tmp_path / "file", code=2).err
    assert not (cli.home / "keys").exists()


def test_new_asks_only_at_a_terminal(cli):
    assert "--passphrase-file" in cli("keys", "new", code=2).err


def test_new_asks_twice_and_refuses_two_answers_that_differ(tmp_path):
    code = (
        "from medibridge.cli import app; from medibridge.cli.session import Surroundings;"
        "from medibridge.cli.key_files import KeyCost; from medibridge.sealing.identity import KdfCost;"
        "app(['keys', 'new', '--home', 'home'], obj=Surroundings(key_cost=KeyCost(2, KdfCost(1, 8, 1))))"
    )
    for answers, expected in (((b"one\n", b"two\n"), 2), ((b"same\n", b"same\n"), 0)):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        told = b""
        for answer in answers:
            while not told.rstrip(b" ").endswith(b":"):
                told += os.read(ours, 1)
            os.write(ours, answer)
            told = b""
        assert process.wait(60) == expected
        os.close(ours)
    KeyFiles(tmp_path / "home" / "keys").open("default", "same")


def test_open_refuses_a_wrong_passphrase(files):
    files.create("iris", PASSPHRASE, CHEAP)
    with pytest.raises(IdentityLocked, match="passphrase is wrong"):
        files.open("iris", "not it")


def test_open_takes_a_passphrase_in_either_normal_form(cli, tmp_path):
    (tmp_path / "file").write_text("caf\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}")
    cli("keys", "new", "--passphrase-file", tmp_path / "file")
    KeyFiles(cli.home / "keys").open("default", "caf\N{LATIN SMALL LETTER E WITH ACUTE}")


@pytest.mark.parametrize(
    "damage",
    [
        lambda keystore: b"",
        lambda keystore: b"[]",
        lambda keystore: b"{",
        lambda keystore: b"[" * 10_000,
        lambda keystore: json.dumps({}).encode(),
        lambda keystore: json.dumps(keystore | {"address": "00" * 20}).encode(),
        lambda keystore: json.dumps(keystore | {"address": 7}).encode(),
        lambda keystore: json.dumps(keystore | {"version": 4}).encode(),
        lambda keystore: json.dumps(keystore | {"crypto": keystore["crypto"] | {"mac": "00" * 32}}).encode(),
        lambda keystore: json.dumps(keystore | {"crypto": keystore["crypto"] | {"mac": 7}}).encode(),
        lambda keystore: json.dumps(keystore | {"crypto": keystore["crypto"] | {"cipher": "none"}}).encode(),
        lambda keystore: json.dumps(with_cost(keystore, n=2**40)).encode(),
        lambda keystore: json.dumps(with_cost(keystore, p=2**30)).encode(),
        lambda keystore: json.dumps(with_cost(keystore, n=-2)).encode(),
        lambda keystore: json.dumps(with_cost(keystore, n=3)).encode(),
        lambda keystore: json.dumps(with_cost(keystore, dklen=2**40)).encode(),
        lambda keystore: json.dumps(keystore | {"crypto": keystore["crypto"] | {"kdf": "pbkdf2"}}).encode(),
    ],
)
def test_open_refuses_a_damaged_keystore_without_computing_it(files, tmp_path, damage):
    files.create("iris", PASSPHRASE, CHEAP)
    path = tmp_path / "keys/iris/account.json"
    path.write_bytes(damage(json.loads(path.read_text())))
    with pytest.raises(IdentityLocked):
        files.open("iris", PASSPHRASE)


def with_cost(keystore, **cost):
    crypto = keystore["crypto"]
    return keystore | {"crypto": crypto | {"kdfparams": crypto["kdfparams"] | cost}}


def test_open_refuses_a_damaged_identity(files, tmp_path):
    files.create("iris", PASSPHRASE, CHEAP)
    path = tmp_path / "keys/iris/identity"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IdentityLocked):
        files.open("iris", PASSPHRASE)
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        files.open("iris", PASSPHRASE)


def test_chosen_key_must_be_named_where_there_are_several(files):
    with pytest.raises(UsageError, match="medibridge keys new"):
        files.chosen(None)
    files.create("iris", PASSPHRASE, CHEAP)
    assert files.chosen(None) == files.chosen("iris") == "iris"
    files.create("rowan", PASSPHRASE, CHEAP)
    with pytest.raises(UsageError, match="iris, rowan"):
        files.chosen(None)
    with pytest.raises(UsageError, match="no key named 'nobody'"):
        files.chosen("nobody")


def test_write_file_leaves_nothing_behind_when_it_fails(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "inside").touch()
    with pytest.raises(UsageError, match="the output file cannot be written"):
        write_file(tmp_path / "target", b"content", "the output file")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    with pytest.raises(UsageError, match="cannot be written"):
        write_file(tmp_path / "nowhere" / "target", b"content", "the output file")
