"""Day plans and overrides of a lived-in installation: a day that runs, drafts of the next, one that asks too much."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dispatch.requests import Actor
from metering.days import local_day_of
from plants.models import Plant
from schedules.models import Override, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.services.carried_by_us import run_due_slots
from schedules.services.drafts import check_version, save_draft
from schedules.services.overrides import begin_override
from schedules.services.publishing import publish
from schedules.slots import PlannedSlot, grid_of_day
from vcp import Direction, Priority, SetpointType, SiteSetpoint

ANN = Actor(name="ann")


def day_of(plant: Plant, at: datetime, *, days: int = 0, scale: float = 1.0) -> list[PlannedSlot]:
    """Charging at night, giving in the evening, nothing around noon."""
    day = local_day_of(at, zone=plant.time_zone).day + timedelta(days=days)
    spans = grid_of_day(day, zone=plant.time_zone, minutes=plant.slot_minutes)
    found = []
    for index, span in enumerate(spans):
        share = index / len(spans)
        if share < 0.25:
            kw, direction = 20 + 10 * share, Direction.IMPORT
        elif 0.7 < share < 0.9:
            kw, direction = 30 - 40 * abs(share - 0.8), Direction.EXPORT
        else:
            continue
        found.append(
            PlannedSlot(
                start_at=span.start_at,
                end_at=span.end_at,
                type=SetpointType.POWER,
                value=round(kw * scale, 1),
                direction=direction,
            )
        )
    return found


def make_plan(
    plant: Plant, *, at: datetime, days: int = 0, scale: float = 1.0, publishes: bool = True
) -> PlanVersion:
    """A plan of the plant's day, checked, and published when it may be."""
    day = local_day_of(at, zone=plant.time_zone).day + timedelta(days=days)
    version = save_draft(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        day=day,
        slots=day_of(plant, at, days=days, scale=scale),
        actor=ANN,
        at=at,
        note="Cheap night, dear evening",
    )
    check_version(organisation_id=plant.organisation_id, version_id=version.pk, actor=ANN, at=at)
    version.refresh_from_db()
    if publishes and version.state == "CHECKED":
        publish(
            organisation_id=plant.organisation_id,
            version_id=version.pk,
            actor=ANN,
            at=at,
            policy=current_schedule_policy(),
            accept_warnings=True,
        )
    version.refresh_from_db()
    return version


def make_plans(plants: Sequence[Plant], *, at: datetime) -> list[PlanVersion]:
    """A running day of each plant, a draft of the next day for every second one, one that is far too much."""
    made = [make_plan(plant, at=at - timedelta(hours=1)) for plant in plants]
    made += [make_plan(plant, at=at, days=1, publishes=False) for plant in plants[::2]]
    made += [make_plan(plant, at=at, days=1, scale=40, publishes=False) for plant in plants[1:2]]
    run_due_slots(at=at, policy=current_schedule_policy())
    return made


def make_override(plant: Plant, *, at: datetime, minutes: int = 45) -> Override:
    """A person's setpoint above the plan."""
    until = at + timedelta(minutes=minutes)
    return begin_override(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        payload=SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=12.0,
            direction=Direction.EXPORT,
            include_consumption=True,
            priority=Priority.HIGH,
            valid_from=at,
            valid_until=until,
        ),
        until_at=until,
        actor=ANN,
        reason="The grid operator called",
        at=at,
        policy=current_schedule_policy(),
    )
