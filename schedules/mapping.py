"""Slots between rows, pure values and the wire."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from schedules.models import PlanSlot, PlanVersion
from schedules.slots import PlannedSlot
from vcp import MAX_SLOTS, Direction, Priority, SetpointType, SiteSetpoint, Slot

_MINUTE = timedelta(minutes=1)


def planned(row: PlanSlot) -> PlannedSlot:
    """A row as a value."""
    return PlannedSlot(
        start_at=row.start_at,
        end_at=row.end_at,
        type=SetpointType(row.type),
        value=row.value,
        direction=Direction(row.direction),
        include_consumption=row.include_consumption,
        priority=Priority(row.priority),
    )


def rows_of(version: PlanVersion, slots: Iterable[PlannedSlot]) -> list[PlanSlot]:
    """Values as unsaved rows of a version."""
    return [
        PlanSlot(
            version=version,
            start_at=slot.start_at,
            end_at=slot.end_at,
            type=slot.type.value,
            value=slot.value,
            direction=slot.direction.value,
            include_consumption=slot.include_consumption,
            priority=slot.priority.value,
        )
        for slot in slots
    ]


def setpoint_of(slot: PlannedSlot, *, begins_at: datetime, overlap: timedelta) -> SiteSetpoint:
    """What our dispatcher sends for a slot, from `begins_at` (its start, or now when it runs already).

    It holds until the slot's end plus `overlap`, so that a successor that comes late leaves no hole; the newer target
    wins at Voke. What is left of an ENERGY slot that runs already is asked for in proportion: at its mean power, in
    whole minutes of which the last may be begun only; the end of its validity, or its successor, cuts it.
    """
    ends_at = slot.end_at + overlap
    if slot.type is SetpointType.POWER:
        return SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=slot.value,
            direction=slot.direction,
            include_consumption=slot.include_consumption,
            priority=slot.priority,
            valid_from=begins_at,
            valid_until=ends_at,
        )
    left = slot.end_at - begins_at
    minutes = max(1, -(-left // _MINUTE))
    return SiteSetpoint(
        type=SetpointType.ENERGY,
        target_value_kwh=slot.value * (minutes * _MINUTE / (slot.end_at - slot.start_at)),
        interval_minutes=minutes,
        direction=slot.direction,
        include_consumption=slot.include_consumption,
        priority=slot.priority,
        valid_from=begins_at,
        valid_until=ends_at,
    )


def wire_slots(slots: Sequence[PlannedSlot]) -> tuple[Slot, ...]:
    """Slots as `schedule.create` has them."""
    return tuple(
        Slot(
            starts_at=slot.start_at,
            ends_at=slot.end_at,
            type=slot.type,
            target_value_kw=slot.value if slot.type is SetpointType.POWER else None,
            target_value_kwh=slot.value if slot.type is SetpointType.ENERGY else None,
            direction=slot.direction,
            include_consumption=slot.include_consumption,
        )
        for slot in slots
    )


def rest_of(slot: PlannedSlot, *, at: datetime) -> PlannedSlot:
    """What is left of a slot that runs already: from now on, an energy in proportion; a later slot as it is."""
    if at <= slot.start_at:
        return slot
    left = replace(slot, start_at=at)
    return (
        left if slot.type is SetpointType.POWER else replace(left, value=slot.value * left.hours / slot.hours)
    )


def schedules_of(
    slots: Iterable[PlannedSlot], *, most: int = MAX_SLOTS
) -> Iterator[tuple[Priority, Sequence[PlannedSlot]]]:
    """Slots in the order of time as the schedules that carry them: one for each priority, cut where one is too long.

    Interpretation: a schedule has one priority, and as many slots as `vcp.MAX_SLOTS` says.
    """
    by_priority: dict[Priority, list[PlannedSlot]] = {}
    for slot in slots:
        by_priority.setdefault(slot.priority, []).append(slot)
    for priority, own in sorted(by_priority.items()):
        for first in range(0, len(own), most):
            yield priority, own[first : first + most]
