"""FolderJournal: what is noted survives whatever is cut off or altered."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from medibridge.bulk.journal import Entry, FolderJournal, state_folder


def entry(number):
    return Entry(f"{number:032x}", "how", "stamp", "digest", {"output": 7, "report": number}, outcomes={"mapped": 3})


def journal_with(out, count):
    state_folder(out).mkdir(parents=True)
    with FolderJournal(out) as journal:
        for number in range(count):
            journal.put(entry(number))
    return state_folder(out) / "journal"


def test_journal_gives_what_was_last_put(tmp_path):
    journal_with(tmp_path, 3)
    with FolderJournal(tmp_path) as journal:
        assert journal.get(entry(1).job) == entry(1)
        assert journal.get("f" * 32) is None
        other = Entry(entry(1).job, "other", "stamp", "digest", {"output": 1, "report": 1}, reasons={"cut": 1})
        journal.put(other)
        assert journal.get(other.job) == other
        assert journal.get(entry(2).job) == entry(2)
    with FolderJournal(tmp_path) as journal:
        assert journal.get(other.job) == other


@given(st.data())
def test_journal_that_is_cut_off_anywhere_keeps_every_whole_line_and_goes_on(data):
    with tempfile.TemporaryDirectory() as folder:
        path = journal_with(Path(folder), 4)
        whole = path.read_bytes()
        at = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:at])
        kept = whole[:at].count(b"\n")
        with FolderJournal(Path(folder)) as journal:
            assert [journal.get(entry(number).job) for number in range(kept)] == [entry(n) for n in range(kept)]
            assert journal.get(entry(kept).job) is None
            journal.put(entry(9))
        with FolderJournal(Path(folder)) as journal:
            assert journal.get(entry(9).job) == entry(9)
            assert [journal.get(entry(number).job) for number in range(kept)] == [entry(n) for n in range(kept)]


@given(st.data())
def test_journal_of_which_a_byte_is_altered_gives_no_altered_entry(data):
    with tempfile.TemporaryDirectory() as folder:
        path = journal_with(Path(folder), 3)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        with FolderJournal(Path(folder)) as journal:
            found = [journal.get(entry(number).job) for number in range(3)]
        assert all(one in (None, entry(number)) for number, one in enumerate(found))
        assert found.count(None) <= 2
