"""A worker whose database is slow: what arrives is heard at once, what it holds is told, and no message is blamed."""

import threading
from contextlib import contextmanager
from unittest import mock

import pytest
from django.db import OperationalError, connection
from prometheus_client import REGISTRY

from link import health as health_module
from link import storing as storing_module
from link.broker import LinkError
from link.inbox import Report
from link.parsing import parse_batch
from link.worker import run_worker
from plants.models import DeadLetter, LinkState, StreamHealth, TelemetryReading
from plants.selectors.link_health import connection_health, watched_connections
from tests import factories
from tests.factories import AT
from tests.link.fakes import CountedBackoff, FakeConsumer, FakeTransport
from tests.link.helpers import realtime, seconds
from tests.link.test_receive_faults import told_by_server
from tests.link.test_worker_health import Ticking
from tests.link.test_workers import consumer_of, health
from tests.threads import Aside, until

pytestmark = pytest.mark.django_db(transaction=True)


def shown(link, clock):
    return connection_health(connections=watched_connections(), at=clock.now)[link.pk].consume


def gauge(name, link):
    return REGISTRY.get_sample_value(name, {"connection": link.name, "connection_id": str(link.pk)})


def timed_out():
    return told_by_server(OperationalError, "57014")


@contextmanager
def storing(work):
    """`receive` hears what arrived, as the real one does, and then does something else."""

    def receive(batch, *, on_understood, inlet, **_):
        on_understood(parse_batch(batch, routing_prefix=inlet.routing_prefix)[0])
        return work(batch)

    with (
        mock.patch.object(storing_module, "receive", autospec=True, side_effect=receive),
        mock.patch.object(storing_module, "KEEP_ALIVE_EVERY_S", 0.005),
    ):
        yield


def test_a_message_is_heard_when_it_arrives_and_told_as_held_while_it_waits():
    plant, stop, clock = factories.plant(), threading.Event(), Ticking(step_s=1.0)
    seen = []

    def slow(batch):
        until(lambda: shown(plant.connection, clock).state is LinkState.SLOW, "the link that is told as slow")
        seen.append((shown(plant.connection, clock), health(), StreamHealth.objects.get()))
        seen.append(gauge("esm_link_unstored_messages", plant.connection))
        return Report(received=len(batch))

    with storing(slow):
        consumer = FakeConsumer([[realtime(plant), realtime(plant)]], stop)
        run_worker(
            consumer_of(plant.connection, FakeTransport([consumer]), clock=clock),
            stop,
            backoff=CountedBackoff(),
        )

    (half, row, stream), held = seen
    assert (half.code, half.unstored_count, held) == ("STORING_SLOWLY", 2, 2.0)
    assert row.state == LinkState.CONNECTED
    assert stream.last_at == row.heard_until == row.unstored_since
    assert len(consumer.acked) == 2


def test_when_it_is_stored_nothing_is_held_and_the_next_look_makes_silence_count_again():
    plant, stop, clock = factories.plant(), threading.Event(), Ticking(step_s=10.0)
    consumer = FakeConsumer([[realtime(plant)], [], []], stop)

    run_worker(
        consumer_of(plant.connection, FakeTransport([consumer]), clock=clock), stop, backoff=CountedBackoff()
    )

    row, stream = health(), StreamHealth.objects.get()
    assert (row.unstored_since, row.unstored_count) == (None, 0)
    assert row.heard_until > stream.last_at
    assert gauge("esm_link_unstored_oldest_age_seconds", plant.connection) == 0.0


@pytest.mark.parametrize("sqlstate", ["57014", "55P03", "40P01"])
def test_a_statement_that_times_out_closes_the_link_as_slow_and_keeps_since_when_it_waits(sqlstate):
    plant, stop, clock = factories.plant(), threading.Event(), Ticking(step_s=10.0)
    first, second = FakeConsumer([[realtime(plant)]], stop), FakeConsumer([[realtime(plant)]], stop)
    backoff = CountedBackoff(allowed=2)
    seen = []

    def refused(_batch):
        seen.append(health())
        raise told_by_server(OperationalError, sqlstate)

    with storing(refused):
        run_worker(
            consumer_of(plant.connection, FakeTransport([first, second]), clock=clock), stop, backoff=backoff
        )

    row = health()
    assert (row.state, row.error_code, row.last_error) == ("SLOW", "STORING_SLOWLY", "OperationalError")
    assert row.unstored_since < seen[1].seen_at
    assert (first.acked, second.acked, first.closed) == ([], [], 1)


