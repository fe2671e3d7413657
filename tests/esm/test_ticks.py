"""The ticks: each does its work, runs once at a time whoever calls it, and none keeps another from its turn."""

import threading
from datetime import timedelta

import pytest
from django.core.cache import cache

from dispatch.models import Command, OutboundMessage, Outcome, PublishedSiteConfig
from dispatch.services.due import queue_due
from esm import ticks
from esm.pulse import LAST_SLOW_TICK_KEY, LAST_TICK_KEY
from esm.ticks import BY_NAME, TICKS, Tick, run_tick
from plants.models import Alarm, DeadLetter, RecentTelemetryBody
from plants.services.dead_letters import Letter, store_dead_letters
from plants.services.partitions import forget_known_partitions
from tests import factories
from tests.dispatch.helpers import ask, deliver, mode, state_of, stop_now
from tests.factories import AT
from tests.threads import WITHIN_S, Aside

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(minutes=5)


@pytest.fixture(autouse=True)
def partitions_of_rolled_back_tests_are_not_remembered():
    forget_known_partitions()
    yield
    forget_known_partitions()


def test_every_tick_has_a_name_of_its_own_and_a_period():
    assert len(BY_NAME) == len(TICKS)
    assert all(tick.period_s > 0 for tick in TICKS)


@pytest.mark.parametrize("name", [tick.name for tick in TICKS])
def test_every_tick_runs_on_an_installation_that_has_nothing_to_do(name):
    assert run_tick(name, at=AT)


def test_a_tick_that_nobody_knows_is_an_error():
    with pytest.raises(KeyError):
        run_tick("nobody", at=AT)


def test_when_a_tick_ran_last_is_told_to_the_health_check():
    cache.delete(LAST_TICK_KEY)
    cache.delete(LAST_SLOW_TICK_KEY)

    run_tick("queue_due", at=LATER)

    assert (cache.get(LAST_TICK_KEY), cache.get(LAST_SLOW_TICK_KEY)) == (LATER, None)


# --- what they do -----------------------------------------------------------------------------------------------------


def test_due_commands_are_queued():
    command = ask(factories.plant(), mode(), due_at=LATER)

    run_tick("queue_due", at=LATER)

    assert state_of(command) == "QUEUED"


def test_late_messages_are_settled():
    command = ask(factories.plant(), mode())

    run_tick("settle_late", at=LATER)

    assert state_of(command) == "EXPIRED"


def test_missing_acknowledgements_and_reports_are_told():
    plant = factories.plant()
    silent, slow = ask(plant, mode()), ask(plant, mode())
    deliver(plant.connection)
    Command.objects.filter(pk=slow.pk).update(state="EXECUTING")

    run_tick("ack_overdue", at=LATER)
    run_tick("execution_overdue", at=AT + timedelta(hours=1))

    slow.refresh_from_db()
    assert state_of(silent) == "UNCONFIRMED"
    assert slow.execution_overdue


def test_undelivered_emergencies_are_alarmed():
    ask(factories.plant(), stop_now())

    run_tick("emergencies", at=LATER)

    assert Alarm.objects.get().code == "EMERGENCY_NOT_DELIVERED"


def test_site_config_is_published():
    factories.plant()

    run_tick("site_config", at=AT)

    assert PublishedSiteConfig.objects.count() == 3


def test_old_bodies_and_letters_are_forgotten():
    plant = factories.plant()
    RecentTelemetryBody.objects.bulk_create(
        RecentTelemetryBody(plant=plant, routing_key="k", received_at=AT, body=b"x") for _ in range(25)
    )
    letter = Letter(queue="q", routing_key="k", headers={}, body=b"x", reason="R", path="", detail="")
    store_dead_letters(connection_id=plant.connection_id, letters=[letter], at=AT - timedelta(days=91))

    run_tick("recent_bodies", at=AT)
    run_tick("dead_letters", at=AT)

    assert RecentTelemetryBody.objects.count() == 20
    assert not DeadLetter.objects.exists()


def test_more_due_commands_than_one_round_takes_are_all_queued_in_one_tick(monkeypatch):
    plant = factories.plant()
    for _ in range(5):
        ask(plant, mode(), due_at=LATER)
    monkeypatch.setattr(ticks, "DUE_BATCH", 2)
    monkeypatch.setattr(ticks, "queue_due", lambda *, at: queue_due(at=at, limit=2))

    run_tick("queue_due", at=LATER)

    assert OutboundMessage.objects.filter(outcome=Outcome.PENDING).count() == 5


# --- once at a time ---------------------------------------------------------------------------------------------------


@pytest.fixture
def slow_tick(monkeypatch):
    """A tick that waits within its work until it is let go."""
    began, go_on = threading.Event(), threading.Event()

    def work(_at):
        began.set()
        assert go_on.wait(WITHIN_S)

    monkeypatch.setitem(BY_NAME, "slow", Tick(name="slow", period_s=1, run=work))
    monkeypatch.setitem(BY_NAME, "other", Tick(name="other", period_s=1, run=lambda _at: None))
    yield began, go_on
    go_on.set()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_tick_that_runs_elsewhere_is_not_run_beside_it_and_others_are(slow_tick):
    began, go_on = slow_tick
    first = Aside(lambda: run_tick("slow", at=AT))
    assert began.wait(WITHIN_S)

    second = run_tick("slow", at=AT)
    other = run_tick("other", at=AT)
    go_on.set()

    assert (first.answer(), second, other) == (True, False, True)
    assert run_tick("slow", at=AT)


@pytest.mark.django_db(transaction=True)
def test_a_tick_that_failed_may_run_again_at_once(monkeypatch):
    failures = iter([ZeroDivisionError()])

    def work(_at):
        for error in failures:
            raise error

    monkeypatch.setitem(BY_NAME, "failing", Tick(name="failing", period_s=1, run=work))

    with pytest.raises(ZeroDivisionError):
        run_tick("failing", at=AT)

    assert Aside(lambda: run_tick("failing", at=AT)).answer() is True
