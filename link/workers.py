"""The loops of relay and consumer: one worker per connection, each in its own thread with its own link.

A worker is `while not stop: x_once()`. A broken link is written down and tried again with jitter; a broken database
makes it back off without acknowledging anything. `Supervisor` keeps one worker per connection that should have one and
stops them all within a bounded time.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from dispatch.policy import Policy
from link.broker import Clock, Consumer, LinkError, Publisher, Transport
from link.inbox import Inlet, receive
from link.reconnect import Backoff
from link.relay import RelayOptions, relay_once, release_lease
from link.targets import target_of
from plants.models import Connection, LinkHealth, LinkState
from plants.services.link_health import note_link

log = structlog.get_logger(__name__)
HEALTH_EVERY = timedelta(seconds=5)
_DATABASE_TROUBLE = (DatabaseError, InterfaceError)


@dataclass(frozen=True, kw_only=True)
class ConsumeOptions:
    """How a consumer reads: window of unacknowledged deliveries, batch size, and how long it waits."""

    prefetch: int
    batch: int
    flush_s: float
    retention_days: int
    wait_s: float = 1.0


class Health:
    """Writes a link's state into the database: at once when it changes, else every few seconds."""

    def __init__(self, *, connection_id: int, role: LinkHealth.Role, clock: Clock) -> None:
        self._connection_id = connection_id
        self._role = role
        self._clock = clock
        self._state: LinkState | None = None
        self._written_at: datetime | None = None
        self._event_at: datetime | None = None

    def event(self) -> None:
        """A delivery or a confirm arrived."""
        self._event_at = self._clock()

    def starting(self) -> None:
        """Before the first attempt. Later ones leave the state, so that `since` tells for how long a link is down."""
        if self._state is None:
            self.tell(LinkState.CONNECTING)

    def tell(self, state: LinkState, error: str = "") -> None:
        """Note the state; a database that is away right now is not this method's business."""
        at = self._clock()
        if state == self._state and not error and self._written_at and at - self._written_at < HEALTH_EVERY:
            return
        try:
            note_link(
                connection_id=self._connection_id,
                role=self._role,
                state=state,
                at=at,
                error=error,
                event_at=self._event_at,
            )
        except _DATABASE_TROUBLE as trouble:
            log.warning("health not written", action="link.health", error=type(trouble).__name__)
            return
        self._state, self._written_at = state, at


