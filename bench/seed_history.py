"""A history of readings and rollups of any length, made by the server itself, in a schema of its own.

A schema holds the tables of history as the migrations made them, and nothing else: whoever puts it first on the search
path has another past, with the same plants. So the same code reads ten million rows and a tenth of them in one run.
Partitions are filled two at a time and attached afterwards, which makes their indexes.

Rows lie as ingest would have left them: in order of time, all plants beside each other. Every plant speaks each ten
seconds (`History.period_s`); one hour in a hundred is missing. Quarter-hours, and hours and days as far back as there
are samples, are those of the samples (but the last value of each, which is their largest); before that they are made
up. Nothing is written ahead to the log: it is the reading that is measured.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import psycopg
from psycopg import sql

PERIOD_S = 10
_A_DAY, _AT_ONCE, _MEMORY = timedelta(days=1), 2, "256MB"
ZONE = "Europe/Prague"
TABLES = (
    "plants_telemetryreading",
    "metering_telemetryquarter",
    "metering_telemetryhour",
    "metering_telemetryday",
)
_PARTITIONED_BY = {
    "plants_telemetryreading": ("measured_at", timedelta(days=1), "%Y%m%d"),
    "metering_telemetryquarter": ("start_at", None, "%Y%m"),
    "metering_telemetryhour": ("start_at", None, "%Y%m"),
}
_READINGS = """
    INSERT INTO {table} (plant_id, measured_at, received_at, grid_power_kw, fve_power_kw,
        battery_power_kw, consumption_power_kw, soc_pct, available_battery_energy_kwh, battery_temperature_c,
        operating_mode, data_quality, quality_rank)
    SELECT plant_id, moment, moment, load_kw - pv_kw + battery_kw, pv_kw, battery_kw, load_kw, soc_pct, 0.8 * soc_pct,
           25 + 5 * noise, 'STANDARD', 'GOOD', 3
      FROM (
        SELECT plant_id, moment, noise, 20 + 5 * noise AS load_kw, 60 * greatest(0, sun) * (0.7 + 0.3 * noise) AS pv_kw,
               20 * sun * noise AS battery_kw, 50 + 40 * sun AS soc_pct
          FROM (
            SELECT plant_id, moment, random() AS noise,
                   sin((date_part('epoch', moment) / 86400 - 0.25) * 2 * pi()) AS sun
              FROM generate_series(%(low)s::timestamptz, %(last)s::timestamptz, %(step)s::interval) AS moment
             CROSS JOIN unnest(%(plants)s::bigint[]) AS plant_id
             WHERE (plant_id * 7919 + floor(date_part('epoch', moment) / 3600)::bigint) %% 100 <> 0
          ) AS noisy
      ) AS measured
"""


@dataclass(frozen=True, kw_only=True)
class History:
    """Samples of [readings_from, present) and rollups of [rollups_from, present) of some plants."""

    schema: str
    plant_ids: Sequence[int]
    rollups_from: datetime
    readings_from: datetime
    present: datetime
    period_s: int = PERIOD_S

    @property
    def rolled_until(self) -> datetime:
        """The quarter-hour that is still open begins here."""
        return self.present.replace(minute=self.present.minute // 15 * 15, second=0, microsecond=0)

    @property
    def readings(self) -> int:
        """About how many samples there are."""
        seconds = (self.present - self.readings_from).total_seconds()
        return int(len(self.plant_ids) * seconds / self.period_s * 0.99)


def seed(url: str, history: History) -> int:
    """Make the schema anew and fill it; answers how many samples there are, and tells the seconds of each part."""
    began = perf_counter()
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(history.schema)))
        database.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(history.schema)))
        _make_tables(database, history)
    parts = [Part(history, *span) for span in _spans(history.readings_from, history.present, _A_DAY)]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as beside:
        earlier = beside.submit(_make_up, url, history)
        readings = sum(beside.map(lambda part: part.fill(url), parts))
        earlier.result()
    filled_s = perf_counter() - began
    with psycopg.connect(url, autocommit=True) as database:
        use(database, history.schema)
        _roll_up(database, parts)
        for table in TABLES:
            how = "ANALYZE" if table == "plants_telemetryreading" else "VACUUM (ANALYZE)"
            database.execute(f"{how} {table}")
    print(
        f"{history.schema}: {readings:,} samples and their quarter-hours in {filled_s:.1f} s, the rest in"
        f" {perf_counter() - began - filled_s:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    return readings


def use(database: Any, schema: str) -> None:
    """Let all unqualified names mean this schema's tables first; `database` is a connection or a cursor."""
    database.execute(f"SET search_path TO {schema}, public")


