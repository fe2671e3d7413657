"""One row of the table: what is measured, beside what, and how its repetitions are run and summed up.

A row has variants: `ours`, `naive` (the way a competent developer would write it first with the same libraries) and one
or more parts of the `floor` (the raw parts alone). One repetition runs each variant once, in an order that turns, so
that the machine's moods spread over all. Ratios are taken within a repetition; the value of everything is the median
over the repetitions, its spread (largest - smallest) / median.
"""

import gc
import statistics
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter

OURS, NAIVE, FLOOR = "ours", "naive", "floor"


class Better(StrEnum):
    """Which way a unit points."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to do the work. `run` prepares a repetition, measures it, and answers the value in the row's unit.

    Names: `ours`, `naive`, `floor` or `floor: <part>`; any other name is a reference that is shown beside them.
    """

    name: str
    run: Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the row should reach: `text` as it stands in the table, `met` by the result."""

    text: str
    met: Callable[["Result"], bool]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table. `repetitions` None = as many as the run has.

    `done` ends what the row had running, however it went; it may be called more than once.
    """

    name: str
    what: str
    unit: str
    better: Better
    variants: Sequence[Variant]
    targets: Sequence[Target] = ()
    repetitions: int | None = None
    done: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a row came to. Ratios are "how much better": 2 = twice as fast as naive, 0.8 = 80 % of the floor's speed."""

    name: str
    what: str
    unit: str
    value: float
    spread: float
    naive: float | None = None
    floor: float | None = None
    ratio_to_naive: float | None = None
    ratio_to_floor: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    """Medians of the floor's parts and of references, by name."""
    targets: Mapping[str, bool] = field(default_factory=dict)


def measure(row: Row, *, repetitions: int) -> Result:
    """Run all variants of a row `repetitions` times in turning order; the first round warms up and does not count."""
    rounds: list[dict[str, float]] = []
    variants = list(row.variants)
    try:
        for number in range((row.repetitions or repetitions) + 1):
            found: dict[str, float] = {}
            turned = variants[number % len(variants) :] + variants[: number % len(variants)]
            for variant in turned:
                gc.collect()
                found[variant.name] = variant.run()
            if number:
                rounds.append(found)
    finally:
        if row.done is not None:
            row.done()
    return summed_up(row, rounds)


def measure_all(rows: Sequence[Row], *, repetitions: int) -> tuple[list[Result], list[str]]:
    """Results of rows that share what they work on, and the names of those without: one that failed, and all after it.

    These would be measured beside its remains. What failed is told on standard error.
    """
    results: list[Result] = []
    for place, row in enumerate(rows):
        began = perf_counter()
        try:
            results.append(measure(row, repetitions=repetitions))
        except Exception:  # noqa: BLE001 - told, and an error of the whole run in the end
            traceback.print_exc()
            for one in rows:
                if one.done is not None:
                    one.done()
            return results, [one.name for one in rows[place:]]
        print(f"{row.name}: {perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    return results, []


def summed_up(row: Row, rounds: Sequence[Mapping[str, float]]) -> Result:
    """Medians, spread and ratios of the rounds of one row."""
    ours = [one[OURS] for one in rounds]
    floors = [_floor(row, one) for one in rounds]
    naives = [one.get(NAIVE) for one in rounds]
    result = Result(
        name=row.name,
        what=row.what,
        unit=row.unit,
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
