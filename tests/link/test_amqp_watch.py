"""The real link under watch: cut from outside while a call hangs, kept alive during a long batch, asked what waits."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic

import pytest

from link.amqp_connection import LinkTimes, open_link
from link.broker import LinkError
from link.supervisor import Supervisor
from link.watchdog import Limits
from link.workers import ConsumeOptions, ConsumeWorker
from plants.models import Connection, LinkHealth, TelemetryReading
from tests import factories
from tests.link.far_sides import RabbitFarSide, amqps_transport, through
from tests.link.helpers import realtime
from tests.link.port_world import ManualClock, fetch_all
from tests.services.partner import Partner
from tests.services.proxy import Proxy
from tests.services.rabbit import RabbitServer
from tests.threads import WITHIN_S, Aside, until

FOREVER_S = 600


@pytest.fixture
def far_side(rabbit: RabbitServer, partner: Partner) -> RabbitFarSide:
    return RabbitFarSide(rabbit, partner)


@pytest.fixture
def proxy(rabbit: RabbitServer) -> Iterator[Proxy]:
    with Proxy(rabbit.port) as running:
        yield running


def test_a_fetch_that_hangs_on_a_stalled_link_ends_when_the_link_is_cut(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    transport = amqps_transport(rabbit, heartbeat_s=FOREVER_S)
    consumer = transport.open_consumer(through(proxy, far_side), prefetch=10)
    proxy.stall()
    hanging = Aside(lambda: consumer.fetch(max_messages=1, wait_s=FOREVER_S, flush_s=0))

    consumer.abort()

    assert isinstance(hanging.answer(), LinkError)
    with pytest.raises(LinkError):
        consumer.fetch(max_messages=1, wait_s=0, flush_s=0)
    consumer.close()
    consumer.abort()  # what is closed may be cut as well


def test_a_publisher_that_hangs_on_a_stalled_link_ends_when_the_link_is_cut(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    transport = amqps_transport(rabbit, heartbeat_s=FOREVER_S, confirm_timeout_s=FOREVER_S)
    publisher = transport.open_publisher(through(proxy, far_side), clock=ManualClock())
    proxy.stall()
    hanging = Aside(lambda: [publisher.keep_alive() for _ in iter(int, 1)])

    publisher.abort()

    assert isinstance(hanging.answer(), LinkError)


def test_a_message_that_a_heartbeat_s_look_has_read_ends_the_wait_for_it(
    rabbit: RabbitServer, far_side: RabbitFarSide
) -> None:
    transport = amqps_transport(rabbit, heartbeat_s=FOREVER_S)
    consumer = transport.open_consumer(far_side.target, prefetch=10)
    link = consumer._link  # type: ignore[attr-defined]
    far_side.publish("event.alarm")
    until(link._readable, "the message is here")
    link._tick_at = monotonic()

    fetching = Aside(lambda: consumer.fetch(max_messages=10, wait_s=FOREVER_S, flush_s=0))

    assert len(fetching.answer()) == 1
    consumer.close()


def test_how_much_waits_in_the_queues_is_told_without_taking_it(far_side: RabbitFarSide) -> None:
    consumer = far_side.transport.open_consumer(far_side.target, prefetch=1)
    for _ in range(3):
        far_side.publish("event.alarm")

    held = fetch_all(consumer, 1)
    until(lambda: consumer.waiting() == 2, "two messages wait, one is held")

    consumer.ack(held)
    assert len(fetch_all(consumer, 1)) == 1
    consumer.close()


def test_a_key_that_may_not_ask_keeps_its_link(far_side: RabbitFarSide) -> None:
    """A refusal closes the channel on which it is asked."""
    consumer = far_side.transport.open_consumer(far_side.target, prefetch=1)
    consumer._queues = ("vcp.somebody-else.event.alarm",)  # type: ignore[attr-defined]

    assert consumer.waiting() is None

    far_side.publish("event.alarm")
    assert len(fetch_all(consumer, 1)) == 1
    consumer.close()


def test_a_batch_that_lasts_longer_than_two_heartbeats_can_still_be_acknowledged(
    rabbit: RabbitServer, far_side: RabbitFarSide
) -> None:
    consumer = amqps_transport(rabbit, heartbeat_s=1).open_consumer(far_side.target, prefetch=10)
    far_side.publish("event.alarm")
    batch = fetch_all(consumer, 1)
    until_s = monotonic() + 4
    pause = threading.Event()

    while monotonic() < until_s:
        consumer.keep_alive()
        pause.wait(0.2)
    consumer.ack(batch)

    assert consumer.waiting() == 0
    consumer.close()
    assert far_side.depth(far_side.target.queues.event_alarm) == 0


def test_a_write_that_the_socket_refuses_ends_after_the_time_that_it_was_given(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    times = LinkTimes(heartbeat_s=FOREVER_S, connect_timeout_s=WITHIN_S, answer_timeout_s=FOREVER_S)
    link = open_link(through(proxy, far_side), role="test", ca_file=str(rabbit.ca_file), times=times)
    proxy.stall()
    link.write_within(0.3)

    def write() -> None:
        for _ in range(50):
            link.write_frames(b"x" * 1_000_000)

    assert isinstance(Aside(write).answer(), LinkError)


@pytest.mark.django_db(transaction=True)
def test_a_consumer_that_hangs_on_a_stalled_link_is_replaced_and_consumes_what_waited(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    """Heartbeats of ten minutes and a wait of ten minutes: only the supervisor can find it."""
    plant = factories.plant(on=connection_through(proxy, far_side))
    options = ConsumeOptions(
        prefetch=10, batch=5, flush_s=0.01, retention_days=36_500, wait_s=FOREVER_S, holder="me"
    )

    def make(connection: Connection) -> ConsumeWorker:
        return ConsumeWorker(
            connection=connection,
            transport=amqps_transport(rabbit, heartbeat_s=FOREVER_S),
            clock=lambda: factories.AT,
            options=options,
            limits=Limits(link_s=1.0),
        )

    wanted = {plant.connection_id: plant.connection}
    supervisor = Supervisor(name="test", wanted=lambda: wanted, make=make, look_every_s=0.1)
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,), daemon=True)
    thread.start()
    try:
        until(lambda: LinkHealth.objects.filter(state="CONNECTED").exists(), "connected")
        proxy.stall()
        message = realtime(plant)
        far_side.publish("event.telemetry.realtime.x", message.body)
        first = supervisor._running[plant.connection_id].thread
        until(lambda: not first.is_alive(), "the hanging worker has ended")
        proxy.resume()
        until(TelemetryReading.objects.exists, "the message is stored")
    finally:
        stop.set()
        [one.worker.abort() for one in list(supervisor._running.values())]
        thread.join(WITHIN_S)
    assert supervisor.abandoned == 0


def connection_through(proxy: Proxy, far_side: RabbitFarSide) -> Connection:
    """A stored connection whose address leads over the proxy."""
    target = replace(through(proxy, far_side))
    return factories.connection(
        slug=far_side.partner.slug,
        queue_prefix=far_side.partner.slug,
        routing_prefix=far_side.partner.slug,
        queues=dict(far_side.partner.queues),
        vhost=far_side.partner.vhost,
        amqps_uri=target.amqps_uri,
    )
