"""Which tier a chart is drawn from, and its buckets."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.tiers import Kept, Tier, axis, choose_tier, grid, points_at_most, to_ms

AT = datetime(2026, 11, 20, 12, 7, tzinfo=UTC)
KEPT = Kept(readings=timedelta(days=400), rollups=timedelta(days=1100))


def tier(span, *, width_px=1000, period_s=10.0, age=timedelta(0)):
    return choose_tier(
        from_at=AT - age - span,
        to_at=AT - age,
        points=points_at_most(width_px),
        period_s=period_s,
        at=AT,
        kept=KEPT,
    )


@pytest.mark.parametrize(
    ("span", "wanted"),
    [
        (timedelta(hours=1), Tier.RAW),
        (timedelta(hours=4, minutes=59), Tier.RAW),
        (timedelta(hours=6), Tier.QUARTER),
        (timedelta(days=1), Tier.QUARTER),
        (timedelta(days=18), Tier.QUARTER),
        (timedelta(days=31), Tier.HOUR),
        (timedelta(days=366), Tier.DAY),
    ],
)
def test_the_finest_tier_is_taken_that_fits_two_points_a_pixel(span, wanted):
    assert tier(span) is wanted


def test_a_narrow_chart_takes_a_coarser_tier():
    assert tier(timedelta(hours=1), width_px=40) is Tier.QUARTER
    assert tier(timedelta(days=1), width_px=40) is Tier.HOUR


def test_a_stream_that_speaks_seldom_is_shown_by_its_samples_for_longer():
    assert tier(timedelta(days=1), period_s=60.0) is Tier.RAW
    assert tier(timedelta(hours=1), period_s=1.0) is Tier.QUARTER


def test_what_is_no_longer_kept_is_not_chosen():
    assert tier(timedelta(hours=1), age=timedelta(days=400)) is Tier.QUARTER
    assert tier(timedelta(hours=1), age=timedelta(days=1100)) is Tier.DAY


@given(
    minutes=st.integers(1, 60 * 24 * 1800),
    offset_s=st.integers(0, 86_400 * 400),
    width_px=st.integers(1, 3000),
    zone=st.sampled_from(
        ["Europe/Prague", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC", "America/Santiago"]
    ),
)
def test_a_grid_holds_its_range_and_never_has_more_points_than_fit(minutes, offset_s, width_px, zone):
    to_at = AT - timedelta(seconds=offset_s)
    from_at = to_at - timedelta(minutes=minutes)
    points = points_at_most(width_px)
    chosen = choose_tier(from_at=from_at, to_at=to_at, points=points, period_s=None, at=AT, kept=KEPT)

    found = grid(chosen, from_at=from_at, to_at=to_at, zone=zone, points=points)

    assert 1 <= len(found.starts) <= points <= 1800
    assert found.starts[0] <= from_at and to_at <= found.end_at
    assert found.starts[-1] < to_at
    assert list(found.starts) == sorted(set(found.starts))


def test_days_are_those_of_the_zone_over_its_change_of_the_clock():
    days = grid(
        Tier.DAY,
        from_at=datetime(2026, 10, 24, 9, tzinfo=UTC),
        to_at=datetime(2026, 10, 26, 9, tzinfo=UTC),
        zone="Europe/Prague",
        points=100,
    )

    lengths = [
        (high - low) / timedelta(hours=1)
        for low, high in zip(days.starts, [*days.starts[1:], days.end_at], strict=True)
    ]
    assert lengths == [24, 25, 24]
    assert days.days == [date(2026, 10, 24), date(2026, 10, 25), date(2026, 10, 26)]


def test_days_that_do_not_fit_are_put_together():
    days = grid(Tier.DAY, from_at=AT - timedelta(days=365), to_at=AT, zone="UTC", points=100)

    assert (len(days.starts), days.together, len(days.days)) == (92, 4, 366)


def test_an_axis_is_told_by_its_steps():
    found = axis(Tier.QUARTER, [to_ms(AT), to_ms(AT) + 5, to_ms(AT) + 25], end_ms=to_ms(AT) + 30)

    assert list(found.deltas_ms) == [5, 20]
    assert found.times_ms == [to_ms(AT), to_ms(AT) + 5, to_ms(AT) + 25]
    assert axis(Tier.RAW, [], end_ms=7).times_ms == []
