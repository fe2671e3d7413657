"""The loops: a broken link is written down and tried again, a broken database acknowledges nothing."""

import threading
from datetime import timedelta
from unittest import mock

import pytest
from django.db import InterfaceError, OperationalError

from dispatch.models import OutboxLease
from dispatch.states import State
from link import storing, workers
from link.broker import LinkError
from link.relay import RelayOptions
from link.worker import run_worker
from link.workers import ConsumeOptions, ConsumeWorker, RelayWorker
from plants.models import Connection, DeadLetter, InboundMessage, LinkHealth, TelemetryReading
from tests import factories
from tests.dispatch.helpers import ask, mode, state_of
from tests.factories import AT
from tests.link.fakes import CountedBackoff, FakeConsumer, FakePublisher, FakeTransport
from tests.link.helpers import realtime

pytestmark = pytest.mark.django_db(transaction=True)


def consumer_of(link, transport, clock=lambda: AT):
    options = ConsumeOptions(prefetch=10, batch=5, flush_s=0.001, retention_days=400, wait_s=0.001)
    return ConsumeWorker(connection=link, transport=transport, clock=clock, options=options)


def relay_of(link, transport, clock=lambda: AT):
    options = RelayOptions(holder="r1", lease_ttl=timedelta(seconds=15), window=10)
    return RelayWorker(
        connection=link,
        transport=transport,
        clock=clock,
        policy=factories.policy(),
        options=options,
        poll_s=0.001,
    )


def health(role="CONSUME"):
    return LinkHealth.objects.get(role=role)


# --- consuming --------------------------------------------------------------------------------------------------------


def test_a_batch_is_stored_and_then_acknowledged():
    plant, stop = factories.plant(), threading.Event()
    batch = [realtime(plant)]
    consumer = FakeConsumer([batch], stop)

    run_worker(consumer_of(plant.connection, FakeTransport([consumer])), stop, backoff=CountedBackoff())

    assert consumer.acked == batch
    assert TelemetryReading.objects.count() == 1
    assert consumer.closed == 1


def test_a_connected_link_is_said_to_be_connected_with_the_time_of_its_last_delivery():
    plant, stop = factories.plant(), threading.Event()
    times = iter(AT + timedelta(seconds=10 * n) for n in range(100))
    consumer = FakeConsumer([[realtime(plant)]], stop)

    run_worker(
        consumer_of(plant.connection, FakeTransport([consumer]), clock=lambda: next(times)),
        stop,
        backoff=CountedBackoff(),
    )

    assert health().state == "CONNECTED"
    assert AT < health().last_event_at < health().seen_at
    assert health().last_error == ""


@pytest.mark.parametrize(("permanent", "state"), [(False, "DOWN"), (True, "REFUSED")])
def test_a_link_that_does_not_come_about_is_written_down_and_tried_again_after_a_pause(permanent, state):
    link, stop = factories.connection(), threading.Event()
    backoff = CountedBackoff(allowed=3)
    error = LinkError("no such vhost", code="REFUSED_VHOST", permanent=permanent)
    transport = FakeTransport([error])

    run_worker(consumer_of(link, transport), stop, backoff=backoff)

    row = health()
    assert (row.state, row.error_code, row.last_error) == (state, "REFUSED_VHOST", "no such vhost")
    assert len(transport.targets) == backoff.waits == 3
    assert backoff.refused == (3 if permanent else 0)


def test_a_link_that_breaks_is_closed_opened_anew_and_the_pause_starts_small_again():
    plant, stop = factories.plant(), threading.Event()
    backoff = CountedBackoff()
    first, second = FakeConsumer([LinkError("gone")], stop), FakeConsumer([[realtime(plant)]], stop)
    transport = FakeTransport([first, second])

    run_worker(consumer_of(plant.connection, transport), stop, backoff=backoff)

    assert (first.closed, len(transport.targets)) == (1, 2)
    assert len(second.acked) == 1
    assert backoff.waits == 1
    assert backoff.resets >= 1
    assert health().state == "CONNECTED"
    assert (health().error_code, health().last_error) == ("LINK_DOWN", "gone")


def test_since_tells_for_how_long_a_link_is_down_whatever_is_tried_meanwhile():
    link, stop = factories.connection(), threading.Event()
    times = iter(AT + timedelta(minutes=n) for n in range(100))

    run_worker(
        consumer_of(link, FakeTransport([LinkError("gone")]), clock=lambda: next(times)),
        stop,
        backoff=CountedBackoff(allowed=5),
    )

    assert health().state == "DOWN"
    assert health().seen_at - health().since == timedelta(minutes=4)


