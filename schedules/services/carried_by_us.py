"""Plans carried out by our dispatcher: a setpoint for each slot, from a due-time table.

Publishing writes a `SlotRun` for each slot that is not over; a tick turns due runs into commands, a batch of plants at
a time in a constant number of statements. A slot that can't be commanded now (a switch is off, no connection, a limit
that changed) is tried again until it ends. What stands above the plan, and second turns, are in `standing` and `turns`.

Edge cases (the concurrency policy):
- A run is only made and changed under the lock of its plant; the runs themselves are not locked. Emergencies, overrides
  and publishing wait for that lock (publishing takes the plan's before it), the tick does not: a plant that somebody
  holds is left out and has its turn a second later. Who never waits for a plant is in no circle of waiting, and what
  was decided under the lock is seen by the tick's second look at the runs.
- Run and command are one transaction, the command's key is the run's: after a crash a slot is either still waiting or
  commanded, and two ticks at once make one command.
- After a long stop only the slot that runs now is sent. What is over is MISSED (PLATFORM_DOWN), or PREEMPTED when
  something stronger was in force.
- A setpoint that was sent for a slot that has not begun, and is no longer wanted, is taken back when it begins
  (`dispatch.services.retracting` waits for that), unless the new plan has a slot there.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Max

from dispatch.messages import NewId
from dispatch.requests import Actor, CommandRequest
from dispatch.services.bulk import Among
from dispatch.services.commands import Submitted
from dispatch.services.many import Answer, store_many
from dispatch.services.retracting import retract
from dispatch.states import NEVER_SENT, State
from plants.models import Plant, ScheduleCarrier
from schedules.mapping import planned, setpoint_of
from schedules.models import IN_FORCE, PlanSlot, PlanState, PlanVersion, RunState, SlotRun
from schedules.policy import SchedulePolicy
from schedules.services.runs import Turned, spread, write_runs
from schedules.services.standing import LATCHED, NOTHING, OVERRIDDEN, Standing, standing_over
from schedules.services.turns import give_turns, turn_after_stronger
from schedules.slots import PlannedSlot
from vcp import Priority

PLAN = Actor(name="plan")
BATCH = 250
"""In one transaction: an emergency or a person waits for the plants of a batch, some 0.2 s."""
KEPT, PLAN_ENDED, PLATFORM_DOWN = "KEPT", "PLAN_ENDED", "PLATFORM_DOWN"
_CAME_TO_NOTHING = NEVER_SENT | {State.REJECTED, State.RETURNED, State.REFUSED, State.FAILED}


# --- publishing -------------------------------------------------------------------------------------------------------


def make_runs(
    version: PlanVersion, before: PlanVersion | None, *, at: datetime, policy: SchedulePolicy
) -> list[int]:
    """A run for each slot that is not over; answers the runs of `before` whose commands were taken along.

    A slot that `before` had too (same span, same ask) keeps a command that is at work or on its way, also one that Voke
    has not answered. Where it came to nothing, or a person took it back, publishing again is a new beginning. Call with
    the plant locked.
    """
    same = _runs_by_ask(before)
    kept: list[int] = []
    rows: list[SlotRun] = []
    for slot in version.slots.filter(end_at__gt=at).order_by("start_at"):
        run = SlotRun(plant_id=version.plan.plant_id, slot=slot, due_at=slot.start_at - policy.slot_lead)
        old = same.get(_ask(slot))
        if old is not None and _is_at_work(old):
            kept.append(old.pk)
            run.state, run.command_id = RunState.COMMANDED, old.command_id
            run.cause, run.decided_at = KEPT, at
        rows.append(run)
    SlotRun.objects.bulk_create(rows)
    return kept


def _runs_by_ask(version: PlanVersion | None) -> dict[tuple[object, ...], SlotRun]:
    """The newest run of each slot of a version."""
    if version is None:
        return {}
    runs = SlotRun.objects.filter(slot__version=version).select_related("slot", "command__retraction")
    return {_ask(run.slot): run for run in runs.order_by("turn")}


def _ask(slot: PlanSlot) -> tuple[object, ...]:
    pure = planned(slot)
    return (pure.start_at, pure.end_at, *pure.asks)


def _is_at_work(run: SlotRun) -> bool:
    if run.state != RunState.COMMANDED or run.command is None:
        return False
    return State(run.command.state) not in _CAME_TO_NOTHING and not hasattr(run.command, "retraction")


def close_runs(
    version: PlanVersion,
    *,
    keep: Sequence[int],
    actor: Actor,
    at: datetime,
    policy: SchedulePolicy,
    takes_over: bool,
) -> None:
    """End what a version still had to do: waiting runs are withdrawn, commands that nobody wants are taken back.

    `keep`: runs whose commands go on in the plan that `takes_over`. Call with the plant locked.
    """
    runs = SlotRun.objects.filter(slot__version=version).exclude(pk__in=keep)
    runs.filter(state=RunState.WAITING).update(state=RunState.WITHDRAWN, cause=PLAN_ENDED, decided_at=at)
    holding = runs.filter(
        state__in=[RunState.COMMANDED, RunState.PREEMPTED], slot__end_at__gt=at, command__isnull=False
    )
    ended = list(holding.select_related("slot", "command").order_by("slot__start_at", "turn"))
    reason = "the day plan was replaced" if takes_over else "the day plan was cancelled"
    for run in ended:
        _end_command(run, actor=actor, reason=reason, at=at, policy=policy)
    SlotRun.objects.filter(pk__in=[run.pk for run in ended]).update(
        state=RunState.WITHDRAWN, cause=PLAN_ENDED, decided_at=at
    )


def _end_command(run: SlotRun, *, actor: Actor, reason: str, at: datetime, policy: SchedulePolicy) -> None:
    command = run.command
    if command is None or State(command.state) in _CAME_TO_NOTHING:
        return
    begins_at = max(run.slot.start_at, at)
    covering = published_slot(run.plant_id, at=begins_at)
    followed = covering is not None
    if covering is not None and covering.start_at < begins_at and begins_at > at:
        # At Voke the setpoint that begins later wins, and that would be the old one: the new slot is said once more.
        followed = _say_again(covering, run.plant_id, at=begins_at)
    retract(
        command_id=command.pk,
        actor=actor,
        reason=reason,
        at=at,
        policy=policy.dispatch,
        followed=followed,
    )


def _say_again(slot: PlanSlot, plant_id: int, *, at: datetime) -> bool:
    """Another turn at the instant; False = it is not ours to say."""
    last = SlotRun.objects.filter(slot=slot).aggregate(Max("turn"))["turn__max"]
    if last is None:
        return False
    SlotRun.objects.create(plant_id=plant_id, slot=slot, turn=last + 1, due_at=at)
    return True


def published_slot(plant_id: int, *, at: datetime) -> PlanSlot | None:
    """The slot of the plant's published plans that covers the instant, of whichever day and carrier."""
    return PlanSlot.objects.filter(
        version__plan__plant_id=plant_id,
        version__plan__day__range=_days_around(at, at),
        version__state=PlanState.PUBLISHED,
        start_at__lte=at,
        end_at__gt=at,
    ).first()


