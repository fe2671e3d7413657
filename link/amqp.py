"""The port over AMQPS (py-amqp): how a real Voke's broker is reached.

Each link is one connection of one thread; publishing and consuming never share one, so that a broker which blocks
publishers does not stop events. Nothing is declared: exchange, queues and bindings are Voke's.
"""

from dataclasses import dataclass

from link.amqp_connection import AmqpsLink, LinkTimes, open_link
from link.amqp_consumer import AmqpsConsumer
from link.amqp_publisher import AmqpsPublisher
from link.broker import Clock, Consumer, LinkTarget, Publisher

_MAX_HEARTBEAT_S = 65_535


@dataclass(frozen=True)
class AmqpsTransport:
    """Opens AMQPS links.

    `ca_file`: PEM file of the only authorities to trust, None for the system's. `heartbeat_s`: proposed to the broker,
    which may shorten it; a peer silent for two of them is gone. `confirm_timeout_s`: how long a window may take.
    `connect_timeout_s`: each of reaching the host, TLS and login.
    """

    ca_file: str | None
    heartbeat_s: int
    confirm_timeout_s: float
    connect_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.heartbeat_s <= _MAX_HEARTBEAT_S:
            raise ValueError("heartbeat_s must be 1 to 65535: without heartbeats a dead link goes unnoticed")
        if self.confirm_timeout_s <= 0 or self.connect_timeout_s <= 0:
            raise ValueError("timeouts must be positive")

    def open_publisher(self, target: LinkTarget, *, clock: Clock) -> Publisher:
        """Connect for publishing. `LinkError` with a code; `permanent` when only a changed setting can help."""
        answer_timeout_s = min(self.connect_timeout_s, self.confirm_timeout_s)
        link = self._open(target, role="esm publisher", answer_timeout_s=answer_timeout_s)
        return AmqpsPublisher(link, clock=clock, confirm_timeout_s=self.confirm_timeout_s)

    def open_consumer(self, target: LinkTarget, *, prefetch: int) -> Consumer:
        """Connect and consume the four event queues, `prefetch` unacknowledged deliveries of each.

        `LinkError` QUEUE_MISSING or QUEUE_FORBIDDEN name the queue.
        """
        link = self._open(target, role="esm consumer", answer_timeout_s=self.connect_timeout_s)
        return AmqpsConsumer(link, queues=target.queues.to_partner, prefetch=prefetch)

    def _open(self, target: LinkTarget, *, role: str, answer_timeout_s: float) -> AmqpsLink:
        times = LinkTimes(
            heartbeat_s=self.heartbeat_s,
            connect_timeout_s=self.connect_timeout_s,
            answer_timeout_s=answer_timeout_s,
        )
        return open_link(target, role=role, ca_file=self.ca_file, times=times)
