"""The gap ledger: which holes there are in what plants measured, and what became of them.

Gaps are found from two sides. A stream that has stopped opens a gap while it is silent. A hole between two readings is
found when its quarter-hour was rolled up. Readings that come later close an open gap, or make one smaller from inside;
when nothing is missing any more it is filled. Nothing is split and nothing is deleted but what is older than the
rollups.

Edge cases (the concurrency policy):
- One run at a time (the tick's lock); readings may come meanwhile. What they change is rolled up again, and every
  quarter-hour that was computed is looked at once more, `SETTLED_AFTER` later: by then its transaction has ended.
- A gap is found once: by the unique (plant, stream, device, beginning), and a hole within a known gap is part of it.
- Each page is a transaction with the note of how far it got. A part that goes by pages ends at its budget, after at
  least one page (so what the others cost can't starve it), and goes on in the next run.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from metering.gap_rules import uncovered_s
from metering.models import Gap, LedgerProgress, MeterQuarter, MeterSeen, Stream, TelemetryQuarter
from metering.rules import QUARTER, RollupRules
from metering.selectors.gap_readings import Hole, LookedAt, Measured, find_holes, measure_gaps
from metering.selectors.periods import periods_of
from metering.services.gap_causes import judge_gaps
from metering.services.gap_silence import note_meters, open_gaps
from plants.models import DeadLetterEvent, Plant

SETTLED_AFTER = timedelta(seconds=150)
"""Longer than any run of a tick may last (120 s): what was computed so long ago is committed."""

PAGE = 2000
PRUNED_AT_ONCE = 5000
_NOTHING_S = 1e-6
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a run did; `more` = a part of it stopped at its budget, the next one goes on."""

    opened: int
    changed: int
    holes: int
    judged: int
    more: bool


def keep_ledger(*, at: datetime, rules: RollupRules, give_up_after: timedelta) -> Kept:
    """Tick: open, close, find, refill, give up, and say why."""
    note_meters(at=at)
    hearing = _budget(rules.budget_s)
    changed = sum(_hear(stream, at=at, spent=hearing) for stream in Stream)
    more = hearing()
    opened = sum(open_gaps(stream=stream, at=at, rules=rules) for stream in Stream)
    looking = _budget(rules.budget_s)
    found = [_look(stream, at=at, rules=rules, look_back=give_up_after, spent=looking) for stream in Stream]
    more |= looking()
    give_up(at=at, after=give_up_after)
    judging = _budget(rules.budget_s)
    judged = judge_gaps(at=at, spent=judging)
    more |= judging()
    _prune(before=at - rules.rollups_kept)
    return Kept(
        opened=opened,
        changed=changed + sum(refreshed for _, refreshed in found),
        holes=sum(holes for holes, _ in found),
        judged=judged,
        more=more,
    )


def _budget(seconds: float) -> Callable[[], bool]:
    """Answers from now on whether so much time has passed."""
    ends = time.monotonic() + seconds
    return lambda: time.monotonic() >= ends


def give_up(*, at: datetime, after: timedelta) -> int:
    """Nobody waits any longer for what fills gaps that are so old; answers how many were given up."""
    before = at - after
    waiting = Gap.objects.filter(filled_at__isnull=True, given_up_at__isnull=True, from_at__lt=before)
    return waiting.filter(Q(to_at__isnull=True) | Q(to_at__lt=before)).update(given_up_at=at)


def _prune(*, before: datetime) -> None:
    # It began before it ended: told so that the index by beginning finds the old ones.
    over = Gap.objects.filter(from_at__lt=before, to_at__lt=before)
    over = over.exclude(filled_at__isnull=True, given_up_at__isnull=True)
    ids = list(over.order_by("from_at").values_list("pk", flat=True)[:PRUNED_AT_ONCE])
    if ids:
        Gap.objects.filter(pk__in=ids).delete()


# --- streams that speak again -----------------------------------------------------------------------------------------


