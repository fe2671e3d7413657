"""The admin's page of an alarm tells who cares for it, and changes nothing."""

from datetime import timedelta

import pytest
from django.test import Client

from esm import clock
from plants.models import Alarm, User
from plants.services.alarm_care import acknowledge, close
from plants.services.alarms import raise_platform_alarm
from tests import factories
from tests.factories import AT

pytestmark = pytest.mark.django_db


def test_who_acknowledged_and_closed_it_and_why_stand_on_its_page():
    plant = factories.plant()
    jana = User.objects.create_superuser("jana", first_name="Jana", last_name="Dvořáková")
    raise_platform_alarm(
        connection_id=None, plant_id=plant.pk, alarm_id="a", severity="ERROR", code="X", message="", at=AT
    )
    alarm = Alarm.objects.get()
    acknowledge(case_id=alarm.case_id, by=jana, at=AT)
    close(case_id=alarm.case_id, why="meter replaced", by=jana, at=AT + timedelta(minutes=1))
    client = Client()
    client.force_login(jana)

    with clock.frozen(AT):
        html = client.get(f"/admin/plants/alarm/{alarm.pk}/change/").content.decode()

    assert html.count("Jana Dvořáková") >= 3
    assert "meter replaced" in html
