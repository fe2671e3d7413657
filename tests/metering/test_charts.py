"""Series of one plant's telemetry: what is known at each point, up to the newest sample, in few queries."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from metering.models import Stream, StreamPeriod, TelemetryQuarter
from metering.rollup import MEASURES
from metering.rules import QUARTER
from metering.selectors.charts import day_chart, telemetry_series
from metering.services.rollups import roll_up_telemetry
from metering.tiers import Tier, to_ms
from plants.errors import Invalid, NotFound
from tests.factories import plant
from tests.metering.rollup_world import HOUR, RULES, START, sample, store
from tests.queries import queries_of

GRID, SOC = "grid_power_kw", "soc_pct"
LATER = START + timedelta(days=3)


@pytest.fixture
def depot(db):
    return plant()


def series(depot, *, until=HOUR, since=timedelta(0), at=LATER, width_px=1000, measures=(GRID,), rules=RULES):
    return telemetry_series(
        plant_id=depot.pk,
        measures=measures,
        from_at=START + since,
        to_at=START + until,
        width_px=width_px,
        at=at,
        rules=rules,
    )


def seconds(found):
    """The points' moments after START."""
    return [(moment - to_ms(START)) / 1000 for moment in found.axis.times_ms]


# --- samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_short_range_shows_every_sample_with_its_quality(depot):
    store(
        depot.pk, [sample(10 * n, n - 2.0, rank=3 if n else 1, word=None if n else "STALE") for n in range(5)]
    )

    found = series(depot)

    assert found.axis.tier is Tier.RAW
    assert seconds(found) == [0, 10, 20, 30, 40]
    assert list(found.curves[GRID].mean) == [-2, -1, 0, 1, 2]
    assert list(found.quality_rank) == [1, 3, 3, 3, 3]
    assert set(found.coverage_pct) == {100.0}
    assert found.axis.end_ms == to_ms(START) + 55_000


@pytest.mark.django_db
def test_the_line_breaks_where_samples_are_further_apart_than_two_expected_periods(depot):
    store(depot.pk, [sample(n, 1.0) for n in (0, 10, 30, 50.001, 60)])

    found = series(depot)

    assert seconds(found) == [0, 10, 30, 50, 50.001, 60]
    assert list(found.curves[GRID].mean) == [1, 1, 1, None, 1, 1]
    assert list(found.coverage_pct) == [100, 100, 100, 0, 100, 100]
    assert found.quality_rank[3] is None


@pytest.mark.django_db
def test_the_line_of_a_slow_stream_breaks_by_its_own_period(depot):
    StreamPeriod.objects.create(
        plant=depot, stream=Stream.REALTIME, valid_from=START - HOUR, period_s=60.0, source="SET"
    )
    store(depot.pk, [sample(n, 1.0) for n in (0, 60, 180, 301)])

    found = series(depot)

    assert list(found.curves[GRID].mean) == [1, 1, 1, None, 1]


@pytest.mark.django_db
def test_what_voke_sent_as_null_or_missing_is_not_drawn(depot):
    store(depot.pk, [sample(0, 1.0), sample(10, None, 5.0), sample(20, 3.0, rank=0, word="MISSING")])

    found = series(depot)

    assert list(found.curves[GRID].mean) == [1, None, None]
    assert list(found.coverage_pct) == [100, 100, 0]


@pytest.mark.django_db
def test_more_samples_than_expected_are_shown_by_quarter_hours(depot):
    store(depot.pk, [sample(n, 1.0) for n in range(300)])

    wide, narrow = series(depot, until=QUARTER, width_px=400), series(depot, until=QUARTER, width_px=140)

    assert (wide.axis.tier, len(wide.coverage_pct)) == (Tier.RAW, 300)
    assert (narrow.axis.tier, len(narrow.coverage_pct)) == (Tier.QUARTER, 1)


@pytest.mark.django_db
def test_a_plant_without_samples_has_an_empty_series(depot):
    found = series(depot)

    assert (found.axis.start_ms, list(found.curves[GRID].mean), found.newest_at) == (None, [], None)


# --- buckets ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_day_shows_quarter_hours_with_least_most_mean_and_last(depot):
    store(depot.pk, [sample(10 * n, 50.0 if n == 45 else 1.0, soc) for n in range(90) for soc in [None]])
    store(depot.pk, [sample(2700 + 10 * n, -2.0, rank=2) for n in range(45)])
    roll_up_telemetry(at=LATER, rules=RULES)

    found = series(depot, until=timedelta(hours=24))

    assert found.axis.tier is Tier.QUARTER
    assert seconds(found) == [900 * n for n in range(96)]
    curve = found.curves[GRID]
    assert curve.mean[0] == pytest.approx((89 * 1.0 + 50.0) / 90)
    assert [curve.least[0], curve.most[0], curve.last[0]] == [1, 50, 1]
    assert [curve.mean[2], curve.most[2], curve.mean[3]] == [None, None, -2]
    assert found.coverage_pct[:5] == [100, pytest.approx(5 / 9), 0, pytest.approx(50.0 + 5 / 9), 0]
    assert list(found.quality_rank[:5]) == [3, 3, None, 2, None]