def _hear(stream: Stream, *, at: datetime, spent: Callable[[], bool]) -> int:
    """Bring open gaps up to date whose stream has spoken since; most of them end."""
    seen = MeterSeen.objects.filter(
        plant=OuterRef("plant"), device_id=OuterRef("device_id"), reading_at__gt=OuterRef("from_at")
    )
    spoke = Q(plant__state__measured_at__gt=F("from_at")) if stream == Stream.REALTIME else Exists(seen)
    rows = Gap.objects.filter(spoke, stream=stream, to_at__isnull=True).order_by("pk")
    changed, last = 0, 0
    while page := list(rows.filter(pk__gt=last)[:PAGE]):
        last = page[-1].pk
        changed += _bring_up_to_date(stream, page, at=at)
        if spent():
            break
    return changed


def _bring_up_to_date(stream: Stream, gaps: Sequence[Gap], *, at: datetime) -> int:
    """Write down what is in these gaps by now; answers how many have changed."""
    by_id = {gap.pk: gap for gap in gaps}
    measured = measure_gaps(stream=stream, gaps=gaps, at=at)
    news = [one for one in measured if _is_news(by_id[one.gap_id], one)]
    replayed = set(
        DeadLetterEvent.objects.filter(
            action=DeadLetterEvent.Action.REPLAYED, at__in={one.newest_at for one in news if one.newest_at}
        ).values_list("at", flat=True)
    )
    for one in news:
        gap = by_id[one.gap_id]
        if gap.to_at is None and one.to_at is not None:
            gap.to_at, gap.cause_detail = one.to_at, ""  # the evidence is complete now
        gap.missing_s = one.missing_s
        if gap.to_at is not None and one.missing_s < _NOTHING_S:
            gap.filled_at = one.newest_at or at
            gap.filled_from = Gap.FilledFrom.REPLAY if one.newest_at in replayed else Gap.FilledFrom.QUEUE
    _write([by_id[one.gap_id] for one in news])
    return len(news)


def _write(gaps: Sequence[Gap]) -> None:
    """Store what changes in a gap's life; one statement on PostgreSQL, where thousands may end in one moment."""
    fields = ["to_at", "missing_s", "filled_at", "filled_from", "cause_detail"]
    if connection.vendor != "postgresql":
        Gap.objects.bulk_update(gaps, fields, batch_size=500)
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Gap._meta.db_table} gap SET {', '.join(f'{name} = new.{name}' for name in fields)}"  # noqa: S608
            " FROM unnest(%s::bigint[], %s::timestamptz[], %s::float8[], %s::timestamptz[], %s::text[], %s::text[])"
            f" AS new(id, {', '.join(fields)}) WHERE gap.id = new.id",
            [[gap.pk for gap in gaps], *([getattr(gap, name) for gap in gaps] for name in fields)],
        )


def _is_news(gap: Gap, now: Measured) -> bool:
    return gap.to_at != now.to_at or abs(gap.missing_s - now.missing_s) > _NOTHING_S


# --- quarter-hours that were rolled up --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Quarter:
    plant_id: int
    device_id: str
    start_at: datetime
    whole: bool
    computed_at: datetime
    row_id: int

    @property
    def day(self) -> date:
        return self.start_at.astimezone(UTC).date()


def _look(
    stream: Stream, *, at: datetime, rules: RollupRules, look_back: timedelta, spent: Callable[[], bool]
) -> tuple[int, int]:
    """Look at quarter-hours that were computed since last time; (holes found, gaps that changed)."""
    progress, _ = LedgerProgress.objects.get_or_create(part=stream, defaults={"until_at": _FIRST})
    progress.until_at = min(progress.until_at, at)  # a clock that was ahead must not make us blind
    holes = changed = 0
    while page := _page(stream, progress, until=at - SETTLED_AFTER):
        with transaction.atomic():
            for _, of_day in groupby(sorted(page, key=lambda one: one.day), key=lambda one: one.day):
                quarters = list(of_day)
                holes += _add_holes(stream, quarters, at=at, rules=rules, look_back=look_back)
                changed += _bring_up_to_date(stream, _touched(stream, quarters), at=at)
            progress.until_at, progress.until_id = page[-1].computed_at, page[-1].row_id
            progress.save(update_fields=["until_at", "until_id"])
        if spent():
            break
    return holes, changed


