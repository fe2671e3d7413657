"""Slices of an hour of many plants, measured in a day's partition that is as full as it would be by then.

All plants speak on each stream, in random order, through `link.inbox.receive`: at the beginning of the hour, in its
middle and at its end. What lies between the slices is filled in by SQL, a row for each reading that would have come, so
that every plant has index pages of its own, as in operation. Each slice has a first round, right after a checkpoint
(PostgreSQL then logs each page that it touches as a whole), and a later one.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench.messages import Voice, Wire
from bench.rolling import History
from bench.world import START, Side, World

if TYPE_CHECKING:
    from plants.models import Plant

REALTIME_S, METER_S = 10, 60
MINUTES = (0, 30, 58)
MADE_AT_ONCE = 2000
FILLED_AT_ONCE = 1000
ROLLED_PLANTS = 2000
METERS_A_PLANT = 2
SETTINGS = {
    "shared_buffers": "4GB",
    "max_wal_size": "64GB",  # checkpoints come when the run asks for them
    "checkpoint_timeout": "1h",
    "autovacuum": "off",  # its work is measured as a part of its own
}
_TICK_S = os.sysconf("SC_CLK_TCK")
_TELEMETRY = """
    INSERT INTO plants_telemetryreading (plant_id, measured_at, received_at, operating_mode, data_quality, quality_rank,
        grid_power_kw, fve_power_kw, battery_power_kw, consumption_power_kw, soc_pct, available_battery_energy_kwh,
        battery_temperature_c)
    SELECT plant_id, moment, moment, 'STANDARD', 'GOOD', 3, 20 * random() - 10, 10 * random(), 10 * random() - 5,
           8 * random(), 100 * random(), 50 * random(), 15 + 20 * random()
      FROM unnest(%(plant_ids)s::bigint[]) AS plant_id
     CROSS JOIN generate_series(%(low)s::timestamptz, %(high)s::timestamptz, interval '10 s') AS moment
     ORDER BY plant_id, moment
"""
_METERS = """
    INSERT INTO plants_meterreading (plant_id, device_id, reading_at, received_at, role, import_register_kwh,
        export_register_kwh, data_quality, quality_rank)
    SELECT plant_id, device_id, moment, moment, 'GRID', 1000 + date_part('epoch', moment - %(low)s) / 600, 500,
           'GOOD', 3
      FROM unnest(%(plant_ids)s::bigint[]) AS plant_id CROSS JOIN unnest(%(devices)s::text[]) AS device_id
     CROSS JOIN generate_series(%(low)s::timestamptz, %(high)s::timestamptz, interval '60 s') AS moment
     ORDER BY plant_id, device_id, moment
