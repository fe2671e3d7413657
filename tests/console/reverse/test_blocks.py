"""An update as it is compared: short numbers, but no two different ones look alike."""

import pytest

from console.figures import exact, told_apart
from console.reverse.blocks import compare
from plants.time_config import MINUTES_PER_DAY, Block


def block(**facts: float) -> Block:
    usual = {"p_bat_min_kw": -10.0, "p_bat_max_kw": 120.0, "soc_min_pct": 20.0, "soc_max_pct": 95.0}
    return Block(start_minute=0, end_minute=MINUTES_PER_DAY, **(usual | facts))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((10.333333333333334, 95.0), ["10.3", "95"]),
        ((10.333333, 10.333334), ["10.333333", "10.333334"]),
        ((0.04, 10.0), ["0.04", "10"]),
        ((-0.0, 7.25), ["0", "7.2"]),
        ((7.25, 7.25), ["7.2", "7.2"]),
        ((1e-300, 1.0), ["1e-300", "1"]),
        ((), []),
    ],
)
def test_numbers_have_the_decimals_that_tell_them_apart(values, texts):
    assert told_apart(*values, places=1) == texts


def test_exactly_is_every_digit():
    assert [exact(value) for value in (10.333333333333334, 50.0)] == ["10.333333333333334", "50"]


def test_who_approves_sees_a_difference_of_any_size():
    changed = compare([block(soc_min_pct=20.0)], [block(soc_min_pct=20.00001)]).changes[0]

    assert "SoC 20 to 95" in changed.before
    assert "SoC 20.00001 to 95" in changed.after
    assert (changed.exactly_before, changed.exactly_after) == ("", "")


def test_a_long_number_is_short_in_the_text_and_whole_in_the_title():
    changed = compare([block()], [block(soc_min_pct=10.333333333333334, p_bat_max_kw=33.333333333333336)])

    [change] = changed.changes
    assert "charge up to 33.3\u202fkW, SoC 10.3 to 95\u00a0%" in change.after.replace(" %", "\u00a0%")
    assert "charge up to 33.333333333333336\u202fkW, SoC 10.333333333333334 to" in change.exactly_after
    assert change.exactly_before == ""
    assert "10.333333333333334" in changed.after[0].text