def _days_around(first: datetime, last: datetime) -> tuple[date, date]:
    """Days of any zone that may hold these instants: lets the plans be found by their day."""
    return (first - timedelta(days=1)).date(), (last + timedelta(days=1)).date()


# --- the tick ---------------------------------------------------------------------------------------------------------


def run_due_slots(
    *, at: datetime, policy: SchedulePolicy, limit: int = BATCH, new_id: NewId = uuid.uuid4
) -> int:
    """Tick: give second turns, then make the setpoints of due runs, the longest due first.

    Answers how many runs were decided; call again while it answers `limit` or more.
    """
    give_turns(at=at, policy=policy, limit=limit)
    return _decide_due(at=at, policy=policy, limit=limit, new_id=new_id)


@transaction.atomic
def carry_on(plant_id: int, *, at: datetime, policy: SchedulePolicy, new_id: NewId = uuid.uuid4) -> None:
    """Command the slot of one plant that is current now that nothing stands above it; call with the plant locked."""
    turn_after_stronger(at=at, policy=policy, limit=BATCH, plant_id=plant_id)
    _decide_due(at=at, policy=policy, limit=BATCH, new_id=new_id, plant_id=plant_id)


@transaction.atomic
def _decide_due(
    *, at: datetime, policy: SchedulePolicy, limit: int, new_id: NewId, plant_id: int | None = None
) -> int:
    plants, run_ids = _claim(at=at, limit=limit, plant_id=plant_id)
    if not run_ids:
        return 0
    runs = list(
        SlotRun.objects.filter(Among(run_ids), state=RunState.WAITING)
        .select_related("slot__version__plan")
        .order_by("slot__start_at", "pk")
    )
    standing = standing_over(plants, at=at)
    changed: list[Turned] = []
    wanted: list[tuple[SlotRun, PlannedSlot, datetime]] = []
    for run in runs:
        above = standing.get(run.plant_id, NOTHING)
        done = _without_command(run, above, at=at, policy=policy)
        if done is not None:
            changed.append(done)
            continue
        begins_at = max(run.slot.start_at, at, above.free_at or at)
        wanted.append((run, _as_strong_as_needed(planned(run.slot), above, begins_at), begins_at))
    changed += _command(wanted, plants, at=at, policy=policy, new_id=new_id)
    write_runs(changed)
    return len(runs)


