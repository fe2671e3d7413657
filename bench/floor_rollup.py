"""The floor of rolling up: what PostgreSQL needs to read the samples of an hour and sum them up per quarter-hour.

One plain statement over all plants: least, most, weighted sum and seconds of seven measures, into a table. No newest
value, no energies, no hours, no days, nothing that knows what is due.
"""

from time import perf_counter

from bench.naive_rollup import MEASURES
from bench.rolling import END, History
from bench.world import START

_SUMS = ", ".join(
    f"min({name}) AS {name}_min, max({name}) AS {name}_max, sum({name} * seconds) AS {name}_ws,"
    f" sum(seconds) FILTER (WHERE {name} IS NOT NULL) AS {name}_s"
    for name in MEASURES
)
_STATEMENT = f"""
    CREATE TABLE bench_floor AS
    SELECT plant_id, date_bin('15 min', measured_at, %(low)s::timestamptz) AS start_at, count(*) AS samples,
           min(quality_rank) AS quality_rank, sum(seconds) AS covered_s, {_SUMS}
      FROM (
        SELECT *, date_part('epoch', least(lead(measured_at) OVER (PARTITION BY plant_id ORDER BY measured_at),
                                           measured_at + interval '15 s') - measured_at) AS seconds
          FROM plants_telemetryreading
         WHERE measured_at >= %(low)s::timestamptz AND measured_at < %(high)s::timestamptz
      ) AS piece
     GROUP BY 1, 2
"""


def sum_all(history: History) -> float:
    """Samples a second."""
    history.plants()
    with history.world.database() as database:
        database.execute("DROP TABLE IF EXISTS bench_floor")
        database.execute("SET jit = off")
        began = perf_counter()
        database.execute(_STATEMENT.replace("%(low)s", f"'{START}'").replace("%(high)s", f"'{END}'"))
        took_s = perf_counter() - began
        database.execute("DROP TABLE bench_floor")
    return history.samples / took_s
