"""Plans carried out by Voke's own schedules: created when published, cancelled when nothing wants them any more.

A published version is one schedule at Voke for each priority that it has. Each is a row (`VokeSchedule`) first and a
command after: what could not be sent at once (the plant is latched, a switch is off) is due again, and
`schedules.services.voke_turns` takes it up.

What takes a version's place decides when its schedules are cancelled:
- nothing: at once;
- a version that Voke carries too: when Voke has accepted all of that. Until then both stand there, and the later one
  wins (the stack of schedules), so there is neither a gap nor a double;
- a version that we carry out: when Voke has answered the setpoint of its running slot, at the latest after
  a setpoint's time for its ACK; at once where none of its slots runs now, since there is nothing to bridge.

Edge cases (the concurrency policy):
- Locks are taken in the order plan, plant, commands (all of a plan's schedules at once, by id), schedules. What Voke
  tells takes the last two only. Plan and plant are locked without their keys (`no_key`): what Voke tells appends to the
  plan's history while it holds commands.
- A create that was never sent is taken back instead of cancelled.
- Every version that still stands at Voke is withdrawn, not only the last one: a version that was replaced before it was
  accepted leaves the one before it to its own successor.
- A cancellation names its schedule and finds nothing the second time: it is the one thing that is said again, also
  after silence.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from dispatch.messages import NewId
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import cancel, submit
from dispatch.services.life import lock_states
from dispatch.states import BEFORE_SENT, State
from plants.errors import Conflict, DomainError
from schedules.mapping import planned, rest_of, schedules_of, wire_slots
from schedules.models import DayPlan, PlanVersion, VokeSchedule
from schedules.policy import SchedulePolicy
from schedules.services.drafts import note_event
from schedules.services.proof import open_slot_proofs
from schedules.slots import PlannedSlot
from vcp import Priority, ScheduleCancel, ScheduleCreate

LOOK_EVERY = timedelta(seconds=1)
"""How often a withdrawn schedule is looked at while its successor is not in its place."""
TAKEN_BACK, OVER, NOT_SENT = "TAKEN_BACK", "OVER", "NOT_SENT"
_ENDED_BY_VERSION = "replaced by version {}"
_ENDED = "the day plan was cancelled"


def create_schedules(
    version: PlanVersion, *, actor: Actor, at: datetime, policy: SchedulePolicy, new_id: NewId = uuid.uuid4
) -> list[VokeSchedule]:
    """Create the schedules of a version that is being published, with its slots that are not over.

    Call with plan and plant locked. What can't be sent now stays due and is told in the plan's history.
    """
    rows = []
    for priority, slots in schedules_of(slots_left(version, at=at)):
        row = VokeSchedule.objects.create(
            version=version,
            plant_id=version.plan.plant_id,
            schedule_id=new_id(),
            priority=priority.value,
            starts_at=slots[0].start_at,
            ends_at=slots[-1].end_at,
            due_at=at,
        )
        send_create(row, actor=actor, at=at, policy=policy, look_at=at + policy.retry_every, new_id=new_id)
        rows.append(row)
    open_slot_proofs(version, at=at, policy=policy.dispatch)
    return rows


def slots_left(version: PlanVersion, *, at: datetime) -> list[PlannedSlot]:
    """The version's slots that are not over, in the order of time, as they are planned."""
    return [planned(row) for row in version.slots.filter(end_at__gt=at).order_by("start_at")]


def send_create(
    row: VokeSchedule,
    *,
    actor: Actor,
    at: datetime,
    policy: SchedulePolicy,
    look_at: datetime,
    new_id: NewId = uuid.uuid4,
) -> bool:
    """Ask for the command that creates a schedule, with what is left of its slots; False = not now.

    It is looked at again at `look_at` in both cases. Call with plan and plant locked.
    """
    slots = [
        rest_of(slot, at=at)
        for slot in slots_left(row.version, at=at)
        if slot.priority == row.priority and slot.start_at >= row.starts_at and slot.end_at <= row.ends_at
    ]
    if not slots:
        end_schedules([row.pk], cause=OVER, at=at)
        return False
    row.due_at = look_at
    payload = ScheduleCreate(
        schedule_id=str(row.schedule_id), priority=Priority(row.priority), slots=wire_slots(slots)
    )
    try:
        made = submit(
            organisation_id=row.version.plan.organisation_id,
            request=_request(row, payload, key="create"),
            actor=actor,
            at=at,
            policy=policy.dispatch,
            new_id=new_id,
        )
    except DomainError as refusal:
        if row.cause != refusal.code:
            _note(row, NOT_SENT, actor=actor, at=at, code=refusal.code, why=refusal.message[:200])
        row.cause = refusal.code[:64]
        row.save(update_fields=["cause", "due_at"])
        return False
    row.create_command, row.cause = made.command, ""
    row.save(update_fields=["create_command", "cause", "due_at"])
    return True


