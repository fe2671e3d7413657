"""A broker that restarts, a network that swallows, stalls or cuts: every call ends in time and tells the truth."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from link.broker import Fate, LinkError, Publisher
from tests.link.far_sides import RabbitFarSide, amqps_transport, await_failure, through
from tests.link.port_world import ALONE, NOW, ManualClock, fates, fetch_all, outgoing
from tests.services.partner import Partner
from tests.services.proc import AN_AGE_S, wait_until
from tests.services.proxy import Proxy
from tests.services.rabbit import RabbitServer


@pytest.fixture
def far_side(rabbit: RabbitServer, partner: Partner) -> RabbitFarSide:
    return RabbitFarSide(rabbit, partner)


@pytest.fixture
def proxy(rabbit: RabbitServer) -> Iterator[Proxy]:
    with Proxy(rabbit.port) as running:
        yield running


def clock_that_does(action: Callable[[], None], *, at_call: int) -> Callable[[], datetime]:
    """A clock whose n-th reading does something; it is read as each message is handed over."""
    calls = 0

    def read() -> datetime:
        nonlocal calls
        calls += 1
        if calls == at_call:
            action()
        return NOW

    return read


def test_a_broker_restart_breaks_the_link_and_a_new_one_works(
    rabbit: RabbitServer, far_side: RabbitFarSide
) -> None:
    publisher = far_side.transport.open_publisher(far_side.target, clock=ManualClock())
    assert fates(publisher.publish([outgoing(far_side.target, 1)])) == [Fate.CONFIRMED]

    rabbit.restart()
    sent = publisher.publish([outgoing(far_side.target, number) for number in (2, 3)])
    with pytest.raises(LinkError):
        publisher.publish([outgoing(far_side.target, 4)])
    publisher.close()
    reopened = far_side.transport.open_publisher(far_side.target, clock=ManualClock())
    again = reopened.publish([outgoing(far_side.target, 5)])
    reopened.close()

    assert set(fates(sent)) <= {Fate.UNKNOWN, Fate.NOT_SENT}
    assert fates(again) == [Fate.CONFIRMED]
    arrived = {one.message_id for one in far_side.take(far_side.target.queues.command)}
    assert {"message-1", "message-5"} <= arrived


def test_a_killed_broker_leaves_no_message_without_a_fate(
    rabbit: RabbitServer, far_side: RabbitFarSide
) -> None:
    clock = clock_that_does(rabbit.kill, at_call=100)
    publisher = far_side.transport.open_publisher(far_side.target, clock=clock)
    window = [outgoing(far_side.target, number, not_after=NOW) for number in range(200)]
    try:
        sent = publisher.publish(window)
        publisher.close()
    finally:
        rabbit.start()

    assert [one.outbound_id for one in sent] == list(range(200))
    assert set(fates(sent)) <= {Fate.CONFIRMED, Fate.UNKNOWN, Fate.NOT_SENT}
    assert fates(sent)[-1] is Fate.NOT_SENT
    confirmed = {f"message-{one.outbound_id}" for one in sent if one.fate is Fate.CONFIRMED}
    assert confirmed <= {one.message_id for one in far_side.take(far_side.target.queues.command)}


def test_a_cut_in_mid_window_separates_unknown_from_not_sent(far_side: RabbitFarSide, proxy: Proxy) -> None:
    target = through(proxy, far_side)
    publisher = far_side.transport.open_publisher(target, clock=clock_that_does(proxy.cut, at_call=50))

    sent = publisher.publish([outgoing(target, number, body=ALONE, not_after=NOW) for number in range(100)])

    publisher.close()
    not_sent = [one.outbound_id for one in sent if one.fate is Fate.NOT_SENT]
    arrived = {one.message_id for one in far_side.take(target.queues.command)}
    assert not_sent == list(range(not_sent[0], 100))
    assert arrived.isdisjoint(f"message-{number}" for number in not_sent)
    assert {one.fate for one in sent[: not_sent[0]]} <= {Fate.CONFIRMED, Fate.UNKNOWN}
    with pytest.raises(LinkError):
        publisher.publish([outgoing(target, 1)])


def test_a_black_hole_is_unknown_at_the_deadline_and_the_link_is_dropped(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    target = through(proxy, far_side)
    publisher = amqps_transport(rabbit, confirm_timeout_s=1.5).open_publisher(target, clock=ManualClock())
    proxy.blackhole()
    began = time.monotonic()

    sent = publisher.publish([outgoing(target, number) for number in range(100)])

    assert 1.4 < time.monotonic() - began < AN_AGE_S
    assert set(fates(sent)) == {Fate.UNKNOWN}
    assert "no confirm within 1.5 s" in sent[0].detail
    with pytest.raises(LinkError):
        publisher.publish([outgoing(target, 1)])


def test_a_caller_with_less_time_gives_up_earlier_and_drops_the_link(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    target = through(proxy, far_side)
    publisher = amqps_transport(rabbit, confirm_timeout_s=30).open_publisher(target, clock=ManualClock())
    proxy.blackhole()
    began = time.monotonic()

    sent = publisher.publish([outgoing(target, 1)], within_s=1.5)

    assert 1.4 < time.monotonic() - began < AN_AGE_S
    assert (sent[0].fate, "no confirm within 1.5 s" in sent[0].detail) == (Fate.UNKNOWN, True)
    with pytest.raises(LinkError):
        publisher.publish([outgoing(target, 1)])


def test_a_stalled_peer_cannot_hold_a_publisher_past_its_deadline(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    target = through(proxy, far_side)
    publisher = amqps_transport(rabbit, confirm_timeout_s=1.5).open_publisher(target, clock=ManualClock())
    proxy.stall()
    began = time.monotonic()

    sent = publisher.publish([outgoing(target, number, body=b"x" * 1_000_000) for number in range(30)])

    assert time.monotonic() - began < AN_AGE_S
    assert fates(sent)[0] is Fate.UNKNOWN
    assert fates(sent)[-1] is Fate.NOT_SENT
    publisher.close()


def test_what_was_given_up_does_not_leave_this_machine_later(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    target = through(proxy, far_side)
    publisher = amqps_transport(rabbit, confirm_timeout_s=1.0).open_publisher(target, clock=ManualClock())
    proxy.stall()
    before = proxy.bytes_to_server
    sent = publisher.publish([outgoing(target, number, body=b"x" * 100_000) for number in range(20)])

    proxy.resume()
    # A new link over the same proxy: by the time it works, the old one's bytes have passed or never will.
    reopened = far_side.transport.open_publisher(target, clock=ManualClock())
    assert fates(reopened.publish([outgoing(target, 99)])) == [Fate.CONFIRMED]
    reopened.close()

    assert set(fates(sent)) == {Fate.UNKNOWN}
    assert proxy.bytes_to_server - before < 1_000_000
    assert far_side.depth(target.queues.command) < 11


def test_an_idle_publisher_notices_a_black_hole_by_its_heartbeats(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    transport = amqps_transport(rabbit, heartbeat_s=1)
    publisher = transport.open_publisher(through(proxy, far_side), clock=ManualClock())
    proxy.blackhole()
    began = time.monotonic()

    with pytest.raises(LinkError) as caught:
        await_failure(publisher)

    assert caught.value.code == "HEARTBEAT_MISSED"
    assert 1 < time.monotonic() - began < AN_AGE_S
    closing = time.monotonic()
    publisher.close()
    assert time.monotonic() - closing < AN_AGE_S


def test_a_waiting_consumer_notices_a_black_hole_by_its_heartbeats(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    transport = amqps_transport(rabbit, heartbeat_s=1)
    consumer = transport.open_consumer(through(proxy, far_side), prefetch=10)
    proxy.blackhole()
    began = time.monotonic()

    with pytest.raises(LinkError) as caught:
        consumer.fetch(max_messages=1, wait_s=30, flush_s=0)

    assert caught.value.code == "HEARTBEAT_MISSED"
    assert 1 < time.monotonic() - began < AN_AGE_S


def test_heartbeats_keep_idle_links_alive(rabbit: RabbitServer, far_side: RabbitFarSide) -> None:
    """The forgotten link shows that the broker does hang up on those who send no heartbeats."""
    transport = amqps_transport(rabbit, heartbeat_s=1)
    publisher = transport.open_publisher(far_side.target, clock=ManualClock())
    consumer = transport.open_consumer(far_side.target, prefetch=10)
    forgotten = transport.open_publisher(far_side.target, clock=ManualClock())

    until = time.monotonic() + 5
    while time.monotonic() < until:
        publisher.keep_alive()
        assert consumer.fetch(max_messages=1, wait_s=0.1, flush_s=0) == []

    assert fates(publisher.publish([outgoing(far_side.target, 1)])) == [Fate.CONFIRMED]
    far_side.publish("event.alarm")
    assert len(fetch_all(consumer, 1)) == 1
    with pytest.raises(LinkError):
        forgotten.keep_alive()
    publisher.close()
    consumer.close()


def test_closing_a_black_holed_link_is_bounded(
    rabbit: RabbitServer, far_side: RabbitFarSide, proxy: Proxy
) -> None:
    publisher = far_side.transport.open_publisher(through(proxy, far_side), clock=ManualClock())
    proxy.blackhole()
    began = time.monotonic()

    publisher.close()

    assert time.monotonic() - began < AN_AGE_S


def test_a_cut_under_the_consumer_redelivers_what_was_not_acknowledged(
    far_side: RabbitFarSide, proxy: Proxy
) -> None:
    for number in range(4):
        far_side.publish("event.alarm", b"%d" % number)
    consumer = far_side.transport.open_consumer(through(proxy, far_side), prefetch=10)
    held = fetch_all(consumer, 4)

    proxy.cut()
    with pytest.raises(LinkError):
        consumer.fetch(max_messages=1, wait_s=10, flush_s=0)
    with pytest.raises(LinkError):
        consumer.ack(held)
    consumer.close()
    reopened = far_side.transport.open_consumer(far_side.target, prefetch=10)
    back = fetch_all(reopened, 4)
    reopened.close()

    assert [(one.body, one.redelivered) for one in back] == [(b"%d" % number, True) for number in range(4)]


@pytest.fixture
def memory_alarm(rabbit: RabbitServer) -> Iterator[None]:
    """The broker lacks memory: whoever publishes is blocked."""
    rabbit.ctl("set_vm_memory_high_watermark", "0")
    yield
    rabbit.ctl("set_vm_memory_high_watermark", "0.4")


@pytest.fixture
def blocked_publisher(
    rabbit: RabbitServer, far_side: RabbitFarSide, memory_alarm: None
) -> Iterator[Publisher]:
    """A publisher that has published once under the alarm, and so was told."""
    transport = amqps_transport(rabbit, confirm_timeout_s=1.0)
    publisher = transport.open_publisher(far_side.target, clock=ManualClock())
    publisher.publish([outgoing(far_side.target, 0)])
    yield publisher
    publisher.close()


def test_a_block_in_mid_window_holds_the_rest_back(
    rabbit: RabbitServer, far_side: RabbitFarSide, memory_alarm: None
) -> None:
    def wait_until_blocked() -> None:
        wait_until(
            lambda: f"{far_side.partner.slug}\tblocked" in rabbit.ctl("list_connections", "user", "state"),
            timeout_s=20,
            what="the broker has blocked the publisher",
        )

    transport = amqps_transport(rabbit, confirm_timeout_s=3.0)
    clock = clock_that_does(wait_until_blocked, at_call=2)
    publisher = transport.open_publisher(far_side.target, clock=clock)

    sent = publisher.publish(
        [outgoing(far_side.target, number, body=ALONE, not_after=NOW) for number in range(20)]
    )

    publisher.close()
    assert fates(sent)[2:] == [Fate.NOT_SENT] * 18


def test_nothing_is_published_while_the_broker_blocks_publishers(
    far_side: RabbitFarSide, blocked_publisher: Publisher
) -> None:
    sent = blocked_publisher.publish([outgoing(far_side.target, number) for number in range(20, 40)])

    assert fates(sent) == [Fate.NOT_SENT] * 20
    assert "blocks" in sent[0].detail


def test_a_blocked_link_survives_and_publishes_when_the_block_ends(
    rabbit: RabbitServer, far_side: RabbitFarSide, blocked_publisher: Publisher
) -> None:
    rabbit.ctl("set_vm_memory_high_watermark", "0.4")

    wait_until(
        lambda: fates(blocked_publisher.publish([outgoing(far_side.target, 99)])) == [Fate.CONFIRMED],
        timeout_s=20,
        what="the same link publishes again",
    )

    arrived = {one.message_id for one in far_side.take(far_side.target.queues.command)}
    assert "message-99" in arrived
