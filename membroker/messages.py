"""The values that cross the broker's border: messages, deliveries and the outcomes of a publish."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

DEATH_REASON_HEADER = "x-first-death-reason"
"""Header of a dead letter: why it left its first queue (`rejected` or `maxlen`), named as RabbitMQ names
it.
"""

DEATH_QUEUE_HEADER = "x-first-death-queue"
"""Header of a dead letter: the first queue that it left, named as RabbitMQ names it."""


def _no_headers() -> Mapping[str, Any]:
    return MappingProxyType({})


class Overflow(StrEnum):
    """What a full queue does with one more message."""

    REJECT_PUBLISH = "reject-publish"
    """Refuse the new one: the publisher sees NACKED."""
    DROP_HEAD = "drop-head"
    """Give up the oldest one: it becomes a dead letter with the reason `maxlen`."""


class Published(StrEnum):
    """What became of a published message."""

    ROUTED = "routed"
    """Confirmed. With `mandatory` it is in at least one queue; without, it may have matched none, as in
    AMQP.
    """
    RETURNED = "returned"
    """No queue is bound for its routing key, and it was published as mandatory."""
    NACKED = "nacked"
    """At least one full queue refused it. Queues that had room keep it, as in RabbitMQ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message as its publisher made it; the body is opaque to the broker."""

    routing_key: str
    body: bytes
    message_id: str | None = None
    correlation_id: str | None = None
    headers: Mapping[str, Any] = field(default_factory=_no_headers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One message handed to one consumer, to be settled by that consumer.

    `delivery_tag` is unique in its vhost. `redelivered` means that an earlier consumer had it and gave it
    back, so its effect may already have happened.
    """

    message: Message
    queue: str
    delivery_tag: int
    redelivered: bool
