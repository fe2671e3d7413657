"""Who watches the clock when the worker is dead: relay and consumer raise the alarm and send it themselves."""

import json
from datetime import timedelta

import pytest

from esm import clock
from esm.tick_guard import tick_guard
from esm.ticks import PERIODS
from plants.models import Alarm
from plants.services.alarms import raise_platform_alarm
from tests import factories
from tests.factories import AT
from tests.threads import WITHIN_S
from tests.watch.receivers import WebReceiver
from watch.models import NotificationChannel, TickRun

SECRET = "a shared secret of at least 32 characters"


def ran(at):
    TickRun.objects.bulk_create(
        [TickRun(name=name, since=AT, finished_at=at) for name in PERIODS],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["finished_at"],
    )


def open_codes():
    return list(Alarm.objects.filter(cleared_at__isnull=True).values_list("code", flat=True))


@pytest.mark.django_db(transaction=True)
def test_ticks_that_stop_are_told_by_a_process_that_runs_none(settings):
    settings.NOTIFY_ALLOW_HTTP = settings.NOTIFY_ALLOW_PRIVATE = True
    ran(AT)
    with WebReceiver() as receiver:
        NotificationChannel.objects.create(
            name="ops", kind="WEBHOOK", url=receiver.url, secret=SECRET, created_at=AT
        )
        with clock.frozen(AT):
            guard = tick_guard()
        for seconds in (31, 45):
            with clock.frozen(AT + timedelta(seconds=seconds)):
                guard.look()
                assert guard.wait(WITHIN_S)

    ((_, body),) = receiver.requests
    told = json.loads(body)
    assert (told["code"], told["severity"], told["organisation"]) == ("TICKS_SILENT", "CRITICAL", None)
    assert open_codes() == ["TICKS_SILENT"]


@pytest.mark.django_db(transaction=True)
def test_the_alarm_ends_when_the_ticks_run_again():
    ran(AT)
    with clock.frozen(AT):
        guard = tick_guard()
    for seconds in (31, 45):
        with clock.frozen(AT + timedelta(seconds=seconds)):
            guard.look()
            assert guard.wait(WITHIN_S)
    during = open_codes()

    for seconds in (50, 65, 80, 95, 110):
        at = AT + timedelta(seconds=seconds)
        ran(at)
        with clock.frozen(at):
            guard.look()

    assert (during, open_codes()) == (["TICKS_SILENT"], [])


@pytest.mark.django_db
def test_a_platform_that_starts_after_a_night_is_given_time():
    ran(AT)
    morning = AT + timedelta(hours=9)
    with clock.frozen(morning):
        guard = tick_guard()
        guard.look()
    with clock.frozen(morning + timedelta(seconds=29)):
        guard.look()

    assert open_codes() == []


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_was_never_started_is_told_too():
    with clock.frozen(AT):
        guard = tick_guard()
    codes = []
    for seconds in (29, 31, 45):
        with clock.frozen(AT + timedelta(seconds=seconds)):
            guard.look()
            assert guard.wait(WITHIN_S)
        codes.append(open_codes())

    assert codes == [[], [], ["TICKS_SILENT"]]


@pytest.mark.django_db
def test_the_guard_leaves_the_alarms_of_other_rules_alone():
    plant = factories.plant()
    raise_platform_alarm(
        connection_id=plant.connection_id,
        alarm_id="LINK:1",
        severity="ERROR",
        code="LINK_DOWN",
        message="down",
        at=AT,
    )
    ran(AT)
    with clock.frozen(AT):
        tick_guard().look()

    assert open_codes() == ["LINK_DOWN"]


@pytest.mark.django_db
def test_a_turn_of_the_supervisor_looks_only_now_and_then(monkeypatch):
    looked = []
    with clock.frozen(AT):
        guard = tick_guard()
    monkeypatch.setattr(guard, "look", lambda: looked.append(1))

    for _ in range(10):
        guard.turn()

    assert looked == []
