"""Tick over schedules at Voke: what could not be sent is sent, what came to nothing is made anew, what is not wanted
any more is cancelled until it is gone.

Each schedule says itself when it is looked at next (`due_at`); nothing is kept in memory, so a restart of the platform
goes on where it was.

- A create that never left (latched, a switch off, expired, taken back by an emergency) or that no queue took is made
  anew with the slots left, under a new scheduleId, `most_turns` times at most.
- A create that Voke refuses ends its version: the version before it, when it still stands at Voke, is in force again
  (RESTORED); a plan is carried out as a whole, so the other schedules of the refused version are cancelled.
- A create that met silence (UNCONFIRMED) is not sent again: `schedules.services.reconcile` looks at Voke first.
- A schedule that Voke cancelled by itself stays cancelled, with an alarm.
- A cancellation that came to nothing is sent again with backoff, MOST_CANCELS times, then with an alarm.

Edge cases (the concurrency policy): each schedule is a transaction of its own under the locks of plan and plant; what a
tick found is read again under them, so that two ticks at once do it once.
"""

import random
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, transaction

from dispatch.messages import NewId
from dispatch.models import Kind
from dispatch.requests import Actor
from dispatch.services.voke_words import VOKE
from dispatch.states import State
from plants.models import Plant, ScheduleCarrier
from schedules.models import DayPlan, PlanState, PlanVersion, RunState, SlotRun, VokeSchedule
from schedules.policy import SchedulePolicy
from schedules.services.carried_by_voke import (
    LOOK_EVERY,
    OVER,
    end_schedules,
    lock_live,
    never_sent,
    send_cancel,
    send_create,
)
from schedules.services.drafts import note_event
from schedules.services.told import AFTER_END, CANCELLED_BY_VOKE, REFUSED
from schedules.services.voke_alarms import raise_not_cancelled, raise_not_carried

log = structlog.get_logger(__name__)
PLAN = Actor(name="plan")
MOST_CANCELS = 6
TURNS_BATCH = 200
_LONGEST_WAIT = timedelta(minutes=5)
_HEARD = frozenset({State.ACCEPTED, State.PARTIAL, State.EXECUTING, State.COMPLETED, State.DEVIATED})
_ON_ITS_WAY = frozenset({State.SCHEDULED, State.QUEUED, State.SENT})
_CAME_TO_NOTHING = frozenset(
    {State.CANCELLED, State.SUPERSEDED, State.EXPIRED, State.RETURNED, State.REFUSED}
)
Chance = Callable[[], float]


def run_voke_turns(
    *,
    at: datetime,
    policy: SchedulePolicy,
    limit: int = TURNS_BATCH,
    new_id: NewId = uuid.uuid4,
    chance: Chance = random.random,
) -> int:
    """Look at the schedules that are due, at most `limit`; answers how many.

    Raises an ExceptionGroup, after all had their turn, when something unforeseen stopped one of them.
    """
    due = VokeSchedule.objects.filter(gone_at__isnull=True, due_at__lte=at).order_by("due_at", "pk")
    ids = list(due.values_list("pk", flat=True)[:limit])
    faults: list[Exception] = []
    for pk in ids:
        try:
            _look_at(pk, Turn(at=at, policy=policy, new_id=new_id, chance=chance))
        except DatabaseError:  # nobody else would fare better
            raise
        except Exception as error:  # told at the end: whatever it is, it is this schedule's
            log.exception("schedule not looked after", action="schedule.failed", schedule=pk)
            faults.append(error)
    if faults:
        raise ExceptionGroup("some schedules at Voke were not looked after", faults)
    return len(ids)


class Turn:
    """One run of a tick over schedules: its instant, its policy, and what is random in it."""

    def __init__(self, *, at: datetime, policy: SchedulePolicy, new_id: NewId, chance: Chance) -> None:
        self.at, self.policy, self.new_id, self._chance = at, policy, new_id, chance

    def later(self, tries: int = 1) -> datetime:
        """When the next try is made: later with each one, up to a bound, half to one and a half times as long."""
        wait = min(self.policy.retry_every * (1 << max(0, min(tries, 10) - 1)), _LONGEST_WAIT)
        return self.at + wait * (0.5 + self._chance())


