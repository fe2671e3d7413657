"""Blocks on real calendar days: 23 and 25 hours, half-hour shifts, midnights that do not exist, cover to the minute."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plants.time_config import block_at, windows_of_day
from tests.factories import block

PRAGUE = ZoneInfo("Europe/Prague")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
BEIRUT = ZoneInfo("Asia/Beirut")
HOUR = timedelta(hours=1)
ORDINARY, SPRING, AUTUMN = date(2026, 1, 2), date(2026, 3, 29), date(2026, 10, 25)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def spans(blocks, day, zone):
    """(start, end, block's first minute) of every window, in UTC."""
    return [
        (f"{one.start_at:%d %H:%M}", f"{one.end_at:%d %H:%M}", one.block.start_minute)
        for one in windows_of_day(blocks, day=day, zone=zone)
    ]


def length(windows):
    return sum((one.end_at - one.start_at for one in windows), timedelta())


def test_on_an_ordinary_day_a_block_is_its_local_minutes():
    blocks = [block(0, 360), block(360, 1440)]

    assert spans(blocks, ORDINARY, PRAGUE) == [("01 23:00", "02 05:00", 0), ("02 05:00", "02 23:00", 360)]


def test_in_the_skipped_hour_a_block_does_not_exist():
    """02:00 to 03:00 local time is missing: a block of just that hour has no window."""
    blocks = [block(0, 120), block(120, 180), block(180, 1440)]

    assert spans(blocks, SPRING, PRAGUE) == [("28 23:00", "29 01:00", 0), ("29 01:00", "29 22:00", 180)]


def test_a_block_that_reaches_into_the_skipped_hour_ends_where_the_hour_is_missing():
    blocks = [block(0, 150), block(150, 1440)]

    assert spans(blocks, SPRING, PRAGUE) == [("28 23:00", "29 01:00", 0), ("29 01:00", "29 22:00", 150)]


def test_in_the_repeated_hour_a_block_applies_twice():
    blocks = [block(0, 120), block(120, 180), block(180, 1440)]

    assert spans(blocks, AUTUMN, PRAGUE) == [
        ("24 22:00", "25 00:00", 0),
        ("25 00:00", "25 01:00", 120),
        ("25 01:00", "25 02:00", 120),
        ("25 02:00", "25 23:00", 180),
    ]


def test_blocks_within_the_repeated_hour_alternate():
    blocks = [block(0, 150), block(150, 1440)]

    assert [start for _, _, start in spans(blocks, AUTUMN, PRAGUE)] == [0, 150, 0, 150]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (PRAGUE, ORDINARY, 24),
        (PRAGUE, SPRING, 23),
        (PRAGUE, AUTUMN, 25),
        (LORD_HOWE, date(2026, 10, 4), 23.5),
        (LORD_HOWE, date(2026, 4, 5), 24.5),
        (BEIRUT, date(2026, 3, 29), 23),
        (BEIRUT, date(2026, 10, 24), 25),
        (ZoneInfo("UTC"), ORDINARY, 24),
    ],
    ids=str,
)
def test_a_block_over_the_whole_day_lasts_as_long_as_the_day(zone, day, hours):
    assert length(windows_of_day([block()], day=day, zone=zone)) == hours * HOUR


def test_a_shift_of_half_an_hour_skips_and_repeats_half_an_hour():
    blocks = [block(0, 90), block(90, 120), block(120, 150), block(150, 1440)]

    spring = [start for _, _, start in spans(blocks, date(2026, 10, 4), LORD_HOWE)]
    autumn = [start for _, _, start in spans(blocks, date(2026, 4, 5), LORD_HOWE)]

    assert spring == [0, 90, 150]  # 02:00 to 02:30 is missing
    assert autumn == [0, 90, 90, 120, 150]  # 01:30 to 02:00 happens twice


def test_a_day_whose_midnight_does_not_exist_starts_at_its_first_moment():
    """In Beirut the clock jumps from 00:00 to 01:00."""
    assert spans([block(0, 60), block(60, 1440)], date(2026, 3, 29), BEIRUT) == [("28 22:00", "29 21:00", 60)]


CUTS = st.sets(st.integers(1, 1439), max_size=12)
DAYS = st.sampled_from(
    [
        (PRAGUE, ORDINARY), (PRAGUE, SPRING), (PRAGUE, AUTUMN),
        (BEIRUT, date(2026, 3, 29)), (BEIRUT, date(2026, 10, 24)),
        (LORD_HOWE, date(2026, 4, 5)), (LORD_HOWE, date(2026, 10, 4)), (ZoneInfo("America/Havana"), date(2026, 11, 1)),
        (ZoneInfo("America/St_Johns"), date(2026, 3, 8)), (ZoneInfo("Asia/Kathmandu"), ORDINARY),
    ]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(CUTS, DAYS)
def test_the_windows_of_a_covered_day_follow_each_other_and_cover_it_exactly(cuts, where):
    zone, day = where
    edges = [0, *sorted(cuts), 1440]
    blocks = [block(start, end) for start, end in pairwise(edges)]

    windows = windows_of_day(blocks, day=day, zone=zone)

    assert all(one.start_at < one.end_at for one in windows)
    assert all(before.end_at == after.start_at for before, after in pairwise(windows))
    assert windows[0].start_at == datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    following = day + timedelta(days=1)
    assert windows[-1].end_at == datetime(
        following.year, following.month, following.day, tzinfo=zone
    ).astimezone(UTC)


@settings(max_examples=60, deadline=None)
@given(CUTS, DAYS, st.integers(0, 25 * 60 - 1))
def test_the_block_of_a_moment_is_that_of_the_window_it_lies_in(cuts, where, minutes):
    zone, day = where
    blocks = [block(start, end) for start, end in pairwise([0, *sorted(cuts), 1440])]
    windows = windows_of_day(blocks, day=day, zone=zone)
    at = windows[0].start_at + timedelta(minutes=minutes)

    inside = [one.block for one in windows if one.start_at <= at < one.end_at]

    assert inside in ([], [block_at(blocks, at=at, zone=zone)])


def test_in_an_allowed_gap_no_block_is_in_force():
    blocks = [block(0, 360), block(720, 1440)]

    assert block_at(blocks, at=utc("2026-01-02T08:00"), zone=PRAGUE) is None
    assert length(windows_of_day(blocks, day=ORDINARY, zone=PRAGUE)) == 18 * HOUR


@pytest.mark.parametrize(
    ("at", "start"),
    [
        ("2026-01-02T04:59:59", 0),
        ("2026-01-02T05:00", 360),
        ("2026-01-01T23:00", 0),
        ("2026-01-02T22:59:59", 360),
    ],
)
def test_a_block_is_in_force_from_its_first_minute_until_before_its_last(at, start):
    assert block_at([block(0, 360), block(360, 1440)], at=utc(at), zone=PRAGUE).start_minute == start
