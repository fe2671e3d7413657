"""Telemetry and meter messages become history once each, the newest one the plant's state, whatever arrives twice."""

from datetime import UTC, datetime, timedelta

import pytest

from plants import copy
from plants.models import (
    DeadLetter,
    InboundMessage,
    MeterReading,
    PlantState,
    RecentTelemetryBody,
    TelemetryReading,
)
from plants.services.readings import trim_recent_bodies
from tests import factories
from tests.factories import AT
from tests.link.helpers import RETENTION_DAYS, hear, meter, mode_event, realtime, seconds
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def state(plant):
    return PlantState.objects.get(plant=plant)


# --- realtime ---------------------------------------------------------------------------------------------------------


def test_a_sample_becomes_history_and_the_plants_state():
    plant = factories.plant()
    devices = [
        {"deviceId": "B1", "powerKw": -5, "socPercent": 61, "status": "ONLINE", "vendorWord": {"x": 1}}
    ]
    message = realtime(
        plant,
        fvePowerKw=20.5,
        batteryPowerKw=-5,
        consumptionPowerKw=26.5,
        socPercent=61,
        availableBatteryEnergyKwh=48.8,
        batteryTemperatureCelsius=None,
        currentOperatingMode="STANDARD",
        devices=devices,
    )

    report = hear(plant.connection, message, at=AT + seconds(1))

    row, now = TelemetryReading.objects.get(), state(plant)
    for one in (row, now):
        assert (one.grid_power_kw, one.fve_power_kw, one.battery_power_kw, one.consumption_power_kw) == (
            1,
            20.5,
            -5,
            26.5,
        )
        assert (one.soc_pct, one.available_battery_energy_kwh, one.battery_temperature_c) == (61, 48.8, None)
        assert (one.operating_mode, one.data_quality) == ("STANDARD", "GOOD")
        assert (one.measured_at, one.received_at) == (AT, AT + seconds(1))
    assert now.devices == devices
    assert (report.received, report.applied, report.by_family) == (1, 1, {"event.telemetry.realtime": 1})


def test_a_sample_that_is_delivered_twice_counts_once():
    plant = factories.plant()
    message = realtime(plant)

    hear(plant.connection, message)
    hear(plant.connection, message, message)

    assert TelemetryReading.objects.count() == 1


def test_telemetry_is_read_with_and_without_the_site_in_its_routing_key():
    plant = factories.plant()

    hear(
        plant.connection,
        realtime(plant, tail=""),
        realtime(plant, at=AT + seconds(1), tail=str(plant.voke_uuid)),
    )

    assert TelemetryReading.objects.count() == 2


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("STALE", "GOOD", 2.0),
        ("GOOD", "STALE", 1.0),
        ("GOOD", "GOOD", 1.0),
        ("MISSING", "INTERPOLATED", 2.0),
        ("A NEW WORD", "STALE", 2.0),
        ("MISSING", "A NEW WORD", 1.0),
    ],
)
def test_of_two_samples_of_one_moment_the_better_quality_wins_else_the_first(first, second, kept, together):
    plant = factories.plant()
    samples = [realtime(plant, quality=first), realtime(plant, quality=second, gridPowerKw=2.0)]

    for batch in [samples] if together else [[one] for one in samples]:
        hear(plant.connection, *batch)

    assert TelemetryReading.objects.get().grid_power_kw == kept


def test_the_state_follows_the_newest_sample_whatever_order_they_arrive_in():
    plant = factories.plant()
    old, new = realtime(plant, gridPowerKw=1.0), realtime(plant, at=AT + seconds(5), gridPowerKw=2.0)

    hear(plant.connection, new)
    hear(plant.connection, old)

    assert state(plant).grid_power_kw == 2.0
    assert TelemetryReading.objects.count() == 2


def test_within_one_batch_the_state_follows_the_newest_sample_too():
    plant = factories.plant()
    samples = [realtime(plant, at=AT + seconds(s), gridPowerKw=float(s)) for s in (3, 9, 6)]

    hear(plant.connection, *samples)

    assert state(plant).grid_power_kw == 9.0


def test_of_two_samples_of_one_moment_in_a_batch_the_better_one_becomes_the_state():
    plant = factories.plant()

    hear(
        plant.connection,
        realtime(plant, quality="MISSING", gridPowerKw=None),
        realtime(plant, gridPowerKw=2.0),
    )

    assert state(plant).grid_power_kw == 2.0


def test_telemetry_does_not_touch_what_a_mode_event_told():
    plant = factories.plant()
    hear(plant.connection, mode_event(plant, "PEAK_SHAVING", reason="evening"))

    hear(plant.connection, realtime(plant, at=AT + seconds(5)))

    assert (state(plant).mode, state(plant).mode_reason) == ("PEAK_SHAVING", "evening")


# --- meters -----------------------------------------------------------------------------------------------------------


def test_every_meter_of_a_message_becomes_a_row_with_the_registers_that_it_has():
    plant = factories.plant()

    hear(plant.connection, meter(plant, "M1", "M2", kwh=12.5), at=AT + seconds(1))

    rows = list(MeterReading.objects.order_by("device_id"))
    assert [row.device_id for row in rows] == ["M1", "M2"]
    assert (rows[0].role, rows[0].import_register_kwh, rows[0].export_register_kwh) == ("GRID", 12.5, None)
    assert (rows[0].reading_at, rows[0].received_at) == (AT, AT + seconds(1))


