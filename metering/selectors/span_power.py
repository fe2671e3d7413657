"""Mean powers over any spans of many plants, from the samples themselves: what a target is judged by.

A sample counts until the next one, at most `HOLD_PERIODS` expected periods, and so may count in a span that begins
after it (as in `metering.rollup`). Only samples of quality GOOD and INTERPOLATED are believed: one that is stale,
missing or of an unknown word ends the sample before it and covers nothing. Signs as in docs/glossary.md.

The plant's own power is battery minus PV; a value that the plant has no device for may be null, one that it has may
not. On PostgreSQL all spans are one statement, with constant bounds of time beside those of each, so that partitions
which can't hold any are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from django.db import connection

from metering.models import Stream
from metering.rules import HOLD_PERIODS, RollupRules
from metering.selectors.periods import periods_of
from plants.models import TelemetryReading

BELIEVED_RANK = 2
"""GOOD and INTERPOLATED."""
_COLUMNS = ("measured_at", "quality_rank", "grid_power_kw", "fve_power_kw", "battery_power_kw", "soc_pct")


class PowerSpan(NamedTuple):
    """[low, high) of a plant; whether it has batteries and PV, without which its own power is not known."""

    plant_id: int
    low: datetime
    high: datetime
    has_battery: bool
    has_pv: bool


@dataclass(frozen=True, kw_only=True)
class PowerMeans:
    """Means over the seconds for which each is known (None = never), and the last charge that is."""

    samples: int
    grid_kw: float | None
    grid_known_s: float
    own_kw: float | None
    own_known_s: float
    soc_end_pct: float | None


def mean_powers(*, spans: Sequence[PowerSpan], rules: RollupRules) -> list[PowerMeans]:
    """For each span what is known of it: two queries on PostgreSQL, however many spans."""
    if not spans:
        return []
    periods = periods_of(
        plant_ids=sorted({span.plant_id for span in spans}), stream=Stream.REALTIME, rules=rules
    )
    holds = [timedelta(seconds=HOLD_PERIODS * periods.at(span.plant_id, span.low)) for span in spans]
    if connection.vendor == "postgresql":
        return _by_statement(spans, holds)
    return [_means(_sampled(span, hold), span, hold) for span, hold in zip(spans, holds, strict=True)]


_MEANS = f"""
    SELECT s.n, a.* FROM unnest(%(numbers)s::int[], %(plants)s::bigint[], %(lows)s::timestamptz[],
                %(highs)s::timestamptz[], %(holds)s::interval[], %(batteries)s::bool[], %(pvs)s::bool[])
           AS s(n, plant_id, low, high, hold, has_battery, has_pv)
     CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE believed AND measured_at >= s.low),
               sum(grid * seconds) / sum(seconds) FILTER (WHERE grid IS NOT NULL),
               coalesce(sum(seconds) FILTER (WHERE grid IS NOT NULL), 0),
               sum(own * seconds) / sum(seconds) FILTER (WHERE own IS NOT NULL),
               coalesce(sum(seconds) FILTER (WHERE own IS NOT NULL), 0),
               (array_agg(soc ORDER BY measured_at DESC) FILTER (WHERE soc IS NOT NULL))[1]
          FROM (
            SELECT r.measured_at, r.quality_rank >= {BELIEVED_RANK} AS believed,
                   CASE WHEN r.quality_rank >= {BELIEVED_RANK} THEN r.grid_power_kw END AS grid,
                   CASE WHEN r.quality_rank >= {BELIEVED_RANK} THEN r.soc_pct END AS soc,
                   CASE WHEN r.quality_rank < {BELIEVED_RANK} OR s.has_battery AND r.battery_power_kw IS NULL
                          OR s.has_pv AND r.fve_power_kw IS NULL THEN NULL
                        ELSE coalesce(r.battery_power_kw, 0) - coalesce(r.fve_power_kw, 0) END AS own,
                   date_part('epoch', least(lead(r.measured_at) OVER (ORDER BY r.measured_at),
                                            r.measured_at + s.hold, s.high)
                                      - greatest(r.measured_at, s.low)) AS seconds
              FROM plants_telemetryreading r
             WHERE r.plant_id = s.plant_id AND r.measured_at > s.low - s.hold AND r.measured_at < s.high
               AND r.measured_at >= %(low)s AND r.measured_at < %(high)s OFFSET 0
          ) AS piece
         WHERE seconds > 0
     ) AS a
