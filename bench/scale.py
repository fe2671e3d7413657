"""A simulated hour of 100,000 plants: what it costs per message, and what a machine carries by that.

    python -m bench.scale [--plants 100000] [--output FILE]

All plants speak once on each stream, in random order, through `link.inbox.receive`, into a database that already holds
their states; that is a slice of the hour (a sixtieth of its meter messages). Then quarter-hours as full as real ones
are rolled up. Each part is told by its CPU time, of our process and of all of PostgreSQL, by the bytes that it left,
and by what it wrote ahead: wall time on a machine that others use tells nothing. The rest is arithmetic (`Demand`).

Broker, TLS and the consumer's own loop are not in it: `telemetry_ingest` of `python -m bench` measures them.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench.messages import Voice, Wire
from bench.rolling import History
from bench.world import START, Side, World

if TYPE_CHECKING:
    from plants.models import Plant

REALTIME_S, METER_S, QUARTER_S, DAY_S = 10, 60, 900, 86_400
MADE_AT_ONCE = 2000
ROLLED_PLANTS = 2000
METERS_A_PLANT = 2
_TICK_S = os.sysconf("SC_CLK_TCK")
_METER_HISTORY = """
    INSERT INTO plants_meterreading (plant_id, device_id, reading_at, received_at, role, import_register_kwh,
        export_register_kwh, data_quality, quality_rank)
    SELECT plant_id, device_id, moment, moment, 'GRID', 1000 + date_part('epoch', moment - %(low)s) / 600, 500,
           'GOOD', 3
      FROM generate_series(%(low)s::timestamptz, %(high)s::timestamptz, interval '60 s') AS moment
     CROSS JOIN unnest(%(plant_ids)s::bigint[]) AS plant_id CROSS JOIN unnest(%(devices)s::text[]) AS device_id
"""
_METER_DUE = """
    INSERT INTO metering_rollupdue (stream, plant_id, start_at)
    SELECT 'METER', plant_id, start_at
      FROM generate_series(%(low)s::timestamptz, %(high)s::timestamptz - interval '15 min', interval '15 min')
           AS start_at
     CROSS JOIN unnest(%(plant_ids)s::bigint[]) AS plant_id
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one unit (message, quarter-hour of a plant) costs: CPU of our process and of PostgreSQL, and log bytes."""

    units: int
    ours_us: float
    postgres_us: float
    wal_bytes: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """All parts, and the bytes that one row of each table takes with its index."""

    plants: int
    realtime: Cost
    meter: Cost
    rollup: Cost
    meter_rollup: Cost
    row_bytes: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What so many plants ask for, by the costs."""

    plants: int
    messages_per_s: float
    consumer_cores: float
    postgres_cores: float
    rollup_cores: float
    wal_mb_per_s: float
    gb_per_day: float
    rollup_gb_per_year: float


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--plants", type=int, default=100_000)
    parser.add_argument("--output", type=Path, default=None, help="also as JSON")
    options = parser.parse_args()
    with World() as world:
        costs = Simulation(world, plants=options.plants).run()
    demands = [demand(costs, plants) for plants in (1000, 10_000, 100_000)]
    print_tables(costs, demands)
    if options.output:
        report = {"costs": asdict(costs), "demands": [asdict(one) for one in demands]}
        options.output.write_text(json.dumps(report, indent=2) + "\n")


def demand(costs: Costs, plants: int) -> Demand:
    """The model: linear in the plants.

    Messages are measured with as many plants as the largest demand has; quarter-hours of two thousand, because each is
    computed from its own rows alone.
    """
    realtime, meter, quarters = plants / REALTIME_S, plants / METER_S, plants / QUARTER_S

    def cores(which: str) -> float:
        parts = [(realtime, costs.realtime), (meter, costs.meter)]
        return sum(rate * getattr(cost, which) for rate, cost in parts) / 1e6

    rolled = [costs.rollup, costs.meter_rollup]
    bytes_of = costs.row_bytes
    daily = (
        plants
        * DAY_S
        * (
            bytes_of["plants_telemetryreading"] / REALTIME_S
            + METERS_A_PLANT * bytes_of["plants_meterreading"] / METER_S
        )
    )
    yearly = (
        365
        * plants
        * (96 + 24)
        * (bytes_of["metering_telemetryquarter"] + METERS_A_PLANT * bytes_of["metering_meterquarter"])
    )
    wal = realtime * costs.realtime.wal_bytes + meter * costs.meter.wal_bytes
    return Demand(
        plants=plants,
        messages_per_s=realtime + meter,
        consumer_cores=cores("ours_us"),
        postgres_cores=cores("postgres_us"),
        rollup_cores=sum(quarters * (one.ours_us + one.postgres_us) for one in rolled) / 1e6,
        wal_mb_per_s=(wal + sum(quarters * one.wal_bytes for one in rolled)) / 1e6,
        gb_per_day=daily / 1e9,
        rollup_gb_per_year=yearly / 1e9,
    )


