"""No page grows with the number of plants: neither its statements nor its bytes, but for the digits of its counts."""

import re
from collections.abc import Mapping
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from console.connect import views_sites
from plants.models import Alarm, AlarmOrigin, Organisation, Plant, PlantState
from plants.services.alarm_filing import Told, file_alarms
from tests import factories
from tests.browser.console.screens import Lived, lived_in
from tests.console.seed_fleet import planned
from tests.factories import AT

pytestmark = pytest.mark.django_db
SCREENS = (
    "fleet", "plant", "acting", "plans", "plan", "commands", "command", "alarms", "alarm", "reverse", "connections",
    "connection", "sites", "credentials", "people", "audit",
)  # fmt: skip
PARTS = {
    "fleet all": "/console/fleet/?view=all&sort=name",
    "fleet cards": "/console/fleet/?view=all&show=cards",
    "fleet search": "/console/fleet/?q=Grown",
    "fleet top": "/console/fleet/top/",
    "fleet day": "/console/fleet/day/",
    "all stopped": "/console/fleet/emergency/?all=1",
    "find": "/console/find/?q=Grown",
    "plans unplanned": "/console/plans/?show=unplanned",
    "plan start": "/console/plans/start/?plant=Grown",
    "commands of": "/console/commands/?q=Grown",
    "alarms closed": "/console/alarms/?tab=closed",
    "pulls of a day": "/console/reverse/day/",
    "behind": "/console/reverse/behind/",
}
MORE_BYTES = 0.02
"""Longer numbers and names; 50 rows more would be a third of any page."""


def grow(lived: Lived, number: int) -> None:
    """So many plants more, each measured, planned, and with an alarm."""
    whose: Organisation = lived.organisation
    on = whose.connections.earliest("pk")
    first = Plant.objects.count()
    made = Plant.objects.bulk_create(
        factories.unsaved_plant(on=on, name=f"Grown {first + one:05}", created_at=AT, updated_at=AT)
        for one in range(number)
    )
    PlantState.objects.bulk_create(
        PlantState(
            plant=plant,
            measured_at=AT - timedelta(seconds=2),
            received_at=AT,
            grid_power_kw=-10.0,
            soc_pct=50.0,
            data_quality="GOOD",
            operating_mode="STANDARD",
            devices=[],
        )
        for plant in made
    )
    planned(made, AT, kw=10)
    raised = Alarm.objects.bulk_create(
        Alarm(
            connection=on,
            plant=plant,
            origin=AlarmOrigin.VOKE,
            alarm_id=f"grown-{plant.pk}",
            severity="WARNING",
            code="CONSTRAINT_VIOLATION",
            raised_at=AT,
            told_at=AT,
            received_at=AT,
        )
        for plant in made
    )
    file_alarms(
        told=[Told(alarm=one, organisation_id=whose.pk, raised_at=AT, cleared_at=None) for one in raised],
        at=AT,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as the server does by itself within a minute


def measured(client: Client, paths: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """(statements, bytes) of each page."""
    found = {}
    for name, path in paths.items():
        with CaptureQueriesContext(connection) as asked:
            answer = client.get(path)
        assert answer.status_code == 200, (name, answer.status_code)
        found[name] = (len(asked), len(re.sub(rb"\s+", b" ", answer.content)))
    return found


def test_with_twice_as_many_plants_every_page_is_as_large_and_asks_as_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views_sites, "_read", lambda _connection: None)
    lived, client = lived_in(), Client()
    client.force_login(lived.person)
    paths = {name: lived.paths[name] for name in SCREENS} | PARTS
    grow(lived, 200)  # more than any choice of a page offers
    before = measured(client, paths)

    grow(lived, 200)

    after = measured(client, paths)
    assert {
        name: (before[name][0], after[name][0]) for name in paths if after[name][0] > before[name][0]
    } == {}
    grown = {
        name: (before[name][1], after[name][1])
        for name in paths
        if after[name][1] > (1 + MORE_BYTES) * before[name][1] + 200
    }
    assert grown == {}
