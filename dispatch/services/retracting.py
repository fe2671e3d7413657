"""Taking a command back: an unsent one vanishes, one that may be at Voke is answered by what undoes it.

What undoes it: of a setpoint the plant's `cancel_policy` (the base mode; nothing, and it runs out; 0 kW), of devices
their stop, of a mode the base mode, of a schedule its cancellation. Each taking back is one `Retraction`, and both
commands keep a note of it.

Interpretation:
- COMPLETED, DEVIATED and EXECUTING say how far a target was reached, not that it ended: a setpoint holds until its
  `validUntil`, an order to a device until something newer. Only an ENERGY setpoint is over with COMPLETED.
- The later word counts at Voke: the base mode ends every site setpoint and every order to a device.

Edge cases (the concurrency policy):
- The plant is locked before the command: of two that take it back at once the second finds what the first did, and an
  emergency either takes it back itself or is seen here. Under a latch nothing is sent: the emergency already did it.
- Attempted but not confirmed: the message may be at Voke, so it counts as sent. It is not handed out again (ABANDONED),
  its command is UNCONFIRMED, and what undoes it follows it in the plant's order. The broker's confirm, an
  acknowledgement or an execution that crosses it on the wire still applies to the command.
- What undoes it and could not be sent (a switch is off, the connection observes ...) is recorded and ends as CANCELLED
  with the reason, as a release's base mode does. Asked again, it is made anew.
- Something newer of the plant has taken its place by now: nothing is sent, it would undo the newer one.
"""

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction

from dispatch.messages import NewId
from dispatch.models import Command, EmergencyLatch, Kind, OutboundMessage, Outcome, Retraction
from dispatch.policy import Policy
from dispatch.requests import FAMILY, Actor, CommandPayload, CommandRequest
from dispatch.services.commands import lock_plant
from dispatch.services.life import Move, Note, advance_many, append_notes
from dispatch.services.outbox import withdraw_unattempted
from dispatch.services.undoing import base_mode_of, cut_reason, store_or_record
from dispatch.states import BEFORE_SENT, NEVER_SENT, State
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
)

How = Retraction.How
TAKEN_BACK = "TAKEN_BACK"
TAKES_BACK = "TAKES_BACK"
PLAN_REF = "plan:"
"""How the batch reference of a plan's commands begins."""
# On its way to Voke or there, and not refused.
_IN_FORCE = frozenset(State) - NEVER_SENT - {State.REJECTED, State.FAILED, State.RETURNED, State.REFUSED}


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

    `followed`: a newer command takes its place, so nothing is sent for it.
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
        if State(command.state) in NEVER_SENT or _take_back_unsent(command, actor, reason, at):
            return None
        asked: CommandPayload = parse_payload(FAMILY[Kind(command.kind)], command.payload)  # type: ignore[assignment]
        how, undo, by_command = _decide(plant, command, asked, reason, at, followed=followed)
        _give_up_attempts(command, actor, at)
        if undo is not None:
            request = CommandRequest(
                external_plant_id=plant.external_plant_id,
                payload=undo,
                reason=reason,
                automatic=actor.user is None,
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
        return _write_down(command, how, by_command, actor, reason, at)


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
    return State(by_command.state) not in _IN_FORCE


def _take_back_unsent(command: Command, actor: Actor, reason: str, at: datetime) -> bool:
    if State(command.state) not in BEFORE_SENT:
        return False
    if command.pk not in withdraw_unattempted(command_ids=[command.pk], why="cancelled", at=at):
        return False
    detail = {"reason": reason}
    move = Move(command_id=command.pk, to=State.CANCELLED, cause="CANCELLED", actor=actor.name, detail=detail)
    advance_many(moves=[move], at=at)
    return True


def _give_up_attempts(command: Command, actor: Actor, at: datetime) -> None:
    """What is on its way is not handed out again; whether it arrived only Voke can say."""
    pending = OutboundMessage.objects.filter(command=command, outcome=Outcome.PENDING)
    pending.update(outcome=Outcome.ABANDONED, outcome_at=at, detail="not sent again: it was taken back")
    if State(command.state) in BEFORE_SENT:
        move = Move(command_id=command.pk, to=State.UNCONFIRMED, cause=TAKEN_BACK, actor=actor.name)
        advance_many(moves=[move], at=at)


# --- what undoes it -----------------------------------------------------------------------------------------------


def _decide(
    plant: Plant, command: Command, asked: CommandPayload, reason: str, at: datetime, *, followed: bool
) -> tuple[Retraction.How, CommandPayload | None, Command | None]:
    """(how, what is sent, the command that does it already)."""
    if _is_over(command, asked, at):
        return How.OVER, None, None
    latch = EmergencyLatch.objects.filter(plant=plant, released_at__isnull=True).first()
    if latch is not None:
        return How.FOLLOWED, None, latch.command
    if followed:
        return How.FOLLOWED, None, None
    match asked:
        case SiteSetpoint():
            newer = _newer_target(plant, command, at)
            return (How.FOLLOWED, None, newer) if newer else _undo_setpoint(plant, asked, reason, at)
        case DeviceBatch():
            return _undo_devices(plant, command, asked)
        case Mode():
            newer = _newest(command, Kind.MODE)
            if newer is not None:
                return How.FOLLOWED, None, newer
            if asked.mode == plant.base_mode and asked.valid_until is None:
                raise Conflict("it is the plant's base mode", code="NOTHING_TO_TAKE_BACK")
            return How.BASE_MODE, base_mode_of(plant, f"Taken back: {reason}"), None
        case ScheduleCreate():
            if command.batch_ref.startswith(PLAN_REF):
                raise Conflict("a plan's schedule ends with its plan: cancel the plan", code="USE_THE_PLAN")
            return (
                How.SCHEDULE_CANCEL,
                ScheduleCancel(schedule_id=asked.schedule_id, reason=cut_reason(reason)),
                None,
            )
        case _:
            raise Conflict("a cancellation can't be taken back", code="NOTHING_TO_TAKE_BACK")


def _is_over(command: Command, asked: CommandPayload, at: datetime) -> bool:
    state = State(command.state)
    if state in (State.REJECTED, State.FAILED):
        return True
    if state in (State.RETURNED, State.REFUSED):
        # The broker's word on the last attempt: one before it may have arrived.
        return not OutboundMessage.objects.filter(command=command, attempts__gt=1).exists()
    if isinstance(asked, SiteSetpoint) and asked.type is SetpointType.ENERGY and state is State.COMPLETED:
        return True
    if isinstance(asked, ScheduleCreate):
        return state is State.COMPLETED or asked.slots[-1].ends_at <= at
    until = asked.valid_until if isinstance(asked, SiteSetpoint | Mode) else None
    return until is not None and until <= at


def _undo_setpoint(
    plant: Plant, asked: SiteSetpoint, reason: str, at: datetime
) -> tuple[Retraction.How, CommandPayload | None, Command | None]:
    if plant.cancel_policy == CancelPolicy.EXPIRE and asked.valid_until is not None:
        return How.EXPIRE, None, None
    if plant.cancel_policy == CancelPolicy.ZERO:
        nothing = SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=0.0,
            direction=asked.direction,
            include_consumption=asked.include_consumption,
            priority=asked.priority,
            valid_from=max(at, asked.valid_from),
            valid_until=asked.valid_until,
        )
        return How.ZERO, nothing, None
    return How.BASE_MODE, base_mode_of(plant, f"Taken back: {reason}"), None


