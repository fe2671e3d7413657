"""The numbers that decide what is expected of a stream and when its rollups are made, read once by entry points."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

QUARTER = timedelta(minutes=15)
QUARTER_S = 900
HOLD_PERIODS = 1.5  # a realtime sample counts until the next one, at most this many expected periods
METER_REACH_S = 300  # a meter reading this close after a boundary also changes the quarter-hour before it


@dataclass(frozen=True, kw_only=True)
class RollupRules:
    """Periods count where a plant has no `StreamPeriod` of its own; `grace` is waited after a quarter-hour has ended.

    A run of the tick ends after `budget_s`; one transaction takes `chunk` quarter-hours of plants. Older readings than
    `readings_kept` may be gone, and older quarter-hours and hours than `rollups_kept`.
    """

    realtime_period_s: float
    meter_period_s: float
    grace: timedelta
    chunk: int
    budget_s: float
    readings_kept: timedelta
    rollups_kept: timedelta = timedelta(days=1100)


def current_rules() -> RollupRules:
    """The rules of this installation's settings."""
    return RollupRules(
        realtime_period_s=settings.REALTIME_PERIOD_S,
        meter_period_s=settings.METER_PERIOD_S,
        grace=timedelta(seconds=settings.ROLLUP_GRACE_S),
        chunk=settings.ROLLUP_CHUNK,
        budget_s=settings.ROLLUP_BUDGET_S,
        readings_kept=timedelta(days=settings.TELEMETRY_RETENTION_DAYS),
        rollups_kept=timedelta(days=settings.ROLLUP_RETENTION_DAYS),
    )
