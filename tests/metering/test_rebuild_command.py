"""`manage.py rebuild_rollups`."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from metering.models import TelemetryDay
from metering.services.rollups import roll_up_telemetry
from plants.models import Plant
from tests.factories import plant
from tests.metering.rollup_world import RULES, START, assert_same, expected, sample, store, tables

pytestmark = pytest.mark.django_db


@pytest.fixture
def _two_days_later(monkeypatch):
    monkeypatch.setattr(
        "metering.management.commands.rebuild_rollups.clock.now", lambda: START + timedelta(days=2)
    )


def rebuild_rollups(*words):
    said = StringIO()
    call_command(
        "rebuild_rollups",
        *words,
        f"--from={START.date() - timedelta(days=1)}",
        f"--to={START.date()}",
        stdout=said,
    )
    return said.getvalue()


@pytest.mark.usefixtures("_two_days_later")
def test_days_of_a_plant_whose_zone_was_changed_are_computed_by_the_new_zone():
    depot = plant(time_zone="Europe/Prague")
    store(depot.pk, [sample(900 * n, 1.0) for n in range(-50, 20)])
    roll_up_telemetry(at=START + timedelta(days=2), rules=RULES)
    Plant.objects.filter(pk=depot.pk).update(time_zone="Asia/Kathmandu")

    said = rebuild_rollups("--plants", depot.external_plant_id)

    assert said.startswith("quarter-hours looked at: 192 of telemetry")
    assert_same(tables(depot.pk), expected(depot.pk, zone="Asia/Kathmandu"))
    assert {day.start_at.minute for day in TelemetryDay.objects.all()} == {15}


@pytest.mark.usefixtures("_two_days_later")
def test_a_plant_that_is_not_known_is_named():
    with pytest.raises(CommandError, match="NOBODY"):
        rebuild_rollups("--plants", "NOBODY")
