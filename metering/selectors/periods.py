"""Expected periods of streams, as they were valid at a time, and how much waits to be rolled up."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min

from metering.models import RollupDue, RollupMark, Stream, StreamPeriod
from metering.rules import RollupRules
from metering.services.due import last_ready_start

BACKLOG_COUNTED = 100_000
"""Due quarter-hours are counted up to this; their age is always exact."""


class Periods:
    """The periods of some plants over all time; the default where a plant has none, or none yet."""

    def __init__(self, *, rows: Iterable[tuple[int, datetime, float]], default_s: float) -> None:
        self._default_s = default_s
        self._by_plant: dict[int, list[tuple[datetime, float]]] = defaultdict(list)
        for plant_id, valid_from, period_s in sorted(rows):
            self._by_plant[plant_id].append((valid_from, period_s))

    def at(self, plant_id: int, moment: datetime) -> float:
        """Seconds between readings that were expected of the plant at `moment`."""
        own = self._by_plant.get(plant_id)
        if own is None:
            return self._default_s
        place = bisect_right(own, moment, key=lambda one: one[0])
        return own[place - 1][1] if place else self._default_s


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What could be rolled up now and is not yet. `oldest_age` counts from the end of the grace; None = nothing."""

    marks: int
    quarters: int
    oldest_start: datetime | None
    oldest_age: timedelta | None


def default_period_s(*, stream: Stream, rules: RollupRules) -> float:
    """The period of a plant that has none of its own."""
    return rules.realtime_period_s if stream == Stream.REALTIME else rules.meter_period_s


def periods_of(*, plant_ids: Sequence[int], stream: Stream, rules: RollupRules) -> Periods:
    """The periods of these plants: one query."""
    rows = StreamPeriod.objects.filter(stream=stream, plant_id__in=plant_ids)
    return Periods(
        rows=rows.values_list("plant_id", "valid_from", "period_s"),
        default_s=default_period_s(stream=stream, rules=rules),
    )


def rollup_backlog(*, stream: Stream, at: datetime, rules: RollupRules) -> Backlog:
    """How far the rollups of a stream are behind: three short queries."""
    ready = last_ready_start(at=at, rules=rules, stream=stream)
    due = RollupDue.objects.filter(stream=stream, start_at__lte=ready)
    marks = RollupMark.objects.filter(stream=stream, start_at__lte=ready)
    unfolded = marks.aggregate(oldest=Min("start_at"), count=Count("pk"))
    beginnings = (due.aggregate(oldest=Min("start_at"))["oldest"], unfolded["oldest"])
    oldest = min((start_at for start_at in beginnings if start_at), default=None)
    return Backlog(
        marks=unfolded["count"],
        quarters=due[:BACKLOG_COUNTED].count(),
        oldest_start=oldest,
        oldest_age=None if oldest is None else ready - oldest,
    )
