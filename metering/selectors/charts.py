"""Series for charts of one plant's telemetry: bounded, from the tier that fits, up to the newest sample.

A series is columns: an axis, and for each point what is known then. It never lies about what is not known: a bucket
without samples is a point without values and with coverage 0, and samples further apart than `BREAK_PERIODS` expected
periods have such a point between them. Least and most of each bucket are kept, so that a spike is seen at any width.

The newest quarter-hours are not rolled up yet: they are computed from the samples (`metering.selectors.chart_tail`),
and added to the hour or day that they belong to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, Func, QuerySet, Subquery

from metering.days import local_day
from metering.models import Stream, TelemetryDay, TelemetryHour, TelemetryQuarter
from metering.rollup import MEASURES, MeasureRollup, Rollup, sum_up
from metering.rules import HOLD_PERIODS, QUARTER, RollupRules
from metering.selectors.chart_tail import NO_TAIL, REACH, Tail, read_tail
from metering.selectors.many_numbers import read_tuples
from metering.selectors.periods import Periods, periods_of
from metering.tiers import (
    EPOCH,
    LONGEST,
    OLDEST,
    READ_AT_MOST,
    STEP,
    WIDEST_PX,
    Axis,
    Grid,
    Kept,
    Tier,
    axis,
    begun,
    choose_tier,
    floor,
    grid,
    points_at_most,
    to_ms,
)
from plants.errors import Invalid, NotFound
from plants.models import Plant, TelemetryReading
from vcp import DataQuality
from vcp.said import said

BREAK_PERIODS = 2
"""Samples further apart than this many expected periods are not joined by a line."""
_PER_MEASURE = ("min", "max", "mean", "last")
_FIXED = 3  # where the columns of the measures begin
_NOTHING = (None, 0.0, None)
_NO_MEASURE = (None, None, None, None)
_RAW_FIXED = 2  # the same of samples: coverage, quality
_SECOND = timedelta(seconds=1)

Cell = tuple[Any, ...]
"""What is known of a bucket: its key, covered seconds, worst quality, then `_PER_MEASURE` of each measure, and where
it may have to be summed up the known seconds of each measure."""


class _Epoch(Func):
    """Whole seconds since 1970: a number costs a tenth of what a moment costs to read."""

    template = "(date_part('epoch', %(expressions)s))::bigint"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)", **context
        )


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measure, a value for each point; None = not known.

    `mean` is weighted by time. Of tier RAW a point is a sample: it stands in `mean`, and the others are empty.
    """

    mean: Sequence[float | None]
    least: Sequence[float | None] = ()
    most: Sequence[float | None] = ()
    last: Sequence[float | None] = ()


@dataclass(frozen=True, kw_only=True)
class Series:
    """Columns of one plant, one entry for each point of the axis. The first bucket may begin before what was asked for.

    `coverage_pct`: share of the bucket's time so far that any sample speaks for; None = it lies in the future.
    `quality_rank`: of the worst sample that counts, 3 = GOOD; None = none does. `unread`: the roll-ups are behind, and
    samples of this time were left out. `newest_at`: the last sample, where it was looked for.
    """

    axis: Axis
    curves: Mapping[str, Curve]
    coverage_pct: Sequence[float | None]
    quality_rank: Sequence[int | None]
    newest_at: datetime | None = None
    unread: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, kw_only=True)
class _Asked:
    plant_id: int
    measures: Sequence[str]
    from_at: datetime
    to_at: datetime
    at: datetime
    periods: Periods


