"""What a machine carries, by slices of an hour of 100,000 plants in tables as full as in operation.

    python -m bench.scale [--plants 100000] [--output FILE]

`bench.scale_run` measures what a message, a row and a quarter-hour cost: the CPU time of our process and of all of
PostgreSQL, and the bytes of its log; wall time on a machine that others use tells nothing. The rest is arithmetic
(`Demand`). The slices are the first two rounds of minutes 0, 30 and 58: 1/60 of an hour's realtime messages, and a
tenth of its meter messages; the readings between them are filled in by SQL.

Broker, TLS and the consumer's own loop are not in it: `telemetry_ingest` of `python -m bench` measures them; where its
results are at hand (bench/results.json), the consumers that it asks for are told beside.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.scale_run import METER_S, METERS_A_PLANT, REALTIME_S, Cost, Costs, Simulation
from bench.world import World

QUARTER_S, DAY_S = 900, 86_400
CHECKPOINT_S = 300.0
"""PostgreSQL's own checkpoint_timeout; max_wal_size must be so large that it alone makes checkpoints."""
RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What so many plants ask for, by the costs. `upkeep_cores`: folding, trimming, vacuum of the histories."""

    plants: int
    messages_per_s: float
    consumer_cores: float
    postgres_cores: float
    rollup_cores: float
    upkeep_cores: float
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

    Messages cost what they cost in the last slice, when the hour is nearly full: the first round after a checkpoint
    comes once in `CHECKPOINT_S`, all others are later ones. Quarter-hours are measured with two thousand plants,
    because each is computed from its own rows alone.
    """
    realtime, meter, quarters = plants / REALTIME_S, plants / METER_S, plants / QUARTER_S
    streams = [(realtime, costs.realtime[-1]), (meter, costs.meter[-1])]

    def of_messages(which: str) -> float:
        return sum(
            rate * getattr(one.later, which)
            + plants * (getattr(one.first, which) - getattr(one.later, which)) / CHECKPOINT_S
            for rate, one in streams
        )

    rows = realtime + METERS_A_PLANT * meter
    by_message = (costs.fold, costs.trim, costs.trim_vacuum)
    upkeep = [*((realtime + meter, one) for one in by_message), (rows, costs.vacuum)]
    rolled = [(quarters, costs.rollup), (quarters, costs.meter_rollup)]
    later = [*upkeep, *rolled]
    bytes_of = costs.row_bytes
    daily = DAY_S * (
        realtime * bytes_of["plants_telemetryreading"]
        + METERS_A_PLANT * meter * bytes_of["plants_meterreading"]
    )
    yearly = (
        365
        * plants
        * (96 + 24)
        * (bytes_of["metering_telemetryquarter"] + METERS_A_PLANT * bytes_of["metering_meterquarter"])
    )
    return Demand(
        plants=plants,
        messages_per_s=realtime + meter,
        consumer_cores=of_messages("ours_us") / 1e6,
        postgres_cores=of_messages("postgres_us") / 1e6,
        rollup_cores=_cores(rolled),
        upkeep_cores=_cores(upkeep),
        wal_mb_per_s=(of_messages("wal_bytes") + sum(rate * one.wal_bytes for rate, one in later)) / 1e6,
        gb_per_day=daily / 1e9,
        rollup_gb_per_year=yearly / 1e9,
    )


def _cores(parts: Sequence[tuple[float, Cost]]) -> float:
    return sum(rate * (one.ours_us + one.postgres_us) for rate, one in parts) / 1e6


def consumers(plants: int, *, results: Path = RESULTS) -> float | None:
    """Consumer processes that so many plants need by `telemetry_ingest`, fetching included; None = not measured."""
    if not results.exists():
        return None
    rows = json.loads(results.read_text())["rows"]
    rate = next((float(row["value"]) for row in rows if row["name"] == "telemetry_ingest"), None)
    return None if rate is None else (plants / REALTIME_S + plants / METER_S) / rate


def print_tables(costs: Costs, demands: Sequence[Demand]) -> None:
    """As docs/scale.md shows them."""
    print(f"| part ({costs.plants:,} plants) | units | our CPU, us | PostgreSQL's CPU, us | log, bytes |")
    print("| --- | --- | --- | --- | --- |")
    for name, one in _parts(costs):
        print(
            f"| {name} | {one.units:,} | {one.ours_us:,.1f} | {one.postgres_us:,.1f} | {one.wal_bytes:,.0f} |"
        )
    print("\n| table | bytes a row |\n| --- | --- |")
    for table, size in costs.row_bytes.items():
        print(f"| {table} | {size:,.0f} |")
    heads = (
        "consumers, cores",
        "PostgreSQL, cores",
        "rollups, cores",
        "upkeep, cores",
        "log, MB/s",
        "GB a day",
        "rollups, GB a year",
    )
    print(f"\n| plants | messages/s | {' | '.join(heads)} |")
    print("| --- " * (2 + len(heads)) + "|")
    for one_demand in demands:
        print(
            f"| {one_demand.plants:,} | {one_demand.messages_per_s:,.0f} | {one_demand.consumer_cores:.4f} |"
            f" {one_demand.postgres_cores:.4f} | {one_demand.rollup_cores:.4f} |"
            f" {one_demand.upkeep_cores:.4f} | {one_demand.wal_mb_per_s:.2f} |"
            f" {one_demand.gb_per_day:,.1f} | {one_demand.rollup_gb_per_year:,.0f} |"
        )
    needed = consumers(demands[-1].plants)
    told = "not measured yet: python -m bench --only telemetry_ingest" if needed is None else f"{needed:.2f}"
    print(f"\nConsumers for {demands[-1].plants:,} plants by telemetry_ingest, fetching included: {told}")


def _parts(costs: Costs) -> Iterator[tuple[str, Cost]]:
    for stream, slices in (("realtime", costs.realtime), ("meter", costs.meter)):
        for one in slices:
            yield f"{stream}, minute {one.minute}, first round after a checkpoint", one.first
            yield f"{stream}, minute {one.minute}, later round", one.later
    yield "folding of marks, by message", costs.fold
    yield "trimming of raw bodies, by message", costs.trim
    yield "vacuum of raw bodies, by message", costs.trim_vacuum
    yield "vacuum of the telemetry history, by row", costs.vacuum
    yield "quarter-hour of telemetry", costs.rollup
    yield "quarter-hour of two meters", costs.meter_rollup


if __name__ == "__main__":
    main()
