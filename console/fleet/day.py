"""The fleet's day as one small chart: the sum of the published plans, and of what was measured, at the grid.

Where only a part of the plants has a plan, the curves are of that part: what nobody planned says nothing of the plan.
Slots that ask for the plant's own power (without its consumption) plan nothing at the grid and are left out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Count, Max, Q, QuerySet, Sum

from console.fleet.facts_sql import FleetAsked
from console.fleet.present import present
from console.fleet.reading import overview
from console.fleet.sparks import signed_kw
from metering.days import LocalDay, local_day_of
from metering.rules import QUARTER, current_rules
from metering.selectors.fleet_charts import PLANTS_AT_MOST, FleetSeries, fleet_series
from metering.tiers import EPOCH
from plants.models import Plant
from schedules.models import IN_FORCE, PlanSlot, PlanVersion

WIDTH, HEIGHT = 300, 58
MOST_PLANTS = 4 * PLANTS_AT_MOST
_WIDTH_PX = 300
_LABEL_ROOM = 34
_KNOWN_SHARE = 0.9
"""Where fewer plants are known than this there is a gap: the sum of some is not the fleet's."""
MEASURE = "grid_power_kw"
KEPT_FROM = 1_000
"""From so many plans on their sum is kept."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """Path data in a box of WIDTH x HEIGHT, up = export; `zero_y` is the line of 0 kW, `now_x` the present.

    `plants` of `of` are in it. `top_kw`, `bottom_kw`: the values of the box's edges, + = export.
    """

    planned: str
    actual: str
    area: str
    zero_y: float
    now_x: float
    plants: int
    of: int
    top_kw: float
    bottom_kw: float
    zone: str
    at: datetime
    start_at: datetime
    end_at: datetime
    now_kw: float | None
    now_planned_kw: float | None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.planned and not self.actual

    @property
    def labels(self) -> list[tuple[str, str, str]]:
        """(x, text, anchor) of the hours below; none where the present's own label stands."""
        found = []
        for share, anchor in ((0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1, "end")):
            x = share * WIDTH
            if abs(x - self.now_x) < _LABEL_ROOM:
                continue
            moment = self.start_at + share * (self.end_at - self.start_at)
            text = "24:00" if share == 1 else f"{moment.astimezone(ZoneInfo(self.zone)):%H:%M}"
            found.append((f"{x:.0f}", text, anchor))
        return found

    @property
    def now_text(self) -> str:
        """The present on the wall clock of the zone."""
        return f"{self.at.astimezone(ZoneInfo(self.zone)):%H:%M}"

    @property
    def now_label_x(self) -> str:
        """Where the present's label is centred, so that it stays within the box."""
        return f"{min(max(self.now_x, 15.0), WIDTH - 15.0):.1f}"


def day_of_fleet(asked: FleetAsked, *, zone: str) -> Day | None:
    """Today up to now, what the live plants do; None where there are no plants, or too many to add up at once.

    A number of statements that does not grow, but for one series for each PLANTS_AT_MOST plants.
    """
    day = local_day_of(asked.at, zone=zone)
    everybody = Plant.objects.filter(organisation_id=asked.organisation_id).order_by("pk")
    of = everybody[: MOST_PLANTS + 1].count()
    if not of or of > MOST_PLANTS:
        return None
    planned, steps = _plan(asked.organisation_id, day)
    is_part = 0 < planned.plants < of
    chosen = everybody.filter(pk__in=_planned_on(asked.organisation_id, day)) if is_part else everybody
    plants = planned.plants if is_part else of
    actual = _actual(
        asked.organisation_id, _parts(chosen, plants, is_all=not is_part), plants, day, asked.at, zone
    )
    live, known, now_kw = _present(asked, of_planned=is_part)
    if live >= _KNOWN_SHARE * known:
        actual.append(_Point(asked.at, now_kw))
    return _drawn(steps, actual, day, asked.at, zone=zone, plants=plants, of=of)


