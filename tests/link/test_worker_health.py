"""What workers tell of links and streams, and what they do while a broker blocks, a batch lasts or nothing comes."""

import threading
import weakref
from datetime import timedelta
from unittest import mock

import pytest
from django.db import OperationalError

from link import storing
from link.broker import LinkError
from link.inbox import Report
from link.worker import run_worker
from plants.models import LinkHealth, LinkState, StreamHealth
from plants.selectors.link_health import connection_health, watched_connections
from tests import factories
from tests.dispatch.helpers import ask, mode, stop_now
from tests.factories import AT
from tests.link.fakes import CountedBackoff, FakeConsumer, FakePublisher, FakeTransport
from tests.link.helpers import alarm, delivery, meter, realtime, seconds
from tests.link.test_workers import consumer_of, health, relay_of, stopping
from tests.threads import WITHIN_S

pytestmark = pytest.mark.django_db(transaction=True)


class Ticking:
    """A clock that goes on by some seconds at each reading."""

    def __init__(self, step_s=10.0):
        self.now, self.step = AT, seconds(step_s)

    def __call__(self):
        self.now += self.step
        return self.now


# --- publishing -------------------------------------------------------------------------------------------------------


def test_a_broker_that_blocks_publishers_is_told_and_nothing_is_claimed_meanwhile():
    plant, stop = factories.plant(), threading.Event()
    ask(plant, mode())
    publisher = stopping(stop, FakePublisher(blocked="low on memory"))

    run_worker(relay_of(plant.connection, FakeTransport([publisher])), stop, backoff=CountedBackoff())

    row = health("PUBLISH")
    assert (row.state, row.error_code, row.last_error) == ("BLOCKED", "PUBLISHERS_BLOCKED", "low on memory")
    assert (publisher.windows, publisher.closed) == ([], 1)


def test_a_block_that_ends_lets_the_same_link_publish():
    plant, stop = factories.plant(), threading.Event()
    ask(plant, mode())
    publisher = FakePublisher(blocked="low on memory", during=lambda _: stop.set())

    def keep_alive():
        publisher.blocked = None

    publisher.keep_alive = keep_alive
    transport = FakeTransport([publisher])

    run_worker(relay_of(plant.connection, transport), stop, backoff=CountedBackoff())

    assert (len(publisher.windows), len(transport.targets)) == (1, 1)
    assert health("PUBLISH").state == "CONNECTED"


def test_an_emergency_that_waits_ends_the_pause_of_a_broken_link():
    plant = factories.plant()
    worker = relay_of(plant.connection, FakeTransport([LinkError("gone")]))
    before = worker.hurried()

    ask(plant, stop_now())

    assert (before, worker.hurried()) == (False, True)


def test_a_long_pause_does_not_make_a_worker_look_dead():
    link, stop = factories.connection(), threading.Event()
    clock = Ticking()
    worker = consumer_of(link, FakeTransport([LinkError("gone")]), clock=clock)
    run_worker(worker, stop, backoff=CountedBackoff(allowed=1))
    said = health().seen_at

    worker.hurried()

    assert health().seen_at > said
    assert (health().state, health().since) == ("DOWN", said)


def test_a_clock_that_is_set_back_does_not_make_a_worker_look_dead():
    link, clock = factories.connection(), Ticking(step_s=0.0)
    worker = consumer_of(link, FakeTransport([LinkError("gone")]), clock=clock)
    run_worker(worker, threading.Event(), backoff=CountedBackoff(allowed=1))
    clock.now -= seconds(3600)

    worker.hurried()

    assert health().seen_at == clock.now


