"""The statements that roll up on PostgreSQL: many intervals of many plants in one, equal to `metering.rollup`.

Every due interval reads its own rows through the key (plant, time) and is summed up on the way: no sort, no hash, no
more memory than one interval. Constant bounds of time are given beside those of each interval, so that the planner
leaves out the partitions that cannot hold any of it.

The newest value of a measure is taken from the newest row; only where that row lacks it, another look-up is made.
OFFSET 0 keeps the planner from joining that row before the sums are made: it would make them once for every row.
"""

from metering.rollup import ENERGIES, GOOD_RANK, MEASURES, TINY

_WHOLE = ("samples", "covered_s", "coverage_pct", "good_s", "quality_rank")
COLUMNS = (
    *_WHOLE,
    *(f"{name}_{what}" for name in MEASURES for what in ("s", "min", "max", "mean", "last")),
    *ENERGIES,
)
"""The columns of `metering.models.TelemetryRollup` but `computed_at`, in the order of every statement here."""


def _upsert(table: str, key: str, extra: str = "") -> tuple[str, str]:
    """Head and tail of an INSERT that replaces what was there."""
    names = [*(name for name in (extra,) if name), "computed_at", *COLUMNS]
    head = f"INSERT INTO {table} ({key}, {', '.join(names)})"
    changes = ", ".join(f"{name} = excluded.{name}" for part in names for name in part.split(", "))
    return head, f"ON CONFLICT ({key}) DO UPDATE SET {changes}"


def _selected(length_s: str) -> str:
    """The values of COLUMNS from the sums `a` and the newest values."""
    measures = ", ".join(
        f"coalesce(a.{name}_s, 0), a.{name}_min, a.{name}_max,"
        f" least(greatest(a.{name}_ws / nullif(a.{name}_s, 0), a.{name}_min), a.{name}_max), l.{name}_last"
        for name in MEASURES
    )
    energies = ", ".join(
        f"CASE WHEN a.{measure}_s > 0 THEN coalesce(a.{name}, 0) END"
        for name, (measure, _) in ENERGIES.items()
    )
    return (
        f"a.samples, a.covered_s, least(100, 100 * a.covered_s / ({length_s})), a.good_s, a.quality_rank,"
        f" {measures}, {energies}"
    )


def _piece_sums() -> str:
    measures = ", ".join(
        f"sum(seconds) FILTER (WHERE {name} IS NOT NULL) AS {name}_s, min({name}) AS {name}_min,"
        f" max({name}) AS {name}_max, sum({name} * seconds) AS {name}_ws"
        for name in MEASURES
    )
    energies = ", ".join(
        f"{'-' if sign < 0 else ''}sum({measure} * seconds) FILTER (WHERE {measure} {'<' if sign < 0 else '>'} 0)"
        f" / 3600 AS {name}"
        for name, (measure, sign) in ENERGIES.items()
    )
    return f"{measures}, {energies}"


def _newest_sample() -> str:
    """Newest values of an interval; a sample from before it counts only while it is held, and only the last one."""
    within = "r.plant_id = due.plant_id AND r.measured_at >= {low} AND r.measured_at < due.end_at"
    columns = ", ".join(
        f"CASE WHEN a.{name}_s IS NULL THEN NULL WHEN n.{name} IS NOT NULL THEN n.{name} ELSE ("  # noqa: S608
        f"SELECT r.{name} FROM plants_telemetryreading r WHERE {within.format(low='a.first_at')}"
        " AND r.measured_at >= %(low)s AND r.measured_at < %(high)s"
        f" AND r.data_quality <> 'MISSING' AND r.{name} IS NOT NULL"
        f" ORDER BY r.measured_at DESC LIMIT 1) END AS {name}_last"
        for name in MEASURES
    )
    return (
        f"SELECT {columns} FROM (SELECT 1) AS one LEFT JOIN plants_telemetryreading n"  # noqa: S608 - as above
        " ON n.plant_id = due.plant_id AND n.measured_at = a.last_at"
        " AND n.measured_at >= %(low)s AND n.measured_at < %(high)s OFFSET 0"
    )


