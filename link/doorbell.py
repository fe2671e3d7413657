"""Which connections have something to publish: told by rings, and looked up once for all relays of a process.

Two hundred idle relays that each ask twenty times a second are four thousand queries; this is forty, however many
relays there are, and one while nothing waits and rings can be relied on (`dispatch.bell`, `link.listening`).

Edge cases:
- A ring is never waited for by whoever gives it, however long a look takes.
- It calls its relay at once, and makes the next look come soon: the relay may not be able to send what it was called
  for (held back, the lease is another's), and then the outbox has to be looked at again and again, as always.
- A look that takes long (the database is slow, or away) is waited for by all and taken once: those who asked while it
  lasted share its answer or its failure. Else two hundred would look one after the other, each for a statement's time
  limit, and the watchdog would find them all standing still.
"""

import math
import threading
from collections.abc import Callable, Collection
from time import monotonic


class Doorbell:
    """Shared by the threads of a process; whoever asks first when a look is due looks for all."""

    def __init__(
        self,
        look: Callable[[], Collection[int]],
        *,
        every_s: float,
        idle_s: float | None = None,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        """`look` answers the ids of the connections whose outbox is not empty; `timer` a time that only grows.

        It is looked every `every_s`; every `idle_s` while nothing waits and rings are relied on (`rely`).
        """
        self._look = look
        self._every_s = every_s
        self._idle_s = every_s if idle_s is None else idle_s
        self._timer = timer
        self._looking = threading.Lock()
        self._next_at = -math.inf
        self._waiting: Collection[int] = frozenset()
        self._failure: Exception | None = None
        self._failed_at = 0.0
        # What rings change: never held for longer than a moment.
        self._ringing = threading.Lock()
        self._soon_at = math.inf
        self._rung: set[int] = set()
        self._bells: dict[int, threading.Event] = {}
        self._is_relied_on = False

    def rely(self, on_rings: bool) -> None:
        """Whether every new message rings from now on; what came before is found by a look at once."""
        with self._ringing:
            self._is_relied_on = on_rings
            self._soon_at = self._timer()
            bells = list(self._bells.values())
        for bell in bells:
            bell.set()

    def ring(self, connection_id: int) -> None:
        """Something new waits there; may be called from any thread."""
        with self._ringing:
            self._soon_at = min(self._soon_at, self._timer() + self._every_s)
            bell = self._bells.get(connection_id)
            if bell is not None:
                self._rung.add(connection_id)
        if bell is not None:
            bell.set()

    def wake(self, connection_id: int) -> None:
        """End a relay's pause."""
        self._bell_of(connection_id).set()

    def rung(self, connection_id: int) -> bool:
        """Whether it was rung for it since this was asked last."""
        with self._ringing:
            self._bells.setdefault(connection_id, threading.Event())
            if connection_id not in self._rung:
                return False
            self._rung.remove(connection_id)
            return True

    def rings(self, connection_id: int) -> bool:
        """Whether something waited there when it was last looked, or it was rung for it since this was asked last.

        Raises what the look raised that it waited for.
        """
        asked_at = self._timer()
        if self.rung(connection_id):
            return True
        with self._looking:
            if self._failure is not None and asked_at < self._failed_at:
                raise self._failure
            if self._timer() >= self._due_at():
                self._look_now()
            return connection_id in self._waiting

    def pause(self, connection_id: int, *, at_least_s: float, at_most_s: float) -> None:
        """Wait until it rings for the connection, or until a look is due within these bounds."""
        bell = self._bell_of(connection_id)
        bell.wait(min(at_most_s, max(at_least_s, self._due_at() - self._timer())))
        bell.clear()  # whoever rang has left its word before

    def _due_at(self) -> float:
        return min(self._next_at, self._soon_at)

    def _look_now(self) -> None:
        with self._ringing:  # a ring from now on is not answered by this look
            self._soon_at = math.inf
        try:
            self._waiting, self._failure = self._look(), None
        except Exception as error:
            self._next_at = -math.inf
            self._failure, self._failed_at = error, self._timer()
            raise
        is_idle = self._is_relied_on and not self._waiting
        self._next_at = self._timer() + (self._idle_s if is_idle else self._every_s)

    def _bell_of(self, connection_id: int) -> threading.Event:
        with self._ringing:
            return self._bells.setdefault(connection_id, threading.Event())
