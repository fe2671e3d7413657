"""Second turns of slots: after something stronger ended, and after a command that came to nothing.

Everything here follows from what the tables say now, not from what happened since the last tick: a tick that was
missed, a crash or a stop of hours changes nothing but the hour.

- A command that an emergency came after was taken back or overruled: its run is PREEMPTED, and names the emergency.
- A base mode that took another command back, or was made anew for a release, ended the slot's target too: its run is
  PREEMPTED, and names the base mode. One that a person sent for its own sake is that person's word.
- A command that ended without having reached Voke (RETURNED, REFUSED, EXPIRED, CANCELLED because it could not be built)
  gives its slot another turn after a pause, `most_turns` in all; the run that had it is MISSED with that cause. What a
  person cancelled is not sent again, nor what Voke REJECTED, nor what nobody knows about (UNCONFIRMED).
- A slot that was PREEMPTED and runs now (or begins within the lead) while nothing stronger is in force has another turn
  at once. Its setpoint is asked for after the release has stored its base mode, so that they go in this order.

Edge cases (the concurrency policy): as in `carried_by_us`. Each step looks, locks the plants that nobody holds, and
looks again at what is theirs.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery

from dispatch.models import Command, EmergencyLatch, Kind, Retraction
from dispatch.services.bulk import Among
from dispatch.services.undoing import IN_FORCE as AT_WORK
from dispatch.states import State
from schedules.models import Override, PlanState, RunState, SlotRun
from schedules.policy import SchedulePolicy
from schedules.services.runs import Turned, lock_free_plants, spread, write_runs
from schedules.services.standing import LATCHED, LONGEST_SLOT, latch_text

TAKEN_BACK, BASE_MODE = "TAKEN_BACK", "BASE_MODE"
_CAME_TO_NOTHING = (State.CANCELLED, State.EXPIRED, State.REFUSED, State.RETURNED, State.SUPERSEDED)
_BY_A_PERSON = "CANCELLED"
"""The cause of a command that was cancelled, not refused."""


def give_turns(*, at: datetime, policy: SchedulePolicy, limit: int) -> int:
    """All steps, each in a transaction of its own; answers how many runs were changed or made."""
    return (
        mark_overruled(at=at, limit=limit)
        + mark_ended_by_mode(at=at, limit=limit)
        + turn_after_nothing(at=at, policy=policy, limit=limit)
        + turn_after_stronger(at=at, policy=policy, limit=limit)
    )


# --- under an emergency -----------------------------------------------------------------------------------------------


def mark_overruled(*, at: datetime, limit: int) -> int:
    """Runs whose commands an emergency came after are PREEMPTED, also when it is released by now."""
    plant_ids = set(_latches(at).values_list("plant_id", flat=True))
    if not plant_ids:
        return 0
    with transaction.atomic():
        found = list(_overruled(plant_ids, at)[:limit])
        free = lock_free_plants([run.plant_id for run in found])
        latches: dict[int, EmergencyLatch] = {
            latch.plant_id: latch for latch in _latches(at).filter(Among(free, of="plant_id")).order_by("pk")
        }
        runs = list(_overruled(free, at).filter(Among([run.pk for run in found])))
        write_runs(
            [
                Turned(
                    pk=run.pk,
                    state=RunState.PREEMPTED,
                    due_at=run.due_at,
                    cause=LATCHED,
                    winner=latch_text(latches[run.plant_id]),
                    command_id=run.command_id,
                    decided_at=at,
                )
                for run in runs
            ]
        )
    return len(runs)


def _latches(at: datetime) -> QuerySet[EmergencyLatch]:
    """Emergencies in force, and those released while a slot of then may still run."""
    return EmergencyLatch.objects.filter(Q(released_at__isnull=True) | Q(released_at__gt=at - LONGEST_SLOT))


def _overruled(plant_ids: Collection[int], at: datetime) -> QuerySet[SlotRun]:
    # By the ids of the commands: both were made under the plant's lock, so the later one has the higher id.
    latches = _latches(at).filter(
        plant_id=OuterRef("plant_id"),
        command_id__gt=OuterRef("command_id"),
        set_at__lt=OuterRef("slot__end_at"),
    )
    return SlotRun.objects.filter(
        Exists(latches),
        Among(plant_ids, of="plant_id"),
        state=RunState.COMMANDED,
        due_at__gt=at - LONGEST_SLOT,
    ).order_by("pk")


# --- under a base mode ------------------------------------------------------------------------------------------------


def mark_ended_by_mode(*, at: datetime, limit: int) -> int:
    """Runs whose targets ended with a base mode that was sent for the sake of something else are PREEMPTED."""
    plant_ids = set(_base_modes(at).values_list("plant_id", flat=True))
    if not plant_ids:
        return 0
    with transaction.atomic():
        found = list(_ended_by_mode(plant_ids, at)[:limit])
        free = lock_free_plants([run.plant_id for run in found])
        runs = _ended_by_mode(free, at).filter(Among([run.pk for run in found]))
        changed = [
            Turned(
                pk=run.pk,
                state=RunState.PREEMPTED,
                due_at=run.due_at,
                cause=BASE_MODE,
                winner=f"base mode #{run.mode_id}",
                command_id=run.command_id,
                decided_at=at,
            )
            for run in runs
        ]
        write_runs(changed)
    return len(changed)


def _base_modes(at: datetime) -> QuerySet[Command]:
    """Base modes that are on their way or there, and take something back: of as long ago as a slot may run."""
    takes_back = Retraction.objects.filter(by_command=OuterRef("pk"), how=Retraction.How.BASE_MODE)
    return Command.objects.filter(
        Exists(takes_back),
        kind=Kind.MODE,
        due_at__gt=at - LONGEST_SLOT,
        state__in=[state.value for state in AT_WORK],
    )


def _ended_by_mode(plant_ids: Collection[int], at: datetime) -> QuerySet[Any]:
    later = _base_modes(at).filter(
        plant_id=OuterRef("plant_id"),
        pk__gt=OuterRef("command_id"),
        due_at__gte=OuterRef("slot__start_at"),
    )
    return (
        SlotRun.objects.filter(
            Exists(later),
            Among(plant_ids, of="plant_id"),
            state=RunState.COMMANDED,
            due_at__gt=at - LONGEST_SLOT,
            slot__end_at__gt=at,
            command__retraction__isnull=True,
        )
        .annotate(mode_id=Subquery(later.order_by("-pk").values("pk")[:1]))
        .order_by("pk")
    )


# --- after a command that came to nothing -----------------------------------------------------------------------------


def turn_after_nothing(*, at: datetime, policy: SchedulePolicy, limit: int) -> int:
    """Slots that run on after their command came to nothing: another turn, or none any more."""
    ids = list(_in_vain(at).values_list("pk", "plant_id")[:limit])
    if not ids:
        return 0
    with transaction.atomic():
        free = lock_free_plants([plant_id for _, plant_id in ids])
        found = _in_vain(at).filter(Among([pk for pk, _ in ids]), Among(free, of="plant_id"))
        runs = list(
            found.select_related("command", "slot").annotate(
                missed=Count("slot__runs", filter=Q(slot__runs__state=RunState.MISSED))
            )
        )
        write_runs([_missed(run, at) for run in runs])
        turns = [run for run in runs if _may_turn(run, policy)]
        _add_turns(turns, {run.pk: at + _pause(run, policy, at) for run in turns}, at)
    return len(runs)


def _in_vain(at: datetime) -> QuerySet[SlotRun]:
    return SlotRun.objects.filter(
        state=RunState.COMMANDED,
        command__automatic=True,
        command__state__in=[state.value for state in _CAME_TO_NOTHING],
        command__state_at__gt=at - LONGEST_SLOT,
        slot__end_at__gt=at,
        slot__version__state=PlanState.PUBLISHED,
    ).order_by("pk")


def _missed(run: SlotRun, at: datetime) -> Turned:
    return Turned(
        pk=run.pk,
        state=RunState.MISSED,
        due_at=run.due_at,
        cause=_why(run),
        command_id=run.command_id,
        decided_at=at,
    )


def _why(run: SlotRun) -> str:
    command = run.command
    if command is None:
        return ""
    if command.state != State.CANCELLED:
        return command.state
    return TAKEN_BACK if command.cause == _BY_A_PERSON else command.cause


def _may_turn(run: Any, policy: SchedulePolicy) -> bool:
    return _why(run) != TAKEN_BACK and run.missed + 1 < policy.most_turns


def _pause(run: Any, policy: SchedulePolicy, at: datetime) -> timedelta:
    """Longer each time."""
    return spread(policy.retry_every * (run.missed + 1), of=run.pk, at=at)


# --- after something stronger -----------------------------------------------------------------------------------------


def turn_after_stronger(
    *, at: datetime, policy: SchedulePolicy, limit: int, plant_id: int | None = None
) -> int:
    """Slots that were pre-empted and are current now, with nothing above them: another turn at once."""
    found = _free_again(at, policy)
    ids = list(
        (found if plant_id is None else found.filter(plant_id=plant_id)).values_list("pk", "plant_id")[:limit]
    )
    if not ids:
        return 0
    with transaction.atomic():
        free = lock_free_plants([plant_id for _, plant_id in ids])
        runs = list(_free_again(at, policy).filter(Among([pk for pk, _ in ids]), Among(free, of="plant_id")))
        _add_turns(runs, {run.pk: at for run in runs}, at)
    return len(runs)


def _free_again(at: datetime, policy: SchedulePolicy) -> QuerySet[SlotRun]:
    later = SlotRun.objects.filter(slot_id=OuterRef("slot_id"), turn__gt=OuterRef("turn"))
    latched = EmergencyLatch.objects.filter(plant_id=OuterRef("plant_id"), released_at__isnull=True)
    overridden = Override.objects.filter(
        Q(until_at__gt=at + policy.slot_lead) | Q(until_at__gte=OuterRef("slot__end_at")),
        plant_id=OuterRef("plant_id"),
        ended_at__isnull=True,
    )
    return SlotRun.objects.filter(
        ~Exists(later),
        ~Exists(latched),
        ~Exists(overridden),
        state=RunState.PREEMPTED,
        due_at__gt=at - LONGEST_SLOT,
        due_at__lte=at,
        slot__end_at__gt=at,
        slot__version__state=PlanState.PUBLISHED,
    ).order_by("pk")


def _add_turns(runs: Collection[SlotRun], due: dict[int, datetime], at: datetime) -> None:
    SlotRun.objects.bulk_create(
        SlotRun(plant_id=run.plant_id, slot_id=run.slot_id, turn=run.turn + 1, due_at=due[run.pk])
        for run in runs
    )
