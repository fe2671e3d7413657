"""The port to Voke's broker: what the relay and the consumer need, whichever adapter carries it.

Two links per connection, each owned by one thread: a publisher (pipelined confirms, mandatory) and a consumer
(batches, acknowledged after commit). Adapters: `link.memory` (membroker, in one process) and `link.amqp` (AMQPS).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from vcp import QueueNames

Clock = Callable[[], datetime]


class LinkError(Exception):
    """The link failed. `permanent`: trying again without a change will fail again (credentials, vhost, certificate)."""

    def __init__(self, message: str, *, code: str = "LINK_DOWN", permanent: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.permanent = permanent


class Fate(StrEnum):
    """What the broker did with one handed-over message."""

    CONFIRMED = "CONFIRMED"  # confirmed and routed to at least one queue
    RETURNED = "RETURNED"  # mandatory, and no queue took it
    REFUSED = "REFUSED"  # the broker closed the channel over it (403, 404)
    NACKED = "NACKED"  # not taken now; the same bytes may be sent again
    UNKNOWN = "UNKNOWN"  # handed to the socket, no word came back in time
    TOO_LATE = "TOO_LATE"  # its last moment passed before it was handed over: no byte was sent
    NOT_SENT = "NOT_SENT"  # the link was gone before its turn: no byte was sent


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One stored message on its way out. `not_after` is checked again when it is handed to the socket."""

    outbound_id: int
    routing_key: str
    message_id: str
    correlation_id: str
    body: bytes = field(repr=False)
    not_after: datetime | None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The fate of one outgoing message and what the broker said about it."""

    outbound_id: int
    fate: Fate
    detail: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery from a queue; `tag` means something only to the link it came from."""

    queue: str
    routing_key: str
    headers: Mapping[str, Any]
    body: bytes
    redelivered: bool
    tag: Any

    def __repr__(self) -> str:
        """Without what is in it: a traceback is no place for messages."""
        return f"Delivery(queue={self.queue!r}, routing_key={self.routing_key!r}, tag={self.tag!r})"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Deliveries of one link in the order of their coming: how many came, and of how many first ones none is open."""

    came: int
    settled: int


@dataclass(frozen=True, kw_only=True)
class LinkTarget:
    """Where and as whom to connect, and what is read there."""

    connection_id: int
    name: str
    amqps_uri: str = field(repr=False)
    vhost: str
    queues: QueueNames
    routing_prefix: str


class Publisher(Protocol):
    """Publishes windows of messages over one link; not thread-safe, except `abort`."""

    @property
    def blocked(self) -> str | None:
        """Why the broker takes nothing from publishers at present; None = it does. Told by `keep_alive`."""

    def publish(self, window: Sequence[Outgoing], *, within_s: float | None = None) -> list[Sent]:
        """Hand over a window, wait for every confirm until the deadline; one `Sent` per message, in order.

        `within_s` brings the deadline forward: what is unconfirmed then is given up with its link, so that no byte of
        it leaves later. None = the link's own time limit.

        Never raises for a message's own fate. A broken link answers UNKNOWN or NOT_SENT for what was not confirmed;
        every later call raises `LinkError`: close it and open another.
        """

    def keep_alive(self) -> None:
        """Send and check heartbeats while idle; raises `LinkError` when the peer is gone."""

    def close(self) -> None:
        """Close the link; never raises."""

    def abort(self) -> None:
        """From any thread: cut the link, so that a call that waits for it ends with `LinkError`; never raises."""


class Consumer(Protocol):
    """Reads the four event queues of a connection over one link; not thread-safe, except `abort`."""

    def fetch(self, *, max_messages: int, wait_s: float, flush_s: float) -> list[Delivery]:
        """Up to `max_messages`: waits `wait_s` for the first and then `flush_s` for more. [] = nothing came.

        Raises `LinkError` when the link broke, a queue vanished or the broker cancelled the consumer; what was not
        acknowledged comes again after reconnecting.
        """

    def ready(self) -> int:
        """How many deliveries are in hand already: `fetch` gives them out without asking the broker."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge after commit; raises `LinkError` (then they will be redelivered, and deduplicated)."""

    def keep_alive(self) -> None:
        """Send and check heartbeats while a batch is being stored; raises `LinkError` when the peer is gone."""

    def waiting(self) -> int | None:
        """How many messages the queues hold that nobody was given; None when the broker does not tell us.

        Raises `LinkError` when the link broke.
        """

    def tally(self) -> Tally:
        """How many deliveries came over this link so far, and up to which all of them are acknowledged."""

    def close(self) -> None:
        """Close the link; never raises. Unacknowledged deliveries go back to their queues."""

    def abort(self) -> None:
        """From any thread: cut the link, so that a call that waits for it ends with `LinkError`; never raises."""


class Transport(Protocol):
    """Opens links; one per way to reach a broker."""

    def open_publisher(self, target: LinkTarget, *, clock: Clock) -> Publisher:
        """Connect for publishing, or raise `LinkError`."""

    def open_consumer(self, target: LinkTarget, *, prefetch: int) -> Consumer:
        """Connect and start consuming the four event queues, or raise `LinkError`."""
