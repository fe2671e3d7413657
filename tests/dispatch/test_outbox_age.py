"""How much waits in a connection's outbox and since when: read by index, never counted beyond a bound."""

import uuid
from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dispatch import selectors
from dispatch.models import OutboundMessage, Outcome
from dispatch.selectors import has_urgent_waiting, has_waiting, with_outbox
from plants.models import Connection, Plant
from tests import factories
from tests.dispatch.helpers import ask, deliver, mode, setpoint, stop_now
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def outbox(link):
    row = with_outbox(Connection.objects.filter(pk=link.pk)).get()
    return row.outbox_size, row.outbox_since


def _fill(plant: Plant, number: int, **changes: object) -> None:
    """So many messages beside the one of a command."""
    ask(plant, mode())
    row = OutboundMessage.objects.values().get(plant=plant) | {"id": None, "command_id": None} | changes
    OutboundMessage.objects.bulk_create(
        OutboundMessage(**row | {"message_id": uuid.uuid4(), "correlation_id": uuid.uuid4()})
        for _ in range(number)
    )


def _much_was_sent(plant: Plant) -> Connection:
    """A connection whose messages were all confirmed but one, as the statistics know."""
    _fill(plant, 2000, outcome=Outcome.CONFIRMED)
    with connection.cursor() as cursor:
        # The planner weighs an index by its pages, also by those that rows of other tests left empty.
        cursor.execute("REINDEX TABLE dispatch_outboundmessage")
        cursor.execute("ANALYZE dispatch_outboundmessage")
    return plant.connection


def test_an_outbox_tells_how_much_waits_and_since_when():
    plant = factories.plant()
    ask(plant, mode())
    ask(plant, setpoint())
    oldest = OutboundMessage.objects.filter(connection=plant.connection).order_by("pk").first()
    OutboundMessage.objects.filter(pk=oldest.pk).update(made_at=AT - timedelta(minutes=3))

    assert outbox(plant.connection) == (2, AT - timedelta(minutes=3))


def test_an_outbox_that_was_delivered_is_empty():
    plant = factories.plant()
    ask(plant, mode())

    deliver(plant.connection)

    assert outbox(plant.connection) == (0, None)


def test_an_outbox_is_not_counted_beyond_its_bound():
    plant = factories.plant()
    for _ in range(4):
        ask(plant, mode())

    with mock.patch.object(selectors, "OUTBOX_COUNTED", 3):
        assert outbox(plant.connection)[0] == 3


def test_the_outboxes_of_a_page_take_one_query():
    for _ in range(3):
        ask(factories.plant(), mode())

    assert queries_of(lambda: list(with_outbox(Connection.objects.all()))) == 1


@pytest.mark.postgresql
def test_an_outbox_is_looked_at_by_the_index_of_what_is_pending():
    """With the statistics of an outbox in use: else the planner goes by what ran before left behind."""
    link = _much_was_sent(factories.plant())
    plan = with_outbox(Connection.objects.filter(pk=link.pk)).explain()

    assert "outbox_in_order" in plan
    assert "Seq Scan on dispatch_outboundmessage" not in plan


def test_only_an_emergency_that_waits_is_urgent():
    plant = factories.plant()
    ask(plant, mode())
    before = has_urgent_waiting(connection_id=plant.connection_id)

    ask(plant, stop_now())
    waiting = has_urgent_waiting(connection_id=plant.connection_id)
    deliver(plant.connection)

    assert (before, waiting, has_urgent_waiting(connection_id=plant.connection_id)) == (False, True, False)


@pytest.mark.postgresql
@pytest.mark.parametrize("look", [has_waiting, has_urgent_waiting], ids=["all", "urgent"])
def test_an_idle_outbox_is_not_read_through_although_much_waited_when_it_was_last_counted(look):
    plant = factories.plant()
    _fill(plant, 300)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE dispatch_outboundmessage")
    OutboundMessage.objects.update(outcome=Outcome.CONFIRMED)

    with CaptureQueriesContext(connection) as asked:
        waits = look(connection_id=plant.connection_id)

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {asked[0]['sql']}")
        plan = " ".join(line for (line,) in cursor.fetchall())
    assert not waits
    assert "outbox_in_order" in plan
