"""Alarms of a site: raised with an id that stays the same until they are cleared."""

from datetime import datetime, timedelta

import msgspec

from vcp import Alarm, AlarmCode, Severity, parse_payload, to_wire
from vcp.routing import Family
from voke_sim.commands.base import Breach
from voke_sim.control.modes import excess_kw, law_of
from voke_sim.faults import FaultKind
from voke_sim.interpretation import BREACH_SEVERITY, MISSED_SLOT_SEVERITY, MODE_SEVERITY
from voke_sim.site import Site, tolerance_kw
from voke_sim.state import ActiveAlarm
from voke_sim.turn import Turn
from voke_sim.voice import reportable

_MAX_ACTIVE = 256
_MODE_KEY = "mode"


def raise_breach(site: Site, breach: Breach, *, command_type: str, correlation_id: str, turn: Turn) -> None:
    """A refused command's breach; cleared after `alarms.clear_after_s`."""
    alarm = _new(
        turn,
        severity=BREACH_SEVERITY,
        code=AlarmCode.CONSTRAINT_VIOLATION,
        message=f"{command_type} asked for {breach.asked:g}, {breach.breached_field} is {breach.limit:g}",
    )
    detailed = msgspec.structs.replace(
        alarm,
        device_id=breach.device_id,
        actual_value=reportable(breach.asked),
        expected_value=breach.limit,
        breached_field=breach.breached_field,
        metadata={"commandType": command_type, "correlationId": correlation_id},
    )
    _raise(site, detailed, key=detailed.alarm_id, clear_at=_clear_at(turn), turn=turn)


def raise_missed_slot(site: Site, *, schedule_id: str, slot: int, target_kw: float, turn: Turn) -> None:
    """A schedule slot went by without its target being reached."""
    alarm = _new(
        turn,
        severity=MISSED_SLOT_SEVERITY,
        code=AlarmCode.SCHEDULE_SLOT_MISSED,
        message=f"slot {slot} of schedule {schedule_id} was not reached",
    )
    detailed = msgspec.structs.replace(
        alarm, expected_value=reportable(target_kw), metadata={"scheduleId": schedule_id, "slot": slot}
    )
    _raise(site, detailed, key=detailed.alarm_id, clear_at=_clear_at(turn), turn=turn)


def watch_mode(site: Site, turn: Turn) -> None:
    """OPERATING_MODE_NOT_HONORED while a mode's promise is broken for longer than the grace allows.

    Judged only while the mode has the site (no emergency, no setpoint in force) and the site can be seen.
    """
    if turn.faults.for_site(FaultKind.OFFLINE, site.names) is not None:
        return
    promise = law_of(site.state.mode.mode, site.config).promise
    has_site = site.state.emergency is None and site.setpoint_in_force(turn.at) is None
    grid_kw = site.plant.grid_kw
    excess = excess_kw(promise, grid_kw) if promise is not None and has_site else 0.0
    active = next((alarm for alarm in site.state.alarms if alarm.key == _MODE_KEY), None)
    if excess <= tolerance_kw(turn.config.execution, grid_kw):
        site.state.mode_broken_since_plant_s = None
        if active is not None:
            _clear(site, active, turn)
        return
    if site.state.mode_broken_since_plant_s is None:
        site.state.mode_broken_since_plant_s = site.plant.time_s
    broken_for_s = site.plant.time_s - site.state.mode_broken_since_plant_s
    if active is None and broken_for_s >= turn.config.alarms.mode_grace_plant_s:
        mode = site.state.mode.mode.value
        alarm = _new(
            turn,
            severity=MODE_SEVERITY,
            code=AlarmCode.OPERATING_MODE_NOT_HONORED,
            message=f"{mode} is missed by {excess:.1f} kW",
        )
        detailed = msgspec.structs.replace(
            alarm, actual_value=reportable(grid_kw), metadata={"mode": mode, "excessKw": reportable(excess)}
        )
        _raise(site, detailed, key=_MODE_KEY, clear_at=None, turn=turn)


def clear_due(site: Site, turn: Turn) -> None:
    """Clear the alarms whose time has come."""
    for active in [alarm for alarm in site.state.alarms if alarm.clear_at and alarm.clear_at <= turn.at]:
        _clear(site, active, turn)


def _new(turn: Turn, *, severity: Severity, code: AlarmCode, message: str) -> Alarm:
    return Alarm(
        alarm_id=turn.voice.new_id(),
        severity=severity.value,
        code=code.value,
        message=message,
        raised_at=turn.at,
    )


def _clear_at(turn: Turn) -> datetime:
    return turn.at + timedelta(seconds=turn.config.alarms.clear_after_s)


def _raise(site: Site, alarm: Alarm, *, key: str, clear_at: datetime | None, turn: Turn) -> None:
    if len(site.state.alarms) >= _MAX_ACTIVE:
        _clear(site, site.state.alarms[0], turn)
    active = ActiveAlarm(alarm_id=alarm.alarm_id, key=key, wire=to_wire(alarm), clear_at=clear_at)
    site.state.alarms.append(active)
    turn.voice.alarm(site, alarm, at=turn.at)


def _clear(site: Site, active: ActiveAlarm, turn: Turn) -> None:
    site.state.alarms.remove(active)
    raised = parse_payload(Family.EVENT_ALARM, active.wire)
    if not isinstance(raised, Alarm):
        raise TypeError("an active alarm keeps an alarm payload")
    turn.voice.alarm(site, msgspec.structs.replace(raised, cleared_at=turn.at), at=turn.at)
