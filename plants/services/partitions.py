"""Partitions of what grows with time on PostgreSQL: made ahead, made on demand, dropped by retention.

- A table is split by UTC day or month. Partitions are made some days ahead by a tick, and on demand by whoever writes.
- One is built beside its table and then attached, so that no reader or writer of the table waits for it.
- One that has outlived its retention is dropped, unless somebody says why it must stay (`why_kept`).
- On SQLite the tables are plain: old rows are deleted, day by day or month by month, in bounded steps.

Edge cases (the concurrency policy):
- No statement waits long for a lock, because everybody who comes after it would wait behind it: it gives up, lets the
  others through, and tries again a few times. A drop that finds a long reader each time comes round with the next tick.
- Two processes may find the same partition missing: one makes it, the other waits and finds it made.
- A process remembers what it has seen. The memory is a hint: whoever finds a partition gone forgets and makes it anew.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import partial

import structlog
from django.db import OperationalError, connection, models, transaction
from django.db.models import Min

from plants.models import MeterReading, TelemetryReading

log = structlog.get_logger(__name__)
_system_random = random.SystemRandom()


class Unit(StrEnum):
    """What one partition holds."""

    DAY = "DAY"
    MONTH = "MONTH"


@dataclass(frozen=True, kw_only=True)
class PartitionedTable:
    """A table that is split by the UTC time in `column`."""

    model: type[models.Model]
    column: str
    unit: Unit

    @property
    def name(self) -> str:
        """The table's name in the database."""
        return self.model._meta.db_table


@dataclass(frozen=True, kw_only=True)
class Span:
    """What one partition holds: [low, high)."""

    low: datetime
    high: datetime


WhyKept = Callable[[Span], str]
"""Why a partition of this span must stay though its time is over; '' = nobody needs it."""

READINGS = (
    PartitionedTable(model=TelemetryReading, column="measured_at", unit=Unit.DAY),
    PartitionedTable(model=MeterReading, column="reading_at", unit=Unit.DAY),
)
DAYS_AHEAD = 3
MONTH_AHEAD_DAYS = 31
DELETED_AT_ONCE = 5000
DELETIONS_AT_MOST = 200
_FORMATS = {Unit.DAY: "%Y%m%d", Unit.MONTH: "%Y%m"}
_MAKE_WAIT_MS, _DROP_WAIT_MS = 1000, 200
_TRIES = 3
_PAUSE_S = 0.3
_LOCK_NOT_AVAILABLE = "55P03"
_REMEMBERED_AT_MOST = 10_000
_made: set[str] = set()


def _partitioned() -> bool:
    return connection.vendor == "postgresql"


def partition_name(table: str, day: date, unit: Unit = Unit.DAY) -> str:
    """`plants_meterreading_20260309`, `metering_meterhour_202603`."""
    return f"{table}_{day.strftime(_FORMATS[unit])}"


def span_of(day: date, unit: Unit) -> Span:
    """The day, or the month, that a UTC day lies in."""
    if unit is Unit.DAY:
        low = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return Span(low=low, high=low + timedelta(days=1))
    low = datetime(day.year, day.month, 1, tzinfo=UTC)
    after = low + timedelta(days=31)
    return Span(low=low, high=datetime(after.year, after.month, 1, tzinfo=UTC))


def forget_known_partitions() -> None:
    """Drop this process's memory of what exists (after a drop by another process, between tests)."""
    _made.clear()


# --- making -----------------------------------------------------------------------------------------------------------


def ensure_partitions(*, days: Iterable[date], tables: Sequence[PartitionedTable] = READINGS) -> None:
    """Make the partitions that hold these UTC days where they are missing.

    Call outside a transaction that holds locks. Raises OperationalError when a lock could not be had in a few seconds.
    """
    if not _partitioned():
        return
    for day in sorted(set(days)):
        for table in tables:
            name = partition_name(table.name, day, table.unit)
            if name not in _made:
                if len(_made) >= _REMEMBERED_AT_MOST:
                    _made.clear()
                _patiently(partial(_make, table, day))
                _made.add(name)


def _make(table: PartitionedTable, day: date) -> None:
    name, span = partition_name(table.name, day, table.unit), span_of(day, table.unit)
    low, high = f"{span.low:%Y-%m-%d} 00:00:00+00", f"{span.high:%Y-%m-%d} 00:00:00+00"
    within = f"CHECK ({table.column} >= '{low}' AND {table.column} < '{high}')"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {_MAKE_WAIT_MS}")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name])
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return
        cursor.execute(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS)")
        cursor.execute(f"ALTER TABLE {name} ADD CONSTRAINT {name}_within {within}")
        cursor.execute(
            f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"
        )


