"""Monthly partitions of the rollups on PostgreSQL, made by whoever writes them; on SQLite the tables are plain."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from django.db import connection, transaction

_TABLES = ("metering_telemetryquarter", "metering_telemetryhour")
_made: set[date] = set()  # what this process knows to exist; a hint, the catalogue decides


def ensure_months(*, moments: Iterable[datetime]) -> None:
    """Make the months of these moments where they are missing. Call outside a transaction that holds locks."""
    if connection.vendor != "postgresql":
        return
    for month in sorted({moment.astimezone(UTC).date().replace(day=1) for moment in moments} - _made):
        for table in _TABLES:
            _make(table, month)
        _made.add(month)


def forget_known_months() -> None:
    """Drop this process's memory of what exists (after a drop by another process, between tests)."""
    _made.clear()


def _make(table: str, month: date) -> None:
    name = f"{table}_{month:%Y%m}"
    following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    low, high = f"{month:%Y-%m-%d} 00:00:00+00", f"{following:%Y-%m-%d} 00:00:00+00"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '3s'")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name])
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return
        cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)")
        cursor.execute(
            f"ALTER TABLE {name} ADD CONSTRAINT {name}_month"
            f" CHECK (start_at >= '{low}' AND start_at < '{high}')"
        )
        cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")
