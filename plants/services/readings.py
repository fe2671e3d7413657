"""Telemetry and meter readings: into the history once each, the newest one into the plant's state.

Natural keys make a repeated delivery harmless: realtime (plant, envelope timestamp), meter (plant, device,
readingAt). Of two different samples with the same key the better data quality wins, else the first.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from plants.copy import Target, Values, copy_in, write_all
from plants.models import MeterReading, Plant, PlantState, RecentTelemetryBody, TelemetryReading
from plants.telling import tell_measured
from vcp import DataQuality, MeterRegisters, MeterTelemetry, RealtimeValues

BODIES_KEPT = 20
FUTURE_MARGIN = timedelta(hours=1)
TRIMMED_AT_ONCE = 1000
# As an array the ids are always looked up in the index; joined, PostgreSQL may read the whole table for each portion.
_TRIM = """
    DELETE FROM {bodies} WHERE id = ANY(ARRAY(
        SELECT old.id FROM {plants} p CROSS JOIN LATERAL
            (SELECT b.id FROM {bodies} b WHERE b.plant_id = p.id ORDER BY b.id DESC OFFSET %s) AS old
         WHERE p.id > %s AND p.id <= %s
    ))
"""
_TRIM_PORTABLY = """
    DELETE FROM {bodies} WHERE id IN (
        SELECT old.id FROM (
            SELECT p.id AS plant_id, (
                SELECT b.id FROM {bodies} b WHERE b.plant_id = p.id ORDER BY b.id DESC LIMIT 1 OFFSET %s
            ) AS upto FROM {plants} p WHERE p.id > %s AND p.id <= %s
        ) AS cut JOIN {bodies} old ON old.plant_id = cut.plant_id AND old.id <= cut.upto
    )
"""
_RANKS = {DataQuality.GOOD.value: 3, DataQuality.INTERPOLATED.value: 2, DataQuality.STALE.value: 1}

_MEASURED = (
    "grid_power_kw", "fve_power_kw", "battery_power_kw", "consumption_power_kw", "soc_pct",
    "available_battery_energy_kwh", "battery_temperature_c", "operating_mode", "data_quality",
)  # fmt: skip
_REALTIME = Target(
    model=TelemetryReading,
    names=("plant_id", "measured_at", "received_at", *_MEASURED, "quality_rank"),
    key=("plant_id", "measured_at"),
    better="new.quality_rank > old.quality_rank",
    mostly_new=True,
    locked_by="(measured_at AT TIME ZONE 'UTC')::date, plant_id, measured_at",
)
_STATE = Target(
    model=PlantState,
    names=("plant_id", "measured_at", "received_at", *_MEASURED, "devices", "mode", "mode_reason"),
    key=("plant_id",),
    better="old.measured_at IS NULL OR new.measured_at > old.measured_at",
    only_new=("mode", "mode_reason"),
)
_REGISTERS = (
    "import_register_kwh", "export_register_kwh", "production_register_kwh", "charge_register_kwh",
    "discharge_register_kwh",
)  # fmt: skip
_METERS = Target(
    model=MeterReading,
    names=(
        *("plant_id", "device_id", "reading_at", "received_at", "role"),
        *_REGISTERS,
        *("data_quality", "quality_rank"),
    ),
    key=("plant_id", "device_id", "reading_at"),
    better="new.quality_rank > old.quality_rank",
    mostly_new=True,
    # By code points, as Python sorts: the database's own collation may say "a" < "B".
    locked_by="(reading_at AT TIME ZONE 'UTC')::date, plant_id, device_id COLLATE \"C\", reading_at",
)
_BODY = ("plant_id", "routing_key", "received_at", "body")
Key = TypeVar("Key", bound=tuple[Any, ...])


class RealtimeSample(NamedTuple):
    """A realtime message of a known plant. `measured_at` is the envelope's timestamp.

    `raw_devices`: its devices as they were sent, or who reads them: only the newest of a plant's are asked for.
    """

    plant_id: int
    measured_at: datetime
    telemetry: RealtimeValues
    raw_devices: list[Any] | Callable[[], list[Any]]


class MeterSample(NamedTuple):
    """A meter message of a known plant; its readings carry `readingAt`."""

    plant_id: int
    telemetry: MeterTelemetry


class RawBody(NamedTuple):
    """The bytes of a telemetry or meter message."""

    plant_id: int
    routing_key: str
    body: bytes


def quality_rank(word: str) -> int:
    """3 GOOD, 2 INTERPOLATED, 1 STALE, 0 MISSING or a word that is not known."""
    return _RANKS.get(word, 0)


def storable(moment: datetime, *, at: datetime, retention_days: int) -> bool:
    """Whether a measurement's time lies within what the history keeps: not older, not from the future."""
    return at - timedelta(days=retention_days) <= moment <= at + FUTURE_MARGIN


def store_realtime(*, samples: Sequence[RealtimeSample], at: datetime) -> None:
    """History and latest state of realtime samples; call within the transaction of the batch."""
    store_readings(realtime=samples, meters=(), at=at)


