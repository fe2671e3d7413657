"""Rollups on SQLite: the pure reference (`metering.rollup`) on fetched rows."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db import models

from metering.models import TelemetryDay, TelemetryHour, TelemetryQuarter
from metering.rollup import MEASURES, Rollup, Sample, columns, from_columns, roll_up, sum_up
from metering.services.rollup_postgres import delete_empty
from metering.services.rollup_sql import COLUMNS
from metering.services.rollup_work import Interval, begins_on_hours
from plants.models import TelemetryReading
from plants.sql import insert_or_update
from vcp import DataQuality

_ROWS = 15
"""Rows in one statement: 48 values each, within what any SQLite takes (999)."""


class PortableRollup:
    """A `RollupStore` in plain Python."""

    def quarters(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        _store(TelemetryQuarter, intervals, _of_samples, at)

    def hours(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        _store(TelemetryHour, intervals, lambda one: _of_parts(TelemetryQuarter, one), at)

    def days(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        _store(TelemetryDay, intervals, _of_day, at)


def _of_samples(interval: Interval) -> Rollup | None:
    rows = (
        TelemetryReading.objects.filter(
            plant_id=interval.plant_id,
            measured_at__gt=interval.start_at - interval.hold,
            measured_at__lt=interval.end_at,
        )
        .order_by("measured_at")
        .values_list("measured_at", "quality_rank", "data_quality", *MEASURES)
    )
    samples = [
        Sample(measured_at=moment, values=values, quality_rank=rank, missing=word == DataQuality.MISSING)
        for moment, rank, word, *values in rows
    ]
    return roll_up(
        samples,
        start_at=interval.start_at,
        end_at=interval.end_at,
        hold_s=interval.hold.total_seconds(),
    )


def _of_day(interval: Interval) -> Rollup | None:
    return _of_parts(TelemetryHour if begins_on_hours(interval) else TelemetryQuarter, interval)


def _of_parts(model: type[TelemetryHour] | type[TelemetryQuarter], interval: Interval) -> Rollup | None:
    rows = (
        model._default_manager.filter(
            plant_id=interval.plant_id, start_at__gte=interval.start_at, start_at__lt=interval.end_at
        )
        .order_by("start_at")
        .values(*COLUMNS)
    )
    return sum_up([from_columns(row) for row in rows])


def _store(
    model: type[models.Model],
    intervals: Sequence[Interval],
    compute: Callable[[Interval], Rollup | None],
    at: datetime,
) -> None:
    rows: list[Mapping[str, Any]] = []
    empty: list[Interval] = []
    for interval in intervals:
        rollup = compute(interval)
        if rollup is None:
            empty.append(interval)
        else:
            rows.append(_row(interval, rollup, at))
    key = ("plant_id", "start_at") if model is not TelemetryDay else ("plant_id", "day")
    for _, same in groupby(enumerate(rows), key=lambda numbered: numbered[0] // _ROWS):
        insert_or_update(model, [row for _, row in same], key=key, better="1 = 1")
    delete_empty(empty, model)


def _row(interval: Interval, rollup: Rollup, at: datetime) -> dict[str, Any]:
    length_s = (interval.end_at - interval.start_at).total_seconds()
    row = {
        "plant_id": interval.plant_id,
        "start_at": interval.start_at,
        "computed_at": at,
        **columns(rollup, length_s=length_s),
    }
    return row if interval.day is None else row | {"day": interval.day, "end_at": interval.end_at}
