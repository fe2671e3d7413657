"""The data of the day chart: what was planned, commanded and measured within a span, as columns.

Times are milliseconds since 1970, of measurements the first one and then the distances. Powers are the grid's in the
sign of the site (+ = import), which the names of the columns say; the picture turns them. What is not known is null,
and holes are told as such, with their cause.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from console.plant.spans import Span, clock_change, ticks_of
from console.plant.words import chart_words, day_sentence, gap_cause, gap_text, mark_text, outcome_text
from dispatch.models import Kind
from dispatch.selectors_commanded import Commanded, commanded
from metering.models import Gap, Stream
from metering.rules import RollupRules
from metering.selectors.charts import Series, telemetry_series
from metering.selectors.gaps import gaps_of
from metering.selectors.periods import periods_of
from metering.tiers import EPOCH, Tier, to_ms
from plants.errors import NotFound
from plants.models import Plant
from plants.selectors.plants import blocks_in_force
from plants.time_config import windows_of_day
from schedules.models import IN_FORCE
from schedules.selectors.overrides import overrides_within
from schedules.selectors.plans import DayView, plan_of_day
from vcp import Direction

BROKEN_AFTER = 2
"""Samples further apart than this many expected periods are not joined."""
_MEASURES = ("grid_power_kw", "soc_pct")
Columns = dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True)
class _Hole:
    """A hole as it is drawn. `is_open`: nothing has come since."""

    from_at: datetime
    to_at: datetime
    cause: str = ""
    is_open: bool = False


def chart_data(
    *, plant: Plant, span: Span, width_px: int, at: datetime, rules: RollupRules
) -> dict[str, Any]:
    """All that the chart of a plant shows within a span; a bounded number of statements."""
    series = telemetry_series(
        plant_id=plant.pk,
        measures=_MEASURES,
        from_at=span.from_at,
        to_at=span.to_at,
        width_px=width_px,
        at=at,
        rules=rules,
    )
    period_s = periods_of(plant_ids=[plant.pk], stream=Stream.REALTIME, rules=rules).at(plant.pk, at)
    holes = _holes(plant, span, series, period_s=period_s, at=at)
    plans = _plans(plant, span)
    told = commanded(plant_id=plant.pk, from_at=span.from_at, to_at=span.to_at)
    ticks = ticks_of(span)
    return {
        "plant": plant.pk,
        "zone": span.zone,
        "day": span.day.isoformat(),
        "from": to_ms(span.from_at),
        "to": to_ms(span.to_at),
        "now": to_ms(at),
        "period_s": period_s,
        "has_battery": plant.capacity_kwh > 0 or any(pct is not None for pct in _means(series, "soc_pct")),
        "words": chart_words(),
        "ticks": {"at": ticks.at_ms, "text": ticks.texts, "n": ticks.numbers},
        "fold": ticks.fold_ms,
        "change": _change(span),
        "actual": _actual(series),
        "gaps": {
            "from": [to_ms(hole.from_at) for hole in holes],
            "to": [to_ms(hole.to_at) for hole in holes],
            "text": [gap_text(hole.to_at - hole.from_at) for hole in holes],
            "cause": [hole.cause for hole in holes],
            "open": [hole.is_open for hole in holes],
        },
        "planned": _planned(plans, span),
        "plans": [f"v{view.version.number}" for view in plans],
        "commanded": _commanded(told),
        "marks": {
            "at": [to_ms(mark.at) for mark in told.marks],
            "text": [mark_text(mark.kind, mark.payload) for mark in told.marks],
            "strong": [mark.kind is Kind.EMERGENCY for mark in told.marks],
            "command": [mark.command_id for mark in told.marks],
        },
        "overrides": _overrides(plant, span),
        "limits": {"import_kw": plant.max_import_kw, "export_kw": plant.max_export_kw},
        "soc_window": _soc_window(plant, span, at),
        "summary": _summary(plans, series, holes, span, at),
    }


def _change(span: Span) -> dict[str, Any] | None:
    """Where the clock changes, with the words for it; None = it does not."""
    found = clock_change(span)
    if found is None:
        return None
    at, goes_back = found
    return {
        "at": to_ms(at),
        "text": gettext("clock goes back") if goes_back else gettext("clock leaps forward"),
    }


# --- measured ---------------------------------------------------------------------------------------------------------


def _actual(series: Series) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "tier": series.axis.tier.value,
        "start": series.axis.start_ms,
        "deltas": list(series.axis.deltas_ms),
        "end": series.axis.end_ms,
    }
    grid, soc = series.curves["grid_power_kw"], series.curves["soc_pct"]
    columns["grid_import_kw"] = _rounded(grid.mean, 2)
    columns["soc_pct"] = _rounded(soc.mean, 1)
    if series.axis.tier is not Tier.RAW:
        columns["grid_import_kw_min"] = _rounded(grid.least, 2)
        columns["grid_import_kw_max"] = _rounded(grid.most, 2)
    return columns


def _means(series: Series, name: str) -> Sequence[float | None]:
    return series.curves[name].mean


def _rounded(values: Iterable[float | None], digits: int) -> list[float | None]:
    return [None if value is None else round(value, digits) for value in values]


def _holes(plant: Plant, span: Span, series: Series, *, period_s: float, at: datetime) -> list[_Hole]:
    """The ledger's holes, buckets without anything, and the silence until now; each clipped to the span, merged."""
    until = min(span.to_at, at)
    ledger = gaps_of(plant_id=plant.pk, stream=Stream.REALTIME, from_at=span.from_at, to_at=span.to_at)
    found = [_of_ledger(gap, period_s, at) for gap in ledger] + _empty(series)
    if series.newest_at is not None and at - series.newest_at > timedelta(seconds=BROKEN_AFTER * period_s):
        found.append(_Hole(from_at=series.newest_at, to_at=at, is_open=True))
    merged: list[_Hole] = []
    for hole in sorted(found, key=lambda one: one.from_at):
        from_at, to_at = max(hole.from_at, span.from_at), min(hole.to_at, until)
        if from_at >= to_at:
            continue
        last = merged[-1] if merged else None
        if last is not None and from_at <= last.to_at:
            from_at, to_at = last.from_at, max(last.to_at, to_at)
            cause, is_open = last.cause or hole.cause, last.is_open or hole.is_open
            merged[-1] = _Hole(from_at=from_at, to_at=to_at, cause=cause, is_open=is_open)
        else:
            merged.append(_Hole(from_at=from_at, to_at=to_at, cause=hole.cause, is_open=hole.is_open))
    return merged


