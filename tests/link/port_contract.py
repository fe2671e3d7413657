"""What every adapter of the port must do; `test_memory_adapter` and `test_amqp_adapter` run it on their transport.

The far side is Voke's: it owns the queues, publishes events and looks at what arrived.
"""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from link.broker import Consumer, Fate, LinkError, LinkTarget, Publisher, Tally
from tests.link.port_world import NOW, Arrived, FarSide, ManualClock, fates, fetch_all, outgoing
from tests.services.proc import AN_AGE_S
from vcp import QueueNames

PREFETCH = 100


class PortContract:
    """The scenarios; a subclass provides the fixture `far_side`."""

    @pytest.fixture
    def target(self, far_side: FarSide) -> LinkTarget:
        return far_side.target

    @pytest.fixture
    def queues(self, target: LinkTarget) -> QueueNames:
        return target.queues

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def publisher(self, far_side: FarSide, clock: ManualClock) -> Any:
        publisher = far_side.transport.open_publisher(far_side.target, clock=clock)
        yield publisher
        publisher.close()

    @pytest.fixture
    def consumer(self, far_side: FarSide) -> Any:
        consumer = far_side.transport.open_consumer(far_side.target, prefetch=PREFETCH)
        yield consumer
        consumer.close()

    # Publishing

    def test_a_window_of_500_is_confirmed_and_arrives_once_in_order(
        self, far_side: FarSide, publisher: Publisher, queues: QueueNames
    ) -> None:
        window = [outgoing(far_side.target, number) for number in range(500)]

        sent = publisher.publish(window)

        assert [one.outbound_id for one in sent] == list(range(500))
        assert set(fates(sent)) == {Fate.CONFIRMED}
        assert [one.body for one in far_side.take(queues.command)] == [one.body for one in window]

    def test_several_windows_go_over_one_link(
        self, far_side: FarSide, publisher: Publisher, queues: QueueNames
    ) -> None:
        for start in (0, 3, 6):
            sent = publisher.publish([outgoing(far_side.target, start + offset) for offset in range(3)])
            assert set(fates(sent)) == {Fate.CONFIRMED}

        assert far_side.depth(queues.command) == 9

    def test_key_ids_and_exact_bytes_arrive(
        self, far_side: FarSide, publisher: Publisher, queues: QueueNames
    ) -> None:
        body = bytes(range(256)) * 4096

        publisher.publish([outgoing(far_side.target, 1, family="config.topology", body=body)])

        (arrived,) = far_side.take(queues.config)
        assert arrived == Arrived(
            routing_key=f"{far_side.target.routing_prefix}.config.topology",
            body=body,
            message_id="message-1",
            correlation_id="correlation-1",
        )

    def test_an_empty_window_is_answered_by_an_empty_list(self, publisher: Publisher) -> None:
        assert publisher.publish([]) == []

    def test_what_no_queue_takes_is_returned_and_nothing_else_is(
        self, far_side: FarSide, publisher: Publisher, queues: QueueNames
    ) -> None:
        window = [outgoing(far_side.target, number) for number in range(10)]
        window[4] = outgoing(far_side.target, 4, family="schedule.create.twice")

        sent = publisher.publish(window)

        assert [one.outbound_id for one in sent if one.fate is Fate.RETURNED] == [4]
        assert fates(sent).count(Fate.CONFIRMED) == far_side.depth(queues.command) == 9
        assert "NO_ROUTE" in sent[4].detail

    def test_what_a_full_queue_refuses_is_nacked(
        self, far_side: FarSide, publisher: Publisher, target: LinkTarget
    ) -> None:
        far_side.add_limited_queue("limited", binding=f"{target.routing_prefix}.command.mode", max_length=5)

        sent = publisher.publish([outgoing(target, number) for number in range(8)])

        assert fates(sent) == [Fate.CONFIRMED] * 5 + [Fate.NACKED] * 3
        assert far_side.depth("limited") == 5

    def test_a_forbidden_key_in_mid_window_is_refused_alone(
        self, far_side: FarSide, publisher: Publisher, queues: QueueNames
    ) -> None:
        window = [outgoing(far_side.target, number) for number in range(50)]
        window[20] = outgoing(far_side.target, 20, key="other.command.mode")

        sent = publisher.publish(window)

        assert [one.outbound_id for one in sent if one.fate is Fate.REFUSED] == [20]
        assert "403" in sent[20].detail
        assert "other.command.mode" in sent[20].detail
        assert fates(sent).count(Fate.CONFIRMED) == 49
        arrived = {one.message_id for one in far_side.take(queues.command)}
        assert arrived == {one.message_id for one in window} - {"message-20"}

    def test_after_a_refusal_the_link_goes_on(
        self, far_side: FarSide, publisher: Publisher, target: LinkTarget
    ) -> None:
        publisher.publish([outgoing(target, 1, key="other.command.mode")])

        sent = publisher.publish([outgoing(target, 2), outgoing(target, 3, family="schedule.create.twice")])

        assert fates(sent) == [Fate.CONFIRMED, Fate.RETURNED]

    def test_a_message_whose_last_moment_passed_is_not_sent(
        self, far_side: FarSide, publisher: Publisher, queues: QueueNames, target: LinkTarget
    ) -> None:
        sent = publisher.publish(
            [
                outgoing(target, 1, not_after=NOW - timedelta(milliseconds=1)),
                outgoing(target, 2, not_after=NOW),
                outgoing(target, 3, not_after=None),
            ]
        )

        assert fates(sent) == [Fate.TOO_LATE, Fate.CONFIRMED, Fate.CONFIRMED]
        assert [one.message_id for one in far_side.take(queues.command)] == ["message-2", "message-3"]

    def test_the_last_moment_is_checked_when_the_message_itself_is_handed_over(
        self, far_side: FarSide, publisher: Publisher, clock: ManualClock, target: LinkTarget
    ) -> None:
        clock.steps = {3: timedelta(seconds=2)}

        sent = publisher.publish(
            [outgoing(target, number, not_after=NOW + timedelta(seconds=1)) for number in range(4)]
        )

        assert fates(sent) == [Fate.CONFIRMED, Fate.CONFIRMED, Fate.TOO_LATE, Fate.TOO_LATE]

    def test_a_publisher_may_idle(self, publisher: Publisher, target: LinkTarget) -> None:
        publisher.keep_alive()
        publisher.keep_alive()

        assert fates(publisher.publish([outgoing(target, 1)])) == [Fate.CONFIRMED]

    def test_a_closed_publisher_raises(self, publisher: Publisher, target: LinkTarget) -> None:
        publisher.close()
        publisher.close()

        with pytest.raises(LinkError):
            publisher.publish([outgoing(target, 1)])
        with pytest.raises(LinkError):
            publisher.keep_alive()

    # Consuming

    def test_events_of_all_four_queues_arrive_as_they_were_sent(
        self, far_side: FarSide, consumer: Consumer, queues: QueueNames, target: LinkTarget
    ) -> None:
        bodies = {
            "event.telemetry.realtime.7a1d": (queues.event_telemetry, b'{"a": 1.0 }'),
            "event.command.ack": (queues.event_status, "Přetok – ≤ 50 %".encode()),
            "event.alarm": (queues.event_alarm, b"\x00\xff\xfe not text"),
            "event.execution": (queues.event_execution, b""),
        }
        for key, (_, body) in bodies.items():
            far_side.publish(key, body, headers={"x-origin": "test"})

        got = fetch_all(consumer, 4)

        assert {(one.routing_key, one.queue, one.body) for one in got} == {
            (f"{target.routing_prefix}.{key}", queue, body) for key, (queue, body) in bodies.items()
        }
        assert all(type(one.body) is bytes for one in got)
        assert [dict(one.headers) for one in got] == [{"x-origin": "test"}] * 4
        assert not any(one.redelivered for one in got)

    def test_a_large_event_arrives_whole(self, far_side: FarSide, consumer: Consumer) -> None:
        body = bytes(range(256)) * 4096
        far_side.publish("event.telemetry.meter", body)

        (got,) = fetch_all(consumer, 1)

        assert got.body == body

    def test_no_event_within_the_wait_is_an_empty_batch(self, consumer: Consumer) -> None:
        began = time.monotonic()

        got = consumer.fetch(max_messages=10, wait_s=0.2, flush_s=5)

        assert got == []
        assert 0.19 <= time.monotonic() - began < AN_AGE_S

    def test_a_batch_is_no_larger_than_asked_and_the_rest_follows(
        self, far_side: FarSide, consumer: Consumer
    ) -> None:
        for number in range(5):
            far_side.publish("event.alarm", b"%d" % number)

        first = fetch_all(consumer, 2)
        rest = fetch_all(consumer, 3)

        assert [one.body for one in first + rest] == [b"0", b"1", b"2", b"3", b"4"]

    def test_after_the_first_event_more_are_waited_for(self, far_side: FarSide, consumer: Consumer) -> None:
        far_side.publish("event.alarm", b"first")
        later = threading.Thread(target=far_side.publish, args=("event.alarm", b"second"))
        later.start()

        got = consumer.fetch(max_messages=2, wait_s=10, flush_s=10)

        later.join(10)
        assert [one.body for one in got] == [b"first", b"second"]

    def test_the_wait_for_more_ends(self, far_side: FarSide, consumer: Consumer) -> None:
        far_side.publish("event.alarm")
        began = time.monotonic()

        got = consumer.fetch(max_messages=2, wait_s=60, flush_s=0.2)

        assert len(got) == 1
        assert time.monotonic() - began < AN_AGE_S

    def test_acknowledged_events_do_not_come_again_others_do(
        self, far_side: FarSide, consumer: Consumer
    ) -> None:
        for number in range(6):
            far_side.publish("event.alarm", b"%d" % number)
        got = fetch_all(consumer, 6)

        consumer.ack([got[4], got[0], got[1]])
        consumer.close()

        again = far_side.transport.open_consumer(far_side.target, prefetch=PREFETCH)
        try:
            back = fetch_all(again, 3)
            assert [one.body for one in back] == [b"2", b"3", b"5"]
            assert all(one.redelivered for one in back)
            assert again.fetch(max_messages=1, wait_s=0.1, flush_s=0) == []
        finally:
            again.close()

    def test_the_tally_tells_up_to_which_delivery_all_are_acknowledged(
        self, far_side: FarSide, consumer: Consumer
    ) -> None:
        for number in range(3):
            far_side.publish("event.alarm", str(number).encode())
        first, *others = fetch_all(consumer, 3)
        tallies = [consumer.tally()]

        for batch in (others, [first]):
            consumer.ack(batch)
            tallies.append(consumer.tally())

        assert tallies == [
            Tally(came=3, settled=0),
            Tally(came=3, settled=0),
            Tally(came=3, settled=3),
        ]

    def test_no_more_than_the_prefetch_is_handed_out_unacknowledged(
        self, far_side: FarSide, target: LinkTarget
    ) -> None:
        consumer = far_side.transport.open_consumer(target, prefetch=3)
        try:
            for _ in range(5):
                far_side.publish("event.alarm")

            held = consumer.fetch(max_messages=5, wait_s=10, flush_s=0.3)
            consumer.ack(held)
            rest = fetch_all(consumer, 2)

            assert (len(held), len(rest)) == (3, 2)
        finally:
            consumer.close()

    def test_acknowledging_twice_is_an_error_and_harms_nothing(
        self, far_side: FarSide, consumer: Consumer
    ) -> None:
        far_side.publish("event.alarm", b"first")
        far_side.publish("event.alarm", b"second")
        first, second = fetch_all(consumer, 2)
        consumer.ack([first])

        with pytest.raises(LinkError) as caught:
            consumer.ack([first, second])

        assert caught.value.code == "UNKNOWN_DELIVERY"
        consumer.ack([second])

    def test_a_delivery_of_an_earlier_link_cannot_acknowledge_another(
        self, far_side: FarSide, target: LinkTarget, queues: QueueNames
    ) -> None:
        far_side.publish("event.alarm", b"precious")
        old = far_side.transport.open_consumer(target, prefetch=PREFETCH)
        (stale,) = fetch_all(old, 1)
        old.close()
        new = far_side.transport.open_consumer(target, prefetch=PREFETCH)
        fetch_all(new, 1)

        with pytest.raises(LinkError) as caught:
            new.ack([stale])

        new.close()
        assert caught.value.code == "UNKNOWN_DELIVERY"
        assert [one.body for one in far_side.take(queues.event_alarm)] == [b"precious"]

    def test_a_queue_deleted_under_the_consumer_breaks_the_link(
        self, far_side: FarSide, consumer: Consumer, queues: QueueNames
    ) -> None:
        far_side.delete_queue(queues.event_execution)

        with pytest.raises(LinkError) as caught:
            consumer.fetch(max_messages=1, wait_s=10, flush_s=0)

        assert (caught.value.code, caught.value.permanent) == ("CONSUMER_CANCELLED", False)
        with pytest.raises(LinkError):
            consumer.fetch(max_messages=1, wait_s=0, flush_s=0)

    def test_a_missing_queue_is_named_and_permanent(
        self, far_side: FarSide, target: LinkTarget, queues: QueueNames
    ) -> None:
        far_side.delete_queue(queues.event_status)

        with pytest.raises(LinkError) as caught:
            far_side.transport.open_consumer(target, prefetch=PREFETCH)

        assert (caught.value.code, caught.value.permanent) == ("QUEUE_MISSING", True)
        assert queues.event_status in str(caught.value)

    def test_a_closed_consumer_raises(self, far_side: FarSide, consumer: Consumer) -> None:
        far_side.publish("event.alarm")
        held = fetch_all(consumer, 1)
        consumer.close()
        consumer.close()

        with pytest.raises(LinkError):
            consumer.fetch(max_messages=1, wait_s=0, flush_s=0)
        with pytest.raises(LinkError):
            consumer.ack(held)