@pytest.mark.django_db
def test_a_month_shows_hours_and_a_year_days(depot):
    store(depot.pk, [sample(3600 * n + 10 * m, float(n)) for n in range(3) for m in range(2)])
    at = START + timedelta(days=40)
    roll_up_telemetry(at=at, rules=RULES)

    month = series(depot, until=timedelta(days=31), at=at)
    year = series(depot, since=timedelta(days=-364), until=timedelta(days=1), at=at)

    assert (month.axis.tier, len(month.coverage_pct)) == (Tier.HOUR, 744)
    assert list(month.curves[GRID].mean[:4]) == [0, 1, 2, None]
    assert (year.axis.tier, len(year.coverage_pct)) == (Tier.DAY, 366)
    assert year.curves[GRID].mean[364] == pytest.approx(1.0)
    assert year.coverage_pct[364] == pytest.approx(100 * 3 * 25 / 86_400)


@pytest.mark.django_db
def test_days_that_are_put_together_keep_their_spikes_and_their_weights(depot):
    store(depot.pk, [sample(0, 10.0), sample(10, 10.0), sample(86_400, -5.0)])
    at = START + timedelta(days=40)
    roll_up_telemetry(at=at, rules=RULES)

    found = series(depot, since=timedelta(days=-49), until=timedelta(days=10), at=at, width_px=10)

    (place,) = [n for n, value in enumerate(found.curves[GRID].mean) if value is not None]
    curve = found.curves[GRID]
    assert len(curve.mean) == 20
    assert [curve.least[place], curve.most[place], curve.last[place]] == [-5, 10, -5]
    assert curve.mean[place] == pytest.approx((25 * 10 - 15 * 5) / 40)


# --- what is not rolled up yet ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_newest_sample_is_shown_before_its_quarter_hour_is_rolled_up(depot):
    store(depot.pk, [sample(10 * n, 1.0) for n in range(90)])
    roll_up_telemetry(at=START + QUARTER + timedelta(minutes=2), rules=RULES)
    store(depot.pk, [sample(900 + 10 * n, 2.0 + n, rank=2) for n in range(20)])
    now = START + QUARTER + timedelta(seconds=200)

    found = series(depot, since=-12 * HOUR, until=12 * HOUR, at=now)

    assert found.axis.tier is Tier.QUARTER
    assert (seconds(found)[-1], found.newest_at) == (900, START + timedelta(seconds=1090))
    assert [found.curves[GRID].last[-1], found.curves[GRID].most[-1], found.quality_rank[-1]] == [21, 21, 2]
    assert found.coverage_pct[-2:] == [100, 100]
    assert found.unread is None


@pytest.mark.django_db
@pytest.mark.parametrize("rolled_up", [0, 1, 2, 3, 5])
@pytest.mark.parametrize(
    ("days", "width_px", "tier"), [(1, 1000, Tier.QUARTER), (1, 40, Tier.HOUR), (80, 1000, Tier.DAY)]
)
def test_a_chart_is_the_same_however_far_the_roll_up_has_come(depot, rolled_up, days, width_px, tier):
    store(depot.pk, [sample(7.3 * n, n % 13 - 4.0, float(n % 5)) for n in range(600)])
    now = START + timedelta(seconds=7.3 * 599)
    since, until = timedelta(hours=1) - timedelta(days=days), timedelta(hours=2)
    roll_up_telemetry(at=START + rolled_up * QUARTER + RULES.grace, rules=RULES)
    rolled = TelemetryQuarter.objects.count()
    early = series(
        depot, since=since, until=until, at=now, width_px=width_px, measures=(GRID, "fve_power_kw")
    )
    roll_up_telemetry(at=LATER, rules=RULES)

    late = series(depot, since=since, until=until, at=now, width_px=width_px, measures=(GRID, "fve_power_kw"))

    assert (early.axis.tier, rolled, TelemetryQuarter.objects.count()) == (tier, rolled_up, 5)
    assert early.axis == late.axis and early.quality_rank == late.quality_rank
    for name, curve in late.curves.items():
        for what, values in vars(curve).items():
            assert getattr(early.curves[name], what) == pytest.approx(values, nan_ok=True), (name, what)


@pytest.mark.django_db
def test_what_is_left_out_when_the_roll_ups_are_far_behind_is_told(depot, monkeypatch):
    monkeypatch.setattr("metering.selectors.charts.READ_AT_MOST", 100)
    store(depot.pk, [sample(10 * n, float(n)) for n in range(400)])
    now = START + timedelta(seconds=3995)

    found = series(depot, since=-12 * HOUR, until=12 * HOUR, at=now)

    assert found.unread == (START - 12 * HOUR, START + timedelta(seconds=3000))
    assert found.curves[GRID].last[-1] == 399
    assert [value is None for value in found.curves[GRID].mean[-5:]] == [True, True, True, False, False]


