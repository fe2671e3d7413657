"""Which target a site follows, journalled at each change: what an outside checker needs to see gaps and doubles."""

from voke_sim.site import Site
from voke_sim.state import Setpoint
from voke_sim.turn import Turn

EMERGENCY, SCHEDULE, SETPOINT, MODE = "emergency", "schedule", "setpoint", "mode"


def note_target(site: Site, in_force: Setpoint | None, turn: Turn) -> None:
    """Write down what steers the site from now on, when it is not what steered it before."""
    emergency, mode = site.state.emergency, site.state.mode.mode
    if emergency is not None:
        target: tuple[str, str, float | None] = (EMERGENCY, emergency.kind.value, None)
    elif in_force is None:
        target = (MODE, mode.value, None)
    else:
        # A slot's key is `{scheduleId}#{number}`, a setpoint's the messageId.
        source = SCHEDULE if "#" in in_force.key else SETPOINT
        target = (source, in_force.key, in_force.target_kw)
    if site.target != target:
        site.target = target
        source, key, target_kw = target
        turn.voice.target(site, source=source, key=key, target_kw=target_kw, at=turn.at)
