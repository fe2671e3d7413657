"""One bounded queue: what is ready, in which order, and what a full queue does. Its vhost's lock guards
every call.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import merge
from operator import attrgetter

from membroker.messages import DEATH_QUEUE_HEADER, DEATH_REASON_HEADER, Message, Overflow


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A message in a queue. `position` grows with every arrival and orders what is given back."""

    message: Message
    position: int
    redelivered: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueArguments:
    """How a queue was declared; a second declaration must say the same."""

    max_length: int
    overflow: Overflow
    dead_letter_to: str | None


class Queue:
    """Ready messages in order.

    Edge cases:
    - `max_length` counts ready messages, as RabbitMQ does; what consumers hold is bounded by their
      prefetch. Messages given back may therefore exceed it for a while: refusing them would lose them.
    - What is given back returns to its old place, not simply to the head: with two consumers that hold 1, 3
      and 2, 4 the order after both close is 1, 2, 3, 4.
    """

    def __init__(self, name: str, arguments: QueueArguments) -> None:
        self.name = name
        self.arguments = arguments
        self.discarded = 0
        self._ready: deque[Entry] = deque()
        self._next_position = 0

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def is_full(self) -> bool:
        return len(self._ready) >= self.arguments.max_length

    def append(self, message: Message) -> Message | None:
        """Add at the tail; the message given up for it when the queue is full and drops its head, else
        None.
        """
        dropped = self._ready.popleft().message if self.is_full else None
        self._ready.append(Entry(message=message, position=self._next_position))
        self._next_position += 1
        return dropped

    def take(self) -> Entry:
        """Remove and answer the head; the queue must not be empty."""
        return self._ready.popleft()

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Return unsettled messages to their old places, marked as redelivered."""
        returned = sorted((replace(entry, redelivered=True) for entry in entries), key=attrgetter("position"))
        if not returned:
            return
        earlier = []
        while self._ready and self._ready[0].position < returned[-1].position:
            earlier.append(self._ready.popleft())
        self._ready.extendleft(reversed(list(merge(earlier, returned, key=attrgetter("position")))))


def as_dead_letter(message: Message, *, queue: str, reason: str) -> Message:
    """The message as its dead-letter queue gets it; the first death is kept when it dies again."""
    headers = {DEATH_REASON_HEADER: reason, DEATH_QUEUE_HEADER: queue, **message.headers}
    return replace(message, headers=headers)
