"""Samples of an hour of many plants, until their quarter-hours, hours and local days are in the tables."""

from collections.abc import Callable, Sequence
from time import perf_counter

from bench.rolling import END, History
from bench.row import Better, Row, Variant, WarmUp, at_least
from bench.world import World

ORDER = 60
WITHIN_S, QUICK_WITHIN_S = 400.0, 120.0


def rows(world: World) -> Sequence[Row]:
    """`rollup`."""
    history = History(world=world, count=500 if world.quick else 2_000)
    return [
        Row(
            name="rollup",
            what=f"{history.samples:,} samples of {history.count:,} plants -> 15 min, hour and local day, by the tick",
            unit="samples/s",
            better=Better.HIGHER,
            variants=[
                Variant(name="ours", run=_ours(history)),
                Variant(name="naive", run=_naive(history, 40 if world.quick else 60), warm_up=WarmUp.FULL),
                Variant(name="floor", run=_floor(history)),
            ],
            targets=[at_least("naive", 50), at_least("floor", 0.5)],
            done=history.leave,
            within_s=QUICK_WITHIN_S if world.quick else WITHIN_S,
        )
    ]


def _ours(history: History) -> Callable[[], float]:
    def run() -> float:
        from dataclasses import replace  # noqa: PLC0415
        from datetime import timedelta  # noqa: PLC0415

        from metering.rules import current_rules  # noqa: PLC0415
        from metering.services.rollups import roll_up_telemetry  # noqa: PLC0415

        history.make_due()
        rules = replace(current_rules(), budget_s=600.0)
        began = perf_counter()
        rolled = roll_up_telemetry(at=END + timedelta(hours=1), rules=rules)
        took_s = perf_counter() - began
        if rolled.quarters != history.count * 4:
            raise RuntimeError(f"{rolled.quarters} quarter-hours were rolled up")
        return history.samples / took_s

    return run


def _naive(history: History, count: int) -> Callable[[], float]:
    def run() -> float:
        from bench.naive_rollup import roll_up_some  # noqa: PLC0415

        return roll_up_some(history, count)

    return run


def _floor(history: History) -> Callable[[], float]:
    def run() -> float:
        from bench.floor_rollup import sum_all  # noqa: PLC0415

        return sum_all(history)

    return run
