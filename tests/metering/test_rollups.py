"""Rollups in the tables: equal to the reference, computed only where something changed."""

from datetime import timedelta

import pytest

from metering.models import RollupDue, RollupMark, Stream, TelemetryDay, TelemetryHour, TelemetryQuarter
from metering.rules import QUARTER
from metering.services.rollups import rebuild, roll_up_telemetry
from tests.factories import plant
from tests.metering.rollup_world import RULES, START, assert_same, expected, sample, store, tables

LATER = START + timedelta(days=2)


@pytest.fixture
def depot(db):
    return plant()


@pytest.mark.django_db
def test_the_tables_hold_what_the_reference_says(depot):
    store(depot.pk, [sample(10 * n, n % 7 - 3.0, 2.0, -1.0 * (n % 3), 4.0, 50.0) for n in range(500)])

    rolled = roll_up_telemetry(at=LATER, rules=RULES)

    assert rolled.quarters == 6 and rolled.marks == 6 and not rolled.more
    assert_same(tables(depot.pk), expected(depot.pk, zone=depot.time_zone))
    assert not RollupDue.objects.exists() and not RollupMark.objects.exists()
