"""schedule.create and schedule.cancel: stored, and followed slot by slot.

Interpretations (neither payloads nor events are public):
- A schedule is answered by schedule events with its correlationId, not by command acks: ACCEPTED or
  REJECTED, ACTIVE when its first slot begins, COMPLETED after its last, CANCELLED. Only a broken payload is
  acked INVALID_PAYLOAD.
- A running slot is a site setpoint of the schedule's priority; an ENERGY slot is followed as its mean power.
- Of two schedules of one priority the one that was accepted later is followed where both have a slot.
- A known scheduleId replaces its schedule. A slot that ends without its target ever having been within
  tolerance raises SCHEDULE_SLOT_MISSED.
"""

from typing import Any

from vcp import (
    AssetType,
    Family,
    Priority,
    ScheduleCancel,
    ScheduleCreate,
    ScheduleEvent,
    ScheduleStatus,
    SetpointType,
    Slot,
)
from voke_sim.alarms import raise_breach, raise_missed_slot
from voke_sim.commands.base import Breach
from voke_sim.commands.limits import setpoint_breach
from voke_sim.control.stack import slot_index
from voke_sim.faults import FaultKind
from voke_sim.interpretation import RANK, signed_kw
from voke_sim.site import Site, tolerance_kw
from voke_sim.state import Schedule, Setpoint
from voke_sim.turn import Turn

_MAX_SCHEDULES = 16
_HOUR_S = 3_600.0


def create_schedule(
    site: Site, payload: ScheduleCreate, *, message_id: str, correlation_id: str, turn: Turn
) -> dict[str, Any] | None:
    """Store a schedule; the effect's detail, or None when it was refused."""
    order = site.state.take_order()
    slots = tuple(_slot_setpoint(payload, index, order) for index in range(len(payload.slots)))
    reason, breach = _refusal(site, payload, slots, turn)
    if breach is not None:
        raise_breach(site, breach, command_type="schedule.create", correlation_id=correlation_id, turn=turn)
    if reason is not None:
        _say(site, payload.schedule_id, ScheduleStatus.REJECTED, correlation_id, turn, reason)
        return None
    site.state.schedules[payload.schedule_id] = Schedule(
        schedule_id=payload.schedule_id,
        message_id=message_id,
        correlation_id=correlation_id,
        status=ScheduleStatus.ACCEPTED,
        slots=slots,
    )
    _say(site, payload.schedule_id, ScheduleStatus.ACCEPTED, correlation_id, turn)
    return {"schedule_id": payload.schedule_id, "slots": len(slots)}


def cancel_schedule(
    site: Site, payload: ScheduleCancel, *, correlation_id: str, turn: Turn
) -> dict[str, Any] | None:
    """Forget a schedule; the effect's detail, or None when there is none."""
    if site.state.schedules.pop(payload.schedule_id, None) is None:
        _say(
            site,
            payload.schedule_id,
            ScheduleStatus.REJECTED,
            correlation_id,
            turn,
            "no such schedule is running or waiting",
        )
        return None
    _say(site, payload.schedule_id, ScheduleStatus.CANCELLED, correlation_id, turn, payload.reason)
    return {"schedule_id": payload.schedule_id, "cancelled": True}


def follow_schedules(site: Site, turn: Turn) -> None:
    """Move schedules along the clock: activate, watch the running slot, complete."""
    _suffer(site, turn)
    for schedule in list(site.state.schedules.values()):
        if schedule.status is ScheduleStatus.ACCEPTED and schedule.slots[0].valid_from <= turn.at:
            schedule.status = ScheduleStatus.ACTIVE
            _say(site, schedule.schedule_id, ScheduleStatus.ACTIVE, schedule.correlation_id, turn)
        if schedule.status is not ScheduleStatus.ACTIVE:
            continue
        _watch_slot(site, schedule, turn)
        end = schedule.slots[-1].valid_until
        if end is not None and end <= turn.at:
            del site.state.schedules[schedule.schedule_id]
            _say(site, schedule.schedule_id, ScheduleStatus.COMPLETED, schedule.correlation_id, turn)


