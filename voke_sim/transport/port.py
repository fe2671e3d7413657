"""What the stand-in needs of a message transport, whatever carries the messages."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery. `handle` belongs to the transport that made it."""

    routing_key: str
    body: bytes
    redelivered: bool
    handle: object


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """One event to publish, its bytes final."""

    routing_key: str
    body: bytes
    message_id: str
    correlation_id: str | None


class Sent(StrEnum):
    """The broker's word on one event."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    """No queue is bound for it: final."""
    NACKED = "nacked"
    """Refused for now (a full queue): to be sent again."""
    UNAVAILABLE = "unavailable"
    """No connection, or no word in time: to be sent again as the same bytes."""


class Intake(StrEnum):
    """What the broker does with the partner's messages towards Voke."""

    OPEN = "open"
    UNBOUND = "unbound"
    """No queue is bound: they are returned."""
    FULL = "full"
    """The one queue that is bound is full: they are refused (nack)."""


class Transport(Protocol):
    """Both directions of one partner's vhost. One engine thread calls everything but `close`."""

    def start(self) -> None:
        """Begin to connect; returns at once, errors of the network are retried behind the scenes."""

    def close(self) -> None:
        """Disconnect; unsettled deliveries go back to their queues."""

    @property
    def is_connected(self) -> bool:
        """Whether messages flow at this moment."""

    def receive(self, max_messages: int, timeout_s: float) -> list[Inbound]:
        """Deliveries of the three queues towards Voke; waits up to `timeout_s` for the first one."""

    def settle(self, *, done: Sequence[Inbound], refused: Sequence[Inbound]) -> None:
        """Acknowledge `done`; reject `refused` without requeue. A delivery of a lost connection is skipped:
        the broker
        hands it out again."""

    def publish(self, events: Sequence[Outbound]) -> list[Sent]:
        """Publish persistent, mandatory messages and wait for the broker's word on each."""

    @property
    def intake(self) -> Intake:
        """What the bindings of the queues towards Voke are at the broker, as far as it has confirmed."""

    def set_intake(self, intake: Intake) -> bool:
        """Change the bindings of the queues towards Voke; False = not now, there is no connection."""
