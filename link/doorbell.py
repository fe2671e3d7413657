"""Which connections have something to publish, looked up once for all relays of a process.

Two hundred idle relays that each ask twenty times a second are four thousand queries; this is forty, however many
relays there are. What became due just after a look waits for the next one.

A look that takes long (the database is slow, or away) is waited for by all and taken once: those who asked while it
lasted share its answer or its failure. Else two hundred would look one after the other, each for a statement's time
limit, and the watchdog would find them all standing still.
"""

import threading
from collections.abc import Callable, Collection
from time import monotonic


class Doorbell:
    """Shared by the threads of a process; whoever asks first after `every_s` looks for all."""

    def __init__(
        self,
        look: Callable[[], Collection[int]],
        *,
        every_s: float,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        """`look` answers the ids of the connections whose outbox is not empty; `timer` a time that only grows."""
        self._look = look
        self._every_s = every_s
        self._timer = timer
        self._lock = threading.Lock()
        self._next_at: float | None = None
        self._waiting: Collection[int] = frozenset()
        self._failure: Exception | None = None
        self._failed_at = 0.0

    def rings(self, connection_id: int) -> bool:
        """Whether something waited there when it was last looked; raises what the look raised that it waited for."""
        asked_at = self._timer()
        with self._lock:
            if self._failure is not None and asked_at < self._failed_at:
                raise self._failure
            if self._next_at is None or self._timer() >= self._next_at:
                self._look_now()
            return connection_id in self._waiting

    def _look_now(self) -> None:
        try:
            self._waiting, self._failure = self._look(), None
        except Exception as error:
            self._failure, self._failed_at = error, self._timer()
            raise
        self._next_at = self._timer() + self._every_s
