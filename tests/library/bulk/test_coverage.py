"""cover: what of an input goes where."""

from __future__ import annotations

import pytest

from medibridge import samples
from medibridge.bulk import Processes
from medibridge.bulk.charts import page
from medibridge.bulk.coverage import Field, cover, field_of, kept, lost
from medibridge.formats import Outcome, Settings

LAB = samples.read("oru-r01-laboratory.hl7")


@pytest.mark.parametrize(
    ("place", "field"),
    [
        ("OBX[3]-5[2].2", "OBX-5.2"),
        ("OBX[12]-5.2", "OBX-5.2"),
        ("entry[4].resource", "entry.resource"),
        ("file[2] (0010,0010)", "file (0010,0010)"),
        ("row 17, column 3", "row, column 3"),
    ],
)
def test_field_of_leaves_positions_out(place, field):
    assert field_of(place) == field


def test_cover_counts_every_value_once(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.hl7").write_bytes(LAB + b"ZZZ|1|local\r")
    (tmp_path / "bad").write_bytes(b"%PDF")
    found = cover([tmp_path], Settings())
    assert found.messages == {"HL7 v2.5.1 ORU^R01": 3}
    assert found.refused == 1
    assert found.fields[Field("HL7 v2.5.1 ORU^R01", "ZZZ-2")] == {Outcome.UNKNOWN: 3}
    whole = found.outcomes()
    assert kept(whole) + lost(whole) + whole[Outcome.USED] + whole[Outcome.IGNORED] == whole.total()
    assert found.outcomes("HL7 v2.5.1 ORU^R01") == whole
    losses = [lost(outcomes) for _, outcomes in found.by_loss()]
    assert losses == sorted(losses, reverse=True)
    assert cover([tmp_path], Settings(), crew=Processes(2)) == found


def test_page_has_charts_and_no_script_and_no_value(tmp_path):
    (tmp_path / "one.hl7").write_bytes(LAB + b"ZZZ|1|local\r")
    made = page(cover([tmp_path], Settings()))
    assert made.startswith("<!doctype html>")
    assert "<svg" in made
    assert "ZZZ-2 · HL7 v2.5.1 ORU^R01" in made
    for forbidden in ("<script", "http://", "https://", "Fernhollow", "4711"):
        assert forbidden not in made
