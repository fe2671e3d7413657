"""Energy from meter registers: only what changed is counted again, always from the readings themselves.

A transaction takes a chunk of due quarter-hours, widens each meter's work to what the change reaches
(`metering.services.meter_work`), counts it, and sums up the hours and local days that hold it. So whatever the order in
which readings came, the result is that of a rebuild. A quarter-hour of which nothing is known has no row.

A quarter-hour is counted when it has ended, the grace has passed, and the readings that soon follow its end are in.

Edge cases, the concurrency policy:
- One transaction at a time: two would each miss the other's quarter-hours in the hour that both belong to.
- A reading that commits after its quarter-hour was read has marks of its own (see `metering.services.due`).
- Quarter-hours whose readings may be gone already are left as they are.
- A plant that was deleted in the meantime is left out; its rows went with it.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from metering.days import local_day_of
from metering.models import Meter, MeterHour, MeterQuarter, RollupDue, Stream
from metering.registers import QUARTER_US, QuarterEnergy, count_energy
from metering.rules import QUARTER, RollupRules
from metering.selectors.meter_facts import MeterLimits, PlantFacts, facts_of_plants
from metering.selectors.meter_readings import to_moment, to_us
from metering.services.chunks import Budget, chunk_at_a_time
from metering.services.due import first_due, fold_marks, last_ready_start, take_due
from metering.services.meter_sums import (
    HOUR,
    Interval,
    QuarterKey,
    forget_quarters,
    forget_sums,
    store_quarters,
    sum_days,
    sum_hours,
)
from metering.services.meter_work import MeterWork, quarters_within, reached, runs, widen, work_on
from metering.services.register_events import MeterLeaps, StoredEvents
from plants.errors import Invalid
from plants.services.partitions import PartitionedTable, Unit
from plants.sql import insert_or_update
from vcp.said import said

_LOCK = zlib.crc32(b"metering:meter-rollup")
_TABLES = tuple(
    PartitionedTable(model=model, column="start_at", unit=Unit.MONTH) for model in (MeterQuarter, MeterHour)
)
_MARGIN_PERIODS = 1.5
_DAY_QUARTERS = 96
_DUE_PORTION = 500
_STARTS_NAMED = 50
_US = 1_000_000


@dataclass(frozen=True, kw_only=True)
class MetersRolled:
    """What a run has done; `more` = it stopped at its budget, the next run goes on."""

    marks: int
    quarters: int
    more: bool


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all steps of one chunk share. Quarter-hours are counted from `oldest_us` to `end_us`."""

    at: datetime
    rules: RollupRules
    limits: MeterLimits
    facts: Mapping[int, PlantFacts]
    oldest_us: int
    end_us: int

    @property
    def bridge_us(self) -> int:
        return to_us_span(self.limits.bridge)

    @property
    def margin_us(self) -> int:
        return int(_MARGIN_PERIODS * self.rules.meter_period_s * _US)


class _Wide(NamedTuple):
    """A meter's work and the wider span that it reaches."""

    work: MeterWork
    low_us: int
    high_us: int


def to_us_span(span: timedelta) -> int:
    """Whole microseconds."""
    return span // timedelta(microseconds=1)


def roll_up_meters(*, at: datetime, rules: RollupRules, limits: MeterLimits) -> MetersRolled:
    """Tick: fold the marks, then count what is due, oldest first, until nothing is left or the budget is spent."""
    budget = Budget(rules.budget_s)
    marks = budget.until_none(fold_marks)
    quarters = budget.until_none(lambda: roll_up_meter_chunk(at=at, rules=rules, limits=limits))
    return MetersRolled(marks=marks, quarters=quarters, more=budget.spent)


def roll_up_meter_chunk(*, at: datetime, rules: RollupRules, limits: MeterLimits) -> int:
    """Count the oldest chunk of due quarter-hours, in one transaction; answers how many were seen to be due."""
    ready = last_ready_start(at=at, rules=rules, stream=Stream.METER)
    seen = first_due(stream=Stream.METER, ready=ready, limit=rules.chunk)
    if seen:
        days = _days_around({due.start_at for due in seen}, limits.bridge, ready)
        with chunk_at_a_time(lock=_LOCK, days=days, tables=_TABLES):
            due = [(one.plant_id, to_us(one.start_at)) for one in take_due(seen=seen)]
            _count_due(due, _run({plant_id for plant_id, _ in due}, at=at, rules=rules, limits=limits))
    return len(seen)


