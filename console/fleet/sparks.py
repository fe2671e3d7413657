"""Small curves of what was planned and what was measured: the last three hours of each row, and the fleet's day.

Up is export, as on every chart. A quarter-hour of which nothing is known breaks the line; it is never drawn as 0.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.fleet.reading import PlantFacts
from metering.models import TelemetryQuarter
from metering.rules import QUARTER
from metering.selectors.many_numbers import read_tuples
from metering.tiers import floor
from schedules.models import IN_FORCE, PlanSlot
from vcp import Direction, SetpointType

SPAN = timedelta(hours=3)
WIDTH, HEIGHT, MARGIN = 72, 24, 3
_ZONES = timedelta(hours=14)
LEAST_SHARE = 0.05
"""A curve that moves less than this share of its plant's size is drawn as the calm line that it is."""


@dataclass(frozen=True, kw_only=True)
class Spark:
    """Path data of two curves in a box of WIDTH x HEIGHT; '' = nothing to draw."""

    planned: str
    actual: str


@dataclass(frozen=True)
class Step:
    """A planned power within [start, end); + = import."""

    start_at: datetime
    end_at: datetime
    kw: float
    own: bool


def sparks_of(plants: Sequence[PlantFacts], *, at: datetime) -> dict[int, Spark]:
    """The last hours of these plants, by id: two statements."""
    since = floor(at, QUARTER) - SPAN
    ids = [one.id for one in plants]
    if not ids:
        return {}
    steps = _steps(ids, since, at)
    rows = TelemetryQuarter.objects.filter(plant_id__in=ids, start_at__gte=since, start_at__lt=at).order_by()
    means: dict[int, dict[datetime, tuple[float | None, float | None]]] = defaultdict(dict)
    columns = (
        "plant_id", "start_at", "grid_power_kw_mean", "battery_power_kw_mean", "fve_power_kw_mean",
    )  # fmt: skip
    for plant_id, start_at, grid_kw, battery_kw, pv_kw in read_tuples(rows.values_list(*columns)):
        own_kw = None if battery_kw is None else battery_kw - (pv_kw or 0.0)
        means[plant_id][start_at] = (grid_kw, own_kw)
    return {one.id: _spark(one, means[one.id], steps.get(one.id, []), since, at) for one in plants}


def _steps(ids: Sequence[int], since: datetime, at: datetime) -> Mapping[int, list[Step]]:
    rows = PlanSlot.objects.filter(
        version__plan__plant_id__in=ids,
        version__plan__day__range=((since - _ZONES).date(), (at + _ZONES).date()),
        version__state__in=IN_FORCE,
        start_at__gt=since - SPAN,
        start_at__lt=at,
        end_at__gt=since,
    ).order_by("start_at")
    found: dict[int, list[Step]] = defaultdict(list)
    columns = (
        "version__plan__plant_id", "start_at", "end_at", "type", "value", "direction", "include_consumption",
    )  # fmt: skip
    for plant_id, start_at, end_at, kind, value, direction, whole in read_tuples(rows.values_list(*columns)):
        kw = signed_kw(kind, value, direction, end_at - start_at)
        found[plant_id].append(Step(start_at, end_at, kw, not whole))
    return found


def signed_kw(kind: str, value: float, direction: str, length: timedelta) -> float:
    """The mean power of a slot in the sign of the site."""
    kw = value if kind == SetpointType.POWER else value / (length.total_seconds() / 3600)
    return kw if direction == Direction.IMPORT else -kw


def _spark(
    plant: PlantFacts,
    means: Mapping[datetime, tuple[float | None, float | None]],
    steps: Sequence[Step],
    since: datetime,
    at: datetime,
) -> Spark:
    own = bool(steps) and steps[-1].own
    points: list[tuple[float, float | None]] = []
    start_at = since
    while start_at + QUARTER <= at:
        grid_kw, own_kw = means.get(start_at, (None, None))
        points.append((_share(start_at + QUARTER / 2, since), own_kw if own else grid_kw))
        start_at += QUARTER
    now_kw = None
    if plant.live:
        now_kw = plant.grid_power_kw
        if own and plant.battery_power_kw is not None:
            now_kw = plant.battery_power_kw - (plant.fve_power_kw or 0.0)
    points.append((_share(at, since), now_kw))
    known = [kw for _, kw in points if kw is not None] + [step.kw for step in steps]
    if not known:
        return Spark(planned="", actual="")
    size = max(plant.max_import_kw or 0.0, plant.max_export_kw or 0.0, *map(abs, known), 1.0)
    low, high = _widened(min(known), max(known), LEAST_SHARE * size * 4)
    return Spark(planned=_planned(steps, since, at, low, high), actual=_line(points, low, high))


def _share(moment: datetime, since: datetime) -> float:
    """Where in the box a moment lies, 0 to 1; its right edge is a quarter-hour after the span."""
    return (moment - since) / (SPAN + QUARTER)


def _widened(low: float, high: float, least: float) -> tuple[float, float]:
    if high - low >= least:
        return low, high
    middle = (low + high) / 2
    return middle - least / 2, middle + least / 2


def _y(kw: float, low: float, high: float) -> str:
    """Export, which is negative, stands above."""
    return f"{MARGIN + (kw - low) / (high - low) * (HEIGHT - 2 * MARGIN):.1f}"


def _line(points: Sequence[tuple[float, float | None]], low: float, high: float) -> str:
    pieces, pen = [], "M"
    for share, kw in points:
        if kw is None:
            pen = "M"
            continue
        pieces.append(f"{pen}{share * WIDTH:.1f} {_y(kw, low, high)}")
        pen = "L"
    return "".join(pieces)


def _planned(steps: Sequence[Step], since: datetime, at: datetime, low: float, high: float) -> str:
    pieces: list[str] = []
    until: datetime | None = None
    for step in steps:
        begin, end = max(step.start_at, since), min(step.end_at, at)
        pen = "V" if until == step.start_at else f"M{_share(begin, since) * WIDTH:.1f} "
        pieces.append(f"{pen}{_y(step.kw, low, high)}H{_share(end, since) * WIDTH:.1f}")
        until = step.end_at
    return "".join(pieces)
