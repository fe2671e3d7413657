"""The consuming side over AMQPS: four queues on one channel, batches out, acknowledgements in, nothing declared.

Edge cases:
- Prefetch is per queue: quorum queues refuse the channel-wide kind, and a flood of telemetry must not keep command acks
  waiting at the broker.
- Delivery tags are those of one channel. A delivery of an earlier link is refused, never taken for another message that
  happens to have the same number here.
- When the broker cancels a consumer (queue deleted, or moved) the whole link counts as broken: the three others would
  otherwise go on and hide it.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from time import monotonic
from typing import Any, NamedTuple

from link.amqp_connection import AmqpsLink
from link.amqp_errors import ChannelClosed, queue_error
from link.broker import Delivery, LinkError, Tally
from vcp.said import said


class DeliveryTag(NamedTuple):
    """The broker's number of a delivery, and the link on which it means something."""

    link: AmqpsLink
    number: int


class AmqpsConsumer:
    """Reads queues over one link; not thread-safe. Holds at most `prefetch` unacknowledged deliveries per queue."""

    def __init__(self, link: AmqpsLink, *, queues: Sequence[str], prefetch: int) -> None:
        self._link = link
        self._queues = tuple(dict.fromkeys(queues))
        self._arrived: deque[Delivery] = deque()
        self._unacknowledged: dict[int, None] = {}  # in the order of their numbers
        self._last_number = 0
        self._cancelled: str | None = None
        for queue in self._queues:
            try:
                self._consume(queue, prefetch)
            except ChannelClosed as closed:
                raise link.fail(queue_error(closed, queue)) from closed

    def fetch(self, *, max_messages: int, wait_s: float, flush_s: float) -> list[Delivery]:
        """Up to `max_messages`: waits `wait_s` for the first and then `flush_s` for more. [] = nothing came."""
        self._link.require_open()
        until, flushing = monotonic() + wait_s, False
        try:
            while len(self._arrived) < max_messages and self._cancelled is None:
                if self._arrived and not flushing:
                    until, flushing = monotonic() + flush_s, True
                if not self._link.read_frame(until):
                    break
        except ChannelClosed as error:
            raise self._link.fail(
                LinkError(said("the broker closed the channel: %(error)s", error=str(error)))
            ) from error
        self._require_all_consumers()
        return [self._arrived.popleft() for _ in range(min(max_messages, len(self._arrived)))]

    def ready(self) -> int:
        """How many deliveries were read and not fetched."""
        return len(self._arrived)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge all, or none when one of them is not open on this link.

        Raises `LinkError` when the link is broken; what was written just before it broke may come again as well.
        """
        self._link.require_open()
        numbers = self._numbers_of(deliveries)
        wanted = set(numbers)
        if len(wanted) != len(numbers) or not wanted <= self._unacknowledged.keys():
            raise LinkError(said("a delivery is not open on this link"), code="UNKNOWN_DELIVERY")
        for number, multiple in acknowledgements(self._unacknowledged, wanted):
            self._link.call(self._link.channel.basic_ack, number, multiple)
        for number in numbers:
            del self._unacknowledged[number]

    def keep_alive(self) -> None:
        """Read what arrived (bounded by the prefetch), send a heartbeat when due; LinkError when the peer is gone."""
        try:
            self._link.tick()
        except ChannelClosed as error:
            raise self._link.fail(
                LinkError(said("the broker closed the channel: %(error)s", error=str(error)))
            ) from error
        self._require_all_consumers()

    def waiting(self) -> int | None:
        """How many messages wait in the queues undelivered; None when the key may not ask."""
        total = 0
        for queue in self._queues:
            depth = self._link.depth(queue)
            if depth is None:
                return None
            total += depth
        return total

    def tally(self) -> Tally:
        """The numbers of a channel are those of its deliveries, from one on without a gap."""
        oldest_open = next(iter(self._unacknowledged), self._last_number + 1)
        return Tally(came=self._last_number, settled=oldest_open - 1)

    def close(self) -> None:
        """Close the link, within about a second; never raises. What is unacknowledged goes back to its queue."""
        self._link.close()

    def abort(self) -> None:
        """Cut the link from any thread; never raises."""
        self._link.abort()

    def _consume(self, queue: str, prefetch: int) -> None:
        channel = self._link.channel
        self._link.call(channel.basic_qos, 0, prefetch, False)
        consumer_tag = self._link.call(
            channel.basic_consume, queue, on_cancel=partial(self._on_cancel, queue)
        )
        self._link.take_deliveries(consumer_tag, partial(self._take, queue))

    def _numbers_of(self, deliveries: Sequence[Delivery]) -> list[int]:
        tags = [delivery.tag for delivery in deliveries]
        if not all(isinstance(tag, DeliveryTag) and tag.link is self._link for tag in tags):
            raise LinkError(said("a delivery came from another link"), code="UNKNOWN_DELIVERY")
        return [tag.number for tag in tags]

    def _require_all_consumers(self) -> None:
        if self._cancelled is not None:
            raise self._link.fail(
                LinkError(
                    said(
                        "the broker ended the consumer of the queue %(cancelled)s", cancelled=self._cancelled
                    ),
                    code="CONSUMER_CANCELLED",
                )
            )

    def _take(
        self, queue: str, number: int, redelivered: bool, key: str, body: bytes, headers: Mapping[str, Any]
    ) -> None:
        self._unacknowledged[number] = None
        self._last_number = number
        self._arrived.append(
            Delivery(
                queue=queue,
                routing_key=key,
                headers=headers,
                body=body,
                redelivered=redelivered,
                tag=DeliveryTag(self._link, number),
            )
        )

    def _on_cancel(self, queue: str, _consumer_tag: str) -> None:
        self._cancelled = queue


def acknowledgements(unacknowledged: Iterable[int], settled: set[int]) -> list[tuple[int, bool]]:
    """The fewest safe acknowledgements as (number, multiple): `multiple` covers every open number up to its own.

    `unacknowledged` grows and contains `settled`. Only the run from the lowest open number on can go as one.
    """
    run = list(takewhile(settled.__contains__, unacknowledged))
    singles = sorted(settled.difference(run)) if len(run) < len(settled) else []
    first = [(run[-1], len(run) > 1)] if run else []
    return first + [(number, False) for number in singles]
