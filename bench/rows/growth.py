"""Charts of a day, a month and a year over ten million samples, and over a tenth of them."""

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bench.floor_charts import floor_chart
from bench.naive_charts import BUCKET_S, naive_chart
from bench.row import Better, Row, Target, Variant, WarmUp, at_most
from bench.seed_history import History, seed, use
from bench.world import World

if TYPE_CHECKING:
    from metering.selectors.charts import Series

ORDER = 70
WITHIN_S, QUICK_WITHIN_S = 400.0, 120.0
PRESENT = datetime(2026, 1, 13, 22, 52, 7, tzinfo=UTC)
READINGS_FOR = timedelta(days=12)
ROLLUPS_FOR = timedelta(days=400)
WIDTH_PX = 1200
TENTH = "a tenth of the rows"
_LIMIT_MS = {"chart_day": 20, "chart_month": 50, "chart_year": 100}
_NAIVE_CHARTS = {"chart_day": 8, "chart_month": 2, "chart_year": 2}
_DAYS = {"chart_day": 1, "chart_month": 31, "chart_year": 365}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One request: all seven measures of a plant within [from_at, to_at)."""

    plant_id: int
    from_at: datetime
    to_at: datetime


def rows(world: World) -> Sequence[Row]:
    """`chart_day`, `chart_month`, `chart_year`: milliseconds that 95 of 100 charts of random plants and times take."""
    past = Past(world)
    return [_row(past, name) for name in _DAYS]


def _row(past: "Past", name: str) -> Row:
    million = 1 if past.world.quick else 10
    return Row(
        name=name,
        what=f"p95 of charts of 7 measures, random plants and times, {million} million samples",
        unit="ms",
        better=Better.LOWER,
        variants=[
            Variant(name="ours", run=lambda: past.ours(name, past.whole)),
            Variant(name=TENTH, run=lambda: past.ours(name, past.tenth)),
            Variant(name="naive", run=lambda: past.naive(name), warm_up=WarmUp.FULL),
            Variant(name="floor", run=lambda: past.floor(name)),
        ],
        within_s=QUICK_WITHIN_S if past.world.quick else WITHIN_S,
        targets=[
            at_most(_LIMIT_MS[name], "ms"),
            Target(
                text="<= 1.5 x a tenth of the rows",
                met=lambda result: result.value <= 1.5 * result.others[TENTH],
            ),
        ],
    )


class Past:
    """Two histories of the same plants, the second with a tenth of the plants; made when first asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._chance = random.Random(20260113)

    @cached_property
    def plant_ids(self) -> Sequence[int]:
        plants = self.world.plants(self.world.side().connection, 10 if self.world.quick else 100)
        return [plant.pk for plant in plants]

    @cached_property
    def whole(self) -> History:
        return self._seeded("history", self.plant_ids)

    @cached_property
    def is_true(self) -> bool:
        """A day that is over says the same as its samples, seen the naive way; looked at once."""
        at = PRESENT - timedelta(days=2)
        day = Chart(plant_id=self.plant_ids[0], from_at=at.replace(hour=0, minute=0, second=0), to_at=at)
        drawn, told = _ours(day), _naive("chart_day")(day)
        for measure, wanted in told.items():
            curve = drawn.curves[measure]
            found = [
                (time_ms // 1000, *values)
                for time_ms, *values in zip(
                    drawn.axis.times_ms, curve.mean, curve.least, curve.most, strict=True
                )
                if values[0] is not None
            ]
            expected = list(zip(wanted["time"], wanted["mean"], wanted["least"], wanted["most"], strict=True))
            same = len(found) == len(expected) and all(
                math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
                for row, other_row in zip(found[:-1], expected[:-1], strict=True)
                for one, other in zip(row, other_row, strict=True)
            )
            if not same:
                raise AssertionError(f"the chart of {measure} is not that of its samples")
        return True

    @cached_property
    def tenth(self) -> History:
        return self._seeded("tenth", self.plant_ids[: len(self.plant_ids) // 10])

    def ours(self, name: str, history: History) -> float:
        """What a selector takes, with the tail of the charts that reach the present."""
        from django.db import connection  # noqa: PLC0415 - after the settings

        charts = self._charts(name, history, 60 if self.world.quick else 200)
        with connection.cursor() as cursor:
            use(cursor, history.schema)
        try:
            return _p95_ms(_ours, charts)
        finally:
            with connection.cursor() as cursor:
                use(cursor, "public")

    def naive(self, name: str) -> float:
        """As `ours`, from the samples; a month and a year get the twelve days of samples that there are."""
        from django.db import connection  # noqa: PLC0415 - after the settings

        few = _NAIVE_CHARTS[name] // (2 if self.world.quick else 1)
        history = self.whole
        with connection.cursor() as cursor:
            use(cursor, history.schema)
        try:
            assert self.is_true
            return _p95_ms(_naive(name), self._charts(name, history, few))
        finally:
            with connection.cursor() as cursor:
                use(cursor, "public")

    def floor(self, name: str) -> float:
        """The stored points alone."""
        with self.world.database() as database:
            use(database, self.whole.schema)
            return _p95_ms(
                _floor(name, database), self._charts(name, self.whole, 60 if self.world.quick else 200)
            )

    def _seeded(self, schema: str, plant_ids: Sequence[int]) -> History:
        history = History(
            schema=schema,
            plant_ids=plant_ids,
            rollups_from=PRESENT - ROLLUPS_FOR,
            readings_from=PRESENT - READINGS_FOR,
            present=PRESENT,
        )
        readings = seed(self.world.postgres.url, history)
        if abs(readings - history.readings) > 0.01 * history.readings:
            raise AssertionError(f"{readings} samples, not {history.readings}")
        return history

    def _charts(self, name: str, history: History, count: int) -> list[Chart]:
        """Random plants; days of those that have samples, months and years that end with one of these days."""
        length = timedelta(days=_DAYS[name])
        charts = []
        for _ in range(count):
            to_at = PRESENT.replace(hour=23, minute=0, second=0) - timedelta(days=self._chance.randrange(11))
            plant_id = self._chance.choice(history.plant_ids)
            charts.append(Chart(plant_id=plant_id, from_at=to_at - length, to_at=to_at))
        return charts


def _p95_ms(draw: Callable[[Chart], Any], charts: Sequence[Chart]) -> float:
    took_ms = []
    for chart in charts:
        began = perf_counter()
        draw(chart)
        took_ms.append(1000 * (perf_counter() - began))
    if len(took_ms) == 1:
        return took_ms[0]
    return statistics.quantiles(took_ms, n=20, method="inclusive")[-1]


def _ours(chart: Chart) -> "Series":
    from metering.rollup import MEASURES  # noqa: PLC0415 - after the settings
    from metering.rules import current_rules  # noqa: PLC0415
    from metering.selectors.charts import telemetry_series  # noqa: PLC0415

    return telemetry_series(
        plant_id=chart.plant_id,
        measures=MEASURES,
        from_at=chart.from_at,
        to_at=chart.to_at,
        width_px=WIDTH_PX,
        at=PRESENT,
        rules=current_rules(),
    )


def _naive(name: str) -> Callable[[Chart], Any]:
    from metering.rollup import MEASURES  # noqa: PLC0415 - after the settings

    return lambda chart: naive_chart(
        plant_id=chart.plant_id,
        measures=MEASURES,
        from_at=chart.from_at,
        to_at=chart.to_at,
        bucket_s=BUCKET_S[name],
    )


def _floor(name: str, database: Any) -> Callable[[Chart], int]:
    from metering.rollup import MEASURES  # noqa: PLC0415 - after the settings

    return lambda chart: floor_chart(
        database,
        name,
        plant_id=chart.plant_id,
        measures=MEASURES,
        from_at=chart.from_at,
        to_at=chart.to_at,
    )
