"""When the platform's ticks run in a virtual day, and when something is due next.

A day at the ticks' own pace would be 300,000 runs that find nothing to do. So they run in rounds, and the stepper goes
from one interesting instant to the next. What it guarantees:

- A tick runs at most once in its period, as on the wall clock.
- What has a due time in the tables (`_DUE`) is looked for at exactly that instant, by the ticks that look for it.
- One second after an instant at which something was said or done all ticks look, then every `IDLE_ROUND_S`. So what
  follows from an event without a due time of its own follows within a second, and what follows from time passing
  without a due time is late by `IDLE_ROUND_S` at most.
- Housekeeping, and the watch for processes that are gone (here is one, and it is there), run at `STRETCHED` periods,
  and so do ticks whose rows all name their time.

The stand-in has steps of its own in between: at each of its telemetry, and where a target begins or ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import Model

from dispatch.models import Command, OutboundMessage, Retraction, TimedCommand, Verification
from esm.ticks import TICKS, Tick
from schedules.models import Override, SlotProof, SlotRun, VokeSchedule

AFTER_EVENT_S = 1.0
IDLE_ROUND_S = 300.0
STRETCHED: Mapping[str, float] = {
    "deadman": 900.0,
    "notify": 900.0,
    "rollups": 1800.0,
    "meter_rollups": 1800.0,
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
    # Their rows name their time.
    "verification": 300.0,
    "timed_commands": 60.0,
    "ack_overdue": 60.0,
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


class Pace:
    """Which ticks are due, and when the next round is."""

    def __init__(self, at: datetime) -> None:
        self._ran_at: dict[str, datetime] = {}
        self._full_at = at
        self._due: list[_DueAt] = []

    @property
    def next_round_at(self) -> datetime:
        """When ticks run next, unless something happens before."""
        return min([self._full_at, *(one.at for one in self._due)])

    def due(self, at: datetime, *, all_of_them: bool) -> Iterator[Tick]:
        """The ticks of a round, in their order; `all_of_them`: because something happened at this instant."""
        named = {name for one in self._due if one.at <= at for name in one.ticks}
        for tick in TICKS:
            if not (all_of_them or self._full_at <= at or tick.name in named):
                continue
            ran_at = self._ran_at.get(tick.name)
            least_s = tick.period_s if tick.name in named else STRETCHED.get(tick.name, tick.period_s)
            if ran_at is None or (at - ran_at).total_seconds() >= least_s:
                self._ran_at[tick.name] = at
                yield tick

    def plan_next(self, at: datetime, *, eventful: bool) -> None:
        """After a round, or an event between two: when the next one is."""
        if eventful:
            self._full_at = at + timedelta(seconds=AFTER_EVENT_S)
        elif self._full_at <= at:
            self._full_at = at + timedelta(seconds=IDLE_ROUND_S)
        self._due = _due_after(at)


class _Source(NamedTuple):
    """Where rows become due: a column, the condition of the partial index that finds the next one, who looks."""

    model: type[Model]
    column: str
    condition: str
    ticks: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The first moment after a parameter."""
        table = self.model._meta.db_table
        return f"(SELECT MIN({self.column}) FROM {table} WHERE {self.condition} AND {self.column} > %s)"  # noqa: S608


class _DueAt(NamedTuple):
    at: datetime
    ticks: tuple[str, ...]


_DUE: Sequence[_Source] = (
    _Source(Command, "due_at", "state = 'SCHEDULED'", ("queue_due",)),
    _Source(Command, "ack_due_at", "state = 'SENT'", ("ack_overdue", "diagnosis")),
    _Source(OutboundMessage, "not_before_at", "outcome = 'PENDING'", ("emergencies",)),
    _Source(SlotRun, "due_at", "state = 'WAITING'", ("plan_slots", "queue_due")),
    _Source(VokeSchedule, "due_at", "gone_at IS NULL", ("plan_schedules", "queue_due")),
    _Source(Override, "until_at", "ended_at IS NULL", ("overrides", "plan_slots", "queue_due")),
    _Source(TimedCommand, "stop_at", "ended_at IS NULL", ("timed_commands", "queue_due")),
    _Source(Retraction, "due_at", "due_at IS NOT NULL", ("timed_commands", "queue_due")),
    _Source(Verification, "due_at", "verdict = 'PENDING'", ("verification",)),
    _Source(SlotProof, "due_at", "verdict = 'PENDING'", ("verification",)),
)
_NEXT = f"SELECT {', '.join(source.sql for source in _DUE)}"


def _due_after(at: datetime) -> list[_DueAt]:
    """For each source the first instant after `at` at which a row of it becomes due; one statement."""
    after = connection.ops.adapt_datetimefield_value(at)
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [after] * len(_DUE))
        found = cursor.fetchone()
    return [
        _DueAt(_moment(value), source.ticks)
        for value, source in zip(found, _DUE, strict=True)
        if value is not None
    ]


def _moment(value: datetime | str) -> datetime:
    """SQLite has no type for moments."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
