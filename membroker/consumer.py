"""The receiving side: batches out, settlements in, everything unsettled back where it was when the consumer
goes.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from membroker.errors import ConsumerClosed, UnknownDelivery
from membroker.messages import Delivery
from membroker.queues import Entry, Queue

if TYPE_CHECKING:
    from membroker.broker import VHost


class Consumer:
    """Takes messages of its queues in turn. Thread-safe: one thread may wait in `get` while another settles.

    Edge cases:
    - With `prefetch` deliveries unsettled `get` waits for a settlement as it waits for a message.
    - Settling is all or nothing: one unknown delivery in the batch raises and settles none of it.
    - `close` may be called twice, and from another thread than the one that waits, which then sees
      ConsumerClosed.
    """

    def __init__(self, vhost: "VHost", queues: Sequence[Queue], *, prefetch: int) -> None:
        self._vhost = vhost
        self._queues = list(queues)
        self._prefetch = prefetch
        self._held: dict[int, tuple[Queue, Entry]] = {}
        self._closed = False

    def get(self, max_messages: int, timeout_s: float) -> list[Delivery]:
        """Up to `max_messages` deliveries, waiting until there is one; an empty list when `timeout_s` ran
        out.
        """
        if max_messages < 1:
            raise ValueError("max_messages must be at least 1")
        deadline = time.monotonic() + timeout_s
        with self._vhost.changed:
            while True:
                self._require_open()
                taken = self._take(min(max_messages, self._prefetch - len(self._held)))
                left_s = deadline - time.monotonic()
                if taken or left_s <= 0:
                    return taken
                self._vhost.changed.wait(left_s)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Settle deliveries for good: they are done with."""
        with self._vhost.changed:
            self._settle(deliveries)
            self._vhost.changed.notify_all()

    def reject(self, deliveries: Sequence[Delivery], requeue: bool = False) -> None:
        """Settle deliveries as refused: back to their places with `requeue`, else to the dead-letter
        queue.
        """
        with self._vhost.changed:
            refused = self._settle(deliveries)
            if requeue:
                self._give_back(refused)
            else:
                for queue, entry in refused:
                    self._vhost.bury(queue, entry.message, "rejected")
            self._vhost.changed.notify_all()

    def close(self) -> None:
        """Stop consuming; whatever is unsettled goes back to its place, marked as redelivered."""
        with self._vhost.changed:
            if self._closed:
                return
            self._closed = True
            self._vhost.forget(self)
            self._give_back(list(self._held.values()))
            self._held.clear()
            self._vhost.changed.notify_all()

    def reads(self, queue: Queue) -> bool:
        """Whether this consumer was opened on that queue."""
        return queue in self._queues

    def _require_open(self) -> None:
        if self._closed:
            raise ConsumerClosed("the consumer is closed, or one of its queues was deleted")

    def _take(self, room: int) -> list[Delivery]:
        """Hand out up to `room` messages, one queue after the other so that none starves behind a
        busy one.
        """
        taken: list[Delivery] = []
        idle = 0
        while len(taken) < room and idle < len(self._queues):
            queue = self._queues[0]
            self._queues.append(self._queues.pop(0))
            if not len(queue):
                idle += 1
                continue
            idle = 0
            taken.append(self._hand_out(queue))
        return taken

    def _hand_out(self, queue: Queue) -> Delivery:
        entry = queue.take()
        tag = next(self._vhost.delivery_tags)
        self._held[tag] = (queue, entry)
        return Delivery(
            message=entry.message, queue=queue.name, delivery_tag=tag, redelivered=entry.redelivered
        )

    def _settle(self, deliveries: Sequence[Delivery]) -> list[tuple[Queue, Entry]]:
        self._require_open()
        tags = [delivery.delivery_tag for delivery in deliveries]
        unknown = [tag for tag in tags if tag not in self._held]
        if unknown or len(set(tags)) != len(tags):
            raise UnknownDelivery(f"not open at this consumer: {unknown or 'a delivery named twice'}")
        return [self._held.pop(tag) for tag in tags]

    def _give_back(self, held: Sequence[tuple[Queue, Entry]]) -> None:
        by_queue: dict[Queue, list[Entry]] = defaultdict(list)
        for queue, entry in held:
            by_queue[queue].append(entry)
        for queue, entries in by_queue.items():
            if self._vhost.holds(queue):
                queue.give_back(entries)
