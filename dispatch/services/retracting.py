"""Taking a command back: an unsent one vanishes, one that may be at Voke is answered by what undoes it.

What undoes it: of a setpoint the plant's `cancel_policy` (the base mode; nothing, and it runs out; 0 kW), of devices
their stop, of a mode the base mode, of a schedule its cancellation. Each taking back is one `Retraction`, and both
commands keep a note of it.

Interpretation:
- COMPLETED, DEVIATED and EXECUTING say how far a target was reached, not that it ended: a setpoint holds until its
  `validUntil`, an order to a device until something newer. Only an ENERGY setpoint is over with COMPLETED.
- The later word counts at Voke: a mode ends every site setpoint that has begun, and every order to a device.
- Of setpoints alike the one that begins later wins, then the one that came later: 0 kW with the same times takes
  exactly the place of the one that is taken back.

Edge cases (the concurrency policy):
- The plant is locked before the command: of two that take it back at once the second finds what the first did, and an
  emergency either takes it back itself or is seen here. Under a latch nothing is sent: the emergency already did it.
- Attempted but not confirmed: the message may be at Voke, so it counts as sent. It is not handed out again (ABANDONED),
  its command is UNCONFIRMED, and what undoes it follows it in the plant's order. The broker's confirm, an
  acknowledgement or an execution that crosses it on the wire still applies to the command.
- The base mode would end whatever has begun. So it waits (`due_at`) until the setpoint that is taken back would be the
  one in force: not before its `validFrom`, and not while a newer target of the plant holds. `send_due` looks again
  then, so that what came in between (an emergency, a newer plan) is not undone.
- What undoes it and could not be sent (a switch is off, the connection observes ...) is recorded and ends as CANCELLED
  with the reason, as a release's base mode does. Asked again, it is made anew.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from dispatch.messages import NewId
from dispatch.models import Command, EmergencyLatch, Kind, Retraction
from dispatch.policy import Policy
from dispatch.requests import FAMILY, Actor, CommandPayload, CommandRequest
from dispatch.services.commands import lock_plant
from dispatch.services.life import Note, append_notes
from dispatch.services.timed import NOTHING_SENT, adopt_stop, end_ref, end_timed, hasten_stop
from dispatch.services.undoing import (
    IN_FORCE,
    TAKEN_BACK,
    base_mode_of,
    cut_reason,
    give_up_attempts,
    may_have_arrived,
    newer_than,
    store_or_record,
    take_back_unsent,
)
from dispatch.states import NEVER_SENT, State
from dispatch.stops import devices_in, stop_of
from plants.errors import Conflict, NotFound
from plants.models import CancelPolicy, Plant
from vcp import (
    DeviceBatch,
    Mode,
    ScheduleCancel,
    ScheduleCreate,
    SetpointType,
    SiteSetpoint,
    parse_payload,
    parse_timestamp,
)

How = Retraction.How
TAKES_BACK = "TAKES_BACK"
PLAN_REF = "plan:"
"""How the batch reference of a plan's commands begins."""
_MOST_TARGETS = 200


@dataclass(frozen=True, kw_only=True)
class Undoing:
    """How a command is taken back: by what is sent now (`payload`), by a command that stands (`by`), or at `due_at`."""

    how: Retraction.How
    payload: CommandPayload | None = None
    by: Command | None = None
    due_at: datetime | None = None


def retract(
    *,
    command_id: int,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: Policy,
    followed: bool = False,
    organisation_id: int | None = None,
    new_id: NewId = uuid.uuid4,
) -> Retraction | None:
    """Take a command back; None = nothing of it was sent and nothing will be.

    `followed`: a newer command takes its place, so nothing is sent for it. `organisation_id`: whose command it must be.
    Raises `NotFound`, or `Conflict`: RELEASE_INSTEAD (an emergency), USE_THE_PLAN (a plan's schedule at Voke),
    NOTHING_TO_TAKE_BACK (it has no inverse: a stop, the base mode).
    """
    with transaction.atomic():
        plant, command = _locked(command_id, organisation_id)
        if command.kind == Kind.EMERGENCY:
            raise Conflict("an emergency is released, not cancelled", code="RELEASE_INSTEAD")
        known = Retraction.objects.select_related("by_command").filter(pk=command.pk).first()
        if known is not None and not _came_to_nothing(known):
            return known
        if State(command.state) in NEVER_SENT:
            return None
        if take_back_unsent(command, actor=actor, reason=reason, at=at):
            end_timed(command, cause=NOTHING_SENT, at=at)
            return None
        undoing = undoing_of(plant, command, reason=reason, at=at, followed=followed)
        give_up_attempts(command, actor=actor, at=at)
        return _carry_out(
            plant, command, undoing, actor=actor, reason=reason, at=at, policy=policy, new_id=new_id
        )


