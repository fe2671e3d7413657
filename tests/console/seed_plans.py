"""A plant's lived-in days for tests and pictures: one that runs, with every fate of a slot, and a draft beside it."""

from datetime import date, datetime, timedelta

from console.plans.slots_json import rows_json
from dispatch.models import Proof, ProofSource, Verification
from metering.days import local_day_of
from plants.models import Plant
from schedules.models import PlanVersion, RunState, SlotRun
from schedules.policy import current_schedule_policy
from schedules.services.carried_by_us import run_due_slots
from schedules.services.drafts import check_version, save_draft
from schedules.services.publishing import publish
from schedules.slots import PlannedSlot, grid_of_day
from tests.factories import OPERATOR
from vcp import Direction, SetpointType


def shaped_day(plant: Plant, day: date, *, scale: float = 1.0) -> list[PlannedSlot]:
    """Charging at night, giving in the morning and most of all in the evening."""
    spans = grid_of_day(day, zone=plant.time_zone, minutes=plant.slot_minutes)
    found = []
    for index, span in enumerate(spans):
        hour = 24 * index / len(spans)
        if hour < 5:
            kw, direction = 34.0, Direction.IMPORT
        elif 7 <= hour < 9.5:
            kw, direction = 22.0 + 4 * (hour - 7), Direction.EXPORT
        elif 17 <= hour < 21:
            kw, direction = 38.0 - 3 * abs(hour - 19), Direction.EXPORT
        elif 12 <= hour < 15:
            kw, direction = 12.0, Direction.IMPORT
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


def draft_of(plant: Plant, day: date, *, at: datetime, scale: float = 1.0) -> PlanVersion:
    """A draft, checked where the rules let it pass."""
    version = save_draft(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        day=day,
        slots=shaped_day(plant, day, scale=scale),
        actor=OPERATOR,
        at=at,
        note="Cheap night, dear evening",
    )
    check_version(organisation_id=plant.organisation_id, version_id=version.pk, actor=OPERATOR, at=at)
    version.refresh_from_db()
    return version


def published(plant: Plant, day: date, *, at: datetime, scale: float = 1.0) -> PlanVersion:
    """A version in force."""
    version = draft_of(plant, day, at=at, scale=scale)
    publish(
        organisation_id=plant.organisation_id,
        version_id=version.pk,
        actor=OPERATOR,
        at=at,
        policy=current_schedule_policy(),
        accept_warnings=True,
    )
    version.refresh_from_db()
    return version


def running_day(plant: Plant, *, at: datetime) -> PlanVersion:
    """Today, published yesterday, its slots sent one after the other: verified, off target, missed, under way."""
    day = local_day_of(at, zone=plant.time_zone)
    version = published(plant, day.day, at=day.start_at - timedelta(hours=6))
    policy = current_schedule_policy()
    moment = day.start_at - policy.slot_lead
    while moment <= at:
        run_due_slots(at=moment, policy=policy)
        moment += timedelta(minutes=plant.slot_minutes)
    _judge(version, at=at)
    return version


def _judge(version: PlanVersion, *, at: datetime) -> None:
    runs = SlotRun.objects.filter(slot__version=version, slot__end_at__lte=at).select_related("slot")
    for number, run in enumerate(runs.order_by("due_at")):
        if number % 11 == 7:
            SlotRun.objects.filter(pk=run.pk).update(
                state=RunState.MISSED, cause="PLATFORM_DOWN", command=None
            )
        elif run.command_id is not None:
            off = number % 5 == 4
            Verification.objects.update_or_create(
                command_id=run.command_id,
                defaults={
                    "plant_id": run.plant_id,
                    "begins_at": run.slot.start_at,
                    "ends_at": run.slot.end_at,
                    "rank": 0,
                    "verdict": Proof.OFF_TARGET if off else Proof.VERIFIED,
                    "source": ProofSource.TELEMETRY,
                    "target": run.slot.value,
                    "off_by": (-6.4 if run.slot.direction == Direction.IMPORT else 6.4) if off else 0.2,
                    "unit": "kW",
                    "due_at": at,
                },
            )


def rows_of(version: PlanVersion, plant: Plant, day: date) -> list[dict[str, object] | None]:
    """A version as its editor posts it."""
    spans = grid_of_day(day, zone=plant.time_zone, minutes=plant.slot_minutes)
    known = {slot.start_at: slot for slot in shaped_day(plant, day)}
    return rows_json([known.get(span.start_at) for span in spans])
