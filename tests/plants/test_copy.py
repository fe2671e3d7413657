"""Rows that come by the hundreds: new ones are copied straight, one that is there sends all the way through staging."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from plants import copy
from plants.copy import STAGED_AFTER_CONFLICT, Target, copy_in, write_all, write_rows
from plants.models import MeterReading, Plant, PlantState, RecentTelemetryBody, TelemetryReading
from plants.services.partitions import ensure_partitions
from plants.services.readings import _METERS, _in_order, trim_recent_bodies
from tests import factories
from tests.factories import AT

pytestmark = pytest.mark.django_db

NAMES = (
    "plant_id", "measured_at", "received_at", "grid_power_kw", "operating_mode", "data_quality", "quality_rank",
)  # fmt: skip
HISTORY = Target(
    model=TelemetryReading,
    names=NAMES,
    key=("plant_id", "measured_at"),
    better="new.quality_rank > old.quality_rank",
    mostly_new=True,
)
METERS = Target(
    model=MeterReading,
    names=("plant_id", "device_id", "reading_at", "received_at", "role", "import_register_kwh", *NAMES[-2:]),
    key=("plant_id", "device_id", "reading_at"),
    better="new.quality_rank > old.quality_rank",
    mostly_new=True,
)
STATE = Target(
    model=PlantState,
    names=("plant_id", "measured_at", "operating_mode", "data_quality", "devices", "mode", "mode_reason"),
    key=("plant_id",),
    better="old.measured_at IS NULL OR new.measured_at > old.measured_at",
    only_new=("mode", "mode_reason"),
)


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(copy, "_stage_next", {})


@pytest.fixture
def plant():
    ensure_partitions(days=[AT.date()])
    return factories.plant(assets=[])


def reading(plant, second, power_kw, rank=3):
    return (plant.pk, AT + timedelta(seconds=second), AT, power_kw, "STANDARD", "GOOD", rank)


def register(plant, second, kwh, rank=3):
    return (plant.pk, "M1", AT + timedelta(seconds=second), AT, "GRID", kwh, "GOOD", rank)


def registers():
    return list(MeterReading.objects.order_by("reading_at").values_list("import_register_kwh", flat=True))


def powers():
    return list(TelemetryReading.objects.order_by("measured_at").values_list("grid_power_kw", flat=True))


def test_rows_that_are_all_new_are_stored_with_their_nulls(plant):
    write_rows(HISTORY, [reading(plant, 0, 1.5), reading(plant, 1, None)])

    assert powers() == [1.5, None]


def test_a_row_that_is_there_is_replaced_by_a_better_one_only_and_the_others_are_stored(plant):
    write_rows(HISTORY, [reading(plant, 0, 1.0, rank=1), reading(plant, 1, 2.0, rank=3)])

    write_rows(
        HISTORY, [reading(plant, 0, 7.0, rank=3), reading(plant, 1, 8.0, rank=1), reading(plant, 2, 9.0)]
    )

    assert powers() == [7.0, 2.0, 9.0]


@pytest.mark.postgresql
def test_after_a_row_that_was_there_the_table_is_staged_for_a_while_and_then_tried_again(plant):
    write_rows(HISTORY, [reading(plant, 0, 1.0)])

    write_rows(HISTORY, [reading(plant, 0, 1.0)])

    assert copy._stage_next == {HISTORY.table: STAGED_AFTER_CONFLICT}
    for second in range(1, STAGED_AFTER_CONFLICT + 2):
        write_rows(HISTORY, [reading(plant, second, 2.0)])
    assert copy._stage_next == {HISTORY.table: 0}
    assert len(powers()) == STAGED_AFTER_CONFLICT + 2


@pytest.mark.parametrize("there_already", [HISTORY, METERS])
def test_of_two_histories_each_row_goes_once_whichever_has_one_that_is_there_already(plant, there_already):
    write_rows(HISTORY, [reading(plant, 0, 1.0, rank=1)])
    write_rows(METERS, [register(plant, 0, 10.0, rank=1)])
    first = 0 if there_already is HISTORY else 1

    write_all(
        [
            (HISTORY, [reading(plant, first, 2.0), reading(plant, 2, 3.0)]),
            (METERS, [register(plant, 1 - first, 20.0), register(plant, 2, 30.0)]),
        ]
    )

    assert powers() == ([2.0, 3.0] if there_already is HISTORY else [1.0, 2.0, 3.0])
    assert registers() == ([10.0, 20.0, 30.0] if there_already is HISTORY else [20.0, 30.0])


@pytest.mark.postgresql
def test_only_the_history_that_had_a_row_is_staged_the_next_times(plant):
    write_rows(METERS, [register(plant, 0, 10.0)])

    write_all([(HISTORY, [reading(plant, 0, 1.0)]), (METERS, [register(plant, 0, 20.0)])])

    assert copy._stage_next == {METERS.table: STAGED_AFTER_CONFLICT}
    write_all([(HISTORY, [reading(plant, 1, 1.0)]), (METERS, [register(plant, 1, 20.0)])])
    assert copy._stage_next == {METERS.table: STAGED_AFTER_CONFLICT - 1}
    assert (powers(), registers()) == ([1.0, 1.0], [10.0, 20.0])


def test_staged_twice_in_one_transaction_each_row_goes_once(plant):
    later = AT + timedelta(seconds=1)

    with transaction.atomic():
        write_rows(STATE, [(plant.pk, AT, "A", "GOOD", [], "", "")])
        write_rows(STATE, [(plant.pk, later, "B", "GOOD", [{"deviceId": "B1", "powerKw": None}], "", "")])

    state = PlantState.objects.get()
    assert (state.measured_at, state.operating_mode) == (later, "B")
    assert state.devices == [{"deviceId": "B1", "powerKw": None}]


def test_what_is_only_for_new_rows_is_never_updated(plant):
    PlantState.objects.filter(plant=plant).update(mode="ZERO_EXPORT", mode_reason="asked")

    write_rows(STATE, [(plant.pk, AT, "A", "GOOD", [], "", "")])

    state = PlantState.objects.get()
    assert (state.operating_mode, state.mode, state.mode_reason) == ("A", "ZERO_EXPORT", "asked")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_staging_table_is_made_anew_when_its_first_transaction_was_rolled_back():
    plant = factories.plant(assets=[])
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write_rows(STATE, [(plant.pk, AT, "A", "GOOD", [], "", "")])
        raise ZeroDivisionError

    write_rows(STATE, [(plant.pk, AT, "B", "GOOD", [], "", "")])

    assert PlantState.objects.get().operating_mode == "B"


@pytest.mark.postgresql
def test_a_row_that_the_table_refuses_for_another_reason_is_told_as_a_database_error(plant):
    with pytest.raises(IntegrityError), transaction.atomic():
        write_rows(HISTORY, [(*reading(plant, 0, 1.0)[:-1], None)])

    assert powers() == []
    assert copy._stage_next == {}


def test_the_last_twenty_bodies_of_each_plant_stay_whatever_the_number_of_plants_at_once(monkeypatch):
    monkeypatch.setattr("plants.services.readings.TRIMMED_AT_ONCE", 2)
    plants = [factories.plant(assets=[]) for _ in range(5)]
    names = ("plant_id", "routing_key", "received_at", "body")
    rows = [(plant.pk, "k", AT, bytes([number])) for number in range(23) for plant in plants[:4]]
    copy_in(RecentTelemetryBody, names=names, rows=rows)

    trim_recent_bodies()

    kept = [list(RecentTelemetryBody.objects.filter(plant=plant).order_by("pk")) for plant in plants]
    assert [[row.body[0] for row in of_one] for of_one in kept] == [list(range(3, 23))] * 4 + [[]]
    assert Plant.objects.count() == 5


@pytest.mark.postgresql
def test_meters_are_locked_in_the_order_of_python_whatever_the_collation_of_the_database():
    """A batch that is copied straight and one that is staged lock the same rows, or they deadlock."""
    devices = ["a", "B", "c", "Z-1", "z1", "č", "_"]
    keys = [(1, device, AT) for device in devices]

    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT device_id FROM (SELECT unnest(%s::text[]) COLLATE "und-x-icu" AS device_id, 1 AS plant_id,'
            f" %s::timestamptz AS reading_at) AS staged ORDER BY {_METERS.locked_by}",
            [devices, AT],
        )
        locked = [device for (device,) in cursor.fetchall()]

    assert locked == [device for _, device, _ in _in_order(keys)]