"""  # noqa: S608 - our own names


def _by_statement(spans: Sequence[PowerSpan], holds: Sequence[timedelta]) -> list[PowerMeans]:
    found: list[PowerMeans] = [_NOTHING] * len(spans)
    with connection.cursor() as cursor:
        cursor.execute(
            _MEANS,
            {
                "numbers": list(range(len(spans))),
                "plants": [span.plant_id for span in spans],
                "lows": [span.low for span in spans],
                "highs": [span.high for span in spans],
                "holds": list(holds),
                "batteries": [span.has_battery for span in spans],
                "pvs": [span.has_pv for span in spans],
                "low": min(span.low for span in spans) - max(holds),
                "high": max(span.high for span in spans),
            },
        )
        for number, *values in cursor.fetchall():
            found[number] = _of(*values)
    return found


def _of(
    samples: int,
    grid_kw: float | None,
    grid_known_s: float,
    own_kw: float | None,
    own_known_s: float,
    soc_end_pct: float | None,
) -> PowerMeans:
    return PowerMeans(
        samples=samples,
        grid_kw=grid_kw,
        grid_known_s=grid_known_s,
        own_kw=own_kw,
        own_known_s=own_known_s,
        soc_end_pct=soc_end_pct,
    )


_NOTHING = _of(0, None, 0.0, None, 0.0, None)


class _Sample(NamedTuple):
    """In the order of `_COLUMNS`."""

    measured_at: datetime
    rank: int
    grid_kw: float | None
    fve_kw: float | None
    battery_kw: float | None
    soc_pct: float | None


def _sampled(span: PowerSpan, hold: timedelta) -> list[_Sample]:
    rows = TelemetryReading.objects.filter(
        plant_id=span.plant_id, measured_at__gt=span.low - hold, measured_at__lt=span.high
    )
    return [_Sample(*row) for row in rows.order_by("measured_at").values_list(*_COLUMNS)]


def _means(samples: Sequence[_Sample], span: PowerSpan, hold: timedelta) -> PowerMeans:
    pieces = list(_pieces(samples, span, hold))
    grid_kw, grid_known_s = _mean((one.grid_kw, seconds) for one, seconds in pieces)
    own_kw, own_known_s = _mean((_own(one, span), seconds) for one, seconds in pieces)
    charges = [one.soc_pct for one, _ in pieces if one.soc_pct is not None]
    return PowerMeans(
        samples=sum(one.measured_at >= span.low for one, _ in pieces),
        grid_kw=grid_kw,
        grid_known_s=grid_known_s,
        own_kw=own_kw,
        own_known_s=own_known_s,
        soc_end_pct=charges[-1] if charges else None,
    )


def _pieces(samples: Sequence[_Sample], span: PowerSpan, hold: timedelta) -> Iterable[tuple[_Sample, float]]:
    """Believed samples with the seconds that each counts within the span."""
    for one, following in pairwise([*samples, None]):
        if one is None or one.rank < BELIEVED_RANK:
            continue
        until = min(one.measured_at + hold, span.high)
        if following is not None:
            until = min(until, following.measured_at)
        seconds = (until - max(one.measured_at, span.low)).total_seconds()
        if seconds > 0:
            yield one, seconds


def _own(one: _Sample, span: PowerSpan) -> float | None:
    if (span.has_battery and one.battery_kw is None) or (span.has_pv and one.fve_kw is None):
        return None
    return (one.battery_kw or 0.0) - (one.fve_kw or 0.0)


def _mean(values: Iterable[tuple[Any, float]]) -> tuple[float | None, float]:
    known = [(value, seconds) for value, seconds in values if value is not None]
    total_s = sum(seconds for _, seconds in known)
    return (sum(value * seconds for value, seconds in known) / total_s if known else None), total_s
