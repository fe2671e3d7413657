"""When the platform's ticks run in a virtual day, and when something is due next.

A day at the ticks' own pace would be 300,000 runs that find nothing to do. So they run in rounds, and the stepper goes
from one interesting instant to the next. What it guarantees:

- A tick runs at most once in its period, as on the wall clock.
- What has a due time in the tables (`due_instants`) is looked for at exactly that instant.
- After an instant at which something was said or done rounds follow after 1 s, 3 s, 9 s, ..., and `IDLE_ROUND_S` in the
  end: what follows from an event without a due time of its own is late by at most twice as long as that event lies
  back, and never by more than `IDLE_ROUND_S`.
- Housekeeping, and the watch for processes that are gone (here is one, and it is there), run at `STRETCHED` periods.

The stand-in has steps of its own in between: at each of its telemetry, and where a target begins or ends.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min, QuerySet

from dispatch.models import Command, OutboundMessage, Outcome, Proof, Verification
from dispatch.states import State
from esm.ticks import TICKS, Tick
from schedules.models import Override, RunState, SlotProof, SlotRun, VokeSchedule

FIRST_ROUND_S = 1.0
GROWTH = 3.0
IDLE_ROUND_S = 300.0
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
    "plants_moved": 60.0,
    "retire_drained": 600.0,
    "site_config": 60.0,
    "emergencies_in_doubt": 60.0,
}


def period_s(tick: Tick) -> float:
    """How often a tick runs at most in a virtual day."""
    return STRETCHED.get(tick.name, tick.period_s)


class Pace:
    """Which ticks are due, and when the next round is."""

    def __init__(self, at: datetime) -> None:
        self._ran_at: dict[str, datetime] = {}
        self._gap_s = FIRST_ROUND_S
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
        self._gap_s = FIRST_ROUND_S if eventful else min(IDLE_ROUND_S, GROWTH * self._gap_s)
        self.next_round_at = min([at + timedelta(seconds=self._gap_s), *due_instants(at)])


def due_instants(at: datetime) -> Iterator[datetime]:
    """The instants after `at` at which a row of ours becomes due; one of each table at most."""
    for rows, column in _DUE:
        moment = rows().filter(**{f"{column}__gt": at}).aggregate(first=Min(column))["first"]
        if moment is not None:
            yield moment


_Rows = Callable[[], QuerySet[Any]]
_DUE: Sequence[tuple[_Rows, str]] = (
    (lambda: Command.objects.filter(state=State.SCHEDULED), "due_at"),
    (lambda: Command.objects.filter(state=State.SENT), "ack_due_at"),
    (lambda: OutboundMessage.objects.filter(outcome=Outcome.PENDING), "not_before_at"),
    (lambda: SlotRun.objects.filter(state=RunState.WAITING), "due_at"),
    (lambda: VokeSchedule.objects.filter(gone_at__isnull=True), "due_at"),
    (lambda: Override.objects.filter(ended_at__isnull=True), "until_at"),
    (lambda: Verification.objects.filter(verdict=Proof.PENDING), "due_at"),
    (lambda: SlotProof.objects.filter(verdict=Proof.PENDING), "due_at"),
)
