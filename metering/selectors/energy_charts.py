"""Bars of energy from meter registers for charts of one plant: bounded, by role, up to the newest reading.

Meters of the same role are summed; each role has bars of its own, because the grid's import and a wallbox's are no sum.
The newest quarter-hours are not counted yet: they are counted here from the readings, as the roll-up will do it, but
for energy over a hole longer than `BEFORE` and for people's decisions about leaps: those show when it has come.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, IntegerField, Max, Min, Q, Subquery, Sum, When

from metering.models import MeterDay, MeterHour, MeterQuarter
from metering.registers import REGISTERS, QuarterEnergy, count_energy
from metering.rules import QUARTER, RollupRules
from metering.selectors.charts import check_names, check_range, check_width, coverage, kept_of, zone_of
from metering.selectors.meter_facts import MeterLimits, facts_of_plants
from metering.selectors.meter_readings import PlantSpan, readings_of_plants, to_moment, to_us
from metering.tiers import (
    COARSER,
    READ_AT_MOST,
    STEP,
    Axis,
    Grid,
    Tier,
    axis,
    begun,
    choose_tier,
    floor,
    grid,
    to_ms,
)
from plants.errors import Invalid
from vcp.said import said

BAR_PX = 2
BARS_AT_MOST = 500
REACH = timedelta(hours=3)
BEHIND = timedelta(days=2)
"""Within this the newest stored quarter-hour is looked for."""
BEFORE = timedelta(hours=1)
_TAIL_READINGS = 1000


@dataclass(frozen=True, kw_only=True)
class Bars:
    """What the meters of one role counted, one entry for each point of the axis; None = nothing is known.

    `energies_kwh` by register. `coverage_pct`: share of the time so far between readings that are no further apart than
    expected, over as many meters as the role has most of the time: where one took over from another both have rows.
    `estimated`: some of it was spread over a hole, or decided by an event.
    """

    energies_kwh: Mapping[str, Sequence[float | None]]
    coverage_pct: Sequence[float | None]
    quality_rank: Sequence[int | None]
    estimated: Sequence[bool]


@dataclass(frozen=True, kw_only=True)
class EnergySeries:
    """Bars by role. The first bucket may begin before what was asked for.

    `unread`: the counting is behind, and readings of this time were left out.
    """

    axis: Axis
    roles: Mapping[str, Bars]
    unread: tuple[datetime, datetime] | None = None


@dataclass(slots=True)
class _Bar:
    """What is known of one bucket of a role."""

    energies_kwh: list[float | None]
    covered_s: float = 0.0
    rank: int | None = None
    estimated: bool = False

    def add(
        self, energies_kwh: Sequence[float | None], covered_s: float, rank: int | None, estimated: bool
    ) -> None:
        self.energies_kwh = [
            one if more is None else more if one is None else one + more
            for one, more in zip(self.energies_kwh, energies_kwh, strict=True)
        ]
        self.covered_s += covered_s
        self.rank = min((one for one in (self.rank, rank) if one is not None), default=None)
        self.estimated |= estimated


@dataclass(kw_only=True, slots=True)
class _Found:
    """Bars by role and place in the grid; `meters`: how many a role has mostly; where the stored quarter-hours end."""

    registers: Sequence[str]
    bars: dict[str, dict[int, _Bar]] = field(default_factory=dict)
    meters: dict[str, int] = field(default_factory=dict)
    counted_until: datetime | None = None

    def bar(self, role: str, place: int) -> _Bar:
        places = self.bars.setdefault(role, {})
        if place not in places:
            places[place] = _Bar([None] * len(self.registers))
        return places[place]


def energy_series(
    *,
    plant_id: int,
    from_at: datetime,
    to_at: datetime,
    width_px: int,
    at: datetime,
    rules: RollupRules,
    limits: MeterLimits,
    registers: Sequence[str] = REGISTERS,
) -> EnergySeries:
    """Energy of a plant's meters within [from_at, to_at) as bars of a chart `width_px` CSS pixels wide.

    Nothing after the present is in it. Two queries, six when the range reaches the present. Raises Invalid, NotFound.
    """
    check_range(from_at=from_at, to_at=to_at, at=at)
    check_width(width_px)
    check_names("registers", registers, REGISTERS)
    points = max(1, min(BARS_AT_MOST, width_px // BAR_PX))
    zone = zone_of(plant_id)
    tier = choose_tier(from_at=from_at, to_at=to_at, points=points, period_s=None, at=at, kept=kept_of(rules))
    live = at - REACH < to_at and from_at <= at
    while True:
        buckets = grid(tier, from_at=from_at, to_at=to_at, zone=zone, points=points)
        found = _stored(plant_id, registers, buckets, since=at - BEHIND if live else None)
        if found is not None:
            break
        if tier is Tier.DAY:
            raise Invalid(said("too many roles for a time so long"), path="from_at")
        tier = COARSER[tier]
    unread = None
    if live:
        low, unread = _tail_from(found, buckets, at=at, period_s=rules.meter_period_s)
        _add_tail(found, buckets, plant_id, low, rules, limits)
    return _series(found, begun(buckets, at), at, unread)


def _stored(
    plant_id: int, registers: Sequence[str], buckets: Grid, *, since: datetime | None
) -> _Found | None:
    """The stored rows, summed by role; None = more than may be read. With `since` also where the quarter-hours end."""
    if buckets.tier is Tier.DAY:
        key: str = "day"
        rows: Any = MeterDay.objects.filter(day__gte=buckets.days[0], day__lte=buckets.days[-1])
    else:
        key = "start_at"
        model = MeterHour if buckets.tier is Tier.HOUR else MeterQuarter
        rows = model._default_manager.filter(start_at__gte=buckets.starts[0], start_at__lt=buckets.end_at)
    newest = MeterQuarter.objects.filter(
        plant_id=plant_id, start_at__gte=since or buckets.starts[0], start_at__lt=buckets.end_at
    ).order_by("-start_at")
    summed = (
        rows.filter(plant_id=plant_id)
        .values(key, "role")
        .annotate(
            all_covered_s=Sum("covered_s"),
            worst=Min("quality_rank"),
            any_estimated=Max(Case(When(estimated=True, then=1), default=0, output_field=IntegerField())),
            meters=Count("device_id", filter=Q(covered_s__gt=0)),
            **{f"sum_{name}": Sum(f"{name.lower()}_kwh") for name in registers},
        )
        .order_by(key, "role")
    )
    names = ["all_covered_s", "worst", "any_estimated", "meters", *(f"sum_{name}" for name in registers)]
    if since is not None:
        summed = summed.annotate(counted=Subquery(newest.values("start_at")[:1]))
        names.append("counted")
    rows = list(summed.values_list(key, "role", *names)[: READ_AT_MOST + 1])
    return None if len(rows) > READ_AT_MOST else _sorted_in(rows, registers, buckets, live=since is not None)


def _sorted_in(
    rows: Sequence[tuple[Any, ...]], registers: Sequence[str], buckets: Grid, *, live: bool
) -> _Found:
    found = _Found(registers=registers)
    first = buckets.days[0] if buckets.days else buckets.starts[0]
    step = timedelta(days=buckets.together) if buckets.days else STEP[buckets.tier]
    counts: dict[str, Counter[int]] = {}
    for start, role, covered_s, rank, estimated, meters, *energies_kwh in rows:
        if live:
            newest_start = energies_kwh.pop()
            found.counted_until = newest_start and newest_start + QUARTER
        found.bar(role, (start - first) // step).add(energies_kwh, covered_s, rank, bool(estimated))
        counts.setdefault(role, Counter())[meters] += 1
    for role, seen in counts.items():
        found.meters[role] = max(1, max(seen, key=lambda meters: (meters > 0, seen[meters], meters)))
    return found


# --- what is not counted yet ------------------------------------------------------------------------------------------


def _tail_from(
    found: _Found, buckets: Grid, *, at: datetime, period_s: float
) -> tuple[datetime, tuple[datetime, datetime] | None]:
    """Where the tail begins, so that about `_TAIL_READINGS` lie in it, and what is left out before it."""
    meters = max(1, sum(found.meters.values()))
    reach = min(REACH, timedelta(seconds=_TAIL_READINGS * period_s / meters))
    reached = floor(at - reach, QUARTER)
    if found.counted_until is None:
        return max(reached, buckets.starts[0]), None
    low = max(found.counted_until, buckets.starts[0])
    return max(low, reached), (low, reached) if low < reached else None


def _add_tail(
    found: _Found, buckets: Grid, plant_id: int, low: datetime, rules: RollupRules, limits: MeterLimits
) -> None:
    """Count the quarter-hours from `low` to the end of the grid, from the readings there and shortly before."""
    high = buckets.end_at
    if low >= high:
        return
    places = dict(_places(buckets, low, high))
    columns = [REGISTERS.index(name) for name in found.registers]
    meters: dict[str, int] = {}
    for quarters in _counted(plant_id, low, high, rules, limits):
        for start_us, quarter in quarters.items():
            bar = found.bar(quarter.role, places[to_moment(start_us)])
            energies_kwh = [quarter.energies_kwh[column] for column in columns]
            bar.add(energies_kwh, quarter.covered_s, quarter.quality_rank, quarter.estimated)
        for role in {quarter.role for quarter in quarters.values()}:
            meters[role] = meters.get(role, 0) + 1
    for role, count in meters.items():
        found.meters.setdefault(role, count)


def _counted(
    plant_id: int, low: datetime, high: datetime, rules: RollupRules, limits: MeterLimits
) -> Iterator[Mapping[int, QuarterEnergy]]:
    """Of each meter the quarter-hours within [low, high) of which something is known."""
    span = PlantSpan(plant_id, to_us(low - BEFORE), to_us(high))
    (by_device,) = readings_of_plants(spans=[span])
    if by_device:
        facts = facts_of_plants(plant_ids=[plant_id], rules=rules, limits=limits)[plant_id]
        for device_id in sorted(by_device):
            counted = count_energy(
                by_device[device_id], low_us=to_us(low), high_us=to_us(high), rules=facts.rules
            )
            yield counted.quarters


def _places(buckets: Grid, low: datetime, high: datetime) -> Iterator[tuple[datetime, int]]:
    """The bucket of each quarter-hour of [low, high)."""
    place = 0
    while low < high:
        while place + 1 < len(buckets.starts) and buckets.starts[place + 1] <= low:
            place += 1
        yield low, place
        low += QUARTER


def _series(
    found: _Found, buckets: Grid, at: datetime, unread: tuple[datetime, datetime] | None
) -> EnergySeries:
    times_ms, end_ms = buckets.starts_ms(), to_ms(buckets.end_at)
    nothing = _Bar([None] * len(found.registers))
    roles = {}
    for role in sorted(found.bars):
        bars = [found.bars[role].get(place, nothing) for place in range(len(times_ms))]
        meters = found.meters[role]
        roles[role] = Bars(
            energies_kwh={
                name: [bar.energies_kwh[number] for bar in bars]
                for number, name in enumerate(found.registers)
            },
            coverage_pct=coverage(
                times_ms, end_ms, [bar.covered_s / meters for bar in bars], present_ms=to_ms(at)
            ),
            quality_rank=[bar.rank for bar in bars],
            estimated=[bar.estimated for bar in bars],
        )
    return EnergySeries(axis=axis(buckets.tier, times_ms, end_ms=end_ms), roles=roles, unread=unread)