def _make_tables(database: "psycopg.Connection[Any]", history: History) -> None:
    for table in TABLES:
        column, length, form = _PARTITIONED_BY.get(table, ("", None, ""))
        name = f"{history.schema}.{table}"
        split = f"PARTITION BY RANGE ({column})" if column else ""
        database.execute(
            f"CREATE {'' if column else 'UNLOGGED'} TABLE {name} (LIKE public.{table} INCLUDING ALL) {split}"
        )
        if column and not length:  # days of readings are attached when they are full
            for low, high in _spans(history.rollups_from, history.present, length):
                database.execute(
                    f"CREATE UNLOGGED TABLE {name}_{low.strftime(form)} PARTITION OF {name}"
                    f" FOR VALUES FROM ('{low.isoformat()}') TO ('{high.isoformat()}')"
                )


def _spans(since: datetime, until: datetime, length: timedelta | None) -> Iterator[tuple[datetime, datetime]]:
    """UTC days (months: no length) that hold [since, until)."""
    low = datetime(since.year, since.month, since.day if length else 1, tzinfo=UTC)
    while low < until:
        after = low + (length or timedelta(days=31))
        high = after if length else after.replace(day=1)
        yield low, high
        low = high


@dataclass(frozen=True)
class Part:
    """The readings of one day."""

    history: History
    low: datetime
    high: datetime

    @property
    def quarters(self) -> str:
        """Where its quarter-hours wait for those of the days before."""
        return f"{self.history.schema}.quarters_{self.low.strftime('%Y%m%d')}"

    def fill(self, url: str) -> int:
        """Make the day's partition and its quarter-hours; answers its rows."""
        history = self.history
        step = timedelta(seconds=history.period_s)
        parent = f"{history.schema}.plants_telemetryreading"
        name = f"{parent}_{self.low.strftime('%Y%m%d')}"
        with psycopg.connect(url, autocommit=True) as database:
            database.execute(
                f"CREATE UNLOGGED TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            )
            database.execute("SELECT setseed(%s)", [self.low.toordinal() % 100 / 100])
            done = database.execute(
                _READINGS.format(table=name),
                {
                    "low": max(self.low, history.readings_from),
                    "last": min(self.high, history.present) - step,
                    "step": step,
                    "plants": list(history.plant_ids),
                },
            )
            database.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (plant_id, measured_at)")
            database.execute(f"SET work_mem = '{_MEMORY}'")
            database.execute(
                f"CREATE UNLOGGED TABLE {self.quarters} (plant_id, start_at, computed_at, {_columns()})"
                f" AS {_quarters(name, history.rolled_until, history.period_s)}"
            )
            database.execute(
                f"ALTER TABLE {parent} ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{self.low.isoformat()}') TO ('{self.high.isoformat()}')"
            )
        return done.rowcount


# --- rollups ----------------------------------------------------------------------------------------------------------


def _roll_up(database: "psycopg.Connection[Any]", parts: "Sequence[Part]") -> None:
    for part in parts:
        database.execute(
            f"INSERT INTO metering_telemetryquarter (plant_id, start_at, computed_at, {_columns()})"
            f" SELECT * FROM {part.quarters} ORDER BY start_at, plant_id"
        )
        database.execute(f"DROP TABLE {part.quarters}")
    database.execute(_sums("metering_telemetryhour"))
    database.execute(_sums("metering_telemetryday"))


def _make_up(url: str, history: History) -> None:
    made_up = {
        "since": history.rollups_from,
        "last": history.readings_from,
        "plants": list(history.plant_ids),
    }
    with psycopg.connect(url, autocommit=True) as database:
        use(database, history.schema)
        database.execute(_made_up("metering_telemetryhour"), made_up)
        database.execute(_made_up("metering_telemetryday"), made_up)


def _columns() -> str:
    measures, energies = _rolled_up()
    per_measure = (f"{name}_{what}" for name in measures for what in ("s", "min", "max", "mean", "last"))
    return f"samples, covered_s, coverage_pct, good_s, quality_rank, {', '.join(per_measure)}, {', '.join(energies)}"


def _rolled_up() -> tuple[Sequence[str], Mapping[str, tuple[str, int]]]:
    from metering.rollup import ENERGIES, MEASURES  # noqa: PLC0415 - after the settings

    return MEASURES, ENERGIES


def _quarters(table: str, until: datetime, period_s: int) -> str:
    """Quarter-hours of the samples of a table, each of which speaks for its period."""
    measures, energies = _rolled_up()
    values = ", ".join(
        f"count({name}) * {period_s}, min({name}), max({name}), avg({name}), max({name})" for name in measures
    )
    sums = ", ".join(
        f"sum(greatest(0, {sign} * {name})) * {period_s} / 3600" for name, sign in energies.values()
    )
    return f"""
        SELECT plant_id, start_at, start_at + interval '16 min', count(*), count(*) * {period_s},
               count(*) * {period_s} / 9.0, count(*) * {period_s}, min(quality_rank), {values}, {sums}
          FROM (SELECT date_bin('15 min', measured_at, 'epoch') AS start_at, * FROM {table}
                 WHERE measured_at < '{until.isoformat()}') AS sample
         GROUP BY start_at, plant_id
    """


def _sums(table: str) -> str:
    """Hours or local days of the quarter-hours."""
    measures, energies = _rolled_up()
    start, more, given, length_s = _key(table)
    values = ", ".join(
        f"sum({name}_s), min({name}_min), max({name}_max), avg({name}_mean), max({name}_last)"
        for name in measures
    )
    return f"""
        INSERT INTO {table} (plant_id, start_at, computed_at, {given} {_columns()})
        SELECT plant_id, first_at, first_at, {more} sum(samples), sum(covered_s), 100 * sum(covered_s) / {length_s},
               sum(good_s), min(quality_rank), {values}, {", ".join(f"sum({name})" for name in energies)}
          FROM (SELECT {start} AS first_at, * FROM metering_telemetryquarter) AS quarter
         GROUP BY first_at, plant_id ORDER BY first_at, plant_id
    """


def _made_up(table: str) -> str:
    """Hours or local days before the samples: values of chance about their means."""
    measures, energies = _rolled_up()
    _, more, given, length_s = _key(table)
    step = "1 day" if given else "1 hour"
    values = ", ".join(f"{length_s}, value - 9, value + 9, value, value + 1" for _ in measures)
    return f"""
        INSERT INTO {table} (plant_id, start_at, computed_at, {given} {_columns()})
        SELECT plant_id, first_at, first_at, {more} {length_s} / {PERIOD_S}, {length_s}, 100, {length_s}, 3,
               {values}, {", ".join("value" for _ in energies)}
          FROM (SELECT plant_id, local AT TIME ZONE '{ZONE}' AS first_at, 40 * random() AS value
                  FROM generate_series(date_trunc('day', %(since)s AT TIME ZONE '{ZONE}'),
                                       date_trunc('day', %(last)s AT TIME ZONE '{ZONE}') - interval '{step}',
                                       interval '{step}') AS local
                 CROSS JOIN unnest(%(plants)s::bigint[]) AS plant_id) AS one
         ORDER BY first_at, plant_id
        ON CONFLICT DO NOTHING
    """


def _key(table: str) -> tuple[str, str, str, str]:
    """How a row's beginning is found, the values and names of a day's own columns, and its length in seconds."""
    if table == "metering_telemetryhour":
        return "date_trunc('hour', start_at)", "", "", "3600"
    local = f"first_at AT TIME ZONE '{ZONE}'"
    end = f"({local} + interval '1 day') AT TIME ZONE '{ZONE}'"
    return f"date_trunc('day', start_at, '{ZONE}')", f"({local})::date, {end},", "day, end_at,", "86400"