@pytest.mark.django_db
def test_the_open_bucket_is_covered_by_the_time_that_has_passed(depot):
    store(depot.pk, [sample(10 * n, 1.0) for n in range(12)])
    now = START + timedelta(seconds=240)

    found = series(depot, since=-12 * HOUR, until=12 * HOUR, at=now)

    assert found.coverage_pct[-1] == pytest.approx(100 * 125 / 240)


# --- local days -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "day", "slots"),
    [
        ("Europe/Prague", date(2026, 3, 28), 96),
        ("Europe/Prague", date(2026, 3, 29), 92),
        ("Europe/Prague", date(2026, 10, 25), 100),
        ("Asia/Kathmandu", date(2026, 3, 29), 96),
        ("Australia/Lord_Howe", date(2026, 4, 5), 98),
    ],
)
def test_a_day_chart_has_the_slots_of_the_local_day(zone, day, slots):
    depot = plant(time_zone=zone)

    found = day_chart(plant_id=depot.pk, day=day, at=datetime(2026, 12, 1, tzinfo=UTC), rules=RULES)

    begin = datetime.fromtimestamp(found.axis.times_ms[0] / 1000, UTC)
    assert len(found.coverage_pct) == slots
    assert (found.axis.end_ms - found.axis.start_ms) == slots * 900_000
    assert begin.astimezone(ZoneInfo(zone)).isoformat()[:16] == f"{day}T00:00"
    assert set(found.curves) == set(MEASURES)


@pytest.mark.django_db
def test_a_day_chart_has_empty_slots_for_what_is_still_to_come(depot):
    store(depot.pk, [sample(10 * n, 1.0) for n in range(100)])
    now = START + timedelta(seconds=1000)

    found = day_chart(plant_id=depot.pk, day=START.date(), at=now, rules=RULES, measures=(GRID,))

    noon = 13 * 4  # Prague is an hour ahead of UTC
    assert found.curves[GRID].mean[noon : noon + 3] == (1, 1, None)
    assert found.coverage_pct[noon - 1 : noon + 4] == [0, 100, 100, None, None]


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"until": timedelta(0)}, "to_at"),
        ({"since": HOUR, "until": timedelta(0)}, "to_at"),
        ({"width_px": 0}, "width_px"),
        ({"width_px": 20_001}, "width_px"),
        ({"measures": ()}, "measures"),
        ({"measures": (GRID, GRID)}, "measures"),
        ({"measures": (GRID, "grid_power_kw; DROP TABLE")}, "measures[1]"),
        ({"since": timedelta(days=-1801)}, "from_at"),
        ({"since": timedelta(days=-40_000), "until": timedelta(days=-39_999)}, "from_at"),
        ({"until": timedelta(days=40_000)}, "to_at"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_its_path(depot, changes, path):
    with pytest.raises(Invalid) as refused:
        series(depot, **changes)

    assert refused.value.path == path


@pytest.mark.django_db
def test_a_day_that_is_not_kept_and_a_plant_that_is_not_there_are_refused(depot):
    with pytest.raises(Invalid) as too_old:
        day_chart(plant_id=depot.pk, day=date(2020, 1, 1), at=LATER, rules=RULES)
    with pytest.raises(NotFound):
        day_chart(plant_id=depot.pk + 1, day=START.date(), at=LATER, rules=RULES)

    assert too_old.value.path == "day"


@pytest.mark.django_db
def test_a_moment_without_a_zone_is_refused(depot):
    with pytest.raises(Invalid) as refused:
        telemetry_series(
            plant_id=depot.pk,
            measures=[GRID],
            from_at=START.replace(tzinfo=None),
            to_at=LATER,
            width_px=100,
            at=LATER,
            rules=RULES,
        )

    assert refused.value.path == "from_at"


@pytest.mark.django_db
def test_samples_that_are_no_longer_kept_are_not_looked_for(depot):
    store(depot.pk, [sample(10 * n, 1.0) for n in range(90)])
    roll_up_telemetry(at=LATER, rules=RULES)

    found = series(depot, rules=replace(RULES, readings_kept=timedelta(days=2)))

    assert (found.axis.tier, len(found.coverage_pct)) == (Tier.QUARTER, 4)


@pytest.mark.django_db
def test_the_number_of_queries_and_of_rows_is_bounded(depot):
    store(depot.pk, [sample(10 * n, 1.0) for n in range(2000)])
    roll_up_telemetry(at=START + 8 * QUARTER, rules=RULES)
    now = START + timedelta(seconds=20_000)

    counts = [
        queries_of(
            lambda span=span: series(
                depot,
                since=timedelta(seconds=20_000) - span,
                until=timedelta(seconds=20_000),
                at=now,
                measures=MEASURES,
            )
        )
        for span in (timedelta(hours=4), timedelta(days=1), timedelta(days=31), timedelta(days=365))
    ]

    assert counts == [3, 4, 4, 4]
    assert queries_of(lambda: series(depot, until=timedelta(days=1), at=LATER + timedelta(days=30))) == 3
    assert queries_of(lambda: day_chart(plant_id=depot.pk, day=START.date(), at=now, rules=RULES)) == 4