def _locked(command_id: int, organisation_id: int | None) -> tuple[Plant, Command]:
    rows = Command.objects.filter(pk=command_id)
    if organisation_id is not None:
        rows = rows.filter(organisation_id=organisation_id)
    found = rows.values_list("organisation_id", "plant__external_plant_id").first()
    if found is None:
        raise NotFound("no such command", path="command", code="COMMAND_NOT_FOUND")
    plant = lock_plant(organisation_id=found[0], external_plant_id=found[1])
    return plant, Command.objects.select_for_update(of=("self",)).get(pk=command_id)


def _came_to_nothing(known: Retraction) -> bool:
    """Whether what was to undo it never reached Voke, or was refused there: it may be tried again."""
    by_command = known.by_command
    if by_command is None or known.how == How.FOLLOWED:
        return False
    return State(by_command.state) not in IN_FORCE


def _carry_out(
    plant: Plant,
    command: Command,
    undoing: Undoing,
    *,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: Policy,
    new_id: NewId,
) -> Retraction:
    by_command = undoing.by
    if undoing.payload is not None:
        request = CommandRequest(
            external_plant_id=plant.external_plant_id,
            payload=undoing.payload,
            reason=reason,
            automatic=actor.user is None,
            batch_ref=end_ref(command.pk) if undoing.how is How.STOP else "",
        )
        by_command = store_or_record(
            plant=plant,
            request=request,
            last_connection_id=command.connection_id,
            actor=actor,
            at=at,
            policy=policy,
            new_id=new_id,
        )
        if undoing.how is How.STOP:
            adopt_stop(command, by_command, at=at)
    elif command.kind == Kind.DEVICE:
        hasten_stop(command, at=at)
    return _write_down(command, undoing, by_command, actor=actor, reason=reason, at=at)


def _write_down(
    command: Command,
    undoing: Undoing,
    by_command: Command | None,
    *,
    actor: Actor,
    reason: str,
    at: datetime,
) -> Retraction:
    told: dict[str, Any] = {"reason": reason}
    more: dict[str, Any] = {} if by_command is None else {"by": by_command.pk}
    if undoing.due_at is not None:
        more["dueAt"] = undoing.due_at.isoformat()
    notes = [
        Note(command_id=command.pk, word=TAKEN_BACK, cause=undoing.how, actor=actor.name, detail=told | more)
    ]
    if by_command is not None:
        detail = told | {"takesBack": command.pk}
        notes.append(
            Note(command_id=by_command.pk, word=TAKES_BACK, cause=TAKES_BACK, actor=actor.name, detail=detail)
        )
    append_notes(notes=notes, at=at)
    row, _ = Retraction.objects.update_or_create(
        command=command,
        defaults={"how": undoing.how, "by_command": by_command, "due_at": undoing.due_at},
        create_defaults={
            "how": undoing.how,
            "by_command": by_command,
            "due_at": undoing.due_at,
            "asked_at": at,
            "asked_by": actor.user,
            "asked_by_name": actor.name[:150],
            "reason": reason[:500],
        },
    )
    return row


# --- later: the base mode of a setpoint that is not in force yet --------------------------------------------------


def send_due(*, at: datetime, policy: Policy, limit: int = 200, new_id: NewId = uuid.uuid4) -> int:
    """Tick: send what waited until its setpoint would be in force; answers how many were looked at."""
    due = list(
        Retraction.objects.filter(due_at__lte=at).order_by("due_at").values_list("pk", flat=True)[:limit]
    )
    for command_id in due:
        _send_one(command_id, at=at, policy=policy, new_id=new_id)
    return len(due)


@transaction.atomic
def _send_one(command_id: int, *, at: datetime, policy: Policy, new_id: NewId) -> None:
    plant, command = _locked(command_id, None)
    waiting = Retraction.objects.select_related("asked_by").filter(pk=command_id, due_at__lte=at)
    row = waiting.first()
    if row is None:  # another tick was first
        return
    actor = Actor(name=row.asked_by_name, user=row.asked_by)
    undoing = undoing_of(plant, command, reason=row.reason, at=at, followed=False)
    _carry_out(plant, command, undoing, actor=actor, reason=row.reason, at=at, policy=policy, new_id=new_id)


# --- what undoes it -----------------------------------------------------------------------------------------------


def undoing_of(
    plant: Plant, command: Command, *, reason: str, at: datetime, followed: bool = False
) -> Undoing:
    """How a command that may be at Voke would be taken back now; changes nothing. Raises as `retract` does."""
    asked: Any = parse_payload(FAMILY[Kind(command.kind)], command.payload)
    if _is_over(command, asked, at):
        return Undoing(how=How.OVER)
    if isinstance(asked, ScheduleCreate) and command.batch_ref.startswith(PLAN_REF):
        raise Conflict("a plan's schedule ends with its plan: cancel the plan", code="USE_THE_PLAN")
    latch = EmergencyLatch.objects.select_related("command").filter(plant=plant, released_at__isnull=True)
    in_force = latch.first()
    if in_force is not None:
        return Undoing(how=How.FOLLOWED, by=in_force.command)
    if followed:
        return Undoing(how=How.FOLLOWED)
    match asked:
        case SiteSetpoint():
            return _undo_setpoint(plant, command, asked, reason, at)
        case DeviceBatch():
            return _undo_devices(command, asked, at)
        case Mode():
            return _undo_mode(plant, command, asked, reason)
        case ScheduleCreate():
            ends = ScheduleCancel(schedule_id=asked.schedule_id, reason=cut_reason(reason))
            return Undoing(how=How.SCHEDULE_CANCEL, payload=ends)
    raise Conflict("a cancellation can't be taken back", code="NOTHING_TO_TAKE_BACK")


