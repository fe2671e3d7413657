"""What the rules of a plan must know of its plant, read from the tables."""

from datetime import datetime, timedelta

from django.db.models import Sum

from dispatch.models import EmergencyLatch
from metering.days import LocalDay, local_day
from plants.models import Asset, Plant, PlantState
from plants.selectors.plants import blocks_of_version
from schedules.conflicts import Around, PlanFacts
from schedules.models import DayPlan, Override, PlanSlot
from schedules.slots import Span
from vcp import AssetType

_SOC_IS_FRESH = timedelta(minutes=15)
_MOST_NEIGHBOURS = 600


def facts_of(plant: Plant, *, zone: str) -> PlanFacts:
    """Limits, ratings and blocks as they are now; `zone` is that of the plan, which keeps the one it was made in."""
    rated = dict(
        Asset.objects.filter(plant=plant, rated_power_kw__isnull=False)
        .values_list("asset_type")
        .annotate(Sum("rated_power_kw"))
    )
    version_id = plant.time_config_id if plant.config_enabled else None
    return PlanFacts(
        zone=zone,
        config_zone=plant.time_zone,
        slot_minutes=plant.slot_minutes,
        max_import_kw=plant.max_import_kw,
        max_export_kw=plant.max_export_kw,
        max_charge_kw=plant.max_charge_kw,
        max_discharge_kw=plant.max_discharge_kw,
        battery_kw=rated.get(AssetType.BESS.value),
        pv_kw=max(plant.fve_peak_power_kwp or 0.0, rated.get(AssetType.FVE.value) or 0.0),
        has_load=plant.plant_with_load,
        capacity_kwh=plant.capacity_kwh,
        soc_min_pct=0.0 if plant.soc_min_pct is None else plant.soc_min_pct,
        soc_max_pct=100.0 if plant.soc_max_pct is None else plant.soc_max_pct,
        blocks=() if version_id is None else blocks_of_version(version_id),
    )


def around(plan: DayPlan, *, at: datetime) -> Around:
    """What else is in force on the plan's day; the plan need not be stored yet."""
    day = local_day(plan.day, zone=plan.time_zone)
    latch = EmergencyLatch.objects.filter(plant_id=plan.plant_id, released_at__isnull=True).first()
    return Around(
        at=at,
        soc_pct=_soc_at_start(plan, day, at),
        other_plans=_neighbours(plan, day),
        overrides=_overrides(plan, day),
        latch="" if latch is None else latch.type,
    )


def _soc_at_start(plan: DayPlan, day: LocalDay, at: datetime) -> float | None:
    """The present charge for a plan whose day runs; nobody knows it for another day."""
    if not day.start_at <= at < day.end_at:
        return None
    state = PlantState.objects.filter(plant_id=plan.plant_id).first()
    if state is None or state.measured_at is None or state.measured_at < at - _SOC_IS_FRESH:
        return None
    return state.soc_pct


def _neighbours(plan: DayPlan, day: LocalDay) -> list[tuple[str, Span]]:
    """Published slots of other days that reach into this one: a plant's zone may have changed between two plans."""
    rows = (
        PlanSlot.objects.filter(
            version__plan__plant_id=plan.plant_id,
            version__state="PUBLISHED",
            start_at__lt=day.end_at,
            end_at__gt=day.start_at,
        )
        .exclude(version__plan_id=plan.pk)
        .order_by("start_at")
        .values_list("version__plan__day", "start_at", "end_at")
    )
    return [
        (f"the plan of {other:%Y-%m-%d}", Span(start_at=start_at, end_at=end_at))
        for other, start_at, end_at in rows[:_MOST_NEIGHBOURS]
    ]


def _overrides(plan: DayPlan, day: LocalDay) -> list[tuple[str, Span]]:
    rows = Override.objects.filter(
        plant_id=plan.plant_id, ended_at__isnull=True, begun_at__lt=day.end_at, until_at__gt=day.start_at
    )
    return [
        (f"the override of {row.by_name}", Span(start_at=row.begun_at, end_at=row.until_at)) for row in rows
    ]
