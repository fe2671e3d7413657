"""command.emergency: STOP ends all power flows of the site's devices, HOLD freezes them.

Interpretations:
- STOP: batteries and PV to zero; every setpoint and device order in force or waiting is discarded.
  Consumption goes on.
- HOLD: batteries stay at their power of this moment and PV does not rise above its own; what was in force
  stays on the stack and comes back afterwards. STOP beats HOLD: a HOLD during STOP changes nothing.
- An emergency ends the one before it where it takes its order away: a STOP or a newer HOLD that of a HOLD. What a
  STOP asked for stays in force under a further STOP: both are COMPLETED.
- A mode command releases the emergency; nothing else does.
"""

from datetime import datetime
from typing import Any

from vcp import AssetType, Emergency, EmergencyType, RejectionCode
from voke_sim.commands.base import READY, Accepted, Progress, Readiness, Rejected, Tracking, Verdict
from voke_sim.site import Site, tolerance_kw
from voke_sim.state import (
    DevicePlan,
    EmergencyPlan,
    EmergencyState,
    OpenCommand,
    SetpointPlan,
)
from voke_sim.turn import Turn


class EmergencyKind:
    """The family's rules."""

    def judge(self, site: Site, payload: Emergency, *, message_id: str, turn: Turn) -> Verdict:
        """Refused only where there is nothing to stop."""
        if not site.has(AssetType.BESS, AssetType.FVE, AssetType.INVERTER):
            return Rejected(
                code=RejectionCode.UNSUPPORTED_FOR_TOPOLOGY, message="the site has neither battery nor FVE"
            )
        return Accepted(plan=EmergencyPlan(kind=payload.type, reason=payload.reason))

    def readiness(self, site: Site, command: OpenCommand, at: datetime) -> Readiness:
        """Always."""
        return READY

    def begin(self, site: Site, command: OpenCommand, turn: Turn) -> dict[str, Any]:
        """Put the emergency in force."""
        plan = _plan(command)
        if plan.kind is EmergencyType.STOP or not site.is_stopped:
            for other in site.started(EmergencyPlan):
                if other is not command and _plan(other).kind is EmergencyType.HOLD:
                    other.end_reason = "followed by another emergency"
        if plan.kind is EmergencyType.STOP:
            self._discard_orders(site, command)
            site.state.emergency = EmergencyState(kind=plan.kind, message_id=command.message_id)
        elif not site.is_stopped:
            site.state.emergency = EmergencyState(
                kind=plan.kind,
                message_id=command.message_id,
                batteries_kw={name: state.power_kw for name, state in site.plant.batteries.items()},
                pv_kw=dict(site.plant.pv_kw),
            )
        return {"type": plan.kind.value}

    def progress(self, site: Site, command: OpenCommand, turn: Turn) -> Progress:
        """STOP: every device at zero. HOLD: every battery at its frozen power."""
        plan = _plan(command)
        if plan.kind is EmergencyType.STOP or site.is_stopped:
            held_kw: dict[str, float] = {}
            powers = [abs(power) for power in site.plant.pv_kw.values()]
        else:
            emergency = site.state.emergency
            held_kw = {} if emergency is None else emergency.batteries_kw
            powers = []
        powers += [
            abs(state.power_kw - held_kw.get(name, 0.0)) for name, state in site.plant.batteries.items()
        ]
        target_kw = sum(held_kw.values())
        tolerance = tolerance_kw(turn.config.execution, target_kw)
        actual_kw = site.plant.battery_total_kw
        if not held_kw:
            actual_kw -= site.plant.pv_total_kw
        return Tracking(
            is_reached=all(power <= tolerance for power in powers),
            actual_kw=actual_kw,
            target_kw=target_kw,
        )

    def _discard_orders(self, site: Site, command: OpenCommand) -> None:
        reason = "discarded by an emergency STOP"
        site.drop_setpoints(lambda setpoint: True, reason)
        site.drop_device_orders(reason)
        for other in site.state.open_commands:
            if other.started_at is None and isinstance(other.plan, SetpointPlan | DevicePlan):
                other.end_reason = reason


def _plan(command: OpenCommand) -> EmergencyPlan:
    if not isinstance(command.plan, EmergencyPlan):
        raise TypeError("an emergency command has an emergency plan")
    return command.plan
