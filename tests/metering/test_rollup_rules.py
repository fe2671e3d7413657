"""The pure reference: what samples say about an interval."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.days import local_day
from metering.rollup import MEASURES, columns, from_columns, roll_up, sum_up
from metering.rules import QUARTER
from tests.metering.rollup_world import START, assert_row_same, sample

END = START + QUARTER
GRID, PV, BATTERY = MEASURES[:3]


def rolled(*samples, hold_s=15.0, start_at=START, end_at=END):
    return roll_up(samples, start_at=start_at, end_at=end_at, hold_s=hold_s)


def test_a_mean_is_weighted_by_the_time_for_which_a_sample_counts():
    found = rolled(sample(0, 10.0), sample(5, 40.0))  # 5 s, then held for 15 s

    assert found.measures[GRID].mean == pytest.approx((10 * 5 + 40 * 15) / 20)
    assert (found.measures[GRID].known_s, found.covered_s, found.samples) == (20, 20, 2)


def test_a_sample_counts_for_the_hold_at_most_and_the_rest_is_not_covered():
    found = rolled(sample(0, 3600.0), sample(600, 3600.0))

    assert found.covered_s == 30
    assert found.energies_kwh["grid_import_kwh"] == pytest.approx(30)


def test_a_sample_from_before_the_interval_counts_while_it_is_held_but_is_not_one_of_its_samples():
    found = rolled(sample(-5, 7.0))

    assert (found.samples, found.covered_s, found.measures[GRID].last) == (0, 10, 7.0)


def test_nothing_is_known_of_an_interval_without_samples():
    assert rolled() is None
    assert rolled(sample(-15, 1.0), sample(900, 1.0)) is None


def test_missing_ends_what_came_before_it_and_covers_nothing():
    found = rolled(sample(0, 1.0), sample(4, 9.0, rank=0, word="MISSING"))

    assert (found.samples, found.covered_s, found.quality_rank) == (2, 4, 3)
    assert found.measures[GRID].most == 1.0


def test_an_interval_of_missing_samples_alone_knows_nothing_but_their_number():
    found = rolled(sample(0, 9.0, rank=0, word="MISSING"))

    assert (found.samples, found.covered_s, found.quality_rank, found.measures) == (1, 0, None, {})


def test_a_null_leaves_only_its_own_measure_unknown():
    found = rolled(sample(0, 1.0, 2.0), sample(10, None, 4.0))

    assert (found.measures[GRID].known_s, found.measures[PV].known_s, found.covered_s) == (10, 25, 25)
    assert found.measures[GRID].last == 1.0


def test_a_sample_of_nulls_alone_covers_nothing():
    assert rolled(sample(0)).covered_s == 0


def test_energies_are_split_by_direction_and_never_negative():
    found = rolled(sample(0, 3600.0, None, -3600.0), sample(10, -1800.0, None, 7200.0))

    assert found.energies_kwh == pytest.approx(
        {"grid_import_kwh": 10, "grid_export_kwh": 7.5, "charge_kwh": 30, "discharge_kwh": 10}
    )


def test_the_worst_sample_that_counts_gives_the_quality_and_only_good_time_is_good():
    found = rolled(sample(0, 1.0, rank=3), sample(10, 1.0, rank=1))

    assert (found.quality_rank, found.good_s, found.covered_s) == (1, 10, 25)


def test_a_word_that_is_not_known_counts_with_the_worst_rank():
    found = rolled(sample(0, 1.0, rank=0))

    assert (found.covered_s, found.quality_rank) == (15, 0)


def test_a_part_that_knows_a_measure_gives_its_newest_value_even_where_a_later_one_does_not():
    first = rolled(sample(0, 1.0))
    second = roll_up([sample(900, None, 5.0)], start_at=END, end_at=END + QUARTER, hold_s=15.0)

    total = sum_up([first, second])

    assert (total.measures[GRID].last, total.measures[PV].last) == (1.0, 5.0)
    assert (total.samples, total.covered_s) == (2, 30)


samples_of = st.lists(
    st.tuples(st.integers(-30, 3630), st.floats(-1e4, 1e4)), max_size=40, unique_by=lambda one: one[0]
).map(lambda found: [sample(after_s, value) for after_s, value in sorted(found)])


@given(samples=samples_of, hold_s=st.floats(1, 2000))
def test_quarter_hours_sum_up_to_the_hour_that_they_make(samples, hold_s):
    hour = roll_up(samples, start_at=START, end_at=START + 4 * QUARTER, hold_s=hold_s)
    starts = [START + n * QUARTER for n in range(4)]
    parts = [roll_up(samples, start_at=at, end_at=at + QUARTER, hold_s=hold_s) for at in starts]

    total = sum_up([part for part in parts if part is not None])

    assert (total is None) == (hour is None)
    if total is not None and hour is not None:
        assert_row_same(columns(total, length_s=3600), columns(hour, length_s=3600))


@given(samples=samples_of, hold_s=st.floats(1, 2000))
def test_coverage_and_values_stay_within_their_bounds(samples, hold_s):
    found = rolled(*samples, hold_s=hold_s)

    if found is not None:
        row = columns(found, length_s=900)
        assert 0 <= row["good_s"] <= row["covered_s"] <= 900 + 1e-6 and row["coverage_pct"] <= 100
        if found.measures:
            grid = found.measures[GRID]
            assert grid.least <= grid.mean <= grid.most and grid.least <= grid.last <= grid.most
        assert all(energy_kwh >= 0 for energy_kwh in found.energies_kwh.values())


@given(samples=samples_of)
def test_columns_hold_all_that_a_rollup_knows(samples):
    found = rolled(*samples)

    assert found is None or from_columns(columns(found, length_s=900)) == found


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Europe/Prague", date(2026, 3, 29), "2026-03-28T23:00:00+00:00", 23),
        ("Europe/Prague", date(2026, 10, 25), "2026-10-24T22:00:00+00:00", 25),
        ("Asia/Kolkata", date(2026, 3, 29), "2026-03-28T18:30:00+00:00", 24),
        ("Asia/Kathmandu", date(2026, 3, 29), "2026-03-28T18:15:00+00:00", 24),
        ("Atlantic/Azores", date(2026, 10, 25), "2026-10-25T00:00:00+00:00", 25),  # midnight comes twice
        ("Africa/Cairo", date(2026, 4, 24), "2026-04-23T22:00:00+00:00", 23),  # there is no midnight
    ],
)
def test_a_local_day_lasts_from_its_first_midnight_to_the_next(zone, day, start, hours):
    found = local_day(day, zone=zone)

    assert (found.start_at.isoformat(), found.length_s) == (start, hours * 3600)
    assert local_day(day + timedelta(days=1), zone=zone).start_at == found.end_at