def _is_over(command: Command, asked: CommandPayload, at: datetime) -> bool:
    state = State(command.state)
    if state in (State.REJECTED, State.FAILED):
        return True
    if state in (State.RETURNED, State.REFUSED):
        return not may_have_arrived(command)
    if isinstance(asked, SiteSetpoint) and asked.type is SetpointType.ENERGY and state is State.COMPLETED:
        return True
    if isinstance(asked, ScheduleCreate):
        return state is State.COMPLETED or asked.slots[-1].ends_at <= at
    until = asked.valid_until if isinstance(asked, SiteSetpoint | Mode) else None
    return until is not None and until <= at


def _undo_setpoint(plant: Plant, command: Command, asked: SiteSetpoint, reason: str, at: datetime) -> Undoing:
    if plant.cancel_policy == CancelPolicy.EXPIRE and asked.valid_until is not None:
        return Undoing(how=How.EXPIRE)
    if plant.cancel_policy == CancelPolicy.ZERO:
        nothing = SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=0.0,
            direction=asked.direction,
            include_consumption=asked.include_consumption,
            priority=asked.priority,
            valid_from=asked.valid_from,
            valid_until=asked.valid_until,
        )
        return Undoing(how=How.ZERO, payload=nothing)
    ended_by = (
        newer_than(command)
        .filter(kind=Kind.MODE, payload__mode=plant.base_mode, due_at__gte=asked.valid_from, due_at__lte=at)
        .first()
    )
    if ended_by is not None:  # the same base mode went out after it
        return Undoing(how=How.FOLLOWED, by=ended_by)
    due_at, covered_by = _in_force_from(command, asked, at)
    if asked.valid_until is not None and due_at >= asked.valid_until:
        return Undoing(how=How.FOLLOWED, by=covered_by)
    if due_at > at:
        return Undoing(how=How.BASE_MODE, due_at=due_at)
    return Undoing(how=How.BASE_MODE, payload=base_mode_of(plant, f"Taken back: {reason}"))


def _in_force_from(command: Command, asked: SiteSetpoint, at: datetime) -> tuple[datetime, Command | None]:
    """From when on no newer target of the plant stands above the setpoint, and the last that does until then."""
    newer = newer_than(command).filter(kind=Kind.SITE_SETPOINT, retraction__isnull=True)
    spans = [(*_span(one.payload, one.due_at), one) for one in newer[:_MOST_TARGETS]]
    from_at, covered_by = max(at, asked.valid_from), None
    for begins_at, ends_at, one in sorted(spans, key=lambda span: (span[0], span[2].pk)):
        if begins_at <= from_at < ends_at:
            from_at, covered_by = ends_at, one
    return from_at, covered_by


def _span(payload: Mapping[str, Any], due_at: datetime) -> tuple[datetime, datetime]:
    """From when until when a setpoint holds; one without an end (of before they had one) for ever."""
    until = payload.get("validUntil")
    begins_at = max(due_at, parse_timestamp(payload["validFrom"]))
    return begins_at, datetime.max.replace(tzinfo=begins_at.tzinfo) if until is None else parse_timestamp(
        until
    )


def _undo_devices(command: Command, asked: DeviceBatch, at: datetime) -> Undoing:
    if stop_of(asked) is None:
        raise Conflict("what its devices did before is not known", code="NOTHING_TO_TAKE_BACK")
    batches = newer_than(command).filter(kind=Kind.DEVICE, due_at__lte=at)
    stop = stop_of(asked, leave=devices_in(batches.values_list("payload", flat=True)[:_MOST_TARGETS]))
    if stop is None:
        return Undoing(how=How.FOLLOWED, by=batches.first())
    return Undoing(how=How.STOP, payload=stop)


def _undo_mode(plant: Plant, command: Command, asked: Mode, reason: str) -> Undoing:
    newer = newer_than(command).filter(kind=Kind.MODE).first()
    if newer is not None:
        return Undoing(how=How.FOLLOWED, by=newer)
    if asked.mode == plant.base_mode and asked.valid_until is None:
        raise Conflict("it is the plant's base mode", code="NOTHING_TO_TAKE_BACK")
    return Undoing(how=How.BASE_MODE, payload=base_mode_of(plant, f"Taken back: {reason}"))