def telemetry_series(
    *,
    plant_id: int,
    measures: Sequence[str],
    from_at: datetime,
    to_at: datetime,
    width_px: int,
    at: datetime,
    rules: RollupRules,
) -> Series:
    """Measures of a plant within [from_at, to_at) for a chart `width_px` CSS pixels wide: three to six queries.

    Nothing after the present is in it. Raises Invalid, NotFound.
    """
    check_range(from_at=from_at, to_at=to_at, at=at)
    check_width(width_px)
    check_names("measures", measures, MEASURES)
    points = points_at_most(width_px)
    zone = zone_of(plant_id)
    asked = _Asked(
        plant_id=plant_id,
        measures=measures,
        from_at=from_at,
        to_at=to_at,
        at=at,
        periods=periods_of(plant_ids=[plant_id], stream=Stream.REALTIME, rules=rules),
    )
    period_s = min(asked.periods.at(plant_id, from_at), asked.periods.at(plant_id, to_at))
    kept = kept_of(rules)
    tier = choose_tier(from_at=from_at, to_at=to_at, points=points, period_s=period_s, at=at, kept=kept)
    if tier is Tier.RAW:
        if (series := _raw(asked, points)) is not None:
            return series
        tier = choose_tier(from_at=from_at, to_at=to_at, points=points, period_s=None, at=at, kept=kept)
    return _of_buckets(asked, grid(tier, from_at=from_at, to_at=to_at, zone=zone, points=points))


def day_chart(
    *, plant_id: int, day: date, at: datetime, rules: RollupRules, measures: Sequence[str] = MEASURES
) -> Series:
    """The quarter-hours of a plant's local day, from its midnight: 92, 96 or 100 points, or what its zone has.

    Those of the future are in it, with nothing known. Raises Invalid, NotFound; three or four queries.
    """
    check_names("measures", measures, MEASURES)
    if not abs(day - at.date()) < rules.rollups_kept:
        raise Invalid(said("quarter-hours of that day are not kept"), path="day")
    bounds = local_day(day, zone=zone_of(plant_id))
    asked = _Asked(
        plant_id=plant_id,
        measures=measures,
        from_at=bounds.start_at,
        to_at=bounds.end_at,
        at=at,
        periods=periods_of(plant_ids=[plant_id], stream=Stream.REALTIME, rules=rules),
    )
    slots = grid(Tier.QUARTER, from_at=bounds.start_at, to_at=bounds.end_at, zone="UTC", points=READ_AT_MOST)
    return _of_buckets(asked, slots, future=True)


# --- what may be asked for --------------------------------------------------------------------------------------------
def check_range(*, from_at: datetime, to_at: datetime, at: datetime) -> None:
    """Raises Invalid unless [from_at, to_at) is aware, forwards, not endless, and within reach of the calendar."""
    for path, moment in (("from_at", from_at), ("to_at", to_at)):
        if moment.tzinfo is None:
            raise Invalid(said("needs a time zone"), path=path)
        if abs(moment - at) > OLDEST:
            raise Invalid(said("lies too far away"), path=path)
    if to_at <= from_at:
        raise Invalid(said("must be after the beginning"), path="to_at")
    if to_at - from_at > LONGEST:
        text = said("at most %(days)s days may be asked for at once", days=LONGEST.days)
        raise Invalid(text, path="from_at")


def check_width(width_px: int) -> None:
    """Raises Invalid unless it is the width of a chart."""
    if not 0 < width_px <= WIDEST_PX:
        raise Invalid(said("must be 1 to %(limit)s pixels", limit=WIDEST_PX), path="width_px")


def check_names(path: str, names: Sequence[str], known: Iterable[str]) -> None:
    """Raises Invalid unless `names` are some of `known`, each once."""
    if not names or len(set(names)) < len(names):
        raise Invalid(said("at least one, each once"), path=path)
    known = set(known)
    for place, name in enumerate(names):
        if name not in known:
            told, named = f"{name!r:.60}", ", ".join(sorted(known))
            text = said("%(name)s is not known; it may be %(names)s", name=told, names=named)
            raise Invalid(text, path=f"{path}[{place}]")


def kept_of(rules: RollupRules) -> Kept:
    """How long each tier is kept by these rules."""
    return Kept(readings=rules.readings_kept, rollups=rules.rollups_kept)


def zone_of(plant_id: int) -> str:
    """The plant's time zone: one query. Raises NotFound."""
    for zone in Plant.objects.filter(pk=plant_id).order_by().values_list("time_zone", flat=True):
        return zone
    raise NotFound(said("no such plant"))


# --- samples ----------------------------------------------------------------------------------------------------------


