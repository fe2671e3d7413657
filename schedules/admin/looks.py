"""How the states of this room are drawn: versions, turns of slots, overrides, what was found against a plan."""

from collections.abc import Mapping

from django.utils.safestring import SafeString

from dispatch.models import Proof
from plants.admin.marks import Family, Look, chip
from schedules.models import Override, OverrideEnd, PlanState, RunState

PLAN_LOOKS: Mapping[str, Look] = {
    PlanState.DRAFT: Look(icon="edit_note", word="Draft", family=Family.WAIT),
    PlanState.CHECKED: Look(icon="rule", word="Checked", family=Family.MOVE),
    PlanState.PUBLISHED: Look(icon="event_available", word="Published", family=Family.OK),
    PlanState.REPLACED: Look(icon="swap_horiz", word="Replaced", family=Family.WAIT),
    PlanState.CANCELLED: Look(icon="block", word="Cancelled", family=Family.WAIT),
    PlanState.DONE: Look(icon="done_all", word="Done", family=Family.WAIT),
}
RUN_LOOKS: Mapping[str, Look] = {
    RunState.WAITING: Look(icon="schedule", word="Waiting", family=Family.WAIT),
    RunState.COMMANDED: Look(icon="send", word="Commanded", family=Family.MOVE),
    RunState.PREEMPTED: Look(icon="back_hand", word="Pre-empted", family=Family.DOUBT),
    RunState.MISSED: Look(icon="event_busy", word="Missed", family=Family.FAIL),
    RunState.WITHDRAWN: Look(icon="block", word="Withdrawn", family=Family.WAIT),
}
PROOF_LOOKS: Mapping[str, Look] = {
    Proof.PENDING: Look(icon="hourglass_top", word="Not judged yet", family=Family.WAIT),
    Proof.VERIFIED: Look(icon="verified", word="Verified", family=Family.OK),
    Proof.OFF_TARGET: Look(icon="difference", word="Off target", family=Family.DOUBT),
    Proof.NO_DATA: Look(icon="hearing_disabled", word="No data", family=Family.DOUBT),
    Proof.NOT_IN_FORCE: Look(icon="do_not_disturb_on", word="Not in force", family=Family.WAIT),
}
SEVERITY_LOOKS: Mapping[str, Look] = {
    "ERROR": Look(icon="report", word="Must be changed", family=Family.FAIL),
    "WARNING": Look(icon="warning", word="To be accepted", family=Family.DOUBT),
}
_OPEN = Look(icon="pan_tool", word="In force", family=Family.DOUBT)
_ENDS: Mapping[str, Look] = {
    OverrideEnd.EXPIRED: Look(icon="timer_off", word="Its time was over", family=Family.WAIT),
    OverrideEnd.ENDED: Look(icon="stop_circle", word="Ended by a person", family=Family.WAIT),
    OverrideEnd.REPLACED: Look(icon="swap_horiz", word="Replaced", family=Family.WAIT),
    OverrideEnd.EMERGENCY: Look(icon="emergency_home", word="Ended by an emergency", family=Family.CRIT),
    OverrideEnd.REFUSED: Look(icon="gpp_bad", word="Refused", family=Family.FAIL),
}


def plan_chip(state: str, *, title: str = "") -> SafeString:
    """The state of a version."""
    return chip(PLAN_LOOKS[state], title=title)


def run_chip(state: str, *, title: str = "") -> SafeString:
    """What became of a slot's turn."""
    return chip(RUN_LOOKS[state], title=title)


def proof_chip(verdict: str, *, title: str = "") -> SafeString:
    """What the measurement says."""
    return chip(PROOF_LOOKS[verdict], title=title)


def override_chip(override: Override) -> SafeString:
    """In force, or how it ended."""
    return chip(_OPEN if override.ended_at is None else _ENDS[override.end_cause])


def counted(count: int, word: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