def _claim(*, at: datetime, limit: int, plant_id: int | None) -> tuple[dict[int, Plant], list[int]]:
    """Lock the plants of due runs that nobody else holds; the plants and the runs."""
    due = (
        SlotRun.objects.select_for_update(of=("plant",), no_key=True, skip_locked=True)
        .filter(state=RunState.WAITING, due_at__lte=at)
        .select_related("plant")
        .order_by("due_at", "pk")
    )
    rows = list((due if plant_id is None else due.filter(plant_id=plant_id))[:limit])
    return {row.plant_id: row.plant for row in rows}, [row.pk for row in rows]


def _without_command(run: SlotRun, above: Standing, *, at: datetime, policy: SchedulePolicy) -> Turned | None:
    """What becomes of a run that is not to be commanded now; None = it is."""
    slot = run.slot
    if slot.version.state not in IN_FORCE:
        return _ended(run, RunState.WITHDRAWN, PLAN_ENDED, at)
    if above.latch:
        return _ended(run, RunState.PREEMPTED, LATCHED, at, winner=above.latch)
    if _overridden(slot, above, at=at, policy=policy):
        return _ended(run, RunState.PREEMPTED, OVERRIDDEN, at, winner=above.override)
    if slot.end_at <= at:
        return _ended(run, RunState.MISSED, run.cause or PLATFORM_DOWN, at)
    return None


def _overridden(slot: PlanSlot, above: Standing, *, at: datetime, policy: SchedulePolicy) -> bool:
    """Whether an override leaves nothing of the slot, or nothing that would have to be asked for by now."""
    if above.free_at is None:
        return False
    return above.free_at >= slot.end_at or above.free_at > max(slot.start_at, at + policy.slot_lead)


def _ended(
    run: SlotRun,
    state: RunState,
    cause: str,
    at: datetime,
    *,
    winner: str = "",
    command_id: int | None = None,
) -> Turned:
    return Turned(
        pk=run.pk,
        state=state,
        due_at=run.due_at,
        cause=cause,
        winner=winner,
        command_id=command_id,
        decided_at=at,
    )


def _as_strong_as_needed(slot: PlannedSlot, above: Standing, begins_at: datetime) -> PlannedSlot:
    if above.strong_until is not None and begins_at < above.strong_until:
        return replace(slot, priority=Priority.HIGH)
    return slot


def _command(
    wanted: Sequence[tuple[SlotRun, PlannedSlot, datetime]],
    plants: dict[int, Plant],
    *,
    at: datetime,
    policy: SchedulePolicy,
    new_id: NewId,
) -> list[Turned]:
    following = _following([(run.plant_id, slot) for run, slot, _ in wanted])
    asked: list[tuple[Plant | None, CommandRequest]] = []
    for run, slot, begins_at in wanted:
        follows = following.get((run.plant_id, slot.end_at))
        # A HIGH one that held on would cover a NORMAL successor.
        holds_on = follows is not None and (
            slot.priority is Priority.NORMAL or follows == Priority.HIGH.value
        )
        request = CommandRequest(
            external_plant_id=plants[run.plant_id].external_plant_id,
            payload=setpoint_of(
                slot, begins_at=begins_at, overlap=policy.slot_overlap if holds_on else timedelta(0)
            ),
            idempotency_key=f"slot:{run.pk}",
            batch_ref=f"plan:{run.slot.version_id}",
            automatic=True,
        )
        asked.append((plants[run.plant_id], request))
    answers = store_many(asked=asked, actor=PLAN, at=at, policy=policy.dispatch, new_id=new_id)
    return [
        _answered(run, answer, at=at, policy=policy)
        for (run, *_), answer in zip(wanted, answers, strict=True)
    ]


def _answered(run: SlotRun, answer: Answer, *, at: datetime, policy: SchedulePolicy) -> Turned:
    if isinstance(answer, Submitted):
        return _ended(run, RunState.COMMANDED, "", at, command_id=answer.command.pk)
    again_at = at + spread(policy.retry_every, of=run.pk, at=at)
    return Turned(pk=run.pk, state=RunState.WAITING, due_at=min(again_at, run.slot.end_at), cause=answer.code)


def _following(slots: Collection[tuple[int, PlannedSlot]]) -> dict[tuple[int, datetime], str]:
    """The priorities of slots that begin where others end, by plant and instant, over midnight too."""
    if not slots:
        return {}
    ends = {slot.end_at for _, slot in slots}
    rows = PlanSlot.objects.filter(
        Among({plant_id for plant_id, _ in slots}, of="version__plan__plant_id"),
        version__plan__day__range=_days_around(min(ends), max(ends)),
        version__state=PlanState.PUBLISHED,
        version__carrier=ScheduleCarrier.DISPATCHER,
        start_at__in=ends,
    )
    return {
        (plant_id, start_at): priority
        for plant_id, start_at, priority in rows.values_list(
            "version__plan__plant_id", "start_at", "priority"
        )
    }