class Simulation:
    """One run on servers of its own."""

    def __init__(self, world: World, *, plants: int) -> None:
        self._world = world
        self._plants = plants
        self._chance = random.Random(20260102)

    def run(self) -> Costs:
        """Measure all parts."""
        side, plants = self._settle()
        sites = [str(plant.voke_uuid) for plant in plants]
        voice = Voice(prefix=side.partner.slug)
        at = START + timedelta(minutes=1)
        realtime = self._ingest(side, sites, lambda site: voice.realtime(site, at=at), at=at)
        meter = self._ingest(side, sites, lambda site: voice.meter(site, at=at), at=at)
        row_bytes = {
            "plants_telemetryreading": self._row_bytes("plants_telemetryreading"),
            "plants_meterreading": self._row_bytes("plants_meterreading"),
        }
        rollup = self._roll_up()
        row_bytes["metering_telemetryquarter"] = self._row_bytes("metering_telemetryquarter")
        meter_rollup = self._roll_up_meters([plant.pk for plant in plants[:ROLLED_PLANTS]])
        row_bytes["metering_meterquarter"] = self._row_bytes("metering_meterquarter")
        return Costs(
            plants=self._plants,
            realtime=realtime,
            meter=meter,
            rollup=rollup,
            meter_rollup=meter_rollup,
            row_bytes=row_bytes,
        )

    def _settle(self) -> "tuple[Side, Sequence[Plant]]":
        """The plants, and their states as of before."""
        from bench.rows.growth_ingest import STATES  # noqa: PLC0415 - after the settings

        side = self._world.side()
        plants = self._world.plants(side.connection, self._plants)
        with self._world.database() as database:
            database.execute(STATES, {"at": START - timedelta(hours=1), "connection": side.connection.pk})
            database.execute("VACUUM ANALYZE plants_plant, plants_plantstate")
        return side, plants

    def _ingest(self, side: Side, sites: list[str], make: Callable[[str], Wire], *, at: datetime) -> Cost:
        """Every site once, in random order; making the messages is not counted."""
        from django.conf import settings  # noqa: PLC0415 - after the settings

        from link.broker import Delivery  # noqa: PLC0415
        from link.inbox import Inlet, receive  # noqa: PLC0415
        from plants.services.partitions import ensure_partitions  # noqa: PLC0415

        ensure_partitions(days=[at.date()])
        inlet = Inlet(
            connection_id=side.connection.pk,
            routing_prefix=side.partner.slug,
            retention_days=settings.TELEMETRY_RETENTION_DAYS,
        )
        self._chance.shuffle(sites)
        meter = Meter(self._world)
        for place in range(0, len(sites), MADE_AT_ONCE):
            wires = [make(site) for site in sites[place : place + MADE_AT_ONCE]]
            batch = [
                Delivery(
                    queue="events",
                    routing_key=one.routing_key,
                    headers={},
                    body=one.body,
                    redelivered=False,
                    tag=0,
                )
                for one in wires
            ]
            with meter:
                for low in range(0, len(batch), settings.INGEST_BATCH):
                    report = receive(batch[low : low + settings.INGEST_BATCH], inlet=inlet, at=at)
                    if report.dead_letters:
                        raise AssertionError(f"{report.dead_letters} messages were not understood")
        return meter.cost(len(sites))

    def _roll_up(self) -> Cost:
        """Quarter-hours of ninety samples."""
        from dataclasses import replace  # noqa: PLC0415

        from metering.rules import current_rules  # noqa: PLC0415 - after the settings
        from metering.services.rollups import roll_up_telemetry  # noqa: PLC0415

        history = History(world=self._world, count=ROLLED_PLANTS)
        history.make_due()
        with Meter(self._world) as meter:
            rolled = roll_up_telemetry(
                at=START + timedelta(hours=2), rules=replace(current_rules(), budget_s=600.0)
            )
        return meter.cost(rolled.quarters)

    def _roll_up_meters(self, plant_ids: Sequence[int]) -> Cost:
        """Quarter-hours of fifteen readings of each meter."""
        from dataclasses import replace  # noqa: PLC0415

        from metering.rules import current_rules  # noqa: PLC0415 - after the settings
        from metering.selectors.meter_facts import current_meter_limits  # noqa: PLC0415
        from metering.services.meters import roll_up_meters  # noqa: PLC0415

        span = {
            "low": START,
            "high": START + timedelta(hours=1),
            "plant_ids": list(plant_ids),
            "devices": [f"M{number + 1}" for number in range(METERS_A_PLANT)],
        }
        self._world.truncate("plants_meterreading", "metering_rollupdue", "metering_rollupmark")
        with self._world.database() as database:
            database.execute(_METER_HISTORY, span)
            database.execute(_METER_DUE, span)
            database.execute("ANALYZE plants_meterreading")
        with Meter(self._world) as meter:
            rolled = roll_up_meters(
                at=START + timedelta(hours=2),
                rules=replace(current_rules(), budget_s=600.0),
                limits=current_meter_limits(),
            )
        return meter.cost(rolled.quarters)

    def _row_bytes(self, table: str) -> float:
        """Of a partitioned table: heap, index and all, by row."""
        with self._world.database() as database:
            found = database.execute(
                f"SELECT (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
                f" WHERE inhparent = '{table}'::regclass)::float / (SELECT count(*) FROM {table})"
            ).fetchone()
        return float(found[0]) if found else 0.0


