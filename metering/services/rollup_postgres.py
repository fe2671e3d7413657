"""Rollups on PostgreSQL: one set-based statement for all intervals."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection, models

from metering.models import TelemetryDay, TelemetryHour, TelemetryQuarter
from metering.services.rollup_sql import days_statement, hours_statement, quarters_statement
from metering.services.rollup_work import NO_HOLD, Interval, begins_on_hours

_QUARTERS = quarters_statement()
_HOURS = hours_statement()
_DAYS_OF_HOURS = days_statement(source=TelemetryHour._meta.db_table)
_DAYS_OF_QUARTERS = days_statement(source=TelemetryQuarter._meta.db_table)


class PostgresRollup:
    """A `RollupStore` by statements that the server computes from its own rows."""

    def quarters(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        self._store(_QUARTERS, TelemetryQuarter, intervals, at)

    def hours(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        self._store(_HOURS, TelemetryHour, intervals, at)

    def days(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        whole = [one for one in intervals if begins_on_hours(one)]
        other = [one for one in intervals if not begins_on_hours(one)]
        self._store(_DAYS_OF_HOURS, TelemetryDay, whole, at)
        self._store(_DAYS_OF_QUARTERS, TelemetryDay, other, at)

    def _store(
        self, statement: str, model: type[models.Model], intervals: Sequence[Interval], at: datetime
    ) -> None:
        if not intervals:
            return
        with connection.cursor() as cursor:
            cursor.execute(statement, _parameters(intervals, at))
            stored = set(cursor.fetchall())
        delete_empty([one for one in intervals if (one.plant_id, one.start_at) not in stored], model)


def _parameters(intervals: Sequence[Interval], at: datetime) -> dict[str, Any]:
    longest: timedelta = max((one.hold for one in intervals), default=NO_HOLD)
    return {
        "plant_ids": [one.plant_id for one in intervals],
        "starts": [one.start_at for one in intervals],
        "ends": [one.end_at for one in intervals],
        "holds": [one.hold for one in intervals],
        "days": [one.day for one in intervals],
        "low": min(one.start_at for one in intervals) - longest,
        "high": max(one.end_at for one in intervals),
        "at": at,
    }


def delete_empty(intervals: Sequence[Interval], model: type[models.Model]) -> None:
    """Delete the rows of intervals that turned out to hold nothing."""
    name = "day" if model is TelemetryDay else "start_at"
    ordered = sorted(intervals, key=lambda one: (getattr(one, name), one.plant_id))
    for moment, same in groupby(ordered, key=lambda one: getattr(one, name)):
        plant_ids = [one.plant_id for one in same]
        model._default_manager.filter(**{name: moment, "plant_id__in": plant_ids}).delete()