def quarters_statement() -> str:
    """Upsert due quarter-hours from the readings; answers (plant_id, start_at) of those that hold anything.

    Parameters: plant_ids, starts, ends, holds (arrays, one interval each), low, high (all readings that can count), at.
    """
    head, tail = _upsert("metering_telemetryquarter", "plant_id, start_at")
    values = ", ".join(
        f"CASE WHEN r.data_quality = 'MISSING' THEN NULL WHEN abs(r.{name}) < {TINY} THEN 0 ELSE r.{name} END AS {name}"
        for name in MEASURES
    )
    nothing = ", ".join(f"r.{name}" for name in MEASURES)
    return f"""
        {head}
        SELECT due.plant_id, due.start_at, %(at)s, {_selected("900")}
          FROM unnest(%(plant_ids)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
                      %(holds)s::interval[]) AS due(plant_id, start_at, end_at, hold)
         CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE measured_at >= due.start_at) AS samples,
                   coalesce(sum(seconds) FILTER (WHERE speaks), 0) AS covered_s,
                   coalesce(sum(seconds) FILTER (WHERE speaks AND quality_rank = {GOOD_RANK}), 0) AS good_s,
                   min(quality_rank) FILTER (WHERE speaks) AS quality_rank,
                   min(measured_at) FILTER (WHERE speaks) AS first_at,
                   max(measured_at) FILTER (WHERE speaks) AS last_at, {_piece_sums()}
              FROM (
                SELECT r.measured_at, r.quality_rank, {values},
                       r.data_quality <> 'MISSING' AND num_nonnulls({nothing}) > 0 AS speaks,
                       date_part('epoch', least(lead(r.measured_at) OVER (ORDER BY r.measured_at),
                                                r.measured_at + due.hold, due.end_at)
                                          - greatest(r.measured_at, due.start_at)) AS seconds
                  FROM plants_telemetryreading r
                 WHERE r.plant_id = due.plant_id
                   AND r.measured_at > due.start_at - due.hold AND r.measured_at < due.end_at
                   AND r.measured_at >= %(low)s AND r.measured_at < %(high)s
              ) AS piece
             WHERE seconds > 0
         ) AS a
         CROSS JOIN LATERAL ({_newest_sample()}) AS l
         WHERE a.samples > 0 OR a.covered_s > 0
        {tail}
        RETURNING plant_id, start_at
    """  # noqa: S608 - names of columns


def _part_sums() -> str:
    measures = ", ".join(
        f"nullif(sum({name}_s), 0) AS {name}_s, min({name}_min) AS {name}_min, max({name}_max) AS {name}_max,"
        f" sum({name}_mean * {name}_s) AS {name}_ws"
        for name in MEASURES
    )
    return f"{measures}, {', '.join(f'sum({name}) AS {name}' for name in ENERGIES)}"


def _newest_part(source: str) -> str:
    within = (
        "q.plant_id = due.plant_id AND q.start_at >= due.start_at AND q.start_at <= a.last_at"
        " AND q.start_at >= %(low)s AND q.start_at < %(high)s"
    )
    columns = ", ".join(
        f"CASE WHEN a.{name}_s IS NULL THEN NULL WHEN n.{name}_last IS NOT NULL THEN n.{name}_last ELSE ("  # noqa: S608
        f"SELECT q.{name}_last FROM {source} q WHERE {within} AND q.{name}_last IS NOT NULL"
        f" ORDER BY q.start_at DESC LIMIT 1) END AS {name}_last"
        for name in MEASURES
    )
    return (
        f"SELECT {columns} FROM {source} n"  # noqa: S608 - as above
        " WHERE n.plant_id = due.plant_id AND n.start_at = a.last_at"
        " AND n.start_at >= %(low)s AND n.start_at < %(high)s OFFSET 0"
    )


def _sums_statement(*, source: str, target: str, key: str, extra: str, length_s: str) -> str:
    head, tail = _upsert(target, key, extra)
    given = [name for name in (*key.split(", "), *extra.split(", ")) if name]
    return f"""
        {head}
        SELECT {", ".join(f"due.{name}" for name in given)}, %(at)s, {_selected(length_s)}
          FROM unnest(%(plant_ids)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
                      %(days)s::date[]) AS due(plant_id, start_at, end_at, day)
         CROSS JOIN LATERAL (
            SELECT sum(q.samples) AS samples, sum(q.covered_s) AS covered_s, sum(q.good_s) AS good_s,
                   min(q.quality_rank) AS quality_rank, max(q.start_at) AS last_at, {_part_sums()}
              FROM {source} q
             WHERE q.plant_id = due.plant_id AND q.start_at >= due.start_at AND q.start_at < due.end_at
               AND q.start_at >= %(low)s AND q.start_at < %(high)s
         ) AS a
         CROSS JOIN LATERAL ({_newest_part(source)}) AS l
        {tail}
        RETURNING plant_id, start_at
    """  # noqa: S608 - names of tables and columns


def hours_statement() -> str:
    """Upsert hours from their quarter-hours; parameters as of `days_statement` (`days` is not looked at)."""
    return _sums_statement(
        source="metering_telemetryquarter",
        target="metering_telemetryhour",
        key="plant_id, start_at",
        extra="",
        length_s="3600",
    )


def days_statement(*, source: str) -> str:
    """Upsert local days from the rows of `source`; answers (plant_id, start_at) of those that hold anything.

    Parameters: plant_ids, starts, ends, days (arrays, one interval each), low, high (all rows that can count), at.
    """
    return _sums_statement(
        source=source,
        target="metering_telemetryday",
        key="plant_id, day",
        extra="start_at, end_at",
        length_s="date_part('epoch', due.end_at - due.start_at)",
    )