def test_a_link_that_breaks_holds_nothing_any_more():
    plant, stop = factories.plant(), threading.Event()
    consumer = FakeConsumer([[realtime(plant)]], stop, ack_fails=LinkError("gone"))

    with storing(lambda batch: Report(received=len(batch))):
        run_worker(
            consumer_of(plant.connection, FakeTransport([consumer])), stop, backoff=CountedBackoff(allowed=1)
        )

    assert (health().state, health().unstored_since) == ("DOWN", None)


def test_a_reason_that_could_not_be_written_down_is_what_is_renewed():
    """Regression: the pause after a failure renewed CONNECTED, the last word that had been written."""
    link, stop = factories.connection(), threading.Event()
    worker = consumer_of(link, FakeTransport([FakeConsumer([], stop)]), clock=Ticking())
    worker.once(stop)
    with mock.patch.object(health_module, "note_link", autospec=True, side_effect=OperationalError("away")):
        worker.troubled(OperationalError("away"))

    worker.hurried()

    assert (health().state, health().error_code) == ("DOWN", "DATABASE_AWAY")
    worker.finish()


def test_nobody_vouches_for_a_silence_while_what_was_heard_can_not_be_written():
    plant, stop, clock = factories.plant(), threading.Event(), Ticking()
    worker = consumer_of(
        plant.connection, FakeTransport([FakeConsumer([[realtime(plant)], [], []], stop)]), clock=clock
    )
    worker.once(stop)
    said = health().seen_at
    with mock.patch.object(
        health_module, "note_streams", autospec=True, side_effect=OperationalError("away")
    ):
        worker.once(stop)
    between = health().seen_at

    worker.once(stop)

    assert (between, health().seen_at > said, StreamHealth.objects.count()) == (said, True, 1)
    worker.finish()


def test_what_the_broker_gives_again_says_nothing_about_clocks():
    plant, stop = factories.plant(), threading.Event()
    fresh, late = realtime(plant, at=AT), realtime(plant, at=AT - seconds(600))
    again = type(late)(
        queue=late.queue,
        routing_key=late.routing_key,
        headers=late.headers,
        body=late.body,
        redelivered=True,
        tag=late.tag,
    )
    consumer = FakeConsumer([[fresh], [again], [again], [again], []], stop)

    run_worker(
        consumer_of(plant.connection, FakeTransport([consumer]), clock=lambda: AT),
        stop,
        backoff=CountedBackoff(),
    )

    assert StreamHealth.objects.get().skew_ms == 0


@pytest.mark.postgresql
def test_a_locked_table_is_told_as_slow_and_makes_no_dead_letters():
    """Regression: SILENT, ask Voke, after the tolerance of a fast stream; letters TOO_SLOW after two minutes."""
    plant, stop, clock = factories.plant(), threading.Event(), Ticking(step_s=1.0)
    consumer = FakeConsumer([[realtime(plant)]], stop)
    worker = consumer_of(plant.connection, FakeTransport([consumer]), clock=clock)
    holder = connection.copy()
    holder.set_autocommit(False)
    try:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE plants_telemetryreading IN ACCESS EXCLUSIVE MODE")
        with mock.patch.object(storing_module, "KEEP_ALIVE_EVERY_S", 0.02):
            running = Aside(lambda: run_worker(worker, stop, backoff=CountedBackoff()))
            until(lambda: _known(plant, clock) is LinkState.SLOW, "a link that is told as slow")
            holder.rollback()
            running.answer()
    finally:
        holder.rollback()
        holder.close()

    assert (TelemetryReading.objects.count(), DeadLetter.objects.count(), len(consumer.acked)) == (1, 0, 1)
    assert health().unstored_since is None


def _known(plant, clock):
    found = shown(plant.connection, clock)
    assert found.state is not LinkState.SILENT
    return found.state
