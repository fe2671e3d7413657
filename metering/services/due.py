"""From marks to work: which quarter-hours of which plants are due, each once.

Edge cases, the concurrency policy:
- A batch that commits after the fold has marks of its own: they wait for the next fold.
- Whoever works on due rows deletes them first and reads the readings in a later statement. A fold that finds such a row
  waits for that transaction, and then writes a new one: what was stored after the readings were read is computed again.
- Two folds insert in the order of the unique key; two workers skip each other's rows.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from metering.models import RollupDue, RollupMark, Stream
from metering.rules import METER_REACH_S, QUARTER, RollupRules

FOLD_MARKS = 2000
"""Marks in one transaction: a plant that many of them name is looked up once."""
_PORTABLE_ROWS = 500


class DueQuarter(NamedTuple):
    """A quarter-hour of a plant that has to be computed again; sorts by time, then plant."""

    start_at: datetime
    plant_id: int
    due_id: int


_FOLD = """
    WITH taken AS (
        DELETE FROM metering_rollupmark WHERE id IN (
            SELECT id FROM metering_rollupmark ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING stream, start_at, plant_ids
    ), stored AS (
        INSERT INTO metering_rollupdue (stream, start_at, plant_id)
        SELECT DISTINCT stream, start_at, plant_id::bigint
          FROM taken CROSS JOIN LATERAL jsonb_array_elements_text(plant_ids) AS named(plant_id)
         ORDER BY stream, start_at, plant_id::bigint
        ON CONFLICT (stream, start_at, plant_id) DO NOTHING
    )
    SELECT count(*) FROM taken
"""
_TAKE = """
    DELETE FROM metering_rollupdue WHERE id IN (
        SELECT id FROM metering_rollupdue WHERE id = ANY(%s) ORDER BY start_at, plant_id FOR UPDATE SKIP LOCKED
    ) RETURNING start_at, plant_id, id
"""


def fold_marks(*, limit: int = FOLD_MARKS) -> int:
    """Turn the oldest marks into due rows, in one transaction; answers how many marks were folded."""
    with transaction.atomic():
        if connection.vendor != "postgresql":
            return _fold_portably(limit)
        with connection.cursor() as cursor:
            cursor.execute(_FOLD, [limit])
            return int(cursor.fetchone()[0])


def _fold_portably(limit: int) -> int:
    marks = list(RollupMark.objects.order_by("id")[:limit])
    due = {(mark.stream, mark.start_at, plant_id) for mark in marks for plant_id in mark.plant_ids}
    RollupDue.objects.bulk_create(
        [
            RollupDue(stream=stream, start_at=start_at, plant_id=plant_id)
            for stream, start_at, plant_id in sorted(due)
        ],
        ignore_conflicts=True,
        batch_size=_PORTABLE_ROWS,
    )
    RollupMark.objects.filter(pk__in=[mark.pk for mark in marks]).delete()
    return len(marks)


def last_ready_start(*, at: datetime, rules: RollupRules, stream: Stream = Stream.REALTIME) -> datetime:
    """The latest beginning of a quarter-hour that has ended, and whose grace has passed.

    One of meters also waits for the readings that soon follow its end: they complete it.
    """
    reach_s = METER_REACH_S if stream == Stream.METER else 0
    return at - rules.grace - QUARTER - timedelta(seconds=reach_s)


def first_due(*, stream: Stream, ready: datetime, limit: int) -> list[DueQuarter]:
    """The oldest due quarter-hours that begin no later than `ready`; takes nothing yet.

    So partitions can be made before the transaction that takes them begins.
    """
    rows = (
        RollupDue.objects.filter(stream=stream, start_at__lte=ready)
        .order_by("start_at", "plant_id")
        .values_list("start_at", "plant_id", "pk")[:limit]
    )
    return [DueQuarter(*row) for row in rows]


def take_due(*, seen: Sequence[DueQuarter]) -> list[DueQuarter]:
    """Take those of the quarter-hours seen that nobody has taken; call within a transaction: they go with its commit.

    Read the readings in a statement after this one (see the module).
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [[due.due_id for due in seen]])
            return sorted(DueQuarter(*row) for row in cursor.fetchall())
    there: set[int] = set()
    for place in range(0, len(seen), _PORTABLE_ROWS):
        rows = RollupDue.objects.filter(pk__in=[due.due_id for due in seen[place : place + _PORTABLE_ROWS]])
        there.update(rows.values_list("pk", flat=True))
        rows.delete()
    return sorted(due for due in seen if due.due_id in there)
