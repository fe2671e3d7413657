"""Vhosts: isolated sets of queues and bindings behind one lock each.

Everything that changes a vhost happens under its lock, and waiting consumers share its condition:
publishing never blocks on a consumer, and a consumer sleeps without polling. A vhost is one topic exchange;
dead letters go straight to their queue by name.
"""

import threading
from collections.abc import Sequence
from itertools import count

from membroker.consumer import Consumer
from membroker.errors import QueueNotFound, QueueRedeclared
from membroker.messages import Message, Overflow, Published
from membroker.queues import Queue, QueueArguments, as_dead_letter
from membroker.topic import topic_matches

DEFAULT_MAX_LENGTH = 10_000
_ROUTES_KEPT = 4_096


class VHost:
    """One isolated broker: its queues, their topic bindings and its consumers. Thread-safe.

    Edge cases:
    - A message that matches several bindings of one queue is delivered to it once.
    - A full queue refuses alone: the other queues of the same publish keep their copy although the answer
      is NACKED.
    - A dead letter whose own queue is full, gone or not named is discarded and counted (`discarded`):
      dead-lettering never goes in circles and never blocks.
    - Deleting a queue closes its consumers; their unsettled messages of other queues return to those.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.changed = threading.Condition(threading.RLock())
        self.delivery_tags = count(1)
        self._queues: dict[str, Queue] = {}
        self._bindings: dict[str, list[str]] = {}
        self._routes: dict[str, tuple[Queue, ...]] = {}
        self._consumers: list[Consumer] = []

    def declare_queue(
        self,
        name: str,
        *,
        max_length: int = DEFAULT_MAX_LENGTH,
        overflow: Overflow = Overflow.REJECT_PUBLISH,
        dead_letter_to: str | None = None,
    ) -> None:
        """Create a queue, or do nothing when it exists just so; QueueRedeclared when it exists otherwise."""
        if max_length < 1:
            raise ValueError("max_length must be at least 1")
        if dead_letter_to == name:
            raise ValueError("a queue cannot be its own dead-letter queue")
        arguments = QueueArguments(max_length=max_length, overflow=overflow, dead_letter_to=dead_letter_to)
        with self.changed:
            existing = self._queues.get(name)
            if existing is None:
                self._queues[name] = Queue(name, arguments)
                self._bindings[name] = []
            elif existing.arguments != arguments:
                raise QueueRedeclared(f"queue {name!r} exists with other arguments")

    def bind(self, queue: str, pattern: str) -> None:
        """Let `queue` take every message whose routing key matches `pattern`; binding twice is binding
        once.
        """
        with self.changed:
            self.queue(queue)
            if pattern not in self._bindings[queue]:
                self._bindings[queue].append(pattern)
                self._routes.clear()

    def unbind(self, queue: str, pattern: str) -> None:
        """Undo `bind`; what the queue holds stays. Unbinding what is not bound changes nothing."""
        with self.changed:
            self.queue(queue)
            if pattern in self._bindings[queue]:
                self._bindings[queue].remove(pattern)
                self._routes.clear()

    def publish(self, message: Message, *, mandatory: bool = True) -> Published:
        """Hand a copy to every queue bound for the routing key; answers at once, whatever the
        consumers do.
        """
        with self.changed:
            queues = self._route(message.routing_key)
            if not queues:
                return Published.RETURNED if mandatory else Published.ROUTED
            refused = [queue for queue in queues if not self._append(queue, message)]
            self.changed.notify_all()
            return Published.NACKED if refused else Published.ROUTED

    def consume(self, queues: Sequence[str], *, prefetch: int = 1_000) -> Consumer:
        """A consumer of one or more queues that never holds more than `prefetch` unsettled messages."""
        if not queues:
            raise ValueError("a consumer needs at least one queue")
        if prefetch < 1:
            raise ValueError("prefetch must be at least 1")
        with self.changed:
            consumer = Consumer(self, [self.queue(name) for name in dict.fromkeys(queues)], prefetch=prefetch)
            self._consumers.append(consumer)
            return consumer

    def depth(self, queue: str) -> int:
        """How many messages are ready in the queue; those held by consumers do not count."""
        with self.changed:
            return len(self.queue(queue))

    def discarded(self, queue: str) -> int:
        """How many messages this queue lost for good: given up or rejected with nowhere to go."""
        with self.changed:
            return self.queue(queue).discarded

    def queues(self) -> list[str]:
        """Names of the declared queues, sorted."""
        with self.changed:
            return sorted(self._queues)

    def delete_queue(self, queue: str) -> None:
        """Remove the queue with all it holds and close its consumers."""
        with self.changed:
            gone = self.queue(queue)
            del self._queues[queue], self._bindings[queue]
            self._routes.clear()
            for consumer in [consumer for consumer in self._consumers if consumer.reads(gone)]:
                consumer.close()

    # What follows serves the consumers of this vhost, which hold its lock while they call.

    def queue(self, name: str) -> Queue:
        """The queue of that name, or QueueNotFound."""
        try:
            return self._queues[name]
        except KeyError:
            raise QueueNotFound(f"no queue {name!r} in vhost {self.name!r}") from None

    def holds(self, queue: Queue) -> bool:
        """Whether this very queue still exists; one of the same name declared later is another queue."""
        return self._queues.get(queue.name) is queue

    def bury(self, queue: Queue, message: Message, reason: str) -> None:
        """Move a message to the dead-letter queue of `queue`, or discard it when there is none with room."""
        target = self._queues.get(queue.arguments.dead_letter_to or "")
        if target is None or (target.is_full and target.arguments.overflow is Overflow.REJECT_PUBLISH):
            queue.discarded += 1
            return
        given_up = target.append(as_dead_letter(message, queue=queue.name, reason=reason))
        target.discarded += given_up is not None
        self.changed.notify_all()

    def forget(self, consumer: Consumer) -> None:
        """Drop a consumer that closed."""
        self._consumers.remove(consumer)

    def _append(self, queue: Queue, message: Message) -> bool:
        if queue.is_full and queue.arguments.overflow is Overflow.REJECT_PUBLISH:
            return False
        given_up = queue.append(message)
        if given_up is not None:
            self.bury(queue, given_up, "maxlen")
        return True

    def _route(self, routing_key: str) -> tuple[Queue, ...]:
        """Queues bound for the key. Kept per key, because telemetry repeats a few keys for ever."""
        route = self._routes.get(routing_key)
        if route is None:
            route = tuple(
                self._queues[name]
                for name, patterns in self._bindings.items()
                if any(topic_matches(pattern, routing_key) for pattern in patterns)
            )
            if len(self._routes) >= _ROUTES_KEPT:
                self._routes.clear()
            self._routes[routing_key] = route
        return route


class MemBroker:
    """A set of vhosts that know nothing of each other. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vhosts: dict[str, VHost] = {}

    def vhost(self, name: str) -> VHost:
        """The vhost of that name, created on first use."""
        with self._lock:
            if name not in self._vhosts:
                self._vhosts[name] = VHost(name)
            return self._vhosts[name]
