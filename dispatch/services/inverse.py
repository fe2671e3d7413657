"""What undoes a command that may be at Voke: by policy of its plant, by its kind, and by what else holds there.

What undoes it: of a setpoint the plant's `cancel_policy` (the base mode; nothing, and it runs out; 0 kW), of devices
their stop, of a mode or an emergency the base mode, of a schedule its cancellation.

Interpretation:
- COMPLETED, DEVIATED and EXECUTING say how far a target was reached, not that it ended: a setpoint holds until its
  `validUntil`, an order to a device until something newer. Only an ENERGY setpoint is over with COMPLETED.
- The later word counts at Voke: a mode ends every site setpoint that has begun, and every order to a device.
- Of setpoints the one of the higher priority wins; of those alike the one that begins later, then the one that came
  later: 0 kW with the same times takes exactly the place of the one that is taken back.

The base mode would end whatever has begun. So it is sent (`due_at`) when the setpoint that is taken back would be the
one in force: not before its `validFrom`, and not while a target of the plant that stands above it holds. And it is not
delivered once a target has begun that was asked for before it (`deliver_by_at`): it would end that one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from dispatch.models import Command, EmergencyLatch, Kind, Retraction, TimedCommand
from dispatch.requests import FAMILY, CommandPayload
from dispatch.services.undoing import (
    ENDS_WITHIN,
    IN_FORCE,
    base_mode_of,
    cut_reason,
    may_have_arrived,
    newer_there,
)
from dispatch.states import State
from dispatch.stops import devices_in, stop_of
from dispatch.verification import rank_of
from plants.errors import Conflict
from plants.models import CancelPolicy, Plant
from vcp import (
    DeviceBatch,
    Emergency,
    Mode,
    ScheduleCancel,
    ScheduleCreate,
    SetpointType,
    SiteSetpoint,
    parse_payload,
    parse_timestamp,
)
from vcp.said import said

How = Retraction.How
PLAN_REF = "plan:"
"""How the batch reference of a plan's commands begins."""
_SOON = timedelta(seconds=2)
"""A message takes its time: a target that begins within this counts as begun."""
_LONGEST_TARGET = timedelta(hours=25)
_MOST_TARGETS = 200


@dataclass(frozen=True, kw_only=True)
class Undoing:
    """How a command is taken back: by what is sent now (`payload`), by a command that stands (`by`), or at `due_at`.

    `deliver_by_at`: until when the payload may be sent, where it is not its kind's own time.
    """

    how: Retraction.How
    payload: CommandPayload | None = None
    by: Command | None = None
    due_at: datetime | None = None
    deliver_by_at: datetime | None = None


def ends_at(asked: Any, at: datetime) -> datetime:
    """Until when what was asked for would go on by itself, as far as it says."""
    if isinstance(asked, ScheduleCreate):
        return asked.slots[-1].ends_at
    until = asked.valid_until if isinstance(asked, SiteSetpoint | Mode) else None
    return until or at + ENDS_WITHIN


def undoing_of(
    plant: Plant, command: Command, *, reason: str, at: datetime, followed: bool = False
) -> Undoing:
    """How a command that may be at Voke would be taken back now; changes nothing. Raises as `retract` does."""
    asked: Any = parse_payload(FAMILY[Kind(command.kind)], command.payload)
    if _is_over(command, asked, at):
        return Undoing(how=How.OVER)
    if isinstance(asked, ScheduleCreate) and command.batch_ref.startswith(PLAN_REF):
        raise Conflict(said("a plan's schedule ends with its plan: cancel the plan"), code="USE_THE_PLAN")
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
            return _undo_mode(plant, command, asked, reason, at)
        case Emergency():
            return _undo_emergency(plant, command, reason, at)
        case ScheduleCreate():
            ends = ScheduleCancel(schedule_id=asked.schedule_id, reason=cut_reason(reason))
            return Undoing(how=How.SCHEDULE_CANCEL, payload=ends, deliver_by_at=ends_at(asked, at))
    raise Conflict(said("a cancellation can't be taken back"), code="NOTHING_TO_TAKE_BACK")


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
        newer_there(command)
        .filter(kind=Kind.MODE, payload__mode=plant.base_mode, due_at__gte=asked.valid_from, due_at__lte=at)
        .first()
    )
    if ended_by is not None:  # the same base mode went out after it
        return Undoing(how=How.FOLLOWED, by=ended_by)
    others = _other_targets(command, asked, at)
    due_at, covered_by = _in_force_from(command, asked, others, at)
    if asked.valid_until is not None and due_at >= asked.valid_until:
        return Undoing(how=How.FOLLOWED, by=covered_by)
    if due_at > at:
        return Undoing(how=How.BASE_MODE, due_at=due_at)
    return Undoing(
        how=How.BASE_MODE,
        payload=base_mode_of(plant, f"Taken back: {reason}"),
        deliver_by_at=min(
            [ends_at(asked, at), *(one.begins_at - _SOON for one in others if one.begins_at > at)]
        ),
    )


