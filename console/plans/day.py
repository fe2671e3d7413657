"""The day that a page of plans speaks of: plant, calendar day, its grid of slots, and the versions that there are.

Rules:
- A plan keeps the zone that it was made in; a day without a plan is read by the plant's.
- Slots that have begun are locked: they stay as the published version has them, or as the draft has them where nothing
  is published.
- A version may hold slots that are not on the day's grid (the plant's slot length changed since): they have no place
  in the editor and are told as `off_grid`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from django.http import Http404

from metering.days import LocalDay, local_day
from plants.errors import Invalid
from plants.models import Organisation, Plant
from schedules.models import OPEN, DayPlan, PlanState, PlanVersion
from schedules.selectors.marks import marks_of
from schedules.selectors.versions import slots_of, versions_of
from schedules.services.drafts import refuse_days
from schedules.slots import PlannedSlot, Span, grid_of_day

Row = PlannedSlot | None
"""What one slot of the grid asks for; None = nothing is planned."""


@dataclass(frozen=True, kw_only=True)
class PlannedDay:
    """One plant's day. `versions`: newest first; `mark`: what the editor must not overwrite, 0 = nothing yet."""

    plant: Plant
    day: date
    plan: DayPlan | None
    versions: Sequence[PlanVersion]
    mark: int

    @property
    def zone(self) -> str:
        """The IANA zone that the day is read by."""
        return self.plant.time_zone if self.plan is None else self.plan.time_zone

    @property
    def bounds(self) -> LocalDay:
        """From midnight to midnight, as instants."""
        return local_day(self.day, zone=self.zone)

    @cached_property
    def grid(self) -> tuple[Span, ...]:
        """The slots of the day in the order of time."""
        return grid_of_day(self.day, zone=self.zone, minutes=self.plant.slot_minutes)

    @property
    def open_version(self) -> PlanVersion | None:
        """The draft, checked or not."""
        return next((one for one in self.versions if one.state in OPEN), None)

    @property
    def published(self) -> PlanVersion | None:
        """What is in force."""
        return next((one for one in self.versions if one.state == PlanState.PUBLISHED), None)

    @property
    def carried(self) -> PlanVersion | None:
        """What is in force, or was when the day ended."""
        done = next((one for one in self.versions if one.state == PlanState.DONE), None)
        return self.published or done

    @property
    def speaking(self) -> PlanVersion | None:
        """What an editor starts from: the draft, else what is or was in force."""
        return self.open_version or self.carried

    def version(self, version_id: int | None) -> PlanVersion | None:
        """One of this day's versions by its id."""
        return next((one for one in self.versions if one.pk == version_id), None)

    @cached_property
    def _slots(self) -> Mapping[int, Sequence[PlannedSlot]]:
        wanted = {one.pk for one in (self.open_version, self.carried) if one is not None}
        return slots_of(version_ids=sorted(wanted)) if wanted else {}

    def slots(self, version: PlanVersion | None) -> Sequence[PlannedSlot]:
        """What a version plans; the draft's and the published one's are read together."""
        if version is None:
            return []
        if version in (self.open_version, self.carried):
            return self._slots.get(version.pk, [])
        return slots_of(version_ids=[version.pk]).get(version.pk, [])

    def rows(self, version: PlanVersion | None) -> list[Row]:
        """A version on the day's grid; what lies off the grid is left out."""
        return self.on_grid(self.slots(version))

    def on_grid(self, slots: Iterable[PlannedSlot]) -> list[Row]:
        """For each slot of the grid what is planned there."""
        found = {(slot.start_at, slot.end_at): slot for slot in slots}
        return [found.get((span.start_at, span.end_at)) for span in self.grid]

    def off_grid(self, version: PlanVersion | None) -> int:
        """How many of a version's slots have no place on the day's grid."""
        slots = self.slots(version)
        return len(slots) - sum(row is not None for row in self.on_grid(slots))

    def locked(self, at: datetime) -> int:
        """How many slots have begun; they are the first ones of the grid."""
        return sum(span.start_at <= at for span in self.grid)

    def kept(self) -> list[Row]:
        """What stands where a slot is locked."""
        return self.rows(self.carried or self.open_version)

    def unstored(self) -> DayPlan:
        """The plan, or one like it for the rules to look at."""
        if self.plan is not None:
            return self.plan
        return DayPlan(
            organisation_id=self.plant.organisation_id,
            plant=self.plant,
            day=self.day,
            time_zone=self.zone,
        )


def find_plant(organisation: Organisation, plant_id: int) -> Plant:
    """A plant of the organisation with its connection (without secrets); 404 for any other."""
    rows = Plant.objects.select_related("connection").defer(
        "connection__amqps_uri", "connection__api_key", "connection__signing_key"
    )
    found = rows.filter(organisation=organisation, pk=plant_id).first()
    if found is None:
        raise Http404
    return found


def read_day(text: str) -> date:
    """`2026-07-15`; 404 for what is no day that can be planned."""
    try:
        day = date.fromisoformat(text)
        refuse_days([day], path="day")
    except (ValueError, Invalid):
        raise Http404 from None
    return day


def find_day(organisation: Organisation, plant_id: int, day_text: str) -> PlannedDay:
    """The day of an address; 404 where there is no such plant or day. Five statements."""
    day = read_day(day_text)
    plant = find_plant(organisation, plant_id)
    return day_of(plant, day)


def day_of(plant: Plant, day: date) -> PlannedDay:
    """A plant's day as it is now."""
    plan = DayPlan.objects.filter(plant=plant, day=day).first()
    if plan is None:
        return PlannedDay(plant=plant, day=day, plan=None, versions=[], mark=0)
    plan.plant = plant
    # Before the versions, so that a change while we read makes the mark too old, never too new.
    mark = marks_of(plan_ids=[plan.pk]).get(plan.pk, 0)
    versions = versions_of(organisation_id=plant.organisation_id, plan_id=plan.pk)
    for version in versions:
        version.plan = plan
    return PlannedDay(plant=plant, day=day, plan=plan, versions=versions, mark=mark)
