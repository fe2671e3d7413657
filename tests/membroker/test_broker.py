"""Publishing: routing, isolation, bounds, returns and dead letters."""

import pytest

from membroker import (
    DEATH_QUEUE_HEADER,
    DEATH_REASON_HEADER,
    Delivery,
    MemBroker,
    Message,
    Overflow,
    Published,
    QueueNotFound,
    QueueRedeclared,
    VHost,
)


@pytest.fixture
def vhost() -> VHost:
    return MemBroker().vhost("partner-demo")


def message(routing_key: str, body: bytes = b"{}") -> Message:
    return Message(routing_key=routing_key, body=body)


def test_what_is_unbound_is_returned_and_the_queue_keeps_what_it_holds(vhost: VHost) -> None:
    vhost.declare_queue("q")
    vhost.bind("q", "a.#")
    vhost.publish(message("a.b"))

    vhost.unbind("q", "a.#")
    vhost.unbind("q", "a.#")

    assert vhost.publish(message("a.b")) is Published.RETURNED
    assert vhost.depth("q") == 1


def drain(vhost: VHost, queue: str) -> list[Delivery]:
    consumer = vhost.consume([queue])
    deliveries = consumer.get(1_000, 0)
    if deliveries:
        consumer.ack(deliveries)
    consumer.close()
    return deliveries


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    return [delivery.message.body for delivery in deliveries]


def test_a_message_reaches_every_bound_queue_once_even_when_two_bindings_match(vhost: VHost) -> None:
    for queue in ("command", "audit"):
        vhost.declare_queue(queue)
        vhost.bind(queue, "acme.command.#")
    vhost.bind("audit", "#")

    assert vhost.publish(message("acme.command.device")) is Published.ROUTED
    assert (vhost.depth("command"), vhost.depth("audit")) == (1, 1)


def test_messages_come_out_in_the_order_in_which_they_were_published(vhost: VHost) -> None:
    vhost.declare_queue("command")
    vhost.bind("command", "#")
    for number in range(50):
        vhost.publish(message("acme.command", b"%d" % number))

    assert bodies(drain(vhost, "command")) == [b"%d" % number for number in range(50)]


def test_a_mandatory_message_without_a_queue_is_returned(vhost: VHost) -> None:
    assert vhost.publish(message("acme.nobody")) is Published.RETURNED


def test_a_message_without_a_queue_is_confirmed_and_gone_when_it_is_not_mandatory(vhost: VHost) -> None:
    assert vhost.publish(message("acme.nobody"), mandatory=False) is Published.ROUTED


def test_a_binding_made_after_a_returned_message_routes_the_next_one(vhost: VHost) -> None:
    vhost.declare_queue("command")
    vhost.publish(message("acme.command"))
    vhost.bind("command", "acme.#")

    assert vhost.publish(message("acme.command")) is Published.ROUTED


def test_vhosts_of_one_broker_do_not_see_each_other() -> None:
    broker = MemBroker()
    broker.vhost("partner-a").declare_queue("command")
    broker.vhost("partner-a").bind("command", "#")

    assert broker.vhost("partner-b").publish(message("acme.command")) is Published.RETURNED
    assert broker.vhost("partner-b").queues() == []
    assert broker.vhost("partner-a").queues() == ["command"]


def test_a_full_queue_refuses_the_publish_and_keeps_what_it_has(vhost: VHost) -> None:
    vhost.declare_queue("command", max_length=2)
    vhost.bind("command", "#")
    answers = [vhost.publish(message("k", body)) for body in (b"1", b"2", b"3")]

    assert answers == [Published.ROUTED, Published.ROUTED, Published.NACKED]
    assert bodies(drain(vhost, "command")) == [b"1", b"2"]


def test_a_full_queue_does_not_keep_the_message_from_queues_that_have_room(vhost: VHost) -> None:
    vhost.declare_queue("small", max_length=1)
    vhost.declare_queue("large")
    vhost.bind("small", "#")
    vhost.bind("large", "#")
    vhost.publish(message("k", b"1"))

    assert vhost.publish(message("k", b"2")) is Published.NACKED
    assert bodies(drain(vhost, "large")) == [b"1", b"2"]


