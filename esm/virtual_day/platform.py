"""The platform's loops without their threads: relay and consumer of each connection, one turn at a time.

What they do is what `link.workers` does; nothing here waits. A link can be cut (`Wire.is_up`), and everything can be
thrown away and built anew from the tables, as after a crash of the process.

Edge cases (the concurrency policy):
- A crash gives back to the broker what was not acknowledged, and leaves the lease of the relay behind: the next one
  waits until it is over, as the successor of a killed process does.
- A cut link breaks a turn like a broken socket: it is written down and tried again at the next turn.
"""

import threading
from datetime import timedelta

from django.conf import settings

from dispatch.policy import current_policy
from link.arrivals import Arrivals
from link.broker import Clock, Consumer, LinkError, LinkTarget, Publisher, Transport
from link.health import Health, Streams
from link.inbox import Inlet, Patience, receive
from link.relay import RelayOptions
from link.targets import target_of
from link.workers import RelayWorker
from plants.models import Connection, ConnectionMode, LinkHealth, LinkState

_LINK_DOWN = "no route to the broker"


class Wire:
    """A transport that can be cut: while it is down nothing opens, and what was open breaks."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._open: list[Publisher | Consumer] = []
        self.is_up = True

    def open_publisher(self, target: LinkTarget, *, clock: Clock) -> Publisher:
        self._require_up()
        opened = self._transport.open_publisher(target, clock=clock)
        self._open.append(opened)
        return opened

    def open_consumer(self, target: LinkTarget, *, prefetch: int) -> Consumer:
        self._require_up()
        opened = self._transport.open_consumer(target, prefetch=prefetch)
        self._open.append(opened)
        return opened

    def cut(self) -> None:
        """Break every link, until `mend`."""
        self.is_up = False
        for opened in self._open:
            opened.abort()
        self._open.clear()

    def mend(self) -> None:
        """Links can be opened again."""
        self.is_up = True

    def _require_up(self) -> None:
        if not self.is_up:
            raise LinkError(_LINK_DOWN, code="CONNECT_FAILED")


class _Inbound:
    """One connection's consumer."""

    def __init__(self, connection: Connection, *, transport: Transport, clock: Clock, holder: str) -> None:
        self._connection = connection
        self._transport = transport
        self._clock = clock
        self._streams = Streams(connection_id=connection.pk)
        self._arrivals = Arrivals(streams=self._streams)
        self._health = Health(
            connection_id=connection.pk,
            role=LinkHealth.Role.CONSUME,
            clock=clock,
            holder=holder,
            held=self._arrivals,
        )
        self._inlet = Inlet(
            connection_id=connection.pk,
            routing_prefix=connection.routing_prefix,
            retention_days=settings.TELEMETRY_RETENTION_DAYS,
            max_body_bytes=settings.INBOX_MAX_BODY_BYTES,
            quarantine_per_plant=settings.QUARANTINE_PER_PLANT,
        )
        self._patience = Patience()
        self._link: Consumer | None = None

    def once(self) -> int:
        """Store and acknowledge everything that waits; how many of it were no readings."""
        try:
            return self._take_all()
        except LinkError as error:
            self.close()
            self._arrivals.let_go()
            self._health.tell(LinkState.DOWN, str(error), code=error.code)
            return 0

    def _take_all(self) -> int:
        if self._link is None:
            self._health.starting()
            self._link = self._transport.open_consumer(
                target_of(self._connection), prefetch=settings.AMQP_PREFETCH
            )
            self._health.tell(LinkState.CONNECTED)
        spoke = 0
        while batch := self._link.fetch(max_messages=settings.INGEST_BATCH, wait_s=0.0, flush_s=0.0):
            at = self._clock()
            self._arrivals.taken(len(batch), at=at)
            self._health.event()
            report = receive(
                batch,
                inlet=self._inlet,
                at=at,
                patience=self._patience,
                on_understood=lambda understood, at=at: self._arrivals.hear(understood, at=at),  # type: ignore[misc]
            )
            self._arrivals.stored()
            self._link.ack(batch)
            spoke += sum(not one.is_reading for one in report.understood)
        self._arrivals.nothing_waits(at=self._clock())
        return spoke

    def vouch(self) -> None:
        """Say that it is still there, and what it heard."""
        self._streams.write(at=self._clock())
        self._health.renew()

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()


class Platform:
    """The loops of every connection, as one process would run them."""

    def __init__(self, *, wire: Wire, clock: Clock, name: str) -> None:
        """`name` stands in leases and in the health of links: another one for each life."""
        self._wire = wire
        self._clock = clock
        self._name = name
        self._relays: dict[int, RelayWorker] = {}
        self._inbound: dict[int, _Inbound] = {}
        # Set: a relay that has nothing to send returns at once instead of waiting.
        self._no_pause = threading.Event()
        self._no_pause.set()
        self.look()

    def look(self) -> None:
        """Take up connections that were made since."""
        every = Connection.objects.filter(retired_at__isnull=True).order_by("pk")
        for connection in every:
            if connection.pk not in self._inbound:
                self._inbound[connection.pk] = _Inbound(
                    connection, transport=self._wire, clock=self._clock, holder=self._name
                )
            if connection.mode == ConnectionMode.ACTIVE and connection.pk not in self._relays:
                self._relays[connection.pk] = self._relay(connection)

    def _relay(self, connection: Connection) -> RelayWorker:
        return RelayWorker(
            connection=connection,
            transport=self._wire,
            clock=self._clock,
            policy=current_policy(),
            options=RelayOptions(
                holder=f"{self._name}:{connection.pk}",
                lease_ttl=timedelta(seconds=settings.RELAY_LEASE_S),
                window=settings.RELAY_WINDOW,
            ),
            poll_s=0.0,
            health_holder=self._name,
        )

    def publish(self) -> None:
        """One turn of each relay."""
        for relay in self._relays.values():
            try:
                relay.once(self._no_pause)
            except LinkError as error:
                relay.broken(error)

    def consume(self) -> int:
        """One turn of each consumer; how many messages were stored that are no readings."""
        return sum(inbound.once() for inbound in self._inbound.values())

    def vouch(self) -> None:
        """Say of every link how it does: steps may be longer than such a word is trusted."""
        for inbound in self._inbound.values():
            inbound.vouch()
        for relay in self._relays.values():
            relay.hurried()

    def crash(self) -> None:
        """Leave everything as a killed process does: links break, nothing is tidied up."""
        for inbound in self._inbound.values():
            inbound.close()
        for relay in self._relays.values():
            relay.abort()

    def finish(self) -> None:
        """Close links, release leases."""
        for inbound in self._inbound.values():
            inbound.close()
        for relay in self._relays.values():
            relay.finish()
