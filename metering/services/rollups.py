"""Rollups of realtime telemetry: only what changed is computed again, always from the readings themselves.

A transaction takes a chunk of due quarter-hours, computes them, and then the hours and local days that hold them. So
tables and due rows agree at every commit, and whatever the order in which samples came, the result is that of a
rebuild. A quarter-hour that holds nothing has no row; nor have an hour or a day of such only.

Edge cases, the concurrency policy:
- Two workers would each miss the other's quarter-hour in the hour that both belong to: one transaction at a time.
- A plant that was deleted in the meantime is left out; its rows went with it.
- A sample that commits after its quarter-hour was read has marks of its own (see `metering.services.due`).
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from django.db import connection

from metering.days import local_day_of
from metering.models import Stream
from metering.partitions import ROLLUPS
from metering.rules import HOLD_PERIODS, QUARTER, QUARTER_S, RollupRules
from metering.selectors.periods import periods_of
from metering.services.chunks import Budget, chunk_at_a_time
from metering.services.due import first_due, fold_marks, last_ready_start, take_due
from metering.services.rollup_portable import PortableRollup
from metering.services.rollup_postgres import PostgresRollup
from metering.services.rollup_work import Interval, RollupStore
from plants.errors import Invalid
from plants.models import Plant
from vcp.said import said

_LOCK = zlib.crc32(b"metering:telemetry-rollup")
HOUR = timedelta(hours=1)
RESOLUTION = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Rolled:
    """What a run has done; `more` = it stopped at its budget, the next run goes on."""

    marks: int
    quarters: int
    more: bool


def roll_up_telemetry(*, at: datetime, rules: RollupRules) -> Rolled:
    """Tick: fold the marks, then roll up what is due, oldest first, until nothing is left or the budget is spent."""
    budget = Budget(rules.budget_s)
    marks = budget.until_none(fold_marks)
    quarters = budget.until_none(lambda: roll_up_chunk(at=at, rules=rules))
    return Rolled(marks=marks, quarters=quarters, more=budget.spent)


def roll_up_chunk(*, at: datetime, rules: RollupRules) -> int:
    """Roll up the oldest chunk of due quarter-hours, in one transaction; answers how many were seen to be due."""
    ready = last_ready_start(at=at, rules=rules)
    seen = first_due(stream=Stream.REALTIME, ready=ready, limit=rules.chunk)
    if seen:
        with chunk_at_a_time(lock=_LOCK, days={due.start_at.date() for due in seen}, tables=ROLLUPS):
            due = take_due(seen=seen)
            _compute([(one.plant_id, one.start_at) for one in due], at=at, rules=rules)
    return len(seen)


def rebuild(
    *, plant_ids: Sequence[int], from_at: datetime, to_at: datetime, at: datetime, rules: RollupRules
) -> int:
    """Compute all quarter-hours from the readings again that begin within [from_at, to_at) and have ended, and what
    holds them; answers how many quarter-hours of plants were looked at. One transaction for each chunk.

    Raises Invalid where readings may be gone already: what they said is known by the rollups alone.
    """
    if to_at <= from_at:
        raise Invalid(said("lies before its beginning"), path="to_at")
    if from_at < at - rules.readings_kept + QUARTER:
        raise Invalid(said("readings of that time are no longer kept"), path="from_at")
    ready = last_ready_start(at=at, rules=rules)
    looked_at = 0
    for chunk in _chunks(_all_quarters(plant_ids, from_at, min(to_at, ready + RESOLUTION)), rules.chunk):
        with chunk_at_a_time(lock=_LOCK, days={start_at.date() for _, start_at in chunk}, tables=ROLLUPS):
            _compute(chunk, at=at, rules=rules)
        looked_at += len(chunk)
    return looked_at


def _all_quarters(
    plant_ids: Sequence[int], from_at: datetime, until: datetime
) -> Iterator[tuple[int, datetime]]:
    first = -(-from_at.timestamp() // QUARTER_S)
    for plant_id in sorted(set(plant_ids)):
        start_at = datetime.fromtimestamp(first * QUARTER_S, UTC)
        while start_at < until:
            yield plant_id, start_at
            start_at += QUARTER


def _chunks(pairs: Iterator[tuple[int, datetime]], size: int) -> Iterator[list[tuple[int, datetime]]]:
    while chunk := list(islice(pairs, size)):
        yield chunk


def _compute(due: Sequence[tuple[int, datetime]], *, at: datetime, rules: RollupRules) -> None:
    """Compute quarter-hours (plant id, beginning), each once, then the hours and local days that hold them."""
    zones = dict(
        Plant.objects.filter(pk__in={plant_id for plant_id, _ in due}).values_list("pk", "time_zone")
    )
    due = [(plant_id, start_at) for plant_id, start_at in due if plant_id in zones]
    if not due:
        return
    store: RollupStore = PostgresRollup() if connection.vendor == "postgresql" else PortableRollup()
    store.quarters(_quarters(due, list(zones), rules), at=at)
    store.hours(_hours(due), at=at)
    store.days(_days(due, zones), at=at)


def _quarters(
    due: Sequence[tuple[int, datetime]], plant_ids: Sequence[int], rules: RollupRules
) -> list[Interval]:
    periods = periods_of(plant_ids=plant_ids, stream=Stream.REALTIME, rules=rules)
    return [
        Interval(
            plant_id,
            start_at,
            start_at + QUARTER,
            hold=timedelta(seconds=HOLD_PERIODS * periods.at(plant_id, start_at)),
        )
        for plant_id, start_at in sorted(due)
    ]


def _hours(due: Sequence[tuple[int, datetime]]) -> list[Interval]:
    beginnings = sorted({(plant_id, start_at.replace(minute=0)) for plant_id, start_at in due})
    return [Interval(plant_id, start_at, start_at + HOUR) for plant_id, start_at in beginnings]


def _days(due: Sequence[tuple[int, datetime]], zones: Mapping[int, str]) -> list[Interval]:
    days = sorted({(plant_id, local_day_of(start_at, zone=zones[plant_id])) for plant_id, start_at in due})
    return [Interval(plant_id, day.start_at, day.end_at, day=day.day) for plant_id, day in days]
