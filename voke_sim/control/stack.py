"""The setpoint stack: of all targets valid now, the one in force.

EMERGENCY beats HIGH beats NORMAL; schedule slots stand among the setpoints of their priority. Among equals
the later start wins, then the later arrival. Among schedules of one priority only the one that was accepted
last speaks, whenever its slot began: a plan that replaces another must not lose to a shorter slot of the old
one. A beaten target is not gone: it comes back when the one above it ends.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from vcp import ScheduleStatus
from voke_sim.state import Schedule, Setpoint


def is_valid(setpoint: Setpoint, at: datetime) -> bool:
    """Whether the target's time is now; judged on the wall clock, half open."""
    return setpoint.valid_from <= at and (setpoint.valid_until is None or at < setpoint.valid_until)


def in_force(setpoints: Iterable[Setpoint], at: datetime) -> Setpoint | None:
    """The target that the plant follows at that moment, or None."""
    valid = [setpoint for setpoint in setpoints if is_valid(setpoint, at)]
    return max(valid, key=_strength, default=None)


def slot_index(schedule: Schedule, at: datetime) -> int | None:
    """The slot of a schedule that runs at that moment, or None in a gap."""
    low, high = 0, len(schedule.slots)
    while low < high:
        middle = (low + high) // 2
        if schedule.slots[middle].valid_from <= at:
            low = middle + 1
        else:
            high = middle
    return low - 1 if low and is_valid(schedule.slots[low - 1], at) else None


def running_slots(schedules: Iterable[Schedule], at: datetime) -> list[Setpoint]:
    """The slots that are in force at that moment: of each priority that of the schedule accepted last."""
    newest: dict[int, Setpoint] = {}
    for schedule in schedules:
        index = slot_index(schedule, at) if schedule.status is ScheduleStatus.ACTIVE else None
        if index is None:
            continue
        slot = schedule.slots[index]
        known = newest.get(slot.rank)
        if known is None or slot.order > known.order:
            newest[slot.rank] = slot
    return list(newest.values())


def followed(schedules: Iterable[Schedule], at: datetime) -> Schedule | None:
    """Of the active schedules the one that is followed, or would be if nothing stood above: one with a running slot
    first, then the stronger, then the later accepted.
    """
    active = [schedule for schedule in schedules if schedule.status is ScheduleStatus.ACTIVE]
    return max(
        active,
        key=lambda one: (slot_index(one, at) is not None, one.slots[0].rank, one.slots[0].order),
        default=None,
    )


def covered(setpoints: Sequence[Setpoint], at: datetime) -> list[Setpoint]:
    """Targets that can never be in force again: over, or under a stronger one of their rank that
    lasts as long.
    """
    gone = []
    for weak in setpoints:
        over = weak.valid_until is not None and weak.valid_until <= at
        if over or any(_covers(strong, weak, at) for strong in setpoints):
            gone.append(weak)
    return gone


def _covers(strong: Setpoint, weak: Setpoint, at: datetime) -> bool:
    if strong.rank != weak.rank or strong.valid_from > at or _strength(strong) <= _strength(weak):
        return False
    if strong.energy_kwh is not None:
        return False  # an ENERGY target ends with its interval, which plant time decides
    if strong.valid_until is None or weak.valid_until is None:
        # A mode command ends what has no end of its own, and only that: the two kinds never outlive each
        # other.
        return strong.valid_until is None and weak.valid_until is None
    return weak.valid_until <= strong.valid_until


def _strength(setpoint: Setpoint) -> tuple[int, datetime, int]:
    return (setpoint.rank, setpoint.valid_from, setpoint.order)
