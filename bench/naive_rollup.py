"""The way to roll up that one writes first: for each due quarter-hour of a plant, rows by the ORM and a loop.

The same values in the same tables: weighted by time, with the sample that is held from before, then hour and day by
the database's aggregates.
"""

from datetime import datetime, timedelta
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F, Max, Min, Model, QuerySet, Sum

from bench.rolling import END, SAMPLES_A_QUARTER, History
from metering.models import RollupDue, TelemetryDay, TelemetryHour, TelemetryQuarter
from plants.models import Plant, TelemetryReading

PERIOD_S = 10
MEASURES = (
    "grid_power_kw",
    "fve_power_kw",
    "battery_power_kw",
    "consumption_power_kw",
    "soc_pct",
    "available_battery_energy_kwh",
    "battery_temperature_c",
)
ENERGIES = {
    "grid_import_kwh": ("grid_power_kw", 1),
    "grid_export_kwh": ("grid_power_kw", -1),
    "fve_kwh": ("fve_power_kw", 1),
    "charge_kwh": ("battery_power_kw", 1),
    "discharge_kwh": ("battery_power_kw", -1),
    "consumption_kwh": ("consumption_power_kw", 1),
}


def roll_up_some(history: History, count: int) -> float:
    """Samples a second over `count` due quarter-hours, one transaction each."""
    history.make_due()
    began = perf_counter()
    for due in RollupDue.objects.order_by("start_at", "plant_id")[:count]:
        with transaction.atomic():
            roll_up_one(due)
    return count * SAMPLES_A_QUARTER / (perf_counter() - began)


def roll_up_one(due: RollupDue) -> None:
    start_at, end_at = due.start_at, due.start_at + timedelta(minutes=15)
    plant = Plant.objects.get(pk=due.plant_id)
    readings = list(
        TelemetryReading.objects.filter(
            plant=plant, measured_at__gt=start_at - timedelta(seconds=1.5 * PERIOD_S), measured_at__lt=end_at
        ).order_by("measured_at")
    )
    store(TelemetryQuarter, summed(readings, start_at, end_at), plant=plant, start_at=start_at)
    quarters = TelemetryQuarter.objects.filter(plant=plant)
    hour_at = start_at.replace(minute=0)
    hour = aggregated(quarters, hour_at, hour_at + timedelta(hours=1))
    store(TelemetryHour, hour, plant=plant, start_at=hour_at)
    midnight = start_at.astimezone(ZoneInfo(plant.time_zone)).replace(hour=0, minute=0)
    following = midnight + timedelta(days=1)
    day = aggregated(quarters, midnight, following) | {"start_at": midnight, "end_at": following}
    store(TelemetryDay, day, plant=plant, day=midnight.date())
    due.delete()


def store(model: type[Model], values: dict[str, Any], **key: Any) -> None:
    """Update the row, or make it."""
    if not model._default_manager.filter(**key).update(**values):
        model._default_manager.create(**key, **values)


def summed(readings: list[TelemetryReading], start_at: datetime, end_at: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {"samples": 0, "covered_s": 0.0, "good_s": 0.0, "computed_at": END}
    values |= {f"{name}_s": 0.0 for name in MEASURES} | {f"{name}_mean": 0.0 for name in MEASURES}
    ranks: list[int] = []
    for number, reading in enumerate(readings):
        until = min(reading.measured_at + timedelta(seconds=1.5 * PERIOD_S), end_at)
        if number + 1 < len(readings):
            until = min(until, readings[number + 1].measured_at)
        seconds = (until - max(reading.measured_at, start_at)).total_seconds()
        values["samples"] += reading.measured_at >= start_at
        if seconds <= 0 or reading.data_quality == "MISSING":
            continue
        values["covered_s"] += seconds
        values["good_s"] += seconds if reading.quality_rank == 3 else 0.0
        ranks.append(reading.quality_rank)
        for name in MEASURES:
            value = getattr(reading, name)
            if value is not None:
                values[f"{name}_s"] += seconds
                values[f"{name}_min"] = min(values.get(f"{name}_min", value), value)
                values[f"{name}_max"] = max(values.get(f"{name}_max", value), value)
                values[f"{name}_mean"] += value * seconds
                values[f"{name}_last"] = value
        for energy, (name, sign) in ENERGIES.items():
            value = getattr(reading, name)
            if value is not None:
                values[energy] = values.get(energy, 0.0) + max(sign * value, 0.0) * seconds / 3600
    for name in MEASURES:
        values[f"{name}_mean"] = values[f"{name}_mean"] / values[f"{name}_s"] if values[f"{name}_s"] else None
    values["coverage_pct"] = 100 * values["covered_s"] / (end_at - start_at).total_seconds()
    values["quality_rank"] = min(ranks, default=None)
    return values


def aggregated(quarters: QuerySet[TelemetryQuarter], start_at: datetime, end_at: datetime) -> dict[str, Any]:
    within = quarters.filter(start_at__gte=start_at, start_at__lt=end_at)
    wanted: dict[str, Any] = {name: Sum(name) for name in ("samples", "covered_s", "good_s", *ENERGIES)}
    wanted["quality_rank"] = Min("quality_rank")
    for name in MEASURES:
        wanted |= {f"{name}_ws": Sum(F(f"{name}_mean") * F(f"{name}_s")), f"{name}_s": Sum(f"{name}_s")}
        wanted |= {f"{name}_min": Min(f"{name}_min"), f"{name}_max": Max(f"{name}_max")}
    values = within.aggregate(**{f"of_{name}": one for name, one in wanted.items()})
    values = {name.removeprefix("of_"): value for name, value in values.items()}
    newest = within.latest("start_at")
    for name in MEASURES:
        weighted = values.pop(f"{name}_ws")
        values[f"{name}_mean"] = weighted / values[f"{name}_s"] if values[f"{name}_s"] else None
        values[f"{name}_last"] = getattr(newest, f"{name}_last")
    values["coverage_pct"] = 100 * values["covered_s"] / (end_at - start_at).total_seconds()
    values["computed_at"] = END
    return values