def test_a_full_queue_that_drops_its_head_dead_letters_the_oldest_message(vhost: VHost) -> None:
    vhost.declare_queue("dead")
    vhost.declare_queue("telemetry", max_length=1, overflow=Overflow.DROP_HEAD, dead_letter_to="dead")
    vhost.bind("telemetry", "#")
    vhost.publish(message("k", b"old"))

    assert vhost.publish(message("k", b"new")) is Published.ROUTED
    assert bodies(drain(vhost, "telemetry")) == [b"new"]
    [dead] = drain(vhost, "dead")
    assert dead.message.body == b"old"
    assert dead.message.headers[DEATH_REASON_HEADER] == "maxlen"
    assert dead.message.headers[DEATH_QUEUE_HEADER] == "telemetry"


def test_queues_that_dead_letter_to_each_other_do_not_go_in_circles(vhost: VHost) -> None:
    vhost.declare_queue("a", max_length=1, overflow=Overflow.DROP_HEAD, dead_letter_to="b")
    vhost.declare_queue("b", max_length=1, overflow=Overflow.DROP_HEAD, dead_letter_to="a")
    vhost.bind("a", "#")
    for body in (b"1", b"2", b"3"):
        vhost.publish(message("k", body))

    assert (vhost.depth("a"), vhost.depth("b"), vhost.discarded("b")) == (1, 1, 1)


def test_a_rejected_message_without_a_dead_letter_queue_is_discarded_and_counted(vhost: VHost) -> None:
    vhost.declare_queue("command")
    vhost.bind("command", "#")
    vhost.publish(message("k"))
    consumer = vhost.consume(["command"])
    consumer.reject(consumer.get(1, 0))

    assert (vhost.depth("command"), vhost.discarded("command")) == (0, 1)


def test_a_dead_letter_that_finds_its_queue_full_is_discarded_and_counted(vhost: VHost) -> None:
    vhost.declare_queue("dead", max_length=1)
    vhost.declare_queue("command", dead_letter_to="dead")
    vhost.bind("command", "#")
    vhost.publish(message("k", b"1"))
    vhost.publish(message("k", b"2"))
    consumer = vhost.consume(["command"])
    consumer.reject(consumer.get(2, 0))

    assert (vhost.depth("dead"), vhost.discarded("command")) == (1, 1)


def test_declaring_a_queue_twice_with_the_same_arguments_changes_nothing(vhost: VHost) -> None:
    vhost.declare_queue("command", max_length=5)
    vhost.bind("command", "#")
    vhost.publish(message("k"))
    vhost.declare_queue("command", max_length=5)

    assert vhost.depth("command") == 1


def test_declaring_a_queue_again_with_other_arguments_is_refused(vhost: VHost) -> None:
    vhost.declare_queue("command", max_length=5)

    with pytest.raises(QueueRedeclared):
        vhost.declare_queue("command", max_length=6)


def test_a_queue_cannot_be_its_own_dead_letter_queue(vhost: VHost) -> None:
    with pytest.raises(ValueError, match="own dead-letter"):
        vhost.declare_queue("command", dead_letter_to="command")


@pytest.mark.parametrize("use", ["bind", "consume", "depth", "delete"])
def test_every_use_of_an_unknown_queue_is_refused(vhost: VHost, use: str) -> None:
    uses = {
        "bind": lambda: vhost.bind("ghost", "#"),
        "consume": lambda: vhost.consume(["ghost"]),
        "depth": lambda: vhost.depth("ghost"),
        "delete": lambda: vhost.delete_queue("ghost"),
    }

    with pytest.raises(QueueNotFound):
        uses[use]()


def test_a_deleted_queue_takes_no_more_messages(vhost: VHost) -> None:
    vhost.declare_queue("command")
    vhost.bind("command", "#")
    vhost.publish(message("k"))
    vhost.delete_queue("command")

    assert vhost.publish(message("k")) is Published.RETURNED