def _request(row: VokeSchedule, payload: ScheduleCreate | ScheduleCancel, *, key: str) -> CommandRequest:
    return CommandRequest(
        external_plant_id=row.version.plan.plant.external_plant_id,
        payload=payload,
        idempotency_key=f"schedule:{row.schedule_id}:{key}",
        batch_ref=f"plan:{row.version_id}",
        automatic=True,
    )


def withdraw_schedules(
    version: PlanVersion,
    *,
    successor: PlanVersion | None,
    actor: Actor,
    at: datetime,
    policy: SchedulePolicy,
    new_id: NewId = uuid.uuid4,
) -> None:
    """Withdraw every schedule of the version's plan but the successor's; see the module for when each is cancelled.

    Call with plan and plant locked, after the successor has its own schedules or runs.
    """
    for row in lock_live(version.plan):
        if successor is not None and row.version_id == successor.pk:
            continue
        if never_sent(row, actor=actor, at=at):
            _note(row, TAKEN_BACK, actor=actor, at=at)
            continue
        row.unwanted_at, row.successor, row.due_at = row.unwanted_at or at, successor, at
        row.save(update_fields=["unwanted_at", "successor", "due_at"])
        if successor is None and row.cancel_command_id is None:
            send_cancel(
                row, actor=actor, at=at, policy=policy, look_at=at + policy.retry_every, new_id=new_id
            )


def lock_live(plan: DayPlan) -> list[VokeSchedule]:
    """The schedules of a plan that Voke has or may have, the oldest first, with their commands locked.

    Call with plan and plant locked. All commands are locked first and in order, as who hears Voke's words does: until
    the transaction ends none of these schedules changes by what Voke says.
    """
    live = VokeSchedule.objects.filter(version__plan=plan, gone_at__isnull=True)
    pairs = live.order_by("pk").values_list("create_command_id", "cancel_command_id")
    lock_states({pk for pair in pairs for pk in pair if pk is not None})
    rows = live.select_related("version__plan__plant", "create_command", "cancel_command", "successor")
    return list(rows.order_by("pk"))


def never_sent(row: VokeSchedule, *, actor: Actor, at: datetime) -> bool:
    """Take the creation back while nothing of it was sent; True = Voke never hears of the schedule."""
    command = row.create_command
    if command is not None and State(command.state) not in BEFORE_SENT:
        return False
    if command is not None:
        try:
            cancel(
                organisation_id=row.version.plan.organisation_id,
                command_id=command.pk,
                actor=actor,
                reason="the day plan changed before it was sent",
                at=at,
            )
        except Conflict:  # a relay has it by now
            return False
    end_schedules([row.pk], cause=TAKEN_BACK, at=at)
    return True


def send_cancel(
    row: VokeSchedule,
    *,
    actor: Actor,
    at: datetime,
    policy: SchedulePolicy,
    look_at: datetime,
    new_id: NewId = uuid.uuid4,
) -> bool:
    """Ask for the command that cancels a schedule; False = not now. Looked at again at `look_at` in both cases.

    Call with plan and plant locked.
    """
    why = _ENDED if row.successor is None else _ENDED_BY_VERSION.format(row.successor.number)
    payload = ScheduleCancel(schedule_id=str(row.schedule_id), reason=why)
    row.due_at = look_at
    try:
        made = submit(
            organisation_id=row.version.plan.organisation_id,
            request=_request(row, payload, key=f"cancel:{row.cancels + 1}"),
            actor=actor,
            at=at,
            policy=policy.dispatch,
            new_id=new_id,
        )
    except DomainError as refusal:
        if row.cause != refusal.code:
            _note(row, "NOT_CANCELLED", actor=actor, at=at, code=refusal.code, why=refusal.message[:200])
        row.cause = refusal.code[:64]
        row.save(update_fields=["cause", "due_at"])
        return False
    row.cancel_command, row.cancels, row.cause = made.command, row.cancels + 1, ""
    row.save(update_fields=["cancel_command", "cancels", "due_at", "cause"])
    return True


def end_schedules(ids: Sequence[int], *, cause: str, at: datetime) -> int:
    """Nothing more is due about these schedules; answers how many were not gone before."""
    rows = VokeSchedule.objects.filter(pk__in=ids, gone_at__isnull=True)
    return rows.update(gone_at=at, cause=cause[:64], missing_at=None)


def _note(row: VokeSchedule, word: str, *, actor: Actor, at: datetime, **detail: object) -> None:
    note_event(
        row.version.plan, row.version, word, actor=actor.name, at=at, schedule=str(row.schedule_id), **detail
    )