@transaction.atomic
def _look_at(pk: int, turn: Turn) -> None:
    rows = lock_around(pk)
    row = next((one for one in rows if one.pk == pk), None)
    if row is None or row.due_at is None or row.due_at > turn.at:
        return
    state = None if row.create_command is None else State(row.create_command.state)
    if row.ends_at + (AFTER_END if row.accepted_at is not None else timedelta()) <= turn.at:
        end_schedules([row.pk], cause=OVER, at=turn.at)
    elif row.unwanted_at is not None:
        _withdraw(row, turn)
    elif row.cause == REFUSED or state is State.REJECTED:
        _refuse(row, rows, turn)
    elif row.cause == CANCELLED_BY_VOKE or state is State.FAILED:
        end_schedules([row.pk], cause=CANCELLED_BY_VOKE, at=turn.at)
        raise_not_carried(row, "Voke cancelled its schedule by itself", turn.at)
    elif state is None:
        look_at = turn.later()
        send_create(row, actor=PLAN, at=turn.at, policy=turn.policy, look_at=look_at, new_id=turn.new_id)
    else:
        _follow(row, rows, state, turn)


def lock_around(pk: int) -> list[VokeSchedule]:
    """All live schedules of the plan that this one belongs to, with plan, plant and commands locked."""
    plans = DayPlan.objects.select_for_update(of=("self",), no_key=True)
    plan = plans.filter(versions__schedules=pk).first()
    if plan is None:
        return []
    Plant.objects.select_for_update(of=("self",), no_key=True).get(pk=plan.plant_id)
    return lock_live(plan)


# --- a schedule that is wanted ----------------------------------------------------------------------------------------


def _follow(row: VokeSchedule, rows: Sequence[VokeSchedule], state: State, turn: Turn) -> None:
    """The creation was asked for and Voke has not told anything of it, or only by an ACK."""
    if state in _HEARD and row.accepted_at is None:
        row.accepted_at = turn.at
        row.save(update_fields=["accepted_at"])
    if row.accepted_at is not None:
        _look_again(row, row.ends_at + AFTER_END)
    elif state in _CAME_TO_NOTHING:
        make_anew(row, rows, cause=_cause_of(row, state), turn=turn)
    elif state in _ON_ITS_WAY or state is State.QUEUED_BY_VOKE:
        _look_again(row, min(turn.later(), row.ends_at))
    else:  # silence: `reconcile` looks at Voke, and what Voke says later comes by itself
        _look_again(row, row.ends_at)


def _cause_of(row: VokeSchedule, state: State) -> str:
    cause = "" if row.create_command is None else row.create_command.cause
    return cause or str(state)


def make_anew(
    row: VokeSchedule, rows: Sequence[VokeSchedule], *, cause: str, turn: Turn, word: str = "MADE_ANEW"
) -> VokeSchedule | None:
    """Put a new schedule with the slots left in the place of one that came to nothing; None = that was tried enough.

    `rows`: all live ones of the plan. Call with plan, plant and commands locked. Each schedule is replaced once
    (unique), whoever tries.
    """
    end_schedules([row.pk], cause=cause, at=turn.at)
    if row.ends_at <= turn.at:
        return None
    if row.turn >= turn.policy.most_turns:
        why = f"its schedule came to nothing {row.turn} times ({cause})"
        _give_up(row, rows, turn, word="GIVEN_UP", actor=PLAN.name, why=why)
        return None
    new = VokeSchedule.objects.create(
        version=row.version,
        plant_id=row.plant_id,
        schedule_id=turn.new_id(),
        priority=row.priority,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        turn=row.turn + 1,
        takes_place_of=row,
        due_at=turn.at,
    )
    detail = {"schedule": str(new.schedule_id), "before": str(row.schedule_id), "cause": cause}
    note_event(row.version.plan, row.version, word, actor=PLAN.name, at=turn.at, **detail)
    look_at = turn.later(row.turn)
    send_create(new, actor=PLAN, at=turn.at, policy=turn.policy, look_at=look_at, new_id=turn.new_id)
    return new


def _refuse(row: VokeSchedule, rows: Sequence[VokeSchedule], turn: Turn) -> None:
    """Voke refused a schedule: its version ends, and what stood there before it is in force again."""
    end_schedules([row.pk], cause=REFUSED, at=turn.at)
    why = row.reason or (row.create_command.cause if row.create_command is not None else "")
    _give_up(row, rows, turn, word="REFUSED", actor=VOKE, why=f"Voke refused its schedule ({why})")