def _present(asked: FleetAsked, *, of_planned: bool) -> tuple[int, int, float]:
    """How many plants are live, of how many, and what they do at the grid; or those that follow a plan now."""
    if of_planned:
        whole = overview(asked)
        return whole.live, whole.plants, whole.followed_kw
    now = present(asked)
    return now.live, now.plants, now.net_kw


@dataclass(frozen=True)
class _Point:
    at: datetime
    kw: float | None


class _Planned(NamedTuple):
    """What is in force on a day: as long as these are the same, so is the sum. `plants`: how many have a plan."""

    plants: int
    versions: int
    newest: int | None
    ids: int | None
    published_at: datetime | None


def _in_force(organisation_id: int, day: LocalDay) -> "QuerySet[PlanVersion]":
    days = ((day.start_at - timedelta(hours=14)).date(), (day.end_at + timedelta(hours=14)).date())
    return PlanVersion.objects.filter(
        plan__organisation_id=organisation_id, plan__day__range=days, state__in=IN_FORCE
    ).order_by()


def _planned_on(organisation_id: int, day: LocalDay) -> "QuerySet[PlanVersion, int]":
    """Ids of the plants with a plan of the day."""
    return _in_force(organisation_id, day).filter(plan__day=day.day).values_list("plan__plant_id", flat=True)


def _plan(organisation_id: int, day: LocalDay) -> tuple[_Planned, list[_Point]]:
    """Which plants have a plan in the day, and the course of its sum: a value from each moment to the next.

    A version that is in force never gets other slots, so the sum of many is kept: 10,000 plants have a million slots.
    """
    versions = _in_force(organisation_id, day)
    planned = _Planned(
        *versions.aggregate(
            plants=Count("plan__plant_id", filter=Q(plan__day=day.day), distinct=True),
            versions=Count("pk"),
            newest=Max("pk"),
            ids=Sum("pk"),
            published_at=Max("published_at"),
        ).values()
    )
    if not planned.versions:
        return planned, []
    look = kept_steps if planned.versions >= KEPT_FROM else kept_steps.__wrapped__
    return planned, [_Point(moment, kw) for moment, kw in look(organisation_id, day, planned)]


@lru_cache(maxsize=64)
def kept_steps(organisation_id: int, day: LocalDay, _planned: _Planned) -> Sequence[tuple[datetime, float]]:
    """The sum of what is in force, as long as it is the same."""
    versions = _in_force(organisation_id, day)
    slots = PlanSlot.objects.filter(
        version__in=versions.values("pk"),
        start_at__lt=day.end_at,
        end_at__gt=day.start_at,
        include_consumption=True,
    ).order_by()
    changes: dict[datetime, float] = defaultdict(float)
    grouped = slots.values_list("start_at", "end_at", "type", "direction").annotate(Sum("value"))
    for start_at, end_at, kind, direction, value in grouped:
        kw = signed_kw(kind, value, direction, end_at - start_at)
        changes[max(start_at, day.start_at)] += kw
        changes[min(end_at, day.end_at)] -= kw
    moments = sorted(changes)
    return list(zip(moments, accumulate(changes[moment] for moment in moments), strict=True))


def _actual(
    organisation_id: int,
    parts: Sequence["QuerySet[Plant] | None"],
    plants: int,
    day: LocalDay,
    at: datetime,
    zone: str,
) -> list[_Point]:
    """The sum at the middle of each bucket that has ended or runs."""
    all_series = [
        fleet_series(
            organisation_id=organisation_id,
            measures=[MEASURE],
            from_at=day.start_at,
            to_at=day.end_at,
            width_px=_WIDTH_PX,
            at=at,
            rules=current_rules(),
            plants=part,
            zone=zone,
        )
        for part in parts
    ]
    first = all_series[0]
    half = (
        QUARTER / 2 if len(first.axis.deltas_ms) < 2 else timedelta(milliseconds=first.axis.deltas_ms[0] / 2)
    )
    times = [_from_ms(ms) + half for ms in first.axis.times_ms]
    return [
        _Point(moment, _sum_at(all_series, number, plants))
        for number, moment in enumerate(times)
        if moment < at
    ]


