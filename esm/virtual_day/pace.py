"""When the platform's ticks run in a virtual day, and when something is due next.

A day at the ticks' own pace would be 300,000 runs that find nothing to do. So they run in rounds, and the stepper goes
from one interesting instant to the next. What it guarantees:

- A tick runs at most once in its period, as on the wall clock.
- What has a due time in the tables (`next_due_at`) is looked for at exactly that instant.
- After an instant at which something was said or done rounds follow 1 s, 31 s and 331 s later, then every
  `IDLE_ROUND_S`. So what follows from an event without a due time of its own is looked for at once, and again; what
  follows from time passing without a due time is late by `IDLE_ROUND_S` at most.
- Housekeeping, and the watch for processes that are gone (here is one, and it is there), run at `STRETCHED` periods.

The stand-in has steps of its own in between: at each of its telemetry, and where a target begins or ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from django.db import connection
from django.db.models import Model

from dispatch.models import Command, OutboundMessage, Retraction, TimedCommand, Verification
from esm.ticks import TICKS, Tick
from schedules.models import Override, SlotProof, SlotRun, VokeSchedule

GAPS_S = (1.0, 30.0, 300.0)
IDLE_ROUND_S = GAPS_S[-1]
STRETCHED: Mapping[str, float] = {
    "deadman": 900.0,
    "notify": 900.0,
    "rollups": 900.0,
    "meter_rollups": 900.0,
    "gaps": 21600.0,
    "recent_bodies": 3600.0,
    "link_health": 3600.0,
    "link_spans": 3600.0,
    "notifications": 3600.0,
    "partitions": 3600.0,
    "inbound": 3600.0,
    "command_retention": 3600.0,
    "dead_letters": 3600.0,
    "journal": 3600.0,
    "config_updates": 3600.0,
    "plan_retention": 3600.0,
    "plans_done": 600.0,
    "site_reports": 3600.0,
    "plan_reconcile": 900.0,
    "diagnosis_rest": 60.0,
    "plants_moved": 300.0,
    "retire_drained": 600.0,
    "site_config": 120.0,
    "emergencies_in_doubt": 120.0,
}


def period_s(tick: Tick) -> float:
    """How often a tick runs at most in a virtual day."""
    return STRETCHED.get(tick.name, tick.period_s)


class Pace:
    """Which ticks are due, and when the next round is."""

    def __init__(self, at: datetime) -> None:
        self._ran_at: dict[str, datetime] = {}
        self._quiet = 0
        self.next_round_at = at

    def due(self, at: datetime) -> Iterator[Tick]:
        """The ticks of a round, in their order."""
        for tick in TICKS:
            ran_at = self._ran_at.get(tick.name)
            if ran_at is None or (at - ran_at).total_seconds() >= period_s(tick):
                self._ran_at[tick.name] = at
                yield tick

    def plan_next(self, at: datetime, *, eventful: bool) -> None:
        """After a round, or an event between two: when the next one is."""
        self._quiet = 0 if eventful else min(self._quiet + 1, len(GAPS_S) - 1)
        idle_at, due_at = at + timedelta(seconds=GAPS_S[self._quiet]), next_due_at(at)
        self.next_round_at = idle_at if due_at is None else min(idle_at, due_at)


_DUE: Sequence[tuple[type[Model], str, str]] = (
    (Command, "due_at", "state = 'SCHEDULED'"),
    (Command, "ack_due_at", "state = 'SENT'"),
    (OutboundMessage, "not_before_at", "outcome = 'PENDING'"),
    (SlotRun, "due_at", "state = 'WAITING'"),
    (VokeSchedule, "due_at", "gone_at IS NULL"),
    (Override, "until_at", "ended_at IS NULL"),
    (TimedCommand, "stop_at", "ended_at IS NULL"),
    (Retraction, "due_at", "TRUE"),
    (Verification, "due_at", "verdict = 'PENDING'"),
    (SlotProof, "due_at", "verdict = 'PENDING'"),
)
"""Where rows become due: table, column, and the condition of the partial index that finds the next one."""


def next_due_at(at: datetime) -> datetime | None:
    """The first instant after `at` at which a row of ours becomes due; one statement."""
    parts = [
        f"SELECT MIN({column}) AS moment FROM {model._meta.db_table} WHERE {condition} AND {column} > %s"  # noqa: S608
        for model, column, condition in _DUE
    ]
    after = connection.ops.adapt_datetimefield_value(at)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT MIN(moment) FROM ({' UNION ALL '.join(parts)}) AS due",  # noqa: S608 - names of ours
            [after] * len(parts),
        )
        found = cursor.fetchone()[0]
    if isinstance(found, str):  # SQLite has no type for moments
        return datetime.fromisoformat(found).replace(tzinfo=UTC)
    return cast("datetime | None", found)
