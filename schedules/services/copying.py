"""Copying a plant's day to other days, by the wall clock: what was planned for 14:00 is planned for 14:00.

Rules of days with a clock change, each told as a note of the result:
- A day of 23 hours has no slots in the hour that the clock leaps over: what was planned there is left out.
- A day of 25 hours repeats the hour that comes twice: both take what was planned for it, an ENERGY slot in full.
- From a day of 25 hours the earlier of the two is taken; to another day of 25 hours each of them is.
- Where the clock leaps within a slot the grid cuts it: power stays, energy is taken in proportion.

Edge cases (the concurrency policy):
- All days are written or none. A day that has an open version is refused, unless `overwrite` says otherwise.
- Source and target must have slots of one length: a plan of quarter-hours is no plan of hours.
- A plan is read in its own zone and written in that of the target's plan: the wall clock is what counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from django.db import transaction

from dispatch.requests import Actor
from plants.errors import Conflict, Invalid, NotFound
from schedules.mapping import planned
from schedules.models import IN_FORCE, OPEN, DayPlan, Origin, PlanState, PlanVersion
from schedules.services.drafts import Draft, lock_plans, refuse_days, save_drafts
from schedules.slots import PlannedSlot, Span, grid_of_day
from vcp import SetpointType
from vcp.said import said

MOST_DAYS = 62
_Wall = tuple[time, int]
"""A local time and its fold: 1 = the second time that it comes on that day."""


@dataclass(frozen=True, kw_only=True)
class CopiedDay:
    """The draft of one target day, and what the clock change of either day did to it."""

    version: PlanVersion
    notes: Sequence[str]


def copy_day(
    *,
    organisation_id: int,
    external_plant_id: str,
    from_day: date,
    to_days: Sequence[date],
    actor: Actor,
    at: datetime,
    version_id: int | None = None,
    overwrite: bool = False,
) -> list[CopiedDay]:
    """Make drafts of other days from what is planned for one, in the order of `to_days`.

    The source is `version_id`, else the version in force (published or done), else the open one. Raises `NotFound` (no
    plan), `Invalid` (no or too many days, the day itself), `Conflict` (NOTHING_PLANNED, SLOT_LENGTH_DIFFERS,
    DRAFT_EXISTS).
    """
    _refuse_days(from_day, to_days)
    with transaction.atomic():
        source = _source(organisation_id, external_plant_id, from_day, version_id)
        slots = [planned(row) for row in source.slots.order_by("start_at")]
        if not slots:
            raise Conflict(said("the day has no slots to copy"), code="NOTHING_PLANNED")
        keys = [(external_plant_id, day) for day in to_days]
        plans = lock_plans(organisation_id=organisation_id, days=keys, at=at)
        minutes = source.plan.plant.slot_minutes
        _refuse_other_length(source, slots, minutes)
        if not overwrite:
            _refuse_edited(plans)
        copies = [_copied(slots, source.plan, plan, minutes) for plan in plans]
        versions = save_drafts(
            organisation_id=organisation_id,
            drafts=[
                Draft(external_plant_id=external_plant_id, day=plan.day, slots=copy)
                for plan, (copy, _) in zip(plans, copies, strict=True)
            ],
            actor=actor,
            at=at,
            origin=Origin.COPY,
            note=f"copy of {from_day:%Y-%m-%d} version {source.number}",
        )
    return [
        CopiedDay(version=version, notes=notes) for version, (_, notes) in zip(versions, copies, strict=True)
    ]


def _refuse_days(from_day: date, to_days: Sequence[date]) -> None:
    if not to_days:
        raise Invalid(said("name a day to copy to"), path="toDays", code="NO_DAYS")
    if len(to_days) > MOST_DAYS:
        raise Invalid(
            said("at most %(limit)s days at once", limit=MOST_DAYS), path="toDays", code="TOO_MANY_DAYS"
        )
    refuse_days(to_days, path="toDays")
    if from_day in to_days:
        raise Invalid(said("a day is not copied onto itself"), path="toDays", code="SAME_DAY")


def _source(
    organisation_id: int, external_plant_id: str, from_day: date, version_id: int | None
) -> PlanVersion:
    versions = PlanVersion.objects.select_related("plan__plant").filter(
        plan__organisation_id=organisation_id,
        plan__plant__external_plant_id=external_plant_id,
        plan__day=from_day,
    )
    if version_id is not None:
        found = versions.filter(pk=version_id).first()
    else:
        newest = {PlanState(version.state): version for version in versions.order_by("number")}
        states = (*IN_FORCE, *OPEN)
        found = next((newest[state] for state in states if state in newest), None)
    if found is None:
        raise NotFound(
            said("nothing is planned for %(from_day)s", from_day=from_day.isoformat()),
            path="fromDay",
            code="PLAN_NOT_FOUND",
        )
    return found


def _refuse_other_length(source: PlanVersion, slots: Iterable[PlannedSlot], minutes: int) -> None:
    plan = source.plan
    grid = {
        (span.start_at, span.end_at) for span in grid_of_day(plan.day, zone=plan.time_zone, minutes=minutes)
    }
    if any((slot.start_at, slot.end_at) not in grid for slot in slots):
        text = said(
            "the day was planned in slots of another length than the plant's %(minutes)s minutes",
            minutes=minutes,
        )
        raise Conflict(text, code="SLOT_LENGTH_DIFFERS")


def _refuse_edited(plans: Sequence[DayPlan]) -> None:
    edited = PlanVersion.objects.filter(plan__in=plans, state__in=OPEN).values_list("plan__day", flat=True)
    days = sorted(edited)
    if days:
        named = ", ".join(f"{day:%Y-%m-%d}" for day in days)
        raise Conflict(
            said("there are drafts already: %(named)s", named=named), path="toDays", code="DRAFT_EXISTS"
        )


def _copied(
    slots: Sequence[PlannedSlot], source: DayPlan, target: DayPlan, minutes: int
) -> tuple[list[PlannedSlot], list[str]]:
    """The slots for the target's grid, and the notes."""
    asked = {_wall(slot, source.time_zone, minutes): slot for slot in slots}
    found: list[PlannedSlot] = []
    used: set[_Wall] = set()
    repeated: list[str] = []
    for span in grid_of_day(target.day, zone=target.time_zone, minutes=minutes):
        wall = _wall(span, target.time_zone, minutes)
        key = _planned_for(wall, asked)
        if key is None:
            continue
        if key in used:
            repeated.append(f"{span.start_at.astimezone(ZoneInfo(target.time_zone)):%H:%M}")
        used.add(key)
        found.append(_moved(asked[key], span))
    left_out = [f"{wall[0]:%H:%M}" for wall in asked if wall not in used]
    notes = []
    if left_out:
        notes.append(f"left out, {target.day:%Y-%m-%d} has no place for them: {', '.join(left_out)}")
    if repeated:
        notes.append(f"repeated, {target.day:%Y-%m-%d} has them twice: {', '.join(repeated)}")
    return found, notes


def _wall(span: Span, zone: str, minutes: int) -> _Wall:
    """Where a span lies on the wall clock: a slot that a leap cut lies in the one that begins before it."""
    local = span.start_at.astimezone(ZoneInfo(zone))
    hour, minute = divmod((local.hour * 60 + local.minute) // minutes * minutes, 60)
    return time(hour, minute), local.fold


def _planned_for(wall: _Wall, asked: Mapping[_Wall, PlannedSlot]) -> _Wall | None:
    """What of the source stands for a local time: its own; for the second of two the only one that there is."""
    return next((key for key in (wall, (wall[0], 0)) if key in asked), None)


def _moved(slot: PlannedSlot, span: Span) -> PlannedSlot:
    factor = span.hours / slot.hours if slot.type is SetpointType.ENERGY else 1.0
    return replace(slot, start_at=span.start_at, end_at=span.end_at, value=slot.value * factor)
