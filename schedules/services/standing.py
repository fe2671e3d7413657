"""What stands above a plant's plan: an emergency, an override, and targets at Voke that outlive what made them.

Emergency above override above plan. What is said here decides whether a slot is commanded, from when, and how strongly.

Interpretation: at Voke a HIGH target covers every NORMAL one for as long as it is valid, also after the platform has
no use for it any more (an override that was ended early, a slot of a plan that was replaced). A slot's setpoint that
must take the place of such a target is therefore sent as HIGH, until the other's `validUntil` has passed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from dispatch.models import EmergencyLatch
from dispatch.services.bulk import Among
from dispatch.states import NEVER_SENT, State
from schedules.models import Override, RunState, SlotRun
from vcp import Priority

LATCHED, OVERRIDDEN = "LATCHED", "OVERRIDDEN"
LONGEST_SLOT = timedelta(hours=2)
"""Twice the longest slot: a run that is older has nothing to do with what runs now."""
_NOT_AT_VOKE = NEVER_SENT | {State.REJECTED, State.RETURNED, State.REFUSED}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Above one plant's plan: the emergency, the override until `free_at`, strong targets until `strong_until`."""

    latch: str = ""
    override: str = ""
    free_at: datetime | None = None
    strong_until: datetime | None = None


NOTHING = Standing()


def standing_over(plant_ids: Collection[int], *, at: datetime) -> dict[int, Standing]:
    """What stands above the plans of plants; one that is missing has nothing above it. Four statements."""
    latches = {latch.plant_id: latch_text(latch) for latch in _open_latches(plant_ids)}
    overrides = {
        row.plant_id: row
        for row in Override.objects.filter(
            Among(plant_ids, of="plant_id"), ended_at__isnull=True, until_at__gt=at
        )
    }
    strong = _strong_targets(plant_ids, at=at)
    found = {}
    for plant_id in latches.keys() | overrides.keys() | strong.keys():
        override = overrides.get(plant_id)
        found[plant_id] = Standing(
            latch=latches.get(plant_id, ""),
            override="" if override is None else override_text(override),
            free_at=None if override is None else override.until_at,
            strong_until=strong.get(plant_id),
        )
    return found


def _open_latches(plant_ids: Collection[int]) -> Iterable[EmergencyLatch]:
    return EmergencyLatch.objects.filter(Among(plant_ids, of="plant_id"), released_at__isnull=True)


def _strong_targets(plant_ids: Collection[int], *, at: datetime) -> dict[int, datetime]:
    """Until when Voke may still hold a HIGH target that nobody wants any more."""
    ended = Override.objects.filter(
        Among(plant_ids, of="plant_id"), until_at__gt=at, ended_at__isnull=False, command__isnull=False
    ).exclude(command__state__in=_NOT_AT_VOKE)
    runs = SlotRun.objects.filter(
        Among(plant_ids, of="plant_id"),
        Q(state=RunState.WITHDRAWN) | Q(state=RunState.PREEMPTED),
        due_at__gt=at - LONGEST_SLOT,
        command__deliver_by_at__gt=at,
        command__payload__priority=Priority.HIGH.value,
    ).exclude(command__state__in=_NOT_AT_VOKE)
    until: dict[int, list[datetime]] = defaultdict(list)
    for plant_id, ends_at in ended.values_list("plant_id", "until_at"):
        until[plant_id].append(ends_at)
    for plant_id, over_at in runs.values_list("plant_id", "command__deliver_by_at"):
        if over_at is not None:
            until[plant_id].append(over_at)
    return {plant_id: max(ends) for plant_id, ends in until.items()}


def latch_text(latch: EmergencyLatch) -> str:
    """`emergency STOP by Ann`."""
    return f"emergency {latch.type} by {latch.set_by_name}"


def override_text(override: Override) -> str:
    """`override by Ann until 14:00Z`."""
    return f"override by {override.by_name} until {override.until_at:%H:%M}Z"
