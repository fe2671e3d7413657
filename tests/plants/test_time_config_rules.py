"""Time-config blocks as rules: what a set may be, each broken rule with its path, and what applies when."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plants.time_config import MAX_BLOCKS, Ratings, check_blocks, describe_changes, minute_text
from tests.factories import block

RATED = Ratings(charge_kw=40.0, discharge_kw=30.0, soc_min_pct=10.0, soc_max_pct=95.0)


def problems(*blocks, ratings=Ratings(), gaps_allowed=False):  # noqa: B008 - frozen
    return [(one.path, str(one)) for one in check_blocks(blocks, ratings=ratings, gaps_allowed=gaps_allowed)]


def paths(*blocks, **changes):
    return [path for path, _ in problems(*blocks, **changes)]


def test_one_block_over_the_whole_day_is_sound():
    assert problems(block(), ratings=RATED) == []


def test_blocks_in_any_order_that_cover_the_day_are_sound():
    assert problems(block(720, 1440), block(0, 360), block(360, 720)) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"start": -1}, "timeConfigs[0].from"),
        ({"start": 1440, "end": 1441}, "timeConfigs[0].from"),
        ({"end": 1441}, "timeConfigs[0].to"),
        ({"start": 600, "end": 600}, "timeConfigs[0].to"),
        ({"start": 1320, "end": 360}, "timeConfigs[0].to"),
        ({"p_bat_min_kw": 10.1}, "timeConfigs[0].pBatMin"),
        ({"soc_min_pct": -0.1}, "timeConfigs[0].socMin"),
        ({"soc_max_pct": 100.1}, "timeConfigs[0].socMax"),
        ({"soc_min_pct": 95.1}, "timeConfigs[0].socMin"),
        ({"p_bat_min_kw": float("nan")}, "timeConfigs[0].pBatMin"),
        ({"p_bat_max_kw": float("nan")}, "timeConfigs[0].pBatMax"),
        ({"p_bat_max_kw": float("inf")}, "timeConfigs[0].pBatMax"),
        ({"p_bat_min_kw": float("-inf")}, "timeConfigs[0].pBatMin"),
        ({"soc_min_pct": float("nan")}, "timeConfigs[0].socMin"),
        ({"soc_max_pct": float("nan")}, "timeConfigs[0].socMax"),
    ],
)
def test_each_broken_rule_of_a_block_names_its_field(changes, path):
    assert paths(block(**changes)) == [path]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"p_bat_max_kw": 40.1}, "timeConfigs[0].pBatMax"),
        ({"p_bat_min_kw": -30.1}, "timeConfigs[0].pBatMin"),
        ({"soc_min_pct": 9.9}, "timeConfigs[0].socMin"),
        ({"soc_max_pct": 95.1}, "timeConfigs[0].socMax"),
    ],
)
def test_a_block_beyond_what_the_battery_can_do_names_its_field(changes, path):
    assert paths(block(**changes), ratings=RATED) == [path]


def test_a_block_at_the_ratings_is_sound():
    at_the_edge = block(p_bat_min_kw=-30.0, p_bat_max_kw=40.0, soc_min_pct=10.0, soc_max_pct=95.0)

    assert problems(at_the_edge, ratings=RATED) == []


def test_ratings_that_are_not_known_are_not_checked():
    assert problems(block(p_bat_max_kw=1e6)) == []


def test_every_broken_rule_is_told_with_the_place_of_its_block():
    assert paths(block(0, 700, p_bat_min_kw=20.0), block(700, 1440, soc_max_pct=101.0)) == [
        "timeConfigs[0].pBatMin",
        "timeConfigs[1].socMax",
    ]


# --- the day as a whole -----------------------------------------------------------------------------------------------


def test_an_overlap_names_the_later_block_by_its_place_in_the_request():
    assert problems(block(600, 1440), block(0, 601)) == [
        ("timeConfigs[0].from", "overlaps the block from 00:00")
    ]


def test_every_block_under_a_longer_one_is_told_and_not_the_first_alone():
    assert paths(block(0, 1440), block(60, 120), block(600, 660)) == [
        "timeConfigs[1].from",
        "timeConfigs[2].from",
    ]


def test_a_gap_is_told_where_it_ends_and_by_its_minutes():
    assert problems(block(60, 600), block(660, 1380)) == [
        ("timeConfigs[0].from", "nothing covers 00:00 to 01:00"),
        ("timeConfigs[1].from", "nothing covers 10:00 to 11:00"),
        ("timeConfigs", "nothing covers 23:00 to 24:00"),
    ]


def test_no_blocks_at_all_leave_the_whole_day_uncovered():
    assert problems() == [("timeConfigs", "nothing covers 00:00 to 24:00")]


def test_a_plant_that_allows_gaps_may_leave_out_parts_of_the_day_or_all_of_it():
    assert problems(block(60, 600), block(660, 1380), gaps_allowed=True) == []
    assert problems(gaps_allowed=True) == []


def test_an_overlap_is_refused_where_gaps_are_allowed_too():
    assert paths(block(0, 600), block(599, 700), gaps_allowed=True) == ["timeConfigs[1].from"]


def test_a_set_has_at_most_as_many_blocks_as_a_day_has_quarters():
    quarters = [block(15 * n, 15 * n + 15) for n in range(MAX_BLOCKS)]

    assert problems(*quarters) == []
    assert paths(*quarters, block(0, 1)) == ["timeConfigs"]


@given(st.sets(st.integers(1, 1439), max_size=20), st.data())
def test_any_cutting_of_the_day_is_sound_and_without_one_of_its_pieces_it_is_not(cuts, data):
    edges = [0, *sorted(cuts), 1440]
    pieces = [block(start, end) for start, end in pairwise(edges)]
    shuffled = data.draw(st.permutations(pieces))
    missing = data.draw(st.sampled_from(pieces))

    assert problems(*shuffled) == []
    assert problems(*[one for one in pieces if one is not missing])
    assert problems(*pieces, missing)


# --- what changed -----------------------------------------------------------------------------------------------------


def test_changes_are_told_line_by_line():
    before = [block(0, 360), block(360, 1440)]
    after = [block(0, 360, p_bat_max_kw=5.0), block(360, 720), block(720, 1440)]

    assert describe_changes(before, after) == [
        "removed 06:00-24:00 battery -10..10 kW, SoC 20..95 %",
        "added 06:00-12:00 battery -10..10 kW, SoC 20..95 %",
        "added 12:00-24:00 battery -10..10 kW, SoC 20..95 %",
        "changed 00:00-06:00 battery -10..10 kW, SoC 20..95 % to 00:00-06:00 battery -10..5 kW, SoC 20..95 %",
    ]


def test_equal_sets_have_no_changes():
    assert describe_changes([block()], [block()]) == []


@pytest.mark.parametrize(("minute", "text"), [(0, "00:00"), (75, "01:15"), (1439, "23:59"), (1440, "24:00")])
def test_minutes_are_told_as_a_clock_shows_them(minute, text):
    assert minute_text(minute) == text
