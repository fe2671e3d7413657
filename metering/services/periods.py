"""Expected periods of plants: set by a person, or learnt from what came in the last day.

A period is valid from a quarter-hour that begins in some minutes: every process knows it by then, and no quarter-hour
that was rolled up is judged by it. One that a person has set is never learnt over.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from metering.learnt_period import Shown, other_period
from metering.models import LedgerProgress, MeterQuarter, Stream, StreamPeriod, TelemetryQuarter
from metering.rules import HOLD_PERIODS, QUARTER_S, RollupRules
from metering.selectors.periods import default_period_s
from metering.services.marks import LONGEST_KNOWN_FOR_S, forget_longest_period
from plants.errors import Invalid
from plants.models import Plant
from vcp.said import said

MOST_S = {Stream.REALTIME: 900.0, Stream.METER: 3600.0}
LEARNT_FROM = timedelta(days=1)
PLANTS_AT_ONCE = 500
LEARN_BUDGET_S = 30.0
"""A run ends after so long, well within a tick's time limit: a day of 100,000 plants is more than it can read."""
_PROGRESS = "PERIODS"


def set_period(
    *, plant: Plant, stream: Stream, period_s: float | None, by_name: str, at: datetime, rules: RollupRules
) -> StreamPeriod:
    """A person sets how far apart readings are expected, 1 s to 15 min (meters: 1 h); None = it is learnt again."""
    if period_s is not None and not 1.0 <= period_s <= MOST_S[stream]:
        raise Invalid(said("must be from 1 to %(limit)s seconds", limit=MOST_S[stream]), path="period_s")
    source = StreamPeriod.Source.LEARNT if period_s is None else StreamPeriod.Source.SET
    row, _ = StreamPeriod.objects.update_or_create(
        plant=plant,
        stream=stream,
        valid_from=valid_from(at),
        defaults={
            "period_s": default_period_s(stream=stream, rules=rules) if period_s is None else period_s,
            "source": source,
            "set_by_name": by_name[:150],
        },
    )
    forget_longest_period()
    return row


def valid_from(at: datetime) -> datetime:
    """The beginning of the first quarter-hour by which every process knows what is written now."""
    known_s = at.timestamp() + 2 * LONGEST_KNOWN_FOR_S
    return datetime.fromtimestamp(-(-known_s // QUARTER_S) * QUARTER_S, UTC)


def learn_periods(*, at: datetime, rules: RollupRules) -> int:
    """Tick: learn periods of plants whose last day shows a clearly other one; answers how many were learnt.

    As many plants as the budget allows, at least a page; the next run goes on behind them, round and round.
    """
    ends = time.monotonic() + LEARN_BUDGET_S
    progress, _ = LedgerProgress.objects.get_or_create(part=_PROGRESS, defaults={"until_at": at})
    learnt, last = 0, False
    while not last:
        rows = Plant.objects.filter(pk__gt=progress.until_id).order_by("pk")
        plant_ids = list(rows.values_list("pk", flat=True)[:PLANTS_AT_ONCE])
        learnt += sum(_learn(stream, plant_ids, at, rules) for stream in (Stream.REALTIME, Stream.METER))
        last = len(plant_ids) < PLANTS_AT_ONCE
        progress.until_at, progress.until_id = at, 0 if last else plant_ids[-1]
        progress.save(update_fields=["until_at", "until_id"])
        if time.monotonic() >= ends:
            break
    if learnt:
        forget_longest_period()
    return learnt


def _learn(stream: Stream, plant_ids: Sequence[int], at: datetime, rules: RollupRules) -> int:
    default_s = default_period_s(stream=stream, rules=rules)
    newest = {
        row.plant_id: row
        for row in StreamPeriod.objects.filter(stream=stream, plant_id__in=plant_ids).order_by("valid_from")
    }
    open_ids = [
        plant_id
        for plant_id in plant_ids
        if plant_id not in newest or newest[plant_id].source == StreamPeriod.Source.LEARNT
    ]
    found: list[StreamPeriod] = []
    for plant_id, quarters in _shown(stream, open_ids, newest, at, default_s).items():
        known = newest.get(plant_id)
        period_s = other_period(
            quarters,
            expected_s=known.period_s if known else default_s,
            default_s=default_s,
            most_s=MOST_S[stream],
        )
        if period_s is not None:
            found.append(
                StreamPeriod(
                    plant_id=plant_id,
                    stream=stream,
                    valid_from=valid_from(at),
                    period_s=period_s,
                    source=StreamPeriod.Source.LEARNT,
                )
            )
    StreamPeriod.objects.bulk_create(found, ignore_conflicts=True)
    return len(found)


def _shown(
    stream: Stream,
    plant_ids: Sequence[int],
    newest: dict[int, StreamPeriod],
    at: datetime,
    default_s: float,
) -> dict[int, list[Shown]]:
    """What the quarter-hours of the last day show, as far as they were judged by the plant's present period."""
    shown: dict[int, list[Shown]] = defaultdict(list)
    for plant_id, start_at, readings, covered_s in _counted(stream, plant_ids, at):
        known = newest.get(plant_id)
        if known is None or start_at >= known.valid_from:
            period_s = known.period_s if known else default_s
            most_each_s = HOLD_PERIODS * period_s if stream == Stream.REALTIME else float("inf")
            shown[plant_id].append(Shown(readings=readings, covered_s=covered_s, most_each_s=most_each_s))
    return shown


def _counted(
    stream: Stream, plant_ids: Sequence[int], at: datetime
) -> Iterable[tuple[int, datetime, int, float]]:
    """(plant id, beginning, readings, covered seconds) of quarter-hours with readings; of a meter each on its own."""
    if stream == Stream.REALTIME:
        quarters = TelemetryQuarter.objects.filter(
            plant_id__in=plant_ids, start_at__gte=at - LEARNT_FROM, start_at__lt=at, samples__gt=0
        )
        return quarters.order_by().values_list("plant_id", "start_at", "samples", "covered_s")
    meters = MeterQuarter.objects.filter(
        plant_id__in=plant_ids, start_at__gte=at - LEARNT_FROM, start_at__lt=at, readings__gt=0
    )
    return meters.order_by().values_list("plant_id", "start_at", "readings", "covered_s")
