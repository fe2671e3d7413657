"""The raw part of a chart: the statement that reads its stored points, prepared, in binary form; nothing is built."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

_SOURCES = {
    "chart_day": ("metering_telemetryquarter", "start_at >= %s AND start_at < %s"),
    "chart_month": ("metering_telemetryhour", "start_at >= %s AND start_at < %s"),
    "chart_year": (
        "metering_telemetryday",
        "day >= (%s AT TIME ZONE 'UTC')::date AND day <= (%s AT TIME ZONE 'UTC')::date",
    ),
}


def floor_chart(
    database: "psycopg.Connection[Any]",
    name: str,
    *,
    plant_id: int,
    measures: Sequence[str],
    from_at: datetime,
    to_at: datetime,
) -> int:
    """Read the stored points of a chart as tuples; answers how many there are."""
    table, within = _SOURCES[name]
    columns = ", ".join(
        f"{measure}_{what}" for measure in measures for what in ("s", "min", "max", "mean", "last")
    )
    found = database.execute(
        f"SELECT start_at, covered_s, quality_rank, {columns} FROM {table}"
        f" WHERE plant_id = %s AND {within} ORDER BY start_at",
        [plant_id, from_at, to_at],
        prepare=True,
        binary=True,
    )
    return len(found.fetchall())
