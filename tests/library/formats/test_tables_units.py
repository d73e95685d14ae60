"""Units as hospitals write them, in UCUM."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from medibridge.formats import units
from medibridge.formats.settings import Profile
from medibridge.formats.units import ucum


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("mg/dl", "mg/dL"), ("MG/DL", "mg/dL"), ("Mg/dL", "mg/dL"), ("mEq/L", "meq/L"), ("K/uL", "10*3/uL"),
        ("x10^9/L", "10*9/L"), ("10³/µL", "10*3/uL"), ("10^3/μl", "10*3/uL"), ("G/l", "10*9/L"), ("µg/ml", "ug/mL"),
        ("mcg", "ug"), ("°C", "Cel"), ("mmHg", "mm[Hg]"), ("IU/L", "[IU]/L"), ("mIE/l", "m[IU]/L"), ("%", "%"),
        ("mL/min/1.73m²", "mL/min/{1.73_m2}"), ("mm / h", "mm/h"), ("bpm", "/min"), ("Tabletten", "{tablet}"),
        ("ug/g{creat}", "ug/g{creat}"), ("mmol/(24.h)", "mmol/(24.h)"), ("kg/m2", "kg/m2"), ("ng/(8.h)", "ng/(8.h)"),
        ("", None), ("foo", None), ("mg/", None), ("mg//dL", None), ("((mg)", None), ("l", "L"), ("/", None),
        ("mg" * 100, None), (".", None), ("mg.", None), ("(", None),
    ],
)  # fmt: skip
def test_ucum_knows_a_unit_or_gives_none(text: str, code: str | None) -> None:
    assert ucum(text) == code


def test_ucum_asks_the_profile_first() -> None:
    profile = Profile(units={"mg/dl": "mmol/L", "Stück": "{piece}"})
    assert ucum("mg/dl", profile) == "mmol/L"
    assert ucum("Stück", profile) == "{piece}"
    assert ucum("K/uL", profile) == "10*3/uL"


def test_every_unit_of_the_table_is_a_code_of_ucum_and_each_alias_means_one() -> None:
    known = units._units()
    assert all(known.is_code(code) for code in set(known.exact.values()))
    assert len(known.exact) > 500


@given(st.text(st.sampled_from("mgdL/.()[]{}10*^-+%kU "), max_size=30))
def test_ucum_gives_what_it_gives_again(text: str) -> None:
    code = ucum(text)
    assert code is None or ucum(code) == code
