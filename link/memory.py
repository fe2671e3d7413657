"""The port over membroker: both ends in one process, for embedded runs and for tests.

The stand-in declares the queues, as Voke does; nothing is declared here. membroker knows no users, so this adapter
itself keeps Voke's rule that a key publishes under its own prefix only: what Voke's broker would refuse is refused
here too.
"""

import time
from collections.abc import Sequence

from link.broker import (
    Clock,
    Consumer,
    Delivery,
    Fate,
    LinkError,
    LinkTarget,
    Outgoing,
    Publisher,
    Sent,
    Tally,
)
from membroker import Consumer as BrokerConsumer
from membroker import (
    ConsumerClosed,
    MemBroker,
    Message,
    Published,
    QueueNotFound,
    UnknownDelivery,
    VHost,
)
from membroker import Delivery as BrokerDelivery
from vcp.said import said

_FATES = {
    Published.ROUTED: (Fate.CONFIRMED, ""),
    Published.RETURNED: (Fate.RETURNED, "312 NO_ROUTE"),
    Published.NACKED: (Fate.NACKED, "a full queue refused it"),
}


class MemoryPublisher:
    """Publishes into a vhost of membroker; every fate is known at once."""

    def __init__(self, vhost: VHost, *, routing_prefix: str, clock: Clock) -> None:
        self._vhost = vhost
        self._own_keys = f"{routing_prefix}."
        self._clock = clock
        self._closed = False

    def publish(self, window: Sequence[Outgoing], *, within_s: float | None = None) -> list[Sent]:
        """One `Sent` per message, in order; LinkError after `close`. Nothing is waited for, so `within_s` is met."""
        self._require_open()
        return [self._publish(message) for message in window]

    def keep_alive(self) -> None:
        """Nothing can be gone in one process; LinkError after `close`."""
        self._require_open()

    @property
    def blocked(self) -> str | None:
        """membroker blocks nobody: a full queue refuses."""
        return None

    def close(self) -> None:
        """Close the link; may be called twice."""
        self._closed = True

    def abort(self) -> None:
        """Nothing here waits; later calls raise LinkError."""
        self._closed = True

    def _publish(self, message: Outgoing) -> Sent:
        fate, detail = self._fate_of(message)
        return Sent(outbound_id=message.outbound_id, fate=fate, detail=detail)

    def _fate_of(self, message: Outgoing) -> tuple[Fate, str]:
        if message.not_after is not None and self._clock() > message.not_after:
            return Fate.TOO_LATE, "its last moment passed before it was handed over"
        if not message.routing_key.startswith(self._own_keys):
            return Fate.REFUSED, f"403 ACCESS_REFUSED - access to topic '{message.routing_key}' refused"
        published = self._vhost.publish(
            Message(
                routing_key=message.routing_key,
                body=message.body,
                message_id=message.message_id,
                correlation_id=message.correlation_id,
            ),
            mandatory=True,
        )
        return _FATES[published]

    def _require_open(self) -> None:
        if self._closed:
            raise LinkError(said("the link is closed"))


class MemoryConsumer:
    """Reads queues of a vhost of membroker."""

    def __init__(self, consumer: BrokerConsumer, *, vhost: VHost, queues: Sequence[str]) -> None:
        self._consumer = consumer
        self._vhost = vhost
        self._queues = tuple(dict.fromkeys(queues))
        self._came = 0
        self._open: dict[int, int] = {}  # delivery tag (of the vhost): the delivery's number at this consumer

    def fetch(self, *, max_messages: int, wait_s: float, flush_s: float) -> list[Delivery]:
        """Up to `max_messages`: waits `wait_s` for the first and then `flush_s` for more."""
        try:
            taken = self._consumer.get(max_messages, wait_s)
            flush_until = time.monotonic() + flush_s
            while taken and len(taken) < max_messages:
                more = self._consumer.get(max_messages - len(taken), flush_until - time.monotonic())
                if not more:
                    break
                taken += more
        except ConsumerClosed as error:
            raise LinkError(said("the broker ended the consumer"), code="CONSUMER_CANCELLED") from error
        for delivery in taken:
            self._came += 1
            self._open[delivery.delivery_tag] = self._came
        return [_as_delivery(delivery) for delivery in taken]

    def ready(self) -> int:
        """Nothing is read ahead: what waits is in this process anyway."""
        return 0

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge all, or none when one of them is not open at this link."""
        try:
            self._consumer.ack([delivery.tag for delivery in deliveries])
        except UnknownDelivery as error:
            raise LinkError(said("a delivery is not open on this link"), code="UNKNOWN_DELIVERY") from error
        except ConsumerClosed as error:
            raise LinkError(said("the broker ended the consumer"), code="CONSUMER_CANCELLED") from error
        for delivery in deliveries:
            del self._open[delivery.tag.delivery_tag]

    def tally(self) -> Tally:
        """What was taken, and up to which all of it is acknowledged."""
        return Tally(came=self._came, settled=next(iter(self._open.values()), self._came + 1) - 1)

    def keep_alive(self) -> None:
        """Nothing can be gone in one process."""

    def waiting(self) -> int | None:
        """How many messages the queues hold; None when one of them was deleted."""
        try:
            return sum(self._vhost.depth(queue) for queue in self._queues)
        except QueueNotFound:
            return None

    def close(self) -> None:
        """Give unacknowledged deliveries back to their queues; may be called twice."""
        self._consumer.close()

    def abort(self) -> None:
        """End a waiting `fetch`; deliveries go back to their queues."""
        self._consumer.close()


class MemoryTransport:
    """Opens links into one in-process broker."""

    def __init__(self, broker: MemBroker) -> None:
        self._broker = broker

    def open_publisher(self, target: LinkTarget, *, clock: Clock) -> Publisher:
        """A publisher into the target's vhost."""
        return MemoryPublisher(
            self._broker.vhost(target.vhost), routing_prefix=target.routing_prefix, clock=clock
        )

    def open_consumer(self, target: LinkTarget, *, prefetch: int) -> Consumer:
        """A consumer of the four event queues; LinkError QUEUE_MISSING when one was never declared."""
        try:
            vhost = self._broker.vhost(target.vhost)
            opened = vhost.consume(target.queues.to_partner, prefetch=prefetch)
        except QueueNotFound as error:
            raise LinkError(str(error), code="QUEUE_MISSING", permanent=True) from error
        return MemoryConsumer(opened, vhost=vhost, queues=target.queues.to_partner)


def _as_delivery(taken: BrokerDelivery) -> Delivery:
    return Delivery(
        queue=taken.queue,
        routing_key=taken.message.routing_key,
        headers=taken.message.headers,
        body=taken.message.body,
        redelivered=taken.redelivered,
        tag=taken,
    )
