"""`manage.py rebuild_rollups`."""

from datetime import timedelta
from io import StringIO
from itertools import count

import pytest
from django.core.management import CommandError, call_command

from metering.models import TelemetryDay, TelemetryQuarter
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


def test_each_day_is_written_with_the_time_at_which_it_was_computed(monkeypatch):
    """The gap ledger goes by that time: what a long run wrote with its beginning would never be looked at."""
    moments = (START + timedelta(days=2, minutes=number) for number in count())
    monkeypatch.setattr("metering.management.commands.rebuild_rollups.clock.now", lambda: next(moments))
    depot = plant()
    store(depot.pk, [sample(3600 * n, 1.0) for n in range(-30, 10)])

    rebuild_rollups()

    computed = TelemetryQuarter.objects.order_by("start_at").values_list("start_at", "computed_at")
    written: dict = {}
    for start_at, computed_at in computed:
        written.setdefault(start_at.date(), set()).add(computed_at)
    first, last = written.values()
    assert len(first) == len(last) == 1 and max(first) < min(last)


def test_days_in_the_wrong_order_are_refused():
    with pytest.raises(CommandError, match="before --from"):
        call_command("rebuild_rollups", "--from=2026-03-10", "--to=2026-03-09")
