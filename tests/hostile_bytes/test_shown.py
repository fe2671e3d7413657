"""What Voke may say at the edges of its rules is stored, and people can look at it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dispatch.models import ScheduleNotice
from esm import clock
from plants.models import Alarm, DeadLetter, InboundMessage, Plant, User
from tests import factories
from tests.admin.pages import page
from tests.factories import AT
from tests.link.helpers import ack, alarm, delivery, hear, mode_event, realtime, schedule_event
from vcp import format_timestamp

pytestmark = pytest.mark.django_db
FOR_EVER, BEFORE_ALL = "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z"
MARKUP = '<script>alert("x")</script>\'; DROP TABLE plants_alarm; --\u202e\u2028'
ZONES = pytest.mark.parametrize("zone", ["Europe/Prague", "America/Lima", "Pacific/Kiritimati"])


@pytest.fixture
def jana() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("jana", "jana@example.com", "correct horse battery"))
    return client


def shown(client: Client, name: str, *args: Any) -> str:
    with clock.frozen(AT + timedelta(seconds=1)):
        answer = client.get(page(name, *args))
    assert answer.status_code == 200
    assert "<script>alert" not in answer.content.decode()
    return str(answer.content.decode())


def told(zone: str) -> Plant:
    """A plant about which everything extreme has been said."""
    plant = factories.plant(time_zone=zone)
    extremes: dict[str, Any] = {"message": MARKUP, "metadata": {"n": 10**308, MARKUP: [5e-324, -0.0]}}
    report = hear(
        plant.connection,
        realtime(plant, currentOperatingMode=MARKUP, devices=[{"deviceId": "B1", "status": MARKUP}]),
        mode_event(plant, "X" * 128, validUntil=FOR_EVER, reason=MARKUP * 99),
        alarm(plant, "late", **extremes, clearedAt=FOR_EVER),
        alarm(plant, "early", **extremes, raisedAt=BEFORE_ALL, severity="\U0001f525" * 128),
        schedule_event(plant, MARKUP),
        ack(MARKUP, plant, "not ours", message=MARKUP),
        delivery(b"\xff" + MARKUP.encode(), headers={MARKUP: MARKUP}),
    )
    assert (report.applied, report.dead_letters) == (6, 1)
    return plant


@ZONES
def test_a_plant_whose_mode_ends_in_the_year_9999_has_a_page(jana: Client, zone: str) -> None:
    plant = told(zone)

    text = shown(jana, "plants_plant_change", plant.pk)

    assert "9999" in text


@ZONES
def test_alarms_of_any_year_are_listed_and_shown(jana: Client, zone: str) -> None:
    told(zone)

    shown(jana, "plants_alarm_changelist")
    for row in Alarm.objects.all():
        shown(jana, "plants_alarm_change", row.pk)


def test_everything_else_that_was_said_is_shown_without_its_markup(jana: Client) -> None:
    told("Europe/Prague")

    for model, name in (
        (InboundMessage, "plants_inboundmessage"),
        (DeadLetter, "plants_deadletter"),
        (ScheduleNotice, "dispatch_schedulenotice"),
    ):
        shown(jana, f"{name}_changelist")
        for row in model.objects.all():
            shown(jana, f"{name}_change", row.pk)


def test_the_time_that_never_ends_is_kept_to_the_microsecond() -> None:
    plant = told("UTC")
    plant.state.refresh_from_db()

    assert format_timestamp(plant.state.mode_override_until) == "9999-12-31T23:59:59.999Z"
