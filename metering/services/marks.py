"""Marks of what changed: written in the transaction that stores readings, so that no change is ever forgotten.

A reading changes the quarter-hour that it was measured in. A realtime sample also speaks in the next one when it is
held across the boundary (at most 1.5 expected periods). A meter reading soon after a boundary ends a difference that
began before it, and so completes the quarter-hour before; the roll-up of meters looks for those that reach further.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from django.db.models import Max

from metering.models import RollupMark, Stream, StreamPeriod
from metering.rules import HOLD_PERIODS, METER_REACH_S, QUARTER_S, current_rules
from plants.sql import insert_rows

LONGEST_KNOWN_FOR_S = 60.0
"""A process asks this often for the longest period; a new one is valid no sooner than twice this span from now."""


class _Longest(NamedTuple):
    period_s: float
    asked_at: float


_longest: dict[str, _Longest] = {}
_longest_lock = threading.Lock()


Changed = Collection[tuple[int, datetime]]
"""(plant id, moment of the reading), any order, repeats too."""


def mark_changed(*, stream: Stream, changed: Changed) -> None:
    """Mark the quarter-hours in which these readings of one stream count; as `mark_all_changed`."""
    mark_all_changed({stream: changed})


def mark_all_changed(changed: Mapping[Stream, Changed]) -> None:
    """Mark the quarter-hours in which these readings count.

    Call within the transaction that stores the readings: one INSERT, no row that anybody else touches.
    """
    insert_rows(
        RollupMark,
        [
            {"stream": stream.value, "start_at": start_at, "plant_ids": sorted(plant_ids)}
            for stream, readings in changed.items()
            for start_at, plant_ids in _touched(stream, readings)
        ],
    )


def _touched(stream: Stream, changed: Changed) -> Iterator[tuple[datetime, set[int]]]:
    """Each quarter-hour, the oldest first, with the plants whose readings count in it."""
    if not changed:
        return
    hold_s = HOLD_PERIODS * _longest_period_s() if stream == Stream.REALTIME else 0.0
    reach_s = METER_REACH_S if stream == Stream.METER else 0.0
    touched: defaultdict[int, set[int]] = defaultdict(set)
    for plant_id, moment in changed:
        moment_s = moment.timestamp()
        quarter = int(moment_s // QUARTER_S)
        touched[quarter].add(plant_id)
        if moment_s - reach_s < quarter * QUARTER_S:
            touched[quarter - 1].add(plant_id)
        while (quarter + 1) * QUARTER_S < moment_s + hold_s:
            quarter += 1
            touched[quarter].add(plant_id)
    for quarter in sorted(touched):
        yield datetime.fromtimestamp(quarter * QUARTER_S, UTC), touched[quarter]


def forget_longest_period() -> None:
    """Drop this process's memory of the longest realtime period (after one was set, between tests)."""
    with _longest_lock:
        _longest.clear()


def _longest_period_s() -> float:
    """The longest realtime period of any plant: what holds a sample at most, without a query per batch."""
    known = _longest.get(Stream.REALTIME)
    if known is not None and time.monotonic() - known.asked_at < LONGEST_KNOWN_FOR_S:
        return known.period_s
    of_plants = StreamPeriod.objects.filter(stream=Stream.REALTIME).aggregate(longest=Max("period_s"))
    period_s = max(of_plants["longest"] or 0.0, current_rules().realtime_period_s)
    with _longest_lock:
        _longest[Stream.REALTIME] = _Longest(period_s, time.monotonic())
    return period_s
