"""One row of the table: what is measured, beside what, and how its repetitions are run and summed up.

A row has variants: `ours`, `naive` (the way a competent developer would write it first with the same libraries) and one
or more parts of the `floor` (the raw parts alone). One repetition runs each variant once, in an order that turns, so
that the machine's moods spread over all. Ratios are taken within a repetition; the value of everything is the median
over the repetitions, its spread (largest - smallest) / median.

A row has a time within which it must be done. One that is not is ended where it stands, and the table goes on.
"""

import gc
import signal
import statistics
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from types import FrameType

AGAIN_AFTER_S = 20.0
OURS, NAIVE, FLOOR = "ours", "naive", "floor"


class Better(StrEnum):
    """Which way a unit points."""

    HIGHER = "higher"
    LOWER = "lower"


class WarmUp(StrEnum):
    """When a variant takes part in the round that warms up and does not count."""

    ALWAYS = "always"
    FULL = "full"
    """In a full run alone: it lasts so long that its beginning is nothing beside it."""
    NEVER = "never"
    """Each repetition starts the processes that it measures, or what it measures is warmed up in its own way."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to do the work. `run` prepares a repetition, measures it, and answers the value in the row's unit.

    Names: `ours`, `naive`, `floor` or `floor: <part>`; any other name is a reference that is shown beside
    them, in the row's unit or in that which its name ends with: `[1]`.
    """

    name: str
    run: Callable[[], float]
    warm_up: WarmUp = WarmUp.ALWAYS


class OutOfTime(BaseException):
    """A row took too long. No Exception: whatever it stands in must not take it for trouble of its own and go on."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the row should reach: `text` as it stands in the table, `met` by the result."""

    text: str
    met: Callable[["Result"], bool]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table. `repetitions` None = as many as the run has.

    `done` ends what the row had running, however it went; it may be called more than once. `within_s`: all of it,
    what it prepares included, has to be done by then.
    """

    name: str
    what: str
    unit: str
    better: Better
    variants: Sequence[Variant]
    targets: Sequence[Target] = ()
    repetitions: int | None = None
    done: Callable[[], None] | None = None
    within_s: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a row came to. Ratios are "how much better": 2 = twice as fast as naive, 0.8 = 80 % of the floor's speed.

    `better` says which way `value` points.
    """

    name: str
    what: str
    unit: str
    better: Better
    value: float
    spread: float
    naive: float | None = None
    floor: float | None = None
    ratio_to_naive: float | None = None
    ratio_to_floor: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    """Medians of the floor's parts and of references, by name."""
    targets: Mapping[str, bool] = field(default_factory=dict)


def measure(row: Row, *, repetitions: int, hurried: bool = False) -> Result:
    """Run all variants of a row `repetitions` times in turning order; a round before them warms up and does not count.

    `hurried` leaves those out of that round which say that they can do without it. Raises `OutOfTime`.
    """
    skipped = (WarmUp.NEVER, WarmUp.FULL) if hurried else (WarmUp.NEVER,)
    variants = list(row.variants)
    rounds: list[dict[str, float]] = []
    try:
        with _within(row.within_s):
            _round([one for one in variants if one.warm_up not in skipped])
            for number in range(1, (row.repetitions or repetitions) + 1):
                turn = number % len(variants)
                rounds.append(_round(variants[turn:] + variants[:turn]))
    finally:
        if row.done is not None:
            row.done()
    return summed_up(row, rounds)


def _round(variants: Sequence[Variant]) -> dict[str, float]:
    found: dict[str, float] = {}
    for variant in variants:
        _COLLECTOR.collect()
        found[variant.name] = variant.run()
    return found


class _Collector:
    """Collects garbage; the end of the row's time is told after it, since raised in a callback it would be lost.

    Blocking the signal in this thread would not do: another thread takes it, and this one handles it all the same.
    """

    def __init__(self) -> None:
        self.works = False
        self.missed: OutOfTime | None = None

    def collect(self) -> None:
        """Collect; raises `OutOfTime` when the time ended meanwhile."""
        self.works, self.missed = True, None
        try:
            gc.collect()
        finally:
            self.works = False
        if self.missed is not None:
            raise self.missed