def test_a_database_that_refuses_is_told_as_the_reason_as_soon_as_it_takes_words_again():
    plant, stop = factories.plant(), threading.Event()
    consumer = FakeConsumer([[realtime(plant)]], stop)
    trouble = OperationalError("read-only\nDETAIL: what somebody sent")

    with mock.patch.object(storing, "receive", autospec=True, side_effect=trouble):
        run_worker(
            consumer_of(plant.connection, FakeTransport([consumer])), stop, backoff=CountedBackoff(allowed=1)
        )

    row = health()
    assert (row.state, row.error_code, row.last_error) == ("DOWN", "DATABASE_AWAY", "OperationalError")


# --- consuming --------------------------------------------------------------------------------------------------------


def test_the_link_is_kept_alive_by_its_own_thread_while_a_batch_lasts():
    plant, stop = factories.plant(), threading.Event()
    owner, stored_by, kept_by = threading.get_ident(), [], []
    kept_twice = threading.Event()
    consumer = FakeConsumer([[realtime(plant)]], stop)

    def keep_alive():
        kept_by.append(threading.get_ident())
        if len(kept_by) == 2:
            kept_twice.set()

    def slow(batch, **_):
        stored_by.append(threading.get_ident())
        assert kept_twice.wait(WITHIN_S)
        return Report(received=len(batch))

    consumer.keep_alive = keep_alive
    with (
        mock.patch.object(storing, "receive", autospec=True, side_effect=slow),
        mock.patch.object(storing, "KEEP_ALIVE_EVERY_S", 0.005),
    ):
        run_worker(consumer_of(plant.connection, FakeTransport([consumer])), stop, backoff=CountedBackoff())

    assert set(kept_by) == {owner}
    assert stored_by[0] != owner
    assert len(consumer.acked) == 1


def test_a_link_that_breaks_while_a_batch_lasts_is_told_when_the_batch_is_stored():
    plant, stop = factories.plant(), threading.Event()
    first = FakeConsumer([[realtime(plant)]], stop, gone=LinkError("silent", code="HEARTBEAT_MISSED"))
    second = FakeConsumer([], stop)
    broke = threading.Event()
    keep = first.keep_alive

    def keep_alive():
        broke.set()
        keep()

    def slow(batch, **_):
        assert broke.wait(WITHIN_S)
        return Report(received=len(batch))

    first.keep_alive = keep_alive
    with (
        mock.patch.object(storing, "receive", autospec=True, side_effect=slow),
        mock.patch.object(storing, "KEEP_ALIVE_EVERY_S", 0.005),
    ):
        run_worker(
            consumer_of(plant.connection, FakeTransport([first, second])), stop, backoff=CountedBackoff()
        )

    assert (first.acked, first.closed) == ([], 1)
    assert health().error_code == "HEARTBEAT_MISSED"


def test_a_consumer_that_may_not_ask_makes_a_silent_link_anew_without_calling_it_down():
    link, stop = factories.connection(), threading.Event()
    silent, second = FakeConsumer([], threading.Event(), depth=None), FakeConsumer([], stop)
    worker = consumer_of(link, FakeTransport([silent, second]))
    worker._silence._ask_at = worker._silence._heard_at = -1e9

    with mock.patch.object(worker._silence, "reopened"):
        run_worker(worker, stop, backoff=CountedBackoff())

    assert (silent.closed, second.closed) == (1, 1)
    assert (health().state, health().error_code) == ("CONNECTED", "")


def test_what_a_broken_link_had_brought_is_not_held_while_the_broker_is_away():
    plant, stop = factories.plant(), threading.Event()
    transport = FakeTransport([FakeConsumer([[realtime(plant)]], stop), LinkError("away")])
    worker, forgotten = consumer_of(plant.connection, transport), threading.Event()
    weakref.finalize(transport.links[0], forgotten.set)
    worker.once(stop)

    worker.broken(LinkError("gone"))

    assert forgotten.is_set()
    worker.finish()


# --- streams ----------------------------------------------------------------------------------------------------------