@pytest.mark.parametrize(
    "trouble", [OperationalError("server closed"), InterfaceError("connection is closed")]
)
def test_while_the_database_is_away_nothing_is_acknowledged_and_the_link_is_closed(trouble):
    plant, stop = factories.plant(), threading.Event()
    consumer = FakeConsumer([[realtime(plant)]], stop)
    backoff = CountedBackoff(allowed=1)

    with mock.patch.object(storing, "receive", autospec=True, side_effect=trouble):
        run_worker(consumer_of(plant.connection, FakeTransport([consumer])), stop, backoff=backoff)

    assert consumer.acked == []
    assert consumer.closed == 1
    assert backoff.waits == 1


def test_a_batch_whose_acknowledgement_fails_comes_again_and_is_stored_once():
    plant, stop = factories.plant(), threading.Event()
    batch = [realtime(plant)]
    first = FakeConsumer([batch], stop, ack_fails=LinkError("gone"))
    second = FakeConsumer([batch], stop)

    run_worker(consumer_of(plant.connection, FakeTransport([first, second])), stop, backoff=CountedBackoff())

    assert (first.acked, second.acked) == ([], batch)
    assert TelemetryReading.objects.count() == 1
    assert not DeadLetter.objects.exists()
    assert not InboundMessage.objects.exists()


def test_a_fault_of_ours_ends_no_worker_and_is_written_down():
    plant, stop = factories.plant(), threading.Event()
    consumer, second = FakeConsumer([ZeroDivisionError()], stop), FakeConsumer([[realtime(plant)]], stop)
    backoff = CountedBackoff()

    run_worker(consumer_of(plant.connection, FakeTransport([consumer, second])), stop, backoff=backoff)

    assert (consumer.closed, backoff.waits, len(second.acked)) == (1, 1, 1)
    assert (health().error_code, health().last_error) == ("INTERNAL_ERROR", "ZeroDivisionError")


def test_a_worker_that_is_told_to_stop_before_it_starts_opens_nothing():
    stop = threading.Event()
    stop.set()
    transport = FakeTransport([LinkError("never")])

    run_worker(consumer_of(factories.connection(), transport), stop, backoff=CountedBackoff())

    assert transport.targets == []


# --- publishing -------------------------------------------------------------------------------------------------------


def stopping(stop, publisher):
    """A publisher that stops the loop when it has nothing to do."""
    keep = publisher.keep_alive

    def keep_alive():
        stop.set()
        keep()

    publisher.keep_alive = keep_alive
    return publisher


def test_a_relay_publishes_what_waits_and_gives_its_lease_back_at_the_end():
    plant, stop = factories.plant(), threading.Event()
    command = ask(plant, mode())
    publisher = stopping(stop, FakePublisher())

    run_worker(relay_of(plant.connection, FakeTransport([publisher])), stop, backoff=CountedBackoff())

    assert state_of(command) == State.SENT
    assert publisher.closed == 1
    assert OutboxLease.objects.get().expires_at == AT
    assert health("PUBLISH").state == "CONNECTED"


def test_an_idle_relay_notices_a_dead_link_by_its_heartbeats():
    link, stop = factories.connection(), threading.Event()
    dead = FakePublisher(gone=LinkError("silent", code="HEARTBEAT_MISSED"))
    alive = stopping(stop, FakePublisher())
    transport = FakeTransport([dead, alive])

    run_worker(relay_of(link, transport), stop, backoff=CountedBackoff())

    assert (dead.closed, len(transport.targets)) == (1, 2)
    assert health("PUBLISH").error_code == "HEARTBEAT_MISSED"


def test_a_relay_without_a_database_closes_its_link_and_pauses():
    plant, stop = factories.plant(), threading.Event()
    ask(plant, mode())
    publisher = FakePublisher()
    backoff = CountedBackoff(allowed=1)

    with mock.patch.object(workers, "relay_once", autospec=True, side_effect=OperationalError("away")):
        run_worker(relay_of(plant.connection, FakeTransport([publisher])), stop, backoff=backoff)

    assert (publisher.windows, publisher.closed, backoff.waits) == ([], 1, 1)


def test_a_target_shows_no_secret_in_its_repr():
    link, stop = factories.connection(), threading.Event()
    transport = FakeTransport([LinkError("x")])

    run_worker(
        relay_of(Connection.objects.get(pk=link.pk), transport), stop, backoff=CountedBackoff(allowed=1)
    )

    [target] = transport.targets
    assert target.amqps_uri == link.amqps_uri
    assert "key@" not in repr(target)
    assert target.queues.event_status == "vcp.acme.event.status"