class RelayWorker:
    """Publishes one connection's outbox until told to stop."""

    role = LinkHealth.Role.PUBLISH

    def __init__(
        self,
        *,
        connection: Connection,
        transport: Transport,
        clock: Clock,
        policy: Policy,
        options: RelayOptions,
        poll_s: float,
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._clock = clock
        self._policy = policy
        self._options = options
        self._poll_s = poll_s
        self._publisher: Publisher | None = None
        self._health = Health(connection_id=connection.pk, role=self.role, clock=clock)

    def once(self, stop: threading.Event) -> None:
        """One turn: connect when needed, publish a window, or wait a moment."""
        publisher = self._publisher
        if publisher is None:
            self._health.starting()
            publisher = self._publisher = self._transport.open_publisher(
                target_of(self._connection), clock=self._clock
            )
        self._health.tell(LinkState.CONNECTED)
        sent = relay_once(
            connection=self._connection,
            publisher=publisher,
            clock=self._clock,
            policy=self._policy,
            options=self._options,
        )
        if sent:
            self._health.event()
            log.info("published", action="relay.published", connection_id=self._connection.pk, count=sent)
            return
        publisher.keep_alive()
        stop.wait(self._poll_s)

    def broken(self, error: LinkError) -> None:
        """Forget a broken link and write down why."""
        self.close_link()
        self._health.tell(LinkState.REFUSED if error.permanent else LinkState.DOWN, f"{error.code}: {error}")

    def close_link(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None

    def finish(self) -> None:
        """At the end of the worker: close the link and let another relay take over at once."""
        self.close_link()
        release_lease(connection=self._connection, clock=self._clock, options=self._options)


class ConsumeWorker:
    """Turns one connection's events into rows until told to stop."""

    role = LinkHealth.Role.CONSUME

    def __init__(
        self, *, connection: Connection, transport: Transport, clock: Clock, options: ConsumeOptions
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._clock = clock
        self._options = options
        self._consumer: Consumer | None = None
        self._inlet = Inlet(
            connection_id=connection.pk,
            routing_prefix=connection.routing_prefix,
            retention_days=options.retention_days,
        )
        self._health = Health(connection_id=connection.pk, role=self.role, clock=clock)

    def once(self, _stop: threading.Event) -> None:
        """One turn: connect when needed, store a batch, acknowledge it."""
        consumer = self._consumer
        if consumer is None:
            self._health.starting()
            consumer = self._consumer = self._transport.open_consumer(
                target_of(self._connection), prefetch=self._options.prefetch
            )
        self._health.tell(LinkState.CONNECTED)
        batch = consumer.fetch(
            max_messages=self._options.batch, wait_s=self._options.wait_s, flush_s=self._options.flush_s
        )
        if not batch:
            return
        self._health.event()
        report = receive(batch, inlet=self._inlet, at=self._clock())
        consumer.ack(batch)
        log.debug(
            "received",
            action="consumer.received",
            connection_id=self._connection.pk,
            count=report.received,
            duplicates=report.duplicates,
            dead_letters=report.dead_letters,
        )

    def broken(self, error: LinkError) -> None:
        """Forget a broken link and write down why."""
        self.close_link()
        self._health.tell(LinkState.REFUSED if error.permanent else LinkState.DOWN, f"{error.code}: {error}")

    def close_link(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def finish(self) -> None:
        """At the end of the worker: close the link; what was not acknowledged goes back to its queue."""
        self.close_link()


Worker = RelayWorker | ConsumeWorker


def run_worker(worker: Worker, stop: threading.Event, *, backoff: Backoff) -> None:
    """`once` until `stop`; every kind of trouble is answered by closing the link and waiting with jitter."""
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
                backoff.wait(stop)
            except _DATABASE_TROUBLE as error:
                # Stop consuming: what is unacknowledged goes back to the broker until the database is there again.
                log.warning(
                    "database away", action="link.database", role=worker.role, error=type(error).__name__
                )
                worker.close_link()
                backoff.wait(stop)
            except Exception as error:  # a fault of ours on one connection: said, and tried again with pauses
                log.exception("worker failed", action="link.failed", role=worker.role)
                worker.broken(LinkError(type(error).__name__, code="INTERNAL_ERROR"))
                backoff.wait(stop)
        _finish(worker)
    finally:
        connections.close_all()


def _finish(worker: Worker) -> None:
    try:
        worker.finish()
    except _DATABASE_TROUBLE as error:  # the lease runs out by itself
        log.warning(
            "not finished cleanly", action="link.finish", role=worker.role, error=type(error).__name__
        )


class Supervisor:
    """One worker thread per wanted connection; looks again every few seconds which are wanted."""

    def __init__(
        self,
        *,
        name: str,
        wanted: Callable[[], Mapping[int, Connection]],
        make: Callable[[Connection], Worker],
        look_every_s: float = 2.0,
        stop_within_s: float = 20.0,
        on_turn: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._wanted = wanted
        self._make = make
        self._look_every_s = look_every_s
        self._stop_within_s = stop_within_s
        self._on_turn = on_turn
        self._running: dict[int, tuple[threading.Thread, threading.Event, str]] = {}

    def run(self, stop: threading.Event) -> None:
        """Keep workers running until `stop`, then stop them and wait for their end."""
        backoff = Backoff()
        while not stop.is_set():
            close_old_connections()
            try:
                self.look_once()
                backoff.reset()
                if self._on_turn is not None:
                    self._on_turn()
            except _DATABASE_TROUBLE as error:
                log.warning("database away", action="link.supervisor", error=type(error).__name__)
                backoff.wait(stop)
            except Exception:  # the workers that run go on; looking again may find what was wrong put right
                log.exception("supervisor failed", action="link.supervisor", name=self._name)
                backoff.wait(stop)
            stop.wait(self._look_every_s)
        self.stop_all()

    def look_once(self) -> None:
        """Start what is missing, stop what is no longer wanted, restart what changed or died."""
        wanted = self._wanted()
        for pk, (thread, own_stop, fingerprint) in list(self._running.items()):
            changed = pk not in wanted or _fingerprint(wanted[pk]) != fingerprint
            if changed:
                own_stop.set()
            if not thread.is_alive():
                del self._running[pk]
        for pk, connection in wanted.items():
            if pk not in self._running:
                self._start(connection)

    def _start(self, connection: Connection) -> None:
        own_stop = threading.Event()
        thread = threading.Thread(
            target=run_worker,
            args=(self._make(connection), own_stop),
            kwargs={"backoff": Backoff()},
            name=f"{self._name}-{connection.pk}",
            daemon=True,
        )
        self._running[connection.pk] = (thread, own_stop, _fingerprint(connection))
        thread.start()

    def stop_all(self) -> None:
        """Ask all workers to stop and wait for them, bounded."""
        for _, own_stop, _ in self._running.values():
            own_stop.set()
        deadline = time.monotonic() + self._stop_within_s
        for thread, _, _ in self._running.values():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.error("worker did not stop", action="link.stop", thread=thread.name)


def _fingerprint(connection: Connection) -> str:
    """Changes when a worker must be started anew; a hash, because it is made of secrets too."""
    parts = (
        connection.amqps_uri.reveal() if hasattr(connection.amqps_uri, "reveal") else connection.amqps_uri,
        connection.vhost,
        connection.queue_prefix,
        connection.routing_prefix,
        sorted(connection.queues.items()),
    )
    return str(hash(repr(parts)))
