"""The AMQPS adapter keeps the port's contract, on a real RabbitMQ over TLS."""

import time
from datetime import timedelta

import pytest

from link.broker import Fate, LinkError, Publisher
from tests.link.far_sides import (
    RabbitFarSide,
    amqps_transport,
    await_failure,
    through,
    unconfirmed_at_broker,
)
from tests.link.port_contract import PortContract
from tests.link.port_world import ALONE, NOW, ManualClock, fates, fetch_all, outgoing
from tests.services.partner import Partner
from tests.services.proc import wait_until
from tests.services.proxy import Proxy
from tests.services.rabbit import RabbitServer


@pytest.fixture
def far_side(rabbit: RabbitServer, partner: Partner) -> RabbitFarSide:
    return RabbitFarSide(rabbit, partner)


class TestAmqpsTransport(PortContract):
    pass


@pytest.fixture
def publisher(far_side: RabbitFarSide):
    publisher = far_side.transport.open_publisher(far_side.target, clock=ManualClock())
    yield publisher
    publisher.close()


def test_properties_are_those_of_the_fact_sheet(far_side: RabbitFarSide, publisher: Publisher) -> None:
    publisher.publish([outgoing(far_side.target, 1)])

    ((_, properties, _),) = far_side.take_raw(far_side.target.queues.command)
    assert properties.content_type == "application/json"
    assert properties.delivery_mode == 2
    assert (properties.message_id, properties.correlation_id) == ("message-1", "correlation-1")


def test_a_window_is_pipelined_not_sent_one_by_one(rabbit: RabbitServer, far_side: RabbitFarSide) -> None:
    with Proxy(rabbit.port, latency_s=0.04) as proxy:
        target = through(proxy, far_side)
        publisher = far_side.transport.open_publisher(target, clock=ManualClock())
        tags = [outgoing(target, number) for number in range(200)]

        began = time.monotonic()
        sent = publisher.publish(tags)
        elapsed_s = time.monotonic() - began
        publisher.close()

    assert set(fates(sent)) == {Fate.CONFIRMED}
    assert elapsed_s < 200 * 0.08 / 4


def test_every_forbidden_message_of_a_window_is_found(far_side: RabbitFarSide, publisher: Publisher) -> None:
    forbidden = {0, 7, 8, 29}
    window = [
        outgoing(far_side.target, number, key="other.command.mode" if number in forbidden else None)
        for number in range(30)
    ]

    sent = publisher.publish(window)

    assert {one.outbound_id for one in sent if one.fate is Fate.REFUSED} == forbidden
    assert fates(sent).count(Fate.CONFIRMED) == 26


def test_without_the_exchange_every_message_is_refused(
    rabbit: RabbitServer, far_side: RabbitFarSide, publisher: Publisher
) -> None:
    with rabbit.voke_connection(far_side.partner) as connection:
        connection.channel().exchange_delete("vcp")

    sent = publisher.publish([outgoing(far_side.target, number) for number in range(3)])

    assert fates(sent) == [Fate.REFUSED] * 3
    assert all("404" in one.detail and "vcp" in one.detail for one in sent)


def test_a_returned_message_among_resent_ones_is_still_returned(
    far_side: RabbitFarSide, publisher: Publisher
) -> None:
    window = [
        outgoing(far_side.target, 0, key="other.command.mode"),
        outgoing(far_side.target, 1, family="schedule.create.twice"),
        outgoing(far_side.target, 2),
    ]

    assert fates(publisher.publish(window)) == [Fate.REFUSED, Fate.RETURNED, Fate.CONFIRMED]


def test_what_was_confirmed_before_a_refusal_is_not_sent_again(
    rabbit: RabbitServer, far_side: RabbitFarSide
) -> None:
    """The clock is read when the forbidden message is handed over: it waits until the others are confirmed."""
    target = far_side.target

    def clock_that_waits_for_confirms():
        wait_until(
            lambda: (
                far_side.depth(target.queues.command) == 5
                and unconfirmed_at_broker(rabbit, far_side.partner) == 0
            ),
            timeout_s=20,
            what="five messages are confirmed",
        )
        return NOW

    patient = amqps_transport(
        rabbit, confirm_timeout_s=60
    )  # it is asked of the broker by a program each time
    publisher = patient.open_publisher(target, clock=clock_that_waits_for_confirms)
    window = [outgoing(target, number, body=ALONE) for number in range(10)]
    window[5] = outgoing(target, 5, key="other.command.mode", not_after=NOW)

    sent = publisher.publish(window)

    publisher.close()
    assert fates(sent) == [Fate.CONFIRMED] * 5 + [Fate.REFUSED] + [Fate.CONFIRMED] * 4
    arrived = [one.message_id for one in far_side.take(target.queues.command)]
    assert arrived == [f"message-{number}" for number in range(10) if number != 5]


