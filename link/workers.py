"""The workers of relay and consumer: one per connection, each in its own thread with its own link (`link.worker`)."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from dispatch.policy import Policy
from dispatch.selectors import has_urgent_waiting
from link import metrics
from link.arrivals import Arrivals
from link.broker import Clock, Consumer, LinkError, Outgoing, Publisher, Sent, Transport
from link.database_trouble import Fault, fault_of
from link.doorbell import Doorbell
from link.drained import Drained
from link.health import DATABASE_TROUBLE, Streams
from link.inbox import Inlet
from link.pace import Pace
from link.parsing import MAX_BODY_BYTES
from link.relay import RelayOptions, relay_once, release_lease
from link.silence import Silence
from link.storing import Storing
from link.targets import target_of
from link.watchdog import Limits, Progress, Step
from link.worker import Worker
from plants.models import Connection, LinkHealth, LinkState, StreamHealth
from plants.selectors.link_health import expected_period_s, tolerance_of
from plants.services.quarantine import PER_PLANT

log = structlog.get_logger(__name__)
LONGEST_PAUSE_S = 1.0
"""Of a relay: so often at least it listens to the broker and says that it is there."""


@dataclass(frozen=True, kw_only=True)
class ConsumeOptions:
    """How a consumer reads: window of unacknowledged deliveries, batch size, and how long it waits (`link.pace`).

    `holder` names the process in the health of its links.
    """

    prefetch: int
    batch: int
    flush_s: float
    retention_days: int
    wait_s: float = 1.0
    max_body_bytes: int = MAX_BODY_BYTES
    quarantine_per_plant: int = PER_PLANT
    holder: str = ""


class _WatchedPublisher:
    """A publisher whose calls are steps of a worker's progress."""

    def __init__(self, publisher: Publisher, progress: Progress) -> None:
        self._publisher = publisher
        self._progress = progress

    @property
    def blocked(self) -> str | None:
        return self._publisher.blocked

    def publish(self, window: Sequence[Outgoing], *, within_s: float | None = None) -> list[Sent]:
        with self._progress.during(Step.LINK):
            return self._publisher.publish(window, within_s=within_s)

    def keep_alive(self) -> None:
        with self._progress.during(Step.LINK):
            self._publisher.keep_alive()

    def close(self) -> None:
        self._publisher.close()

    def abort(self) -> None:
        self._publisher.abort()


class RelayWorker(Worker):
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
        health_holder: str = "",
        limits: Limits | None = None,
        doorbell: Doorbell | None = None,
    ) -> None:
        """`doorbell`: shared with other relays of the process; None = look at every turn."""
        super().__init__(
            connection=connection,
            transport=transport,
            clock=clock,
            holder=health_holder or options.holder,
            limits=limits,
        )
        self._policy = policy
        self._options = options
        self._poll_s = poll_s
        self._doorbell = doorbell
        self._may_have_more = False
        self._publisher: Publisher | None = None

    def once(self, stop: threading.Event) -> None:
        """One turn: connect when needed, publish a window, or wait a moment."""
        publisher = self._publisher
        if self._link is None or publisher is None:
            publisher = self._open()
        if publisher.blocked is not None:
            publisher.keep_alive()
        if publisher.blocked is not None:
            self._health.tell(LinkState.BLOCKED, publisher.blocked, code="PUBLISHERS_BLOCKED")
            stop.wait(self._poll_s)
            return
        with self.progress.during(Step.DATABASE):
            self._health.tell(LinkState.CONNECTED)
            sent = self._publish(publisher)
        if sent:
            self._health.event()
            log.info("published", action="relay.published", connection_id=self._connection.pk, count=sent)
            return
        self._pause(stop)
        publisher.keep_alive()  # what came meanwhile (a block, an end) is known before anything is claimed

    def _pause(self, stop: threading.Event) -> None:
        if self._doorbell is None:
            stop.wait(self._poll_s)
        elif not stop.is_set():
            self._doorbell.pause(
                self._connection.pk, at_least_s=self._poll_s, at_most_s=max(LONGEST_PAUSE_S, self._poll_s)
            )

    def wake(self) -> None:
        """End a pause, which may last a second."""
        if self._doorbell is not None:
            self._doorbell.wake(self._connection.pk)

    def _publish(self, publisher: Publisher) -> int:
        """Behind a window that was sent there may be another one, and nobody rings for that."""
        bell, pk = self._doorbell, self._connection.pk
        called = self._may_have_more or (bell is not None and bell.rung(pk))
        if not called and bell is not None and not bell.rings(pk):
            return 0
        self._may_have_more = True
        sent = relay_once(
            connection=self._connection,
            publisher=publisher,
            clock=self._clock,
            policy=self._policy,
            options=self._options,
            called=called,
        )
        self._may_have_more = sent > 0
        return sent

    def _open(self) -> Publisher:
        with self._connecting():
            opened = self._transport.open_publisher(target_of(self._connection), clock=self._clock)
        self._link = opened
        self._publisher = _WatchedPublisher(opened, self.progress)
        return self._publisher

    def hurried(self) -> bool:
        """An emergency must not wait for the end of a long pause."""
        super().hurried()
        with self.progress.during(Step.DATABASE):
            try:
                return has_urgent_waiting(connection_id=self._connection.pk)
            except DATABASE_TROUBLE as error:
                log.warning("outbox not read", action="link.hurried", error=type(error).__name__)
                return False

    def finish(self) -> None:
        """At the end of the worker: close the link and let another relay take over at once."""
        super().finish()
        with self.progress.during(Step.DATABASE):
            release_lease(connection=self._connection, clock=self._clock, options=self._options)


