"""Daily partitions of the readings on PostgreSQL: made ahead, made on demand, dropped by retention.

A partition is built beside the table and then attached, so that no reader of the table is blocked; `lock_timeout`
bounds the wait for the attach itself. On SQLite the tables are plain and old rows are deleted.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from django.db import connection, models, transaction

from plants.models import MeterReading, TelemetryReading

DAYS_AHEAD = 3
_TABLES: tuple[tuple[type[models.Model], str], ...] = (
    (TelemetryReading, "measured_at"),
    (MeterReading, "reading_at"),
)
_made: set[tuple[str, date]] = set()  # what this process knows to exist; a hint, the catalogue decides


def _partitioned() -> bool:
    return connection.vendor == "postgresql"


def partition_name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def ensure_partitions(*, days: Iterable[date]) -> None:
    """Make the partitions of these UTC days where they are missing. Call outside a transaction that holds locks."""
    if not _partitioned():
        return
    for day in sorted(set(days)):
        for model, column in _TABLES:
            table = model._meta.db_table
            if (table, day) not in _made:
                _make_partition(table, column, day)
                _made.add((table, day))


def forget_known_partitions() -> None:
    """Drop this process's memory of what exists (after a drop by another process, between tests)."""
    _made.clear()


def _make_partition(table: str, column: str, day: date) -> None:
    name = partition_name(table, day)
    low, high = f"{day:%Y-%m-%d} 00:00:00+00", f"{day + timedelta(days=1):%Y-%m-%d} 00:00:00+00"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '3s'")
        # Two processes may find the same day missing: one makes it, the other waits here and finds it made.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name])
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return
        cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)")
        cursor.execute(
            f"ALTER TABLE {name} ADD CONSTRAINT {name}_day CHECK ({column} >= '{low}' AND {column} < '{high}')"
        )
        cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")


def maintain_partitions(*, at: datetime, retention_days: int) -> int:
    """Tick: make the next days, drop what is older than the retention. Answers how many partitions were dropped."""
    oldest = (at - timedelta(days=retention_days)).date()
    if not _partitioned():
        for model, column in _TABLES:
            model._default_manager.filter(**{f"{column}__date__lt": oldest}).delete()
        return 0
    ensure_partitions(days=[at.date() + timedelta(days=offset) for offset in range(-1, DAYS_AHEAD + 1)])
    return sum(_drop_older(model._meta.db_table, oldest) for model, _ in _TABLES)


def _drop_older(table: str, oldest: date) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(%s) AND c.relname < %s ORDER BY c.relname",
            [table, partition_name(table, oldest)],
        )
        names = [row[0] for row in cursor.fetchall()]
    for name in names:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            cursor.execute(f"DROP TABLE IF EXISTS {name}")
    forget_known_partitions()
    return len(names)