def _raw(asked: _Asked, points: int) -> Series | None:
    """Every sample as a point, and a point without values where the line breaks; None = more than `points`."""
    rows = list(
        TelemetryReading.objects.filter(
            plant_id=asked.plant_id, measured_at__gte=asked.from_at, measured_at__lt=asked.to_at
        )
        .order_by("measured_at")
        .values_list("measured_at", "quality_rank", "data_quality", *asked.measures)[: points + 1]
    )
    nothing = (None,) * len(asked.measures)
    times_ms: list[int] = []
    cells: list[Cell] = []
    joined_until, hold_s = None, 0.0
    for moment, rank, word, *values in rows:
        if joined_until is not None and moment > joined_until:
            times_ms.append(to_ms(joined_until))
            cells.append((0.0, None, *nothing))
        period_s = asked.periods.at(asked.plant_id, moment)
        joined_until, hold_s = moment + timedelta(seconds=BREAK_PERIODS * period_s), HOLD_PERIODS * period_s
        times_ms.append(to_ms(moment))
        missing = word == DataQuality.MISSING
        cells.append((0.0 if missing else 100.0, rank, *(nothing if missing else values)))
    if len(cells) > points:
        return None
    columns: list[Sequence[Any]] = (
        list(zip(*cells, strict=True)) if cells else [()] * (_RAW_FIXED + len(nothing))
    )
    return Series(
        axis=axis(Tier.RAW, times_ms, end_ms=times_ms[-1] + round(1000 * hold_s) if times_ms else 0),
        curves={name: Curve(mean=columns[_RAW_FIXED + number]) for number, name in enumerate(asked.measures)},
        coverage_pct=columns[0],
        quality_rank=columns[1],
        newest_at=rows[-1][0] if rows else None,
    )


# --- buckets ----------------------------------------------------------------------------------------------------------


def _of_buckets(asked: _Asked, buckets: Grid, *, future: bool = False) -> Series:
    """The series of a grid: stored rows, and what is not rolled up yet; with `future` buckets that have not begun."""
    live = asked.at - REACH < asked.to_at and asked.from_at <= asked.at
    stored, rolled_until = _stored(asked, buckets, live=live)
    tail = NO_TAIL
    if live:
        low = max(rolled_until or floor(asked.at - REACH, QUARTER), buckets.starts[0])
        if low < buckets.end_at:
            tail = read_tail(
                plant_id=asked.plant_id,
                low=low,
                high=buckets.end_at,
                limit=READ_AT_MOST - sum(map(len, stored.values())),
                periods=asked.periods,
                at=asked.at,
            )
    present = max(asked.at, tail.newest_at) if tail.newest_at else asked.at
    if not future:
        buckets = begun(buckets, present)
    return _series(asked, buckets, _together(asked, buckets, stored, tail), tail, present)


def _stored(
    asked: _Asked, buckets: Grid, *, live: bool
) -> tuple[Mapping[int, Sequence[Cell]], datetime | None]:
    """The rows of each bucket by its place, in order of time, and (live) where the stored quarter-hours end.

    The two are read in one statement: what it has not seen of the rows, the tail will hold. Seconds for which a measure
    is known are read only where rows may have to be summed up.
    """
    columns = [f"{measure}_{what}" for measure in asked.measures for what in _PER_MEASURE]
    named: dict[str, Any] = {}
    if live or buckets.together > 1:
        columns += [f"{measure}_s" for measure in asked.measures]
    if live:
        newest = TelemetryQuarter.objects.filter(
            plant_id=asked.plant_id, start_at__gte=asked.at - REACH, start_at__lt=buckets.end_at
        ).order_by("-start_at")
        named["rolled_s"] = Subquery(newest.annotate(start_s=_Epoch("start_at")).values("start_s")[:1])
    found: dict[int, list[Cell]] = {}
    rows, key, first, step = _rows_of(asked.plant_id, buckets)
    rolled_s: int | None = None
    for row in read_tuples(rows.values_list(key, "covered_s", "quality_rank", *columns, *named.values())):
        place = (row[0] - first) // step
        if place in found:
            found[place].append(row)
        else:
            found[place] = [row]
        if live:
            rolled_s = row[-1]
    return found, None if rolled_s is None else EPOCH + rolled_s * _SECOND + QUARTER


