"""What is not rolled up yet: the newest quarter-hours of a plant, computed from its samples as the roll-up will do it.

They begin where the stored quarter-hours end, at most `REACH` before the present, so that the newest sample is always
shown. Where the roll-ups are far behind and more samples wait than may be read, the newest ones are, and it is told
which time was left out.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering.rollup import MEASURES, Rollup, Sample, roll_up
from metering.rules import HOLD_PERIODS, QUARTER
from metering.selectors.periods import Periods
from metering.tiers import floor
from plants.models import TelemetryReading
from vcp import DataQuality

REACH = timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class Tail:
    """Quarter-hours in order, with what is known of them. `newest_at`: the last sample's moment.

    `unread`: samples of this time may be there, and were not read.
    """

    quarters: Sequence[tuple[datetime, Rollup]] = ()
    newest_at: datetime | None = None
    unread: tuple[datetime, datetime] | None = None


NO_TAIL = Tail()


def read_tail(
    *, plant_id: int, low: datetime, high: datetime, limit: int, periods: Periods, at: datetime
) -> Tail:
    """The quarter-hours of [low, high) from at most `limit` samples, the newest ones: one query.

    `low` begins a quarter-hour. What was held from before `low` counts, as in a roll-up.
    """
    longest = timedelta(seconds=HOLD_PERIODS * max(periods.at(plant_id, low), periods.at(plant_id, at)))
    rows = (
        TelemetryReading.objects.filter(
            plant_id=plant_id, measured_at__gt=low - longest, measured_at__lt=high
        )
        .order_by("-measured_at")
        .values_list("measured_at", "quality_rank", "data_quality", *MEASURES)[:limit]
    )
    samples = [
        Sample(
            measured_at=moment, values=tuple(values), quality_rank=rank, missing=word == DataQuality.MISSING
        )
        for moment, rank, word, *values in reversed(rows)
    ]
    if not samples:
        return NO_TAIL
    first_at = samples[0].measured_at
    return Tail(
        quarters=list(_quarters(samples, max(low, floor(first_at, QUARTER)), high, plant_id, periods)),
        newest_at=samples[-1].measured_at,
        unread=(low, first_at) if len(samples) == limit and first_at > low else None,
    )


def _quarters(
    samples: Sequence[Sample], start_at: datetime, high: datetime, plant_id: int, periods: Periods
) -> Iterator[tuple[datetime, Rollup]]:
    moments = [one.measured_at for one in samples]
    while start_at < high:
        end_at = start_at + QUARTER
        hold_s = HOLD_PERIODS * periods.at(plant_id, start_at)
        held = bisect_left(moments, start_at - timedelta(seconds=hold_s))
        if held == len(moments):
            return
        within = samples[held : bisect_left(moments, end_at)]
        found = roll_up(within, start_at=start_at, end_at=end_at, hold_s=hold_s)
        if found is not None:
            yield start_at, found
        start_at = end_at
