"""What the gap ledger asks the history: where holes end, and what came within gaps. Set-based on PostgreSQL.

Every statement names constant bounds of time beside those of each row, so that the planner leaves out the partitions
that can't hold any of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models
from django.db.models import QuerySet

from metering.gap_rules import end_of, holes_in, missing_in, spoken_for_s, tolerance_s
from metering.models import Gap, Stream
from metering.rules import QUARTER
from plants.models import MeterReading, TelemetryReading

FUTURE = timedelta(hours=2)
"""Readings may be a little ahead of our clock."""


@dataclass(frozen=True, kw_only=True)
class LookedAt:
    """A quarter-hour of a plant (of one of its meters), and how far apart its readings are expected."""

    plant_id: int
    device_id: str
    start_at: datetime
    period_s: float


@dataclass(frozen=True, kw_only=True)
class Hole:
    """Two readings that are too far apart."""

    plant_id: int
    device_id: str
    from_at: datetime
    to_at: datetime
    period_s: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is in a gap by now. `to_at` None = still open; `newest_at`: when the last reading within it arrived."""

    gap_id: int
    to_at: datetime | None
    missing_s: float
    newest_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class _Source:
    model: type[models.Model]
    column: str
    by_device: bool

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    def mine(self, of: str) -> str:
        """SQL: readings of the same plant, and meter."""
        device = f" AND r.device_id = {of}.device_id" if self.by_device else ""
        return f"r.plant_id = {of}.plant_id{device}"

    def rows(self, plant_id: int, device_id: str) -> "QuerySet[Any]":
        rows = self.model._default_manager.filter(plant_id=plant_id)
        return rows.filter(device_id=device_id) if self.by_device else rows


_SOURCES = {
    Stream.REALTIME: _Source(model=TelemetryReading, column="measured_at", by_device=False),
    Stream.METER: _Source(model=MeterReading, column="reading_at", by_device=True),
}


# --- holes ------------------------------------------------------------------------------------------------------------


def find_holes(*, stream: Stream, quarters: Sequence[LookedAt], look_back: timedelta) -> list[Hole]:
    """The holes that begin or end within these quarter-hours, each once; what lies `look_back` away is not seen."""
    if not quarters:
        return []
    source = _SOURCES[stream]
    if connection.vendor == "postgresql":
        found = _holes_by_statement(source, quarters, look_back)
    else:
        found = [hole for one in quarters for hole in _holes_of(source, one, look_back)]
    once = {(hole.plant_id, hole.device_id, hole.from_at): hole for hole in found}
    return [once[key] for key in sorted(once)]


def _holes_by_statement(source: _Source, quarters: Sequence[LookedAt], look_back: timedelta) -> list[Hole]:
    column, bounds = source.column, f"r.{source.column} >= %(low)s AND r.{source.column} < %(high)s"
    statement = f"""
        SELECT due.plant_id, due.device_id, hole.before, hole.moment, due.period_s
          FROM unnest(%(plants)s::bigint[], %(devices)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
                      %(periods)s::float8[], %(tolerances)s::interval[])
               AS due(plant_id, device_id, start_at, end_at, period_s, tolerance)
         CROSS JOIN LATERAL (
            SELECT moment, lag(moment) OVER (ORDER BY moment) AS before FROM (
                (SELECT r.{column} AS moment FROM {source.table} r WHERE {source.mine("due")} AND {bounds}
                    AND r.{column} < due.start_at ORDER BY r.{column} DESC LIMIT 1)
                UNION ALL
                (SELECT r.{column} FROM {source.table} r WHERE {source.mine("due")} AND {bounds}
                    AND r.{column} >= due.start_at AND r.{column} < due.end_at)
                UNION ALL
                (SELECT r.{column} FROM {source.table} r WHERE {source.mine("due")} AND {bounds}
                    AND r.{column} >= due.end_at ORDER BY r.{column} LIMIT 1)
            ) AS reading
         ) AS hole
         WHERE hole.moment - hole.before > due.tolerance
    """  # noqa: S608 - names of tables and columns
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "plants": [one.plant_id for one in quarters],
                "devices": [one.device_id for one in quarters],
                "starts": [one.start_at for one in quarters],
                "ends": [one.start_at + QUARTER for one in quarters],
                "periods": [one.period_s for one in quarters],
                "tolerances": [timedelta(seconds=tolerance_s(one.period_s)) for one in quarters],
                "low": min(one.start_at for one in quarters) - look_back,
                "high": max(one.start_at for one in quarters) + QUARTER + look_back,
            },
        )
        rows = cursor.fetchall()
    return [
        Hole(plant_id=plant_id, device_id=device_id, from_at=before, to_at=moment, period_s=period_s)
        for plant_id, device_id, before, moment, period_s in rows
    ]