def _page(stream: Stream, progress: LedgerProgress, *, until: datetime) -> list[_Quarter]:
    """The next quarter-hours in the order in which they were computed."""
    model = TelemetryQuarter if stream == Stream.REALTIME else MeterQuarter
    names = ["plant_id", "start_at", "coverage_pct", "computed_at", "pk"]
    if stream == Stream.METER:
        names.append("device_id")
    new = Q(computed_at__gt=progress.until_at) | Q(computed_at=progress.until_at, pk__gt=progress.until_id)
    rows = model._default_manager.filter(
        new, computed_at__gte=progress.until_at, computed_at__lte=until
    ).order_by("computed_at", "pk")
    return [
        _Quarter(
            plant_id=row[0],
            start_at=row[1],
            whole=row[2] >= 100,
            computed_at=row[3],
            row_id=row[4],
            device_id=row[5] if len(row) > 5 else "",
        )
        for row in rows.values_list(*names)[:PAGE]
    ]


def _add_holes(
    stream: Stream, quarters: Sequence[_Quarter], *, at: datetime, rules: RollupRules, look_back: timedelta
) -> int:
    broken = [one for one in quarters if not one.whole]
    plants = set(Plant.objects.filter(pk__in={one.plant_id for one in broken}).values_list("pk", flat=True))
    periods = periods_of(plant_ids=sorted(plants), stream=stream, rules=rules)
    asked = [
        LookedAt(
            plant_id=one.plant_id,
            device_id=one.device_id,
            start_at=one.start_at,
            period_s=periods.at(one.plant_id, one.start_at),
        )
        for one in broken
        if one.plant_id in plants
    ]
    found = _unknown(stream, find_holes(stream=stream, quarters=asked, look_back=look_back))
    Gap.objects.bulk_create(
        [
            Gap(
                plant_id=hole.plant_id,
                stream=stream,
                device_id=hole.device_id,
                from_at=hole.from_at,
                to_at=hole.to_at,
                expected_period_s=hole.period_s,
                found_at=at,
                missing_s=uncovered_s(
                    (hole.to_at - hole.from_at).total_seconds(), stream=stream, period_s=hole.period_s
                ),
            )
            for hole in found
        ],
        batch_size=1000,
        ignore_conflicts=True,
    )
    return len(found)


def _unknown(stream: Stream, holes: Sequence[Hole]) -> list[Hole]:
    """Those that no gap of the ledger overlaps."""
    if not holes:
        return []
    known: dict[tuple[int, str], list[Gap]] = {}
    plant_ids = {hole.plant_id for hole in holes}
    low, high = min(hole.from_at for hole in holes), max(hole.to_at for hole in holes)
    for gap in _overlapping(stream, plant_ids, low, high):
        known.setdefault((gap.plant_id, gap.device_id), []).append(gap)
    return [
        hole
        for hole in holes
        if not any(
            gap.from_at < hole.to_at and (gap.to_at is None or gap.to_at > hole.from_at)
            for gap in known.get((hole.plant_id, hole.device_id), ())
        )
    ]


def _touched(stream: Stream, quarters: Sequence[_Quarter]) -> list[Gap]:
    """Gaps with something missing that one of these quarter-hours overlaps."""
    starts: dict[tuple[int, str], list[datetime]] = {}
    for one in quarters:
        starts.setdefault((one.plant_id, one.device_id), []).append(one.start_at)
    low = min(one.start_at for one in quarters)
    high = max(one.start_at for one in quarters) + QUARTER
    rows = _overlapping(stream, {one.plant_id for one in quarters}, low, high)
    return [gap for gap in rows.filter(filled_at__isnull=True) if _any_overlaps(gap, starts)]


def _any_overlaps(gap: Gap, starts: dict[tuple[int, str], list[datetime]]) -> bool:
    mine: Iterable[datetime] = starts.get((gap.plant_id, gap.device_id), ())
    return any(gap.from_at < start + QUARTER and (gap.to_at is None or gap.to_at > start) for start in mine)


def _overlapping(stream: Stream, plant_ids: Iterable[int], low: datetime, high: datetime) -> "QuerySet[Gap]":
    rows = Gap.objects.filter(stream=stream, plant_id__in=sorted(set(plant_ids)), from_at__lt=high)
    return rows.filter(Q(to_at__isnull=True) | Q(to_at__gt=low)).order_by("pk")