_COLLECTOR = _Collector()


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the main thread, which runs the rows, once that has passed; again when it does not end."""

    def end(_number: int, _frame: FrameType | None) -> None:
        over = OutOfTime(f"not done within {seconds:g} s")
        if not _COLLECTOR.works:
            raise over
        _COLLECTOR.missed = over

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_AFTER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure_all(
    rows: Sequence[Row], *, repetitions: int, hurried: bool = False
) -> tuple[list[Result], list[str]]:
    """Results of rows that share what they work on, and the names of those without: one that failed, and all after it.

    These would be measured beside its remains. What failed is told on standard error, and each row's seconds.
    """
    results: list[Result] = []
    for place, row in enumerate(rows):
        began = perf_counter()
        try:
            results.append(measure(row, repetitions=repetitions, hurried=hurried))
        except (Exception, OutOfTime) as error:  # noqa: BLE001 - told, and an error of the whole run in the end
            _tell_failure(row, rows[place + 1 :], error, took_s=perf_counter() - began)
            for one in rows:
                if one.done is not None:
                    one.done()
            return results, [one.name for one in rows[place:]]
        _tell(f"{row.name}: {perf_counter() - began:.1f} s")
    return results, []


def _tell_failure(row: Row, after: Sequence[Row], error: BaseException, *, took_s: float) -> None:
    traceback.print_exception(error)
    _tell(f"{row.name}: FAILED after {took_s:.1f} s: {str(error) or type(error).__name__}")
    if after:
        _tell(f"left out after it: {', '.join(one.name for one in after)}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def summed_up(row: Row, rounds: Sequence[Mapping[str, float]]) -> Result:
    """Medians, spread and ratios of the rounds of one row."""
    ours = [one[OURS] for one in rounds]
    floors = [_floor(row, one) for one in rounds]
    naives = [one.get(NAIVE) for one in rounds]
    result = Result(
        name=row.name,
        what=row.what,
        unit=row.unit,
        better=row.better,
        value=statistics.median(ours),
        spread=(max(ours) - min(ours)) / statistics.median(ours),
        naive=_median(naives),
        floor=_median(floors),
        ratio_to_naive=_median([_better(row, one, other) for one, other in zip(ours, naives, strict=True)]),
        ratio_to_floor=_median([_better(row, one, other) for one, other in zip(ours, floors, strict=True)]),
        others={
            name: statistics.median(one[name] for one in rounds)
            for name in rounds[0]
            if name not in (OURS, NAIVE, FLOOR)
        },
    )
    met = {target.text: target.met(result) for target in row.targets}
    return Result(**{**vars(result), "targets": met})


def at_least(ratio: str, limit: float) -> Target:
    """`ratio` ("naive" or "floor") must be `limit` or more."""
    name = f"ratio_to_{ratio}"
    return Target(text=f">= {limit:g} x {ratio}", met=lambda result: (getattr(result, name) or 0.0) >= limit)


def at_least_value(limit: float, unit: str) -> Target:
    """The value must be `limit` or more."""
    return Target(text=f">= {limit:g} {unit}", met=lambda result: result.value >= limit)


def at_most(limit: float, unit: str) -> Target:
    """The value must be `limit` or less."""
    return Target(text=f"<= {limit:g} {unit}", met=lambda result: result.value <= limit)


def _floor(row: Row, found: Mapping[str, float]) -> float | None:
    """The floor of one repetition; of several parts the time of all of them after each other."""
    parts = [value for name, value in found.items() if name == FLOOR or name.startswith(f"{FLOOR}: ")]
    if not parts:
        return None
    return 1 / sum(1 / part for part in parts) if row.better is Better.HIGHER else sum(parts)


def _better(row: Row, ours: float, other: float | None) -> float | None:
    if other is None:
        return None
    return ours / other if row.better is Better.HIGHER else other / ours


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
