"""What a plant's meters are judged by: its power, its expected meter period at the time, its time zone."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Sum

from metering.models import Stream, StreamPeriod
from metering.registers import MeterRules
from metering.rules import RollupRules
from metering.selectors.meter_readings import to_us
from plants.models import Asset, Plant

TOLERANCE_PERIODS, TOLERANCE_MORE_S = 3, 5
_POWERS = ("max_import_kw", "max_export_kw", "max_charge_kw", "max_discharge_kw", "fve_peak_power_kwp")


@dataclass(frozen=True, kw_only=True)
class MeterLimits:
    """`power_max_kw`: of a plant whose own powers are not known. `bridge`: nothing is counted between two values of a
    register that are further apart.
    """

    power_max_kw: float
    bridge: timedelta


@dataclass(frozen=True, kw_only=True)
class PlantFacts:
    """What the counting needs of a plant."""

    time_zone: str
    rules: MeterRules


def current_meter_limits() -> MeterLimits:
    """The limits of this installation's settings."""
    return MeterLimits(
        power_max_kw=settings.METER_POWER_MAX_KW, bridge=timedelta(days=settings.METER_BRIDGE_DAYS)
    )


def facts_of_plants(
    *, plant_ids: Sequence[int], rules: RollupRules, limits: MeterLimits
) -> dict[int, PlantFacts]:
    """By plant id, those that exist: three queries.

    A plant's power is the largest that is known of it: agreed limits, PV peak, and its assets' powers together.
    """
    rated = dict(
        Asset.objects.filter(plant_id__in=plant_ids)
        .values_list("plant_id")
        .annotate(power_kw=Sum("rated_power_kw"))
        .order_by()
    )
    periods: dict[int, list[tuple[int, int]]] = defaultdict(
        lambda: [(0, _tolerance_us(rules.meter_period_s))]
    )
    rows = StreamPeriod.objects.filter(stream=Stream.METER, plant_id__in=plant_ids).order_by("valid_from")
    for plant_id, valid_from, period_s in rows.values_list("plant_id", "valid_from", "period_s"):
        periods[plant_id].append((to_us(valid_from), _tolerance_us(period_s)))
    bridge_us = limits.bridge // timedelta(microseconds=1)
    return {
        plant_id: PlantFacts(
            time_zone=zone,
            rules=MeterRules(
                tolerances=periods[plant_id],
                bridge_us=bridge_us,
                power_kw=max(
                    (one for one in (rated.get(plant_id), *powers) if one), default=limits.power_max_kw
                ),
            ),
        )
        for plant_id, zone, *powers in Plant.objects.filter(pk__in=plant_ids)
        .order_by("pk")
        .values_list("pk", "time_zone", *_POWERS)
    }


def _tolerance_us(period_s: float) -> int:
    return round((TOLERANCE_PERIODS * period_s + TOLERANCE_MORE_S) * 1_000_000)
