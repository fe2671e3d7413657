"""The arithmetic of the simulated hour."""

from dataclasses import replace

import pytest

from bench.scale import Cost, Costs, demand

NOTHING = Cost(units=1, ours_us=0.0, postgres_us=0.0, wal_bytes=0.0)
COSTS = Costs(
    plants=1000,
    realtime=Cost(units=1, ours_us=100.0, postgres_us=50.0, wal_bytes=600.0),
    meter=NOTHING,
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
