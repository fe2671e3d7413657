"""Which stored resolution a chart is drawn from, and the buckets that it shows.

A chart is drawn from the finest tier of which no more than `points` rows lie within its range: two for each CSS pixel,
and never more than 2,000 are read. Samples themselves and quarter-hours are kept for a time only; days for ever. Where
even days are too many they are put together, so many that they fit.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import accumulate, islice
from operator import sub

from metering.days import local_day, local_day_of
from metering.rules import QUARTER

READ_AT_MOST = 2000
"""Rows that one series may read, the samples included from which its newest part is computed."""
TAIL_AT_LEAST = 200
"""So many of them are left for these samples."""
POINTS_PER_PX = 2
WIDEST_PX = 20_000
LONGEST = timedelta(days=READ_AT_MOST - TAIL_AT_LEAST)
OLDEST = timedelta(days=36_500)
"""Nothing is asked for further away from the present, in either direction."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Tier(StrEnum):
    """A stored resolution."""

    RAW = "RAW"
    QUARTER = "QUARTER"
    HOUR = "HOUR"
    DAY = "DAY"


COARSER = {Tier.RAW: Tier.QUARTER, Tier.QUARTER: Tier.HOUR, Tier.HOUR: Tier.DAY}
STEP = {Tier.QUARTER: QUARTER, Tier.HOUR: timedelta(hours=1)}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """How long samples, and how long quarter-hours and hours are kept."""

    readings: timedelta
    rollups: timedelta


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The buckets of a series, each from its start to the next one's; the last one to `end_at`. UTC.

    `days`: of tier DAY the calendar days, `together` of them in each bucket; else empty.
    """

    tier: Tier
    starts: Sequence[datetime]
    end_at: datetime
    days: Sequence[date] = ()
    together: int = 1

    def starts_ms(self) -> list[int]:
        """Milliseconds since 1970."""
        return [to_ms(start_at) for start_at in self.starts]


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    return (moment - EPOCH) // _MS


def points_at_most(width_px: int) -> int:
    """How many points a chart of this width may have."""
    return min(READ_AT_MOST - TAIL_AT_LEAST, POINTS_PER_PX * width_px)


def choose_tier(
    *, from_at: datetime, to_at: datetime, points: int, period_s: float | None, at: datetime, kept: Kept
) -> Tier:
    """The finest tier with at most `points` rows in [from_at, to_at) that still has all of them.

    `period_s`: expected seconds between samples; None = samples are not wanted.
    """
    span = to_at - from_at
    if (
        period_s is not None
        and from_at >= at - kept.readings
        and span / timedelta(seconds=period_s) + 1 <= points
    ):
        return Tier.RAW
    if from_at >= at - kept.rollups:
        for tier, step in STEP.items():
            if span / step + 1 <= points:
                return tier
    return Tier.DAY


def grid(tier: Tier, *, from_at: datetime, to_at: datetime, zone: str, points: int) -> Grid:
    """The buckets that hold [from_at, to_at), not of RAW; the first may begin before, the last may end after.

    Days are those of the zone, as many together as it takes to have at most `points` buckets.
    """
    if tier is Tier.DAY:
        return _days(from_at, to_at, zone, points)
    step = STEP[tier]
    start_at = floor(from_at, step)
    count = -((start_at - to_at) // step)
    return Grid(
        tier=tier,
        starts=[start_at + number * step for number in range(count)],
        end_at=start_at + count * step,
    )


def begun(buckets: Grid, present: datetime) -> Grid:
    """The buckets that do not lie in the future."""
    count = bisect_right(buckets.starts, present)
    if count == len(buckets.starts):
        return buckets
    return replace(buckets, starts=buckets.starts[:count], end_at=buckets.starts[count])


def floor(moment: datetime, step: timedelta) -> datetime:
    """The last multiple of the step since 1970 that is not after `moment`."""
    return EPOCH + (moment - EPOCH) // step * step


def _days(from_at: datetime, to_at: datetime, zone: str, points: int) -> Grid:
    first = local_day_of(from_at, zone=zone)
    days, starts, end_at = [first.day], [first.start_at], first.end_at
    while end_at < to_at:
        following = local_day(days[-1] + timedelta(days=1), zone=zone)
        days.append(following.day)
        starts.append(following.start_at)
        end_at = following.end_at
    together = -(-len(days) // points)
    return Grid(tier=Tier.DAY, starts=starts[::together], end_at=end_at, days=days, together=together)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The times of a series in milliseconds: `start_ms` since 1970, then from each point to the next one.

    A point stands for the time from its own moment to the next point's; the last one to `end_ms`. No points: both None.
    """

    tier: Tier
    start_ms: int | None
    deltas_ms: Sequence[int]
    end_ms: int | None

    @property
    def times_ms(self) -> list[int]:
        """The moment of each point, since 1970."""
        return [] if self.start_ms is None else list(accumulate(self.deltas_ms, initial=self.start_ms))


def axis(tier: Tier, times_ms: Sequence[int], *, end_ms: int) -> Axis:
    """The axis of points at these times, in ascending order."""
    if not times_ms:
        return Axis(tier=tier, start_ms=None, deltas_ms=(), end_ms=None)
    deltas_ms = list(map(sub, islice(times_ms, 1, None), times_ms))
    return Axis(tier=tier, start_ms=times_ms[0], deltas_ms=deltas_ms, end_ms=end_ms)
