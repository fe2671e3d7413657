"""Consuming: batches, prefetch, settlement, redelivery and waiting without polling."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from membroker import ConsumerClosed, Delivery, MemBroker, Message, Published, UnknownDelivery, VHost

WAIT_S = 10


@pytest.fixture
def vhost() -> VHost:
    vhost = MemBroker().vhost("partner-demo")
    vhost.declare_queue("dead")
    vhost.declare_queue("command", dead_letter_to="dead")
    vhost.bind("command", "acme.command.#")
    vhost.declare_queue("config")
    vhost.bind("config", "acme.config.#")
    return vhost


def publish(vhost: VHost, *texts: str, routing_key: str = "acme.command") -> None:
    for text in texts:
        assert vhost.publish(Message(routing_key=routing_key, body=text.encode())) is Published.ROUTED


def texts(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.body.decode() for delivery in deliveries]


def test_a_consumer_without_messages_answers_nothing_when_its_time_is_over(vhost: VHost) -> None:
    assert vhost.consume(["command"]).get(10, 0.01) == []


def test_a_batch_is_no_larger_than_asked_for(vhost: VHost) -> None:
    publish(vhost, "1", "2", "3")

    assert texts(vhost.consume(["command"]).get(2, 0)) == ["1", "2"]


def test_unsettled_messages_beyond_the_prefetch_are_not_handed_out(vhost: VHost) -> None:
    publish(vhost, "1", "2", "3")
    consumer = vhost.consume(["command"], prefetch=2)
    first = consumer.get(10, 0)

    assert texts(first) == ["1", "2"]
    assert consumer.get(10, 0) == []
    consumer.ack(first[:1])
    assert texts(consumer.get(10, 0)) == ["3"]


def test_a_busy_queue_does_not_starve_another_one(vhost: VHost) -> None:
    publish(vhost, *"12345")
    publish(vhost, "config", routing_key="acme.config.topology")

    assert "config" in texts(vhost.consume(["command", "config"]).get(2, 0))


def test_delivery_tags_are_unique_across_queues(vhost: VHost) -> None:
    publish(vhost, "1", "2")
    publish(vhost, "3", routing_key="acme.config.topology")
    deliveries = vhost.consume(["command", "config"]).get(10, 0)

    assert len({delivery.delivery_tag for delivery in deliveries}) == 3


def test_acknowledged_messages_do_not_come_back(vhost: VHost) -> None:
    publish(vhost, "1", "2")
    consumer = vhost.consume(["command"])
    consumer.ack(consumer.get(1, 0))
    consumer.close()

    assert texts(vhost.consume(["command"]).get(10, 0)) == ["2"]


def test_what_was_unsettled_at_close_comes_back_first_and_in_order_as_redelivered(vhost: VHost) -> None:
    publish(vhost, "1", "2", "3")
    first = vhost.consume(["command"])
    first.get(2, 0)
    first.close()

    again = vhost.consume(["command"]).get(10, 0)
    assert texts(again) == ["1", "2", "3"]
    assert [delivery.redelivered for delivery in again] == [True, True, False]


def test_messages_of_two_closed_consumers_return_to_their_old_order(vhost: VHost) -> None:
    publish(vhost, *"12345")
    odd, even = vhost.consume(["command"]), vhost.consume(["command"])
    for consumer in (odd, even, odd, even):
        consumer.get(1, 0)
    odd.close()
    even.close()

    assert texts(vhost.consume(["command"]).get(10, 0)) == list("12345")


def test_a_message_rejected_with_requeue_comes_back_to_its_place(vhost: VHost) -> None:
    publish(vhost, "1", "2")
    consumer = vhost.consume(["command"])
    consumer.reject(consumer.get(1, 0), requeue=True)

    [first, second] = consumer.get(10, 0)
    assert (texts([first, second]), first.redelivered) == (["1", "2"], True)


def test_a_message_rejected_for_good_goes_to_the_dead_letter_queue_with_its_reason(vhost: VHost) -> None:
    publish(vhost, "bad")
    consumer = vhost.consume(["command"])
    consumer.reject(consumer.get(1, 0))

    [dead] = vhost.consume(["dead"]).get(10, 0)
    assert (dead.message.body, dead.message.headers["x-first-death-reason"]) == (b"bad", "rejected")


def test_a_message_rejected_in_one_queue_keeps_its_copy_in_another(vhost: VHost) -> None:
    vhost.bind("config", "acme.command.#")
    publish(vhost, "1")
    consumer = vhost.consume(["command"])
    consumer.reject(consumer.get(1, 0), requeue=True)

    assert (vhost.depth("command"), vhost.depth("config")) == (1, 1)


def test_settling_twice_is_refused_and_settles_nothing_of_the_batch(vhost: VHost) -> None:
    publish(vhost, "1", "2")
    consumer = vhost.consume(["command"])
    [first, second] = consumer.get(2, 0)
    consumer.ack([first])

    with pytest.raises(UnknownDelivery):
        consumer.ack([first, second])
    consumer.close()
    assert texts(vhost.consume(["command"]).get(10, 0)) == ["2"]


def test_one_consumer_cannot_settle_what_another_one_holds(vhost: VHost) -> None:
    publish(vhost, "1")
    held = vhost.consume(["command"]).get(1, 0)

    with pytest.raises(UnknownDelivery):
        vhost.consume(["command"]).ack(held)


def test_a_closed_consumer_refuses_every_use(vhost: VHost) -> None:
    publish(vhost, "1")
    consumer = vhost.consume(["command"])
    held = consumer.get(1, 0)
    consumer.close()
    consumer.close()

    with pytest.raises(ConsumerClosed):
        consumer.get(1, 0)
    with pytest.raises(ConsumerClosed):
        consumer.ack(held)


def test_deleting_a_queue_closes_its_consumer_and_returns_what_it_held_of_other_queues(vhost: VHost) -> None:
    publish(vhost, "command")
    publish(vhost, "config", routing_key="acme.config.topology")
    consumer = vhost.consume(["command", "config"])
    consumer.get(10, 0)
    vhost.delete_queue("command")

    with pytest.raises(ConsumerClosed):
        consumer.get(1, 0)
    assert texts(vhost.consume(["config"]).get(1, 0)) == ["config"]


def test_a_waiting_consumer_is_woken_by_a_publish(vhost: VHost) -> None:
    consumer = vhost.consume(["command"])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(consumer.get, 10, WAIT_S)
        publish(vhost, "1")

        assert texts(waiting.result(WAIT_S)) == ["1"]


def test_a_waiting_consumer_is_woken_by_a_settlement_that_makes_room(vhost: VHost) -> None:
    publish(vhost, "1", "2")
    consumer = vhost.consume(["command"], prefetch=1)
    held = consumer.get(1, 0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(consumer.get, 1, WAIT_S)
        consumer.ack(held)

        assert texts(waiting.result(WAIT_S)) == ["2"]


def test_closing_from_another_thread_ends_the_wait(vhost: VHost) -> None:
    consumer = vhost.consume(["command"])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(consumer.get, 1, WAIT_S)
        consumer.close()

        with pytest.raises(ConsumerClosed):
            waiting.result(WAIT_S)


@pytest.mark.parametrize(("prefetch", "batch"), [(0, 1), (1, 0)])
def test_a_consumer_that_could_never_take_anything_is_refused(
    vhost: VHost, prefetch: int, batch: int
) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        vhost.consume(["command"], prefetch=prefetch).get(batch, 0)


def test_nothing_is_lost_or_doubled_between_many_threads_that_also_requeue(vhost: VHost) -> None:
    publishers, per_publisher = 4, 1_000
    settled: list[str] = []
    done = threading.Event()
    guard = threading.Lock()

    def produce(number: int) -> None:
        for index in range(per_publisher):
            publish(vhost, f"{number}-{index}")

    def consume() -> None:
        consumer = vhost.consume(["command"], prefetch=50)
        while not done.is_set():
            deliveries = consumer.get(20, 0.05)
            if not deliveries:
                continue
            again = [
                delivery
                for delivery in deliveries
                if not delivery.redelivered and delivery.delivery_tag % 20 == 0
            ]
            kept = [delivery for delivery in deliveries if delivery not in again]
            consumer.reject(again, requeue=True)
            consumer.ack(kept)
            with guard:
                settled.extend(texts(kept))
                if len(settled) >= publishers * per_publisher:
                    done.set()
        consumer.close()

    with ThreadPoolExecutor(publishers + 4) as pool:
        futures = [pool.submit(produce, number) for number in range(publishers)]
        futures += [pool.submit(consume) for _ in range(4)]
        assert done.wait(60)
        for future in futures:
            future.result(WAIT_S)

    expected = {f"{number}-{index}" for number in range(publishers) for index in range(per_publisher)}
    assert sorted(settled) == sorted(expected)
    assert vhost.depth("command") == 0
