"""Means over any spans: both databases agree with the plain reading of the rules, and partitions are left out."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.models import Stream, StreamPeriod
from metering.selectors.span_power import PowerMeans, PowerSpan, mean_powers
from plants.models import TelemetryReading
from plants.services.partitions import ensure_partitions
from tests import factories
from tests.metering.rollup_world import RULES, START, sample, store

pytestmark = pytest.mark.django_db
S = timedelta(seconds=1)


def span(plant, low_s: float, high_s: float, *, battery: bool = True, pv: bool = True) -> PowerSpan:
    return PowerSpan(plant.pk, START + low_s * S, START + high_s * S, battery, pv)


def of(one: PowerSpan) -> PowerMeans:
    return mean_powers(spans=[one], rules=RULES)[0]


def slowly(one: PowerSpan) -> tuple[float, float, float, float]:
    """Second by second, all that changes does so on whole ones: (grid kW s, s known, own kW s, s known)."""
    rows = list(TelemetryReading.objects.filter(plant_id=one.plant_id).order_by("measured_at"))
    totals = [0.0, 0.0, 0.0, 0.0]
    for step in range(int((one.high - one.low).total_seconds())):
        moment = one.low + (step + 0.5) * S
        before = [row for row in rows if row.measured_at <= moment]
        if not before or moment - before[-1].measured_at > 15 * S or before[-1].quality_rank < 2:
            continue
        row = before[-1]
        if row.grid_power_kw is not None:
            totals[0] += row.grid_power_kw
            totals[1] += 1
        if (row.battery_power_kw is not None or not one.has_battery) and (
            row.fve_power_kw is not None or not one.has_pv
        ):
            totals[2] += (row.battery_power_kw or 0.0) - (row.fve_power_kw or 0.0)
            totals[3] += 1
    return tuple(totals)


@pytest.mark.parametrize("seed", range(5))
def test_the_means_are_those_of_each_moment(seed):
    chance = random.Random(seed)
    plants = [factories.plant() for _ in range(3)]
    for plant in plants:
        moments = sorted({chance.randint(-60, 200) for _ in range(chance.randint(1, 25))})
        store(
            plant.pk,
            [
                sample(
                    at_s,
                    *(
                        chance.choice([None, chance.uniform(-50, 50), chance.uniform(-50, 50)])
                        for _ in range(3)
                    ),
                    rank=chance.choice([3, 3, 3, 2, 1, 0]),
                )
                for at_s in moments
            ],
        )
    spans = [
        span(
            plant,
            chance.randint(-30, 60),
            chance.randint(70, 150),
            battery=chance.random() < 0.7,
            pv=chance.random() < 0.7,
        )
        for plant in plants
        for _ in range(2)
    ]

    for one, found in zip(spans, mean_powers(spans=spans, rules=RULES), strict=True):
        grid, grid_s, own, own_s = slowly(one)
        assert (found.grid_known_s, found.own_known_s) == (pytest.approx(grid_s), pytest.approx(own_s))
        assert (found.grid_kw or 0.0) * found.grid_known_s == pytest.approx(grid, abs=1e-6)
        assert (found.own_kw or 0.0) * found.own_known_s == pytest.approx(own, abs=1e-6)


def test_nothing_measured_is_nothing_known():
    found = of(span(factories.plant(), 0, 60))

    assert (found.grid_kw, found.grid_known_s, found.samples) == (None, 0.0, 0)


def test_a_sample_from_before_counts_while_it_is_held():
    plant = factories.plant()
    store(plant.pk, [sample(-10, 7.0)])

    found = of(span(plant, 0, 60))

    assert (found.grid_kw, found.grid_known_s, found.samples) == (7.0, pytest.approx(5.0), 0)


def test_a_plant_that_speaks_seldom_is_held_longer():
    plant = factories.plant()
    StreamPeriod.objects.create(
        plant=plant, stream=Stream.REALTIME, valid_from=START - timedelta(days=1), period_s=60.0, source="SET"
    )
    store(plant.pk, [sample(0, 7.0)])

    assert of(span(plant, 0, 300)).grid_known_s == pytest.approx(90.0)


def test_the_charge_is_the_last_one_that_is_told():
    plant = factories.plant()
    store(plant.pk, [sample(n * 10, 0.0, None, None, None, 53.0 - n) for n in range(4)])
    store(plant.pk, [sample(35, 0.0, None, None, None, None)])

    assert of(span(plant, 0, 40)).soc_end_pct == 50.0


@pytest.mark.postgresql
def test_partitions_of_other_days_are_left_out():
    plant = factories.plant()
    ensure_partitions(days=[START.date() + timedelta(days=day) for day in range(-5, 6)])
    store(plant.pk, [sample(0, 7.0)])
    with CaptureQueriesContext(connection) as context:
        of(span(plant, 0, 60))

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {context.captured_queries[-1]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "plants_telemetryreading_20260310" in plan
    assert plan.count("on plants_telemetryreading_") == 1