def test_a_message_that_became_too_late_between_two_attempts_is_unknown_not_too_late(
    rabbit: RabbitServer, far_side: RabbitFarSide
) -> None:
    """The way is long enough for both to be written before the broker's refusal of the first arrives."""
    clock = ManualClock(steps={2: timedelta(hours=1)})
    with Proxy(rabbit.port, latency_s=0.1) as proxy:
        publisher = far_side.transport.open_publisher(through(proxy, far_side), clock=clock)

        sent = publisher.publish(
            [
                outgoing(far_side.target, 0, key="other.command.mode"),
                outgoing(far_side.target, 1, not_after=NOW + timedelta(minutes=1)),
            ]
        )

        publisher.close()
    assert fates(sent) == [Fate.REFUSED, Fate.UNKNOWN]
    assert "sent again" in sent[1].detail
    assert far_side.depth(far_side.target.queues.command) == 0


def test_what_amqp_cannot_carry_is_refused_and_stops_nothing(
    far_side: RabbitFarSide, publisher: Publisher
) -> None:
    window = [
        outgoing(far_side.target, 1, key=f"{far_side.partner.slug}.command.{'x' * 300}"),
        outgoing(far_side.target, 2, key=f"{far_side.partner.slug}.command.\ud800"),
        outgoing(far_side.target, 3),
    ]

    assert fates(publisher.publish(window)) == [Fate.REFUSED, Fate.REFUSED, Fate.CONFIRMED]


def test_a_window_of_large_messages_may_be_returned_as_a_whole(
    far_side: RabbitFarSide, publisher: Publisher
) -> None:
    body = b"x" * 200_000
    window = [
        outgoing(far_side.target, number, family="schedule.create.twice", body=body) for number in range(100)
    ]

    assert set(fates(publisher.publish(window))) == {Fate.RETURNED}


def test_a_body_with_a_content_encoding_stays_bytes(far_side: RabbitFarSide) -> None:
    consumer = far_side.transport.open_consumer(far_side.target, prefetch=10)
    body = "Přetok".encode()
    far_side.publish("event.alarm", body, content_encoding="utf-8")

    (got,) = fetch_all(consumer, 1)

    consumer.close()
    assert got.body == body


def test_a_quorum_queue_can_be_consumed(rabbit: RabbitServer, far_side: RabbitFarSide) -> None:
    name = far_side.partner.queues["eventAlarm"]
    far_side.delete_queue(name)
    with rabbit.voke_connection(far_side.partner) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(name, "vcp", f"{far_side.partner.slug}.event.alarm.#")
    far_side.publish("event.alarm", b"from a quorum queue")

    consumer = far_side.transport.open_consumer(far_side.target, prefetch=10)
    (got,) = fetch_all(consumer, 1)
    consumer.ack([got])
    consumer.close()

    assert got.body == b"from a quorum queue"


def test_a_flood_in_one_queue_does_not_hold_back_another(far_side: RabbitFarSide) -> None:
    for _ in range(3):
        far_side.publish("event.telemetry.realtime")
    consumer = far_side.transport.open_consumer(far_side.target, prefetch=2)
    held = fetch_all(consumer, 2)

    far_side.publish("event.command.ack")
    (ack,) = fetch_all(consumer, 1)

    consumer.close()
    assert {one.queue for one in held} == {far_side.target.queues.event_telemetry}
    assert ack.queue == far_side.target.queues.event_status


def test_publishing_and_consuming_are_two_named_connections(
    rabbit: RabbitServer, far_side: RabbitFarSide, publisher: Publisher
) -> None:
    consumer = far_side.transport.open_consumer(far_side.target, prefetch=10)

    listed = rabbit.ctl("list_connections", "vhost", "ssl", "ssl_protocol", "client_properties")

    consumer.close()
    mine = [line for line in listed.splitlines() if line.startswith(f"{far_side.partner.vhost}\t")]
    assert len(mine) == 2
    assert all("\ttrue\ttlsv1." in line for line in mine)
    assert any(f"esm publisher {far_side.partner.slug}" in line for line in mine)
    assert any(f"esm consumer {far_side.partner.slug}" in line for line in mine)


@pytest.mark.parametrize("heartbeat_s", [0, -1, 65_536])
def test_a_link_without_heartbeats_is_not_offered(rabbit: RabbitServer, heartbeat_s: int) -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        amqps_transport(rabbit, heartbeat_s=heartbeat_s)


def test_an_unused_publisher_notices_that_it_was_closed_by_the_broker(
    rabbit: RabbitServer, far_side: RabbitFarSide, publisher: Publisher
) -> None:
    rabbit.ctl("close_all_connections", "--vhost", far_side.partner.vhost, "key was revoked")

    with pytest.raises(LinkError, match="key was revoked") as caught:
        await_failure(publisher)

    assert (caught.value.code, caught.value.permanent) == ("LINK_DOWN", False)