def _patiently(work: Callable[[], None]) -> None:
    """A few tries with a pause of chance between them; raises when none of them got its lock."""
    for attempt in range(1, _TRIES + 1):
        try:
            return work()
        except OperationalError as error:
            if attempt == _TRIES or not _locked(error):
                raise
        time.sleep(_system_random.uniform(0.1, 1.0) * _PAUSE_S)  # to wait for the lock would block others
    raise AssertionError("unreachable")


def _locked(error: OperationalError) -> bool:
    return str(getattr(error.__cause__, "sqlstate", "")) == _LOCK_NOT_AVAILABLE


# --- by the clock -----------------------------------------------------------------------------------------------------


def _nobody_needs(_span: Span) -> str:
    return ""


def maintain_partitions(
    *,
    at: datetime,
    retention_days: int,
    tables: Sequence[PartitionedTable] = READINGS,
    why_kept: WhyKept = _nobody_needs,
) -> int:
    """Tick: make what will be needed, drop what is older than the retention and needed by nobody.

    Answers how many partitions were dropped (on SQLite: rows deleted).
    """
    oldest = (at - timedelta(days=retention_days)).date()
    end = datetime(oldest.year, oldest.month, oldest.day, tzinfo=UTC)
    if not _partitioned():
        return sum(_delete_older(table, end, why_kept) for table in tables)
    for table in tables:
        ahead = DAYS_AHEAD if table.unit is Unit.DAY else MONTH_AHEAD_DAYS
        days = (at.date() + timedelta(days=offset) for offset in range(-1, ahead + 1))
        ensure_partitions(days=days, tables=[table])
    return sum(_drop_older(table, end, why_kept) for table in tables)


def _drop_older(table: PartitionedTable, end: datetime, why_kept: WhyKept) -> int:
    dropped = 0
    for name, span in _existing(table):
        if span.high > end:
            break
        why = why_kept(span)
        if why:
            log.info("partition kept", action="partitions.kept", partition=name, why=why)
            continue
        try:
            _patiently(partial(_drop, name))
        except OperationalError as error:
            if not _locked(error):
                raise
            log.warning("partition in use", action="partitions.busy", partition=name)
            continue
        log.info("partition dropped", action="partitions.dropped", partition=name)
        dropped += 1
    if dropped:
        forget_known_partitions()
    return dropped


def _existing(table: PartitionedTable) -> list[tuple[str, Span]]:
    """The partitions that were made here, oldest first; one with a name of somebody else's is left alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(%s) ORDER BY c.relname",
            [table.name],
        )
        names = [str(name) for (name,) in cursor.fetchall()]
    days = ((name, _day_of(name, table)) for name in names)
    return [(name, span_of(day, table.unit)) for name, day in days if day is not None]


def _day_of(name: str, table: PartitionedTable) -> date | None:
    try:
        day = datetime.strptime(name.removeprefix(f"{table.name}_"), _FORMATS[table.unit]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return day.date() if partition_name(table.name, day.date(), table.unit) == name else None


def _drop(name: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {_DROP_WAIT_MS}")
        cursor.execute(f"DROP TABLE IF EXISTS {name}")


# --- where there are no partitions ------------------------------------------------------------------------------------


def _delete_older(table: PartitionedTable, end: datetime, why_kept: WhyKept) -> int:
    deleted = 0
    steps = DELETIONS_AT_MOST
    for span in _spans_of_rows(table, end):
        why = why_kept(span)
        if why:
            log.info("rows kept", action="partitions.kept", table=table.name, since=str(span.low), why=why)
            continue
        while steps:
            steps -= 1
            count = _delete_some(table, span)
            deleted += count
            if count < DELETED_AT_ONCE:
                break
    return deleted


def _spans_of_rows(table: PartitionedTable, end: datetime) -> Iterator[Span]:
    """The days (months) before `end` that have rows, oldest first."""
    low = datetime.min.replace(tzinfo=UTC)
    while True:
        rows = table.model._default_manager.filter(
            **{f"{table.column}__gte": low, f"{table.column}__lt": end}
        )
        oldest = rows.aggregate(oldest=Min(table.column))["oldest"]
        span = None if oldest is None else span_of(oldest.date(), table.unit)
        if span is None or span.high > end:
            return
        yield span
        low = span.high


def _delete_some(table: PartitionedTable, span: Span) -> int:
    rows = table.model._default_manager.filter(
        **{f"{table.column}__gte": span.low, f"{table.column}__lt": span.high}
    )
    ids = list(rows.order_by(table.column).values_list("pk", flat=True)[:DELETED_AT_ONCE])
    return rows.model._default_manager.filter(pk__in=ids).delete()[0] if ids else 0