class Meter:
    """Adds up the CPU time and the log that pass within its blocks."""

    def __init__(self, world: World) -> None:
        self._database: psycopg.Connection[tuple[object, ...]] = world.database()
        (pid,) = self._database.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        self._server = int(_stat(int(str(pid)))[1])
        self._before = self._sum = (0.0, 0.0, 0.0)

    def __enter__(self) -> "Meter":
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        now = self._now()
        one, two, three = (
            total + later - earlier
            for total, later, earlier in zip(self._sum, now, self._before, strict=True)
        )
        self._sum = (one, two, three)

    def cost(self, units: int) -> Cost:
        """By unit."""
        self._database.close()
        ours_s, postgres_s, wal_bytes = self._sum
        return Cost(
            units=units,
            ours_us=1e6 * ours_s / units,
            postgres_us=1e6 * postgres_s / units,
            wal_bytes=wal_bytes / units,
        )

    def _now(self) -> tuple[float, float, float]:
        row = self._database.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        return time.process_time(), self._server_s(), float(str(row[0])) if row else 0.0

    def _server_s(self) -> float:
        """CPU seconds of the server and all its processes, those that have ended included."""
        ticks = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    _, parent, own, of_ended = _stat(int(entry.name))
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it ended while we looked
                if int(entry.name) == self._server:
                    ticks += own + of_ended
                elif parent == self._server:
                    ticks += own
        return ticks / _TICK_S


def _stat(pid: int) -> tuple[int, int, int, int]:
    """Process id, its parent's, ticks of its own, ticks of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return pid, int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def print_tables(costs: Costs, demands: Sequence[Demand]) -> None:
    """As docs/scale.md shows them."""
    print(f"| part ({costs.plants:,} plants) | units | our CPU, us | PostgreSQL's CPU, us | log, bytes |")
    print("| --- | --- | --- | --- | --- |")
    for name in ("realtime", "meter", "rollup", "meter_rollup"):
        one: Cost = getattr(costs, name)
        print(
            f"| {name} | {one.units:,} | {one.ours_us:,.0f} | {one.postgres_us:,.0f} | {one.wal_bytes:,.0f} |"
        )
    print("\n| table | bytes a row |\n| --- | --- |")
    for table, size in costs.row_bytes.items():
        print(f"| {table} | {size:,.0f} |")
    heads = (
        "consumers, cores",
        "PostgreSQL, cores",
        "rollups, cores",
        "log, MB/s",
        "GB a day",
        "rollups, GB a year",
    )
    print(f"\n| plants | messages/s | {' | '.join(heads)} |")
    print("| --- " * (2 + len(heads)) + "|")
    for one_demand in demands:
        print(
            f"| {one_demand.plants:,} | {one_demand.messages_per_s:,.0f} | {one_demand.consumer_cores:.4f} |"
            f" {one_demand.postgres_cores:.4f} | {one_demand.rollup_cores:.4f} | {one_demand.wal_mb_per_s:.2f} |"
            f" {one_demand.gb_per_day:,.1f} | {one_demand.rollup_gb_per_year:,.0f} |"
        )


if __name__ == "__main__":
    main()