def test_a_meter_reading_counts_once_by_plant_device_and_time_whatever_its_message_id():
    plant, neighbour = factories.plant(), factories.plant()
    hear(plant.connection, meter(plant), meter(plant), meter(plant, at=AT + seconds(60)))
    hear(neighbour.connection, meter(neighbour))

    assert MeterReading.objects.filter(plant=plant).count() == 2
    assert MeterReading.objects.filter(plant=neighbour).count() == 1


@pytest.mark.parametrize(
    ("first", "second", "kept"), [("STALE", "GOOD", 2.0), ("GOOD", "STALE", 1.0), ("GOOD", "GOOD", 1.0)]
)
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
def test_of_two_readings_of_one_moment_the_better_quality_wins_else_the_first(first, second, kept, together):
    plant = factories.plant()
    readings = [meter(plant, quality=first, kwh=1.0), meter(plant, quality=second, kwh=2.0)]

    for batch in [readings] if together else [[one] for one in readings]:
        hear(plant.connection, *batch)

    assert MeterReading.objects.get().import_register_kwh == kept


# --- times that no history keeps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        AT + timedelta(hours=1, seconds=1),
        datetime(9999, 12, 31, tzinfo=UTC),
        AT - timedelta(days=RETENTION_DAYS, seconds=1),
        datetime(1, 1, 1, tzinfo=UTC),
    ],
    ids=["future", "far future", "past", "far past"],
)
@pytest.mark.parametrize(("message", "path"), [(realtime, "timestamp"), (meter, "payload.readingAt")])
def test_a_reading_outside_what_the_history_keeps_is_a_dead_letter_with_its_field(message, path, moment):
    plant = factories.plant()

    report = hear(plant.connection, message(plant, at=moment), realtime(plant))

    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.path) == ("FROM_THE_FUTURE" if moment > AT else "TOO_OLD", path)
    assert (report.applied, report.dead_letters) == (1, 1)
    assert TelemetryReading.objects.count() == 1


@pytest.mark.parametrize("moment", [AT + timedelta(hours=1), AT - timedelta(days=RETENTION_DAYS)])
def test_a_reading_at_the_edge_of_the_history_is_kept(moment):
    plant = factories.plant()

    hear(plant.connection, realtime(plant, at=moment), meter(plant, at=moment))

    assert TelemetryReading.objects.count() == MeterReading.objects.count() == 1


# --- raw bytes --------------------------------------------------------------------------------------------------------


def test_readings_are_not_kept_in_the_inbox_but_their_last_bytes_are():
    plant = factories.plant()
    message = realtime(plant)

    hear(plant.connection, message, at=AT + seconds(1))

    body = RecentTelemetryBody.objects.get()
    assert (bytes(body.body), body.routing_key, body.received_at) == (
        message.body,
        message.routing_key,
        AT + seconds(1),
    )
    assert not InboundMessage.objects.exists()


def test_after_the_tick_the_last_twenty_bodies_of_each_plant_are_left():
    link = factories.connection()
    busy, quiet = factories.plant(on=link), factories.plant(on=link)
    last = None
    for start in (0, 15):
        batch = [realtime(busy, at=AT + seconds(start + n)) for n in range(15)]
        last = batch[-1]
        hear(link, *batch, meter(quiet, at=AT + seconds(start)))

    trim_recent_bodies()

    assert RecentTelemetryBody.objects.filter(plant=busy).count() == 20
    assert RecentTelemetryBody.objects.filter(plant=quiet).count() == 2
    assert bytes(RecentTelemetryBody.objects.filter(plant=busy).order_by("-pk")[0].body) == last.body


# --- how much it costs ------------------------------------------------------------------------------------------------


def test_the_number_of_queries_does_not_grow_with_the_number_of_samples_or_plants():
    link = factories.connection()
    plants = [factories.plant(on=link, assets=[]) for _ in range(20)]
    hear(link, realtime(plants[0]), meter(plants[0]))  # makes the day's partitions

    def received(count, start):
        batch = [realtime(plants[n % count], at=AT + seconds(start + n)) for n in range(count)]
        batch += [meter(plants[n % count], at=AT + seconds(start + n)) for n in range(count)]
        return queries_of(lambda: hear(link, *batch))

    few, many = received(2, 100), received(20, 200)

    assert few == many
    assert many <= 15


@pytest.mark.postgresql
def test_a_plain_batch_costs_twelve_statements_whatever_its_size(monkeypatch):
    monkeypatch.setattr(copy, "_stage_next", {})  # an earlier test may have stored something twice
    plants = [factories.plant(assets=[])]
    plants += [factories.plant(on=plants[0].connection, assets=[]) for _ in range(9)]

    def batch(*rounds):
        moments = [AT + seconds(10 * number) for number in rounds]
        realtimes = [realtime(plant, at=at) for at in moments for plant in plants[:8]]
        return realtimes + [meter(plant, at=at) for at in moments for plant in plants[8:]]

    hear(plants[0].connection, *batch(0))  # makes the day's partitions, asks for the longest period
    small, large = batch(1), batch(*range(2, 52))

    counts = [queries_of(lambda some=some: hear(plants[0].connection, *some)) for some in (small, large)]

    # Transaction 2; sites; states 3 (staging table, COPY, upsert); histories 4 (savepoint 2, COPY each); marks; bodies.
    assert counts == [12, 12]
    assert TelemetryReading.objects.count() == 52 * 8
    assert MeterReading.objects.count() == 52 * 2