def store_meters(*, samples: Sequence[MeterSample], at: datetime) -> None:
    """History of meter registers; call within the transaction of the batch."""
    store_readings(realtime=(), meters=samples, at=at)


def store_readings(
    *,
    realtime: Sequence[RealtimeSample],
    meters: Sequence[MeterSample],
    at: datetime,
    organisation_id: int | None = None,
) -> None:
    """Both in their order: states, realtime history, meter history. Call within the transaction of the batch.

    `organisation_id`: whose screens are told, None = nobody's.
    """
    # States before readings: a batch with mode events has locked its states before anything else.
    states, history = _realtime_rows(realtime, at=at)
    write_all([(_STATE, states)])
    write_all([(_REALTIME, history), (_METERS, _meter_rows(meters, at=at))])
    if organisation_id is not None:
        tell_measured(states, organisation_id=organisation_id, at=at)


def _realtime_rows(samples: Sequence[RealtimeSample], *, at: datetime) -> tuple[list[Values], list[Values]]:
    """(the newest of each plant, the history)."""
    best: dict[tuple[int, datetime], Values] = {}
    newest: dict[int, tuple[datetime, int, Values, list[Any] | Callable[[], list[Any]]]] = {}
    for plant_id, measured_at, telemetry, devices in samples:
        rank = quality_rank(telemetry.data_quality)
        row = (plant_id, measured_at, at, *_measured(telemetry), rank)
        known = best.get((plant_id, measured_at))
        if known is None or rank > known[-1]:
            best[plant_id, measured_at] = row
        latest = newest.get(plant_id)
        if latest is None or (measured_at, rank) > latest[:2]:
            newest[plant_id] = (measured_at, rank, row, devices)
    states = [
        (*row[:-1], devices() if callable(devices) else devices, "", "")
        for _, (_, _, row, devices) in sorted(newest.items())
    ]
    return states, [best[key] for key in _in_order(best)]


def _measured(telemetry: RealtimeValues) -> Values:
    return (
        telemetry.grid_power_kw,
        telemetry.fve_power_kw,
        telemetry.battery_power_kw,
        telemetry.consumption_power_kw,
        telemetry.soc_pct,
        telemetry.available_battery_energy_kwh,
        telemetry.battery_temperature_c,
        (telemetry.current_operating_mode or "")[:40],
        telemetry.data_quality[:24],
    )


def _meter_rows(samples: Sequence[MeterSample], *, at: datetime) -> list[Values]:
    best: dict[tuple[int, str, datetime], Values] = {}
    for plant_id, telemetry in samples:
        rank = quality_rank(telemetry.data_quality)
        for meter in telemetry.meters:
            key = (plant_id, meter.device_id, telemetry.reading_at)
            known = best.get(key)
            if known is None or rank > known[-1]:
                best[key] = (*key, at, *_registers(meter), telemetry.data_quality[:24], rank)
    return [best[key] for key in _in_order(best)]


def _registers(meter: MeterRegisters) -> Values:
    return (
        (meter.role or "")[:40],
        meter.import_register_kwh,
        meter.export_register_kwh,
        meter.production_register_kwh,
        meter.charge_register_kwh,
        meter.discharge_register_kwh,
    )


def _in_order(keys: Collection[Key]) -> list[Key]:
    """By day (UTC) and key: in this order the rows of the partitions are locked. A key ends with its moment."""
    if len({key[-1].date() for key in keys}) <= 1:
        return sorted(keys)
    return sorted(keys, key=lambda key: (key[-1].date(), key))


def keep_recent_bodies(*, bodies: Sequence[RawBody], at: datetime) -> None:
    """Keep raw bytes for people who debug; `trim_recent_bodies` holds the number per plant down."""
    kept: dict[int, list[RawBody]] = {}
    for body in bodies:
        kept.setdefault(body.plant_id, []).append(body)
    rows = [
        (plant_id, one.routing_key[:255], at, one.body)
        for plant_id in sorted(kept)
        for one in kept[plant_id][-BODIES_KEPT:]
    ]
    copy_in(RecentTelemetryBody, names=_BODY, rows=rows)


def trim_recent_bodies() -> None:
    """Tick: leave the last 20 bodies of each plant. Plants by the thousands, each by its own piece of the index."""
    bodies, plants = (connection.ops.quote_name(one._meta.db_table) for one in (RecentTelemetryBody, Plant))
    statement = _TRIM if connection.vendor == "postgresql" else _TRIM_PORTABLY
    last = 0
    while True:
        ids = Plant.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)
        upto = ids[TRIMMED_AT_ONCE - 1 : TRIMMED_AT_ONCE].first() or ids.last()
        if upto is None:
            return
        with connection.cursor() as cursor:
            cursor.execute(statement.format(bodies=bodies, plants=plants), [BODIES_KEPT, last, upto])
        last = upto
