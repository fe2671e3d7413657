"""Months of the rollups, and what must not be dropped although its time is over."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from metering.models import Gap, RetentionHold, RollupDue, RollupMark, Stream, TelemetryQuarter
from metering.partitions import ROLLUPS
from metering.selectors.holds import why_kept
from metering.services.holds import hold, release
from plants.errors import Invalid, NotFound
from plants.models import TelemetryReading
from plants.services import partitions
from plants.services.partitions import (
    READINGS,
    Span,
    ensure_partitions,
    forget_known_partitions,
    maintain_partitions,
)
from tests import factories
from tests.factories import AT
from tests.queries import queries_of
from tests.threads import Aside

KEEP_DAYS = 30
OLD = AT - timedelta(days=40)
OLD_DAY = Span(
    low=datetime(OLD.year, OLD.month, OLD.day, tzinfo=UTC),
    high=datetime(OLD.year, OLD.month, OLD.day, tzinfo=UTC) + timedelta(days=1),
)


def children(table):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
            [table],
        )
        return [name.removeprefix(f"{table}_") for (name,) in cursor.fetchall()]


def reading(plant, at):
    ensure_partitions(days=[at.date()])
    TelemetryReading.objects.create(
        plant=plant, measured_at=at, received_at=at, data_quality="GOOD", quality_rank=3, operating_mode=""
    )


def quarter(plant, at):
    ensure_partitions(days=[at.date()], tables=ROLLUPS)
    TelemetryQuarter.objects.create(
        plant=plant, start_at=at, samples=1, covered_s=900, coverage_pct=100, good_s=900, computed_at=at
    )


def tick(at=AT):
    return maintain_partitions(at=at, retention_days=KEEP_DAYS, why_kept=why_kept)


def gap(plant, from_at, to_at, **changes):
    facts = {"stream": Stream.REALTIME, "expected_period_s": 10, "found_at": to_at or AT, "missing_s": 1}
    return Gap.objects.create(plant=plant, from_at=from_at, to_at=to_at, **(facts | changes))


@pytest.mark.postgresql
@pytest.mark.django_db
class TestMonths:
    def test_the_tick_makes_this_month_and_the_next_for_every_table(self):
        maintain_partitions(at=AT, retention_days=KEEP_DAYS, tables=ROLLUPS)

        assert [children(table.name) for table in ROLLUPS] == [["202601", "202602"]] * 4

    @pytest.mark.parametrize("day", [datetime(2026, 12, 31, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)])
    def test_a_month_takes_its_first_and_its_last_moment(self, day):
        plant = factories.plant()
        last = day + timedelta(days=1) - timedelta(microseconds=1)

        for moment in (day.replace(day=1), last, last + timedelta(microseconds=1)):
            quarter(plant, moment)

        assert TelemetryQuarter.objects.count() == 3
        assert len(children("metering_telemetryquarter")) == 2

    def test_a_month_goes_when_its_last_day_has_outlived_the_retention(self):
        ensure_partitions(days=[datetime(2025, 11, 5, tzinfo=UTC).date()], tables=ROLLUPS)
        last_day_kept = datetime(2025, 12, 30, 23, 59, tzinfo=UTC)

        kept = maintain_partitions(at=last_day_kept, retention_days=KEEP_DAYS, tables=ROLLUPS)
        dropped = maintain_partitions(
            at=last_day_kept + timedelta(days=1), retention_days=KEEP_DAYS, tables=ROLLUPS
        )

        assert (kept, dropped) == (0, 4)

    def test_a_partition_that_somebody_else_named_is_left_alone(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE plants_telemetryreading_archive PARTITION OF plants_telemetryreading"
                " FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"
            )

        assert tick() == 0
        assert "archive" in children("plants_telemetryreading")

    def test_what_a_process_remembers_is_bounded(self, monkeypatch):
        monkeypatch.setattr(partitions, "_REMEMBERED_AT_MOST", 4)

        ensure_partitions(days=[(AT + timedelta(days=n)).date() for n in range(5)])

        assert len(partitions._made) <= 4


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
class TestWithReaders:
    @pytest.fixture(autouse=True)
    def no_partitions_before_and_after(self):
        yield
        for table in (*READINGS, *ROLLUPS):
            for name in children(table.name):
                with connection.cursor() as cursor:
                    cursor.execute(f"DROP TABLE {table.name}_{name}")
        forget_known_partitions()

    def test_a_long_reader_keeps_a_partition_and_blocks_nobody_and_it_goes_with_the_next_tick(self):
        plant = factories.plant()
        reading(plant, AT)
        ensure_partitions(days=[OLD.date()])
        tick(AT)  # everything ahead is there
        ensure_partitions(days=[OLD.date()])

        with transaction.atomic():
            TelemetryReading.objects.count()  # holds its locks until the end
            during = Aside(tick).answer()
            reader = Aside(TelemetryReading.objects.count).answer()

        assert during == 1  # of the meters, which nobody reads
        assert reader == 1
        assert tick() == 1
        assert "20251123" not in children("plants_telemetryreading")


@pytest.mark.django_db
class TestWhatStays:
    def test_what_somebody_holds_stays_until_it_is_released(self):
        plant = factories.plant()
        reading(plant, OLD)
        held = hold(
            from_at=OLD - timedelta(days=5), to_at=OLD, reason="bill 2025-11 is disputed", by="jana", at=AT
        )

        tick()
        kept = TelemetryReading.objects.count()
        release(hold_id=held.pk, by="jana", at=AT)
        tick()

        assert kept == 1
        assert why_kept(OLD_DAY) == ""
        assert TelemetryReading.objects.count() == 0

    def test_a_hold_says_why(self):
        hold(from_at=OLD, to_at=AT, reason="bill 2025-11 is disputed", by="jana", at=AT)

        assert why_kept(OLD_DAY) == "held: bill 2025-11 is disputed"
        assert why_kept(Span(low=AT, high=AT + timedelta(days=1))) == ""

    @pytest.mark.parametrize("to_at", [OLD + timedelta(hours=1), None], ids=["closed", "open"])
    def test_days_that_a_gap_waits_for_stay_until_it_is_filled_or_given_up(self, to_at):
        plant = factories.plant()
        reading(plant, OLD)
        row = gap(plant, OLD, to_at)

        tick()
        kept = TelemetryReading.objects.count()
        Gap.objects.filter(pk=row.pk).update(given_up_at=AT)
        tick()

        assert (kept, TelemetryReading.objects.count()) == (1, 0)

    def test_a_gap_that_was_filled_keeps_nothing(self):
        gap(factories.plant(), OLD, OLD + timedelta(hours=1), filled_at=AT)

        assert why_kept(OLD_DAY) == ""

    def test_a_gap_of_other_days_keeps_nothing(self):
        gap(factories.plant(), OLD_DAY.low - timedelta(hours=2), OLD_DAY.low)
        gap(factories.plant(), OLD_DAY.high, None)

        assert why_kept(OLD_DAY) == ""

    @pytest.mark.parametrize("stream", Stream.values)
    def test_what_is_not_rolled_up_yet_stays(self, stream):
        plant = factories.plant()
        due = RollupDue.objects.create(stream=stream, plant=plant, start_at=OLD)
        assert why_kept(OLD_DAY) == "not rolled up yet"
        due.delete()
        RollupMark.objects.create(stream=stream, start_at=OLD, plant_ids=[plant.pk])
        assert why_kept(OLD_DAY) == "not rolled up yet"

    def test_the_question_costs_the_same_whatever_is_kept(self):
        plant = factories.plant()
        for n in range(20):
            gap(plant, OLD_DAY.high + timedelta(minutes=n), None)

        assert queries_of(lambda: why_kept(OLD_DAY)) == 4

    @pytest.mark.parametrize(
        ("from_at", "to_at", "reason", "path"), [(AT, AT, "x", "to_at"), (OLD, AT, " ", "reason")]
    )
    def test_a_hold_of_no_time_or_without_a_reason_is_refused(self, from_at, to_at, reason, path):
        with pytest.raises(Invalid) as refused:
            hold(from_at=from_at, to_at=to_at, reason=reason, by="jana", at=AT)

        assert refused.value.path == path
        assert not RetentionHold.objects.exists()

    def test_a_hold_is_released_once(self):
        held = hold(from_at=OLD, to_at=AT, reason="x", by="jana", at=AT)
        release(hold_id=held.pk, by="jana", at=AT)

        with pytest.raises(NotFound):
            release(hold_id=held.pk, by="petr", at=AT)


@pytest.mark.django_db
def test_old_rollups_are_gone_after_the_tick_on_every_database():
    plant = factories.plant()
    quarter(plant, datetime(2025, 10, 31, 23, 45, tzinfo=UTC))
    quarter(plant, datetime(2025, 12, 3, tzinfo=UTC))

    maintain_partitions(at=AT, retention_days=KEEP_DAYS, tables=ROLLUPS, why_kept=why_kept)

    assert [one.start_at.month for one in TelemetryQuarter.objects.all()] == [12]


@pytest.mark.django_db
def test_where_rows_are_deleted_no_statement_takes_more_than_a_bounded_number(monkeypatch):
    ensure_partitions(days=[OLD.date()])
    monkeypatch.setattr(partitions, "_partitioned", lambda: False)
    monkeypatch.setattr(partitions, "DELETED_AT_ONCE", 10)
    monkeypatch.setattr(partitions, "DELETIONS_AT_MOST", 3)
    plant = factories.plant()
    TelemetryReading.objects.bulk_create(
        TelemetryReading(
            plant=plant,
            measured_at=OLD + timedelta(seconds=n),
            received_at=OLD,
            data_quality="GOOD",
            quality_rank=3,
            operating_mode="",
        )
        for n in range(45)
    )

    assert [tick(), tick(), tick()] == [30, 15, 0]
