"""The journal: what was begun and must not be done twice."""

import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medibridge.errors import StoreUnreachable, UsageError
from medibridge.storage import DirectoryJournal, MemoryJournal

KEYS = st.text("0123456789abcdef", min_size=1, max_size=200)


@pytest.fixture(params=["memory", "directory"])
def journal(request, tmp_path):
    return MemoryJournal() if request.param == "memory" else DirectoryJournal(tmp_path / "journal")


def test_get_returns_what_was_put_last_when_given_any_entries(journal):
    @settings(deadline=None, max_examples=15)
    @given(entries=st.lists(st.tuples(KEYS, st.binary(max_size=100)), max_size=10))
    def check(entries):
        for key, value in entries:
            journal.put(key, value)
        for key, value in dict(entries).items():
            assert journal.get(key) == value

    check()


def test_get_returns_none_when_nothing_was_put(journal):
    assert journal.get("0badf00d") is None
    journal.put("0badf00d", b"")
    assert journal.get("0badf00d") == b""


@pytest.mark.parametrize("key", ["", "AB", "xyz", "../ab", "ab\n", "ab cd", "٣"])
def test_get_and_put_refuse_without_showing_the_key_when_it_is_not_hexadecimal(journal, key):
    for call in (lambda: journal.get(key), lambda: journal.put(key, b"")):
        with pytest.raises(UsageError, match="lower-case hexadecimal digits; encode it") as caught:
            call()
        assert not key or repr(key) not in str(caught.value)


def test_directory_journal_shows_no_key_in_file_names_when_it_is_written(tmp_path):
    DirectoryJournal(tmp_path).put("c0ffee", b"value")
    assert not [path for path in tmp_path.rglob("*") if "c0ffee" in path.name]


def test_directory_journal_says_unreachable_when_the_path_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnreachable, match="cannot be written"):
        DirectoryJournal(tmp_path / "file").put("ab", b"value")


KILLED_BEFORE_THE_MOVE = """
import os, signal, sys
from medibridge.storage import DirectoryJournal
journal = DirectoryJournal(sys.argv[1])
journal.put("ab", b"first")
sys.addaudithook(lambda name, _: os.kill(os.getpid(), signal.SIGKILL) if name == "os.rename" else None)
journal.put("ab", b"second")
"""


def test_directory_journal_keeps_the_value_before_when_the_writer_is_killed(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_MOVE, tmp_path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "incoming").iterdir())) == 1
    journal = DirectoryJournal(tmp_path)
    assert journal.get("ab") == b"first"
    journal.put("ab", b"second")
    assert journal.get("ab") == b"second"