class ConsumeWorker(Worker):
    """Turns one connection's events into rows until told to stop."""

    role = LinkHealth.Role.CONSUME

    def __init__(
        self,
        *,
        connection: Connection,
        transport: Transport,
        clock: Clock,
        options: ConsumeOptions,
        limits: Limits | None = None,
    ) -> None:
        self._streams = Streams(connection_id=connection.pk)
        self._arrivals = Arrivals(streams=self._streams)
        super().__init__(
            connection=connection,
            transport=transport,
            clock=clock,
            holder=options.holder,
            limits=limits,
            held=self._arrivals,
        )
        metrics.watch_unstored(
            connection, age_s=self._arrivals.unstored_age_s, count=self._arrivals.unstored_count
        )
        self._options = options
        self._consumer: Consumer | None = None
        self._pace = Pace(options.flush_s)
        self._silence = Silence(renew_after_s=self._renew_after_s)
        self._drained = Drained(
            connection_id=connection.pk,
            holder=options.holder,
            clock=clock,
            progress=self.progress,
            quiet_after_s=self._renew_after_s,
        )
        self._storing = Storing(
            connection=connection,
            inlet=Inlet(
                connection_id=connection.pk,
                routing_prefix=connection.routing_prefix,
                organisation_id=connection.organisation_id,
                retention_days=options.retention_days,
                max_body_bytes=options.max_body_bytes,
                quarantine_per_plant=options.quarantine_per_plant,
            ),
            largest=options.batch,
            clock=clock,
            progress=self.progress,
            arrivals=self._arrivals,
            heard=self._hear,
            renew=self._health.renew,
        )

    def once(self, stop: threading.Event) -> None:
        """One turn: connect when needed, store what came, acknowledge it."""
        consumer = self._consumer
        if self._link is None or consumer is None:
            consumer = self._open()
        with self.progress.during(Step.DATABASE):
            self._streams.write(at=self._clock())
            self._health.tell(LinkState.CONNECTED)
        with self.progress.during(Step.LINK):
            batch = consumer.fetch(
                max_messages=self._options.batch, wait_s=self._options.wait_s, flush_s=self._pace.flush_s
            )
        at = self._clock()
        self._pace.took(len(batch))
        if batch:
            self._storing.take(batch, consumer, at=at, stop=stop)
        else:
            self._arrivals.nothing_waits(at=at)
            self._look_for_more(consumer)
        if self._link is not None:
            self._drained.look(consumer)

    def _look_for_more(self, consumer: Consumer) -> None:
        with self.progress.during(Step.LINK):
            renew = self._silence.look(consumer)
        if renew:
            log.info("link renewed", action="consumer.renewed", connection_id=self._connection.pk)
            self.close_link()

    def _open(self) -> Consumer:
        with self._connecting():
            opened = self._transport.open_consumer(
                target_of(self._connection), prefetch=self._options.prefetch
            )
        self._link = self._consumer = opened
        self._silence.reopened()
        return opened

    def _hear(self) -> None:
        self._silence.heard()
        self._health.event()

    def broken(self, error: LinkError) -> None:
        """What it held goes back to the broker, and that is no delay of the database's."""
        self._arrivals.let_go()
        super().broken(error)

    def trouble_of(self, error: Exception) -> tuple[LinkState, str]:
        """Locks and time limits: a slow database, which still answers; everything else: it is away."""
        if fault_of(error) in (Fault.SLOW, Fault.RIVAL):
            return LinkState.SLOW, "STORING_SLOWLY"
        return super().trouble_of(error)

    def _renew_after_s(self) -> float:
        """After how long a silence the link is made anew where the broker does not say what waits."""
        stream = StreamHealth.Stream.REALTIME
        period_s, _ = expected_period_s(self._connection, stream, self._streams.period_s(stream))
        return tolerance_of(period_s or 0.0)

    def close_link(self) -> None:
        """Close the link if there is one, and forget what it had brought: that comes again."""
        super().close_link()
        self._consumer = None
        self._arrivals.gave_back()

    def finish(self) -> None:
        """At the end of the worker: close the link; what was not acknowledged goes back to its queue."""
        self._arrivals.let_go()
        super().finish()
        self._storing.stop()