def _undo_devices(
    plant: Plant, command: Command, asked: DeviceBatch
) -> tuple[Retraction.How, CommandPayload | None, Command | None]:
    if stop_of(asked) is None:
        raise Conflict("what its devices did before is not known", code="NOTHING_TO_TAKE_BACK")
    batches = _newer(command).filter(kind=Kind.DEVICE)
    taken = devices_in(batches.values_list("payload", flat=True))
    stop = stop_of(asked, leave=taken)
    return (How.FOLLOWED, None, batches.first()) if stop is None else (How.STOP, stop, None)


def _newer(command: Command) -> Any:
    """Commands of the plant asked for after this one that are on their way to Voke or there, newest first."""
    rows = Command.objects.filter(plant_id=command.plant_id, pk__gt=command.pk, due_at__gte=command.due_at)
    return rows.filter(state__in=_IN_FORCE - {State.SCHEDULED}).order_by("-pk")


def _newest(command: Command, kind: Kind) -> Command | None:
    found: Command | None = _newer(command).filter(kind=kind).first()
    return found


def _newer_target(plant: Plant, command: Command, at: datetime) -> Command | None:
    """What ended the setpoint at Voke already: the base mode sent after it."""
    modes = _newer(command).filter(kind=Kind.MODE, payload__mode=plant.base_mode)
    found: Command | None = modes.first()
    return found


def _write_down(
    command: Command,
    how: Retraction.How,
    by_command: Command | None,
    actor: Actor,
    reason: str,
    at: datetime,
) -> Retraction:
    told = {"reason": reason}
    by = {} if by_command is None else {"by": by_command.pk}
    notes = [
        Note(command_id=command.pk, word=TAKEN_BACK, cause=how, actor=actor.name, detail=told | by),
    ]
    if by_command is not None:
        of = told | {"takesBack": command.pk}
        notes.append(
            Note(command_id=by_command.pk, word=TAKES_BACK, cause=TAKES_BACK, actor=actor.name, detail=of)
        )
    append_notes(notes=notes, at=at)
    row, _ = Retraction.objects.update_or_create(
        command=command,
        defaults={
            "how": how,
            "by_command": by_command,
            "asked_at": at,
            "asked_by": actor.user,
            "asked_by_name": actor.name[:150],
            "reason": reason[:500],
        },
    )
    return row
