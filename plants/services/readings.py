"""Telemetry and meter readings: into the history once each, the newest one into the plant's state.

Natural keys make a repeated delivery harmless: realtime (plant, envelope timestamp), meter (plant, device,
readingAt). Of two different samples with the same key the better data quality wins, else the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from plants.models import MeterReading, PlantState, RecentTelemetryBody, TelemetryReading
from plants.sql import insert_or_update
from vcp import DataQuality, MeterTelemetry, RealtimeTelemetry

BODIES_KEPT = 20
FUTURE_MARGIN = timedelta(hours=1)
_RANKS = {DataQuality.GOOD.value: 3, DataQuality.INTERPOLATED.value: 2, DataQuality.STALE.value: 1}


@dataclass(frozen=True, kw_only=True)
class RealtimeSample:
    """A realtime message of a known plant. `measured_at` is the envelope's timestamp."""

    plant_id: int
    measured_at: datetime
    telemetry: RealtimeTelemetry
    raw_devices: list[Any]


@dataclass(frozen=True, kw_only=True)
class MeterSample:
    """A meter message of a known plant; its readings carry `readingAt`."""

    plant_id: int
    telemetry: MeterTelemetry


@dataclass(frozen=True, kw_only=True)
class RawBody:
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
    best: dict[tuple[int, datetime], dict[str, Any]] = {}
    newest: dict[int, RealtimeSample] = {}
    for sample in samples:
        key = (sample.plant_id, sample.measured_at)
        row = _reading_row(sample, at)
        if key not in best or row["quality_rank"] > best[key]["quality_rank"]:
            best[key] = row
        latest = newest.get(sample.plant_id)
        if latest is None or _rank(sample) > _rank(latest):
            newest[sample.plant_id] = sample
    # States before readings: a batch with mode events has locked its states before anything else.
    insert_or_update(
        PlantState,
        [_state_row(newest[plant_id], at) for plant_id in sorted(newest)],
        key=("plant_id",),
        better="old.measured_at IS NULL OR new.measured_at > old.measured_at",
        only_new=("mode", "mode_reason"),
    )
    insert_or_update(
        TelemetryReading,
        [best[key] for key in sorted(best)],
        key=("plant_id", "measured_at"),
        better="new.quality_rank > old.quality_rank",
    )


def _rank(sample: RealtimeSample) -> tuple[datetime, int]:
    return sample.measured_at, quality_rank(sample.telemetry.data_quality)


def _measured(telemetry: RealtimeTelemetry) -> dict[str, Any]:
    return {
        "grid_power_kw": telemetry.grid_power_kw,
        "fve_power_kw": telemetry.fve_power_kw,
        "battery_power_kw": telemetry.battery_power_kw,
        "consumption_power_kw": telemetry.consumption_power_kw,
        "soc_pct": telemetry.soc_pct,
        "available_battery_energy_kwh": telemetry.available_battery_energy_kwh,
        "battery_temperature_c": telemetry.battery_temperature_c,
        "operating_mode": (telemetry.current_operating_mode or "")[:40],
        "data_quality": telemetry.data_quality[:24],
    }


def _reading_row(sample: RealtimeSample, at: datetime) -> dict[str, Any]:
    return {
        "plant_id": sample.plant_id,
        "measured_at": sample.measured_at,
        "received_at": at,
        "quality_rank": quality_rank(sample.telemetry.data_quality),
        **_measured(sample.telemetry),
    }


def _state_row(sample: RealtimeSample, at: datetime) -> dict[str, Any]:
    return {
        "plant_id": sample.plant_id,
        "measured_at": sample.measured_at,
        "received_at": at,
        "devices": sample.raw_devices,
        "mode": "",
        "mode_reason": "",
        **_measured(sample.telemetry),
    }


def store_meters(*, samples: Sequence[MeterSample], at: datetime) -> None:
    """History of meter registers; call within the transaction of the batch."""
    best: dict[tuple[int, str, datetime], Mapping[str, Any]] = {}
    for sample in samples:
        rank = quality_rank(sample.telemetry.data_quality)
        for meter in sample.telemetry.meters:
            key = (sample.plant_id, meter.device_id, sample.telemetry.reading_at)
            if key in best and best[key]["quality_rank"] >= rank:
                continue
            best[key] = {
                "plant_id": sample.plant_id,
                "device_id": meter.device_id,
                "reading_at": sample.telemetry.reading_at,
                "received_at": at,
                "role": (meter.role or "")[:40],
                "import_register_kwh": meter.import_register_kwh,
                "export_register_kwh": meter.export_register_kwh,
                "production_register_kwh": meter.production_register_kwh,
                "charge_register_kwh": meter.charge_register_kwh,
                "discharge_register_kwh": meter.discharge_register_kwh,
                "data_quality": sample.telemetry.data_quality[:24],
                "quality_rank": rank,
            }
    insert_or_update(
        MeterReading,
        [best[key] for key in sorted(best)],
        key=("plant_id", "device_id", "reading_at"),
        better="new.quality_rank > old.quality_rank",
    )


def keep_recent_bodies(*, bodies: Sequence[RawBody], at: datetime) -> None:
    """Keep raw bytes for people who debug; `trim_recent_bodies` holds the number per plant down."""
    kept: dict[int, list[RawBody]] = {}
    for body in bodies:
        kept.setdefault(body.plant_id, []).append(body)
    RecentTelemetryBody.objects.bulk_create(
        RecentTelemetryBody(
            plant_id=plant_id, routing_key=one.routing_key[:255], received_at=at, body=one.body
        )
        for plant_id in sorted(kept)
        for one in kept[plant_id][-BODIES_KEPT:]
    )


def trim_recent_bodies() -> None:
    """Tick: leave the last 20 bodies of each plant."""
    table = connection.ops.quote_name(RecentTelemetryBody._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER "  # noqa: S608
            f"(PARTITION BY plant_id ORDER BY id DESC) AS place FROM {table}) AS ranked WHERE place > %s)",
            [BODIES_KEPT],
        )