def _parts(chosen: "QuerySet[Plant]", count: int, *, is_all: bool) -> Sequence["QuerySet[Plant] | None"]:
    """Equal parts, each no larger than one series may have; None = all plants, which is cheaper to ask for."""
    parts = -(-count // PLANTS_AT_MOST)
    if parts <= 1:
        return [None if is_all else chosen]
    size = -(-count // parts)
    ids = chosen.values_list("pk", flat=True)
    lows = [ids[size * number] for number in range(1, parts)]
    spans = zip([None, *lows], [*lows, None], strict=True)
    return [_between(chosen, low, high) for low, high in spans]


def _between(plants: "QuerySet[Plant]", low: int | None, high: int | None) -> "QuerySet[Plant]":
    if low is not None:
        plants = plants.filter(pk__gte=low)
    return plants if high is None else plants.filter(pk__lt=high)


def _sum_at(all_series: Sequence[FleetSeries], place: int, plants: int) -> float | None:
    known = sum(one.plants_known[MEASURE][place] for one in all_series)
    if known < _KNOWN_SHARE * plants:
        return None
    return sum(one.sums[MEASURE][place] or 0.0 for one in all_series)


def _from_ms(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def _drawn(
    steps: Sequence[_Point],
    actual: Sequence[_Point],
    day: LocalDay,
    at: datetime,
    *,
    zone: str,
    plants: int,
    of: int,
) -> Day:
    known = [-one.kw for one in (*steps, *actual) if one.kw is not None]
    top, bottom = max([0.0, *known]), min([0.0, *known])
    if top - bottom < 1.0:
        top, bottom = top + 0.5, bottom - 0.5
    box = _Box(day=day, top=top, bottom=bottom)
    runs = _runs(actual)
    running = [one.kw for one in steps if one.at <= at]
    return Day(
        planned=_steps_path(steps, box),
        actual="".join(_run_path(run, box) for run in runs),
        area="".join(_area_path(run, box) for run in runs),
        zero_y=box.y(0.0),
        now_x=box.x(at),
        plants=plants,
        of=of,
        top_kw=top,
        bottom_kw=bottom,
        zone=zone,
        at=at,
        start_at=day.start_at,
        end_at=day.end_at,
        now_kw=actual[-1].kw if actual else None,
        now_planned_kw=running[-1] if running else None,
    )


@dataclass(frozen=True, kw_only=True)
class _Box:
    day: LocalDay
    top: float
    bottom: float

    def x(self, moment: datetime) -> float:
        return round((moment - self.day.start_at) / (self.day.end_at - self.day.start_at) * WIDTH, 1)

    def y(self, export_kw: float) -> float:
        return round(2 + (self.top - export_kw) / (self.top - self.bottom) * (HEIGHT - 4), 1)


def _runs(points: Sequence[_Point]) -> list[list[_Point]]:
    """Stretches without a gap."""
    found: list[list[_Point]] = [[]]
    for point in points:
        if point.kw is None:
            found.append([])
        else:
            found[-1].append(point)
    return [run for run in found if run]


def _run_path(run: Sequence[_Point], box: _Box) -> str:
    return "M" + "L".join(f"{box.x(one.at)} {box.y(-(one.kw or 0.0))}" for one in run)


def _area_path(run: Sequence[_Point], box: _Box) -> str:
    return f"{_run_path(run, box)}V{box.y(0.0)}H{box.x(run[0].at)}Z"


def _steps_path(steps: Sequence[_Point], box: _Box) -> str:
    """A step is drawn until the next begins; the last one only ends."""
    if not steps:
        return ""
    first = steps[0]
    pieces = [f"M{box.x(first.at)} {box.y(-(first.kw or 0.0))}"]
    pieces += [f"H{box.x(one.at)}V{box.y(-(one.kw or 0.0))}" for one in steps[1:-1]]
    return "".join([*pieces, f"H{box.x(steps[-1].at)}"])
