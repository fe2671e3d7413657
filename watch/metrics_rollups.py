"""How far the rollups of measurements are behind what has come."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from metering.models import Stream
from metering.rules import current_rules
from metering.selectors.periods import BACKLOG_COUNTED, rollup_backlog


def rollups(at: datetime) -> Iterable[Metric]:
    """What waits, and how long the oldest of it could have been done."""
    waiting = GaugeMetricFamily(
        "esm_rollup_due_quarters",
        f"Ended quarter-hours of plants that wait to be rolled up, counted up to {BACKLOG_COUNTED}.",
        labels=("stream",),
    )
    oldest = GaugeMetricFamily(
        "esm_rollup_oldest_age_seconds",
        "Since the oldest quarter-hour that waits had ended and its grace was over; 0 = none waits. Grows with late"
        " samples of long ago, too: it says how old what waits is.",
        labels=("stream",),
    )
    for stream in Stream:
        backlog = rollup_backlog(stream=stream, at=at, rules=current_rules())
        waiting.add_metric((stream.value,), backlog.quarters)
        oldest.add_metric((stream.value,), backlog.oldest_age.total_seconds() if backlog.oldest_age else 0.0)
    return waiting, oldest
