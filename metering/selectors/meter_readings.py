"""Readings of meters as the counting wants them: of many plants or meters at once, and the neighbours of a span.

Readings of quality MISSING are left out: they tell nothing. On PostgreSQL each function is one statement for all that
is asked, with constant bounds of time beside those of each span, so that partitions which can't hold any are left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from metering.registers import REGISTERS, Reading
from plants.models import MeterReading
from vcp import DataQuality

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_REGISTERS = tuple(f"{register.lower()}_register_kwh" for register in REGISTERS)
_COLUMNS = ("reading_at", "quality_rank", "role", *_REGISTERS)
# The driver makes an instant of a text in Python; a number costs it a tenth of that.
_AT_US = "(extract(epoch FROM r.reading_at) * 1000000)::bigint"
_SELECTED = ", ".join([_AT_US, *(f"r.{name}" for name in _COLUMNS[1:])])
_WITHIN = (
    "r.reading_at >= a.low AND r.reading_at < a.high AND r.reading_at >= %s AND r.reading_at < %s"
    f" AND r.data_quality <> '{DataQuality.MISSING.value}'"
)
_PLANTS = "unnest(%s::int[], %s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS a(n, plant_id, low, high)"
_METERS = (
    "unnest(%s::int[], %s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[])"
    " AS a(n, plant_id, device_id, low, high)"
)
# OFFSET 0 keeps each span a look-up by the key; for many plants the planner would rather read the whole partition.
_OF_PLANTS = (
    f"SELECT a.n, f.* FROM {_PLANTS} CROSS JOIN LATERAL (SELECT r.device_id, {_SELECTED}"  # noqa: S608 - our own names
    f" FROM plants_meterreading r WHERE r.plant_id = a.plant_id AND {_WITHIN} OFFSET 0) AS f"
)
_OF_METERS = (
    f"SELECT a.n, {_SELECTED} FROM {_METERS} JOIN plants_meterreading r"  # noqa: S608 - our own names
    f" ON r.plant_id = a.plant_id AND r.device_id = a.device_id AND {_WITHIN}"
)
_NEIGHBOUR = (
    f"SELECT a.n, {_SELECTED} FROM {_METERS} CROSS JOIN LATERAL (SELECT * FROM plants_meterreading r"  # noqa: S608
    f" WHERE r.plant_id = a.plant_id AND r.device_id = a.device_id AND r.{{column}} IS NOT NULL AND {_WITHIN}"
    " ORDER BY r.reading_at {order} LIMIT 1) AS r"
)


class PlantSpan(NamedTuple):
    """[low, high) of all meters of a plant, in microseconds since 1970."""

    plant_id: int
    low_us: int
    high_us: int


class MeterSpan(NamedTuple):
    """[low, high) of one meter, in microseconds since 1970."""

    plant_id: int
    device_id: str
    low_us: int
    high_us: int


def to_us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def to_moment(us: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + timedelta(microseconds=us)


def readings_of_plants(*, spans: Sequence[PlantSpan]) -> list[dict[str, list[Reading]]]:
    """For each span the readings of every meter that has any there, by device id, in order of time."""
    found: list[dict[str, list[Reading]]] = [defaultdict(list) for _ in spans]
    if not spans:
        return found
    if connection.vendor == "postgresql":
        rows: Iterable[tuple[Any, ...]] = _rows(
            _OF_PLANTS,
            list(range(len(spans))),
            [span.plant_id for span in spans],
            *_bounds(spans),
        )
    else:
        rows = (
            (number, *row)
            for number, span in enumerate(spans)
            for row in _portable(span).values_list("device_id", *_COLUMNS)
        )
    for number, device_id, *values in rows:
        found[number][device_id].append(_reading(values))
    for by_device in found:
        for readings in by_device.values():
            readings.sort()
    return found


def readings_of_meters(*, spans: Sequence[MeterSpan]) -> list[list[Reading]]:
    """For each span its readings, in order of time."""
    found: list[list[Reading]] = [[] for _ in spans]
    if not spans:
        return found
    if connection.vendor == "postgresql":
        rows: Iterable[tuple[Any, ...]] = _rows(
            _OF_METERS,
            list(range(len(spans))),
            [span.plant_id for span in spans],
            [span.device_id for span in spans],
            *_bounds(spans),
        )
    else:
        rows = (
            (number, *row)
            for number, span in enumerate(spans)
            for row in _portable(span).filter(device_id=span.device_id).values_list(*_COLUMNS)
        )
    for number, *values in rows:
        found[number].append(_reading(values))
    for readings in found:
        readings.sort()
    return found


def neighbours(*, spans: Sequence[MeterSpan], register: int, later: bool) -> list[Reading | None]:
    """For each span the newest reading within that tells the register; with `later` the oldest."""
    found: list[Reading | None] = [None] * len(spans)
    if not spans:
        return found
    column, order = _REGISTERS[register], "ASC" if later else "DESC"
    if connection.vendor == "postgresql":
        rows: Iterable[tuple[Any, ...]] = _rows(
            _NEIGHBOUR.format(column=column, order=order),
            list(range(len(spans))),
            [span.plant_id for span in spans],
            [span.device_id for span in spans],
            *_bounds(spans),
        )
    else:
        rows = (
            (number, *row)
            for number, span in enumerate(spans)
            for row in _portable(span)
            .filter(device_id=span.device_id, **{f"{column}__isnull": False})
            .order_by("reading_at" if later else "-reading_at")
            .values_list(*_COLUMNS)[:1]
        )
    for number, *values in rows:
        found[number] = _reading(values)
    return found


def _bounds(spans: Sequence[PlantSpan] | Sequence[MeterSpan]) -> list[Any]:
    """The two arrays of bounds, then the outermost ones."""
    lows = [to_moment(span.low_us) for span in spans]
    highs = [to_moment(span.high_us) for span in spans]
    return [lows, highs, min(lows), max(highs)]


def _rows(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())


def _portable(span: PlantSpan | MeterSpan) -> "QuerySet[MeterReading]":
    return MeterReading.objects.filter(
        plant_id=span.plant_id,
        reading_at__gte=to_moment(span.low_us),
        reading_at__lt=to_moment(span.high_us),
    ).exclude(data_quality=DataQuality.MISSING.value)


def _reading(row: Sequence[Any]) -> Reading:
    at, rank, role, *kwh = row
    return Reading(at if isinstance(at, int) else to_us(at), rank, role, tuple(kwh))
