"""What the port's tests share: the far side as they see it, a clock by hand, messages and fates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from link.broker import Consumer, Delivery, Fate, LinkTarget, Outgoing, Sent, Transport

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """A message as the far side finds it in a queue."""

    routing_key: str
    body: bytes
    message_id: str | None
    correlation_id: str | None


class FarSide(Protocol):
    """Voke's side of one partner's vhost, and the way there."""

    transport: Transport
    target: LinkTarget

    def publish(self, key: str, body: bytes = b"{}", *, headers: Mapping[str, Any] | None = None) -> None:
        """Publish an event under `{prefix}.{key}`; it must reach a queue."""

    def take(self, queue: str) -> list[Arrived]:
        """Remove and answer all that is in the queue."""

    def depth(self, queue: str) -> int:
        """Messages ready in the queue."""

    def add_limited_queue(self, name: str, *, binding: str, max_length: int) -> None:
        """A further queue that refuses what exceeds `max_length`."""

    def delete_queue(self, name: str) -> None:
        """Delete a queue with all that it holds."""


@dataclass
class ManualClock:
    """A clock that stands still until told; `on_call` sees the number of each reading, from 1 on."""

    at: datetime = NOW
    calls: int = 0
    steps: Mapping[int, timedelta] = field(default_factory=dict)

    def __call__(self) -> datetime:
        self.calls += 1
        self.at += self.steps.get(self.calls, timedelta())
        return self.at


ALONE = b"x" * 20_000
"""A body so large that its message is written at once; small ones are written several at a time."""


def outgoing(
    target: LinkTarget,
    number: int,
    *,
    key: str | None = None,
    family: str = "command.mode",
    body: bytes | None = None,
    not_after: datetime | None = None,
) -> Outgoing:
    return Outgoing(
        outbound_id=number,
        routing_key=key or f"{target.routing_prefix}.{family}",
        message_id=f"message-{number}",
        correlation_id=f"correlation-{number}",
        body=b'{"number": %d}' % number if body is None else body,
        not_after=not_after,
    )


def fates(sent: Sequence[Sent]) -> list[Fate]:
    return [one.fate for one in sent]


def fetch_all(consumer: Consumer, count: int) -> list[Delivery]:
    """Fetch until `count` deliveries came; fails after ten seconds without one."""
    got: list[Delivery] = []
    while len(got) < count:
        batch = consumer.fetch(max_messages=count - len(got), wait_s=10, flush_s=0.05)
        assert batch, f"only {len(got)} of {count} came"
        got += batch
    return got
