"""What PostgreSQL makes of the statements: it opens no day and no month that can hold nothing of what is due."""

import re
from datetime import timedelta

import pytest
from django.db import connection

from metering.partitions import ROLLUPS
from metering.rules import QUARTER
from metering.services import rollup_postgres
from metering.services.rollup_work import Interval
from plants.services.partitions import ensure_partitions
from tests.metering.rollup_world import HOUR, START

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]
HOLD = timedelta(seconds=15)


def opened(statement, intervals):
    """The partitions that the plan of a statement names."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", rollup_postgres._parameters(intervals, START))
        plan = "\n".join(row[0] for row in cursor.fetchall())
    return set(re.findall(r" on ((?:plants|metering)_\w+_\d{6,8})", plan))


@pytest.fixture
def _much_history(db):
    days = [START.date() + timedelta(days=offset) for offset in range(-3, 4)]
    ensure_partitions(days=days)
    ensure_partitions(days=[START.date() + timedelta(days=offset) for offset in (-40, 0, 40)], tables=ROLLUPS)


@pytest.mark.usefixtures("_much_history")
def test_quarter_hours_read_only_the_days_that_they_lie_in():
    noon = Interval(1, START, START + QUARTER, hold=HOLD)
    midnight = Interval(2, START + 12 * HOUR, START + 12 * HOUR + QUARTER, hold=HOLD)

    assert opened(rollup_postgres._QUARTERS, [noon]) == {"plants_telemetryreading_20260310"}
    assert opened(rollup_postgres._QUARTERS, [midnight]) == {
        "plants_telemetryreading_20260310",  # a sample may be held over midnight
        "plants_telemetryreading_20260311",
    }


@pytest.mark.usefixtures("_much_history")
def test_hours_and_days_read_only_the_month_that_they_lie_in():
    hour = Interval(1, START, START + HOUR)
    day = Interval(1, START - 13 * HOUR, START + 11 * HOUR, day=START.date())

    assert opened(rollup_postgres._HOURS, [hour]) == {"metering_telemetryquarter_202603"}
    assert opened(rollup_postgres._DAYS_OF_HOURS, [day]) == {"metering_telemetryhour_202603"}
