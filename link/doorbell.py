"""Which connections have something to publish, looked up once for all relays of a process.

Two hundred idle relays that each ask twenty times a second are four thousand queries; this is forty, however many
relays there are. What became due just after a look waits for the next one.
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

    def rings(self, connection_id: int) -> bool:
        """Whether something waited there when it was last looked; raises what the look raises."""
        with self._lock:
            now = self._timer()
            if self._next_at is None or now >= self._next_at:
                self._waiting = self._look()
                self._next_at = now + self._every_s
            return connection_id in self._waiting