def _of_ledger(gap: Gap, period_s: float, at: datetime) -> _Hole:
    # The last sample before a hole speaks for a while.
    held = gap.from_at + timedelta(seconds=min(period_s, gap.expected_period_s))
    return _Hole(from_at=held, to_at=gap.to_at or at, cause=gap_cause(gap.cause), is_open=gap.to_at is None)


def _empty(series: Series) -> list[_Hole]:
    """Buckets of which nothing is known, neighbours as one; of samples, what lies between those far apart."""
    moments = [EPOCH + timedelta(milliseconds=ms) for ms in series.axis.times_ms]
    if not moments or series.axis.end_ms is None:
        return []
    ends = [*moments[1:], EPOCH + timedelta(milliseconds=series.axis.end_ms)]
    return [
        _Hole(from_at=begin, to_at=end)
        for begin, end, pct in zip(moments, ends, series.coverage_pct, strict=True)
        if pct is not None and pct <= 0
    ]


# --- planned and commanded --------------------------------------------------------------------------------------------


def _plans(plant: Plant, span: Span) -> list[DayView]:
    """The versions in force of the days that the span touches."""
    views = []
    for day in span.days:
        try:
            view = plan_of_day(
                organisation_id=plant.organisation_id,
                external_plant_id=plant.external_plant_id,
                day=day.day,
            )
        except NotFound:
            continue
        if view.version.state in IN_FORCE:
            views.append(view)
    return views


def _planned(plans: Sequence[DayView], span: Span) -> Columns:
    columns: Columns = {name: [] for name in ("from", "to", "grid_import_kw", "command", "own", "text")}
    for view in plans:
        for outcome in view.outcomes:
            slot = outcome.slot
            if slot.end_at <= span.from_at or slot.start_at >= span.to_at:
                continue
            sign = 1 if slot.direction is Direction.IMPORT else -1
            columns["from"].append(to_ms(slot.start_at))
            columns["to"].append(to_ms(slot.end_at))
            columns["grid_import_kw"].append(round(sign * slot.power_kw, 2))
            columns["command"].append(outcome.command_id)
            columns["own"].append(not slot.include_consumption)
            columns["text"].append(outcome_text(outcome))
    return columns


def _commanded(told: Commanded) -> Columns:
    return {
        "from": [to_ms(step.from_at) for step in told.steps],
        "to": [to_ms(step.to_at) for step in told.steps],
        "grid_import_kw": [round(step.power_kw, 2) for step in told.steps],
        "command": [step.command_id for step in told.steps],
        "own": [step.own for step in told.steps],
        "automatic": [step.automatic for step in told.steps],
    }


def _overrides(plant: Plant, span: Span) -> Columns:
    rows = overrides_within(plant_id=plant.pk, from_at=span.from_at, to_at=span.to_at)
    return {
        "from": [to_ms(row.begun_at) for row in rows],
        "to": [to_ms(min(row.until_at, row.ended_at or row.until_at)) for row in rows],
        "text": [row.by_name for row in rows],
    }


def _soc_window(plant: Plant, span: Span, at: datetime) -> Columns:
    """What the blocks of that time allowed, within the plant's own bounds."""
    columns: Columns = {name: [] for name in ("from", "to", "min_pct", "max_pct")}
    low = 0.0 if plant.soc_min_pct is None else plant.soc_min_pct
    high = 100.0 if plant.soc_max_pct is None else plant.soc_max_pct
    blocks = blocks_in_force(plant_id=plant.pk, at=min(span.to_at, at)) if plant.config_enabled else []
    windows = [
        (one.start_at, one.end_at, max(low, one.block.soc_min_pct), min(high, one.block.soc_max_pct))
        for day in span.days
        for one in windows_of_day(blocks, day=day.day, zone=ZoneInfo(span.zone))
    ]
    if not blocks and (plant.soc_min_pct is not None or plant.soc_max_pct is not None):
        windows = [(span.from_at, span.to_at, low, high)]
    for from_at, to_at, least, most in windows:
        if from_at < span.to_at and to_at > span.from_at:
            columns["from"].append(to_ms(max(from_at, span.from_at)))
            columns["to"].append(to_ms(min(to_at, span.to_at)))
            columns["min_pct"].append(least)
            columns["max_pct"].append(most)
    return columns


def _summary(
    plans: Sequence[DayView], series: Series, holes: Sequence[_Hole], span: Span, at: datetime
) -> str:
    counts: Mapping[str, int] = sum((Counter(view.counts) for view in plans), Counter())
    return day_sentence(
        powers=_means(series, "grid_power_kw"),
        missing=sum((hole.to_at - hole.from_at for hole in holes), timedelta()),
        counts=counts,
        has_plan=bool(plans),
        over=span.to_at <= at,
    )
