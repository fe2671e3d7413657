"""command.mode: the site's operating mode, for good or until `validUntil`.

Interpretations:
- A mode command releases an emergency, and ends device orders and every setpoint whose time has begun, with
  or without a `validUntil`: the later word counts. A setpoint whose `validFrom` is to come keeps its time, and
  where it releases an emergency, so do those that the emergency held back and that have an end of their own.
- With `validUntil` the mode is an override; afterwards the site returns to the mode before it, with a mode
  event.
- COMPLETED as soon as the site runs the mode.
"""

from datetime import datetime
from typing import Any

from vcp import AssetType, Mode, ModeEvent, OperatingMode, RejectionCode
from voke_sim.commands.base import READY, Accepted, Progress, Readiness, Rejected, Tracking, Verdict
from voke_sim.interpretation import NEEDS_BATTERY, NEEDS_BATTERY_OR_FVE
from voke_sim.site import Site
from voke_sim.state import EmergencyPlan, ModePlan, ModeState, OpenCommand, SetpointPlan
from voke_sim.turn import Turn


class ModeKind:
    """The family's rules."""

    def judge(self, site: Site, payload: Mode, *, message_id: str, turn: Turn) -> Verdict:
        """Refuses a passed validity and a mode that the site has no device for."""
        if payload.valid_until is not None and payload.valid_until <= turn.at:
            return Rejected(code=RejectionCode.INVALID_COMMAND, message="validUntil has passed")
        has_battery = site.has(AssetType.BESS)
        has_any = has_battery or site.has(AssetType.FVE, AssetType.INVERTER)
        missing = (payload.mode in NEEDS_BATTERY and not has_battery) or (
            payload.mode in NEEDS_BATTERY_OR_FVE and not has_any
        )
        if missing:
            return Rejected(
                code=RejectionCode.UNSUPPORTED_FOR_TOPOLOGY,
                message=f"the site has no device for {payload.mode}",
            )
        return Accepted(
            plan=ModePlan(mode=payload.mode, reason=payload.reason, valid_until=payload.valid_until)
        )

    def readiness(self, site: Site, command: OpenCommand, at: datetime) -> Readiness:
        """Ready until its own end has passed."""
        until = _plan(command).valid_until
        if until is not None and until <= at:
            return Readiness(is_ready=False, is_over=True, reason="validUntil passed before it could begin")
        return READY

    def begin(self, site: Site, command: OpenCommand, turn: Turn) -> dict[str, Any]:
        """Release, clear, switch, tell."""
        plan = _plan(command)
        releases = site.state.emergency is not None
        site.state.emergency = None
        for other in site.started(EmergencyPlan):
            other.end_reason = "released by a mode command"
        for other in site.started(ModePlan):
            if other is not command:
                other.end_reason = "replaced by a newer mode command"
        reason = f"replaced by mode {plan.mode}"
        site.drop_setpoints(lambda setpoint: not releases or setpoint.valid_until is None, reason)
        if not releases:
            self._end_waiting(site, turn.at, reason)
        site.drop_device_orders(reason)
        before = site.state.mode
        base = before.base if plan.valid_until is not None else plan.mode
        switch_mode(
            site,
            ModeState(mode=plan.mode, base=base, reason=plan.reason, valid_until=plan.valid_until),
            reason=plan.reason,
            correlation_id=command.correlation_id,
            turn=turn,
        )
        return {"mode": plan.mode.value, "previous_mode": before.mode.value}

    def _end_waiting(self, site: Site, at: datetime, reason: str) -> None:
        """Setpoints that wait under a stronger one would begin when it goes, after the later word."""
        for other in site.state.open_commands:
            plan = other.plan
            if other.started_at is None and isinstance(plan, SetpointPlan) and plan.setpoint.valid_from <= at:
                other.end_reason = reason

    def progress(self, site: Site, command: OpenCommand, turn: Turn) -> Progress:
        """Reached when the site runs the mode."""
        reached = site.state.mode.mode is _plan(command).mode
        return Tracking(is_reached=reached, needs_stability=False)


def switch_mode(
    site: Site, mode: ModeState, *, reason: str | None, correlation_id: str | None, turn: Turn
) -> None:
    """Run another mode and say so; also when the mode is the same, since its end or reason may be new."""
    previous = site.state.mode.mode
    site.state.mode = mode
    site.state.mode_broken_since_plant_s = None
    event = ModeEvent(
        mode=mode.mode.value, previous_mode=previous.value, reason=reason, valid_until=mode.valid_until
    )
    turn.voice.mode(site, event, correlation_id=correlation_id, at=turn.at)


def end_override(site: Site, turn: Turn) -> None:
    """Return to the base mode when the override's time has passed."""
    mode = site.state.mode
    if mode.valid_until is None or turn.at < mode.valid_until:
        return
    back = ModeState(mode=mode.base, base=mode.base)
    switch_mode(site, back, reason="the override's validUntil has passed", correlation_id=None, turn=turn)


def mind_fallback(site: Site, turn: Turn) -> None:
    """Fall back to the configured mode when the partner has been silent for too long.

    Interpretation: the word that counts is any message for this site that was judged; the next one returns
    the site to the mode it had.
    """
    fallback, state = site.fallback, site.state
    if fallback is None or state.last_word_at is None:
        return
    is_silent = (turn.at - state.last_word_at).total_seconds() >= fallback.after_s
    if is_silent and not state.mode.is_fallback and state.mode.mode is not fallback.mode:
        reason = f"fallback: no word from the partner for {fallback.after_s} s"
        mode = ModeState(
            mode=OperatingMode(fallback.mode), base=state.mode.base, reason=reason, is_fallback=True
        )
        switch_mode(site, mode, reason=reason, correlation_id=None, turn=turn)
    elif not is_silent and state.mode.is_fallback:
        back = ModeState(mode=state.mode.base, base=state.mode.base)
        switch_mode(site, back, reason="the partner is back", correlation_id=None, turn=turn)


def _plan(command: OpenCommand) -> ModePlan:
    if not isinstance(command.plan, ModePlan):
        raise TypeError("a mode command has a mode plan")
    return command.plan