"""
_BODIES = """
    INSERT INTO plants_recenttelemetrybody (plant_id, routing_key, received_at, body)
    SELECT plant_id, 'partner.event.telemetry.realtime', %(at)s, decode(repeat('a7', 750), 'hex')
      FROM generate_series(1, 20) CROSS JOIN unnest(%(plant_ids)s::bigint[]) AS plant_id
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
    """What one unit (message, row, quarter-hour of a plant) costs: CPU of our process and of PostgreSQL, log bytes."""

    units: int
    ours_us: float
    postgres_us: float
    wal_bytes: float


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One message of each plant at a minute of the hour: the first round after a checkpoint, and a later one."""

    minute: int
    first: Cost
    later: Cost


@dataclass(frozen=True, kw_only=True)
class Costs:
    """All parts, and the bytes that one row of each table takes with its index.

    By message `fold` (marks to due rows), `trim` (raw bodies) and `trim_vacuum` (of what it left), by row `vacuum` (of
    the telemetry history).
    """

    plants: int
    realtime: Sequence[Slice]
    meter: Sequence[Slice]
    fold: Cost
    trim: Cost
    trim_vacuum: Cost
    vacuum: Cost
    rollup: Cost
    meter_rollup: Cost
    row_bytes: dict[str, float]


class Simulation:
    """One run on servers of its own."""

    def __init__(self, world: World, *, plants: int) -> None:
        self._world = world
        self._count = plants
        self._chance = random.Random(20260102)
        self._plants: Sequence[Plant] = []
        self._sites: list[str] = []

    def run(self) -> Costs:
        """Measure all parts; says on standard error how far it is."""
        self._tune()
        side = self._settle()
        voice = Voice(prefix=side.partner.slug)
        realtime: list[Slice] = []
        meter: list[Slice] = []
        done: datetime | None = None
        for minute in MINUTES:
            at = START + timedelta(minutes=minute)
            if done is not None:
                self._fill(slice_at=done, before=at)
            rows = self._count * int((at - (done or at)).total_seconds()) // REALTIME_S
            vacuum = self._metered("VACUUM plants_telemetryreading", units=max(rows, 1))
            realtime.append(self._slice(side, minute, REALTIME_S, voice.realtime))
            meter.append(self._slice(side, minute, METER_S, voice.meter))
            fold, trim = self._fold(), self._trim()
            trim_vacuum = self._metered("VACUUM plants_recenttelemetrybody", units=4 * self._count)
            done = at
            print(f"minute {minute} is measured", file=sys.stderr, flush=True)
        row_bytes = {
            name: self._row_bytes(name) for name in ("plants_telemetryreading", "plants_meterreading")
        }
        rollup = self._roll_up()
        row_bytes["metering_telemetryquarter"] = self._row_bytes("metering_telemetryquarter")
        meter_rollup = self._roll_up_meters([plant.pk for plant in self._plants[:ROLLED_PLANTS]])
        row_bytes["metering_meterquarter"] = self._row_bytes("metering_meterquarter")
        return Costs(
            plants=self._count,
            realtime=realtime,
            meter=meter,
            fold=fold,
            trim=trim,
            trim_vacuum=trim_vacuum,
            vacuum=vacuum,
            rollup=rollup,
            meter_rollup=meter_rollup,
            row_bytes=row_bytes,
        )

    # --- setting up -------------------------------------------------------------------------------------------

    def _tune(self) -> None:
        """The server as one for so many plants is set up, with checkpoints and vacuum when the run says."""
        from django.db import connections  # noqa: PLC0415 - after the settings

        with self._world.database() as database:
            for name, value in SETTINGS.items():
                database.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connections.close_all()
        connections["default"].close_pool()  # its sessions end with the server
        self._world.postgres.restart()

    def _settle(self) -> Side:
        """The plants, their states as of before, and the raw bodies that are kept of each."""
        from bench.rows.growth_ingest import STATES  # noqa: PLC0415 - after the settings
        from plants.services.partitions import ensure_partitions  # noqa: PLC0415

        side = self._world.side()
        self._plants = self._world.plants(side.connection, self._count)
        self._sites = [str(plant.voke_uuid) for plant in self._plants]
        ensure_partitions(days=[START.date()])
        with self._world.database() as database:
            database.execute(STATES, {"at": START - timedelta(hours=1), "connection": side.connection.pk})
            ids = [plant.pk for plant in self._plants]
            database.execute(_BODIES, {"at": START - timedelta(hours=1), "plant_ids": ids})
            database.execute("VACUUM ANALYZE plants_plant, plants_plantstate, plants_recenttelemetrybody")
        return side

    def _fill(self, *, slice_at: datetime, before: datetime) -> None:
        """The readings of all plants from after a slice to before the next, on two connections.

        The two rounds of the slice have stored their own.
        """
        ids = [plant.pk for plant in self._plants]
        portions = [ids[place : place + FILLED_AT_ONCE] for place in range(0, len(ids), FILLED_AT_ONCE)]

        def work(mine: Sequence[list[int]]) -> None:
            with self._world.database() as database:
                for portion in mine:
                    plants = {"plant_ids": portion, "devices": _devices()}
                    for statement, period_s in ((_TELEMETRY, REALTIME_S), (_METERS, METER_S)):
                        period = timedelta(seconds=period_s)
                        span = {"low": slice_at + 2 * period, "high": before - period}
                        database.execute(statement, plants | span)

        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(work, (portions[::2], portions[1::2])))
        with self._world.database() as database:
            database.execute("ANALYZE plants_telemetryreading, plants_meterreading")

    # --- the slices -------------------------------------------------------------------------------------------

    def _slice(self, side: Side, minute: int, period_s: int, make: Callable[..., Wire]) -> Slice:
        with self._world.database() as database:
            database.execute("CHECKPOINT")
        at = START + timedelta(minutes=minute)
        first = self._ingest(side, make, at=at)
        later = self._ingest(side, make, at=at + timedelta(seconds=period_s))
        return Slice(minute=minute, first=first, later=later)

    def _ingest(self, side: Side, make: Callable[..., Wire], *, at: datetime) -> Cost:
        """Every site once, in random order; making the messages is not counted."""
        from django.conf import settings  # noqa: PLC0415 - after the settings

        from link.broker import Delivery  # noqa: PLC0415
        from link.inbox import Inlet, receive  # noqa: PLC0415

        inlet = Inlet(
            connection_id=side.connection.pk,
            routing_prefix=side.partner.slug,
            retention_days=settings.TELEMETRY_RETENTION_DAYS,
        )
        self._chance.shuffle(self._sites)
        meter = Meter(self._world)
        for place in range(0, len(self._sites), MADE_AT_ONCE):
            batch = [
                Delivery(
                    queue="events",
                    routing_key=one.routing_key,
                    headers={},
                    body=one.body,
                    redelivered=False,
                    tag=0,
                )
                for one in (make(site, at=at) for site in self._sites[place : place + MADE_AT_ONCE])
            ]
            with meter:
                for low in range(0, len(batch), settings.INGEST_BATCH):
                    report = receive(batch[low : low + settings.INGEST_BATCH], inlet=inlet, at=at)
                    if report.dead_letters:
                        raise AssertionError(f"{report.dead_letters} messages were not understood")
        return meter.cost(len(self._sites))

    # --- what ticks do later ----------------------------------------------------------------------------------

    def _fold(self) -> Cost:
        """The marks of a slice: two rounds of each stream."""
        from metering.services.due import fold_marks  # noqa: PLC0415 - after the settings

        with Meter(self._world) as meter:
            while fold_marks():
                pass
        return meter.cost(4 * self._count)

    def _trim(self) -> Cost:
        """The raw bodies that a slice added, as many as were kept before it are gone afterwards."""
        from plants.services.readings import trim_recent_bodies  # noqa: PLC0415 - after the settings

        with Meter(self._world) as meter:
            trim_recent_bodies()
        return meter.cost(4 * self._count)

    def _metered(self, statement: str, *, units: int) -> Cost:
        with Meter(self._world) as meter, self._world.database() as database:
            database.execute(statement)
        return meter.cost(units)

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
            "devices": _devices(),
        }
        self._world.truncate("plants_meterreading", "metering_rollupdue", "metering_rollupmark")
        with self._world.database() as database:
            database.execute(_METERS, span)
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


def _devices() -> list[str]:
    return [f"M{number + 1}" for number in range(METERS_A_PLANT)]


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
