"""The arithmetic of the model in docs/scale.md."""

import json
from dataclasses import replace

import pytest

from bench.scale import CHECKPOINT_S, consumers, demand
from bench.scale_run import Cost, Costs, Slice

NOTHING = Cost(units=1, ours_us=0.0, postgres_us=0.0, wal_bytes=0.0)
SILENT = [Slice(minute=58, first=NOTHING, later=NOTHING)]
LATER = Cost(units=1, ours_us=100.0, postgres_us=50.0, wal_bytes=600.0)
COSTS = Costs(
    plants=1000,
    realtime=[Slice(minute=0, first=NOTHING, later=NOTHING), Slice(minute=58, first=LATER, later=LATER)],
    meter=SILENT,
    fold=NOTHING,
    trim=NOTHING,
    trim_vacuum=NOTHING,
    vacuum=NOTHING,
    rollup=NOTHING,
    meter_rollup=NOTHING,
    row_bytes={
        "plants_telemetryreading": 100.0,
        "plants_meterreading": 0.0,
        "metering_telemetryquarter": 0.0,
        "metering_meterquarter": 0.0,
    },
)


def test_messages_cost_cores_log_and_disk():
    found = demand(COSTS, 100_000)

    assert found.messages_per_s == pytest.approx(100_000 / 10 + 100_000 / 60)
    assert (found.consumer_cores, found.postgres_cores) == (pytest.approx(1.0), pytest.approx(0.5))
    assert found.wal_mb_per_s == pytest.approx(6.0)
    assert found.gb_per_day == pytest.approx(100_000 * 8640 * 100 / 1e9)
    assert found.rollup_cores == 0


def test_quarter_hours_cost_both_processes():
    each = Cost(units=1, ours_us=100.0, postgres_us=800.0, wal_bytes=0.0)

    found = demand(replace(COSTS, rollup=each, meter_rollup=each), 900_000)

    assert found.rollup_cores == pytest.approx(2 * 1000 * 900e-6)


def test_twice_the_plants_ask_for_twice_as_much():
    once, twice = demand(COSTS, 1000), demand(COSTS, 2000)

    for name, value in vars(once).items():
        assert getattr(twice, name) == pytest.approx(2 * value), name


def test_the_first_round_after_a_checkpoint_counts_once_a_checkpoint():
    first = replace(LATER, wal_bytes=8600.0, postgres_us=80.0)
    costs = replace(COSTS, realtime=[Slice(minute=58, first=first, later=LATER)])

    plain, found = demand(COSTS, 100_000), demand(costs, 100_000)

    assert found.wal_mb_per_s - plain.wal_mb_per_s == pytest.approx(100_000 * 8000 / CHECKPOINT_S / 1e6)
    assert found.postgres_cores - plain.postgres_cores == pytest.approx(100_000 * 30 / CHECKPOINT_S / 1e6)
    assert found.consumer_cores == plain.consumer_cores


def test_upkeep_goes_by_messages_and_rows_and_writes_log_too():
    each = Cost(units=1, ours_us=1.0, postgres_us=2.0, wal_bytes=50.0)

    found = demand(replace(COSTS, fold=each, trim=each, trim_vacuum=each, vacuum=each), 60_000)

    messages, rows = 7000, 8000
    assert found.upkeep_cores == pytest.approx((3 * messages + rows) * 3e-6)
    assert found.wal_mb_per_s == pytest.approx(6000 * 600e-6 + (3 * messages + rows) * 50e-6)


def test_consumers_are_told_by_the_bench_where_it_was_run(tmp_path):
    results = tmp_path / "results.json"

    missing = consumers(60_000, results=results)
    results.write_text(json.dumps({"rows": [{"name": "telemetry_ingest", "value": 3500.0}]}))

    assert (missing, consumers(60_000, results=results)) == (None, pytest.approx(2.0))
