"""The numbers that decide how plans are carried out, read once by entry points and passed down."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from dispatch.policy import Policy, current_policy


@dataclass(frozen=True, kw_only=True)
class SchedulePolicy:
    """How plans and overrides are carried out.

    `slot_lead`: so long before its start a slot's setpoint is sent. `slot_overlap`: so long it holds on after its end
    when another slot follows at once. `retry_every`: how long a slot that can't be commanded now waits before the next
    try. `most_turns`: how many turns a slot has at most. `override_most`: the longest override.
    """

    slot_lead: timedelta
    slot_overlap: timedelta
    retry_every: timedelta
    dispatch: Policy
    most_turns: int = 5
    override_most: timedelta = timedelta(hours=24)


def current_schedule_policy() -> SchedulePolicy:
    """The policy of this installation's settings."""
    return SchedulePolicy(
        slot_lead=timedelta(seconds=settings.SLOT_LEAD_S),
        slot_overlap=timedelta(seconds=settings.SLOT_OVERLAP_S),
        retry_every=timedelta(seconds=settings.SLOT_RETRY_S),
        dispatch=current_policy(),
        most_turns=settings.SLOT_MOST_TURNS,
        override_most=timedelta(hours=settings.OVERRIDE_MAX_H),
    )
