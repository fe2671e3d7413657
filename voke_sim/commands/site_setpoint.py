"""command.site-setpoint: a power for the whole site, or an energy over an interval.

Interpretations:
- With `includeConsumption` the target is the grid's power; without, it is battery minus PV.
- COMPLETED = the measured power tracks the target and stays within tolerance for
  `execution.stable_plant_s`. The target stays in force until `validUntil`; without one until a mode command
  or a newer setpoint of its priority.
- Validity is judged on the wire clock. An ENERGY interval runs in plant time from the beginning on, so that
  at factor 60 a quarter of an hour takes 15 seconds; the target ends with it.
- One that cannot begin yet (a later `validFrom`, a stronger target, HOLD) is QUEUED; one whose time passes
  first FAILS.
"""

from datetime import datetime
from typing import Any

from vcp import AssetType, Priority, RejectionCode, SetpointType, SiteSetpoint
from voke_sim.commands.base import (
    READY,
    Accepted,
    PreEmpted,
    Progress,
    Readiness,
    Rejected,
    Tracking,
    Verdict,
    stopped,
)
from voke_sim.commands.limits import setpoint_breach
from voke_sim.control.stack import in_force
from voke_sim.interpretation import RANK, RANK_NAME, signed_kw
from voke_sim.site import Site, tolerance_kw
from voke_sim.state import EnergyCount, OpenCommand, Setpoint, SetpointPlan
from voke_sim.turn import Turn

_MINUTE_S = 60.0
_HOUR_S = 3_600.0


def make_setpoint(
    payload: SiteSetpoint, *, key: str, order: int, valid_from: datetime, valid_until: datetime | None
) -> Setpoint:
    """The payload as the stack holds it."""
    energy_kwh, interval_s = None, 0.0
    if payload.type is SetpointType.ENERGY:
        energy_kwh = signed_kw(payload.direction, payload.target_value_kwh or 0.0)
        interval_s = (payload.interval_minutes or 1) * _MINUTE_S
        target_kw = energy_kwh * _HOUR_S / interval_s
    else:
        target_kw = signed_kw(payload.direction, payload.target_value_kw or 0.0)
    return Setpoint(
        key=key,
        rank=RANK[Priority(payload.priority)],
        order=order,
        target_kw=target_kw,
        include_consumption=payload.include_consumption,
        valid_from=valid_from,
        valid_until=valid_until,
        energy_kwh=energy_kwh,
        interval_plant_s=interval_s,
    )


class SiteSetpointKind:
    """The family's rules."""

    def judge(self, site: Site, payload: SiteSetpoint, *, message_id: str, turn: Turn) -> Verdict:
        """Refuses a passed validity, a site without any fitting asset, a breach of the grid limits."""
        if payload.valid_until is not None and payload.valid_until <= turn.at:
            return Rejected(code=RejectionCode.INVALID_COMMAND, message="validUntil has passed")
        if not site.has(AssetType.BESS, AssetType.FVE, AssetType.INVERTER):
            return Rejected(
                code=RejectionCode.UNSUPPORTED_FOR_TOPOLOGY, message="the site has neither battery nor FVE"
            )
        if site.is_stopped:
            return stopped()
        setpoint = make_setpoint(
            payload,
            key=message_id,
            order=site.state.take_order(),
            valid_from=payload.valid_from,
            valid_until=payload.valid_until,
        )
        breach = setpoint_breach(
            site.constraints,
            target_kw=setpoint.target_kw,
            include_consumption=setpoint.include_consumption,
            load_kw=site.plant.load_kw,
        )
        if breach is not None:
            return Rejected(
                code=RejectionCode.CONSTRAINT_VIOLATION,
                message=f"{breach.asked:g} kW at the grid is beyond {breach.breached_field} {breach.limit:g} kW",
                breaches=(breach,),
            )
        return Accepted(plan=SetpointPlan(setpoint=setpoint), not_before=payload.valid_from)

    def readiness(self, site: Site, command: OpenCommand, at: datetime) -> Readiness:
        """Ready when it would be the target in force."""
        setpoint = _setpoint(command)
        if setpoint.valid_until is not None and setpoint.valid_until <= at:
            return Readiness(is_ready=False, is_over=True, reason="validUntil passed before it could begin")
        if site.state.emergency is not None:
            return Readiness(is_ready=False, reason="an emergency is in force")
        winner = in_force([*site.candidates(at), setpoint], at)
        if winner is None:
            return Readiness(is_ready=False, reason="validFrom is to come")
        if winner.key != setpoint.key:
            return Readiness(is_ready=False, reason=f"a {RANK_NAME[winner.rank]} target is in force")
        return READY

    def begin(self, site: Site, command: OpenCommand, turn: Turn) -> dict[str, Any]:
        """Onto the stack; a NORMAL target takes devices back from older orders of their own."""
        setpoint = _setpoint(command)
        site.state.setpoints.append(setpoint)
        if setpoint.energy_kwh is not None:
            site.state.energy[setpoint.key] = EnergyCount()
        if setpoint.rank == 0:
            site.drop_device_orders("replaced by a site setpoint")
        return {"target_kw": setpoint.target_kw, "energy_kwh": setpoint.energy_kwh, "rank": setpoint.rank}

    def progress(self, site: Site, command: OpenCommand, turn: Turn) -> Progress:
        """Compares the site's measured power, or the energy at the interval's end, with the target."""
        setpoint = _setpoint(command)
        count = site.state.energy.get(setpoint.key)
        if setpoint.energy_kwh is not None and count is not None:
            return self._energy_progress(setpoint, count, turn)
        actual_kw = site.plant.measured_kw(include_consumption=setpoint.include_consumption)
        if site.state.emergency is not None:
            return PreEmpted(
                reason="an emergency is in force", actual_kw=actual_kw, target_kw=setpoint.target_kw
            )
        winner = site.setpoint_in_force(turn.at)
        if winner is None or winner.key != setpoint.key:
            above = "another" if winner is None else f"a {RANK_NAME[winner.rank]}"
            return PreEmpted(
                reason=f"{above} target is in force", actual_kw=actual_kw, target_kw=setpoint.target_kw
            )
        reached = abs(actual_kw - setpoint.target_kw) <= tolerance_kw(
            turn.config.execution, setpoint.target_kw
        )
        return Tracking(is_reached=reached, actual_kw=actual_kw, target_kw=setpoint.target_kw)

    def _energy_progress(self, setpoint: Setpoint, count: EnergyCount, turn: Turn) -> Tracking:
        mean_kw = count.moved_kwh * _HOUR_S / setpoint.interval_plant_s
        tolerance = tolerance_kw(turn.config.execution, setpoint.target_kw)
        return Tracking(
            is_reached=abs(mean_kw - setpoint.target_kw) <= tolerance,
            actual_kw=mean_kw,
            target_kw=setpoint.target_kw,
            needs_stability=False,
            is_last=count.elapsed_plant_s >= setpoint.interval_plant_s,
            has_own_end=True,
        )


def _setpoint(command: OpenCommand) -> Setpoint:
    if not isinstance(command.plan, SetpointPlan):
        raise TypeError("a setpoint command has a setpoint plan")
    return command.plan.setpoint
