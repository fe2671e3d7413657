"""What relay and consumer have in common: a thread with its own link, which is tried again with jitter when it breaks.

A worker is `while not stop: x_once()`. A broken link is written down and tried again with jitter; a broken database
makes it back off without acknowledging anything. Every step says how long it may last (`link.watchdog`);
`link.supervisor` keeps one worker per connection and ends those that stand still.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import close_old_connections, connections

from link import metrics
from link.broker import Clock, Consumer, LinkError, Publisher, Transport
from link.health import DATABASE_TROUBLE, Health, Held
from link.reconnect import Backoff
from link.watchdog import Limits, Progress, Step
from plants.models import Connection, LinkHealth, LinkState

log = structlog.get_logger(__name__)


class Worker(ABC):
    """What relay and consumer have in common: a link, its health, and where the thread stands."""

    role: LinkHealth.Role

    def __init__(
        self,
        *,
        connection: Connection,
        transport: Transport,
        clock: Clock,
        holder: str,
        limits: Limits | None = None,
        held: Held | None = None,
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._clock = clock
        self.progress = Progress(limits)
        self._health = Health(
            connection_id=connection.pk, role=self.role, clock=clock, holder=holder, held=held
        )
        self._link: Publisher | Consumer | None = None

    @property
    def connection_id(self) -> int:
        """Whose link it is."""
        return self._connection.pk

    @abstractmethod
    def once(self, stop: threading.Event) -> None:
        """One turn."""

    def wake(self) -> None:
        """From another thread: end a pause that the worker makes; for whoever has set its stop event."""
        return

    def broken(self, error: LinkError) -> None:
        """Forget a broken link and write down why."""
        state = LinkState.REFUSED if error.permanent else LinkState.DOWN
        self._give_up(state, str(error), code=error.code)

    def troubled(self, error: Exception) -> None:
        """Close the link, so that what is unacknowledged waits at the broker, and write down what the database did."""
        state, code = self.trouble_of(error)
        # Its kind only: the text of a database error may hold what somebody sent.
        self._give_up(state, type(error).__name__, code=code)

    def trouble_of(self, _error: Exception) -> tuple[LinkState, str]:
        """(state, code) of a link that is closed because of the database."""
        return LinkState.DOWN, "DATABASE_AWAY"

    def _give_up(self, state: LinkState, words: str, *, code: str) -> None:
        metrics.broken(self._connection, role=self.role.value, code=code)
        self.close_link()
        with self.progress.during(Step.DATABASE):
            self._health.tell(state, words, code=code)

    def hurried(self) -> bool:
        """During a pause: say that the worker is still there; True ends the pause."""
        with self.progress.during(Step.DATABASE):
            self._health.renew()
        return False

    def close_link(self) -> None:
        """Close the link if there is one."""
        link, self._link = self._link, None
        if link is not None:
            with self.progress.during(Step.LINK):
                link.close()

    def abort(self) -> None:
        """From another thread: cut the link, so that a call which hangs on it ends; this worker's word is over."""
        self._health.mute()
        link = self._link
        if link is not None:
            link.abort()

    def finish(self) -> None:
        """At the end of the worker."""
        self.close_link()

    @contextmanager
    def _connecting(self) -> Iterator[None]:
        with self.progress.during(Step.DATABASE):
            self._health.starting()
        with self.progress.during(Step.CONNECT):
            yield


def run_worker(worker: Worker, stop: threading.Event, *, backoff: Backoff) -> None:
    """`once` until `stop`; every kind of trouble is answered by closing the link and waiting with jitter."""
    structlog.contextvars.bind_contextvars(
        connection_id=worker.connection_id
    )  # of every log line of this thread
    try:
        while not stop.is_set():
            close_old_connections()
            try:
                worker.once(stop)
                backoff.reset()
            except LinkError as error:
                log.warning(
                    "link broken", action="link.broken", role=worker.role, code=error.code, error=str(error)
                )
                worker.broken(error)
                backoff.wait(stop, refused=error.permanent, hurried=worker.hurried)
            except DATABASE_TROUBLE as error:
                # Stop consuming: what is unacknowledged goes back to the broker until the database is there again.
                log.warning(
                    "database away", action="link.database", role=worker.role, error=type(error).__name__
                )
                worker.troubled(error)
                backoff.wait(stop, hurried=worker.hurried)
            except Exception as error:  # a fault of ours on one connection: said, and tried again with pauses
                log.exception("worker failed", action="link.failed", role=worker.role)
                worker.broken(LinkError(type(error).__name__, code="INTERNAL_ERROR"))
                backoff.wait(stop, hurried=worker.hurried)
        _finish(worker)
    finally:
        structlog.contextvars.unbind_contextvars("connection_id")
        connections.close_all()


def _finish(worker: Worker) -> None:
    try:
        worker.finish()
    except DATABASE_TROUBLE as error:  # the lease runs out by itself
        log.warning(
            "not finished cleanly", action="link.finish", role=worker.role, error=type(error).__name__
        )
