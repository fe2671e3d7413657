"""The sum of many plants for charts: bounded, one grouped query whatever the number of plants.

A bucket's value is the sum of the means of those plants of which something is known there; `plants_known` says of how
many that is. Only what may be summed can be asked for: powers and available energy. The newest quarter-hours are not
rolled up yet: there the sum of the plants' newest samples stands beside the series.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Aggregate, Count, Max, Min, Q, QuerySet, Sum

from metering.models import TelemetryDay, TelemetryHour, TelemetryQuarter
from metering.rules import HOLD_PERIODS, RollupRules
from metering.selectors.charts import check_names, check_range, check_width, coverage, kept_of
from metering.tiers import (
    COARSER,
    STEP,
    Axis,
    Grid,
    Tier,
    axis,
    begun,
    choose_tier,
    grid,
    points_at_most,
    to_ms,
)
from plants.errors import Invalid
from plants.models import Plant, PlantState
from vcp import DataQuality
from vcp.said import said

SUMMABLE = (
    "grid_power_kw",
    "fve_power_kw",
    "battery_power_kw",
    "consumption_power_kw",
    "available_battery_energy_kwh",
)
PLANTS_AT_MOST = 5000
CELLS_WANTED = 120_000
"""Rows (plants x buckets) that the database should sum up; a coarser tier is taken beyond."""
CELLS_AT_MOST = 750_000


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The sum of the plants' newest samples that are still held; None = nobody speaks. `plants`: how many do."""

    sums: Mapping[str, float | None]
    plants: int
    measured_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class FleetSeries:
    """Sums of `plants` plants, one entry for each point of the axis; None = nothing is known of any of them.

    `plants_known`: by measure. `coverage_pct`: share of the plants' time so far that any sample speaks for.
    """

    axis: Axis
    plants: int
    sums: Mapping[str, Sequence[float | None]]
    plants_known: Mapping[str, Sequence[int]]
    coverage_pct: Sequence[float | None]
    quality_rank: Sequence[int | None]
    newest: Newest


def fleet_series(
    *,
    organisation_id: int,
    measures: Sequence[str],
    from_at: datetime,
    to_at: datetime,
    width_px: int,
    at: datetime,
    rules: RollupRules,
    plant_ids: Sequence[int] | None = None,
    plants: "QuerySet[Plant] | None" = None,
    zone: str = "UTC",
) -> FleetSeries:
    """The sum over an organisation's plants (of these ids, or those of them that are in `plants`).

    Within [from_at, to_at), by quarter-hours or coarser.

    Days are each plant's own local days, shown at midnight of `zone`. Three queries. Ids of other organisations count
    nothing. Raises Invalid.
    """
    check_range(from_at=from_at, to_at=to_at, at=at)
    check_width(width_px)
    check_names("measures", measures, SUMMABLE)
    plants = (Plant.objects.all() if plants is None else plants).filter(organisation_id=organisation_id)
    if plant_ids is not None:
        if len(plant_ids) > PLANTS_AT_MOST:
            raise Invalid(said("at most %(limit)s plants", limit=PLANTS_AT_MOST), path="plant_ids")
        plants = plants.filter(pk__in=plant_ids)
    count = plants.order_by()[: PLANTS_AT_MOST + 1].count()
    if count > PLANTS_AT_MOST:
        raise Invalid(said("more than %(limit)s plants: choose some", limit=PLANTS_AT_MOST), path="plant_ids")
    points = points_at_most(width_px)
    tier = choose_tier(from_at=from_at, to_at=to_at, points=points, period_s=None, at=at, kept=kept_of(rules))
    buckets = grid(tier, from_at=from_at, to_at=to_at, zone=zone, points=points)
    while tier is not Tier.DAY and count * len(buckets.starts) > CELLS_WANTED:
        tier = COARSER[tier]
        buckets = grid(tier, from_at=from_at, to_at=to_at, zone=zone, points=points)
    if count * max(len(buckets.starts), len(buckets.days)) > CELLS_AT_MOST:
        raise Invalid(said("too long a time for so many plants"), path="from_at")
    cells = _summed(plants, measures, buckets)
    return _series(
        cells, begun(buckets, at), measures, count, at, _newest(plants, measures, at=at, rules=rules)
    )