def consumed(plant, batches, clock):
    """Let a consumer take batches and come round once more."""
    stop = threading.Event()
    consumer = FakeConsumer([*batches, []], stop)
    run_worker(
        consumer_of(plant.connection, FakeTransport([consumer]), clock=clock), stop, backoff=CountedBackoff()
    )
    return {row.stream: row for row in StreamHealth.objects.all()}


def test_streams_tell_when_something_last_came_and_how_far_clocks_differ():
    plant = factories.plant()
    clock = Ticking(step_s=0.0)

    found = consumed(
        plant,
        [[realtime(plant, at=AT - seconds(2)), meter(plant, at=AT - seconds(40)), alarm(plant, raised=AT)]],
        clock,
    )

    assert {name: (row.last_at, row.last_sent_at) for name, row in found.items()} == {
        "REALTIME": (AT, AT - seconds(2)),
        "METER": (AT, AT - seconds(40)),
        "STATUS": (AT, AT),
    }
    assert {name: row.skew_ms for name, row in found.items()} == {
        "REALTIME": 2000,
        "METER": 40_000,
        "STATUS": 0,
    }


def test_messages_that_waited_in_a_queue_do_not_pass_for_a_wrong_clock():
    plant = factories.plant()
    late = [realtime(plant, at=AT - timedelta(hours=2) + seconds(n)) for n in range(3)]

    found = consumed(plant, [[*late, realtime(plant, at=AT - seconds(1))]], Ticking(step_s=0.0))

    assert found["REALTIME"].skew_ms == 1000


@pytest.mark.parametrize("kept", [1, 2], ids=["every message", "every other message"])
def test_the_expected_period_is_learnt_from_the_messages_of_each_plant(kept):
    """Of two consumers each sees a part of the messages only, in no order."""
    first = factories.plant()
    plants = [first, factories.plant(on=first.connection)]
    moments = [n for n in range(60) if kept == 1 or n % 4 in (0, 1)]
    batches = [
        [realtime(plant, at=AT + seconds(5 * n)) for plant in plants for n in moments[start : start + 6]]
        for start in range(0, len(moments), 6)
    ]
    clock = Ticking(step_s=5.0)
    clock.now = AT + seconds(300)

    assert consumed(first, batches, clock)["REALTIME"].period_s == 5.0


def test_a_fast_plant_that_went_away_does_not_make_slow_ones_look_silent():
    fast = factories.plant()
    slow = factories.plant(on=fast.connection)
    both = [[realtime(fast, at=AT + seconds(n)) for n in range(600)], *([] for _ in range(3))]
    away = [[realtime(slow, at=AT + seconds(60 * n))] for n in range(20)]
    clock = Ticking(step_s=5.0)

    assert consumed(fast, [*both, *away], clock)["REALTIME"].period_s == 60.0


def test_a_timestamp_of_the_far_future_is_not_the_newest_for_ever():
    plant = factories.plant()

    found = consumed(plant, [[realtime(plant, at=AT + timedelta(days=3000))]], Ticking(step_s=0.0))

    assert found["REALTIME"].last_sent_at == AT
    assert found["REALTIME"].skew_ms < 0


def test_a_connection_that_is_served_and_hears_its_plants_is_connected_and_then_silent():
    plant = factories.plant()
    clock = Ticking(step_s=0.0)
    LinkHealth.objects.all().delete()
    consumed(plant, [[realtime(plant)]], clock)

    def state(after_s):
        LinkHealth.objects.update(seen_at=AT + seconds(after_s))
        found = connection_health(connections=watched_connections(), at=AT + seconds(after_s))
        return found[plant.connection_id].consume.state, found[plant.connection_id].streams[0].silent_since

    assert state(30) == (LinkState.CONNECTED, None)
    assert state(36) == (LinkState.CONNECTED, AT)


def test_what_can_not_be_read_is_heard_too_and_changes_no_stream():
    plant = factories.plant()

    assert consumed(plant, [[delivery(b"nonsense")]], Ticking()) == {}
    assert health().last_event_at > AT
