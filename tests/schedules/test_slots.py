"""The grid of a local day: 92, 96 or 100 quarter-hours, on the plant's wall clock."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.days import local_day
from schedules.slots import SLOT_MINUTES, Span, current_slot, grid_of_day, local_text, span_text
from tests.schedules.plans import slot
from vcp import SetpointType

PRAGUE = "Europe/Prague"
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


@pytest.mark.parametrize(("day", "count"), [(date(2026, 1, 2), 96), (SPRING, 92), (AUTUMN, 100)])
def test_a_day_has_as_many_quarter_hours_as_it_lasts(day, count):
    assert len(grid_of_day(day, zone=PRAGUE, minutes=15)) == count


@given(
    day=st.dates(date(2020, 1, 1), date(2030, 12, 31)),
    zone=st.sampled_from(
        [PRAGUE, "UTC", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Cairo"]
    ),
    minutes=st.sampled_from(SLOT_MINUTES),
)
def test_the_grid_covers_the_day_without_gap_and_begins_slots_on_the_wall_clock(day, zone, minutes):
    grid, bounds = grid_of_day(day, zone=zone, minutes=minutes), local_day(day, zone=zone)

    assert grid[0].start_at == bounds.start_at and grid[-1].end_at == bounds.end_at
    assert all(before.end_at == after.start_at for before, after in pairwise(grid))
    assert all(timedelta(0) < span.end_at - span.start_at <= timedelta(minutes=minutes) for span in grid)
    wall = ZoneInfo(zone)
    for span in grid[1:]:
        local = span.start_at.astimezone(wall)
        before = (span.start_at - timedelta(minutes=1)).astimezone(wall)
        leapt = local.utcoffset() != before.utcoffset()
        assert leapt or (local.hour * 60 + local.minute) % minutes == 0


def test_where_the_clock_leaps_by_half_an_hour_the_slot_is_cut_and_the_next_begins_at_the_full_hour():
    # Lord Howe: on 2026-04-05 at 02:00 the clock goes back to 01:30.
    grid = grid_of_day(date(2026, 4, 5), zone="Australia/Lord_Howe", minutes=60)

    texts = [span_text(span, zone="Australia/Lord_Howe") for span in grid[:4]]
    assert texts == ["00:00-01:00", "01:00-01:30 +1030", "01:30 +1030-02:00", "02:00-03:00"]


def test_another_length_than_those_that_divide_an_hour_is_refused():
    with pytest.raises(ValueError, match="one of"):
        grid_of_day(AUTUMN, zone=PRAGUE, minutes=7)


def test_a_time_that_comes_twice_is_told_with_its_offsets_name():
    assert local_text(datetime(2026, 10, 25, 0, 15, tzinfo=UTC), zone=PRAGUE) == "02:15 CEST"
    assert local_text(datetime(2026, 10, 25, 1, 15, tzinfo=UTC), zone=PRAGUE) == "02:15 CET"
    assert local_text(datetime(2026, 10, 25, 3, 15, tzinfo=UTC), zone=PRAGUE) == "04:15"


def test_the_last_slot_ends_at_24():
    assert span_text(grid_of_day(AUTUMN, zone=PRAGUE, minutes=15)[-1], zone=PRAGUE) == "23:45-24:00"


def test_the_current_slot_is_the_half_open_one():
    one, two = slot("12:00", 10), slot("12:15", 20)

    assert current_slot([one, two], one.start_at) is one
    assert current_slot([one, two], one.end_at) is two
    assert current_slot([one, two], two.end_at) is None


def test_the_mean_power_of_an_energy_slot_follows_from_its_length():
    assert slot("12:00", 5, type=SetpointType.ENERGY).power_kw == 20


def test_a_span_knows_its_hours():
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert Span(start_at=at, end_at=at + timedelta(minutes=15)).hours == 0.25