def _summed(plants: "QuerySet[Plant]", measures: Sequence[str], buckets: Grid) -> dict[int, tuple[Any, ...]]:
    """By place: covered seconds, worst quality, then the sum and the number of known plants of each measure."""
    if buckets.tier is Tier.DAY:
        key: str = "day"
        rows: Any = TelemetryDay.objects.filter(day__gte=buckets.days[0], day__lte=buckets.days[-1])
    else:
        key = "start_at"
        model = TelemetryHour if buckets.tier is Tier.HOUR else TelemetryQuarter
        rows = model._default_manager.filter(start_at__gte=buckets.starts[0], start_at__lt=buckets.end_at)
    sums: dict[str, Aggregate] = {}
    for name in measures:
        sums[f"{name}_sum"], sums[f"{name}_known"] = Sum(f"{name}_mean"), Count(f"{name}_mean")
    summed = (
        rows.filter(plant_id__in=plants.order_by().values("pk"))
        .values(key)
        .annotate(all_covered_s=Sum("covered_s"), worst=Min("quality_rank"), **sums)
        .order_by(key)
        .values_list(key, "all_covered_s", "worst", *sums)
    )
    first = buckets.days[0] if buckets.days else buckets.starts[0]
    step = timedelta(days=1) if buckets.days else STEP[buckets.tier]
    by_row = {(start - first) // step: cell for start, *cell in summed}
    if buckets.together == 1:
        return by_row
    return _together(by_row, buckets.together)


def _together(by_day: Mapping[int, Sequence[Any]], together: int) -> dict[int, tuple[Any, ...]]:
    """Several days as one: means of the sums, the most plants that were known."""
    groups: dict[int, list[Sequence[Any]]] = {}
    for place, cell in by_day.items():
        groups.setdefault(place // together, []).append(cell)
    return {place: tuple(_one_of(cells)) for place, cells in groups.items()}


def _one_of(cells: Sequence[Sequence[Any]]) -> list[Any]:
    covered_s, ranks, *columns = zip(*cells, strict=True)
    one = [sum(covered_s), min((rank for rank in ranks if rank is not None), default=None)]
    for sums, known in zip(columns[::2], columns[1::2], strict=True):
        values = [value for value in sums if value is not None]
        one += [sum(values) / len(values) if values else None, max(known)]
    return one


def _newest(
    plants: "QuerySet[Plant]", measures: Sequence[str], *, at: datetime, rules: RollupRules
) -> Newest:
    """Of the plants whose newest sample is no older than it is held by the installation's period."""
    held = at - timedelta(seconds=HOLD_PERIODS * rules.realtime_period_s)
    speaking = Q(measured_at__gt=held) & ~Q(data_quality=DataQuality.MISSING.value)
    found = PlantState.objects.filter(speaking, plant__in=plants.order_by().values("pk")).aggregate(
        plants=Count("pk"), measured_at=Max("measured_at"), **{f"{name}_sum": Sum(name) for name in measures}
    )
    return Newest(
        sums={name: found[f"{name}_sum"] for name in measures},
        plants=found["plants"],
        measured_at=found["measured_at"],
    )


def _series(
    cells: Mapping[int, Sequence[Any]],
    buckets: Grid,
    measures: Sequence[str],
    plants: int,
    at: datetime,
    newest: Newest,
) -> FleetSeries:
    nothing = (0.0, None, *(None, 0) * len(measures))
    filled = [cells.get(place, nothing) for place in range(len(buckets.starts))]
    columns = list(zip(*filled, strict=True)) if filled else [() for _ in nothing]
    times_ms, end_ms = buckets.starts_ms(), to_ms(buckets.end_at)
    shares_s = [covered_s / max(1, plants) for covered_s in columns[0]]
    return FleetSeries(
        axis=axis(buckets.tier, times_ms, end_ms=end_ms),
        plants=plants,
        sums={name: columns[2 + 2 * number] for number, name in enumerate(measures)},
        plants_known={name: columns[3 + 2 * number] for number, name in enumerate(measures)},
        coverage_pct=coverage(times_ms, end_ms, shares_s, present_ms=to_ms(at)),
        quality_rank=columns[1],
        newest=newest,
    )