class _Other(NamedTuple):
    """Another target of the plant, in the order in which Voke weighs them."""

    rank: int
    begins_at: datetime
    pk: int
    ends_at: datetime
    command: Command


def _other_targets(command: Command, asked: SiteSetpoint, at: datetime) -> list[_Other]:
    """Setpoints of the plant that hold or will, and that nobody took back."""
    rows = Command.objects.filter(
        verification__plant_id=command.plant_id,
        verification__begins_at__gte=at - _LONGEST_TARGET,
        state__in=[state.value for state in IN_FORCE],
        retraction__isnull=True,
    ).exclude(pk=command.pk)
    found = []
    for one in rows.order_by("-pk")[:_MOST_TARGETS]:
        begins_at, ends_at = _span(one.payload, one.due_at)
        if ends_at > at:
            found.append(_Other(rank_of(one.payload["priority"]), begins_at, one.pk, ends_at, one))
    return found


def _in_force_from(
    command: Command, asked: SiteSetpoint, others: Sequence[_Other], at: datetime
) -> tuple[datetime, Command | None]:
    """From when on no other target of the plant stands above the setpoint, and the last that does until then."""
    mine = (rank_of(asked.priority.value), max(command.due_at, asked.valid_from), command.pk)
    from_at, covered_by = max(at, asked.valid_from), None
    for one in sorted(others, key=lambda one: (one.begins_at, one.pk)):
        if one[:3] > mine and one.begins_at <= from_at + _SOON and from_at < one.ends_at:
            from_at, covered_by = one.ends_at, one.command
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
        raise Conflict(said("what its devices did before is not known"), code="NOTHING_TO_TAKE_BACK")
    batches = newer_there(command).filter(kind=Kind.DEVICE, due_at__lte=at)
    stop = stop_of(asked, leave=devices_in(batches.values_list("payload", flat=True)[:_MOST_TARGETS]))
    if stop is None:
        return Undoing(how=How.FOLLOWED, by=batches.first())
    timed = TimedCommand.objects.filter(pk=command.pk).exists()  # has its stop made again sooner
    return Undoing(how=How.STOP, payload=stop, deliver_by_at=None if timed else at + ENDS_WITHIN)


def _undo_mode(plant: Plant, command: Command, asked: Mode, reason: str, at: datetime) -> Undoing:
    newer = newer_there(command).filter(kind=Kind.MODE).first()
    if newer is not None:
        return Undoing(how=How.FOLLOWED, by=newer)
    if asked.mode == plant.base_mode and asked.valid_until is None:
        raise Conflict(said("it is the plant's base mode"), code="NOTHING_TO_TAKE_BACK")
    payload = base_mode_of(plant, f"Taken back: {reason}")
    return Undoing(how=How.BASE_MODE, payload=payload, deliver_by_at=ends_at(asked, at))


def _undo_emergency(plant: Plant, command: Command, reason: str, at: datetime) -> Undoing:
    """Of one that was released: a mode ends it at Voke."""
    newer = newer_there(command)
    # A mode would end what a person asked for since; a plan's slot is said again after it.
    by = newer.filter(kind=Kind.MODE).first() or newer.filter(automatic=False).first()
    if by is not None:
        return Undoing(how=How.FOLLOWED, by=by)
    payload = base_mode_of(plant, f"Emergency released: {reason}")
    return Undoing(how=How.BASE_MODE, payload=payload, deliver_by_at=at + ENDS_WITHIN)