def _rows_of(plant_id: int, buckets: Grid) -> tuple["QuerySet[Any]", Any, Any, Any]:
    """The stored rows of a grid in order of time, the expression that tells their place, its first value and step."""
    if buckets.tier is Tier.DAY:
        days = TelemetryDay.objects.filter(
            plant_id=plant_id, day__gte=buckets.days[0], day__lte=buckets.days[-1]
        )
        return days.order_by("day"), "day", buckets.days[0], timedelta(days=buckets.together)
    model = TelemetryHour if buckets.tier is Tier.HOUR else TelemetryQuarter
    rows = model._default_manager.filter(
        plant_id=plant_id, start_at__gte=buckets.starts[0], start_at__lt=buckets.end_at
    )
    step = STEP[buckets.tier]
    return rows.order_by("start_at"), _Epoch("start_at"), to_ms(buckets.starts[0]) // 1000, step // _SECOND


def _together(
    asked: _Asked, buckets: Grid, stored: Mapping[int, Sequence[Cell]], tail: Tail
) -> dict[int, Cell]:
    """One cell for each bucket that anything is known of."""
    cells = {place: rows[0] for place, rows in stored.items() if len(rows) == 1}
    fresh: dict[int, list[Rollup]] = {}
    starts = buckets.starts
    place = 0
    for start_at, rollup in tail.quarters:
        while place + 1 < len(starts) and starts[place + 1] <= start_at:
            place += 1
        fresh.setdefault(place, []).append(rollup)
    for place in {*fresh, *(place for place, rows in stored.items() if len(rows) > 1)}:
        parts = [_rollup(asked.measures, cell) for cell in stored.get(place, ())] + fresh.get(place, [])
        if (summed := sum_up(parts)) is not None:
            cells[place] = _cell(asked.measures, summed)
    return cells


def _rollup(measures: Sequence[str], cell: Cell) -> Rollup:
    known = {}
    ends = _FIXED + len(measures) * len(_PER_MEASURE)
    for number, name in enumerate(measures):
        begin = _FIXED + number * len(_PER_MEASURE)
        least, most, mean, last = cell[begin : begin + len(_PER_MEASURE)]
        if known_s := cell[ends + number]:
            known[name] = MeasureRollup(known_s=known_s, least=least, most=most, mean=mean, last=last)
    return Rollup(
        samples=0, covered_s=cell[1], good_s=0.0, quality_rank=cell[2], measures=known, energies_kwh={}
    )


def _cell(measures: Sequence[str], rollup: Rollup) -> Cell:
    cell: list[Any] = [None, rollup.covered_s, rollup.quality_rank]
    for name in measures:
        one = rollup.measures.get(name)
        cell += (one.least, one.most, one.mean, one.last) if one else _NO_MEASURE
    return tuple(cell)


def _series(asked: _Asked, buckets: Grid, cells: Mapping[int, Cell], tail: Tail, present: datetime) -> Series:
    nothing = (*_NOTHING, *_NO_MEASURE * len(asked.measures))
    filled = [cells.get(place, nothing) for place in range(len(buckets.starts))]
    columns = list(zip(*filled, strict=False)) if filled else [() for _ in nothing]  # some cells have more
    times_ms = buckets.starts_ms()
    curves = {}
    for number, name in enumerate(asked.measures):
        begin = _FIXED + number * len(_PER_MEASURE)
        least, most, mean, last = columns[begin : begin + len(_PER_MEASURE)]
        curves[name] = Curve(mean=mean, least=least, most=most, last=last)
    return Series(
        axis=axis(buckets.tier, times_ms, end_ms=to_ms(buckets.end_at)),
        curves=curves,
        coverage_pct=coverage(times_ms, to_ms(buckets.end_at), columns[1], present_ms=to_ms(present)),
        quality_rank=columns[2],
        newest_at=tail.newest_at,
        unread=tail.unread,
    )


def coverage(
    times_ms: Sequence[int], end_ms: int, covered_s: Sequence[float], *, present_ms: int
) -> list[float | None]:
    """Percent of each bucket's time until the present that is covered; None of a bucket that has not begun."""
    ends_ms = [*times_ms[1:], end_ms][: len(times_ms)]
    return [
        min(100.0, 100_000.0 * known_s / (min(high, present_ms) - low))
        if low < min(high, present_ms)
        else None
        for low, high, known_s in zip(times_ms, ends_ms, covered_s, strict=True)
    ]
