"""Watches the ticks from a process that does not run them: who watches the clock when the worker is dead?

Relay and consumer call `turn` whenever their supervisor looks around. While the ticks stand still it raises the alarm
and sends what waits for people, in a thread of its own, so that a slow mail server delays no supervisor.
"""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog
from django.db import DatabaseError, connections

from watch.limits import Limits
from watch.services.deadman import watch_ticks
from watch.services.notify import notify
from watch.services.sending import SendOptions

log = structlog.get_logger(__name__)
EVERY_S = 5.0


class TickGuard:
    """`periods`: name of each tick -> its period in seconds. `turn` is for one thread."""

    def __init__(
        self,
        *,
        periods: Mapping[str, float],
        clock: Callable[[], datetime],
        limits: Limits,
        options: SendOptions,
        product: str,
        every_s: float = EVERY_S,
    ) -> None:
        self._periods = periods
        self._clock = clock
        self._limits = limits
        self._options = options
        self._product = product
        self._every_s = every_s
        self._began_at = clock()
        self._next = time.monotonic() + every_s
        self._teller: threading.Thread | None = None

    def turn(self) -> None:
        """Look at the ticks when it is time to; a database that is away is for others to say."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every_s
        try:
            self.look()
        except DatabaseError as error:
            log.warning("ticks not watched", action="watch.guard", error=type(error).__name__)

    def look(self) -> None:
        """Judge the ticks now; while they stand still begin to tell people, unless that is under way."""
        stands_still = watch_ticks(
            periods=self._periods, not_before=self._began_at, at=self._clock(), limits=self._limits
        )
        if stands_still and (self._teller is None or not self._teller.is_alive()):
            self._teller = threading.Thread(target=self._tell, name="tick-guard", daemon=True)
            self._teller.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the telling that is under way has ended; False when it has not."""
        if self._teller is not None:
            self._teller.join(timeout_s)
            return not self._teller.is_alive()
        return True

    def _tell(self) -> None:
        try:
            notify(at=self._clock(), product=self._product, options=self._options)
        except DatabaseError as error:
            log.warning("people not told", action="watch.guard", error=type(error).__name__)
        finally:
            connections.close_all()
