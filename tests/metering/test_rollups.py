"""Rollups in the tables: equal to the reference, computed only where something changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from metering.models import RollupDue, RollupMark, Stream, StreamPeriod, TelemetryDay, TelemetryQuarter
from metering.rules import QUARTER
from metering.selectors.periods import rollup_backlog
from metering.services.due import first_due, fold_marks
from metering.services.marks import forget_longest_period
from metering.services.rollups import Rolled, rebuild, roll_up_chunk, roll_up_telemetry
from plants.errors import Invalid
from plants.models import TelemetryReading
from tests.factories import plant
from tests.metering.rollup_world import (
    ENERGY_COLUMNS,
    HOUR,
    RULES,
    START,
    assert_same,
    expected,
    sample,
    store,
    tables,
)

LATER = START + timedelta(days=2)
NOTHING = Rolled(marks=0, quarters=0, more=False)


@pytest.fixture
def depot(db):
    return plant()


def quarter_of(depot, start_at=START):
    return TelemetryQuarter.objects.get(plant=depot, start_at=start_at)


@pytest.mark.django_db
def test_the_tables_hold_what_the_reference_says(depot):
    store(depot.pk, [sample(10 * n, n % 7 - 3.0, 2.0, -1.0 * (n % 3), 4.0, 50.0) for n in range(500)])

    rolled = roll_up_telemetry(at=LATER, rules=RULES)

    assert rolled == Rolled(marks=6, quarters=6, more=False)
    assert_same(tables(depot.pk), expected(depot.pk, zone=depot.time_zone))
    assert not RollupDue.objects.exists() and not RollupMark.objects.exists()


@pytest.mark.django_db
def test_a_second_run_finds_nothing_to_do_and_changes_nothing(depot):
    store(depot.pk, [sample(10 * n, 1.0) for n in range(100)])
    roll_up_telemetry(at=LATER, rules=RULES)
    before = list(TelemetryQuarter.objects.values())

    again = roll_up_telemetry(at=LATER + HOUR, rules=RULES)

    assert again == NOTHING
    assert list(TelemetryQuarter.objects.values()) == before


@pytest.mark.django_db
def test_a_quarter_hour_waits_for_its_end_and_the_grace(depot):
    store(depot.pk, [sample(10 * n, 1.0) for n in range(80)])
    end = START + QUARTER

    too_early = roll_up_telemetry(at=end + timedelta(seconds=59.9), rules=RULES)
    in_time = roll_up_telemetry(at=end + timedelta(seconds=60), rules=RULES)

    assert (too_early.quarters, in_time.quarters) == (0, 1)


@pytest.mark.django_db
def test_a_late_sample_runs_only_its_own_quarter_hour_hour_and_day_again(depot):
    store(depot.pk, [sample(900 * n, 1.0) for n in range(8)])
    roll_up_telemetry(at=LATER, rules=RULES)

    store(depot.pk, [sample(2000, 5.0)])
    roll_up_telemetry(at=LATER + HOUR, rules=RULES)

    again = TelemetryQuarter.objects.filter(computed_at=LATER + HOUR)
    assert [row.start_at for row in again] == [START + 2 * QUARTER]
    assert_same(tables(depot.pk), expected(depot.pk, zone=depot.time_zone))


@pytest.mark.django_db
def test_a_late_sample_that_is_held_over_the_boundary_runs_the_next_quarter_hour_too(depot):
    store(depot.pk, [sample(100, 1.0), sample(905, 1.0)])
    roll_up_telemetry(at=LATER, rules=RULES)

    store(depot.pk, [sample(899, 9.0)])
    roll_up_telemetry(at=LATER + HOUR, rules=RULES)

    assert quarter_of(depot, START + QUARTER).grid_power_kw_max == 9.0
    assert_same(tables(depot.pk), expected(depot.pk, zone=depot.time_zone))


@pytest.mark.django_db
def test_a_correction_of_better_quality_replaces_what_was_rolled_up(depot):
    store(depot.pk, [sample(5, 100.0, rank=1)])
    roll_up_telemetry(at=LATER, rules=RULES)

    store(depot.pk, [sample(5, 40.0, rank=3)])
    roll_up_telemetry(at=LATER, rules=RULES)

    assert (quarter_of(depot).grid_power_kw_mean, quarter_of(depot).quality_rank) == (40.0, 3)


@pytest.mark.django_db
@pytest.mark.parametrize("value", [5e-324, -5e-324, 2.0**53 - 1, -(2.0**53) + 1])
def test_the_smallest_and_the_largest_number_on_the_wire_stop_nothing(depot, value):
    store(depot.pk, [sample(after_s, *[value] * 7) for after_s in (0, 0.000001, 899.999999)])

    roll_up_telemetry(at=LATER, rules=RULES)

    assert_same(tables(depot.pk), expected(depot.pk, zone=depot.time_zone))


@pytest.mark.django_db
def test_a_plant_whose_samples_come_slower_holds_each_of_them_longer(depot):
    StreamPeriod.objects.create(
        plant=depot, stream=Stream.REALTIME, valid_from=START, period_s=60, source=StreamPeriod.Source.SET
    )
    forget_longest_period()
    store(depot.pk, [sample(60 * n, 1.0) for n in range(-15, 15)])

    roll_up_telemetry(at=LATER, rules=RULES)

    before, since = quarter_of(depot, START - QUARTER), quarter_of(depot)
    assert before.covered_s == pytest.approx(15 * 15)
    assert since.coverage_pct == pytest.approx(100)
    assert since.samples == 15


@pytest.mark.django_db
def test_of_a_longer_hold_than_a_quarter_hour_every_quarter_hour_gets_its_part(depot):
    StreamPeriod.objects.create(
        plant=depot,
        stream=Stream.REALTIME,
        valid_from=START - HOUR,
        period_s=900,
        source=StreamPeriod.Source.SET,
    )
    forget_longest_period()
    store(depot.pk, [sample(800, 4.0)])

    roll_up_telemetry(at=LATER, rules=RULES)

    assert [row.covered_s for row in TelemetryQuarter.objects.order_by("start_at")] == [100, 900, 350]


@pytest.mark.django_db
def test_rows_of_intervals_whose_samples_are_gone_are_deleted(depot):
    store(depot.pk, [sample(5, 1.0), sample(4000, 1.0)])
    roll_up_telemetry(at=LATER, rules=RULES)
    TelemetryReading.objects.filter(plant=depot).delete()

    rebuild(plant_ids=[depot.pk], from_at=START, to_at=START + 2 * HOUR, at=LATER, rules=RULES)

    assert tables(depot.pk) == {"quarters": {}, "hours": {}, "days": {}}


@pytest.mark.django_db
def test_a_rebuild_leaves_the_open_quarter_hour_out(depot):
    store(depot.pk, [sample(10 * n, 1.0) for n in range(200)])

    looked_at = rebuild(
        plant_ids=[depot.pk],
        from_at=START,
        to_at=START + HOUR,
        at=START + QUARTER + timedelta(seconds=90),
        rules=RULES,
    )

    assert looked_at == 1
    assert [row.start_at for row in TelemetryQuarter.objects.all()] == [START]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("from_at", "to_at", "path"),
    [(START, START, "to_at"), (START - timedelta(days=400), START, "from_at")],
)
def test_a_rebuild_refuses_nothing_and_what_the_history_has_forgotten(depot, from_at, to_at, path):
    with pytest.raises(Invalid) as refused:
        rebuild(plant_ids=[depot.pk], from_at=from_at, to_at=to_at, at=START + HOUR, rules=RULES)

    assert refused.value.path == path


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("Europe/Prague", datetime(2026, 3, 29, 12, tzinfo=UTC), 23),
        ("Europe/Prague", datetime(2026, 10, 25, 12, tzinfo=UTC), 25),
        ("Asia/Kolkata", datetime(2026, 5, 1, 12, tzinfo=UTC), 24),
        ("Asia/Kathmandu", datetime(2026, 5, 1, 12, tzinfo=UTC), 24),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 1, tzinfo=UTC), 24.5),
        ("Atlantic/Azores", datetime(2026, 10, 25, 12, tzinfo=UTC), 25),
        ("Africa/Cairo", datetime(2026, 4, 24, 12, tzinfo=UTC), 23),
    ],
)
def test_a_local_day_holds_all_its_quarter_hours_and_their_energies(zone, noon, hours):
    depot = plant(time_zone=zone)
    around = [(noon - START).total_seconds() + 900 * n + 1 for n in range(-120, 120)]
    store(depot.pk, [sample(after_s, 3.6, 1.0, -2.0, 4.0) for after_s in around])

    roll_up_telemetry(at=noon + timedelta(days=3), rules=RULES)

    day = TelemetryDay.objects.get(plant=depot, start_at__lte=noon, end_at__gt=noon)
    within = TelemetryQuarter.objects.filter(start_at__gte=day.start_at, start_at__lt=day.end_at)
    assert (day.end_at - day.start_at) == timedelta(hours=hours)
    assert len(within) == day.samples == hours * 4
    for column in ENERGY_COLUMNS:
        assert getattr(day, column) == pytest.approx(sum(getattr(row, column) for row in within), rel=1e-9)
    assert day.coverage_pct == pytest.approx(100 * 15 / 900)
    assert_same(tables(depot.pk), expected(depot.pk, zone=zone))


@pytest.mark.django_db
def test_a_plant_that_is_gone_does_not_stop_the_others(depot):
    gone = plant()
    store(depot.pk, [sample(5, 1.0)])
    store(gone.pk, [sample(5, 1.0)])
    gone.delete()

    rolled = roll_up_telemetry(at=LATER, rules=RULES)

    assert rolled.quarters == 2 and not RollupDue.objects.exists()
    assert [row.plant_id for row in TelemetryQuarter.objects.all()] == [depot.pk]


@pytest.mark.django_db
def test_a_backlog_is_worked_off_in_chunks_oldest_first_and_its_age_is_told(depot):
    store(depot.pk, [sample(900 * n, 1.0) for n in range(120)])
    fold_marks()
    before = rollup_backlog(stream=Stream.REALTIME, at=LATER, rules=RULES)

    done = roll_up_chunk(at=LATER, rules=RULES)

    after = rollup_backlog(stream=Stream.REALTIME, at=LATER, rules=RULES)
    assert (before.quarters, done, after.quarters) == (120, RULES.chunk, 120 - RULES.chunk)
    assert (before.oldest_start, after.oldest_start) == (START, START + RULES.chunk * QUARTER)
    assert after.oldest_age == before.oldest_age - RULES.chunk * QUARTER
    assert after.oldest_age == LATER - RULES.grace - QUARTER - after.oldest_start


@pytest.mark.django_db
def test_marks_that_were_not_folded_yet_count_in_the_age_of_the_backlog(depot):
    store(depot.pk, [sample(5, 1.0)])

    backlog = rollup_backlog(stream=Stream.REALTIME, at=LATER, rules=RULES)

    assert (backlog.marks, backlog.quarters, backlog.oldest_start) == (1, 0, START)


@pytest.mark.django_db
def test_a_run_that_has_spent_its_budget_says_that_more_is_left(depot):
    store(depot.pk, [sample(900 * n, 1.0) for n in range(120)])

    rolled = roll_up_telemetry(at=LATER, rules=replace(RULES, budget_s=0.0))

    assert rolled == Rolled(marks=120, quarters=RULES.chunk, more=True)


@pytest.mark.django_db(transaction=True)
def test_a_chunk_that_fails_leaves_its_quarter_hours_due(depot, monkeypatch):
    store(depot.pk, [sample(5, 1.0)])
    fold_marks()
    seen = first_due(stream=Stream.REALTIME, ready=LATER, limit=10)
    monkeypatch.setattr("metering.services.rollups._days", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        roll_up_chunk(at=LATER, rules=RULES)

    assert first_due(stream=Stream.REALTIME, ready=LATER, limit=10) == seen
    assert not TelemetryQuarter.objects.exists()


@pytest.mark.django_db
@pytest.mark.postgresql  # SQLite computes interval by interval
def test_a_chunk_costs_the_same_few_statements_however_many_plants(django_assert_num_queries):
    for _ in range(30):
        store(plant().pk, [sample(5, 1.0), sample(1000, 1.0)])
    fold_marks()
    roll_up_chunk(at=LATER, rules=replace(RULES, chunk=1))

    # What is due, savepoint, lock, take, zones, periods, quarter-hours, hours, days, release.
    with django_assert_num_queries(10):
        roll_up_chunk(at=LATER, rules=RULES)
