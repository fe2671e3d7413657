"""The day's plan: what the demo's plants can do on that day, as a forecast of load and sun says.

The forecast is the stand-in's own model without its clouds and noise: what an operator would get from a forecast
service. Batteries shift a little on top of it, charging at night and giving back in the evening. A solar park exports
half of what a clear sky would give.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from dispatch.requests import Actor
from esm.demo.installation import DemoInstallation
from metering.days import LocalDay
from plants.errors import Invalid
from plants.models import Plant, ScheduleCarrier
from schedules.csv_plans import PlantClock, read_plans
from schedules.models import Origin, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.services.drafts import check_version, save_draft
from schedules.services.publishing import publish
from schedules.slots import PlannedSlot, Span, grid_of_day
from vcp import Direction, SetpointType
from voke_sim.config import SimConfig, SiteConfig
from voke_sim.physics.load import load_kw
from voke_sim.physics.pv import DAY_S, sun_share

PLANNER: Final = Actor(name="planner")
CURTAILED: Final = 0.5
_NIGHT: Final = range(5)
_EVENING: Final = range(18, 22)
_SHIFT_KW: Final = 8.0
_HOUR_S: Final = 3600.0
_PARTS: Final = 5
Plans = Mapping[str, Sequence[PlannedSlot]]


PlantTime = Callable[[datetime], float]
"""Seconds since the midnight before a modelled plant's first second, at an instant: its own time of day."""


def forecast_plans(
    config: SimConfig, *, day: LocalDay, zone: str, began_at: datetime, minutes: int = 15
) -> Plans:
    """A plan for every site of a stand-in at real pace; `began_at`: the instant at which its plants began."""
    grid = grid_of_day(day.day, zone=zone, minutes=minutes)
    return {
        site.external_plant_id: forecast_slots(site, grid, plant_time=_plant_time(site, began_at))
        for site in config.sites
    }


def _plant_time(site: SiteConfig, began_at: datetime) -> PlantTime:
    return lambda at: site.weather.start_hour * _HOUR_S + (at - began_at).total_seconds()


def forecast_slots(site: SiteConfig, grid: Iterable[Span], *, plant_time: PlantTime) -> list[PlannedSlot]:
    """What a site is expected to draw from the grid in each slot, with a little shifted by its batteries."""
    return [_slot(site, span, plant_time) for span in grid]


def _slot(site: SiteConfig, span: Span, plant_time: PlantTime) -> PlannedSlot:
    length = span.end_at - span.start_at
    moments = [span.start_at + length * (part + 0.5) / _PARTS for part in range(_PARTS)]
    grid_kw = round(sum(_grid_kw(site, plant_time(moment)) for moment in moments) / _PARTS)
    return PlannedSlot(
        start_at=span.start_at,
        end_at=span.end_at,
        type=SetpointType.POWER,
        value=float(abs(grid_kw)),
        direction=Direction.IMPORT if grid_kw > 0 else Direction.EXPORT,
    )


def _grid_kw(site: SiteConfig, plant_s: float) -> float:
    sun = sun_share(site.weather, plant_s) * site.weather.mean_clearness
    pv_kw = sum(pv.peak_kw for pv in site.pv) * sun
    if not site.batteries:
        return -CURTAILED * pv_kw
    hour = int(plant_s % DAY_S // _HOUR_S)
    shift_kw = _SHIFT_KW if hour in _NIGHT else -_SHIFT_KW if hour in _EVENING else 0.0
    return load_kw(site.load, plant_s, 0.0) - pv_kw + shift_kw


def plans_of_file(content: bytes, *, installation: DemoInstallation, day: LocalDay) -> Plans:
    """The plans of a CSV file for the day; raises `Invalid` with the first row that can't be taken."""
    plants = {
        plant.external_plant_id: PlantClock(zone=plant.time_zone, slot_minutes=plant.slot_minutes)
        for plant in installation.plants
    }
    preview = read_plans(content, plants=plants)
    if preview.problems:
        first = preview.problems[0]
        raise Invalid(f"line {first.row}: {first.text}", path="plan", code=first.code)
    return {plant: slots for (plant, its_day), slots in preview.plans.items() if its_day == day.day}


def publish_plans(plans: Plans, *, organisation_id: int, day: LocalDay, at: datetime) -> list[PlanVersion]:
    """Make, check and publish the plans of a day; warnings are accepted, errors raise."""
    return [
        publish_plan(name, slots, organisation_id=organisation_id, day=day, at=at)
        for name, slots in sorted(plans.items())
    ]


def publish_plan(
    external_plant_id: str, slots: Sequence[PlannedSlot], *, organisation_id: int, day: LocalDay, at: datetime
) -> PlanVersion:
    """Make, check and publish the plan of one plant, in the place of the one that is published."""
    version = save_draft(
        organisation_id=organisation_id,
        external_plant_id=external_plant_id,
        day=day.day,
        slots=slots,
        actor=PLANNER,
        at=at,
        origin=Origin.PROGRAM,
    )
    check_version(organisation_id=organisation_id, version_id=version.pk, actor=PLANNER, at=at)
    return publish(
        organisation_id=organisation_id,
        version_id=version.pk,
        actor=PLANNER,
        at=at,
        policy=current_schedule_policy(),
        accept_warnings=True,
    )


def carried_by(carriers: Mapping[str, ScheduleCarrier], *, organisation_id: int) -> None:
    """Who carries out the plans of these plants from the next publication on, as the plant's page sets it."""
    for name, carrier in carriers.items():
        Plant.objects.filter(organisation_id=organisation_id, external_plant_id=name).update(
            schedule_carrier=carrier
        )


def shifted(slots: Sequence[PlannedSlot], *, by_kw: float, after: datetime) -> list[PlannedSlot]:
    """The same plan with another value in each slot that begins after an instant: a replacement in mid-day."""
    return [
        PlannedSlot(
            start_at=slot.start_at,
            end_at=slot.end_at,
            type=slot.type,
            value=max(0.0, slot.value + by_kw),
            direction=slot.direction,
            include_consumption=slot.include_consumption,
            priority=slot.priority,
        )
        if slot.start_at >= after
        else slot
        for slot in slots
    ]
