"""Storing what meters counted: quarter-hours, and the hours and local days that are their sums.

An hour or day sums the parts of which something is known; a meter's role there is the last in the alphabet of those
that it told (a meter that changes its role is rare; sums by role come from the quarter-hours).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, models

from metering.models import MeterDay, MeterHour, MeterQuarter
from metering.registers import REGISTERS, LeapKind, QuarterEnergy
from metering.rules import QUARTER_S
from metering.selectors.meter_readings import to_moment

ENERGIES = tuple(f"{register.lower()}_kwh" for register in REGISTERS)
HOUR = timedelta(hours=1)
_QUARTER_COLUMNS = (
    "role",
    *ENERGIES,
    "readings",
    "covered_s",
    "coverage_pct",
    "quality_rank",
    "estimated",
    "events",
)
_KINDS = (
    "bigint", "text", "timestamptz", "timestamptz", "text", *["float8"] * len(ENERGIES), "int", "float8", "float8",
    "smallint", "boolean", "text",
)  # fmt: skip
_INSERTED = ("plant_id", "device_id", "start_at", "computed_at", *_QUARTER_COLUMNS)
_ARRAYS = f"SELECT * FROM unnest({', '.join(f'%s::{kind}[]' for kind in _KINDS)})"  # noqa: S608 - our own names
_PORTION = 500
"""Rows or intervals in one statement of the portable path."""


class QuarterKey(NamedTuple):
    """A quarter-hour of a meter."""

    plant_id: int
    device_id: str
    start_us: int


@dataclass(frozen=True, kw_only=True, order=True)
class Interval:
    """An hour, or a local day (`day`), of a plant: [start_at, end_at)."""

    plant_id: int
    start_at: datetime
    end_at: datetime
    day: date | None = None


def store_quarters(*, counted: Mapping[QuarterKey, QuarterEnergy], at: datetime) -> None:
    """Write quarter-hours over what was there."""
    rows = [_row(key, counted[key], at) for key in sorted(counted)]
    for portion in _portions(rows, len(rows) if connection.vendor == "postgresql" else _PORTION):
        if connection.vendor == "postgresql":
            values, params = _ARRAYS, [list(column) for column in zip(*portion, strict=True)]
        else:
            values, params = f"VALUES {_places(len(_INSERTED), len(portion))}", _flat(portion)
        _execute(
            f"INSERT INTO {MeterQuarter._meta.db_table} ({', '.join(_INSERTED)}) {values}"
            f" {_on_conflict('plant_id, device_id, start_at', ('computed_at', *_QUARTER_COLUMNS))}",
            params,
        )


def _row(key: QuarterKey, energy: QuarterEnergy, at: datetime) -> tuple[Any, ...]:
    return (
        key.plant_id,
        key.device_id,
        to_moment(key.start_us),
        at,
        energy.role,
        *energy.energies_kwh,
        energy.readings,
        energy.covered_s,
        100 * energy.covered_s / QUARTER_S,
        energy.quality_rank,
        energy.estimated,
        energy.events,
    )


def forget_quarters(*, keys: Iterable[QuarterKey]) -> set[tuple[int, str]]:
    """Delete quarter-hours of which nothing is known (any more); answers the meters that had such rows."""
    by_meter: dict[tuple[int, str], list[datetime]] = {}
    for key in keys:
        by_meter.setdefault((key.plant_id, key.device_id), []).append(to_moment(key.start_us))
    lost = set()
    for (plant_id, device_id), starts in by_meter.items():
        rows = MeterQuarter.objects.filter(
            plant_id=plant_id, device_id=device_id, start_at__gte=min(starts), start_at__lte=max(starts)
        )
        stale = set(rows.values_list("start_at", flat=True)) & set(starts)
        for portion in _portions(sorted(stale), _PORTION):
            MeterQuarter.objects.filter(plant_id=plant_id, device_id=device_id, start_at__in=portion).delete()
            lost.add((plant_id, device_id))
    return lost


def sum_hours(*, hours: Sequence[Interval], at: datetime) -> None:
    """Write the hours from their quarter-hours."""
    _sum_up(MeterHour, MeterQuarter, hours, key="plant_id, device_id, start_at", more=(), at=at)


def sum_days(*, days: Sequence[Interval], at: datetime) -> None:
    """Write the local days: from hours where they begin and end on a full hour of UTC, else from quarter-hours."""
    whole = [day for day in days if not (day.start_at.minute or day.end_at.minute)]
    split = [day for day in days if day.start_at.minute or day.end_at.minute]
    for part, source in ((whole, MeterHour), (split, MeterQuarter)):
        _sum_up(MeterDay, source, part, key="plant_id, device_id, day", more=("day", "end_at"), at=at)


def forget_sums(
    *, meters: Iterable[tuple[int, str]], hours: Sequence[Interval], days: Sequence[Interval]
) -> None:
    """Delete the hours and days of these meters; they are summed up again where something is left."""
    for plant_id, device_id in meters:
        for model, intervals in ((MeterHour, hours), (MeterDay, days)):
            starts = [one.start_at for one in intervals if one.plant_id == plant_id]
            for portion in _portions(starts, _PORTION):
                model._default_manager.filter(
                    plant_id=plant_id, device_id=device_id, start_at__in=portion
                ).delete()


def _sum_up(
    target: type[models.Model],
    source: type[models.Model],
    intervals: Sequence[Interval],
    *,
    key: str,
    more: Sequence[str],
    at: datetime,
) -> None:
    columns = ("start_at", *more, "computed_at", *_QUARTER_COLUMNS)
    updated = [column for column in columns if column not in key]
    for portion in _portions(intervals, len(intervals) if connection.vendor == "postgresql" else _PORTION):
        asked, params = _asked(portion)
        selected = ", ".join(f"d.{name}" for name in ("start_at", *more))
        _execute(
            f"WITH d (plant_id, start_at, end_at, day, length_s) AS ({asked})"  # noqa: S608 - our own names
            f" INSERT INTO {target._meta.db_table} (plant_id, device_id, {', '.join(columns)})"
            f" SELECT d.plant_id, q.device_id, {selected}, {_moment_param()}, {_SUMS}"
            f" FROM d JOIN {source._meta.db_table} q ON q.plant_id = d.plant_id AND q.start_at >= d.start_at"
            " AND q.start_at < d.end_at AND q.start_at >= %s AND q.start_at < %s"
            " GROUP BY d.plant_id, d.start_at, d.end_at, d.day, d.length_s, q.device_id"
            f" ORDER BY d.plant_id, q.device_id, d.start_at {_on_conflict(key, updated)}",
            [
                *params,
                _adapted(at),
                _adapted(min(one.start_at for one in portion)),
                _adapted(max(one.end_at for one in portion)),
            ],
        )


def _happened(kind: LeapKind) -> str:
    return f"max(CASE WHEN q.events LIKE '%%{kind}%%' THEN ',{kind}' ELSE '' END)"


_SUMS = ", ".join(
    [
        "max(q.role)",
        *(f"sum(q.{name})" for name in ENERGIES),
        "sum(q.readings), sum(q.covered_s), 100 * sum(q.covered_s) / d.length_s, min(q.quality_rank)",
        "max(CASE WHEN q.estimated THEN 1 ELSE 0 END) = 1",
        f"substr({' || '.join(_happened(kind) for kind in LeapKind)}, 2)",
    ]
)


def _asked(intervals: Sequence[Interval]) -> tuple[str, list[Any]]:
    """The intervals as a SELECT of (plant_id, start_at, end_at, day, length_s)."""
    rows = [
        (one.plant_id, one.start_at, one.end_at, one.day, (one.end_at - one.start_at).total_seconds())
        for one in intervals
    ]
    if connection.vendor == "postgresql":
        text = "SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::date[], %s::float8[])"
        return text, [list(column) for column in zip(*rows, strict=True)]
    return f"VALUES {_places(5, len(rows))}", _flat(rows)


def _moment_param() -> str:
    return "%s::timestamptz" if connection.vendor == "postgresql" else "%s"


def _on_conflict(key: str, updated: Sequence[str]) -> str:
    return f"ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in updated)}"


def _places(columns: int, rows: int) -> str:
    row = f"({', '.join(['%s'] * columns)})"
    return ", ".join([row] * rows)


def _flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [_adapted(value) for row in rows for value in row]


def _adapted(value: Any) -> Any:
    """A value as the database's driver takes it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, date):
        return connection.ops.adapt_datefield_value(value)
    return value


def _portions(rows: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (rows[start : start + size] for start in range(0, len(rows), max(1, size)))


def _execute(statement: str, params: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