def rebuild_meters(
    *,
    plant_ids: Sequence[int],
    from_at: datetime,
    to_at: datetime,
    at: datetime,
    rules: RollupRules,
    limits: MeterLimits,
) -> int:
    """Count all quarter-hours again that begin within [from_at, to_at) and have ended, and what holds them.

    From the readings and from people's decisions alone; answers how many quarter-hours of plants were looked at. One
    transaction for some plants and at most a day. Raises Invalid where readings may be gone already.
    """
    if to_at <= from_at:
        raise Invalid(said("lies before its beginning"), path="to_at")
    if from_at < at - rules.readings_kept + QUARTER:
        raise Invalid(said("readings of that time are no longer kept"), path="from_at")
    until = min(to_at, last_ready_start(at=at, rules=rules, stream=Stream.METER) + timedelta(microseconds=1))
    low_us, end_us = (
        -(-to_us(from_at) // QUARTER_US) * QUARTER_US,
        -(-to_us(until) // QUARTER_US) * QUARTER_US,
    )
    ids, step = sorted(set(plant_ids)), max(1, rules.chunk // _DAY_QUARTERS)
    looked_at = 0
    for start_us in range(low_us, end_us, _DAY_QUARTERS * QUARTER_US):
        starts = list(quarters_within(start_us, min(end_us, start_us + _DAY_QUARTERS * QUARTER_US)))
        for place in range(0, len(ids), step):
            portion = ids[place : place + step]
            with chunk_at_a_time(lock=_LOCK, days={to_moment(one).date() for one in starts}, tables=_TABLES):
                run = _run(portion, at=at, rules=rules, limits=limits)
                _rebuild_portion([(one, start) for one in portion for start in starts], run)
            looked_at += len(portion) * len(starts)
    return looked_at


def _run(plant_ids: Iterable[int], *, at: datetime, rules: RollupRules, limits: MeterLimits) -> _Run:
    return _Run(
        at=at,
        rules=rules,
        limits=limits,
        facts=facts_of_plants(plant_ids=sorted(plant_ids), rules=rules, limits=limits),
        oldest_us=-(-to_us(at - rules.readings_kept + QUARTER) // QUARTER_US) * QUARTER_US,
        end_us=to_us(last_ready_start(at=at, rules=rules, stream=Stream.METER)) // QUARTER_US * QUARTER_US
        + QUARTER_US,
    )


def _days_around(starts: set[datetime], bridge: timedelta, ready: datetime) -> set[date]:
    """One day of each month that work on these quarter-hours can widen to."""
    days, day = {ready.date()}, min(starts) - bridge
    while day < min(ready, max(starts) + bridge):
        days.add(day.astimezone(UTC).date().replace(day=1))
        day += timedelta(days=1)
    return days


def _count_due(due: Sequence[tuple[int, int]], run: _Run) -> None:
    due = [one for one in due if one[0] in run.facts and one[1] >= run.oldest_us]
    if not due:
        return
    works = work_on(runs(due), known=_known_registers(run), margin_us=run.margin_us, bridge_us=run.bridge_us)
    wide = [_Wide(work, *reached(work, bridge_us=run.bridge_us)) for work in works]
    wide = [one for one in wide if one.low_us < one.work.low_us or one.high_us > one.work.high_us]
    wide = _not_waiting(wide, set(due), run)
    works += widen(
        [(one.work, one.low_us, one.high_us) for one in wide],
        margin_us=run.margin_us,
        bridge_us=run.bridge_us,
    )
    _count(works, run)


def _not_waiting(wide: Sequence[_Wide], due: set[tuple[int, int]], run: _Run) -> list[_Wide]:
    """The wider spans, as far as they can be counted now, that hold a quarter-hour which nobody else counts.

    What can't be counted yet is made due: by this clock it has not ended, by another it may be counted already.
    """
    beside = {
        (one.work.plant_id, start)
        for one in wide
        for start in quarters_within(max(one.low_us, run.oldest_us), one.high_us)
    } - due
    beside -= _waiting(beside)
    ahead = sorted((start, plant_id) for plant_id, start in beside if start >= run.end_us)
    RollupDue.objects.bulk_create(
        [
            RollupDue(stream=Stream.METER, start_at=to_moment(start), plant_id=plant_id)
            for start, plant_id in ahead
        ],
        ignore_conflicts=True,
        batch_size=_DUE_PORTION,
    )
    beside -= {(plant_id, start) for start, plant_id in ahead}
    cut = [
        one._replace(
            low_us=max(one.low_us, run.oldest_us), high_us=max(one.work.high_us, min(one.high_us, run.end_us))
        )
        for one in wide
    ]
    return [
        one
        for one in cut
        if any((one.work.plant_id, start) in beside for start in quarters_within(one.low_us, one.high_us))
    ]


def _waiting(quarters: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Which of the quarter-hours (plant id, beginning) are due."""
    if not quarters:
        return set()
    starts = {start for _, start in quarters}
    rows = RollupDue.objects.filter(stream=Stream.METER, plant_id__in={plant_id for plant_id, _ in quarters})
    if len(starts) <= _STARTS_NAMED:
        rows = rows.filter(start_at__in=[to_moment(start) for start in sorted(starts)])
    else:
        rows = rows.filter(start_at__gte=to_moment(min(starts)), start_at__lte=to_moment(max(starts)))
    return {(plant_id, to_us(start_at)) for plant_id, start_at in rows.values_list("plant_id", "start_at")}


def _rebuild_portion(quarters: Sequence[tuple[int, int]], run: _Run) -> None:
    quarters = [one for one in quarters if one[0] in run.facts]
    if not quarters:
        return
    works = work_on(
        runs(quarters), known=_known_registers(run), margin_us=run.margin_us, bridge_us=run.bridge_us
    )
    _count(works, run)
    # A meter of which nothing is told around the time may have rows there from what was told before.
    counted = {(work.plant_id, work.device_id) for work in works}
    starts = [start for _, start in quarters]
    rows = MeterQuarter.objects.filter(
        plant_id__in=run.facts, start_at__gte=to_moment(min(starts)), start_at__lte=to_moment(max(starts))
    )
    stale = [
        QuarterKey(plant_id, device_id, to_us(start_at))
        for plant_id, device_id, start_at in rows.values_list("plant_id", "device_id", "start_at")
        if (plant_id, device_id) not in counted
    ]
    _store({}, stale, run)


def _known_registers(run: _Run) -> dict[tuple[int, str], int]:
    rows = Meter.objects.filter(plant_id__in=run.facts).order_by()
    return {
        (plant_id, device_id): registers
        for plant_id, device_id, registers in rows.values_list("plant_id", "device_id", "registers")
    }


def _count(works: Sequence[MeterWork], run: _Run) -> None:
    if not works:
        return
    events = StoredEvents(
        plant_ids=sorted(run.facts),
        low_us=min(work.low_us for work in works),
        high_us=max(work.high_us for work in works),
    )
    counted: dict[QuarterKey, QuarterEnergy] = {}
    unknown: list[QuarterKey] = []
    found: list[MeterLeaps] = []
    for work in works:
        result = count_energy(
            work.complete(),
            low_us=work.low_us,
            high_us=work.high_us,
            rules=run.facts[work.plant_id].rules,
            decided=events.decided((work.plant_id, work.device_id)),
        )
        found.append(MeterLeaps(work.plant_id, work.device_id, work.low_us, work.high_us, result.leaps))
        for start in quarters_within(work.low_us, work.high_us):
            key = QuarterKey(work.plant_id, work.device_id, start)
            if start in result.quarters:
                counted[key] = result.quarters[start]
            else:
                unknown.append(key)
    _keep_registers(works)
    events.replace(found, at=run.at)
    _store(counted, unknown, run)


def _keep_registers(works: Sequence[MeterWork]) -> None:
    """Note registers that a meter was not heard of before."""
    heard = {
        (work.plant_id, work.device_id): work.registers for work in works if work.registers != work.known
    }
    insert_or_update(
        Meter,
        [
            {"plant_id": plant_id, "device_id": device_id, "registers": registers}
            for (plant_id, device_id), registers in sorted(heard.items())
        ],
        key=("plant_id", "device_id"),
        better="new.registers <> old.registers",
    )


def _store(counted: Mapping[QuarterKey, QuarterEnergy], unknown: Sequence[QuarterKey], run: _Run) -> None:
    store_quarters(counted=counted, at=run.at)
    lost = forget_quarters(keys=unknown)
    touched = {(key.plant_id, to_moment(key.start_us)) for key in counted}
    touched |= {(key.plant_id, to_moment(key.start_us)) for key in unknown if key[:2] in lost}
    hours = sorted({(plant_id, start_at.replace(minute=0)) for plant_id, start_at in touched})
    days = sorted(
        {
            (plant_id, local_day_of(start_at, zone=run.facts[plant_id].time_zone))
            for plant_id, start_at in touched
        }
    )
    hour_spans = [Interval(plant_id=one, start_at=start, end_at=start + HOUR) for one, start in hours]
    day_spans = [
        Interval(plant_id=one, start_at=day.start_at, end_at=day.end_at, day=day.day) for one, day in days
    ]
    forget_sums(meters=lost, hours=hour_spans, days=day_spans)
    sum_hours(hours=hour_spans, at=run.at)
    sum_days(days=day_spans, at=run.at)
