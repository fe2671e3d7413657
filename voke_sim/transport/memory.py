"""The transport of embedded runs: a vhost of the in-process broker, set up as Voke's side would."""

import threading
from collections.abc import Sequence

from membroker import Consumer, ConsumerClosed, Delivery, Message, Overflow, Published, VHost
from vcp import QueueNames, bindings
from voke_sim.transport.port import Inbound, Intake, Outbound, Sent

_WORDS = {
    Published.ROUTED: Sent.CONFIRMED,
    Published.RETURNED: Sent.RETURNED,
    Published.NACKED: Sent.NACKED,
}


def dead_letter_queue(names: QueueNames) -> str:
    """Where rejected messages go. Interpretation: the name is not public; it stands beside the others."""
    return f"{names.command.removesuffix('.command')}.dead"


def declare_topology(
    vhost: VHost, names: QueueNames, routing_prefix: str, *, max_length: int = 10_000
) -> None:
    """Queues, dead letters and bindings of one partner, as they pre-exist at Voke."""
    dead = dead_letter_queue(names)
    vhost.declare_queue(dead, max_length=max_length, overflow=Overflow.DROP_HEAD)
    for queue in (*names.to_voke, *names.to_partner):
        vhost.declare_queue(queue, max_length=max_length, dead_letter_to=dead)
    for queue, pattern in bindings(names, routing_prefix):
        vhost.bind(queue, pattern)


def full_queue(names: QueueNames) -> str:
    """The queue that refuses everything; it exists only while a fault asks for it."""
    return f"{names.command.removesuffix('.command')}.full"


def bindings_to_voke(names: QueueNames, routing_prefix: str) -> list[tuple[str, str]]:
    """(queue, pattern) of what the partner publishes."""
    return [(queue, key) for queue, key in bindings(names, routing_prefix) if queue in names.to_voke]


class MemoryTransport:
    """`Transport` over membroker."""

    def __init__(self, vhost: VHost, names: QueueNames, *, routing_prefix: str, prefetch: int = 100) -> None:
        self._routing_prefix = routing_prefix
        self._vhost = vhost
        self._names = names
        self._prefetch = prefetch
        self._consumer: Consumer | None = None
        self._closed = threading.Event()
        self._intake = Intake.OPEN

    def start(self) -> None:
        """Open the consumer; the topology must have been declared."""
        self._consumer = self._vhost.consume(self._names.to_voke, prefetch=self._prefetch)

    def close(self) -> None:
        """Give unsettled deliveries back."""
        self._closed.set()
        if self._consumer is not None:
            self._consumer.close()

    @property
    def is_connected(self) -> bool:
        return self._consumer is not None and not self._closed.is_set()

    def receive(self, max_messages: int, timeout_s: float) -> list[Inbound]:
        """Deliveries; after `close` nothing, once the time is over."""
        if self._consumer is None or self._closed.is_set():
            self._closed.wait(timeout_s)
            return []
        try:
            deliveries = self._consumer.get(max_messages, timeout_s)
        except ConsumerClosed:
            if self._closed.is_set():
                return []
            raise  # a queue was deleted under us: nothing more would ever come
        return [_inbound(delivery) for delivery in deliveries]

    def settle(self, *, done: Sequence[Inbound], refused: Sequence[Inbound]) -> None:
        """Acknowledge and reject; after `close` the broker has them back already."""
        if self._consumer is None or self._closed.is_set():
            return
        self._consumer.ack([_delivery(inbound) for inbound in done])
        self._consumer.reject([_delivery(inbound) for inbound in refused])

    def publish(self, events: Sequence[Outbound]) -> list[Sent]:
        """Hand the events over; membroker answers each at once."""
        return [
            _WORDS[
                self._vhost.publish(
                    Message(
                        routing_key=event.routing_key,
                        body=event.body,
                        message_id=event.message_id,
                        correlation_id=event.correlation_id,
                        headers={"content_type": "application/json"},
                    )
                )
            ]
            for event in events
        ]

    @property
    def intake(self) -> Intake:
        """What the bindings are."""
        return self._intake

    def set_intake(self, intake: Intake) -> bool:
        """Bind, unbind, or bind a queue of one place that is taken."""
        full = full_queue(self._names)
        if full in self._vhost.queues():
            self._vhost.delete_queue(full)
        if intake is Intake.FULL:
            self._vhost.declare_queue(full, max_length=1)
            self._vhost.bind(full, full)
            self._vhost.publish(Message(routing_key=full, body=b"full", message_id=full))
        for queue, key in bindings_to_voke(self._names, self._routing_prefix):
            if intake is Intake.OPEN:
                self._vhost.bind(queue, key)
                continue
            self._vhost.unbind(queue, key)
            if intake is Intake.FULL:
                self._vhost.bind(full, key)
        self._intake = intake
        return True


def _inbound(delivery: Delivery) -> Inbound:
    return Inbound(
        routing_key=delivery.message.routing_key,
        body=delivery.message.body,
        redelivered=delivery.redelivered,
        handle=delivery,
    )


def _delivery(inbound: Inbound) -> Delivery:
    if not isinstance(inbound.handle, Delivery):
        raise TypeError("a delivery of another transport")
    return inbound.handle
