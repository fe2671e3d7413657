"""Ingest when there are many plants: each says something in turn, in random order, and has said something before."""

import random
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter

from bench.ingesting import clock_at, count_rows, our_rate
from bench.messages import ROUND_S, Voice, Wire, fill, require_empty
from bench.row import Better, Result, Row, Target, Variant
from bench.world import START, Side, World
from plants.services.partitions import ensure_partitions, forget_known_partitions

ORDER = 60
FEWEST = 100
WITHIN_S, QUICK_WITHIN_S = 300.0, 120.0
SMALL = f"{FEWEST:,} plants"
LATER = timedelta(minutes=30)
"""From one repetition to the next: states are news each time."""

STATES = """
INSERT INTO plants_plantstate (plant_id, measured_at, received_at, grid_power_kw, operating_mode, data_quality, devices,
                               mode, mode_reason)
SELECT id, %(at)s, %(at)s, 1.5, 'STANDARD', 'GOOD',
       '[{"deviceId": "B1", "assetType": "BESS", "powerKw": -5, "socPercent": 61, "status": "ONLINE"}]', '', ''
FROM plants_plant WHERE connection_id = %(connection)s
"""


def rows(world: World) -> Sequence[Row]:
    """`growth_ingest`."""
    counts = (FEWEST, 10_000) if world.quick else (FEWEST, 10_000, 100_000)
    fleets = {count: Fleet(world, plants=count, messages=3000 if world.quick else 10_000) for count in counts}
    *smaller, largest = counts
    return [
        Row(
            name="growth_ingest",
            what=f"realtime messages of {largest:,} plants in random order, one consumer; beside it fewer plants",
            unit="msg/s",
            better=Better.HIGHER,
            variants=[
                Variant(name="ours", run=fleets[largest].run),
                *(Variant(name=f"{count:,} plants", run=fleets[count].run) for count in smaller),
            ],
            targets=[Target(text=f">= 0.6 x {SMALL}", met=partial(_keeps, share=0.6))],
            within_s=QUICK_WITHIN_S if world.quick else WITHIN_S,
        )
    ]


def _keeps(result: Result, *, share: float) -> bool:
    return result.value >= share * result.others[SMALL]


class Fleet:
    """One partner with so many plants, whose states are known; made when first asked for."""

    def __init__(self, world: World, *, plants: int, messages: int) -> None:
        self._world = world
        self._plants = plants
        self._messages = messages
        self._side: Side | None = None
        self._sites: Sequence[str] = []
        self._chance = random.Random(plants)
        self._start = START

    def run(self) -> float:
        """Messages a second."""
        side = self._ready()
        wires = self._wires(side.partner.slug, self._start)
        self._world.truncate("plants_telemetryreading", "plants_recenttelemetrybody", "metering_rollupmark")
        forget_known_partitions()
        ensure_partitions(days=[self._start.date()])
        fill(self._world, side, wires)
        rate = our_rate(self._world, side, count=len(wires), clock=clock_at(self._start + LATER))
        require_empty(self._world, side)
        stored = count_rows(self._world, "plants_telemetryreading")
        if stored != len(wires):
            raise AssertionError(f"{stored} rows of {len(wires)} messages")
        self._start += LATER
        return rate

    def _ready(self) -> Side:
        if self._side is None:
            self._side = self._world.side()
            began = perf_counter()
            self._sites = self._world.sites(self._side.connection, self._plants)
            with self._world.database() as database:
                before = {"at": START - LATER, "connection": self._side.connection.pk}
                database.execute(STATES, before)
                database.execute("VACUUM ANALYZE plants_plant, plants_plantstate")
            told_s = perf_counter() - began
            print(f"{self._plants:,} plants made in {told_s:.1f} s", file=sys.stderr, flush=True)
        return self._side

    def _wires(self, prefix: str, start: datetime) -> list[Wire]:
        voice = Voice(prefix=prefix, seed=self._chance.getrandbits(32))
        wires: list[Wire] = []
        while len(wires) < self._messages:
            at = start + timedelta(seconds=ROUND_S * (len(wires) // len(self._sites)))
            some = self._chance.sample(self._sites, min(len(self._sites), self._messages - len(wires)))
            wires += [voice.realtime(site, at=at) for site in some]
        return wires
