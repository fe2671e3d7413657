"""Batches one behind the other: what may begin when, what is acknowledged when, and what a failure leaves undone."""

import threading
from contextlib import contextmanager
from unittest import mock

import pytest
from django.db import OperationalError
from prometheus_client import REGISTRY

from link import storing
from link.arrivals import Arrivals
from link.broker import LinkError
from link.health import Streams
from link.inbox import Report, receive
from link.worker import run_worker
from plants.models import TelemetryReading
from tests import factories
from tests.factories import AT
from tests.link.fakes import CountedBackoff, FakeConsumer, FakeTransport
from tests.link.helpers import realtime, seconds
from tests.link.test_worker_health import Ticking
from tests.link.test_workers import consumer_of, health
from tests.threads import until

pytestmark = pytest.mark.django_db(transaction=True)
BATCH = 5


def whole_batches(plant, count):
    """Batches of as many messages as the workers of these tests take at once."""
    moments = iter(AT + seconds(10 * number) for number in range(BATCH * count))
    return [[realtime(plant, at=next(moments)) for _ in range(BATCH)] for _ in range(count)]


@contextmanager
def stored_by(work):
    with mock.patch.object(storing, "receive", autospec=True, side_effect=work):
        yield


def run(plant, consumer, stop, *, transport=None, backoff=None, clock=lambda: AT):
    worker = consumer_of(plant.connection, transport or FakeTransport([consumer]), clock=clock)
    run_worker(worker, stop, backoff=backoff or CountedBackoff())


def test_a_whole_batch_that_is_in_hand_begins_before_the_one_before_is_acknowledged():
    plant, stop = factories.plant(), threading.Event()
    batches = whole_batches(plant, 3)
    consumer = FakeConsumer(list(batches), stop, ahead=2)
    begun = []

    def work(batch, **words):
        if not begun:
            until(lambda: len(consumer.batches) == 1, "the second batch, which is fetched meanwhile")
        begun.append((batch, list(consumer.acked)))
        if len(begun) == 2:  # the first is acknowledged while the second is being stored
            until(lambda: consumer.acked == batches[0], "the acknowledgement of the first batch")
        return receive(batch, **words)

    with stored_by(work):
        run(plant, consumer, stop)

    assert [batch for batch, _ in begun] == batches
    assert begun[0][1] == []
    assert consumer.acked == [*batches[0], *batches[1], *batches[2]]
    assert TelemetryReading.objects.count() == 3 * BATCH


def test_a_batch_behind_one_that_failed_is_not_begun_and_both_come_again():
    plant, stop = factories.plant(), threading.Event()
    batches = whole_batches(plant, 2)
    first, second = FakeConsumer(list(batches), stop, ahead=1), FakeConsumer(list(batches), stop)
    begun = []

    def work(batch, **words):
        begun.append(batch)
        if len(begun) == 1:
            until(lambda: not first.batches, "the second batch, which is fetched meanwhile")
            raise OperationalError("away")
        return receive(batch, **words)

    with stored_by(work):
        run(plant, first, stop, transport=FakeTransport([first, second]))

    assert begun == [batches[0], *batches]
    assert (first.acked, first.closed) == ([], 1)
    assert second.acked == [*batches[0], *batches[1]]
    assert TelemetryReading.objects.count() == 2 * BATCH


def test_a_batch_that_has_not_begun_when_the_link_breaks_is_left_to_the_broker():
    plant, stop = factories.plant(), threading.Event()
    batches = whole_batches(plant, 2)
    consumer = FakeConsumer(list(batches), stop, ahead=1)
    begun = []

    def work(batch, **words):
        begun.append(batch)
        until(lambda: not consumer.batches, "the second batch, which is fetched meanwhile")
        consumer.gone = LinkError("gone")
        seen = consumer.kept_alive
        until(lambda: consumer.kept_alive > seen, "the look that finds the link broken")
        return receive(batch, **words)

    with stored_by(work):
        run(plant, consumer, stop, backoff=CountedBackoff(allowed=1))

    assert begun == [batches[0]]
    assert (consumer.acked, consumer.closed) == ([], 1)


def test_an_acknowledgement_that_fails_is_told_when_the_batch_behind_has_ended():
    plant, stop = factories.plant(), threading.Event()
    batches = whole_batches(plant, 2)
    consumer = FakeConsumer(list(batches), stop, ahead=1, ack_fails=LinkError("gone"))
    closed_at_end = []

    def work(batch, **words):
        until(lambda: not consumer.batches, "the second batch, which is fetched meanwhile")
        report = receive(batch, **words)
        closed_at_end.append(consumer.closed)
        return report

    with stored_by(work):
        run(plant, consumer, stop, backoff=CountedBackoff(allowed=1))

    assert closed_at_end == [0, 0]
    assert (consumer.acked, consumer.closed) == ([], 1)
    assert TelemetryReading.objects.count() == 2 * BATCH


def test_a_worker_that_is_told_to_stop_takes_no_further_batch():
    plant, stop = factories.plant(), threading.Event()
    batches = whole_batches(plant, 2)
    consumer = FakeConsumer(list(batches), stop, ahead=1)

    def work(batch, **words):
        stop.set()
        seen = consumer.kept_alive
        until(lambda: consumer.kept_alive > seen + 1, "two looks after it was told")
        return receive(batch, **words)

    with stored_by(work):
        run(plant, consumer, stop)

    assert (consumer.acked, consumer.batches) == (batches[0], [batches[1]])


def test_what_waits_behind_a_batch_counts_as_held_from_its_own_coming():
    plant, stop = factories.plant(), threading.Event()
    clock = Ticking(step_s=1.0)
    consumer = FakeConsumer(whole_batches(plant, 2), stop, ahead=1)
    held = []

    def work(batch, *, on_understood, **_):
        until(lambda: not consumer.batches, "the second batch, which is fetched meanwhile")
        held.append(_unstored(plant.connection, 2 * BATCH if not held else BATCH))
        return Report(received=len(batch))

    with stored_by(work):
        run(plant, consumer, stop, clock=clock)

    assert held == [2 * BATCH, BATCH]
    assert health().unstored_count == 0


def _unstored(link, expected):
    def value():
        return REGISTRY.get_sample_value(
            "esm_link_unstored_messages", {"connection": link.name, "connection_id": str(link.pk)}
        )

    until(lambda: value() == expected, f"{expected} messages that are held")
    return value()


def test_what_the_database_refused_is_held_since_it_came_first_and_counted_once():
    arrivals = Arrivals(streams=Streams(connection_id=1))
    arrivals.taken(5, at=AT)
    arrivals.taken(3, at=AT + seconds(1))

    arrivals.gave_back()
    waiting = arrivals.held()
    arrivals.taken(4, at=AT + seconds(60))
    again = arrivals.held()
    arrivals.stored()

    assert (waiting.unstored_since, waiting.unstored_count) == (AT, 8)
    assert (again.unstored_since, again.unstored_count) == (AT, 4)
    assert (arrivals.held().unstored_since, arrivals.held().unstored_count) == (None, 0)
