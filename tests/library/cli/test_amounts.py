"""Money and time, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge.cli.amounts import decimal_text, moment, seconds_in, units_in
from medibridge.errors import UsageError


@given(st.integers(1, 10**30 - 1), st.integers(0, 18))
def test_units_in_reads_back_what_decimal_text_wrote(units, decimals):
    text = decimal_text(units, decimals)
    if decimals >= 2:
        assert units_in(text, decimals) == units
    assert len(text.partition(".")[2]) >= 2


def test_units_in_counts_exactly_where_floats_do_not():
    assert units_in("1.15", 18) == 1_150_000_000_000_000_000
    assert units_in("0.07", 6) == 70_000
    assert units_in("50", 6) == units_in("50.00", 6) == 50_000_000


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "1,50", "0", "0.000000", "1.", ".5", "1.1234567", "NaN", "٣", "50 TUSD", "9" * 31]
)
def test_units_in_refuses_what_is_no_amount(text):
    with pytest.raises(UsageError, match="amount"):
        units_in(text, 6)


def test_seconds_in_reads_each_unit():
    assert [seconds_in(text) for text in ("45s", "90m", "12h", "30d", "2W")] == [45, 5400, 43_200, 2_592_000, 1_209_600]


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "0d", "1y", "9999999d"])
def test_seconds_in_refuses_what_is_no_stretch_of_time(text):
    with pytest.raises(UsageError, match="stretch of time"):
        seconds_in(text)


def test_moment_tells_the_time_in_utc_and_knows_for_ever():
    assert moment(0) == "1970-01-01 00:00 UTC"
    assert moment(2**40 - 1) == "for ever"
