"""Samples in the tables, and what the pure reference makes of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from metering.days import local_day_of
from metering.models import Stream, TelemetryDay, TelemetryHour, TelemetryQuarter
from metering.rollup import ENERGIES, MEASURES, Rollup, Sample, columns, roll_up, sum_up
from metering.rules import QUARTER, RollupRules
from metering.services.marks import mark_changed
from metering.services.rollup_sql import COLUMNS
from plants.models import TelemetryReading
from plants.services.partitions import ensure_partitions
from plants.sql import insert_or_update

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""A Tuesday noon: no zone moves its clock."""
RULES = RollupRules(
    realtime_period_s=10.0,
    meter_period_s=60.0,
    grace=timedelta(seconds=60),
    chunk=50,
    budget_s=60.0,
    readings_kept=timedelta(days=400),
)
WORDS = {3: "GOOD", 2: "INTERPOLATED", 1: "STALE"}
HOUR = timedelta(hours=1)


def sample(after_s: float, *values: float | None, rank: int = 3, word: str | None = None) -> Sample:
    """A sample `after_s` seconds after START; values in the order of MEASURES, the rest null."""
    return Sample(
        measured_at=START + timedelta(seconds=after_s),
        values=(*values, *[None] * (len(MEASURES) - len(values))),
        quality_rank=rank,
        missing=word == "MISSING",
    )


def store(plant_id: int, samples: Sequence[Sample]) -> None:
    """Store a batch with its marks, as ingest does: better quality wins, else the first."""
    best: dict[datetime, Sample] = {}
    for one in samples:
        known = best.get(one.measured_at)
        if known is None or one.quality_rank > known.quality_rank:
            best[one.measured_at] = one
    ensure_partitions(days={moment.date() for moment in best})
    with transaction.atomic():
        insert_or_update(
            TelemetryReading,
            [_row(plant_id, best[moment]) for moment in sorted(best)],
            key=("plant_id", "measured_at"),
            better="new.quality_rank > old.quality_rank",
        )
        mark_changed(stream=Stream.REALTIME, changed=[(plant_id, one.measured_at) for one in samples])


def _row(plant_id: int, one: Sample) -> dict[str, Any]:
    return {
        "plant_id": plant_id,
        "measured_at": one.measured_at,
        "received_at": START,
        "operating_mode": "",
        "quality_rank": one.quality_rank,
        "data_quality": "MISSING" if one.missing else WORDS.get(one.quality_rank, "NEW_WORD"),
        **dict(zip(MEASURES, one.values, strict=True)),
    }


def stored_samples(plant_id: int) -> list[Sample]:
    """What the history holds of the plant, in order of time."""
    return [
        Sample(
            measured_at=row.measured_at,
            values=tuple(getattr(row, name) for name in MEASURES),
            quality_rank=row.quality_rank,
            missing=row.data_quality == "MISSING",
        )
        for row in TelemetryReading.objects.filter(plant_id=plant_id).order_by("measured_at")
    ]


def expected(plant_id: int, *, zone: str, hold_s: float = 15.0) -> dict[str, dict[Any, dict[str, Any]]]:
    """The three tables of a plant by the pure reference, from what the history holds."""
    samples = stored_samples(plant_id)
    if not samples:
        return {"quarters": {}, "hours": {}, "days": {}}
    start_at = samples[0].measured_at.replace(minute=0, second=0, microsecond=0)
    quarters: dict[datetime, Rollup] = {}
    while start_at <= samples[-1].measured_at + timedelta(seconds=hold_s):
        found = roll_up(samples, start_at=start_at, end_at=start_at + QUARTER, hold_s=hold_s)
        if found is not None:
            quarters[start_at] = found
        start_at += QUARTER
    hours = _grouped(quarters, lambda moment: moment.replace(minute=0))
    days = _grouped(quarters, lambda moment: local_day_of(moment, zone=zone))
    return {
        "quarters": {key: columns(one, length_s=900) for key, one in quarters.items()},
        "hours": {key: columns(one, length_s=3600) for key, one in hours.items()},
        "days": {key.day: columns(one, length_s=key.length_s) for key, one in days.items()},
    }


def _grouped(quarters: dict[datetime, Rollup], key: Any) -> dict[Any, Rollup]:
    groups: dict[Any, list[Rollup]] = {}
    for start_at in sorted(quarters):
        groups.setdefault(key(start_at), []).append(quarters[start_at])
    return {name: summed for name, parts in groups.items() if (summed := sum_up(parts)) is not None}


def tables(plant_id: int) -> dict[str, dict[Any, dict[str, Any]]]:
    """The three tables of a plant as they are."""
    return {
        name: {row[key]: {column: row[column] for column in COLUMNS} for row in rows}
        for name, key, rows in (
            ("quarters", "start_at", TelemetryQuarter.objects.filter(plant_id=plant_id).values()),
            ("hours", "start_at", TelemetryHour.objects.filter(plant_id=plant_id).values()),
            ("days", "day", TelemetryDay.objects.filter(plant_id=plant_id).values()),
        )
    }


def assert_same(
    found: dict[str, dict[Any, dict[str, Any]]], wanted: dict[str, dict[Any, dict[str, Any]]]
) -> None:
    """The same intervals, and in each the same values."""
    for name in wanted:
        assert sorted(found[name]) == sorted(wanted[name]), name
        for key, row in wanted[name].items():
            assert_row_same(found[name][key], row, where=(name, key))


def assert_row_same(found: Mapping[str, Any], wanted: Mapping[str, Any], *, where: object = "") -> None:
    """Equal but for rounding: 1e-9 of the value, and no more than 1e-9 where opposite signs cancel out."""
    assert set(found) == set(wanted), where
    for column, value in wanted.items():
        other = found[column]
        assert (other is None) == (value is None), (where, column, other, value)
        if value is not None:
            assert abs(other - value) <= 1e-9 * max(1.0, abs(value), abs(other)), (
                where,
                column,
                other,
                value,
            )


ENERGY_COLUMNS = tuple(ENERGIES)