def _holes_of(source: _Source, one: LookedAt, look_back: timedelta) -> list[Hole]:
    column, rows = source.column, source.rows(one.plant_id, one.device_id)
    within = rows.filter(
        **{f"{column}__gte": one.start_at, f"{column}__lt": one.start_at + QUARTER}
    ).order_by(column)
    before = rows.filter(**{f"{column}__gte": one.start_at - look_back, f"{column}__lt": one.start_at})
    end = one.start_at + QUARTER
    after = rows.filter(**{f"{column}__gte": end, f"{column}__lt": end + look_back})
    moments = [
        *before.order_by(f"-{column}").values_list(column, flat=True)[:1],
        *within.values_list(column, flat=True),
        *after.order_by(column).values_list(column, flat=True)[:1],
    ]
    return [
        Hole(plant_id=one.plant_id, device_id=one.device_id, from_at=low, to_at=high, period_s=one.period_s)
        for low, high in holes_in(moments, period_s=one.period_s)
    ]


# --- what came within gaps --------------------------------------------------------------------------------------------


def measure_gaps(*, stream: Stream, gaps: Sequence[Gap], at: datetime) -> list[Measured]:
    """Where these gaps end and what is missing in them now; one statement for all of them on PostgreSQL."""
    if not gaps:
        return []
    source = _SOURCES[stream]
    if connection.vendor == "postgresql":
        return _measured_by_statement(source, stream, gaps, at)
    return [_measured(source, stream, gap, at) for gap in gaps]


def _measured_by_statement(
    source: _Source, stream: Stream, gaps: Sequence[Gap], at: datetime
) -> list[Measured]:
    column = source.column
    after = (
        f"FROM {source.table} r WHERE {source.mine('g')} AND r.{column} >= %(low)s AND r.{column} < %(high)s"
        f" AND r.{column} > g.from_at"
    )
    statement = f"""
        SELECT g.id, e.to_at, m.missing_s, m.newest_at
          FROM unnest(%(ids)s::bigint[], %(plants)s::bigint[], %(devices)s::text[], %(froms)s::timestamptz[],
                      %(tos)s::timestamptz[], %(tolerances)s::float8[], %(spoken)s::float8[])
               AS g(id, plant_id, device_id, from_at, to_at, tolerance_s, spoken_s)
         CROSS JOIN LATERAL (
            SELECT coalesce(g.to_at, (
                SELECT min(r.{column}) {after} AND r.{column} >= (SELECT min(r.received_at) {after})
                       - g.tolerance_s * interval '1 second')) AS to_at
         ) AS e
         CROSS JOIN LATERAL (
            SELECT coalesce(sum(seconds - g.spoken_s) FILTER (WHERE seconds > g.tolerance_s), 0) AS missing_s,
                   max(received_at) AS newest_at
              FROM (
                SELECT received_at, extract(epoch FROM
                       coalesce(lead(moment) OVER (ORDER BY moment), e.to_at, %(at)s) - moment)::float8 AS seconds
                  FROM (SELECT g.from_at AS moment, NULL::timestamptz AS received_at
                        UNION ALL
                        SELECT r.{column}, r.received_at {after}
                           AND (e.to_at IS NULL OR r.{column} <= e.to_at)) AS reading
              ) AS piece
         ) AS m
    """  # noqa: S608 - names of tables and columns
    ends = [gap.to_at or at + FUTURE for gap in gaps]
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "ids": [gap.pk for gap in gaps],
                "plants": [gap.plant_id for gap in gaps],
                "devices": [gap.device_id for gap in gaps],
                "froms": [gap.from_at for gap in gaps],
                "tos": [gap.to_at for gap in gaps],
                "tolerances": [tolerance_s(gap.expected_period_s) for gap in gaps],
                "spoken": [spoken_for_s(stream, gap.expected_period_s) for gap in gaps],
                "low": min(gap.from_at for gap in gaps),
                "high": max(ends) + timedelta(microseconds=1),
                "at": at,
            },
        )
        rows = cursor.fetchall()
    return [
        Measured(gap_id=pk, to_at=to_at, missing_s=missing_s, newest_at=newest_at)
        for pk, to_at, missing_s, newest_at in rows
    ]


def _measured(source: _Source, stream: Stream, gap: Gap, at: datetime) -> Measured:
    column, rows = source.column, source.rows(gap.plant_id, gap.device_id)
    last = gap.to_at or at + FUTURE
    after = rows.filter(**{f"{column}__gt": gap.from_at, f"{column}__lte": last}).order_by(column)
    readings = list(after.values_list(column, "received_at"))
    period_s = gap.expected_period_s
    to_at = gap.to_at or end_of(readings, from_at=gap.from_at, period_s=period_s)
    within = [one for one in readings if to_at is None or one[0] <= to_at]
    moments = [gap.from_at, *(moment for moment, _ in within)]
    if to_at is None:
        moments.append(max(at, moments[-1]))
    return Measured(
        gap_id=gap.pk,
        to_at=to_at,
        missing_s=missing_in(moments, stream=stream, period_s=period_s),
        newest_at=max((received for _, received in within), default=None),
    )
