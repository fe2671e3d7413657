"""Daily partitions on PostgreSQL: made ahead and on demand by any number of processes, dropped by retention."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction

from plants.models import MeterReading, TelemetryReading
from plants.services.partitions import (
    DAYS_AHEAD,
    ensure_partitions,
    forget_known_partitions,
    maintain_partitions,
    partition_name,
)
from plants.services.readings import MeterSample, RealtimeSample, store_meters, store_realtime
from tests import factories
from tests.factories import AT
from tests.queries import queries_of
from tests.threads import Aside, together
from vcp import MeterRegisters, MeterTelemetry, RealtimeTelemetry

TABLES = ("plants_telemetryreading", "plants_meterreading")
TODAY = AT.date()


def day(offset):
    return TODAY + timedelta(days=offset)


def partitions(table=TABLES[0]):
    """The days that a table has partitions for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
            [table],
        )
        names = [name for (name,) in cursor.fetchall()]
    return [datetime.strptime(name.rsplit("_", 1)[1], "%Y%m%d").replace(tzinfo=UTC).date() for name in names]


def drop_all():
    for table in TABLES:
        for one in partitions(table):
            with connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE {partition_name(table, one)}")
    forget_known_partitions()


@transaction.atomic
def measure(plant, at):
    telemetry = RealtimeTelemetry(data_quality="GOOD", grid_power_kw=1.0)
    store_realtime(
        samples=[RealtimeSample(plant_id=plant.pk, measured_at=at, telemetry=telemetry, raw_devices=[])],
        at=at,
    )
    registers = (MeterRegisters(device_id="M1", import_register_kwh=1.0),)
    meters = MeterTelemetry(reading_at=at, data_quality="GOOD", meters=registers)
    store_meters(samples=[MeterSample(plant_id=plant.pk, telemetry=meters)], at=at)


@pytest.mark.postgresql
@pytest.mark.django_db
class TestOnPostgreSQL:
    @pytest.fixture(autouse=True)
    def only_what_a_test_makes(self):
        """Tests that commit leave partitions behind; they are away until this transaction is taken back."""
        drop_all()

    def test_a_day_is_made_for_both_tables_and_takes_its_first_and_last_moment(self):
        ensure_partitions(days=[TODAY])

        plant = factories.plant()
        for hour, minute, second in ((0, 0, 0), (23, 59, 59)):
            measure(plant, datetime(2026, 1, 2, hour, minute, second, 999_999 if second else 0, tzinfo=UTC))
        assert [partitions(table) for table in TABLES] == [[TODAY], [TODAY]]
        assert TelemetryReading.objects.count() == MeterReading.objects.count() == 2

    def test_a_day_that_is_there_is_left_alone_and_asked_for_once(self):
        ensure_partitions(days=[TODAY, TODAY])

        assert queries_of(lambda: ensure_partitions(days=[TODAY])) == 0
        forget_known_partitions()
        ensure_partitions(days=[TODAY])
        assert partitions() == [TODAY]

    def test_no_days_need_nothing(self):
        assert queries_of(lambda: ensure_partitions(days=[])) == 0

    def test_the_tick_makes_yesterday_today_and_the_next_days(self):
        maintain_partitions(at=AT, retention_days=30)

        assert partitions() == [day(offset) for offset in range(-1, DAYS_AHEAD + 1)]

    def test_the_tick_drops_what_is_older_than_the_retention_and_nothing_else(self):
        ensure_partitions(days=[day(-31), day(-30), day(-29)])
        plant = factories.plant()
        measure(plant, AT - timedelta(days=31))
        measure(plant, AT - timedelta(days=29))

        dropped = maintain_partitions(at=AT, retention_days=30)

        assert dropped == 2
        assert partitions()[:2] == [day(-30), day(-29)]
        assert TelemetryReading.objects.get().measured_at == AT - timedelta(days=29)

    def test_a_day_is_made_anew_after_it_was_dropped(self):
        plant = factories.plant()
        ensure_partitions(days=[day(-40)])
        maintain_partitions(at=AT, retention_days=30)

        ensure_partitions(days=[day(-40)])
        measure(plant, AT - timedelta(days=40))

        assert day(-40) in partitions()
        assert TelemetryReading.objects.count() == 1

    def test_the_same_sample_in_two_batches_is_one_row_in_its_partition(self):
        plant = factories.plant()
        ensure_partitions(days=[TODAY])

        measure(plant, AT)
        measure(plant, AT)

        assert TelemetryReading.objects.count() == MeterReading.objects.count() == 1

    def test_a_partition_is_named_by_its_table_and_day(self):
        assert partition_name("plants_meterreading", date(2026, 3, 9)) == "plants_meterreading_20260309"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
class TestWithOthers:
    @pytest.fixture(autouse=True)
    def no_partitions_before_and_after(self):
        """Tests with real commits leave the days they wrote to, and this process remembers having made them."""
        drop_all()
        yield
        drop_all()

    def test_many_processes_that_find_the_same_days_missing_make_each_once(self):
        days = [day(offset) for offset in range(10, 13)]

        def make():
            forget_known_partitions()  # a process of its own knows nothing
            ensure_partitions(days=days)

        answers = together(*[make] * 4)

        assert answers == [None] * 4
        assert [partitions(table) for table in TABLES] == [days, days]

    def test_readers_and_writers_of_the_table_are_not_blocked_by_a_partition_in_the_making(self):
        plant = factories.plant()
        ensure_partitions(days=[TODAY])

        with transaction.atomic():
            forget_known_partitions()
            ensure_partitions(days=[day(20)])
            writer = Aside(lambda: (measure(plant, AT), TelemetryReading.objects.count())[1])
            count = writer.answer()

        assert count == 1

    def test_the_wait_for_a_table_that_is_locked_has_an_end(self):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE plants_telemetryreading IN ACCESS EXCLUSIVE MODE")
            answer = Aside(lambda: ensure_partitions(days=[day(21)])).answer()

        assert isinstance(answer, OperationalError)
        assert day(21) not in partitions()


@pytest.mark.django_db
def test_old_readings_are_gone_after_the_tick_on_every_database():
    plant = factories.plant()
    moments = [AT - timedelta(days=offset) for offset in (31, 30, 1)]
    ensure_partitions(days=[moment.date() for moment in moments])
    for moment in moments:
        measure(plant, moment)

    maintain_partitions(at=AT, retention_days=30)

    for rows in (
        TelemetryReading.objects.values_list("measured_at"),
        MeterReading.objects.values_list("reading_at"),
    ):
        assert sorted(moment for (moment,) in rows) == moments[1:]


@pytest.mark.postgresql
@pytest.mark.django_db
def test_new_meter_partitions_summarise_their_arrivals_without_a_vacuum():
    """Regression: what was stored since the last vacuum was read in full, every thirty seconds."""
    ensure_partitions(days=[day(0)])

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.relname, i.reloptions FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
            " JOIN pg_am a ON a.oid = i.relam WHERE a.amname = 'brin' AND x.indrelid = to_regclass(%s)",
            [partition_name(TABLES[1], day(0))],
        )
        found = cursor.fetchall()

    assert [options for _, options in found] == [["pages_per_range=32", "autosummarize=on"]]
