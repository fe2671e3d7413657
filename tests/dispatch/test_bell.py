"""Rings for relays: once what is new is committed, never before, and never at the cost of what was committed."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction

from dispatch import bell
from dispatch.bell import heard_by, ring_after_commit
from dispatch.models import Command, OutboundMessage
from dispatch.services.due import queue_due
from tests import factories
from tests.dispatch.helpers import ask, mode, stop_now
from tests.factories import AT

LATER = AT + timedelta(hours=1)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rung():
    """The connections that were rung for, and whether the ringing thread was in a transaction."""
    heard = []
    with heard_by(lambda pk: heard.append((pk, connection.in_atomic_block))):
        yield heard


def test_a_command_that_is_due_now_rings_when_it_is_committed(rung):
    plant = factories.plant()

    with transaction.atomic():
        ask(plant, mode())
        before = list(rung)

    assert (before, rung) == ([], [(plant.connection_id, False)])


def test_an_emergency_rings(rung):
    plant = factories.plant()

    ask(plant, stop_now())

    assert rung == [(plant.connection_id, False)]


def test_due_commands_ring_once_for_each_connection_and_planned_ones_do_not(rung):
    plants = [factories.plant(), factories.plant()]
    for plant in (*plants, factories.plant(on=plants[0].connection)):
        ask(plant, mode(), due_at=LATER)
    before = list(rung)

    queue_due(at=LATER)

    assert (before, rung) == ([], [(plant.connection_id, False) for plant in plants])


def test_what_is_rolled_back_does_not_ring(rung):
    plant = factories.plant()

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ask(plant, mode())
        raise ZeroDivisionError

    assert rung == []


def test_whoever_has_left_hears_nothing():
    heard = []
    with heard_by(heard.append):
        pass

    ring_after_commit(7)

    assert heard == []


def test_a_ring_that_fails_costs_nothing_that_was_committed(monkeypatch):
    def broken(_connection_id):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(bell, "_ring", broken)

    ask(factories.plant(), mode())

    assert (Command.objects.count(), OutboundMessage.objects.count()) == (1, 1)