def _give_up(
    row: VokeSchedule, rows: Sequence[VokeSchedule], turn: Turn, *, word: str, actor: str, why: str
) -> None:
    raise_not_carried(row, why, turn.at)
    version = row.version
    note_event(version.plan, version, word, actor=actor, at=turn.at, why=why[:400])
    if version.state != PlanState.PUBLISHED or _was_accepted(row):
        return  # it was replaced meanwhile, or a part of it runs or ran at Voke: a person decides
    PlanVersion.objects.filter(pk=version.pk).update(state=PlanState.CANCELLED, ended_at=turn.at)
    waiting = [one for one in rows if one.successor_id == version.pk and one.accepted_at is not None]
    restored = max((one.version for one in waiting), key=lambda one: one.number, default=None)
    for one in rows:
        if one.pk != row.pk:
            _settle_after_refusal(one, restored, turn)
    if restored is not None:
        PlanVersion.objects.filter(pk=restored.pk).update(state=PlanState.PUBLISHED, ended_at=None)
        note_event(version.plan, restored, "RESTORED", actor=PLAN.name, at=turn.at, instead_of=version.number)


def _was_accepted(row: VokeSchedule) -> bool:
    return VokeSchedule.objects.filter(version=row.version_id, accepted_at__isnull=False).exists()


def _settle_after_refusal(row: VokeSchedule, restored: PlanVersion | None, turn: Turn) -> None:
    if restored is not None and row.version_id == restored.pk:
        row.unwanted_at, row.successor, row.due_at = None, None, row.ends_at + AFTER_END
    else:
        row.unwanted_at, row.successor, row.due_at = row.unwanted_at or turn.at, None, turn.at
    row.save(update_fields=["unwanted_at", "successor", "due_at"])


# --- a schedule that is not wanted ------------------------------------------------------------------------------------


def _withdraw(row: VokeSchedule, turn: Turn) -> None:
    if row.ends_at <= turn.at:
        end_schedules([row.pk], cause=OVER, at=turn.at)
    elif never_sent(row, actor=PLAN, at=turn.at):
        return
    elif row.cancel_command is None:
        if _may_cancel(row, turn):
            _cancel(row, turn)
        else:
            _look_again(row, turn.at + LOOK_EVERY)
    else:
        _follow_cancel(row, State(row.cancel_command.state), turn)


def _may_cancel(row: VokeSchedule, turn: Turn) -> bool:
    """Whether what takes its place stands there; see `carried_by_voke`."""
    version = row.successor
    if version is None or version.state != PlanState.PUBLISHED or row.unwanted_at is None:
        return True
    if version.carrier == ScheduleCarrier.VOKE:
        newest = VokeSchedule.objects.filter(version=version, made_anew__isnull=True).exclude(cause=OVER)
        return not newest.filter(accepted_at__isnull=True).exists()
    if turn.at >= row.unwanted_at + turn.policy.dispatch.ack_timeout_of(Kind.SITE_SETPOINT):
        return True
    runs = SlotRun.objects.filter(
        slot__version=version, slot__start_at__lte=turn.at, slot__end_at__gt=turn.at
    )
    run = runs.select_related("command").order_by("turn").last()
    if run is None or run.state not in (RunState.WAITING, RunState.COMMANDED):
        return True
    return run.command is not None and State(run.command.state) not in _ON_ITS_WAY


def _follow_cancel(row: VokeSchedule, state: State, turn: Turn) -> None:
    if state in _HEARD or state is State.REJECTED:
        # Interpretation: an accepted cancellation is a cancelled schedule, a refused one finds none.
        end_schedules([row.pk], cause=f"CANCEL_{state}", at=turn.at)
    elif state in _ON_ITS_WAY or state is State.QUEUED_BY_VOKE:
        _look_again(row, turn.later())
    else:
        _cancel(row, turn)


def _cancel(row: VokeSchedule, turn: Turn) -> None:
    last = row.cancel_command
    seen_since = last is not None and row.seen_at is not None and row.seen_at > last.requested_at
    if row.cancels >= MOST_CANCELS and not seen_since:
        _look_again(row, row.ends_at)  # `reconcile` sees it when it runs
        raise_not_cancelled(row, turn.at)
        return
    look_at = turn.later(row.cancels + 1)
    send_cancel(row, actor=PLAN, at=turn.at, policy=turn.policy, look_at=look_at, new_id=turn.new_id)


def _look_again(row: VokeSchedule, due_at: datetime | None) -> None:
    row.due_at = due_at
    row.save(update_fields=["due_at"])