def _suffer(site: Site, turn: Turn) -> None:
    """The two ways in which schedules end without the partner."""
    if not site.state.schedules:
        return
    if turn.faults.strikes(FaultKind.FORGET_SCHEDULES, site.names):
        site.state.schedules.clear()
    elif turn.faults.strikes(FaultKind.CANCEL_SCHEDULES, site.names):
        for schedule in list(site.state.schedules.values()):
            del site.state.schedules[schedule.schedule_id]
            reason = "cancelled by the operator of the grid"
            _say(site, schedule.schedule_id, ScheduleStatus.CANCELLED, schedule.correlation_id, turn, reason)


def _watch_slot(site: Site, schedule: Schedule, turn: Turn) -> None:
    index = slot_index(schedule, turn.at)
    if index != schedule.watched_slot:
        if schedule.watched_slot is not None and not schedule.watched_reached:
            raise_missed_slot(
                site,
                schedule_id=schedule.schedule_id,
                slot=schedule.watched_slot,
                target_kw=schedule.slots[schedule.watched_slot].target_kw,
                turn=turn,
            )
        schedule.watched_slot, schedule.watched_reached = index, False
        return
    if index is not None and not schedule.watched_reached:
        target = schedule.slots[index]
        actual_kw = site.plant.measured_kw(include_consumption=target.include_consumption)
        tolerance = tolerance_kw(turn.config.execution, target.target_kw)
        schedule.watched_reached = abs(actual_kw - target.target_kw) <= tolerance


def _refusal(
    site: Site, payload: ScheduleCreate, slots: tuple[Setpoint, ...], turn: Turn
) -> tuple[str | None, Breach | None]:
    fault = turn.faults.for_message(FaultKind.REJECT, Family.SCHEDULE_CREATE, site.names)
    if fault is not None:
        return fault.message or "refused on request", None
    last = slots[-1].valid_until
    if last is not None and last <= turn.at:
        return "all slots have passed", None
    if not site.has(AssetType.BESS, AssetType.FVE, AssetType.INVERTER):
        return "the site has neither battery nor FVE", None
    if payload.schedule_id not in site.state.schedules and len(site.state.schedules) >= _MAX_SCHEDULES:
        return f"more than {_MAX_SCHEDULES} schedules", None
    for index, slot in enumerate(slots):
        breach = setpoint_breach(
            site.constraints,
            target_kw=slot.target_kw,
            include_consumption=slot.include_consumption,
            load_kw=site.plant.load_kw,
        )
        if breach is not None:
            return f"slot {index}: {breach.asked:g} kW is beyond {breach.breached_field}", breach
    return None, None


def _slot_setpoint(payload: ScheduleCreate, index: int, order: int) -> Setpoint:
    slot: Slot = payload.slots[index]
    if slot.type is SetpointType.ENERGY:
        hours = (slot.ends_at - slot.starts_at).total_seconds() / _HOUR_S
        value = (slot.target_value_kwh or 0.0) / hours
    else:
        value = slot.target_value_kw or 0.0
    return Setpoint(
        key=f"{payload.schedule_id}#{index}",
        rank=RANK[Priority(payload.priority)],
        order=order,
        target_kw=signed_kw(slot.direction, value),
        include_consumption=slot.include_consumption,
        valid_from=slot.starts_at,
        valid_until=slot.ends_at,
    )


def _say(
    site: Site,
    schedule_id: str,
    status: ScheduleStatus,
    correlation_id: str,
    turn: Turn,
    reason: str | None = None,
) -> None:
    event = ScheduleEvent(schedule_id=schedule_id, status=status.value, reason=reason)
    turn.voice.schedule(site, event, status=status, correlation_id=correlation_id, at=turn.at)
